//! Regex matchers that were compiled before: dashboards send the same ones again and again.

use mytsdb_go_regex::Limits;
use mytsdb_model::{MatchOp, Matcher, ModelError};
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

/// Most matchers that are remembered; then all are forgotten.
const KNOWN_MAX: usize = 256;

/// Longest pattern that is remembered. Without counted repetitions it compiles to some kilobytes at most.
const PATTERN_BYTES_MAX: usize = 128;

type Known = HashMap<(MatchOp, String, String), Matcher>;

static KNOWN: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);

/// As [`Matcher::within`]. Compiling a pattern costs some 100 us, a copy of a compiled one less than 1 us; copies share the
/// program, but not the memory that matching needs.
pub(super) fn matcher(limits: &Limits, op: MatchOp, name: String, pattern: String) -> Result<Matcher, ModelError> {
    let plain = matches!(op, MatchOp::Equal | MatchOp::NotEqual);
    if plain || pattern.len() > PATTERN_BYTES_MAX.min(limits.pattern_bytes_max) || pattern.contains('{') {
        return Matcher::within(limits, op, name, pattern);
    }
    let key = (op, name, pattern);
    if let Some(known) = KNOWN.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(known.clone());
    }
    let matcher = Matcher::within(limits, op, key.1.clone(), key.2.clone())?;
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.len() >= KNOWN_MAX {
        known.clear();
    }
    known.insert(key, matcher.clone());
    Ok(matcher)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_pattern_matches_like_a_new_one() {
        for i in 0..2 * KNOWN_MAX {
            let pattern = format!("a{}.*", i % (KNOWN_MAX + 7));
            let known = matcher(&Limits::default(), MatchOp::Regex, "x".into(), pattern.clone()).unwrap();
            assert_eq!(known, Matcher::new(MatchOp::Regex, "x", pattern.clone()).unwrap());
            assert!(known.matches(&format!("{}b", &pattern[..pattern.len() - 2])) && !known.matches("b"));
        }
        assert!(matcher(&Limits::default(), MatchOp::Regex, "x".into(), "(".into()).is_err());
        assert!(!matcher(&Limits::default(), MatchOp::NotRegex, "x".into(), "a0.*".into()).unwrap().matches("a0"));
    }
}
