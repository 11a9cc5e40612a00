//! The disk floor: writes are refused while there is still room for what must be written, flushes and checkpoints.

use crate::{Engine, EngineError};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// The floor if none is given, in bytes: this, or one in so many of the disk's bytes if that is less.
const DEFAULT_BYTES: u64 = 1 << 30;
const DEFAULT_DISK_PARTS: u64 = 20;

/// Writes are taken again with this part of the floor above it, so that it does not change with every block.
const RESUME_PARTS: u64 = 10;

/// Whether the disk has room for writes, as it was last looked at.
#[derive(Debug)]
pub(crate) struct Floor {
    floor_bytes: u64,
    is_low: AtomicBool,
}

impl Floor {
    pub(crate) fn new(disk: &dyn mytsdb_io::Disk, dir: &Path, given: Option<u64>) -> Result<Self, EngineError> {
        let floor_bytes = if let Some(bytes) = given {
            bytes
        } else {
            let total = disk.total_bytes(dir);
            let total = total.map_err(|e| EngineError::io("ask for the size of the disk of", dir, e))?;
            DEFAULT_BYTES.min(total / DEFAULT_DISK_PARTS)
        };
        Ok(Self { floor_bytes, is_low: AtomicBool::new(false) })
    }

    /// The floor in force, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.floor_bytes
    }

    /// Whether writes are refused, as it was last looked at.
    pub(crate) fn is_low(&self) -> bool {
        // Relaxed: nothing else is published with it, and the next look corrects it.
        self.is_low.load(Ordering::Relaxed)
    }

    fn look(&self, free_bytes: u64) -> bool {
        let enough = if self.is_low() {
            self.floor_bytes.saturating_add(self.floor_bytes / RESUME_PARTS)
        } else {
            self.floor_bytes
        };
        let is_low = free_bytes < enough;
        self.is_low.store(is_low, Ordering::Relaxed); // see `is_low`
        is_low
    }
}

impl Engine {
    /// Looks how much room the disk has. Cost: a system call.
    ///
    /// # Errors
    /// [`EngineError::DiskLow`] if it is too little for writes; [`EngineError::Io`] if the disk does not say.
    pub(crate) fn check_floor(&self) -> Result<(), EngineError> {
        let dir = &self.options.data_dir;
        let free_bytes =
            self.disk.free_bytes(dir).map_err(|e| EngineError::io("ask for free space on the disk of", dir, e))?;
        let is_low = self.floor.look(free_bytes);
        self.metrics.disk_free_bytes.set(free_bytes as f64);
        self.metrics.disk_low.set(f64::from(u8::from(is_low)));
        if is_low { Err(self.disk_low(free_bytes)) } else { Ok(()) }
    }

    fn disk_low(&self, free_bytes: u64) -> EngineError {
        EngineError::DiskLow { free_bytes, floor_bytes: self.floor.bytes() }
    }

    /// Refuses a new series while writes are refused: its definition would wait in memory.
    pub(crate) fn check_room_for_series(&self) -> Result<(), EngineError> {
        if self.floor.is_low() { self.check_floor() } else { Ok(()) }
    }

    /// Why writes are refused for want of room on the disk, if they were when that was last looked at, which
    /// [`maintain`](Engine::maintain) and every commit do. Queries go on, and writes too as soon as there is room.
    pub fn writes_refused(&self) -> Option<String> {
        let free_bytes = || self.disk.free_bytes(&self.options.data_dir).unwrap_or_default();
        self.floor.is_low().then(|| self.disk_low(free_bytes()).to_string())
    }
}
