//! Syncs that run while the log goes on.

use crate::{SegmentId, Wal, WalError};
use mytsdb_io::DiskFile;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A sync of what was committed before it began. Whoever has it waits for the disk, and nobody else.
pub struct BegunSync {
    /// A handle of its own on the segment: the log writes to another one meanwhile.
    file: Box<dyn DiskFile>,
    segment: SegmentId,
    path: PathBuf,
    /// The last frame that it makes durable.
    sequence: u64,
}

/// What the disk answered.
pub struct EndedSync {
    begun: BegunSync,
    synced: Result<(), WalError>,
    took: Duration,
}

impl BegunSync {
    /// Waits for the disk. What came of it counts once it is handed to [`Wal::end_sync`].
    pub fn run(mut self) -> EndedSync {
        let begun = Instant::now();
        let synced = self.file.sync_data().map_err(WalError::disk("sync", &self.path));
        EndedSync { begun: self, synced, took: begun.elapsed() }
    }
}

impl Wal {
    /// Begins a sync of all committed groups, during which the log can be written; `None` if they are durable, or such a sync has not
    /// ended yet. Only in [`Durability::Interval`](crate::Durability::Interval); otherwise `None`.
    ///
    /// # Errors
    /// [`WalError::Poisoned`].
    pub fn begin_sync(&mut self) -> Result<Option<BegunSync>, WalError> {
        self.check_poison()?;
        let sequence = self.next_sequence - 1;
        if self.durable_sequence >= sequence {
            return Ok(None);
        }
        let segment = self.current_segment();
        let path = segment.wal_path(&self.dir);
        Ok(self.beside.take().map(|file| BegunSync { file, segment, path, sequence }))
    }

    /// Takes note of what came of a sync that ran beside the log.
    ///
    /// # Errors
    /// [`WalError::Poisoned`] if the disk failed: the log takes nothing until it is opened again. The sync is never repeated.
    pub fn end_sync(&mut self, ended: EndedSync) -> Result<(), WalError> {
        let EndedSync { begun, synced, took } = ended;
        self.note_sync(took);
        self.check_poison()?;
        self.poison_on_error(synced)?;
        // A segment that has been closed meanwhile was synced when it was.
        self.durable_sequence = self.durable_sequence.max(begun.sequence);
        if begun.segment == self.current_segment() {
            self.beside = Some(begun.file);
        }
        Ok(())
    }
}
