//! What changes the tier: demotion, expiry, deletion by writing anew, and the removal of files that nobody needs.
//!
//! Each change is one commit of the tier's manifest. `docs/cold-tier.md` has the order, and what a crash leaves.

use crate::cold::{Cold, Done, Job};
use crate::downsampling::is_hidden;
use crate::error::{ColdError, Result};
use crate::input::DayInput;
use crate::options::Interop;
use crate::plan::{Plan, Situation};
use crate::remote::NoAnswer;
use crate::source::DayFiles;
use crate::state::Pending;
use mytsdb_blocks::{BlockError, Tombstone};
use mytsdb_engine::{EngineError, StoredBlock, TakenOut};
use mytsdb_parquet_tier::{Day, Deletion, FileId, LiveDay, TierError, Uploaded};
use mytsdb_stop::StopSign;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Bytes of files for each byte of blocks, at most about: rows take twice as much.
const FILES_PER_BLOCK: u64 = 3;

/// Bytes of deletions in a manifest.
const DELETION_BYTES_MAX: usize = 16 << 20;

impl Cold {
    /// Demotes the oldest blocks, if they are old enough.
    pub(crate) fn demote(&self, job: &mut Job, stop: StopSign<'_>, done: &mut Done) -> Result<()> {
        let blocks = self.engine.stored_blocks();
        let plan = self.plan(job, &blocks);
        done.waits_for_room = match &plan {
            Some(plan) => !self.has_room(job, plan, &blocks)?,
            None => false,
        };
        self.metrics.waits_for_room.set(f64::from(u8::from(done.waits_for_room)));
        if plan.is_none() || done.waits_for_room {
            return Ok(());
        }
        let mut plan = None;
        let taken = self.engine.take_out(|blocks| {
            plan = self.plan(job, blocks);
            plan.as_ref().map(|plan| plan.blocks.clone()).unwrap_or_default()
        });
        let Some(plan) = plan else { return Ok(()) };
        let samples = |stored: &[StoredBlock]| {
            stored.iter().filter(|block| plan.blocks.contains(&block.id)).map(|block| block.samples).sum()
        };
        let demoted_samples = samples(&self.engine.stored_blocks());
        let mut numbers = taken.numbers();
        let written = self.write_days(job, &plan.days, &taken, &mut numbers, stop);
        let written = written.inspect_err(|error| {
            if is_lasting(error) {
                job.failed.extend(&plan.blocks);
            }
        })?;
        done.files_written += written.iter().map(|added| added.day().files.len()).sum::<usize>();
        done.bytes_written += written.iter().map(|added| added.day().bytes()).sum::<u64>();
        self.commit(job, written, &plan.days, &plan.blocks, &taken)?;
        self.metrics.demotions.inc();
        self.metrics.demoted.add(demoted_samples);
        (done.demoted_blocks, done.demoted_samples) = (plan.blocks.len(), demoted_samples);
        Ok(())
    }

    /// Whether the disk of the data folder has room for the files of a plan, in the spool folder and, if it is there too, in the tier.
    fn has_room(&self, job: &Job, plan: &Plan, blocks: &[StoredBlock]) -> Result<bool> {
        let blocks: u64 = blocks.iter().filter(|b| plan.blocks.contains(&b.id)).map(|b| b.bytes).sum();
        let of_days = job.served.values().filter(|files| plan.days.contains(&files.live.day));
        let files: u64 = of_days.map(|files| files.live.bytes()).sum();
        let twice = if self.options.interop == Interop::ParquetCommon { 2 } else { 1 };
        let written = blocks.saturating_mul(FILES_PER_BLOCK * twice).saturating_add(files);
        let floor = self.engine.disk_floor_bytes();
        // A tier elsewhere frees the disk: half of the floor is left to flushes meanwhile. One on the disk stays well away from where writes
        // are refused.
        let needed = if self.options.shares_disk {
            written.saturating_mul(2).saturating_add(floor.saturating_mul(2))
        } else {
            written.saturating_add(floor / 2)
        };
        let dir = &self.engine.options().data_dir;
        let free = self.disk.free_bytes(dir).map_err(ColdError::io("ask for room in", dir))?;
        Ok(free >= needed)
    }

    fn plan(&self, job: &Job, blocks: &[StoredBlock]) -> Option<Plan> {
        let after_ms = self.options.after_ms.max(crate::ColdOptions::AFTER_MS_MIN);
        let mut written_ms: BTreeMap<Day, u64> = BTreeMap::new();
        for files in job.served.values().filter(|files| files.live.resolution.is_none()) {
            let written = written_ms.entry(files.live.day).or_default();
            *written = (*written).max(files.live.id.time_ms());
        }
        let situation = Situation {
            blocks,
            written_ms: &written_ms,
            before_ms: self.engine.settled_now_ms().saturating_sub(after_ms),
            quiet_since_ms: self.now_ms().saturating_sub(after_ms.unsigned_abs()),
            failed: &job.failed,
        };
        situation.plan()
    }

