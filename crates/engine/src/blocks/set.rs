//! The blocks being served: an immutable list that is replaced whole, here and in the manifest.

use super::served::Served;
use crate::source::{Manifest, Source, SourceId};
use parking_lot::RwLock;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// Blocks in ascending order of id, which is the order in which they were written.
pub(crate) type BlockList = Arc<[Arc<Served>]>;

/// The list in force, and the newest time that any block covers.
pub(crate) struct BlockSet {
    list: RwLock<BlockList>,
    maxt_ms: AtomicI64,
    manifest: Arc<Manifest>,
}

impl BlockSet {
    pub(crate) fn new(blocks: Vec<Arc<Served>>, manifest: Arc<Manifest>) -> Self {
        let set = Self { list: RwLock::new(Arc::from([])), maxt_ms: AtomicI64::new(i64::MIN), manifest };
        set.exchange(|_| false, blocks);
        set
    }

    /// The list now. Blocks taken out later stay readable through it.
    pub(crate) fn list(&self) -> BlockList {
        self.list.read().clone()
    }

    /// The sources outside of the engine that are served.
    pub(crate) fn outside(&self) -> Vec<Arc<dyn Source>> {
        let sources = self.manifest.list();
        sources.iter().filter(|source| matches!(source.id(), SourceId::Outside(_))).cloned().collect()
    }

    /// No block has a sample after this time. Never too low for a sample that was in the head when it was read.
    pub(crate) fn maxt_ms(&self) -> i64 {
        // Acquire pairs with the Release in `replace`.
        self.maxt_ms.load(Ordering::Acquire)
    }

    /// Takes some blocks out and puts others in, in one step for whoever lists them.
    pub(crate) fn exchange(&self, gone: impl Fn(&Served) -> bool, new: Vec<Arc<Served>>) {
        self.exchange_all((gone, new), (&[], Vec::new()));
    }

    /// The same, and in the same step some sources outside of the engine go by number, and others come.
    pub(crate) fn exchange_all(
        &self,
        (gone, new): (impl Fn(&Served) -> bool, Vec<Arc<Served>>),
        (gone_outside, new_outside): (&[u64], Vec<Arc<dyn Source>>),
    ) {
        let mut list = self.list.write();
        // Both lists under the lock, so that they go through the same changes.
        let left: Vec<u64> = list.iter().filter(|b| gone(b)).map(|b| b.meta().id).collect();
        let leaves = |source| match source {
            SourceId::Block(id) => left.contains(&id),
            SourceId::Outside(number) => gone_outside.contains(&number),
            _ => false,
        };
        let new_sources = new.iter().map(|block| block.clone() as Arc<dyn Source>).chain(new_outside);
        self.manifest.exchange(leaves, new_sources);
        let mut blocks: Vec<_> = list.iter().filter(|b| !left.contains(&b.meta().id)).cloned().chain(new).collect();
        blocks.sort_by_key(|b| b.meta().id);
        let maxt = blocks.iter().map(|b| b.meta().range.maxt).max().unwrap_or(i64::MIN);
        *list = Arc::from(blocks);
        // Release pairs with the Acquire in `maxt_ms`. Stored under the lock, so that the last exchange wins.
        self.maxt_ms.store(maxt, Ordering::Release);
    }
}
