//! Where a script's samples are while it is asked: in the test storage, or in an engine that was treated as named.

use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock};
use mytsdb_io::SimDisk;
use mytsdb_promql::{SampleValue, Storage};
use mytsdb_promql_testkit::{LoadedSample, LoadedSeries, TestStorage, parse_load};
use mytsdb_query::EngineStorage;
use mytsdb_telemetry::Registry;
use mytsdb_testkit::Random;
use std::path::PathBuf;
use std::sync::Arc;

/// `--storage`: what happens between loading and asking.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum StorageForm {
    /// The storage that the test language was written for.
    #[default]
    Test,
    /// An engine that holds everything in memory.
    EngineHead,
    /// An engine that has flushed everything.
    EngineBlocks,
    /// An engine that was killed and opened again.
    EngineRestart,
    /// An engine that got the samples of every series in random order, half of them after a flush of the others.
    EngineLate,
}

impl StorageForm {
    /// The names of all forms, for messages.
    pub const NAMES: &str = "test|engine-head|engine-blocks|engine-restart|engine-late";

    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "test" => Self::Test,
            "engine-head" => Self::EngineHead,
            "engine-blocks" => Self::EngineBlocks,
            "engine-restart" => Self::EngineRestart,
            "engine-late" => Self::EngineLate,
            _ => return None,
        })
    }
}

/// A year of milliseconds; the suites' times lie between -100 and 100 of them.
const YEAR_MS: i64 = 366 * 86_400_000;

/// The storage of one script.
pub enum ScriptStorage {
    Test(TestStorage),
    Engine(Box<EngineBed>),
}

impl ScriptStorage {
    pub fn new(form: StorageForm) -> anyhow::Result<Self> {
        Ok(match form {
            StorageForm::Test => Self::Test(TestStorage::new()),
            form => Self::Engine(Box::new(EngineBed::new(form)?)),
        })
    }

    /// Takes a `load` block.
    pub fn load(&mut self, block: &str) -> anyhow::Result<()> {
        match self {
            Self::Test(storage) => Ok(storage.load(block, 0)?),
            Self::Engine(bed) => bed.load(&parse_load(block, 0)?),
        }
    }

    /// What queries read.
    pub fn storage(&self) -> &dyn Storage {
        match self {
            Self::Test(storage) => storage,
            Self::Engine(bed) => &bed.storage,
        }
    }
}

/// An engine on a disk in memory.
pub struct EngineBed {
    form: StorageForm,
    disk: Arc<SimDisk>,
    storage: EngineStorage,
    engine: Option<Arc<Engine>>,
    random: Random,
}

impl EngineBed {
    fn new(form: StorageForm) -> anyhow::Result<Self> {
        let disk = Arc::new(SimDisk::new());
        let engine = open(&disk)?;
        let storage = EngineStorage::new(engine.clone());
        Ok(Self { form, disk, storage, engine: Some(engine), random: Random::new(0x7e57) })
    }

    fn engine(&self) -> &Arc<Engine> {
        self.engine.as_ref().expect("there is an engine between two calls")
    }

    fn load(&mut self, series: &[LoadedSeries]) -> anyhow::Result<()> {
        let mut rows: Vec<(usize, usize)> =
            (0..series.len()).flat_map(|s| (0..series[s].samples.len()).map(move |i| (s, i))).collect();
        if self.form == StorageForm::EngineLate {
            for i in (1..rows.len()).rev() {
                rows.swap(i, self.random.index(i + 1));
            }
            let late = rows.split_off(rows.len() / 2);
            self.append(series, &rows)?;
            self.engine().flush_before(i64::MAX)?;
            rows = late;
        }
        self.append(series, &rows)?;
        match self.form {
            StorageForm::EngineBlocks => {
                self.engine().flush_before(i64::MAX)?;
            }
            StorageForm::EngineRestart => {
                // The engine is dropped without a stop, as a kill would end it; the folder's lock goes with it.
                self.storage = EngineStorage::default();
                self.engine = None;
                let engine = open(&self.disk)?;
                self.storage = EngineStorage::new(engine.clone());
                self.engine = Some(engine);
            }
            StorageForm::Test | StorageForm::EngineHead | StorageForm::EngineLate => {}
        }
        Ok(())
    }

    fn append(&self, series: &[LoadedSeries], rows: &[(usize, usize)]) -> anyhow::Result<()> {
        let engine = self.engine();
        let mut batch = Batch::with_capacity(rows.len());
        for &(s, i) in rows {
            let LoadedSeries { labels, samples } = &series[s];
            let series = engine.resolve(labels)?;
            let LoadedSample { timestamp_ms, start_ms, .. } = samples[i];
            match &samples[i].value {
                SampleValue::Float(value) => batch.push_since(series, timestamp_ms, start_ms, *value),
                SampleValue::Histogram(histogram) => {
                    batch.push_histogram(series, timestamp_ms, start_ms, histogram)?;
                }
            }
        }
        let outcome = engine.append(batch)?;
        anyhow::ensure!(outcome.refused.is_empty(), "samples were refused: {:?}", outcome.refused.first());
        Ok(())
    }
}

fn open(disk: &Arc<SimDisk>) -> anyhow::Result<Arc<Engine>> {
    let options = EngineOptions { retention_ms: 200 * YEAR_MS, ..EngineOptions::new(PathBuf::from("/data")) };
    let clock = Arc::new(ManualClock::new(100 * YEAR_MS));
    let (engine, recovery) = Engine::open(disk.clone(), clock, options, &Registry::new())?;
    anyhow::ensure!(recovery.quarantined.is_empty() && recovery.unknown_samples == 0, "damage found: {recovery:?}");
    Ok(Arc::new(engine))
}
