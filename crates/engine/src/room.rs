//! Room on the disk: looked at before each group, and by the maintenance.

use crate::{Engine, EngineError};

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
