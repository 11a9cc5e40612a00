//! An engine with a cold tier on a simulated disk and a store in memory, and a model of what must be in it.
#![allow(dead_code, clippy::allow_attributes, reason = "every test takes some of it")]

#[path = "../../../parquet-tier/tests/faulty/mod.rs"]
pub mod faulty;
#[path = "../../../engine/tests/kinds/mod.rs"]
pub mod kinds;

use faulty::Faulty;
use mytsdb_cold::{Cold, ColdError, ColdOptions};
use mytsdb_engine::{Batch, Engine, EngineOptions, Lookup, ManualClock};
use mytsdb_io::SimDisk;
use mytsdb_model::{Labels, MatchOp, Matcher, TimeRange};
use mytsdb_parquet_tier::{Store, StoreOptions};
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use mytsdb_testkit::Random;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

pub const SERIES: usize = 9;
pub const HOUR_MS: i64 = 3_600_000;
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// What outlives the process.
pub struct World {
    pub disk: SimDisk,
    pub store: Arc<Faulty>,
    pub clock: Arc<ManualClock>,
    pub now_ms: i64,
    pub spool: tempfile::TempDir,
    pub options: ColdOptions,
    pub retention_ms: i64,
    pub retention_bytes: Option<u64>,
    pub model: BTreeMap<(usize, i64), f64>,
}

/// A process.
pub struct Node {
    pub engine: Arc<Engine>,
    pub cold: Cold,
    pub registry: Registry,
}

impl Node {
    /// Does all that the tier has to do, until there is nothing left.
    pub fn settle(&self) {
        while self.cold.step(StopSign::NEVER).unwrap().demoted_blocks > 0 {}
    }

    /// The sum of a metric over its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|family| family.name == name).unwrap();
        family.samples.iter().map(|sample| sample.value).sum()
    }

    /// All that can be read in a range, as a hash of all bits: labels, times, start times, values and histograms.
    pub fn answer(&self, range: TimeRange) -> u64 {
        let mut hasher = DefaultHasher::new();
        let found = self.engine.select(range, &[]).unwrap();
        let mut columns = mytsdb_columns::Columns::default();
        for index in 0..found.len() {
            columns.clear();
            found.read(index, range, &mut columns).unwrap();
            found.labels(index).as_bytes().hash(&mut hasher);
            columns.timestamps_ms.hash(&mut hasher);
            columns.histogram_timestamps_ms.hash(&mut hasher);
            columns.values.iter().for_each(|value| value.to_bits().hash(&mut hasher));
            for (starts, count) in [
                (&columns.start_timestamps_ms, columns.timestamps_ms.len()),
                (&columns.histogram_start_timestamps_ms, columns.histograms.len()),
            ] {
                // Not there is the same as 0: not known.
                (0..count).for_each(|at| starts.get(at).copied().unwrap_or(0).hash(&mut hasher));
            }
            format!("{:?}", columns.histograms).hash(&mut hasher);
        }
        hasher.finish()
    }
}

pub fn labels(series: usize) -> Labels {
    let number = series.to_string();
    // `A` comes before the name in the order of labels: files have another order than blocks.
    let first = ("A", if series.is_multiple_of(4) { "x" } else { "" });
    let name = format!("m{}", series % 3);
    let pairs = [first, ("__name__", name.as_str()), ("series", number.as_str())];
    Labels::from_pairs(pairs.into_iter().filter(|(_, value)| !value.is_empty()))
}

/// A time with a start time now and then, see `kinds`.
pub fn time(minute: i64) -> i64 {
    minute * 60_000 + minute.rem_euclid(7)
}

