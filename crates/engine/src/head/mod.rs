//! The head: every series that has recent samples, its open and its sealed chunks, all in memory.
//!
//! It knows neither the log nor the blocks: who appends says what blocks have at a time, who freezes says when the samples are
//! in a block. [`Head`] is the whole of it, [`MemSeries`] one series.

mod backlog;
mod catalog;
mod chunk;
mod cut;
mod late;
mod open;
mod order;
mod parts;
mod recent;
mod run;
mod series;
mod source;
#[cfg(test)]
mod tests;
mod texts;
mod view;

pub(crate) use catalog::{Bound, Catalog};
pub(crate) use chunk::Sealer;
pub(crate) use parts::Parts;
pub(crate) use series::{Frozen, MemSeries};
use view::{HeadView, TURN_SERIES};

use crate::EngineError;
use crate::metrics::Metrics;
use backlog::Backlog;
use catalog::CatalogState;
use cut::Cut;
use mytsdb_index::IndexError;
use mytsdb_model::{Labels, SeriesRef, TimeRange};
use mytsdb_sync::{Epochs, HandOver};
use order::Order;
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Instant;

/// Series of a part of a flush that have been frozen, each with how much of it goes into blocks; in the order of labels.
#[derive(Default)]
pub(crate) struct FrozenSeries {
    pub(crate) series: Vec<(Arc<MemSeries>, Frozen)>,
    /// The time of the first sample; `None` if there are no series.
    pub(crate) first_ms: Option<i64>,
}

/// The series of the head, and what is known of them together.
pub(crate) struct Head {
    catalog: RwLock<Catalog>,
    series_max: usize,
    /// Counts flushes; references handed out in an epoch stay valid to the end of the next.
    epochs: Epochs,
    /// Counts the times that frozen chunks were dropped: see [`drops`](Head::drops).
    hand_over: HandOver,
    /// The newest sample ever stored, by its time; of blocks too.
    newest_ms: AtomicI64,
    /// The oldest sample stored since the head was made, by its time.
    oldest_ms: AtomicI64,
    /// Samples before this are in blocks, but for late ones.
    flushed_until_ms: AtomicI64,
    /// Samples stored before `flushed_until_ms` since the last flush.
    late_samples: AtomicU64,
    /// There has been no histogram, and no sample with a start time, since the head was made.
    is_plain: AtomicBool,
    cut: Cut,
    /// The series in the order of labels, as the last flush had them.
    order: Mutex<Order>,
    /// What is to be packed.
    backlog: Arc<Backlog>,
    metrics: Metrics,
}

impl Head {
    /// A head of some series, of which new ones are refused from `series_max` on. Full runs of histograms wait to become chunks as long as
    /// they have at most `unsealed_bytes_max` bytes.
    pub(crate) fn new(catalog: Catalog, series_max: usize, unsealed_bytes_max: usize, metrics: Metrics) -> Self {
        metrics.series.set(catalog.len() as f64);
        Self {
            catalog: RwLock::new(catalog),
            series_max,
            epochs: Epochs::new(1),
            hand_over: HandOver::new(),
            newest_ms: AtomicI64::new(i64::MIN),
            oldest_ms: AtomicI64::new(i64::MAX),
            flushed_until_ms: AtomicI64::new(i64::MIN),
            late_samples: AtomicU64::new(0),
            is_plain: AtomicBool::new(true),
            cut: Cut::default(),
            order: Mutex::default(),
            backlog: Arc::new(Backlog::new(unsealed_bytes_max)),
            metrics,
        }
    }

    /// The series of a label set, if the head has it; it stays through this epoch and the next.
    pub(crate) fn find(&self, labels: &Labels) -> Option<SeriesRef> {
        let epoch = self.epoch();
        let catalog = self.catalog.read();
        let series = catalog.find(labels)?;
        series.touch(epoch);
        Some(series.series)
    }

