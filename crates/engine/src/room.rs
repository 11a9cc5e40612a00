//! Room on the disk: writes are refused while there is still room for what must be written, flushes and checkpoints.

use crate::EngineError;
use crate::ballast::Ballast;
use crate::metrics::Metrics;
use mytsdb_io::Disk;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The floor if none is given, in bytes: this, or one in so many of the disk's bytes if that is less.
const DEFAULT_BYTES: u64 = 1 << 30;
const DEFAULT_DISK_PARTS: u64 = 20;

/// Writes are taken again with this part of the floor above it, so that it does not change with every block.
const RESUME_PARTS: u64 = 10;

/// The disk floor, and whether the disk has room for writes, as it was last looked at.
pub(crate) struct Room {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    floor_bytes: u64,
    is_low: AtomicBool,
    ballast: Ballast,
    metrics: Metrics,
}

impl Room {
    /// Room on the disk of a folder.
    ///
    /// # Errors
    /// [`EngineError::Io`] if no floor is given and the disk does not say how large it is.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        dir: &Path,
        given: Option<u64>,
        ballast_bytes: u64,
        metrics: Metrics,
    ) -> Result<Self, EngineError> {
        let floor_bytes = if let Some(bytes) = given {
            bytes
        } else {
            let total = disk.total_bytes(dir);
            let total = total.map_err(|e| EngineError::io("ask for the size of the disk of", dir, e))?;
            DEFAULT_BYTES.min(total / DEFAULT_DISK_PARTS)
        };
        metrics.disk_floor_bytes.set(floor_bytes as f64);
        let ballast = Ballast::new(disk.clone(), dir, ballast_bytes, metrics.clone())?;
        Ok(Self { disk, dir: dir.to_owned(), floor_bytes, is_low: AtomicBool::new(false), ballast, metrics })
    }

    /// The floor in force, in bytes.
    pub(crate) fn floor_bytes(&self) -> u64 {
        self.floor_bytes
    }

    /// Looks how much room the disk has. Cost: a system call.
    ///
    /// # Errors
    /// [`EngineError::DiskLow`] if it is too little for writes; [`EngineError::Io`] if the disk does not say.
    pub(crate) fn check(&self) -> Result<(), EngineError> {
        let mut free_bytes = self.free_bytes()?;
        let is_low = self.look(free_bytes);
        if is_low && self.ballast.yield_below(free_bytes)? {
            free_bytes = self.free_bytes()?;
        }
        self.metrics.disk_free_bytes.set(free_bytes as f64);
        self.metrics.disk_low.set(f64::from(u8::from(is_low)));
        if is_low { Err(self.disk_low(free_bytes)) } else { Ok(()) }
    }

    /// Lays the ballast down if it was given back, or never there, and writes are far from being refused. Cost: a system call.
    ///
    /// # Errors
    /// [`EngineError::Io`] if the disk has no room to set aside, or does not say.
    pub(crate) fn keep_ballast(&self) -> Result<(), EngineError> {
        self.ballast.keep(self.free_bytes()?, self.resume_bytes())
    }

    fn free_bytes(&self) -> Result<u64, EngineError> {
        let free = self.disk.free_bytes(&self.dir);
        free.map_err(|e| EngineError::io("ask for free space on the disk of", &self.dir, e))
    }

    /// Refuses a new series while writes are refused: its definition would wait in memory.
    ///
    /// # Errors
    /// As [`check`](Room::check).
    pub(crate) fn check_for_series(&self) -> Result<(), EngineError> {
        if self.is_low() { self.check() } else { Ok(()) }
    }

    /// Why writes are refused, if they were when that was last looked at.
    pub(crate) fn refusal(&self) -> Option<String> {
        let free_bytes = || self.disk.free_bytes(&self.dir).unwrap_or_default();
        self.is_low().then(|| self.disk_low(free_bytes()).to_string())
    }

    fn is_low(&self) -> bool {
        // Relaxed: nothing else is published with it, and the next look corrects it.
        self.is_low.load(Ordering::Relaxed)
    }

    /// Takes note of what is free; whether that is too little.
    fn look(&self, free_bytes: u64) -> bool {
        let enough = if self.is_low() { self.resume_bytes() } else { self.floor_bytes };
        let is_low = free_bytes < enough;
        self.is_low.store(is_low, Ordering::Relaxed); // see `is_low`
        is_low
    }

    fn resume_bytes(&self) -> u64 {
        self.floor_bytes.saturating_add(self.floor_bytes / RESUME_PARTS)
    }

    fn disk_low(&self, free_bytes: u64) -> EngineError {
        EngineError::DiskLow { free_bytes, floor_bytes: self.floor_bytes }
    }
}
