//! Results that are kept for more nodes than the one that was evaluated.

use crate::annotations::Annotations;
use crate::kernels::cells::Row;
use crate::kernels::grid::Grid;
use crate::kernels::scalar::Scalar;
use mytsdb_promql_syntax::PosRange;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A result that is kept for more nodes.
#[derive(Clone)]
pub(super) enum Outcome {
    Rows(Arc<Vec<Row>>),
    Scalar(Scalar),
}

pub(super) struct Entry {
    pub outcome: Outcome,
    pub remarks: Annotations,
    /// Places of the nodes that the result was made by.
    pub places: Vec<PosRange>,
    /// Nodes that have not asked for it yet.
    pub left: u32,
}

/// What a node finds: the result, the remarks that it came with, and where these stand.
pub(super) type Found = (Outcome, Annotations, Vec<PosRange>);

/// Results by group of subtrees and grid.
#[derive(Default)]
pub(super) struct Kept(Mutex<HashMap<(u32, Grid), Entry>>);

impl Kept {
    /// The result for `key`; whoever is the last one to ask takes it away.
    pub fn take(&self, key: (u32, Grid)) -> Option<Found> {
        let mut all = self.lock();
        let entry = all.get_mut(&key)?;
        entry.left = entry.left.saturating_sub(1);
        let places = if entry.remarks.is_empty() { Vec::new() } else { entry.places.clone() };
        let found = (entry.outcome.clone(), entry.remarks.clone(), places);
        if entry.left == 0 {
            all.remove(&key);
        }
        Some(found)
    }

    pub fn put(&self, key: (u32, Grid), entry: Entry) {
        self.lock().insert(key, entry);
    }

    /// What there is.
    pub fn keys(&self) -> HashSet<(u32, Grid)> {
        self.lock().keys().copied().collect()
    }

    /// Forgets all results but those.
    pub fn only(&self, keys: &HashSet<(u32, Grid)>) {
        self.lock().retain(|key, _| keys.contains(key));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(u32, Grid), Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
