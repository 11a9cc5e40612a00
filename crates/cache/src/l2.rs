//! L2: packed chunks in segments on the disk, which are read as memory maps and survive a restart.
//!
//! New entries gather in memory until they fill a segment, which is then written once, by whoever put the last entry there. When there is too
//! much the oldest segment goes; of its entries those that were read since they were put there come again behind the newest, in bounds.
//! Nothing is synced and nothing is believed: what a file has is a copy, and every byte is verified before it is used.

use crate::error::CacheError;
use crate::key::ChunkKey;
use crate::metrics::Metrics;
use crate::options::CacheOptions;
use crate::payload::{decode_entry, encode_entry};
use crate::queues::Live;
use crate::segment::{EntryRow, SegmentTable, SegmentWriter};
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use mytsdb_columns::Columns;
use mytsdb_io::{Disk, Mapped};
use mytsdb_sync::atomic::{AtomicBool, Ordering};
use parking_lot::RwLock;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Segments that there should be at least: the oldest one goes as a whole.
const SEGMENTS_USUAL: u64 = 64;

/// Size at which a segment is written.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 1 << 10..=8 << 20;

/// Most segments: restarts leave small ones.
const SEGMENTS_MAX: usize = 8_192;

/// Bytes of files for each entry that there may be: a bound on the memory that entries take.
const BYTES_PER_ENTRY: u64 = 512;

const SUFFIX: &str = ".seg";
const UNFINISHED: &str = ".seg.tmp";

/// Packed chunks by key, in bounds.
pub(crate) struct L2 {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    bytes_max: u64,
    segment_bytes: usize,
    disk_free_min: u64,
    state: RwLock<State>,
    metrics: Metrics,
}

struct State {
    index: HashMap<ChunkKey, Slot, FixedState>,
    /// The oldest first.
    segments: VecDeque<Arc<Segment>>,
    /// Bytes of these.
    bytes: u64,
    /// What is not in a segment yet.
    pending: SegmentWriter,
    next_number: u64,
    live: Live,
}

/// A file, or the same in memory until it is written.
struct Segment {
    number: u64,
    bytes: u64,
    file: RwLock<Mapped>,
    keys: Box<[ChunkKey]>,
}

/// Where an entry is.
struct Slot {
    /// `None`: what is not in a segment yet.
    segment: Option<Arc<Segment>>,
    row: EntryRow,
    /// It was read since it was put there.
    used: AtomicBool,
}

impl Slot {
    fn is_in(&self, segment: &Arc<Segment>) -> bool {
        self.segment.as_ref().is_some_and(|own| Arc::ptr_eq(own, segment))
    }
}

impl L2 {
    /// Opens what earlier runs have left. Files that do not verify, and those that were not finished, are removed; so are all if
    /// this level is off, unless they are to stay.
    pub fn open(disk: Arc<dyn Disk>, options: &CacheOptions, metrics: Metrics) -> Result<Self, CacheError> {
        let bytes_max = options.l2_bytes;
        let segment_bytes = (bytes_max / SEGMENTS_USUAL).clamp(*SEGMENT_BYTES.start(), *SEGMENT_BYTES.end()) as usize;
        let state = State {
            index: HashMap::default(),
            segments: VecDeque::new(),
            bytes: 0,
            pending: SegmentWriter::new(0),
            next_number: 1,
            live: Live::default(),
        };
        let l2 = Self {
            disk,
            dir: options.dir.clone(),
            bytes_max,
            segment_bytes,
            disk_free_min: options.disk_free_min,
            state: RwLock::new(state),
            metrics,
        };
        if l2.is_on() {
            l2.disk.create_dir_all(&l2.dir).map_err(CacheError::io("create folder", &l2.dir))?;
        }
        if l2.is_on() || !options.files_stay {
            l2.load()?;
        }
        Ok(l2)
    }

    pub fn is_on(&self) -> bool {
        self.bytes_max > 0
    }

