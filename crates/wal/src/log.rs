//! The writer: collects a group, commits it with one write and one sync, and moves on to the next segment.

use crate::checkpoint::CheckpointWriter;
use crate::frame::{FrameBuffer, PAYLOAD_BYTES_TARGET, Place};
use crate::header::{FILE_HEADER_BYTES, FileHeader, FileKind};
use crate::record;
use crate::segment::{UNPUBLISHED, parse_names};
use crate::{ReplayReport, Rows, SegmentId, WalError};
use mytsdb_io::{Disk, DiskFile};
use mytsdb_model::{Exemplar, FamilyMetadata, Labels, SeriesRef};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Syncs whose times are kept until somebody asks.
const SYNCS_KEPT_MAX: usize = 16;

/// What `Ok` from [`Wal::commit`] means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The group is on the disk: it survives a power cut.
    Fsync,
    /// The operating system has the group: it survives a crash of the process. The owner calls [`Wal::sync`] or [`Wal::begin_sync`] on its own clock.
    Interval,
    /// As `Interval`, but nobody calls [`Wal::sync`] between groups: the operating system writes back when it likes, at the
    /// latest when a segment is closed.
    Buffered,
}

/// How a log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalOptions {
    /// A commit that would make a segment larger starts the next one. A single group may be larger.
    pub segment_bytes_max: u64,
    /// A frame is closed before its payload passes this, unless one record is larger. What one damaged byte can cost.
    pub frame_bytes_max: usize,
    /// What `Ok` from a commit means.
    pub durability: Durability,
}

impl Default for WalOptions {
    /// 64 MiB, 1 MiB, fsync.
    fn default() -> Self {
        Self { segment_bytes_max: 64 << 20, frame_bytes_max: PAYLOAD_BYTES_TARGET, durability: Durability::Fsync }
    }
}

struct Segment {
    id: SegmentId,
    /// 0 if it is older than the checkpoint that was replayed.
    first_sequence: u64,
    bytes: u64,
}

/// The one writer of a log. Replay first, then open.
///
/// The pending group holds whatever was logged since the last commit; the owner bounds it by committing.
pub struct Wal {
    disk: Arc<dyn Disk>,
    pub(crate) dir: PathBuf,
    options: WalOptions,
    /// Ascending; the last one is written.
    segments: Vec<Segment>,
    file: Box<dyn DiskFile>,
    /// Another handle on the same file, for a sync beside the log; none while that runs.
    pub(crate) beside: Option<Box<dyn DiskFile>>,
    pub(crate) next_sequence: u64,
    pub(crate) durable_sequence: u64,
    series: FrameBuffer,
    samples: FrameBuffer,
    /// The group as it is written; kept for its allocation.
    group: FrameBuffer,
    /// The current segment must not be written any more: its tail is unknown, or its successor may exist.
    must_switch: bool,
    poisoned: Option<String>,
    /// How long the disk took for the syncs since somebody asked.
    syncs: Vec<Duration>,
}

