//! From a data folder to a running engine.

use crate::block_set::BlockSet;
use crate::chunk::Sealer;
use crate::commit::Committer;
use crate::compact::{self, set_aside};
use crate::deletions::Deletions;
use crate::floor::Floor;
use crate::flush::FlushState;
use crate::head::Catalog;
use crate::metrics::Metrics;
use crate::select::SelectionCache;
use crate::value::{self, Encoded, Row, RowValue};
use crate::{Clock, Engine, EngineError, EngineOptions};
use mytsdb_blocks::{Block, BlockError, Tombstone};
use mytsdb_io::Disk;
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_sync::Lane;
use mytsdb_telemetry::Registry;
use mytsdb_wal::{LogFile, Record, ReplayReport, Rows, SegmentId, Wal, WalOptions};
use parking_lot::{Mutex, RwLock};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};

/// What opening a data folder found.
#[derive(Debug, Default)]
pub struct Recovery {
    /// What the log held, and what of it could not be read.
    pub wal: Option<ReplayReport>,
    /// Samples of the log that are in the head now.
    pub replayed_samples: u64,
    /// Samples of the log whose series the log does not define: always 0, unless a part of the log is damaged.
    pub unknown_samples: u64,
    /// Blocks being served.
    pub block_count: usize,
    /// Blocks, and records of compactions, that are damaged: where they were moved to, and why.
    pub quarantined: Vec<(PathBuf, String)>,
}

impl Engine {
    /// Opens a data folder, creating it if it is not there: takes the lock, opens the blocks, replays the log.
    ///
    /// A damaged block is moved to `quarantine/` and reported; damage in the log is skipped and reported. Memory
    /// and time follow the log, which the hand-over to blocks bounds, not the blocks.
    ///
    /// # Errors
    /// [`EngineError::Locked`] if another process has the folder; [`EngineError::Io`], [`EngineError::Wal`] or
    /// [`EngineError::Block`] if it cannot be read or written.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        options: EngineOptions,
        registry: &Registry,
    ) -> Result<(Engine, Recovery), EngineError> {
        let dir = options.data_dir.clone();
        for sub in [dir.clone(), dir.join("wal"), dir.join("blocks"), dir.join("tombstones")] {
            disk.create_dir_all(&sub).map_err(|e| EngineError::io("create folder", &sub, e))?;
        }
        disk.sync_dir(&dir).map_err(|e| EngineError::io("sync folder", &dir, e))?;
        let lock_path = dir.join("LOCK");
        let lock = disk.lock(&lock_path).map_err(|e| match e.kind() {
            std::io::ErrorKind::WouldBlock => EngineError::Locked { path: dir.clone(), holder: e.to_string() },
            _ => EngineError::io("lock", &lock_path, e),
        })?;
        let metrics = Metrics::new(registry);
        let floor = Floor::new(disk.as_ref(), &dir, options.disk_floor_bytes)?;
        metrics.disk_floor_bytes.set(floor.bytes() as f64);
        let mut recovery = Recovery::default();
        let blocks = open_blocks(&disk, &dir, &mut recovery)?;
        recovery.block_count = blocks.len();
        metrics.corrupt_blocks.add(recovery.quarantined.len() as u64);
        let deletions = Deletions::new(Tombstone::read_all(disk.as_ref(), &dir.join("tombstones"))?);
        metrics.tombstones.set(deletions.tombstones.len() as f64);
        // A block of an id that has been given before would be taken for one that a deletion is about.
        let given = deletions.tombstones.iter().map(|tombstone| tombstone.blocks_below).max().unwrap_or(0);
        let next_block_id = next_block_id(disk.as_ref(), &dir)?.max(given);
        let blocks = Self::served(&deletions, blocks)?;
        let newest_block_ms = blocks.iter().map(|b| b.meta().range.maxt).max().unwrap_or(i64::MIN);

        let mut catalog = Catalog::new();
        let replayed = replay(disk.as_ref(), &dir, &options, &mut catalog, &deletions.tombstones, &mut recovery)?;
        let (report, newest_head_ms) = (replayed.report, replayed.newest_ms);
        metrics.corrupt_wal.add(report.damage_count);
        metrics.series.set(catalog.len() as f64);
        let wal_options = WalOptions {
            segment_bytes_max: options.segment_bytes_max,
            durability: options.durability,
            ..WalOptions::default()
        };
        let wal = Wal::open(disk.clone(), &dir.join("wal"), wal_options, &report)?;
        metrics.wal_bytes.set(wal.bytes() as f64);
        let log_from = report.checkpoint.map_or(0, |checkpoint| checkpoint.0);
        recovery.wal = Some(report);

        let engine = Engine {
            disk,
            clock,
            metrics,
            catalog: RwLock::new(catalog),
            blocks: BlockSet::new(blocks),
            selections: SelectionCache::new(options.selection_cache_bytes),
            new_series: Lane::new(),
            batches: Lane::new(),
            staged_samples: AtomicUsize::new(0),
            wal_bytes: AtomicU64::new(wal.bytes()),
            poisoned: OnceLock::new(),
            committer: Mutex::new(Committer::new(wal)),
            flushing: Mutex::new(FlushState::new(next_block_id, log_from)),
            compacting: Mutex::default(),
            retired: Mutex::default(),
            deletions: Mutex::new(deletions),
            deletion_count: AtomicU64::new(0),
            head_is_plain: AtomicBool::new(replayed.is_plain),
            floor,
            epoch: AtomicU64::new(1),
            drops: AtomicU64::new(0),
            newest_ms: AtomicI64::new(newest_block_ms.max(newest_head_ms)),
            flushed_until_ms: AtomicI64::new(i64::MIN),
            late_samples: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            committer_thread: Mutex::new(None),
            _lock: lock,
            options,
        };
        engine.report_blocks();
        Ok((engine, recovery))
    }

    pub(crate) fn blocks_dir(&self) -> PathBuf {
        self.options.data_dir.join("blocks")
    }
}

