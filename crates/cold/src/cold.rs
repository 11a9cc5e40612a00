//! The cold tier: what is served of it, and what happens at each step.

use crate::ahead::Ahead;
use crate::downsampling::{Looked, is_hidden};
use crate::error::{ColdError, Result};
use crate::metrics::Metrics;
use crate::options::{ColdOptions, Unreachable};
use crate::reader::{Following, node_prefix};
use crate::remote::{NoAnswer, Remote};
use crate::source::{DayFiles, DaySource};
use crate::state::{State, StateFile};
use crate::unknown::{UNKNOWN, Unknown};
use mytsdb_blocks::Tombstone;
use mytsdb_cache::{CacheOptions, Caches};
use mytsdb_engine::{Clock, Engine, Source};
use mytsdb_io::Disk;
use mytsdb_model::TimeRange;
use mytsdb_parquet_tier::{Deletion, FileId, Manifest, Store, Tier};
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// What a step did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Done {
    /// Blocks that were replaced.
    pub demoted_blocks: usize,
    /// Their samples.
    pub demoted_samples: u64,
    /// Files that were uploaded, of how many bytes.
    pub files_written: usize,
    /// Their size.
    pub bytes_written: u64,
    /// Days of which buckets were made, or were found to have none.
    pub downsampled_days: usize,
    /// Files of days that are not live any more because the retention had passed, by time or by size.
    pub expired_days: usize,
    /// Days stay in blocks because the disk has too little room for their files.
    pub waits_for_room: bool,
    /// Files that were deleted from the store.
    pub files_deleted: u64,
}

/// The cold tier of an engine. It runs nothing by itself but requests to its store.
pub struct Cold {
    pub(crate) engine: Arc<Engine>,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: ColdOptions,
    pub(crate) metrics: Metrics,
    pub(crate) remote: Arc<Remote>,
    caches: Arc<Caches>,
    ahead: Arc<Ahead>,
    /// It follows what another node writes, and writes nothing.
    pub(crate) only_reads: bool,
    /// Set once a manifest was read.
    known: OnceLock<()>,
    unknown: Arc<Unknown>,
    job: Mutex<Job>,
}

/// What steps know. One step at a time.
pub(crate) struct Job {
    pub state: State,
    pub file: StateFile,
    /// `None` until the store has answered.
    pub tier: Option<Arc<Tier>>,
    /// What is live.
    pub served: BTreeMap<FileId, Arc<DayFiles>>,
    /// What of it queries see: all but buckets whose samples are live.
    pub shown: HashSet<FileId>,
    /// Samples of which there is nothing to be made.
    pub empty: HashSet<Looked>,
    /// Samples of which no buckets can be made.
    pub failed_days: HashSet<Vec<FileId>>,
    /// Blocks whose demotion failed for good.
    pub failed: HashSet<u64>,
    pub collected_ms: Option<u64>,
    pub following: Following,
}

impl Cold {
    /// Serves what is in a store beside the engine, which must not have been written to yet since it was opened, unless this
    /// is the first time. Waits for the store for a while; if it does not answer by then, the next [`step`](Self::step) asks again, and answers
    /// over the times of the tier say meanwhile that samples may be missing.
    ///
    /// # Errors
    /// [`ColdError::State`], [`ColdError::Io`] and [`ColdError::Cache`] if the data folder cannot be read or written,
    /// [`ColdError::Threads`].
    pub fn open(
        engine: Arc<Engine>,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        store: &Store,
        options: ColdOptions,
        registry: &Registry,
    ) -> Result<Self> {
        let file = StateFile::new(&engine.options().data_dir);
        let state = if let Some(state) = file.read(&*disk)? {
            state
        } else {
            let state = State { node: format!("{:016x}", random()), ..State::default() };
            // Before anything is uploaded: the prefix must be found again.
            file.write(&*disk, &state)?;
            state
        };
        engine.pass_number(state.number);
        Self::begin((engine, disk, clock), store, (state, file), options, registry, false)
    }

