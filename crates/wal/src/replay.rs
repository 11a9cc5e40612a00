//! Replay: the newest whole checkpoint, then the segments; what is missing is told from what never counted by sequences.
//!
//! Invariants V (void) and D (durable) are stated in `docs/format/wal.md`.

use crate::checkpoint::{Whole, verify};
use crate::frame::{FRAME_HEADER_BYTES, FrameHeader};
use crate::header::{FILE_HEADER_BYTES, FileKind};
use crate::reader::{FrameScan, Step};
use crate::record::{BadRecord, RecordDecoder};
use crate::report::{Damage, DamageKind, ReplayReport};
use crate::segment::parse_names;
use crate::{Record, Rows, SegmentId, WalError};
use mytsdb_io::Disk;
use std::path::Path;

/// A file that a replay reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFile {
    /// A checkpoint: it stands for all segments of lower ids.
    Checkpoint(SegmentId),
    /// A segment.
    Segment(SegmentId),
}

/// Gives every record of the log in `dir` to `sink`, in the order of logging, and changes nothing.
///
/// A missing directory is an empty log. Memory: one frame. Cost: one sequential read of every file (checkpoints
/// two), decoding at some nanoseconds per sample. What is damaged is left out, and described in the report.
///
/// # Errors
/// If the disk fails, or a file was written by another release.
pub fn replay(disk: &dyn Disk, dir: &Path, sink: &mut dyn FnMut(Record<'_>)) -> Result<ReplayReport, WalError> {
    replay_files(disk, dir, &mut |_| (), sink)
}

/// The same; `begin` hears which file the records come from that follow.
///
/// # Errors
/// As [`replay`].
pub fn replay_files(
    disk: &dyn Disk,
    dir: &Path,
    begin: &mut dyn FnMut(LogFile),
    sink: &mut dyn FnMut(Record<'_>),
) -> Result<ReplayReport, WalError> {
    let mut report = ReplayReport::new();
    if !disk.exists(dir).map_err(WalError::disk("stat", dir))? {
        return Ok(report);
    }
    let names = disk.list(dir).map_err(WalError::disk("list", dir))?;
    let (segments, checkpoints) = parse_names(&names);
    let newest = checkpoints.last().copied().unwrap_or(SegmentId(1));
    report.next_segment = segments.last().map_or(newest, |last| last.next().max(newest));

    let mut replay = Replay {
        disk,
        dir,
        begin,
        sink,
        decoder: RecordDecoder::default(),
        report,
        expected: Some(1),
        pending: None,
        durable: None,
    };
    let start = replay.checkpoints(&checkpoints)?;
    let files = replay.open_segments(&segments, start)?;
    replay.segments(&files)?;
    replay.report.next_sequence = replay.expected.unwrap_or(1);
    Ok(replay.report)
}

/// A segment, and from where on it makes frames of older segments void.
struct SegmentFile {
    id: SegmentId,
    /// From the header, if that is whole.
    first_sequence: Option<u64>,
    /// The same, or the first frame's if the header is damaged.
    void_from: Option<u64>,
}

/// Bytes that are no frame, of which it is not yet known whether anything is missing.
struct Region {
    file: String,
    offset: u64,
    bytes: u64,
}

struct Replay<'a> {
    disk: &'a dyn Disk,
    dir: &'a Path,
    begin: &'a mut dyn FnMut(LogFile),
    sink: &'a mut dyn FnMut(Record<'_>),
    decoder: RecordDecoder,
    report: ReplayReport,
    /// The sequence of the next frame; `None` while that is unknown.
    expected: Option<u64>,
    pending: Option<Region>,
    /// The D of Invariant D, once it was needed.
    durable: Option<u64>,
}

