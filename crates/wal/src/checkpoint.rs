//! Checkpoints: one file of frames that stands for all segments below the one it is named after.

use crate::frame::{FrameBuffer, Place};
use crate::header::{FILE_HEADER_BYTES, FileHeader, FileKind};
use crate::reader::{FrameScan, Step};
use crate::record::{self, RecordDecoder};
use crate::{Rows, SegmentId, WalError};
use mytsdb_io::{Disk, DiskFile};
use mytsdb_model::{Exemplar, FamilyMetadata, Labels, SeriesRef};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const WRITE_BYTES: usize = 1 << 20;

/// Bytes written before a sync: the log, which is synced meanwhile, waits for no more than that.
const SYNC_BYTES: u64 = 16 << 20;

/// Writes a checkpoint; nothing of it counts before [`publish`](Self::publish). Dropped unpublished, it removes its file.
///
/// Log the definition of every series that samples here or in the segments from the checkpoint's up refer to,
/// then the samples of older segments that are not yet stored elsewhere.
pub struct CheckpointWriter {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    segment: SegmentId,
    file: Box<dyn DiskFile>,
    file_bytes: u64,
    synced_bytes: u64,
    frames: FrameBuffer,
    next_sequence: u64,
    published: bool,
}

impl CheckpointWriter {
    pub(crate) fn create(
        disk: Arc<dyn Disk>,
        dir: &Path,
        segment: SegmentId,
        first_sequence: u64,
        frame_bytes_max: usize,
    ) -> Result<Self, WalError> {
        let path = segment.unpublished_path(dir);
        let mut file = disk.create(&path).map_err(WalError::disk("create", &path))?;
        let header = FileHeader { kind: FileKind::Checkpoint, segment, first_sequence };
        file.append(&header.encode()).map_err(WalError::disk("write", &path))?;
        Ok(Self {
            disk,
            dir: dir.to_path_buf(),
            segment,
            file,
            file_bytes: FILE_HEADER_BYTES as u64,
            synced_bytes: 0,
            frames: FrameBuffer::new(frame_bytes_max),
            next_sequence: 1,
            published: false,
        })
    }

    /// Adds a series definition.
    ///
    /// # Errors
    /// If the disk fails or the labels are larger than a frame.
    pub fn log_series(&mut self, series: SeriesRef, labels: &Labels) -> Result<(), WalError> {
        record::put_series(&mut self.frames, series, labels);
        self.write_if(WRITE_BYTES)
    }

    /// Adds samples; the columns have equal length.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn log_samples(&mut self, refs: &[SeriesRef], timestamps_ms: &[i64], values: &[f64]) -> Result<(), WalError> {
        record::put_samples(&mut self.frames, refs, timestamps_ms, values);
        self.write_if(WRITE_BYTES)
    }

    /// Adds samples of both kinds, or with start times, as one record.
    ///
    /// # Errors
    /// If the disk fails or the record is larger than a frame.
    ///
    /// # Panics
    /// If the rows are not as their fields say.
    pub fn log_rows(&mut self, rows: &Rows<'_>) -> Result<(), WalError> {
        record::put_rows(&mut self.frames, rows);
        self.write_if(WRITE_BYTES)
    }

    /// Adds what is known of a metric.
    ///
    /// # Errors
    /// If the disk fails.
    ///
    /// # Panics
    /// As [`Wal::log_metadata`](crate::Wal::log_metadata).
    pub fn log_metadata(&mut self, family: &str, metadata: &FamilyMetadata) -> Result<(), WalError> {
        record::put_metadata(&mut self.frames, family, metadata);
        self.write_if(WRITE_BYTES)
    }

    /// Adds exemplars of a series.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn log_exemplars(&mut self, series: &Labels, exemplars: &[&Exemplar]) -> Result<(), WalError> {
        record::put_exemplars(&mut self.frames, series, exemplars);
        self.write_if(WRITE_BYTES)
    }

    /// Makes the checkpoint durable, reads it back, verifies every frame, and only then gives it its name.
    ///
    /// Returns its size in bytes. Once this has succeeded, [`Wal::truncate_before`](crate::Wal::truncate_before) may be called.
    ///
    /// # Errors
    /// If the disk fails, or [`WalError::CheckpointDiffers`]; the log goes on as if there had been no checkpoint.
    pub fn publish(mut self) -> Result<u64, WalError> {
        record::put_end(&mut self.frames);
        self.write_if(0)?;
        let unpublished = self.segment.unpublished_path(&self.dir);
        self.file.sync_data().map_err(WalError::disk("sync", &unpublished))?;
        let scan = FrameScan::open_path(&*self.disk, unpublished.clone(), FileKind::Checkpoint, self.segment)?;
        match verify(scan)? {
            Whole::Yes { frame_count, .. } if frame_count + 1 == self.next_sequence => {}
            _ => return Err(WalError::CheckpointDiffers { path: unpublished }),
        }
        let path = self.segment.checkpoint_path(&self.dir);
        self.disk.rename(&unpublished, &path).map_err(WalError::disk("rename", &unpublished))?;
        self.published = true;
        self.disk.sync_dir(&self.dir).map_err(WalError::disk("sync directory", &self.dir))?;
        Ok(self.file_bytes)
    }

    fn write_if(&mut self, bytes_min: usize) -> Result<(), WalError> {
        self.frames.check_sizes()?;
        if self.frames.len() < bytes_min {
            return Ok(());
        }
        let place = Place { kind: FileKind::Checkpoint, segment: self.segment, offset: self.file_bytes };
        self.frames.seal(place, self.next_sequence, 0);
        let path = self.segment.unpublished_path(&self.dir);
        self.file.append(self.frames.bytes()).map_err(WalError::disk("write", &path))?;
        self.file_bytes += self.frames.len() as u64;
        self.next_sequence += self.frames.frame_count();
        self.frames.clear();
        if self.file_bytes - self.synced_bytes >= SYNC_BYTES {
            self.file.sync_data().map_err(WalError::disk("sync", &path))?;
            self.synced_bytes = self.file_bytes;
        }
        Ok(())
    }
}

impl Drop for CheckpointWriter {
    fn drop(&mut self) {
        if !self.published {
            // Best effort: it frees space now; the next open removes what is left.
            self.disk.remove(&self.segment.unpublished_path(&self.dir)).ok();
        }
    }
}

/// Whether a checkpoint is all there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whole {
    /// Header, `frame_count` frames without a gap, and the end record.
    Yes { first_sequence: u64, frame_count: u64 },
    /// The offset behind the last good byte.
    No { offset: u64 },
}

/// Reads and checks all of a checkpoint.
pub(crate) fn verify(mut scan: FrameScan) -> Result<Whole, WalError> {
    let Some(file_header) = scan.file_header()? else { return Ok(Whole::No { offset: 0 }) };
    let mut frame_count = 0;
    let mut ended = false;
    loop {
        let good_to = scan.offset();
        match scan.step()? {
            Step::Frame { header, offset, skipped: 0 } if header.sequence == frame_count + 1 && !ended => {
                frame_count += 1;
                if scan.offset() == scan.file_bytes() {
                    let payload = scan.payload(&header, offset)?;
                    ended = RecordDecoder::default().decode(payload, &mut |_| {}).is_ok_and(|tally| tally.end);
                }
            }
            Step::End { skipped: 0 } if ended => {
                return Ok(Whole::Yes { first_sequence: file_header.first_sequence, frame_count });
            }
            _ => return Ok(Whole::No { offset: good_to }),
        }
    }
}
