//! Faults that are planted in models, to show that these notice.

/// Whether a model was built to show that it notices when this order is missing; never outside of models.
pub(crate) const fn weakened(order: &str) -> bool {
    cfg!(mytsdb_loom)
        && match option_env!("MYTSDB_LOOM_WEAKEN") {
            Some(name) => name.as_bytes().eq_ignore_ascii_case(order.as_bytes()),
            None => false,
        }
}
