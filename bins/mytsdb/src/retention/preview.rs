//! What a rule would free: read from files as they are, beside a server that may be at work.

use super::Rule;
use anyhow::Result;
use mytsdb_blocks::{Block, BlockError, Tombstone, keep};
use mytsdb_columns::Columns;
use mytsdb_io::{Disk, RealDisk};
use mytsdb_model::{Labels, SeriesRef, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_wal::{LogFile, Record, Rows};
use serde::Serialize;
use std::cell::Cell;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;

/// Series, samples and bytes of a tier that a rule would free.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Freed {
    pub(crate) series: u64,
    pub(crate) samples: u64,
    /// About.
    pub(crate) bytes: u64,
}

/// A rule, when it counts, and what there is to look at.
pub(crate) struct Preview<'a> {
    pub(crate) rule: &'a Rule,
    /// Times that the rule removes.
    pub(crate) range: TimeRange,
    /// Deletions in force.
    pub(crate) tombstones: &'a [Tombstone],
}

/// The deletions of a data folder.
pub(crate) fn tombstones(data_dir: &Path) -> Result<Vec<Tombstone>> {
    match Tombstone::read_all(&RealDisk, &data_dir.join("tombstones")) {
        Err(BlockError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        tombstones => Ok(tombstones?),
    }
}

impl Preview<'_> {
    fn matches(&self, labels: &Labels) -> bool {
        self.rule.selector.iter().all(|matcher| matcher.matches_labels(labels))
    }

    /// Adds what a block has.
    pub(crate) fn add_block(&self, block: &Block, freed: &mut Freed) -> Result<()> {
        let meta = block.meta();
        if !meta.range.overlaps(self.range) {
            return Ok(());
        }
        let (mut chunks, mut columns, mut left) = (Vec::new(), Columns::default(), Columns::default());
        for ordinal in block.select(&self.rule.selector, StopSign::NEVER)? {
            chunks.clear();
            block.chunks_into(ordinal, self.range, &mut chunks)?;
            if chunks.is_empty() {
                continue;
            }
            let labels = block.labels(ordinal)?;
            let about = self.tombstones.iter().filter(|t| meta.id < t.blocks_below && t.matches(&labels));
            let hidden: Vec<TimeRange> = about.map(|tombstone| tombstone.range).collect();
            let mut of_series = 0;
            for chunk in &chunks {
                let whole = self.range.encloses(chunk.range) && !hidden.iter().any(|range| range.overlaps(chunk.range));
                let count = if whole {
                    u64::from(chunk.sample_count)
                } else {
                    columns.clear();
                    left.clear();
                    block.read_samples(chunk, &mut columns)?;
                    keep(&columns, self.range, &mut hidden.clone(), &mut left);
                    left.len() as u64
                };
                of_series += count;
                freed.bytes += u64::from(chunk.bytes) * count / u64::from(chunk.sample_count.max(1));
            }
            freed.samples += of_series;
            freed.series += u64::from(of_series > 0);
        }
        Ok(())
    }

    /// What the log has, of which some may be in blocks too. `bytes` is the size of the log.
    pub(crate) fn of_log(&self, dir: &Path, bytes: u64) -> Result<Freed> {
        if !RealDisk.exists(dir)? {
            return Ok(Freed::default());
        }
        // Series that the rule is about, how many samples each has, and what is deleted of it.
        let mut found: HashMap<SeriesRef, (u64, Vec<usize>)> = HashMap::new();
        let (file, mut all) = (Cell::new(None), 0u64);
        let mut take = |found: &mut HashMap<SeriesRef, (u64, Vec<usize>)>, series: &SeriesRef, time: i64| {
            all += 1;
            if let Some((count, about)) = found.get_mut(series)
                && self.range.contains(time)
                && !about
                    .iter()
                    .any(|at| self.tombstones[*at].range.contains(time) && is_older(file.get(), &self.tombstones[*at]))
            {
                *count += 1;
            }
        };
        mytsdb_wal::replay_files(&RealDisk, dir, &mut |begun| file.set(Some(begun)), &mut |record| match record {
            Record::Series { series, labels } if self.matches(&labels) => {
                let about = self.tombstones.iter().enumerate().filter(|(_, tombstone)| tombstone.matches(&labels));
                let about = about.map(|(at, _)| at).collect();
                found.entry(series).or_insert((0, about));
            }
            Record::Samples { refs, timestamps_ms, .. } | Record::Rows(Rows { refs, timestamps_ms, .. }) => {
                refs.iter().zip(timestamps_ms).for_each(|(series, time)| take(&mut found, series, *time));
            }
            _ => {}
        })?;
        let samples: u64 = found.values().map(|(count, _)| count).sum();
        let series = found.values().filter(|(count, _)| *count > 0).count() as u64;
        Ok(Freed { series, samples, bytes: (bytes as f64 * samples as f64 / all.max(1) as f64) as u64 })
    }

    /// Whether samples of a series in files of the cold tier are hidden already.
    pub(crate) fn is_hidden(&self, labels: &Labels, number: u64, range: TimeRange) -> bool {
        let hides = |t: &Tombstone| number < t.blocks_below && t.range.encloses(range) && t.matches(labels);
        self.tombstones.iter().any(hides)
    }
}

/// Whether a tombstone is younger than a file of the log.
fn is_older(file: Option<LogFile>, tombstone: &Tombstone) -> bool {
    match file {
        Some(LogFile::Checkpoint(id)) => id.0 <= tombstone.segments_below,
        Some(LogFile::Segment(id)) => id.0 < tombstone.segments_below,
        None => false,
    }
}
