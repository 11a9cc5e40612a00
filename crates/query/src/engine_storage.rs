//! The engine behind PromQL's storage trait.

use mytsdb_columns::{Columns, HistogramTable, Outline, Outlining};
use mytsdb_downsample::{Buckets, Resolution, Stored};
use mytsdb_engine::{Engine, EngineStamp, Lookup, Selection};
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_promql::{
    Cancel, DownsampledSet, Finding, LabelStorage, ReadStamp, SelectHints, SeriesSet, Storage, StorageError,
};
use mytsdb_stop::StopSign;
use std::sync::{Arc, OnceLock};

/// Answers queries from an engine, once there is one. A clone reads from the same engine.
///
/// Opening an engine replays its log, which may take seconds; with a storage that has no engine yet, a server can
/// answer health checks meanwhile. The API's `ready` flag keeps queries out until then.
#[derive(Debug, Clone, Default)]
pub struct EngineStorage {
    engine: Arc<OnceLock<Arc<Engine>>>,
}

impl EngineStorage {
    /// A storage that reads from `engine`.
    pub fn new(engine: Arc<Engine>) -> Self {
        let storage = Self::default();
        storage.open(engine);
        storage
    }

    /// Gives the engine to a storage that was made without one. A second engine is ignored.
    pub fn open(&self, engine: Arc<Engine>) {
        self.engine.get_or_init(|| engine);
    }

    /// Why the engine takes no more samples, if that is so: its log is not what it should be.
    pub fn fault(&self) -> Option<String> {
        self.engine.get().and_then(|engine| engine.poisoned()).map(ToOwned::to_owned)
    }

    /// Why the engine refuses samples, if it does: the disk has hardly any room left.
    pub fn caution(&self) -> Option<String> {
        self.engine.get().and_then(|engine| engine.writes_refused())
    }

    fn engine(&self) -> Result<&Engine, StorageError> {
        self.engine.get().map(|engine| &**engine).ok_or_else(|| StorageError::new("the storage is being opened"))
    }
}

impl Storage for EngineStorage {
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        let keep_going = || hints.cancel.check().is_ok();
        let (mut range, any_order) = (hints.range, hints.any_order);
        let engine = self.engine()?;
        if hints.range_ms == 0 && !hints.stored && engine.is_coarse() {
            // A step within a bucket shows what was there when it began.
            range.mint = range.mint.saturating_sub(Resolution::Hour.ms());
        }
        let resolution = Resolution::of_query(hints.step_ms, hints.range_ms);
        let lookup = Lookup { range, matchers, any_order, resolution, stop: StopSign::new(&keep_going) };
        // A query finds out by reading which series have samples; a list of series must know.
        let selection = if hints.stored { engine.stored(&lookup) } else { engine.candidates(&lookup) };
        let selection = selection.map_err(StorageError::from_error)?;
        Ok(Box::new(EngineSeriesSet { engine, selection }))
    }

    fn is_plain(&self) -> bool {
        self.engine().is_ok_and(|engine| {
            engine.is_plain() && !may_have_label(engine, "__type__") && !may_have_label(engine, "__unit__")
        })
    }

    fn warnings(&self, range: TimeRange) -> Vec<String> {
        self.engine.get().map_or_else(Vec::new, |engine| engine.warnings(range))
    }

    fn stamp(&self) -> Option<ReadStamp> {
        let EngineStamp { engine: storage, moment } = self.engine.get()?.stamp();
        Some(ReadStamp { storage, moment })
    }

    fn changed_since(&self, stamp: ReadStamp, metric: &str, range: TimeRange) -> i64 {
        let ReadStamp { storage: engine, moment } = stamp;
        let stamp = EngineStamp { engine, moment };
        self.engine.get().map_or(i64::MIN, |engine| engine.changed_since(stamp, metric, range))
    }
}

impl LabelStorage for EngineStorage {
    fn label_names(
        &self,
        range: TimeRange,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        let keep_going = || cancel.check().is_ok();
        let lookup = Lookup { stop: StopSign::new(&keep_going), ..Lookup::new(range, matchers) };
        let names = self.engine()?.label_names(&lookup).map_err(StorageError::from_error)?;
        Ok(at_most(names, limit))
    }

    fn label_values(
        &self,
        name: &str,
        range: TimeRange,
        matchers: &[Matcher],
        limit: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        let keep_going = || cancel.check().is_ok();
        let lookup = Lookup { stop: StopSign::new(&keep_going), ..Lookup::new(range, matchers) };
        let values = self.engine()?.label_values(name, &lookup).map_err(StorageError::from_error)?;
        Ok(at_most(values, limit))
    }
}

fn at_most(mut texts: Vec<String>, limit: usize) -> Vec<String> {
    if limit > 0 {
        texts.truncate(limit);
    }
    texts
}

/// Whether a series may have a label of this name. Asked of the whole engine, which costs next to nothing.
fn may_have_label(engine: &Engine, name: &str) -> bool {
    engine.has_label_name(name).unwrap_or(true)
}