impl Replay<'_> {
    /// Replays the newest whole checkpoint, or what can be read of the newest; returns the first segment to replay.
    fn checkpoints(&mut self, checkpoints: &[SegmentId]) -> Result<SegmentId, WalError> {
        for &id in checkpoints.iter().rev() {
            let scan = FrameScan::open(self.disk, self.dir, FileKind::Checkpoint, id)?;
            let (file, file_bytes) = (scan.file_name(), scan.file_bytes());
            match verify(scan)? {
                Whole::Yes { first_sequence, .. } => {
                    self.checkpoint(id)?;
                    self.expected = Some(first_sequence);
                    return Ok(id);
                }
                Whole::No { offset } => {
                    let bytes = file_bytes.saturating_sub(offset);
                    let kind = DamageKind::Checkpoint;
                    self.report.push_damage(Damage { file, offset, bytes, lost_frames: 0, kind });
                }
            }
        }
        if let Some(&newest) = checkpoints.last() {
            self.checkpoint(newest)?;
            self.expected = None;
        }
        Ok(SegmentId(0))
    }

    fn checkpoint(&mut self, id: SegmentId) -> Result<(), WalError> {
        let mut scan = FrameScan::open(self.disk, self.dir, FileKind::Checkpoint, id)?;
        self.report.checkpoint = Some(id);
        (self.begin)(LogFile::Checkpoint(id));
        loop {
            match scan.step()? {
                Step::Frame { header, offset, skipped } => {
                    self.report.bytes_skipped += skipped;
                    self.deliver(&mut scan, &header, offset)?;
                }
                Step::End { skipped } => {
                    self.report.bytes_skipped += skipped;
                    return Ok(());
                }
            }
        }
    }

    fn open_segments(&mut self, ids: &[SegmentId], start: SegmentId) -> Result<Vec<SegmentFile>, WalError> {
        let mut files = Vec::with_capacity(ids.len());
        for &id in ids {
            let mut scan = FrameScan::open(self.disk, self.dir, FileKind::Segment, id)?;
            self.report.files.push((id, 0, scan.file_bytes()));
            if id < start {
                continue;
            }
            let first_sequence = scan.file_header()?.map(|header| header.first_sequence);
            let mut void_from = first_sequence;
            if void_from.is_none()
                && let Step::Frame { header, .. } = scan.step()?
            {
                void_from = Some(header.sequence);
            }
            files.push(SegmentFile { id, first_sequence, void_from });
        }
        Ok(files)
    }

    fn segments(&mut self, files: &[SegmentFile]) -> Result<(), WalError> {
        for i in 0..files.len() {
            if !self.segment(&files[i..])? {
                return Ok(());
            }
        }
        if let Some(region) = self.pending.take() {
            self.report.torn_tail |= region.bytes > 0;
        }
        Ok(())
    }

    /// Replays the first of `files`; `false` if the log ends in a torn write there.
    fn segment(&mut self, files: &[SegmentFile]) -> Result<bool, WalError> {
        let [this, later @ ..] = files else { return Ok(false) };
        let mut scan = FrameScan::open(self.disk, self.dir, FileKind::Segment, this.id)?;
        let name = scan.file_name();
        self.report.segments += 1;
        (self.begin)(LogFile::Segment(this.id));
        match this.first_sequence {
            Some(first) => self.reach_header(first, &name),
            None => self.bad_header(&name, scan.file_bytes()),
        }
        if let Some(entry) = self.report.files.iter_mut().find(|entry| entry.0 == this.id) {
            entry.1 = self.expected.or(this.void_from).unwrap_or(1);
        }
        let void_from = void_from(later);
        loop {
            let from = scan.offset();
            let (header, offset, skipped) = match scan.step()? {
                Step::Frame { header, offset, skipped } => (header, offset, skipped),
                Step::End { skipped } => {
                    self.skip(&name, from, skipped);
                    return Ok(true);
                }
            };
            self.skip(&name, from, skipped);
            let frame_bytes = (FRAME_HEADER_BYTES + header.payload_bytes) as u64;
            let expected = *self.expected.get_or_insert(header.sequence);
            if header.sequence >= void_from {
                // Invariant V.
                self.report.bytes_skipped += frame_bytes;
                continue;
            }
            if header.sequence < expected {
                self.report.bytes_skipped += frame_bytes;
                let kind = DamageKind::Sequence;
                self.report.push_damage(Damage {
                    file: name.clone(),
                    offset,
                    bytes: frame_bytes,
                    lost_frames: 0,
                    kind,
                });
                continue;
            }
            if header.sequence > expected && expected > self.durable_sequence(files, offset)? {
                // Invariant D: what is missing here was never acknowledged, nor was anything behind it.
                self.report.torn_tail = true;
                self.report.bytes_skipped += scan.file_bytes() - offset;
                return Ok(false);
            }
            self.settle(header.sequence - expected, &name, offset, skipped > 0);
            self.deliver(&mut scan, &header, offset)?;
            self.expected = Some(header.sequence + 1);
        }
    }

    /// A whole segment header: all sequences below its first were durable when it was written.
    fn reach_header(&mut self, first_sequence: u64, name: &str) {
        let missing = first_sequence.saturating_sub(self.expected.unwrap_or(first_sequence));
        self.settle(missing, name, 0, false);
        self.expected = self.expected.max(Some(first_sequence));
    }

    /// Frames are written once the header is durable: a file that is no longer than a header may be one that was
    /// never written whole, a longer one is damaged, or it is another file.
    fn bad_header(&mut self, name: &str, file_bytes: u64) {
        let bytes = file_bytes.min(FILE_HEADER_BYTES as u64);
        self.report.bytes_skipped += bytes;
        if file_bytes > bytes {
            let (file, kind) = (name.to_owned(), DamageKind::FileHeader);
            self.report.push_damage(Damage { file, offset: 0, bytes, lost_frames: 0, kind });
        }
    }

    fn skip(&mut self, name: &str, offset: u64, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.report.bytes_skipped += bytes;
        match &mut self.pending {
            Some(region) => region.bytes += bytes,
            None => self.pending = Some(Region { file: name.to_owned(), offset, bytes }),
        }
    }

    /// Decides about the bytes skipped so far, now that it is known how many frames are missing at `offset` of `name`.
    fn settle(&mut self, lost_frames: u64, name: &str, offset: u64, inside: bool) {
        let region = self.pending.take();
        if lost_frames == 0 && !inside {
            // What a failed write left at the end of a segment, before the next one took over.
            return;
        }
        let Region { file, offset, bytes } = region.unwrap_or(Region { file: name.to_owned(), offset, bytes: 0 });
        self.report.push_damage(Damage { file, offset, bytes, lost_frames, kind: DamageKind::Frame });
    }

    /// The highest sequence that is known to have been durable, from `offset` of the first of `files` on.
    ///
    /// Found only once a sequence is missing, and then kept: it reads the rest of the log.
    fn durable_sequence(&mut self, files: &[SegmentFile], offset: u64) -> Result<u64, WalError> {
        if let Some(durable) = self.durable {
            return Ok(durable);
        }
        let mut durable = files.iter().filter_map(|file| file.first_sequence).max().map_or(0, |first| first - 1);
        for (i, file) in files.iter().enumerate() {
            let void_from = void_from(&files[i + 1..]);
            let mut scan = FrameScan::open(self.disk, self.dir, FileKind::Segment, file.id)?;
            if i == 0 {
                scan.seek(offset);
            }
            while let Step::Frame { header, .. } = scan.step()? {
                durable = durable.max(header.durable_sequence.min(void_from.saturating_sub(1)));
            }
        }
        self.durable = Some(durable);
        Ok(durable)
    }

    fn deliver(&mut self, scan: &mut FrameScan, header: &FrameHeader, offset: u64) -> Result<(), WalError> {
        let file = scan.file_name();
        let payload = scan.payload(header, offset)?;
        let payload_bytes = payload.len() as u64;
        self.report.frames += 1;
        self.report.bytes += FRAME_HEADER_BYTES as u64 + payload_bytes;
        let (mut series, mut samples) = (0, 0);
        let decoded = self.decoder.decode(payload, &mut |record| {
            match &record {
                Record::Series { .. } => series += 1,
                Record::Samples { refs, .. } | Record::Rows(Rows { refs, .. }) => samples += refs.len() as u64,
                Record::Metadata { .. } | Record::Exemplars { .. } => {}
            }
            (self.sink)(record);
        });
        self.report.series += series;
        self.report.samples += samples;
        if let Err(BadRecord { at, unknown_kind }) = decoded {
            let (offset, bytes) = (offset + (FRAME_HEADER_BYTES + at) as u64, payload_bytes - at as u64);
            if let Some(kind) = unknown_kind {
                return Err(WalError::UnknownRecord { path: self.dir.join(file), offset, kind });
            }
            self.report.bytes_skipped += bytes;
            self.report.push_damage(Damage { file, offset, bytes, lost_frames: 0, kind: DamageKind::Record });
        }
        Ok(())
    }
}

/// Invariant V: frames before `later` segments count only below this sequence.
fn void_from(later: &[SegmentFile]) -> u64 {
    later.iter().filter_map(|file| file.void_from).min().unwrap_or(u64::MAX)
}
