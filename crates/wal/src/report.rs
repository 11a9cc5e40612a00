//! What a replay found: counts, and every place where bytes that should have been there were not.

use crate::SegmentId;
use std::fmt;

/// Damage is counted without end but described only this often.
const DAMAGE_COUNT_MAX: usize = 256;

/// What is wrong with a region of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DamageKind {
    /// A file header is not what was written, though something follows it: damaged, or another file under this name.
    FileHeader,
    /// Bytes that are not a valid frame stand where one should be, or a frame is missing.
    Frame,
    /// A frame came a second time, or where a later one was expected; it was not replayed again.
    Sequence,
    /// A frame with a right checksum holds a record that makes no sense; the rest of the frame was not replayed.
    Record,
    /// The newest checkpoint is not whole, so what could be read of it and of older files was replayed.
    Checkpoint,
}

/// One damaged region. Worth a log line and a metric: acknowledged data may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The name of the file within the log's directory.
    pub file: String,
    /// Where the region begins.
    pub offset: u64,
    /// Bytes left out.
    pub bytes: u64,
    /// Frames known to be missing.
    pub lost_frames: u64,
    /// What is wrong.
    pub kind: DamageKind,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            DamageKind::FileHeader => "damaged file header",
            DamageKind::Frame => "damaged or missing frames",
            DamageKind::Sequence => "frame out of order",
            DamageKind::Record => "record that makes no sense",
            DamageKind::Checkpoint => "damaged checkpoint",
        };
        let Damage { file, offset, bytes, lost_frames, .. } = self;
        write!(f, "{what} in {file} at offset {offset}: {bytes} bytes skipped, {lost_frames} frames lost")
    }
}

/// What a replay found, and where the next writer has to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayReport {
    /// The checkpoint that was replayed, if any.
    pub checkpoint: Option<SegmentId>,
    /// Segments that were replayed.
    pub segments: u64,
    /// Bytes of replayed frames.
    pub bytes: u64,
    /// Frames replayed.
    pub frames: u64,
    /// Series definitions replayed.
    pub series: u64,
    /// Samples replayed.
    pub samples: u64,
    /// Bytes left out for any reason, a torn tail and leftovers of failed writes included.
    pub bytes_skipped: u64,
    /// Frames that were durable once and are missing now.
    pub lost_frames: u64,
    /// Whether the log ended in the middle of a write that was never acknowledged. Normal after a crash.
    pub torn_tail: bool,
    /// Regions that are damaged, in the order in which they were met; at most 256 are described.
    pub damage: Vec<Damage>,
    /// How many regions are damaged, described or not.
    pub damage_count: u64,
    pub(crate) next_segment: SegmentId,
    pub(crate) next_sequence: u64,
    /// Every segment in the directory, ascending: first sequence (0 if it was not replayed), length.
    pub(crate) files: Vec<(SegmentId, u64, u64)>,
}

impl ReplayReport {
    pub(crate) fn new() -> Self {
        Self {
            checkpoint: None,
            segments: 0,
            bytes: 0,
            frames: 0,
            series: 0,
            samples: 0,
            bytes_skipped: 0,
            lost_frames: 0,
            torn_tail: false,
            damage: Vec::new(),
            damage_count: 0,
            next_segment: SegmentId(1),
            next_sequence: 1,
            files: Vec::new(),
        }
    }

    /// Whether nothing that was ever durable is missing.
    pub fn is_clean(&self) -> bool {
        self.damage_count == 0
    }

    pub(crate) fn push_damage(&mut self, damage: Damage) {
        self.damage_count += 1;
        self.lost_frames += damage.lost_frames;
        if self.damage.len() < DAMAGE_COUNT_MAX {
            self.damage.push(damage);
        }
    }
}