impl Wal {
    /// Opens the log in `dir` for writing, after [`replay`](crate::replay()) of the same directory has returned `replayed`.
    ///
    /// Always starts a fresh segment, and syncs what the last process wrote: it was just replayed, so it must last.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        options: WalOptions,
        replayed: &ReplayReport,
    ) -> Result<Wal, WalError> {
        disk.create_dir_all(dir).map_err(WalError::disk("create directory", dir))?;
        for name in disk.list(dir).map_err(WalError::disk("list", dir))? {
            if name.ends_with(UNPUBLISHED) {
                remove(&*disk, &dir.join(name))?;
            }
        }
        if let Some((last, _, _)) = replayed.files.last() {
            let path = last.wal_path(dir);
            let mut file = disk.open(&path).map_err(WalError::disk("open", &path))?;
            file.sync_data().map_err(WalError::disk("sync", &path))?;
        }
        let (id, first_sequence) = (replayed.next_segment, replayed.next_sequence);
        let mut file = create_segment(&*disk, dir, id, first_sequence)?;
        sync_created(&*disk, dir, id, &mut *file)?;
        let beside = open_beside(&*disk, dir, id, options)?;
        let old = replayed.files.iter().map(|&(id, first_sequence, bytes)| Segment { id, first_sequence, bytes });
        let new = Segment { id, first_sequence, bytes: FILE_HEADER_BYTES as u64 };
        Ok(Wal {
            disk,
            dir: dir.to_path_buf(),
            options,
            segments: old.chain([new]).collect(),
            file,
            beside,
            next_sequence: first_sequence,
            durable_sequence: first_sequence - 1,
            series: FrameBuffer::new(options.frame_bytes_max),
            samples: FrameBuffer::new(options.frame_bytes_max),
            group: FrameBuffer::new(options.frame_bytes_max),
            must_switch: false,
            poisoned: None,
            syncs: Vec::new(),
        })
    }

    /// Adds a series definition to the pending group, ahead of all samples in it.
    ///
    /// It stays pending until a commit succeeds, so a failed commit never leaves later samples without their series.
    pub fn log_series(&mut self, series: SeriesRef, labels: &Labels) {
        if self.poisoned.is_none() {
            record::put_series(&mut self.series, series, labels);
        }
    }

    /// Adds samples to the pending group.
    ///
    /// # Panics
    /// If the columns differ in length.
    pub fn log_samples(&mut self, refs: &[SeriesRef], timestamps_ms: &[i64], values: &[f64]) {
        if self.poisoned.is_none() {
            record::put_samples(&mut self.samples, refs, timestamps_ms, values);
        }
    }

    /// Adds samples of both kinds, or with start times, to the pending group, as one record.
    ///
    /// # Panics
    /// If the rows are not as their fields say.
    pub fn log_rows(&mut self, rows: &Rows<'_>) {
        if self.poisoned.is_none() {
            record::put_rows(&mut self.samples, rows);
        }
    }

    /// Adds what is known of a metric to the pending group. If the commit fails it is gone, as samples are.
    ///
    /// # Panics
    /// If name or unit have more than 65,535 bytes, the help more than 1 MiB, or there is no name.
    pub fn log_metadata(&mut self, family: &str, metadata: &FamilyMetadata) {
        if self.poisoned.is_none() {
            record::put_metadata(&mut self.samples, family, metadata);
        }
    }

    /// Adds exemplars of a series to the pending group.
    pub fn log_exemplars(&mut self, series: &Labels, exemplars: &[&Exemplar]) {
        if self.poisoned.is_none() {
            record::put_exemplars(&mut self.samples, series, exemplars);
        }
    }

    /// Bytes that the current segment takes before a commit begins the next one, which syncs; 0 if the next one does so anyway.
    pub fn segment_bytes_left(&self) -> u64 {
        let bytes = self.segments.last().map_or(0, |segment| segment.bytes);
        if self.must_switch { 0 } else { self.options.segment_bytes_max.saturating_sub(bytes) }
    }

    /// Bytes in the pending group.
    pub fn pending_bytes(&self) -> usize {
        self.series.len() + self.samples.len()
    }

    /// Writes the pending group with one write, and with [`Durability::Fsync`] syncs it. Without a group does nothing.
    ///
    /// # Errors
    /// What the group has beside series definitions is dropped and not acknowledged (a crash may still bring it back); its
    /// series stay pending. After [`WalError::Poisoned`] nothing is taken any more; after any other error the log can go on.
    pub fn commit(&mut self) -> Result<(), WalError> {
        // Comes first: a poisoned log drops what is logged, and an empty group must not be reported as durable.
        self.check_poison()?;
        if self.series.is_empty() && self.samples.is_empty() {
            return Ok(());
        }
        let written = self.write_group();
        self.samples.clear();
        self.group.clear();
        written?;
        self.series.clear();
        match self.options.durability {
            Durability::Fsync => self.sync(),
            Durability::Interval | Durability::Buffered => Ok(()),
        }
    }

    fn write_group(&mut self) -> Result<(), WalError> {
        if let Err(error) = self.series.check_sizes() {
            self.series.forget_too_large();
            return Err(error);
        }
        if self.series.is_empty() {
            std::mem::swap(&mut self.group, &mut self.samples);
        } else {
            self.group.append(&self.series);
            self.group.append(&self.samples);
        }
        let group_bytes = self.group.len() as u64;
        let current = self.current();
        let full =
            current.bytes > FILE_HEADER_BYTES as u64 && current.bytes + group_bytes > self.options.segment_bytes_max;
        if full || self.must_switch {
            self.switch_segment()?;
        }
        let Segment { id, bytes: offset, .. } = *self.current();
        let place = Place { kind: FileKind::Segment, segment: id, offset };
        self.group.seal(place, self.next_sequence, self.durable_sequence);
        if let Err(source) = self.file.append(self.group.bytes()) {
            self.must_switch = self.file.truncate(offset).is_err();
            return Err(WalError::disk("write", &id.wal_path(&self.dir))(source));
        }
        self.next_sequence += self.group.frame_count();
        self.segments.last_mut().expect("a log has a segment").bytes += group_bytes;
        Ok(())
    }

    /// Makes all committed groups durable. Does nothing if they are.
    ///
    /// # Errors
    /// [`WalError::Poisoned`]: the log takes nothing until it is opened again. The sync is never repeated.
    pub fn sync(&mut self) -> Result<(), WalError> {
        self.check_poison()?;
        if self.durable_sequence + 1 < self.next_sequence {
            let path = self.current().id.wal_path(&self.dir);
            let begun = Instant::now();
            let synced = self.file.sync_data().map_err(WalError::disk("sync", &path));
            self.note_sync(begun.elapsed());
            self.poison_on_error(synced)?;
            self.durable_sequence = self.next_sequence - 1;
        }
        Ok(())
    }

    pub(crate) fn note_sync(&mut self, took: Duration) {
        if self.syncs.len() < SYNCS_KEPT_MAX {
            self.syncs.push(took);
        }
    }

    /// How long each sync took since the last call, at most 16 of them.
    pub fn take_syncs(&mut self) -> std::vec::Drain<'_, Duration> {
        self.syncs.drain(..)
    }

    /// Makes sure that everything committed lies in segments below the one returned, which is now the current one.
    ///
    /// The pending group stays pending. A current segment without commits is kept.
    ///
    /// # Errors
    /// If the disk fails; the log can go on unless it is [`WalError::Poisoned`].
    pub fn rotate(&mut self) -> Result<SegmentId, WalError> {
        self.check_poison()?;
        if self.is_begun() {
            self.switch_segment()?;
        }
        Ok(self.current().id)
    }

    /// The segment that [`rotate`](Self::rotate) would return now.
    pub fn next_boundary(&self) -> SegmentId {
        if self.is_begun() { self.current().id.next() } else { self.current().id }
    }

    fn is_begun(&self) -> bool {
        self.current().bytes > FILE_HEADER_BYTES as u64 || self.must_switch
    }

    fn switch_segment(&mut self) -> Result<(), WalError> {
        self.sync()?;
        let id = self.current().id.next();
        // From here on the next segment may exist. Its first sequence would invalidate anything that is added to this one.
        self.must_switch = true;
        let mut file = create_segment(&*self.disk, &self.dir, id, self.next_sequence)?;
        let synced = sync_created(&*self.disk, &self.dir, id, &mut *file);
        self.poison_on_error(synced)?;
        self.beside = open_beside(&*self.disk, &self.dir, id, self.options)?;
        self.file = file;
        self.must_switch = false;
        self.segments.push(Segment { id, first_sequence: self.next_sequence, bytes: FILE_HEADER_BYTES as u64 });
        Ok(())
    }

    /// Begins a checkpoint that will stand for all segments below `first_segment`, which is one that
    /// [`rotate`](Self::rotate) has returned. It has its own file: the log can be written meanwhile.
    ///
    /// # Errors
    /// If the disk fails, or `first_segment` is not part of the log.
    pub fn checkpoint(&self, first_segment: SegmentId) -> Result<CheckpointWriter, WalError> {
        let segment = self.segments.iter().find(|s| s.id == first_segment && s.first_sequence > 0);
        let Some(segment) = segment else {
            return Err(WalError::Segment { segment: first_segment, reason: "not part of the log" });
        };
        let (id, first_sequence) = (segment.id, segment.first_sequence);
        CheckpointWriter::create(Arc::clone(&self.disk), &self.dir, id, first_sequence, self.options.frame_bytes_max)
    }

    /// Removes segments and checkpoints below `segment`, once a checkpoint of that name is published.
    ///
    /// A crash or error on the way leaves files that the next call removes.
    ///
    /// # Errors
    /// If the disk fails, or there is no such checkpoint.
    pub fn truncate_before(&mut self, segment: SegmentId) -> Result<(), WalError> {
        while self.truncate_some_before(segment)? {}
        Ok(())
    }

    /// A part of what [`truncate_before`](Self::truncate_before) does, at most one segment, so that others may commit in between; tells
    /// whether there may be more to do.
    ///
    /// # Errors
    /// As there.
    pub fn truncate_some_before(&mut self, segment: SegmentId) -> Result<bool, WalError> {
        self.check_poison()?;
        let list = |disk: &dyn Disk, dir: &Path| disk.list(dir).map_err(WalError::disk("list", dir));
        let (_, checkpoints) = parse_names(&list(&*self.disk, &self.dir)?);
        if !checkpoints.contains(&segment) {
            return Err(WalError::Segment { segment, reason: "has no published checkpoint" });
        }
        let mut removed = false;
        // Older checkpoints first: one without its segments must never be the newest that is whole.
        for id in checkpoints.into_iter().filter(|id| *id < segment) {
            remove(&*self.disk, &id.checkpoint_path(&self.dir))?;
            removed = true;
        }
        if removed {
            self.sync_dir()?;
            return Ok(true);
        }
        if self.segments.len() > 1 && self.segments[0].id < segment {
            remove(&*self.disk, &self.segments[0].id.wal_path(&self.dir))?;
            self.segments.remove(0);
            return Ok(true);
        }
        self.sync_dir()?;
        Ok(false)
    }

    /// Bytes in all segments.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.bytes).sum()
    }

    /// The segment that commits go to.
    pub fn current_segment(&self) -> SegmentId {
        self.current().id
    }

    /// Why the log accepts nothing any more; `None` if it does.
    pub fn poisoned(&self) -> Option<&str> {
        self.poisoned.as_deref()
    }

    fn current(&self) -> &Segment {
        self.segments.last().expect("a log has a segment")
    }

    fn sync_dir(&self) -> Result<(), WalError> {
        self.disk.sync_dir(&self.dir).map_err(WalError::disk("sync directory", &self.dir))
    }

    pub(crate) fn check_poison(&self) -> Result<(), WalError> {
        match &self.poisoned {
            Some(reason) => Err(WalError::Poisoned { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    pub(crate) fn poison_on_error(&mut self, synced: Result<(), WalError>) -> Result<(), WalError> {
        if let Err(error) = synced {
            self.poisoned = Some(error.to_string());
            self.series.clear();
            self.samples.clear();
        }
        self.check_poison()
    }
}

fn create_segment(
    disk: &dyn Disk,
    dir: &Path,
    id: SegmentId,
    first_sequence: u64,
) -> Result<Box<dyn DiskFile>, WalError> {
    let path = id.wal_path(dir);
    let mut file = disk.create(&path).map_err(WalError::disk("create", &path))?;
    let header = FileHeader { kind: FileKind::Segment, segment: id, first_sequence };
    file.append(&header.encode()).map_err(WalError::disk("write", &path))?;
    Ok(file)
}

/// The handle for syncs beside the log, if there will be any.
fn open_beside(
    disk: &dyn Disk,
    dir: &Path,
    id: SegmentId,
    options: WalOptions,
) -> Result<Option<Box<dyn DiskFile>>, WalError> {
    if options.durability != Durability::Interval {
        return Ok(None);
    }
    let path = id.wal_path(dir);
    Ok(Some(disk.open(&path).map_err(WalError::disk("open", &path))?))
}

fn sync_created(disk: &dyn Disk, dir: &Path, id: SegmentId, file: &mut dyn DiskFile) -> Result<(), WalError> {
    file.sync_data().map_err(WalError::disk("sync", &id.wal_path(dir)))?;
    disk.sync_dir(dir).map_err(WalError::disk("sync directory", dir))
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<(), WalError> {
    match disk.remove(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other.map_err(WalError::disk("remove", path)),
    }
}