    /// Files of other names are somebody else's and stay.
    fn load(&self) -> Result<(), CacheError> {
        let names = match self.disk.list(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_on() => return Ok(()),
            names => names.map_err(CacheError::io("list folder", &self.dir))?,
        };
        let mut state = self.state.write();
        for name in names {
            let unfinished = name.strip_suffix(".tmp").and_then(number_of);
            let Some(number) = number_of(&name).or(unfinished) else { continue };
            let path = self.dir.join(&name);
            let is_whole = self.is_on() && unfinished.is_none();
            match is_whole.then(|| (number, self.open_segment(&path, number))) {
                Some((number, Ok((file, rows)))) => {
                    state.next_number = state.next_number.max(number.saturating_add(1));
                    state.add(number, file, rows);
                }
                Some((_, Err(error @ CacheError::Io { .. }))) => return Err(error),
                Some((_, Err(_))) => {
                    self.metrics.damaged.inc();
                    self.disk.remove(&path).map_err(CacheError::io("remove", &path))?;
                }
                None => self.disk.remove(&path).map_err(CacheError::io("remove", &path))?,
            }
        }
        let gone = self.make_room(&mut state);
        let number = state.take_number();
        state.pending = SegmentWriter::new(number);
        self.report(&state);
        drop(state);
        self.remove_files(&gone);
        Ok(())
    }

    fn open_segment(&self, path: &Path, number: u64) -> Result<(Mapped, Vec<EntryRow>), CacheError> {
        let file = self.disk.map(path).map_err(CacheError::io("map", path))?;
        let table = SegmentTable::read(&file, number)?;
        Ok((file, table.rows))
    }

    /// The samples of a key, if they are there and are as many.
    pub fn get(&self, key: &ChunkKey, samples: u64) -> Option<Columns> {
        if !self.is_on() {
            return None;
        }
        let found = self.look_up(key, samples);
        if found.is_some() {
            self.metrics.l2.hits.inc();
        } else {
            self.metrics.l2.misses.inc();
        }
        found
    }

    fn look_up(&self, key: &ChunkKey, samples: u64) -> Option<Columns> {
        let state = self.state.read();
        let slot = state.index.get(key)?;
        // Relaxed: it says only that the entry is worth keeping.
        slot.used.store(true, Ordering::Relaxed);
        let row = slot.row;
        let Some(segment) = slot.segment.clone() else {
            // In our own memory, but the encoder is believed no more than the disk.
            let read = read_entry(state.pending.bytes(), &row, samples);
            drop(state);
            return read.map_err(|_| self.drop_damaged(&row, None)).ok();
        };
        drop(state);
        let file = segment.file.read().clone();
        read_entry(&file, &row, samples).map_err(|_| self.drop_damaged(&row, Some(&segment))).ok()
    }

    /// Whether there is an entry of a key, verified or not. That is no use of it.
    pub fn has(&self, key: &ChunkKey) -> bool {
        self.is_on() && self.state.read().index.contains_key(key)
    }

    /// Keeps columns, which are in order. What is there of the key stays. Now and then that writes a file.
    pub fn put(&self, key: &ChunkKey, columns: &Columns) {
        if !self.is_on() || columns.is_empty() || self.has(key) {
            return;
        }
        let mut entry = Vec::new();
        if encode_entry(columns, &mut entry).is_err() || entry.len() > self.segment_bytes {
            self.metrics.l2.refused.inc();
            return;
        }
        let full = {
            let mut state = self.state.write();
            if state.index.contains_key(key) || !state.live.has(key) {
                return;
            }
            state.push(*key, &entry);
            (state.pending.file_bytes() >= self.segment_bytes).then(|| state.seal())
        };
        if let Some(segment) = full.flatten() {
            self.write(&segment);
        }
    }

    /// Writes what is not in a file yet.
    pub fn persist(&self) {
        let sealed = self.state.write().seal();
        if let Some(segment) = sealed {
            self.write(&segment);
        }
    }