    /// What both kinds of tiers begin with.
    pub(crate) fn begin(
        (engine, disk, clock): (Arc<Engine>, Arc<dyn Disk>, Arc<dyn Clock>),
        store: &Store,
        (state, file): (State, StateFile),
        options: ColdOptions,
        registry: &Registry,
        only_reads: bool,
    ) -> Result<Self> {
        let remote = Arc::new(Remote::new(store.below(&node_prefix(&state.node))?)?);
        let range = if only_reads { TimeRange::ALL } else { state.range() };
        let unknown = Arc::new(Unknown::new(range, options.unreachable, "the store has not answered yet"));
        if only_reads || state.seq > 0 || state.pending.is_some() {
            engine.serve(unknown.clone());
        }
        let metrics = Metrics::new(registry);
        let caches = Arc::new(Caches::open(disk.clone(), &cache_options(&engine, &options, only_reads), registry)?);
        let depth = if caches.are_off() { 0 } else { options.prefetch_windows };
        let ahead = Arc::new(Ahead::new(depth, options.prefetch_bytes_per_second));
        let job = Mutex::new(Job {
            state,
            file,
            tier: None,
            served: BTreeMap::new(),
            shown: HashSet::new(),
            empty: HashSet::new(),
            failed_days: HashSet::new(),
            failed: HashSet::new(),
            collected_ms: None,
            following: Following::default(),
        });
        let known = OnceLock::new();
        let cold =
            Self { engine, disk, clock, options, metrics, remote, caches, ahead, only_reads, known, unknown, job };
        let (begun, wait) = (Instant::now(), Duration::from_millis(cold.options.open_wait_ms));
        let go_on = || begun.elapsed() < wait;
        // What fails now is tried again by the next step, which reports it.
        let reached = cold.connect(&mut cold.job.lock(), StopSign::new(&go_on));
        cold.metrics.reachable.set(if reached.is_ok() { 1.0 } else { 0.0 });
        match reached {
            Err(error @ (ColdError::Io { .. } | ColdError::Foreign { .. } | ColdError::NoNode { .. })) => Err(error),
            Err(error) => {
                if !error.is_canceled() {
                    cold.unknown.note(error.to_string());
                }
                Ok(cold)
            }
            Ok(_) => Ok(cold),
        }
    }

    /// Stands for the tier where none is wanted: if the data folder has samples there, answers over their times say that they are missing,
    /// or fail, and nothing that must stay in force for them is forgotten. Before the engine is written to.
    ///
    /// # Errors
    /// [`ColdError::State`] and [`ColdError::Io`] if the data folder cannot be read.
    pub fn none(engine: &Engine, disk: &dyn Disk, unreachable: Unreachable, reason: &str) -> Result<()> {
        let Some(state) = StateFile::new(&engine.options().data_dir).read(disk)? else { return Ok(()) };
        engine.pass_number(state.number);
        if state.seq > 0 || state.pending.is_some() {
            engine.serve(Arc::new(Unknown::new(state.range(), unreachable, reason)));
        }
        Ok(())
    }

    /// What is live, if that is known.
    pub fn manifest(&self) -> Option<Arc<Manifest>> {
        self.job.lock().tier.as_ref().map(|tier| tier.manifest())
    }

    /// Why nothing of the tier is served yet, if that is so: its store has not answered. Waits for nobody.
    pub fn awaited(&self) -> Option<String> {
        self.known.get().is_none().then(|| self.unknown.reason())
    }

    /// Does what is due: finishes what was begun, makes the buckets of a day that lacks some, takes out what has expired, demotes the
    /// oldest blocks that are old enough, deletes what no manifest names any more. To be called again at once as long as it demotes or
    /// downsamples something. A
    /// [reader](Self::reader) looks for a newer manifest instead, and writes nothing.
    ///
    /// # Errors
    /// Those of the store and the engine; nothing is lost then, and the next call goes on. [`ColdError::is_canceled`].
    pub fn step(&self, stop: StopSign<'_>) -> Result<Done> {
        self.watched(|job| {
            let tier = self.connect(job, stop)?;
            if self.only_reads {
                self.follow(job, &tier, stop)?;
                return Ok(Done::default());
            }
            let mut done = Done::default();
            self.downsample(job, stop, &mut done)?;
            done.expired_days = self.expire(job)?;
            self.demote(job, stop, &mut done)?;
            self.publish_deletions(job)?;
            self.collect(job, stop, &mut done)?;
            Ok(done)
        })
    }