impl World {
    pub fn new() -> Self {
        let now_ms = 20_000 * DAY_MS;
        let spool = tempfile::tempdir().unwrap();
        let mut options = ColdOptions::new(spool.path());
        options.label_columns_max = 4;
        (options.cache_l1_bytes, options.cache_l2_bytes) = (1 << 20, 1 << 20);
        Self {
            disk: SimDisk::new(),
            store: Arc::new(Faulty::default()),
            clock: Arc::new(ManualClock::new(now_ms)),
            now_ms,
            spool,
            options,
            retention_ms: 1_000 * DAY_MS,
            retention_bytes: None,
            model: BTreeMap::new(),
        }
    }

    pub fn advance(&mut self, ms: i64) {
        self.now_ms += ms;
        self.clock.set(self.now_ms);
    }

    pub fn engine(&self) -> Result<Arc<Engine>, mytsdb_engine::EngineError> {
        let options = EngineOptions {
            retention_ms: self.retention_ms,
            retention_bytes: self.retention_bytes,
            late_samples_max: 200,
            segment_bytes_max: 16_384,
            ..EngineOptions::new("/data")
        };
        let (engine, recovery) =
            Engine::open(Arc::new(self.disk.clone()), self.clock.clone(), options, &Registry::new())?;
        assert!(recovery.quarantined.is_empty(), "{:?}", recovery.quarantined);
        Ok(Arc::new(engine))
    }

    pub fn open(&self) -> Result<Node, ColdError> {
        let engine = self.engine()?;
        let mut options = StoreOptions::default();
        (options.retries, options.timeout) = (0, Duration::from_millis(500));
        let store = Store::new(self.store.clone(), "", options)?;
        let (disk, registry) = (Arc::new(self.disk.clone()), Registry::new());
        let cold = Cold::open(engine.clone(), disk, self.clock.clone(), &store, self.options.clone(), &registry)?;
        Ok(Node { engine, cold, registry })
    }

    /// Appends samples of random series at times in a range of minutes; the model has what must be there afterwards.
    pub fn append(&mut self, node: &Node, random: &mut Random, count: u64, minutes: std::ops::Range<i64>) {
        let mut batch = Batch::default();
        let mut new = Vec::new();
        for _ in 0..count {
            let series = random.index(SERIES);
            let minute = minutes.start + random.below((minutes.end - minutes.start) as u64) as i64;
            let number = random.below(10 + if series.is_multiple_of(2) { kinds::HISTOGRAMS } else { 0 }) as f64;
            let reference = node.engine.resolve(&labels(series)).unwrap();
            kinds::push(&mut batch, reference, series as u64, time(minute), number);
            new.push(((series, time(minute)), number));
        }
        node.engine.append(batch).unwrap();
        for (key, number) in new {
            // Of two values of one time the one that was first stays.
            self.model.entry(key).or_insert(number);
        }
    }

    pub fn delete(&mut self, node: &Node, random: &mut Random) {
        let days = 20_000 - 12..20_000 + 1;
        let from = days.start * DAY_MS + random.below((days.end - days.start) as u64 * 24) as i64 * HOUR_MS;
        let range = if random.one_in(4) {
            TimeRange::ALL
        } else {
            TimeRange::new(from, from + random.below(40) as i64 * HOUR_MS)
        };
        let series = random.index(SERIES);
        node.engine.delete_series(&[vec![Matcher::equal("series", series.to_string())]], range).unwrap();
        self.model.retain(|(of, time), _| *of != series || !range.contains(*time));
    }

    /// Compares all samples with the model, and some lists.
    #[track_caller]
    pub fn check(&self, node: &Node, context: &str) {
        let found = node.engine.select(TimeRange::ALL, &[]).unwrap();
        let mut read: BTreeMap<(usize, i64), f64> = BTreeMap::new();
        for index in 0..found.len() {
            let series: usize = found.labels(index).get("series").unwrap().parse().unwrap();
            assert_eq!(*found.labels(index), labels(series), "{context}");
            for (time, number) in kinds::read(&found, index, series as u64) {
                assert!(read.insert((series, time), number).is_none(), "{context}: series {series} has {time} twice");
            }
        }
        for (key, number) in &self.model {
            assert_eq!(read.get(key), Some(number), "{context}: {key:?} is lost or another");
        }
        for (key, number) in &read {
            assert!(self.model.contains_key(key), "{context}: {key:?} = {number} was never stored, or is deleted");
        }
        assert_eq!(node.engine.warnings(TimeRange::ALL), [""; 0], "{context}");
    }

