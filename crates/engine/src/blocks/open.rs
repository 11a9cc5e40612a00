//! From the folders of a data folder to the blocks being served.

use super::compact::{self, set_aside};
use super::damage::Damages;
use super::set::BlockSet;
use super::{Blocks, Deletions, Ids};
use crate::changes::MetricChanges;
use crate::metrics::Metrics;
use crate::source::{Manifest, Source};
use crate::{EngineError, EngineOptions};
use mytsdb_blocks::{Block, BlockError, Tombstone};
use mytsdb_io::Disk;
use mytsdb_model::TimeRange;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Files that were moved to `quarantine/`: where they are, and why.
pub(crate) type Quarantined = Vec<(PathBuf, String)>;

impl Blocks {
    /// Opens the blocks of a data folder, whose sub-folders are there, and brings to an end what a merge was at. Damaged files
    /// are moved to `quarantine/`. Merges leave `floor_bytes` free. What is served is in the manifest too, and what goes is told to the
    /// changes.
    ///
    /// # Errors
    /// [`EngineError::Io`] or [`EngineError::Block`] if the folder cannot be read or written.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        options: EngineOptions,
        floor_bytes: u64,
        (manifest, changes): (Arc<Manifest>, Arc<MetricChanges>),
        metrics: Metrics,
    ) -> Result<(Self, Quarantined), EngineError> {
        let dir = options.data_dir.clone();
        let (blocks, quarantined) = open_blocks(&disk, &dir)?;
        let damages = Arc::new(Damages::new(metrics.clone(), changes.clone()));
        manifest.exchange(|_| false, [damages.clone() as Arc<dyn Source>]);
        note_set_aside(disk.as_ref(), &dir.join("quarantine"), &damages)?;
        let deletions = Deletions::new(Tombstone::read_all(disk.as_ref(), &dir.join("tombstones"))?);
        metrics.tombstones.set(deletions.tombstones.len() as f64);
        // Ids are never reused: a deletion names blocks by their ids.
        let given = deletions.tombstones.iter().map(|tombstone| tombstone.blocks_below).max().unwrap_or(0);
        let next = next_block_id(disk.as_ref(), &dir)?.max(given);
        let blocks = Self {
            set: BlockSet::new(deletions.served(blocks, &damages)?, manifest),
            ids: Mutex::new(Ids { next, unfinished_from: None }),
            compacting: Mutex::default(),
            deletions: Mutex::new(deletions),
            retired: Mutex::default(),
            damages,
            changes,
            disk,
            options,
            floor_bytes,
            metrics,
        };
        blocks.report();
        Ok((blocks, quarantined))
    }
}

fn open_blocks(disk: &Arc<dyn Disk>, dir: &Path) -> Result<(Vec<Arc<Block>>, Quarantined), EngineError> {
    let blocks_dir = dir.join("blocks");
    let quarantine = dir.join("quarantine");
    mytsdb_blocks::sweep_unpublished(disk.as_ref(), &blocks_dir)?;
    let mut quarantined = compact::settle(disk.as_ref(), &blocks_dir, &quarantine)?;
    let mut blocks = Vec::new();
    for name in disk.list(&blocks_dir).map_err(|e| EngineError::io("list", &blocks_dir, e))? {
        if mytsdb_blocks::parse_block_file_name(&name).is_none() {
            continue;
        }
        let path = blocks_dir.join(&name);
        match Block::open(disk.as_ref(), &path) {
            Ok(block) => blocks.push(Arc::new(block)),
            Err(error @ BlockError::Corrupt { .. }) => {
                let to = set_aside(disk.as_ref(), &path, &quarantine)?;
                quarantined.push((to, error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok((blocks, quarantined))
}

/// Notes the blocks that are set aside, now or by an earlier start: their samples are missing until somebody takes them away.
fn note_set_aside(disk: &dyn Disk, quarantine: &Path, damages: &Damages) -> Result<(), EngineError> {
    if !disk.exists(quarantine).map_err(|e| EngineError::io("look for", quarantine, e))? {
        return Ok(());
    }
    for name in disk.list(quarantine).map_err(|e| EngineError::io("list", quarantine, e))? {
        if mytsdb_blocks::parse_block_file_name(&name).is_some() {
            note_one(disk, &quarantine.join(name), damages);
        }
    }
    Ok(())
}

/// Notes a block that is set aside, for the time that its footer tells, or for all times.
pub(super) fn note_one(disk: &dyn Disk, path: &Path, damages: &Damages) {
    let range = Block::claimed_range(disk, path).unwrap_or(TimeRange::ALL);
    damages.note(range, format!("block {} is damaged and was set aside", path.display()));
}

/// Past every block that is or was quarantined here, so that no id comes twice.
fn next_block_id(disk: &dyn Disk, dir: &Path) -> Result<u64, EngineError> {
    let mut next = 1;
    for sub in ["blocks", "quarantine"] {
        let path = dir.join(sub);
        if disk.exists(&path).map_err(|e| EngineError::io("look for", &path, e))? {
            let names = disk.list(&path).map_err(|e| EngineError::io("list", &path, e))?;
            next = names
                .iter()
                .filter_map(|n| mytsdb_blocks::parse_block_file_name(n))
                .map(|id| id + 1)
                .fold(next, u64::max);
        }
    }
    Ok(next)
}
