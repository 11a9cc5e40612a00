//! Type, help and unit of metric families, for whoever asks what a name means.

use hashbrown::HashMap;
use std::sync::{PoisonError, RwLock};

/// A family's type, in Prometheus' words.
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
}

/// What is known of a family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyMetadata {
    /// Its type.
    pub kind: FamilyKind,
    /// The metric's description, at most 1 KiB of it.
    pub help: String,
    /// The unit in words, empty if there is none.
    pub unit: String,
}

/// Bytes of a description that are kept.
const HELP_BYTES_MAX: usize = 1 << 10;

/// Metadata by family name. Bounded: when it is full, new families are not recorded. The latest word on a family stays.
///
/// It is renewed when a point is seen for the first time or after the engine's epoch changed, not by every point.
#[derive(Debug)]
pub struct Metadata {
    families: RwLock<HashMap<String, FamilyMetadata>>,
    families_max: usize,
}

impl Metadata {
    /// An empty map for at most `families_max` families.
    pub fn new(families_max: usize) -> Self {
        Self { families: RwLock::default(), families_max }
    }

    /// What is known of `family`.
    pub fn get(&self, family: &str) -> Option<FamilyMetadata> {
        self.families.read().unwrap_or_else(PoisonError::into_inner).get(family).cloned()
    }

    /// All families in ascending order of their names. Linear in their number, and copies all.
    pub fn all(&self) -> Vec<(String, FamilyMetadata)> {
        let families = self.families.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> = families.iter().map(|(name, metadata)| (name.clone(), metadata.clone())).collect();
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// The number of families.
    pub fn len(&self) -> usize {
        self.families.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Notes what was said of `family`; of a long help the first KiB.
    pub fn record(&self, family: &str, kind: FamilyKind, help: &str, unit: &str) {
        let help = &help[..help.floor_char_boundary(HELP_BYTES_MAX)];
        let same = |known: &FamilyMetadata| known.kind == kind && known.help == help && known.unit == unit;
        let families = self.families.read().unwrap_or_else(PoisonError::into_inner);
        match families.get(family) {
            Some(known) if same(known) => return,
            None if families.len() >= self.families_max => return,
            _ => {}
        }
        drop(families);
        // Every change is one insertion, so a panicking writer leaves nothing half done.
        let mut families = self.families.write().unwrap_or_else(PoisonError::into_inner);
        if families.len() < self.families_max || families.contains_key(family) {
            let metadata = FamilyMetadata { kind, help: help.to_owned(), unit: unit.to_owned() };
            families.insert(family.to_owned(), metadata);
        }
    }
}