    /// Writes days from blocks and the files that they have, and uploads what came of it.
    fn write_days(
        &self,
        job: &Job,
        days: &[Day],
        taken: &TakenOut,
        numbers: &mut std::ops::Range<u64>,
        stop: StopSign<'_>,
    ) -> Result<Vec<Uploaded>> {
        let writing = self.writing(job, stop)?;
        let live: Vec<LiveDay> = writing.tier.manifest().days.clone();
        let mut uploaded = Vec::new();
        for day in days {
            let input = DayInput::open(*day, taken, &live, &self.remote, stop)?;
            uploaded.extend(self.numbered(writing.day(&input, || self.new_id())?, numbers)?);
        }
        Ok(uploaded)
    }

    /// Files without a name are no part of what the data folder is, and go to the real disk whatever holds that.
    #[expect(clippy::disallowed_methods, reason = "the files in it are written by the system's own calls too")]
    pub(crate) fn make_spool(&self) -> Result<()> {
        let spool = &self.options.spool;
        std::fs::create_dir_all(spool).map_err(ColdError::io("create folder", spool))
    }

    /// Makes files live, and those not that the days had with the buckets made from them, and drops the blocks.
    fn commit(&self, job: &mut Job, add: Vec<Uploaded>, days: &[Day], blocks: &[u64], taken: &TakenOut) -> Result<()> {
        let of_days = || job.served.values().map(|files| &files.live).filter(|live| days.contains(&live.day));
        let is_rewritten = |id: &FileId| of_days().any(|live| live.resolution.is_none() && live.id == *id);
        // Buckets whose samples have gone stay: there is nothing to make them from.
        let gone: Vec<FileId> = of_days()
            .filter(|live| live.resolution.is_none() || is_hidden(live, is_rewritten))
            .map(|live| live.id)
            .collect();
        job.state.number = job.state.number.max(taken.numbers().end - 1);
        self.commit_files(job, add, gone, blocks)
    }

    pub(crate) fn commit_files(
        &self,
        job: &mut Job,
        add: Vec<Uploaded>,
        gone: Vec<FileId>,
        blocks: &[u64],
    ) -> Result<()> {
        let tier = job.tier.clone().ok_or(EngineError::Canceled)?;
        let files = add.iter().map(|added| added.day().id.to_string()).collect();
        // From here on a start knows that files with these numbers may be live.
        job.state.pending = Some(Pending { seq: tier.manifest().seq + 1, blocks: blocks.to_vec(), files });
        job.file.write(&*self.disk, &job.state)?;
        let now_ms = self.now_ms();
        let stays = job.served.values().map(|files| &files.live).filter(|live| !gone.contains(&live.id));
        let coming = add.iter().map(Uploaded::day);
        let about = |deletion: &Tombstone| {
            stays.clone().any(|live| is_about(deletion, live)) || coming.clone().any(|live| is_about(deletion, live))
        };
        let deletions = self.deletions(about);
        let work = async move { tier.commit_with(add, &gone, deletions, now_ms).await };
        // Not to be stopped: it is one small object, and then its outcome is known.
        let manifest = self.remote.ask(StopSign::NEVER, work).map_err(NoAnswer::into_cold)?;
        self.settle(job, &manifest)
    }

    /// The deletions that a manifest is to name; those for which it has no room are counted.
    fn deletions(&self, about: impl Fn(&Tombstone) -> bool) -> Vec<Deletion> {
        let (mut named, mut bytes, mut left_out) = (Vec::new(), 0usize, 0u32);
        for tombstone in self.engine.deletions().into_iter().filter(about) {
            let Tombstone { id, blocks_below, range, selectors, .. } = tombstone;
            let deletion = Deletion::new(id, blocks_below, range, selectors);
            bytes = bytes.saturating_add(deletion.json_bytes());
            if bytes <= DELETION_BYTES_MAX {
                named.push(deletion);
            } else {
                left_out += 1;
            }
        }
        self.metrics.deletions_left_out.set(f64::from(left_out));
        named
    }

    /// Writes a manifest if the newest does not say what is deleted, so that who only reads does not show it.
    pub(crate) fn publish_deletions(&self, job: &mut Job) -> Result<()> {
        let Some(tier) = job.tier.clone() else { return Ok(()) };
        let about = |deletion: &Tombstone| job.served.values().any(|files| is_about(deletion, &files.live));
        if self.deletions(about) == tier.manifest().deletions {
            return Ok(());
        }
        self.commit_files(job, Vec::new(), Vec::new(), &[])
    }