    /// Writes all days anew of which something is deleted; tells how many files that took. What is deleted is gone from the store an hour
    /// (`grace_ms`) later.
    ///
    /// # Errors
    /// As for [`step`](Self::step).
    pub fn clean_tombstones(&self, stop: StopSign<'_>) -> Result<usize> {
        if self.only_reads {
            return Ok(0);
        }
        self.watched(|job| {
            self.connect(job, stop)?;
            self.clean(job, stop)
        })
    }

    /// Reads all live files and compares them with the manifest.
    ///
    /// # Errors
    /// As for [`step`](Self::step); the first file that differs.
    pub fn verify(&self, stop: StopSign<'_>) -> Result<()> {
        let tier = {
            let mut job = self.job.lock();
            self.connect(&mut job, stop)?
        };
        self.remote.ask(stop, async move { tier.verify().await }).map_err(NoAnswer::into_cold)
    }

    fn watched<T>(&self, work: impl FnOnce(&mut Job) -> Result<T>) -> Result<T> {
        let mut job = self.job.lock();
        let result = work(&mut job);
        if let Err(error) = &result
            && !error.is_canceled()
        {
            self.metrics.failures.inc();
            self.unknown.note(error.to_string());
        }
        self.metrics.reachable.set(if job.tier.is_some() && result.is_ok() { 1.0 } else { 0.0 });
        result
    }

    /// The tier; asks for its manifest first if that is not known, and finishes what was begun.
    pub(crate) fn connect(&self, job: &mut Job, stop: StopSign<'_>) -> Result<Arc<Tier>> {
        let tier = if let Some(tier) = &job.tier {
            tier.clone()
        } else {
            let (store, seq_min) = (self.remote.store().clone(), job.state.seq);
            let work = async move { Tier::open(store, seq_min).await };
            let tier = Arc::new(self.remote.ask(stop, work).map_err(NoAnswer::into_cold)?);
            self.settle(job, &tier.manifest())?;
            job.tier = Some(tier.clone());
            self.known.get_or_init(|| ());
            return Ok(tier);
        };
        if job.state.pending.is_some() {
            // Whether it counts was not known.
            let asked = tier.clone();
            let manifest = self.remote.ask(stop, async move { asked.refresh().await }).map_err(NoAnswer::into_cold)?;
            self.settle(job, &manifest)?;
        }
        Ok(tier)
    }

    /// Serves what a manifest says, and finishes a demotion, if it counts, or forgets it.
    pub(crate) fn settle(&self, job: &mut Job, manifest: &Manifest) -> Result<()> {
        let live: BTreeMap<FileId, u64> = manifest.days.iter().map(|day| (day.id, day.number)).collect();
        if self.only_reads {
            if manifest.seq == 0 {
                return Err(ColdError::NoNode { node: job.state.node.clone() });
            }
            job.state.number = live.values().copied().max().unwrap_or(0);
        }
        let numbers: HashSet<u64> = live.values().copied().collect();
        if numbers.len() != live.len() || numbers.iter().any(|n| *n == UNKNOWN || *n > job.state.number) {
            let reason =
                format!("numbers of manifest {} are not among those given until {}", manifest.seq, job.state.number);
            return Err(ColdError::Foreign { reason });
        }
        let pending = job.state.pending.clone();
        let counts = |files: &[String]| files.iter().all(|file| file.parse().is_ok_and(|id| live.contains_key(&id)));
        let finished = pending.filter(|pending| manifest.seq >= pending.seq && counts(&pending.files));
        let blocks = finished.map(|pending| pending.blocks).unwrap_or_default();
        self.serve(job, manifest, &blocks);
        let range = manifest.days.iter().fold(TimeRange::EMPTY, |range, day| range.cover(day.range));
        job.state.seq = manifest.seq;
        job.state.set_range(range);
        if blocks.is_empty() {
            job.state.pending = None;
        }
        if self.only_reads {
            return Ok(());
        }
        // Before the last local copy goes, the data folder knows where it is now.
        job.file.write(&*self.disk, &job.state)?;
        if !blocks.is_empty() {
            self.engine.remove_handed_out(&blocks)?;
            job.state.pending = None;
            job.file.write(&*self.disk, &job.state)?;
        }
        Ok(())
    }

