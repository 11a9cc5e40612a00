//! The cold tier as the commands see it: the newest manifest, and its files.

use super::{Places, has_tier};
use crate::cold;
use anyhow::{Context, Result};
use mytsdb_cold::{Whereabouts, node_prefix, whereabouts};
use mytsdb_io::RealDisk;
use mytsdb_model::{Matcher, TimeRange};
use mytsdb_parquet_tier::{DayReader, FileKind, LiveDay, Manifest, Series, Tier, TierError};
use std::future::Future;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// A node's tier, open for reading.
pub(super) struct ColdTier {
    runtime: Runtime,
    tier: Tier,
    pub(super) node: String,
}

/// What a data folder knows of its tier.
fn known(places: &Places) -> Result<Option<Whereabouts>> {
    if places.local { Ok(whereabouts(&RealDisk, &places.config.data_dir)?) } else { Ok(None) }
}

impl ColdTier {
    /// The tier of the data folder, or of the node that the settings name; `None` if there is none, or nothing was ever put there.
    pub(super) fn open(places: &Places) -> Result<Option<Self>> {
        if !has_tier(&places.config) {
            return Ok(None);
        }
        let known = known(places)?;
        // Looking makes no folder.
        let mut config = places.config.clone();
        config.read_only = true;
        let store = match cold::store(&config) {
            Err(_) if known.as_ref().is_some_and(|known| known.seq == 0) => return Ok(None),
            store => store?,
        };
        let (node, seq) = match known {
            Some(known) => (known.node, known.seq),
            None if places.local => return Ok(None),
            None => (cold::node(&config, &store)?, 1),
        };
        let store = Arc::new(store.below(&node_prefix(&node))?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start threads")?;
        let tier = runtime
            .block_on(Tier::open(store, seq))
            .with_context(|| format!("--cold-url {}: node {node}", places.config.cold_url))?;
        Ok(Some(Self { runtime, tier, node }))
    }

    pub(super) fn manifest(&self) -> Arc<Manifest> {
        self.tier.manifest()
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Compares a file with what the manifest says of it; gives its length.
    pub(super) fn verify(&self, day: &LiveDay, kind: FileKind) -> Result<u64, TierError> {
        self.wait(self.tier.verify_file(day, kind))
    }

    /// The series of a day that satisfy a selector and have samples in a range, with how many samples each has there, if the day is not
    /// cut by the range.
    pub(super) fn select(
        &self,
        day: &LiveDay,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Vec<Series>, TierError> {
        self.wait(async {
            let reader = DayReader::open(self.tier.store().clone(), day).await?;
            reader.select(matchers, range).await
        })
    }

    /// Files that the manifest does not name.
    pub(super) fn unnamed(&self) -> Result<Vec<String>, TierError> {
        self.wait(self.tier.unnamed())
    }
}
