//! Counts the looks at a stop sign: for the tests of whoever takes one, by path.

use mytsdb_stop::StopSign;
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Asks once to count the looks, which are `looks_min` or more, then stops at some of them, which must be the last.
#[track_caller]
pub fn check<T, E: Debug>(
    what: &str,
    looks_min: usize,
    ask: impl Fn(StopSign<'_>) -> Result<T, E>,
    is_canceled: impl Fn(&E) -> bool,
) {
    let count = |stop_at: usize| {
        let looked = AtomicUsize::new(0);
        let keep_going = || looked.fetch_add(1, Ordering::Relaxed) + 1 < stop_at;
        let answer = ask(StopSign::new(&keep_going));
        (looked.into_inner(), answer)
    };
    let (looks, answer) = count(usize::MAX);
    assert!(answer.is_ok() && looks >= looks_min, "{what}: {looks} looks of at least {looks_min}");
    for stop_at in [1, 2, looks / 2, looks].into_iter().filter(|at| (1..=looks).contains(at)) {
        let (looked, answer) = count(stop_at);
        let canceled = matches!(&answer, Err(error) if is_canceled(error));
        assert!(canceled, "{what}: went on at look {stop_at} of {looks}");
        assert_eq!(looked, stop_at, "{what}: looked again after it was stopped");
    }
}