    /// The series of a label set, created if the head does not have it. Nobody else finds a new one before `define` has
    /// returned; if that fails the series is there, but not handed out.
    ///
    /// # Errors
    /// [`EngineError::SeriesLimit`]; those of `define`.
    pub(crate) fn find_or_create(
        &self,
        labels: &Labels,
        define: impl FnOnce(SeriesRef, &Labels) -> Result<(), EngineError>,
    ) -> Result<SeriesRef, EngineError> {
        let (epoch, begun) = (self.epoch(), Instant::now());
        let mut catalog = self.catalog.write();
        self.metrics.catalog_wait_seconds.observe(begun.elapsed().as_secs_f64());
        if let Some(series) = catalog.find(labels) {
            series.touch(epoch);
            return Ok(series.series);
        }
        if catalog.len() >= self.series_max {
            return Err(EngineError::SeriesLimit { limit: self.series_max });
        }
        let series = catalog.create(labels.clone(), epoch);
        self.metrics.series.set(catalog.len() as f64);
        self.metrics.series_created.inc();
        define(series.series, &series.labels)?;
        Ok(series.series)
    }

    /// Changes when references handed out before may have been dropped.
    pub(crate) fn epoch(&self) -> u64 {
        self.epochs.now()
    }

    /// Whether the head still knows a reference; keeps it known through this epoch and the next.
    pub(crate) fn touch(&self, series: SeriesRef) -> bool {
        let epoch = self.epoch();
        self.catalog.read().get(series).inspect(|s| s.touch(epoch)).is_some()
    }

    /// The labels of a series that the head has.
    pub(crate) fn labels_of(&self, series: SeriesRef) -> Option<Labels> {
        self.catalog.read().get(series).map(|series| series.labels.clone())
    }

    /// Removes series without samples that nobody asked for in this epoch or the one before, and opens the next; tells how
    /// many those were. Commits and lookups go on while it looks for them.
    pub(crate) fn remove_idle(&self) -> usize {
        self.epochs.pass(|epoch| {
            let is_idle = |series: &MemSeries| series.is_idle(epoch) && series.range().is_empty();
            let idle = self.find_idle(is_idle);
            let mut catalog = self.catalog.write();
            // Somebody may have asked for one of them since.
            let removed = catalog.remove_idle(&idle, is_idle);
            self.metrics.series.set(catalog.len() as f64);
            self.metrics.series_removed.add(removed as u64);
            drop(catalog);
            self.forget_removed();
            removed
        })
    }

    fn find_idle(&self, is_idle: impl Fn(&MemSeries) -> bool) -> Vec<SeriesRef> {
        let mut idle = Vec::new();
        self.in_turns(|series| {
            if is_idle(series) {
                idle.push(series.series);
            }
        });
        idle
    }

    /// Looks at every series; others get the catalog between some and the next ones.
    fn in_turns(&self, mut look: impl FnMut(&MemSeries)) {
        let end = self.catalog.read().next_ref();
        for from in (0..end).step_by(TURN_SERIES) {
            let catalog = self.catalog.read();
            catalog.range(from..end.min(from + TURN_SERIES as u64)).for_each(|series| look(series));
        }
    }

    /// The catalog, which nobody can change meanwhile. Only for what is short, or runs between two flushes anyway.
    pub(crate) fn catalog(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read()
    }

