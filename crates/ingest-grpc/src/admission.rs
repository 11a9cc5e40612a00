//! Bounds the bytes of all requests that are being worked on.

use crate::IngestOptions;
use crate::status::overloaded;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

/// Bytes per permit: semaphores count in `u32`.
const UNIT_BYTES: usize = 1 << 10;

/// Lets requests in while there is room for their bytes.
#[derive(Debug)]
pub(crate) struct Admission {
    room: Arc<Semaphore>,
    bytes_max: usize,
    timeout: Duration,
}

impl Admission {
    pub fn new(options: &IngestOptions) -> Self {
        // A request of the largest size must fit, or it would wait in vain.
        let largest = options.max_message_bytes + options.max_compressed_bytes + 2 * UNIT_BYTES;
        let bytes_max = options.max_in_flight_bytes.max(largest);
        let units = (bytes_max / UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self { room: Arc::new(Semaphore::new(units)), bytes_max, timeout: options.queue_timeout }
    }

    /// Bytes that are taken now, in steps of 1 KiB.
    pub fn taken_bytes(&self) -> usize {
        self.bytes_max / UNIT_BYTES * UNIT_BYTES - self.room.available_permits() * UNIT_BYTES
    }

    /// Takes room for `bytes` until the permit is dropped; waits a bounded time for it.
    pub async fn admit(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Status> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let waiting = Arc::clone(&self.room).acquire_many_owned(units);
        match tokio::time::timeout(self.timeout, waiting).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => unreachable!("the semaphore is never closed"),
            Err(_) => Err(overloaded(format!(
                "requests of {} bytes are being worked on, the limit (--otlp-max-in-flight-bytes)",
                self.bytes_max
            ))),
        }
    }
}