fn open_blocks(disk: &Arc<dyn Disk>, dir: &Path, recovery: &mut Recovery) -> Result<Vec<Arc<Block>>, EngineError> {
    let blocks_dir = dir.join("blocks");
    let quarantine = dir.join("quarantine");
    mytsdb_blocks::sweep_unpublished(disk.as_ref(), &blocks_dir)?;
    recovery.quarantined = compact::settle(disk.as_ref(), &blocks_dir, &quarantine)?;
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
                recovery.quarantined.push((to, error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(blocks)
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

/// What deletions hide of the log.
struct Deleted<'a> {
    tombstones: &'a [Tombstone],
    file: Cell<LogFile>,
    /// The tombstones that are about a series, of those that there are any of.
    of_series: RefCell<HashMap<SeriesRef, Vec<u32>>>,
}

impl<'a> Deleted<'a> {
    fn new(tombstones: &'a [Tombstone]) -> Self {
        Self { tombstones, file: Cell::new(LogFile::Segment(SegmentId(0))), of_series: RefCell::default() }
    }

    fn begin(&self, file: LogFile) {
        self.file.set(file);
    }

    fn define(&self, series: SeriesRef, labels: &Labels) {
        let about = (0..).zip(self.tombstones).filter(|(_, tombstone)| tombstone.matches(labels));
        let about: Vec<u32> = about.map(|(at, _)| at).collect();
        if !about.is_empty() {
            self.of_series.borrow_mut().insert(series, about);
        }
    }

    fn hides(&self, series: SeriesRef, timestamp_ms: i64) -> bool {
        if self.tombstones.is_empty() {
            return false;
        }
        let of_series = self.of_series.borrow();
        let Some(about) = of_series.get(&series) else { return false };
        about.iter().map(|&at| &self.tombstones[at as usize]).any(|tombstone| {
            let is_older = match self.file.get() {
                LogFile::Checkpoint(id) => id.0 <= tombstone.segments_below,
                LogFile::Segment(id) => id.0 < tombstone.segments_below,
            };
            is_older && tombstone.range.contains(timestamp_ms)
        })
    }
}

/// What came from the log beside the series.
struct Replayed {
    report: ReplayReport,
    newest_ms: i64,
    /// All samples are floats without start times.
    is_plain: bool,
}

fn replay(
    disk: &dyn Disk,
    dir: &Path,
    options: &EngineOptions,
    catalog: &mut Catalog,
    tombstones: &[Tombstone],
    recovery: &mut Recovery,
) -> Result<Replayed, EngineError> {
    let mut newest_ms = i64::MIN;
    let mut broken = None;
    let mut sealer = Sealer::default();
    let (mut is_plain, mut unreadable) = (true, None);
    let deleted = Deleted::new(tombstones);
    let mut apply = |catalog: &Catalog, series: SeriesRef, row: Row<'_>| {
        if deleted.hides(series, row.timestamp_ms) {
            return;
        }
        let Some(mem) = catalog.get(series) else {
            recovery.unknown_samples += 1;
            return;
        };
        // The blocks are not asked: what they have already, a read merges, and the oldest source wins.
        match mem.append(row, options.block_ms, &mut sealer, || None) {
            Ok(_) => {
                recovery.replayed_samples += 1;
                newest_ms = newest_ms.max(row.timestamp_ms);
            }
            Err(source) => broken = Some(EngineError::Chunk { series: mem.labels.to_string(), source }),
        }
    };
    let report =
        mytsdb_wal::replay_files(
            disk,
            &dir.join("wal"),
            &mut |file| deleted.begin(file),
            &mut |record| match record {
                Record::Series { series, labels } => {
                    deleted.define(series, &labels);
                    catalog.restore(series, labels, 1);
                }
                Record::Samples { refs, timestamps_ms, values } => {
                    for ((&series, &timestamp_ms), &value) in refs.iter().zip(timestamps_ms).zip(values) {
                        apply(catalog, series, Row { timestamp_ms, start_ms: 0, value: RowValue::Float(value) });
                    }
                }
                Record::Rows(Rows { refs, timestamps_ms, starts_ms, values, histograms }) => {
                    is_plain = false;
                    let mut histograms = histograms.iter().peekable();
                    for (at, (&series, &timestamp_ms)) in refs.iter().zip(timestamps_ms).enumerate() {
                        let bytes =
                            histograms.next_if(|(row, _)| *row as usize == at).map(|(_, bytes)| Encoded::from(*bytes));
                        let value = bytes.as_ref().map_or(RowValue::Float(values[at]), RowValue::Histogram);
                        let start_ms = starts_ms.get(at).copied().unwrap_or(0);
                        // The log has looked at no more than its checksum.
                        match bytes.as_ref().map(|bytes| value::decode(bytes)) {
                            Some(Err(source)) => unreadable = Some((series, source)),
                            _ => apply(catalog, series, Row { timestamp_ms, start_ms, value }),
                        }
                    }
                }
            },
        )?;
    if let Some((series, source)) = unreadable {
        let labels = catalog.get(series).map_or_else(|| series.0.to_string(), |mem| mem.labels.to_string());
        broken = Some(EngineError::Chunk { series: labels, source });
    }
    match broken {
        Some(error) => Err(error),
        None => Ok(Replayed { report, newest_ms, is_plain }),
    }
}
