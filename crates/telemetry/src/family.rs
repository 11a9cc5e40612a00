//! What a gathered metric looks like: a family of samples under one name, help, unit and kind.

use mytsdb_model::Labels;

/// How the values of a family behave, in the words of the text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows, or restarts at 0.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Cumulative buckets, a sum and a count.
    Histogram,
}

impl MetricKind {
    /// The lower-case word of the exposition format.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Name, help and unit of a family; a `const` beside the code that bumps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// The full name, unit and `_total` suffix included: `mytsdb_wal_sync_duration_seconds`.
    pub name: &'static str,
    /// One sentence.
    pub help: &'static str,
    /// The base unit (`seconds`, `bytes`), empty where there is none.
    pub unit: &'static str,
}

impl Description {
    /// A description without a unit.
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, unit: "" }
    }

    /// The same with a unit.
    #[must_use]
    pub const fn with_unit(mut self, unit: &'static str) -> Self {
        self.unit = unit;
        self
    }
}

/// One gathered value.
#[derive(Debug, Clone, PartialEq)]
pub struct FamilySample {
    /// All labels but the name; `le` included for buckets.
    pub labels: Labels,
    /// What follows the family's name: empty, `_bucket`, `_sum` or `_count`.
    pub suffix: &'static str,
    /// The value at the time of gathering.
    pub value: f64,
}

/// All values of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// The family's name, without a sample's suffix.
    pub name: String,
    /// One sentence.
    pub help: String,
    /// The base unit, empty where there is none.
    pub unit: String,
    /// How the values behave.
    pub kind: MetricKind,
    /// The values; those of one histogram are adjacent, buckets first and ascending.
    pub samples: Vec<FamilySample>,
}

impl Family {
    /// A family with a single sample without labels.
    pub fn single(description: &Description, kind: MetricKind, value: f64) -> Self {
        Self {
            name: description.name.to_owned(),
            help: description.help.to_owned(),
            unit: description.unit.to_owned(),
            kind,
            samples: vec![FamilySample { labels: Labels::empty(), suffix: "", value }],
        }
    }
}