struct EngineSeriesSet<'a> {
    engine: &'a Engine,
    selection: Selection<'a>,
}

impl SeriesSet for EngineSeriesSet<'_> {
    fn len(&self) -> usize {
        self.selection.len()
    }

    fn may_have_label(&self, name: &str) -> bool {
        may_have_label(self.engine, name)
    }

    fn labels(&self, index: usize) -> &Labels {
        self.selection.labels(index)
    }

    fn downsampled(&self) -> Option<&dyn DownsampledSet> {
        self.selection.is_coarse().then_some(self)
    }

    fn recall(&self, key: &[u8]) -> Option<Finding> {
        self.selection.recall(key)
    }

    fn remember(&self, key: &[u8], finding: Finding, bytes: usize) {
        self.selection.remember(key, finding, bytes);
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut Columns) -> Result<(), StorageError> {
        self.selection.read(index, range, out).map_err(StorageError::from_error)
    }

    fn read_table(
        &self,
        index: usize,
        range: TimeRange,
        with_hints: bool,
        out: &mut HistogramTable,
    ) -> Result<bool, StorageError> {
        self.selection.read_table(index, range, with_hints, out).map_err(StorageError::from_error)
    }

    fn read_outline(
        &self,
        index: usize,
        range: TimeRange,
        outlining: &Outlining<'_>,
        out: &mut Outline,
    ) -> Result<bool, StorageError> {
        self.selection.read_outline(index, range, outlining, out).map_err(StorageError::from_error)
    }
}

impl DownsampledSet for EngineSeriesSet<'_> {
    fn read_buckets(&self, index: usize, range: TimeRange, out: &mut Buckets) -> Result<Stored, StorageError> {
        self.selection.read_buckets(index, range, out).map_err(StorageError::from_error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_engine::{Batch, EngineOptions, ManualClock};
    use mytsdb_io::{Call, FaultDisk, SimDisk};
    use mytsdb_telemetry::Registry;

    #[test]
    fn a_log_that_could_not_be_synced_is_a_fault() {
        let disk = Arc::new(FaultDisk::new(SimDisk::new()));
        let clock = Arc::new(ManualClock::new(0));
        let (engine, _) = Engine::open(disk.clone(), clock, EngineOptions::new("/data"), &Registry::new()).unwrap();
        let engine = Arc::new(engine);
        let storage = EngineStorage::default();
        assert_eq!(storage.fault(), None, "a storage without an engine is not ready, and not at fault");
        storage.open(Arc::clone(&engine));
        let series = engine.resolve(&Labels::from_pairs([("__name__", "m")])).unwrap();
        let append = |timestamp_ms| {
            let mut batch = Batch::default();
            batch.push(series, timestamp_ms, 1.0);
            engine.append(batch)
        };
        append(0).unwrap();
        assert_eq!(storage.fault(), None);
        disk.fail_nth(Call::Sync, disk.count(Call::Sync) + 1, 5);
        assert!(append(1).is_err());
        assert!(storage.fault().is_some_and(|reason| !reason.is_empty()));
    }

    #[test]
    fn what_could_not_be_read_of_a_block_is_a_warning_of_the_query_over_its_time() {
        const HOUR_MS: i64 = 3_600_000;
        let disk = mytsdb_io::SimDisk::new();
        let clock = Arc::new(ManualClock::new(48 * HOUR_MS));
        let open = || {
            let disk = Arc::new(disk.clone());
            Engine::open(disk, clock.clone(), EngineOptions::new("/data"), &Registry::new()).unwrap().0
        };
        let engine = open();
        let series = engine.resolve(&Labels::from_pairs([("__name__", "m")])).unwrap();
        let mut batch = Batch::default();
        (0..48 * 60).for_each(|minute| batch.push(series, minute * 60_000, minute as f64));
        engine.append(batch).unwrap();
        engine.flush_before(24 * HOUR_MS).unwrap();
        drop(engine);
        let blocks = std::path::Path::new("/data/blocks");
        let block = blocks.join(&mytsdb_io::Disk::list(&disk, blocks).unwrap()[0]);
        // The first chunk begins behind the header.
        mytsdb_io::Disk::open(&disk, &block).unwrap().write_at(38, &[0x5a; 4]).unwrap();
        let storage = EngineStorage::new(Arc::new(open()));
        let ask = |hour: i64, query: &str| {
            let expr = mytsdb_promql_syntax::parse(query).unwrap();
            let options = mytsdb_promql::QueryOptions::default();
            mytsdb_promql::instant(&storage, &expr, hour * HOUR_MS, &options, &Cancel::default()).unwrap()
        };
        let warned = ask(20, "count_over_time(m[20h]) + 0 * m").annotations.warnings("", 0);
        assert!(warned.len() == 1 && warned[0].contains("samples may be missing"), "{warned:?}");
        assert!(ask(40, "count_over_time(m[5h])").annotations.is_empty());
    }
}
