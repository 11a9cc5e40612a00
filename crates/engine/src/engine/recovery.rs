//! From a data folder to a running engine.

use super::Engine;
use super::flush::FlushState;
use crate::blocks::Blocks;
use crate::changes::MetricChanges;
use crate::exemplars::{Evicted, Exemplars};
use crate::families::Families;
use crate::head::{Catalog, Head, Sealer};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::reader::Reader;
use crate::room::Room;
use crate::source::Manifest;
use crate::value::{self, Encoded, Row, RowValue};
use crate::{Clock, EngineError, EngineOptions};
use mytsdb_blocks::Tombstone;
use mytsdb_io::Disk;
use mytsdb_model::{Labels, SeriesRef, TimeRange};
use mytsdb_telemetry::Registry;
use mytsdb_wal::{LogFile, Record, ReplayReport, Rows, SegmentId, Wal, WalOptions};
use parking_lot::Mutex;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

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
        let room =
            Room::new(disk.clone(), &dir, options.disk_floor_bytes, options.disk_ballast_bytes, metrics.clone())?;
        let mut recovery = Recovery::default();
        let (manifest, changes) = (Arc::new(Manifest::new()), Arc::new(MetricChanges::new()));
        let shared = (manifest.clone(), changes.clone());
        let (blocks, quarantined) =
            Blocks::open(disk.clone(), options.clone(), room.floor_bytes(), shared, metrics.clone())?;
        let listed = blocks.list();
        recovery.block_count = listed.len();
        recovery.quarantined = quarantined;
        let newest_block_ms = listed.iter().map(|b| b.meta().range.maxt).max().unwrap_or(i64::MIN);

        let mut catalog = Catalog::new();
        let tombstones = &blocks.deletions().tombstones.clone();
        let families = Families::new(options.metadata_families_max, options.metadata_help_bytes_max);
        let exemplars = Exemplars::new(options.exemplars_per_series_max, options.exemplar_bytes_max);
        let stores = (&mut catalog, &families, &exemplars);
        let replayed = replay(disk.as_ref(), &options, stores, tombstones, &mut recovery)?;
        let (report, times) = (replayed.report, replayed.times);
        metrics.corrupt_wal.add(report.damage_count);
        let wal_options = WalOptions {
            segment_bytes_max: options.segment_bytes_max,
            durability: options.durability,
            ..WalOptions::default()
        };
        let wal = Wal::open(disk, &dir.join("wal"), wal_options, &report)?;
        let log_from = report.checkpoint.map_or(0, |checkpoint| checkpoint.0);
        recovery.wal = Some(report);

        let head = Head::new(catalog, options.series_max, options.unsealed_bytes_max, metrics.clone());
        head.note_stored(TimeRange { maxt: times.maxt.max(newest_block_ms), ..times }, 0);
        if !replayed.is_plain {
            head.note_other_than_plain();
        }
        let (head, blocks) = (Arc::new(head), Arc::new(blocks));
        let engine = Engine {
            clock,
            log: Log::new(wal, options.durability, options.staged_samples_max, metrics.clone()),
            reader: Reader::new(
                head.clone(),
                manifest,
                options.selection_cache_bytes,
                metrics.selection_cache_asks.clone(),
            ),
            stored_values: Mutex::new(blocks.stored_values()),
            sealer: Mutex::new(head.sealer()),
            head,
            blocks,
            changes,
            room,
            families,
            exemplars,
            flush_turn: Mutex::default(),
            flushing: Mutex::new(FlushState::new(log_from)),
            head_looked_at: Mutex::default(),
            metrics,
            options,
            _lock: lock,
        };
        engine.metrics.metadata_families.set(engine.families.len() as f64);
        engine.report_exemplars(Evicted::default());
        Ok((engine, recovery))
    }
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
        about.iter().any(|&at| self.is_in(&self.tombstones[at as usize], timestamp_ms))
    }

    /// The same for an exemplar, which names its series by its labels.
    fn hides_exemplar(&self, series: &Labels, timestamp_ms: i64) -> bool {
        self.tombstones.iter().any(|tombstone| self.is_in(tombstone, timestamp_ms) && tombstone.matches(series))
    }

    /// Whether a tombstone is younger than the file that is replayed, and about that time.
    fn is_in(&self, tombstone: &Tombstone, timestamp_ms: i64) -> bool {
        let is_older = match self.file.get() {
            LogFile::Checkpoint(id) => id.0 <= tombstone.segments_below,
            LogFile::Segment(id) => id.0 < tombstone.segments_below,
        };
        is_older && tombstone.range.contains(timestamp_ms)
    }
}

/// What came from the log beside the series.
struct Replayed {
    report: ReplayReport,
    times: TimeRange,
    /// All samples are floats without start times.
    is_plain: bool,
}

fn replay(
    disk: &dyn Disk,
    options: &EngineOptions,
    (catalog, families, exemplars): (&mut Catalog, &Families, &Exemplars),
    tombstones: &[Tombstone],
    recovery: &mut Recovery,
) -> Result<Replayed, EngineError> {
    let mut times = TimeRange::EMPTY;
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
        // The log has what was stored and nothing else. A crash may leave it in a block too, and in a checkpoint.
        match mem.restore(row, options.block_ms, &mut sealer) {
            Ok(_) => {
                recovery.replayed_samples += 1;
                times = times.including(row.timestamp_ms);
            }
            Err(source) => broken = Some(EngineError::Chunk { series: mem.labels.to_string(), source }),
        }
    };
    let report = mytsdb_wal::replay_files(
        disk,
        &options.data_dir.join("wal"),
        &mut |file| deleted.begin(file),
        &mut |record| match record {
            Record::Series { series, labels } => {
                deleted.define(series, &labels);
                catalog.restore(series, labels, 1);
            }
            Record::Metadata { family, metadata } => families.restore(family, metadata),
            Record::Exemplars { series, exemplars: logged } => {
                let left = logged.iter().filter(|e| !deleted.hides_exemplar(&series, e.timestamp_ms));
                exemplars.insert(left.map(|exemplar| (&series, exemplar)));
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
                    // The log has checked nothing but the checksum.
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
        None => Ok(Replayed { report, times, is_plain }),
    }
}
