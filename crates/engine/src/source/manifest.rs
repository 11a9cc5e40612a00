//! The manifest: the fixed sources being served, an immutable list that is replaced whole.

use super::{Source, SourceId};
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Sources in ascending order of their ids.
type SourceList = Arc<[Arc<dyn Source>]>;

/// The list in force.
pub(crate) struct Manifest {
    list: RwLock<SourceList>,
    are_plain: AtomicBool,
}

impl Manifest {
    pub(crate) fn new() -> Self {
        Self { list: RwLock::new(Arc::from([])), are_plain: AtomicBool::new(true) }
    }

    /// The list now. Sources taken out later stay readable through it. Cost: two atomic operations.
    pub(crate) fn list(&self) -> SourceList {
        self.list.read().clone()
    }

    /// Whether every sample of every source is a float without a start time.
    pub(crate) fn are_plain(&self) -> bool {
        self.are_plain.load(Ordering::Acquire) // pairs with the Release in `exchange`
    }

    /// Takes some sources out and puts others in, in one step for whoever takes the list.
    pub(crate) fn exchange(&self, gone: impl Fn(SourceId) -> bool, new: impl IntoIterator<Item = Arc<dyn Source>>) {
        let mut list = self.list.write();
        let mut sources: Vec<_> = list.iter().filter(|source| !gone(source.id())).cloned().chain(new).collect();
        sources.sort_by_key(|source| source.id());
        // Set before the list: nobody may read a source before its kinds are known.
        self.are_plain.store(sources.iter().all(|source| source.is_plain()), Ordering::Release);
        *list = Arc::from(sources);
    }
}