    /// Compares an answer to random matchers and a random range with the model.
    pub fn check_part(&self, node: &Node, random: &mut Random, context: &str) {
        let matcher = match random.below(5) {
            0 => Matcher::equal("series", random.index(SERIES).to_string()),
            1 => Matcher::metric(format!("m{}", random.below(4))),
            2 => Matcher::new(MatchOp::Regex, "series", "[1-4]").unwrap(),
            3 => Matcher::equal("A", ""),
            _ => Matcher::new(MatchOp::NotEqual, "A", "").unwrap(),
        };
        let from = (20_000 - 12) * DAY_MS + random.below(14 * 24) as i64 * HOUR_MS;
        let range = TimeRange::new(from, from + random.below(50) as i64 * HOUR_MS);
        let expected: BTreeSet<(usize, i64)> = self
            .model
            .keys()
            .copied()
            .filter(|(series, time)| range.contains(*time) && matcher.matches_labels(&labels(*series)))
            .collect();
        let matchers = [matcher];
        let lookup = Lookup::new(range, &matchers);
        let found = node.engine.stored(&lookup).unwrap();
        let mut read = BTreeSet::new();
        for index in 0..found.len() {
            let series: usize = found.labels(index).get("series").unwrap().parse().unwrap();
            let mut columns = mytsdb_columns::Columns::default();
            found.read(index, range, &mut columns).unwrap();
            read.extend(
                columns.timestamps_ms.iter().chain(&columns.histogram_timestamps_ms).map(|time| (series, *time)),
            );
        }
        assert_eq!(read, expected, "{context}: {matchers:?} {range}");
        let names: BTreeSet<String> = node.engine.label_values("series", &lookup).unwrap().into_iter().collect();
        for (series, _) in &expected {
            assert!(names.contains(&series.to_string()), "{context}: series {series} is not listed");
        }
        let names = node.engine.label_names(&lookup).unwrap();
        assert!(expected.is_empty() || names.contains(&"series".to_owned()), "{context}: {names:?}");
    }
}

/// Paths of all objects of the store.
pub fn faulty_paths(store: &Faulty) -> Vec<String> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(store.paths())
}

/// Where the power fails.
#[derive(Debug, Clone, Copy)]
pub enum Cut {
    /// At this call to the disk.
    Disk(u64),
    /// At this request to the store, which is refused, or done without an answer.
    Store(u64, faulty::Fault),
}

impl Cut {
    /// Makes it fail there.
    pub fn set(self, world: &World) {
        match self {
            Self::Disk(calls) => world.disk.stop_after(calls),
            Self::Store(requests, fault) => world.store.fail_all_after(requests, fault),
        }
    }
}

/// Runs an act with a cut at each `stride`th place, until it ends before the cut: then `run` says `false`.
pub fn enumerate(act: impl std::fmt::Debug, stride: u64, mut run: impl FnMut(Cut, &mut Random) -> bool) {
    let mut random = Random::new(mytsdb_testkit::seed(1));
    let kinds =
        [|at| Cut::Disk(at), |at| Cut::Store(at, faulty::Fault::Error), |at| Cut::Store(at, faulty::Fault::ErrorAfter)];
    for cuts in kinds {
        let mut at = 0;
        while run(cuts(at), &mut random) {
            at += stride;
            assert!(at < 2_000, "{act:?} has no end");
        }
        println!("{act:?}: {at} cuts as {:?}", cuts(0));
        assert!(at > 1, "{act:?} did next to nothing");
    }
}
