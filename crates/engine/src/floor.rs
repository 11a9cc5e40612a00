//! The disk floor: writes are refused while there is still room for what must be written, flushes and checkpoints.

use crate::EngineError;
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

    /// Takes note of what is free; whether that is too little.
    pub(crate) fn look(&self, free_bytes: u64) -> bool {
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
