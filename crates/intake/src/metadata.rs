//! Type, help and unit of metric families, for whoever asks what a name means.

use hashbrown::HashMap;
use mytsdb_model::{FamilyKind, FamilyMetadata};
use std::fmt::Debug;
use std::sync::{PoisonError, RwLock};

/// Bytes of a description that are kept.
const HELP_BYTES_MAX: usize = 1 << 10;

/// Who keeps what is known of families.
pub trait MetadataKeeper: Debug + Send + Sync {
    /// Notes what was said of `family` last, as far as there is room.
    fn record(&self, family: &str, kind: FamilyKind, help: &str, unit: &str);

    /// What is known of `family`.
    fn get(&self, family: &str) -> Option<FamilyMetadata>;

    /// All families, in any order.
    fn all(&self) -> Vec<(String, FamilyMetadata)>;
}

/// Metadata by family name, as translations see it. The latest word on a family stays.
///
/// It is renewed when a point is seen for the first time or after the engine's epoch changed, not by every point.
#[derive(Debug)]
pub struct Metadata(Box<dyn MetadataKeeper>);

impl Metadata {
    /// An empty map in memory for at most `families_max` families: when it is full, new ones are not recorded.
    pub fn new(families_max: usize) -> Self {
        Self::by(Box::new(InMemory { families: RwLock::default(), families_max }))
    }

    /// Metadata that somebody else keeps.
    pub fn by(keeper: Box<dyn MetadataKeeper>) -> Self {
        Self(keeper)
    }

    /// What is known of `family`.
    pub fn get(&self, family: &str) -> Option<FamilyMetadata> {
        self.0.get(family)
    }

    /// All families in ascending order of their names. Linear in their number, and copies all.
    pub fn all(&self) -> Vec<(String, FamilyMetadata)> {
        let mut all = self.0.all();
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        all
    }

    /// Notes what was said of `family`; the start of a long help.
    pub fn record(&self, family: &str, kind: FamilyKind, help: &str, unit: &str) {
        self.0.record(family, kind, help, unit);
    }
}

#[derive(Debug)]
struct InMemory {
    families: RwLock<HashMap<String, FamilyMetadata>>,
    families_max: usize,
}

impl MetadataKeeper for InMemory {
    fn get(&self, family: &str) -> Option<FamilyMetadata> {
        self.families.read().unwrap_or_else(PoisonError::into_inner).get(family).cloned()
    }

    fn all(&self) -> Vec<(String, FamilyMetadata)> {
        let families = self.families.read().unwrap_or_else(PoisonError::into_inner);
        families.iter().map(|(name, metadata)| (name.clone(), metadata.clone())).collect()
    }

    fn record(&self, family: &str, kind: FamilyKind, help: &str, unit: &str) {
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
