//! What is known of metrics: type, unit and help, durable as the samples are.
//!
//! Invariant F: what [`Engine::describe`](crate::Engine::describe) was told before a batch was submitted is in the log when that batch is done.
//! It is noted as not logged under the same lock as it is stored; a commit takes the batches first and then what is noted,
//! and notes it again if the log does not take it. Who finds that all is known already is behind whoever noted it.

use crate::EngineError;
use hashbrown::{HashMap, HashSet};
use mytsdb_model::{FamilyKind, FamilyMetadata};
use mytsdb_wal::{CheckpointWriter, Wal};
use parking_lot::RwLock;
use std::sync::Arc;

/// Longest name of a metric, and longest unit, in bytes; metadata with longer ones is not kept.
const TEXT_BYTES_MAX: usize = 1 << 10;

/// What became of metadata that was handed to [`Engine::describe`](crate::Engine::describe).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Described {
    /// It is stored, and durable with the next batch.
    Noted,
    /// Nothing else was known before.
    Known,
    /// There is no room for another metric, or it has no name or an overlong one.
    Refused,
}

/// Metadata by the name of its metric.
#[derive(Debug)]
pub(crate) struct Families {
    state: RwLock<State>,
    pub(crate) count_max: usize,
    help_bytes_max: usize,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<Arc<str>, FamilyMetadata>,
    /// What the log does not have in its present form.
    unlogged: HashSet<Arc<str>>,
}

impl Families {
    pub(crate) fn new(count_max: usize, help_bytes_max: usize) -> Self {
        Self { state: RwLock::default(), count_max, help_bytes_max }
    }

    pub(crate) fn get(&self, family: &str) -> Option<FamilyMetadata> {
        self.state.read().known.get(family).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.state.read().known.len()
    }

    pub(crate) fn describe(&self, family: &str, kind: FamilyKind, help: &str, unit: &str) -> Described {
        if family.is_empty() || family.len() > TEXT_BYTES_MAX || unit.len() > TEXT_BYTES_MAX {
            return Described::Refused;
        }
        let help = &help[..help.floor_char_boundary(self.help_bytes_max)];
        let same = |known: &FamilyMetadata| known.kind == kind && known.help == help && known.unit == unit;
        let judge = |state: &State| match state.known.get(family) {
            Some(known) if same(known) => Described::Known,
            None if state.known.len() >= self.count_max => Described::Refused,
            _ => Described::Noted,
        };
        let judged = judge(&self.state.read());
        if judged != Described::Noted {
            return judged;
        }
        let mut state = self.state.write();
        let judged = judge(&state);
        if judged == Described::Noted {
            let name =
                state.known.get_key_value(family).map_or_else(|| Arc::from(family), |(name, _)| Arc::clone(name));
            let metadata = FamilyMetadata { kind, help: help.to_owned(), unit: unit.to_owned() };
            state.unlogged.insert(Arc::clone(&name));
            state.known.insert(name, metadata);
        }
        judged
    }

    /// Takes over what the log says.
    pub(crate) fn restore(&self, family: &str, metadata: FamilyMetadata) {
        let mut state = self.state.write();
        if state.known.contains_key(family) || state.known.len() < self.count_max {
            state.known.insert(Arc::from(family), metadata);
        }
    }

    /// Adds what the log does not have to the pending group; the names are for [`note`](Self::note) if the group fails.
    pub(crate) fn log(&self, wal: &mut Wal) -> Vec<Arc<str>> {
        if self.state.read().unlogged.is_empty() {
            return Vec::new();
        }
        let mut state = self.state.write();
        let names: Vec<_> = state.unlogged.drain().collect();
        for name in &names {
            if let Some(metadata) = state.known.get(name) {
                wal.log_metadata(name, metadata);
            }
        }
        names
    }

    /// Notes that the log does not have these.
    pub(crate) fn note(&self, names: Vec<Arc<str>>) {
        if !names.is_empty() {
            self.state.write().unlogged.extend(names);
        }
    }

    pub(crate) fn checkpoint(&self, writer: &mut CheckpointWriter) -> Result<(), EngineError> {
        for (name, metadata) in self.all() {
            writer.log_metadata(&name, &metadata)?;
        }
        Ok(())
    }

    pub(crate) fn all(&self) -> Vec<(Arc<str>, FamilyMetadata)> {
        let state = self.state.read();
        state.known.iter().map(|(name, metadata)| (Arc::clone(name), metadata.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_and_bounds_hold() {
        let families = Families::new(2, 5);
        let describe = |name: &str, help: &str| families.describe(name, FamilyKind::Gauge, help, "bytes");
        assert_eq!(describe("a", "ééé"), Described::Noted);
        assert_eq!(describe("a", "ééü"), Described::Known, "as much of it as is kept is the same");
        assert_eq!(describe("a", "other"), Described::Noted);
        assert_eq!(describe("b", ""), Described::Noted);
        assert_eq!(describe("c", ""), Described::Refused);
        assert_eq!(describe("", ""), Described::Refused);
        assert_eq!(describe(&"x".repeat(TEXT_BYTES_MAX + 1), ""), Described::Refused);
        let known = families.all();
        assert_eq!(known.iter().find(|(name, _)| &**name == "a").unwrap().1.help, "other");
        assert_eq!(known.len(), 2);
    }
}
