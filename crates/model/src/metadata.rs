//! What is known of a metric beside its samples: type, help and unit.

/// A metric's type, in Prometheus' words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FamilyKind {
    /// A count that never falls.
    Counter,
    /// A value of its own.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
    /// Quantiles, sum and count.
    Summary,
    /// Buckets of values that also fall.
    GaugeHistogram,
    /// Labels that describe; the value is 1.
    Info,
    /// Which of several states are on.
    StateSet,
    /// Something that has no word there (counts of delta temporality).
    Unknown,
}

impl FamilyKind {
    /// By their numbers.
    const ALL: [Self; 8] = [
        Self::Unknown,
        Self::Counter,
        Self::Gauge,
        Self::Histogram,
        Self::GaugeHistogram,
        Self::Summary,
        Self::Info,
        Self::StateSet,
    ];

    /// The lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Summary => "summary",
            Self::GaugeHistogram => "gaugehistogram",
            Self::Info => "info",
            Self::StateSet => "stateset",
            Self::Unknown => "unknown",
        }
    }

    /// What series of a family of this kind may have behind the family's name.
    fn suffixes(self) -> &'static [&'static str] {
        match self {
            Self::Histogram | Self::GaugeHistogram => &["_bucket", "_sum", "_count", "_gsum", "_gcount"],
            Self::Summary => &["_sum", "_count"],
            _ => &[],
        }
    }

    /// The family that a series of this kind belongs to: `x` for the series `x_bucket` of a classic histogram, else the metric itself.
    pub fn family_of(self, metric_name: &str) -> &str {
        self.suffixes().iter().find_map(|suffix| metric_name.strip_suffix(suffix)).unwrap_or(metric_name)
    }

    /// The kind of a word, of OpenMetrics or of the older text format (`untyped`).
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word).or((word == "untyped").then_some(Self::Unknown))
    }

    /// The number that Prometheus' messages and our files give it, 0 to 7.
    pub fn number(self) -> u8 {
        Self::ALL.iter().position(|kind| *kind == self).map_or(0, |at| at as u8)
    }

    /// The kind of a number; `None` past the last.
    pub fn from_number(number: u64) -> Option<Self> {
        Self::ALL.get(usize::try_from(number).ok()?).copied()
    }
}

/// What is known of a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyMetadata {
    /// Its type.
    pub kind: FamilyKind,
    /// The metric's description, or as much of it as is kept.
    pub help: String,
    /// The unit in words, empty if there is none.
    pub unit: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_a_family_have_its_name_with_something_behind() {
        for (name, kind, family) in [
            ("a_bucket", FamilyKind::Histogram, "a"),
            ("a_count", FamilyKind::Histogram, "a"),
            ("a", FamilyKind::Histogram, "a"),
            ("a_gsum", FamilyKind::GaugeHistogram, "a"),
            ("a_sum", FamilyKind::Summary, "a"),
            ("a_bucket", FamilyKind::Summary, "a_bucket"),
            ("a_sum", FamilyKind::Counter, "a_sum"),
        ] {
            assert_eq!(kind.family_of(name), family, "{name} {kind:?}");
        }
    }

    #[test]
    fn numbers_and_words_name_the_same_kinds() {
        for (number, kind) in (0..).zip(FamilyKind::ALL) {
            assert_eq!((FamilyKind::from_number(number), u64::from(kind.number())), (Some(kind), number));
            assert_eq!(FamilyKind::from_word(kind.as_str()), Some(kind));
        }
        assert_eq!(FamilyKind::from_number(8), None);
        assert_eq!(FamilyKind::from_word("untyped"), Some(FamilyKind::Unknown));
        assert_eq!(FamilyKind::from_word("Counter"), None);
    }
}