    /// Asks a view of the head, and another one if series have been removed from it meanwhile.
    ///
    /// # Errors
    /// [`EngineError::Canceled`].
    pub(crate) fn ask<T>(&self, ask: impl Fn(&HeadView<'_>) -> Result<T, IndexError>) -> Result<T, EngineError> {
        view::ask(&self.catalog, ask)
    }

    /// Puts what was frozen into blocks that are served, by `publish`, and forgets it; if that fails it stays.
    ///
    /// # Errors
    /// Those of `publish`.
    pub(crate) fn hand_over(
        &self,
        frozen: FrozenSeries,
        publish: impl FnOnce() -> Result<(), EngineError>,
    ) -> Result<(), EngineError> {
        self.hand_over.move_out(publish, || {
            for (series, part) in frozen.series {
                series.drop_frozen(part);
            }
        })
    }

    /// Counts the times that frozen chunks were dropped. Who reads it before the list of blocks and again after a series, and
    /// finds it unchanged, has missed nothing: whatever left the series meanwhile had been counted before ([`HandOver`]).
    pub(crate) fn drops(&self) -> u64 {
        self.hand_over.count()
    }

    /// Notes what a group has stored: its times, and how many samples behind the last flush.
    pub(crate) fn note_stored(&self, times: TimeRange, late: u64) {
        // Relaxed: all only steer when to flush.
        self.newest_ms.fetch_max(times.maxt, Ordering::Relaxed);
        self.oldest_ms.fetch_min(times.mint, Ordering::Relaxed);
        self.late_samples.fetch_add(late, Ordering::Relaxed);
        self.metrics.late.add(late);
    }

    /// Notes that everything before a time is in blocks.
    pub(crate) fn note_flushed(&self, cut_ms: i64) {
        self.late_samples.store(0, Ordering::Relaxed); // only steers when to flush
        self.flushed_until_ms.fetch_max(cut_ms, Ordering::Release); // pairs with the Acquire in `flushed_until_ms`
    }

    /// The newest time ever stored, of blocks too; `i64::MIN` if there is none.
    pub(crate) fn newest_ms(&self) -> i64 {
        self.newest_ms.load(Ordering::Relaxed) // see `note_stored`
    }

    /// Whether there has been no flush yet, and nothing is there that one before `cut_ms` would move or whose log it would free.
    pub(crate) fn has_nothing_before(&self, cut_ms: i64) -> bool {
        self.flushed_until_ms() == i64::MIN && self.oldest_ms.load(Ordering::Relaxed) >= cut_ms // see `note_stored`
    }

    /// Samples before this are in blocks, but for late ones.
    pub(crate) fn flushed_until_ms(&self) -> i64 {
        self.flushed_until_ms.load(Ordering::Acquire) // pairs with the Release in `note_flushed`
    }

    /// Samples stored behind the last flush since then.
    pub(crate) fn late_samples(&self) -> u64 {
        self.late_samples.load(Ordering::Relaxed) // see `note_stored`
    }

    /// Notes that samples come that are no floats without start times: before they can be read.
    pub(crate) fn note_other_than_plain(&self) {
        // Release: whoever reads such a sample could have known that there are some.
        self.is_plain.store(false, Ordering::Release);
    }

    /// Whether every sample since the head was made is a float without a start time.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_plain.load(Ordering::Acquire) // pairs with the Release in `note_other_than_plain`
    }

    /// The number of series.
    pub(crate) fn len(&self) -> usize {
        self.catalog.read().len()
    }

    /// Bytes of sample chunks. Cost: a visit to every series.
    pub(crate) fn chunk_bytes(&self) -> u64 {
        let mut bytes = 0;
        self.in_turns(|series| bytes += series.chunk_bytes());
        bytes
    }
}

/// Prepares what some series have before a time for blocks. It stays readable until [`Head::hand_over`].
///
/// # Errors
/// [`EngineError::Chunk`].
pub(crate) fn freeze_before(cut_ms: i64, series: &[Arc<MemSeries>]) -> Result<FrozenSeries, EngineError> {
    let mut frozen = FrozenSeries::default();
    let mut sealer = Sealer::default();
    for series in series {
        if let Some((part, first_ms)) = series.freeze_before(cut_ms, &mut sealer).map_err(|e| chunk_error(series, e))? {
            frozen.series.push((series.clone(), part));
            frozen.first_ms = Some(frozen.first_ms.map_or(first_ms, |first| first.min(first_ms)));
        }
    }
    Ok(frozen)
}

/// The error of a chunk of a series.
pub(crate) fn chunk_error(series: &MemSeries, source: mytsdb_codec::CodecError) -> EngineError {
    EngineError::Chunk { series: series.labels.to_string(), source }
}
