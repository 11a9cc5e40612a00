//! Settings of tests, from the environment.

/// The number in the variable `name`, or `default` without it.
///
/// # Panics
/// If there is something else in it.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name}={text}: not a number")))
}

/// The seed in `MYTSDB_SEED`, or `default`. It is printed, so that a failed run can be repeated.
pub fn seed(default: u64) -> u64 {
    let seed = setting("MYTSDB_SEED", default);
    println!("MYTSDB_SEED={seed}");
    seed
}