    /// Serves the files of a manifest instead of what was served and of some blocks, in one step.
    fn serve(&self, job: &mut Job, manifest: &Manifest, blocks: &[u64]) {
        let live: HashSet<FileId> = manifest.days.iter().map(|day| day.id).collect();
        let mut gone = vec![UNKNOWN];
        let hidden: HashSet<FileId> =
            manifest.days.iter().filter(|day| is_hidden(day, |id| live.contains(id))).map(|day| day.id).collect();
        job.served.retain(|id, files| {
            let stays = live.contains(id);
            if (!stays || hidden.contains(id)) && job.shown.remove(id) {
                gone.push(files.number());
            }
            stays
        });
        // Whoever has a data folder knows the deletions from there.
        let deleted = if self.only_reads { &manifest.deletions[..] } else { &[] };
        let mut new: Vec<Arc<dyn Source>> = Vec::new();
        if job.following.deletions != deleted {
            let shown = job.served.iter().filter(|(id, _)| job.shown.contains(id));
            new.extend(shown.map(|(_, files)| source_without(files.clone(), deleted)));
            job.following.deletions = deleted.to_vec();
        }
        let mut new_files = Vec::new();
        for day in &manifest.days {
            if let Some(files) = job.served.get(&day.id) {
                // Its samples have gone.
                if !hidden.contains(&day.id) && job.shown.insert(day.id) {
                    new.push(source_without(files.clone(), deleted));
                }
                continue;
            }
            let (remote, near) = (self.remote.clone(), (self.caches.clone(), self.ahead.clone()));
            let files = DayFiles::new(day.clone(), remote, near, self.options.unreachable, self.metrics.clone());
            let files = Arc::new(files);
            files.read_names_some_time();
            job.served.insert(day.id, files.clone());
            if day.resolution.is_none() {
                new_files.push(files.clone());
            }
            if !hidden.contains(&day.id) {
                job.shown.insert(day.id);
                new.push(source_without(files, deleted));
            }
        }
        // What was deleted is not to stay on the local disk either.
        self.caches.keep_only(live.iter().map(|id| id.number()).collect());
        self.engine.hand_out(blocks, &gone, new);
        let of_samples = job.served.values().filter(|files| files.live.resolution.is_none());
        self.ahead.serve(of_samples.map(Arc::downgrade).collect(), &new_files);
        self.metrics.report(manifest);
    }

    /// Writes to the disk what was read from the store and is still in memory, so that the next start need not read it again.
    pub fn persist_cache(&self) {
        self.caches.persist();
    }

    /// Now, by the clock.
    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.clock.now_ms()).unwrap_or(0)
    }

    /// A name for files that nobody else has.
    pub(crate) fn new_id(&self) -> FileId {
        FileId::new(self.now_ms(), u128::from(random()) << 64 | u128::from(random()))
    }
}

/// The files of a day without what a manifest says is deleted of them.
fn source_without(files: Arc<DayFiles>, deleted: &[Deletion]) -> Arc<dyn Source> {
    deleted.iter().fold(Arc::new(DaySource::new(files)), |source: Arc<dyn Source>, deletion| {
        let Deletion { id, below, range, .. } = *deletion;
        let selectors = deletion.selectors.clone();
        let tombstone = Tombstone { id, blocks_below: below, segments_below: 0, range, selectors };
        source.without(&tombstone).unwrap_or(source)
    })
}

/// Where the caches are, and how large. Who has no data folder keeps nothing on a disk.
fn cache_options(engine: &Engine, options: &ColdOptions, only_reads: bool) -> CacheOptions {
    let mut cache = CacheOptions::new(engine.options().data_dir.join("cache"));
    cache.files_stay = options.around_caches;
    if !options.around_caches {
        cache.l1_bytes = options.cache_l1_bytes;
        cache.l2_bytes = if only_reads { 0 } else { options.cache_l2_bytes };
    }
    // Copies leave the disk well before writes are refused for want of room.
    cache.disk_free_min = engine.options().disk_floor_bytes.unwrap_or(1 << 30).saturating_mul(2);
    cache
}

impl std::fmt::Debug for Cold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cold").field("options", &self.options).finish_non_exhaustive()
    }
}

fn random() -> u64 {
    RandomState::new().hash_one(0)
}
