//! The ballast: a file that sets room on the disk aside, to be given back when nothing else is left.
//!
//! The disk floor keeps our own writes away from a full disk, but other programs may fill it. A flush, which frees the log,
//! needs room; so does closing the log at a shutdown. The ballast is that room.

use crate::EngineError;
use crate::metrics::Metrics;
use mytsdb_io::Disk;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Its name in the data folder.
const FILE_NAME: &str = "ballast";

/// A file of zeros of a given size, or the room for one.
pub(crate) struct Ballast {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    bytes: u64,
    /// Whether the file is there.
    is_there: Mutex<bool>,
    metrics: Metrics,
}

impl Ballast {
    /// The ballast of a data folder, as it was left there. It is laid down by [`keep`](Ballast::keep), not here.
    ///
    /// # Errors
    /// [`EngineError::Io`].
    pub(crate) fn new(disk: Arc<dyn Disk>, dir: &Path, bytes: u64, metrics: Metrics) -> Result<Self, EngineError> {
        let path = dir.join(FILE_NAME);
        let is_there = disk.exists(&path).map_err(|e| EngineError::io("look for the ballast", &path, e))?;
        let has_bytes = |path: &Path| disk.open(path)?.len();
        let found = if is_there { has_bytes(&path) } else { Ok(bytes) };
        let found = found.map_err(|e| EngineError::io("look at the ballast", &path, e))?;
        let ballast = Self { disk, path, bytes, is_there: Mutex::new(is_there), metrics };
        // Another size was wanted before, or a crash has left a part of it.
        if is_there && (bytes == 0 || found != bytes) {
            ballast.give_back(&mut ballast.is_there.lock())?;
        }
        ballast.report(*ballast.is_there.lock());
        Ok(ballast)
    }

    /// Gives the room back if less than the ballast is free; tells whether it did. Cost: a comparison, mostly.
    ///
    /// # Errors
    /// [`EngineError::Io`] if the file cannot be removed.
    pub(crate) fn yield_below(&self, free_bytes: u64) -> Result<bool, EngineError> {
        if free_bytes >= self.bytes {
            return Ok(false);
        }
        let mut is_there = self.is_there.lock();
        if *is_there {
            self.give_back(&mut is_there)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Lays the ballast down if it is not there and more than `enough_bytes` are free besides.
    ///
    /// # Errors
    /// [`EngineError::Io`] if the disk cannot set room aside; nothing is left of the file then, and the next call tries again.
    pub(crate) fn keep(&self, free_bytes: u64, enough_bytes: u64) -> Result<(), EngineError> {
        let mut is_there = self.is_there.lock();
        if *is_there || self.bytes == 0 || free_bytes < enough_bytes.saturating_add(self.bytes) {
            return Ok(());
        }
        let reserved = self.disk.create(&self.path).and_then(|mut file| file.reserve(self.bytes));
        // A file that is cut short is removed like a whole one.
        *is_there = true;
        if let Err(error) = reserved {
            self.give_back(&mut is_there)?;
            return Err(EngineError::io("set room aside in", &self.path, error));
        }
        self.report(true);
        Ok(())
    }

    fn give_back(&self, is_there: &mut bool) -> Result<(), EngineError> {
        self.disk.remove(&self.path).map_err(|e| EngineError::io("remove", &self.path, e))?;
        *is_there = false;
        self.report(false);
        Ok(())
    }

    fn report(&self, is_there: bool) {
        self.metrics.disk_ballast_bytes.set(if is_there { self.bytes as f64 } else { 0.0 });
    }
}
