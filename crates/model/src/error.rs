//! What can be wrong with labels, matchers and patterns that come from outside.

/// Errors of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The byte form of a label set is damaged or was not written by [`Labels::as_bytes`](crate::Labels::as_bytes).
    #[error("label set encoding: {reason} at byte {offset}")]
    LabelEncoding {
        /// What is wrong.
        reason: &'static str,
        /// Offset into the encoded bytes.
        offset: usize,
    },
    /// A label name occurs twice.
    #[error("label name {name:?} occurs more than once")]
    DuplicateLabel {
        /// The repeated name.
        name: String,
    },
    /// A regular expression is not valid, or is larger than its limits allow.
    #[error(transparent)]
    Regex(#[from] mytsdb_go_regex::RegexError),
}