    /// Forgets what is no copy of these files, and takes no such thing from now on: segments that have some of it go as a whole, but for what was
    /// read since it was put there.
    pub fn keep_only(&self, live: &Live) {
        if !self.is_on() {
            return;
        }
        let keep = |key: &ChunkKey| live.has(key);
        let mut state = self.state.write();
        state.live = live.clone();
        if state.index.keys().all(&keep) && state.segments.iter().all(|segment| segment.keys.iter().all(&keep)) {
            return;
        }
        state.index.retain(|key, slot| keep(key) || slot.segment.is_some());
        // The entries of `pending` that were not kept are in its bytes still: those that were go on alone.
        state.renew_pending();
        let hit: Vec<Arc<Segment>> = state.segments.iter().filter(|s| !s.keys.iter().all(&keep)).cloned().collect();
        state.index.retain(|key, _| keep(key));
        for segment in &hit {
            state.drop_segment(segment, self.segment_bytes);
        }
        self.report(&state);
        drop(state);
        self.remove_files(&hit);
    }

    /// Writes a segment, and reads it from the disk from then on.
    fn write(&self, segment: &Arc<Segment>) {
        let mut state = self.state.write();
        let gone = self.make_room(&mut state);
        let has_room = state.has(segment);
        self.report(&state);
        drop(state);
        self.remove_files(&gone);
        if !has_room {
            return;
        }
        let written = self.write_file(segment);
        let mut gone = Vec::new();
        let mut state = self.state.write();
        if let Ok(file) = written {
            *segment.file.write() = file;
        } else {
            self.metrics.write_failures.inc();
            state.drop_segment(segment, 0);
            // The disk may be full: the oldest goes too, so that the next one has room.
            gone.extend(state.segments.front().cloned());
            for oldest in &gone {
                self.metrics.l2.evictions.add(state.drop_segment(oldest, 0));
            }
        }
        // Also if it was forgotten before its file was there.
        if !state.has(segment) {
            gone.push(segment.clone());
        }
        self.report(&state);
        drop(state);
        self.remove_files(&gone);
    }

    fn write_file(&self, segment: &Segment) -> io::Result<Mapped> {
        if self.disk.free_bytes(&self.dir)?.saturating_sub(segment.bytes) < self.disk_free_min {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let bytes = segment.file.read().clone();
        let unfinished = self.dir.join(format!("{:016x}{UNFINISHED}", segment.number));
        let path = self.path(segment);
        self.disk.create(&unfinished)?.append(&bytes)?;
        // Not synced: whatever a power cut leaves is verified before it is used.
        self.disk.rename(&unfinished, &path)?;
        self.disk.map(&path)
    }

    fn path(&self, segment: &Segment) -> PathBuf {
        self.dir.join(format!("{:016x}{SUFFIX}", segment.number))
    }

    /// Takes the oldest segments out while there is too much; their files are to be removed.
    fn make_room(&self, state: &mut State) -> Vec<Arc<Segment>> {
        let mut gone = Vec::new();
        let is_full = |state: &State| {
            state.bytes > self.bytes_max
                || state.segments.len() > SEGMENTS_MAX
                || state.index.len() as u64 > self.bytes_max / BYTES_PER_ENTRY
        };
        while is_full(state) {
            let Some(oldest) = state.segments.front().cloned() else { break };
            let left = state.drop_segment(&oldest, self.segment_bytes / 2);
            self.metrics.l2.evictions.add(left);
            gone.push(oldest);
        }
        gone
    }

    /// Drops an entry that did not verify, unless there is another one by now.
    fn drop_damaged(&self, row: &EntryRow, segment: Option<&Arc<Segment>>) {
        self.metrics.damaged.inc();
        let mut state = self.state.write();
        let is_same = state.index.get(&row.key).is_some_and(|slot| {
            let is_there = segment.map_or(slot.segment.is_none(), |segment| slot.is_in(segment));
            is_there && slot.row == *row
        });
        if is_same {
            state.index.remove(&row.key);
        }
        self.report(&state);
    }

    /// A file that cannot be removed is met again at the next start.
    fn remove_files(&self, gone: &[Arc<Segment>]) {
        for segment in gone {
            for path in [self.path(segment), self.dir.join(format!("{:016x}{UNFINISHED}", segment.number))] {
                match self.disk.remove(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => self.metrics.write_failures.inc(),
                    _ => {}
                }
            }
        }
    }

    fn report(&self, state: &State) {
        self.metrics.l2.report(state.bytes, state.index.len());
    }
}

impl State {
    fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number = number.saturating_add(1);
        number
    }

