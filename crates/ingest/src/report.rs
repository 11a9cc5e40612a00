//! What a sender is told about a request that was worked on.

use mytsdb_otlp::Translation;

/// Points that were refused for good, and a text about them or about things to know though all is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Refused points; 0 if there are only warnings.
    pub rejected_points: u64,
    /// The first different reasons and warnings, at most 15 of at most 512 bytes each.
    pub message: String,
}

impl Report {
    /// `None` if every point is stored and there is nothing to say.
    pub fn of(translation: &Translation) -> Option<Self> {
        let rejected_points = translation.refused.total();
        if rejected_points == 0 && translation.warnings.is_empty() {
            return None;
        }
        let parts: Vec<&str> =
            translation.refused.messages().iter().chain(&translation.warnings).map(String::as_str).collect();
        Some(Self { rejected_points, message: parts.join("; ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_otlp::{PointLimit, RefusalReason};

    #[test]
    fn nothing_is_said_when_all_is_well() {
        assert_eq!(Report::of(&Translation { accepted_points: 7, ..Translation::default() }), None);
    }

    #[test]
    fn warnings_alone_reject_nothing() {
        let translation = Translation { warnings: vec!["odd".into()], ..Translation::default() };
        assert_eq!(Report::of(&translation), Some(Report { rejected_points: 0, message: "odd".into() }));
    }

    #[test]
    fn reasons_are_listed_once_and_stay_short() {
        let mut translation = Translation::default();
        for i in 0..100 {
            translation.refused.add(
                RefusalReason::Limit(PointLimit::Labels),
                2,
                &format!("{} {}", i % 50, "x".repeat(10_000)),
            );
        }
        let report = Report::of(&translation).unwrap();
        assert_eq!(report.rejected_points, 200);
        assert!(report.message.starts_with("0 xxx") && report.message.len() < 8192, "{}", report.message.len());
    }
}
