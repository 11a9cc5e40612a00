//! A tier that is only read: that of a node which is gone, or that another process writes. No data folder, nothing is written.

use crate::cold::{Cold, Job};
use crate::error::Result;
use crate::options::ColdOptions;
use crate::remote::{NoAnswer, Remote};
use crate::state::{State, StateFile};
use mytsdb_engine::{Clock, Engine};
use mytsdb_io::SimDisk;
use mytsdb_parquet_tier::{Deletion, FileId, Store, Tier};
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

/// Where all nodes are.
const TENANT: &str = "v1/tenant=default";

/// After so long without a look, in ms, the store is asked for the names of its manifests. A writer keeps them for an hour.
const LIST_AFTER_MS: u64 = 20 * 60_000;

/// What a reader knows beside what it serves.
#[derive(Debug, Default)]
pub(crate) struct Following {
    /// Files whose metrics the engine has heard of.
    described: HashSet<FileId>,
    /// What the days that are served are without.
    pub(crate) deletions: Vec<Deletion>,
    /// When the store was last asked for a newer manifest, by the clock.
    looked_ms: Option<u64>,
}

/// Where the files of a node are below a store's prefix.
pub fn node_prefix(node: &str) -> String {
    format!("{TENANT}/node={node}")
}

/// Names of the nodes that have files in a store, ascending. One request for each thousand.
///
/// # Errors
/// Those of the store; [`ColdError::Threads`](crate::ColdError::Threads).
pub fn nodes(store: &Store, stop: StopSign<'_>) -> Result<Vec<String>> {
    let remote = Remote::new(store.below(TENANT)?)?;
    let store = remote.store().clone();
    let folders = remote.ask(stop, async move { store.folders("").await }).map_err(NoAnswer::into_cold)?;
    Ok(folders.iter().filter_map(|folder| folder.strip_prefix("node=")).map(str::to_owned).collect())
}

impl Cold {
    /// Serves what a node has in a store, to an engine that has nothing of its own and takes nothing. Waits for the store as
    /// [`open`](Self::open) does; [`step`](Self::step) looks for what was written since.
    ///
    /// What the node deleted is in the next manifest that it writes, within a minute if it runs; until then it is read here.
    ///
    /// # Errors
    /// [`ColdError::NoNode`](crate::ColdError::NoNode) if the store answers, and has no manifest of that node; [`ColdError::Foreign`](crate::ColdError::Foreign) if days have no
    /// numbers, as files that something else wrote; [`ColdError::Threads`](crate::ColdError::Threads).
    pub fn reader(
        engine: Arc<Engine>,
        clock: Arc<dyn Clock>,
        store: &Store,
        node: &str,
        options: ColdOptions,
        registry: &Registry,
    ) -> Result<Self> {
        let (state, file) = (State { node: node.to_owned(), ..State::default() }, StateFile::new(Path::new("/")));
        Self::begin((engine, Arc::new(SimDisk::new()), clock), store, (state, file), options, registry, true)
    }

    /// Serves what was written since the last look, and tells the engine types and units of metrics.
    pub(crate) fn follow(&self, job: &mut Job, tier: &Arc<Tier>, stop: StopSign<'_>) -> Result<()> {
        let now_ms = self.now_ms();
        let manifest = if job.following.looked_ms.is_some_and(|before| now_ms.saturating_sub(before) > LIST_AFTER_MS) {
            // The manifests between may be gone, and then none follows the one that is known.
            let (store, seq_min) = (self.remote.store().clone(), job.state.seq);
            let opened = self.remote.ask(stop, async move { Tier::open(store, seq_min).await });
            let tier = Arc::new(opened.map_err(NoAnswer::into_cold)?);
            let manifest = tier.manifest();
            job.tier = Some(tier);
            manifest
        } else {
            let tier = tier.clone();
            self.remote.ask(stop, async move { tier.refresh().await }).map_err(NoAnswer::into_cold)?
        };
        if manifest.seq != job.state.seq {
            self.settle(job, &manifest)?;
        }
        job.following.looked_ms = Some(now_ms);
        let live: HashSet<FileId> = manifest.days.iter().map(|day| day.id).collect();
        job.following.described.retain(|id| live.contains(id));
        // The oldest first: what was said last of a metric counts.
        for day in &manifest.days {
            let Some(files) = job.served.get(&day.id).filter(|_| !job.following.described.contains(&day.id)) else {
                continue;
            };
            let kinds = files.read(stop, |reader| async move { reader.kinds().await })?;
            for (metric, (kind, unit)) in kinds {
                self.engine.describe(&metric, kind, "", &unit);
            }
            job.following.described.insert(day.id);
        }
        Ok(())
    }
}