    /// Whether a segment is served.
    fn has(&self, segment: &Arc<Segment>) -> bool {
        self.segments.iter().any(|own| Arc::ptr_eq(own, segment))
    }

    /// Serves a segment.
    fn add(&mut self, number: u64, file: Mapped, rows: Vec<EntryRow>) {
        let bytes = file.len() as u64;
        let keys = rows.iter().map(|row| row.key).collect();
        let segment = Arc::new(Segment { number, bytes, file: RwLock::new(file), keys });
        for row in rows {
            let slot = Slot { segment: Some(segment.clone()), row, used: AtomicBool::new(false) };
            self.index.insert(row.key, slot);
        }
        self.bytes += bytes;
        self.segments.push_back(segment);
    }

    /// Puts an entry with those that are not in a segment yet.
    fn push(&mut self, key: ChunkKey, entry: &[u8]) {
        if let Some(row) = self.pending.push(key, entry) {
            let slot = Slot { segment: None, row, used: AtomicBool::new(false) };
            self.index.insert(key, slot);
        }
    }

    /// Makes a segment, in memory, of the entries that are in none yet; the caller writes it.
    fn seal(&mut self) -> Option<Arc<Segment>> {
        if self.pending.rows().is_empty() {
            return None;
        }
        let next = self.take_number();
        let pending = std::mem::replace(&mut self.pending, SegmentWriter::new(next));
        let number = pending.number();
        let (file, rows) = pending.finish();
        let bytes = file.len() as u64;
        let keys = rows.iter().map(|row| row.key).collect();
        let segment = Arc::new(Segment { number, bytes, file: RwLock::new(Mapped::from(file)), keys });
        for row in rows {
            // Entries that were dropped meanwhile have no place in the index, or another one.
            if let Some(slot) = self.index.get_mut(&row.key).filter(|slot| slot.segment.is_none() && slot.row == row) {
                slot.segment = Some(segment.clone());
            }
        }
        self.bytes += bytes;
        self.segments.push_back(segment.clone());
        Some(segment)
    }

    /// Makes what is not in a segment yet anew from the entries that the index still has there.
    fn renew_pending(&mut self) {
        let renewed = SegmentWriter::new(self.pending.number());
        let old = std::mem::replace(&mut self.pending, renewed);
        for row in old.rows() {
            let is_there = self.index.get(&row.key).is_some_and(|slot| slot.segment.is_none() && slot.row == *row);
            if is_there && let Ok(entry) = row.verify(old.bytes()) {
                let renewed = self.pending.push(row.key, entry);
                match (renewed, self.index.get_mut(&row.key)) {
                    (Some(renewed), Some(slot)) => slot.row = renewed,
                    _ => drop(self.index.remove(&row.key)),
                }
            }
        }
    }

    /// Serves a segment no longer; tells how many of its entries are gone with it. What was read since it was put there is kept with what
    /// is not in a segment yet, while that is at most `bytes_max`.
    fn drop_segment(&mut self, segment: &Arc<Segment>, bytes_max: usize) -> u64 {
        if !self.has(segment) {
            return 0;
        }
        self.segments.retain(|own| !Arc::ptr_eq(own, segment));
        self.bytes -= segment.bytes;
        let file = segment.file.read().clone();
        let mut gone = 0;
        for key in &segment.keys {
            let Some(slot) = self.index.get(key).filter(|slot| slot.is_in(segment)) else { continue };
            let (row, used) = (slot.row, slot.used.load(Ordering::Relaxed)); // as in `look_up`
            self.index.remove(key);
            let has_room = self.pending.file_bytes() + row.size as usize <= bytes_max;
            match row.verify(&file) {
                Ok(entry) if used && has_room => self.push(*key, entry),
                _ => gone += 1,
            }
        }
        gone
    }
}

fn read_entry(segment: &[u8], row: &EntryRow, samples: u64) -> Result<Columns, CacheError> {
    let entry = row.verify(segment)?;
    let mut columns = Columns::default();
    decode_entry(entry, samples, &mut columns)?;
    Ok(columns)
}

/// The number in a file's name.
fn number_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(SUFFIX).filter(|digits| digits.len() == 16)?;
    let is_lower = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    is_lower.then(|| u64::from_str_radix(digits, 16).ok()).flatten()
}
