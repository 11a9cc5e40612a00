//! Which series are kept as buckets, of which width, and for how long.

use crate::Resolution;
use mytsdb_model::{Labels, Matcher};

/// Series that satisfy a selector are kept as buckets.
#[derive(Debug, Clone)]
pub struct Rule {
    /// All of them hold for a series of the rule.
    pub selector: Vec<Matcher>,
    /// The widths, each once, and for how many ms buckets of that width are kept.
    pub keep_ms: Vec<(Resolution, i64)>,
}

impl Rule {
    /// Whether the rule is about a series.
    pub fn is_about(&self, labels: &Labels) -> bool {
        self.selector.iter().all(|matcher| matcher.matches_labels(labels))
    }

    /// For how long the rule keeps buckets of a width, if it does.
    pub fn keeps(&self, resolution: Resolution) -> Option<i64> {
        self.keep_ms.iter().find(|(other, _)| *other == resolution).map(|(_, keep_ms)| *keep_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_tells_which_series_it_is_about_and_for_how_long_it_keeps_them() {
        let rule = Rule {
            selector: vec![Matcher::equal("env", "prod"), Matcher::metric("up")],
            keep_ms: vec![(Resolution::Hour, 5)],
        };
        assert!(rule.is_about(&Labels::from_pairs([("__name__", "up"), ("env", "prod")])));
        assert!(!rule.is_about(&Labels::from_pairs([("__name__", "up"), ("env", "dev")])));
        assert_eq!((rule.keeps(Resolution::Hour), rule.keeps(Resolution::FiveMinutes)), (Some(5), None));
    }
}