    /// Takes out days that hold nothing within the retention, or, of buckets, within what rules say. Samples stay until buckets were made
    /// of them. Then the oldest, while they are on the disk of the data folder and larger than allowed together with blocks and log: samples
    /// before buckets, which are small.
    pub(crate) fn expire(&self, job: &mut Job) -> Result<usize> {
        let now_ms = self.engine.settled_now_ms();
        let live: Vec<LiveDay> = job.served.values().map(|files| (*files.live).clone()).collect();
        let due: BTreeSet<Day> = self.due(job, &live).into_iter().map(|due| due.day).collect();
        let keeps = |resolution| self.options.downsample.iter().filter_map(|rule| rule.keeps(resolution)).max();
        let has_expired = |live: &&LiveDay| {
            // Without a rule buckets stay: a line taken out of the settings deletes nothing.
            let keep_ms = match live.resolution {
                None => (!due.contains(&live.day)).then_some(self.engine.options().retention_ms),
                Some(resolution) => keeps(resolution),
            };
            keep_ms.is_some_and(|keep_ms| live.range.maxt < now_ms.saturating_sub(keep_ms))
        };
        let most = self.engine.options().retention_bytes.filter(|_| self.options.shares_disk);
        let mut bytes =
            self.engine.wal_bytes() + self.engine.stored_blocks().iter().map(|block| block.bytes).sum::<u64>();
        let (mut gone, mut stays): (Vec<&LiveDay>, Vec<&LiveDay>) = live.iter().partition(has_expired);
        bytes += stays.iter().map(|live| live.bytes()).sum::<u64>();
        stays.sort_by_key(|live| (live.resolution.is_some(), live.range.maxt, live.number));
        gone.extend(stays.into_iter().take_while(|live| {
            let too_much = most.is_some_and(|most| bytes > most);
            bytes -= if too_much { live.bytes() } else { 0 };
            too_much
        }));
        let gone: Vec<FileId> = gone.into_iter().map(|live| live.id).collect();
        let count = gone.len();
        if count > 0 {
            self.commit_files(job, Vec::new(), gone, &[])?;
            self.metrics.expired.add(count as u64);
        }
        Ok(count)
    }

    /// Deletes files that no manifest names any more, now and then.
    pub(crate) fn collect(&self, job: &mut Job, stop: StopSign<'_>, done: &mut Done) -> Result<()> {
        let (now_ms, grace_ms) = (self.now_ms(), self.options.grace_ms);
        if job.collected_ms.is_some_and(|last| now_ms.saturating_sub(last) < grace_ms) {
            return Ok(());
        }
        let Some(tier) = job.tier.clone() else { return Ok(()) };
        let manifests_min = self.options.manifests_min;
        let work = async move { tier.collect(now_ms, grace_ms, manifests_min).await };
        let collected = self.remote.ask(stop, work).map_err(NoAnswer::into_cold)?;
        job.collected_ms = Some(now_ms);
        done.files_deleted = collected.files;
        self.metrics.deleted.add(collected.files);
        Ok(())
    }

    /// Writes days anew of which something is deleted.
    pub(crate) fn clean(&self, job: &mut Job, stop: StopSign<'_>) -> Result<usize> {
        let mut count = 0;
        let taken = self.engine.take_out(|_| Vec::new());
        let mut numbers = taken.numbers();
        let days: BTreeSet<Day> = job.served.values().map(|files| files.live.day).collect();
        for day in days {
            let (mut is_hit, mut buckets_hit) = (false, Vec::new());
            // Buckets that nobody sees go with the samples that they were made from.
            let of_day: Vec<Arc<DayFiles>> =
                job.served.values().filter(|f| f.live.day == day && job.shown.contains(&f.live.id)).cloned().collect();
            for files in &of_day {
                for deletion in taken.deletions().iter().filter(|deletion| files.may_be_hit(deletion)) {
                    if hides_any(files, deletion, stop)? {
                        match files.live.resolution {
                            None => is_hit = true,
                            Some(_) if buckets_hit.iter().any(|hit| Arc::ptr_eq(hit, files)) => {}
                            Some(_) => buckets_hit.push(files.clone()),
                        }
                    } else {
                        files.note_harmless(deletion.id);
                    }
                }
            }
            if is_hit {
                let written = self.write_days(job, &[day], &taken, &mut numbers, stop)?;
                count += written.len();
                self.commit(job, written, &[day], &[], &taken)?;
            }
            for files in buckets_hit {
                count += self.clean_buckets(job, &files, &taken, &mut numbers, stop)?;
            }
        }
        Ok(count)
    }
}

/// Whether a deletion may hide samples of files.
fn is_about(deletion: &Tombstone, live: &LiveDay) -> bool {
    live.number < deletion.blocks_below && deletion.range.overlaps(live.range)
}

/// Whether files have series with samples that a deletion is about.
fn hides_any(files: &DayFiles, deletion: &Tombstone, stop: StopSign<'_>) -> Result<bool> {
    for selector in &deletion.selectors {
        let (matchers, range) = (selector.clone(), deletion.range);
        let found = files.read(stop, move |reader| async move { reader.select(&matchers, range).await })?;
        if !found.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the same demotion would fail again.
pub(crate) fn is_lasting(error: &ColdError) -> bool {
    match error {
        ColdError::Engine(EngineError::Block(error)) => !matches!(**error, BlockError::Io { .. }),
        ColdError::Tier(error) => !matches!(
            error,
            TierError::Store { .. } | TierError::Timeout { .. } | TierError::Io { .. } | TierError::Unverified { .. }
        ),
        _ => false,
    }
}
