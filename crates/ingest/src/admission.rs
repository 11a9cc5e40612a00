//! Bounds the bytes of all requests that are being worked on.

use crate::{IngestMetrics, IngestOptions, Refusal};
use mytsdb_telemetry::Gauge;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes per permit: semaphores count in `u32`.
const UNIT_BYTES: usize = 1 << 10;

/// Lets requests in while there is room for their bytes.
#[derive(Debug)]
pub(crate) struct Admission {
    room: Arc<Semaphore>,
    bytes_max: usize,
    timeout: Duration,
}

/// Room for the bytes of a request, given back when it is dropped.
#[derive(Debug)]
pub struct Room {
    permit: OwnedSemaphorePermit,
    /// What this room adds to the protocol's bytes in flight.
    taken: Gauge,
}

impl Room {
    /// Bytes there is room for, in steps of 1 KiB.
    pub fn bytes(&self) -> usize {
        self.permit.num_permits() * UNIT_BYTES
    }

    /// Gives back what is beyond `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        let spare = self.permit.num_permits().saturating_sub(bytes.div_ceil(UNIT_BYTES));
        if let Some(permit) = self.permit.split(spare) {
            self.taken.add(-((permit.num_permits() * UNIT_BYTES) as f64));
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.taken.add(-(self.bytes() as f64));
    }
}

impl Admission {
    pub fn new(options: &IngestOptions) -> Self {
        // A request of the largest size must fit, or it would wait in vain.
        let largest = options.max_message_bytes + options.max_compressed_bytes + 2 * UNIT_BYTES;
        let bytes_max = options.max_in_flight_bytes.max(largest);
        let units = (bytes_max / UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self { room: Arc::new(Semaphore::new(units)), bytes_max, timeout: options.queue_timeout }
    }

    /// Takes room for `bytes`; waits a bounded time for it.
    pub async fn admit(&self, bytes: usize, metrics: &IngestMetrics) -> Result<Room, Refusal> {
        let permit = self.acquire(bytes).await?;
        metrics.in_flight_bytes.add((permit.num_permits() * UNIT_BYTES) as f64);
        Ok(Room { permit, taken: metrics.in_flight_bytes.clone() })
    }

    /// Takes room for `bytes` more; waits a bounded time for it.
    pub async fn enlarge(&self, room: &mut Room, bytes: usize) -> Result<(), Refusal> {
        // A request that needs more than there is at all would wait in vain; it takes what there is.
        let rest = (self.bytes_max / UNIT_BYTES * UNIT_BYTES).saturating_sub(room.bytes());
        let permit = self.acquire(bytes.min(rest)).await?;
        room.taken.add((permit.num_permits() * UNIT_BYTES) as f64);
        room.permit.merge(permit);
        Ok(())
    }

    async fn acquire(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX);
        let waiting = Arc::clone(&self.room).acquire_many_owned(units);
        match tokio::time::timeout(self.timeout, waiting).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => unreachable!("the semaphore is never closed"),
            Err(_) => Err(Refusal::overloaded(
                format!("requests of {} bytes are being worked on, the limit (--max-in-flight-bytes)", self.bytes_max),
                "--max-in-flight-bytes",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_telemetry::Registry;

    #[tokio::test]
    async fn room_is_counted_and_given_back() {
        let options = IngestOptions {
            max_message_bytes: 6 << 10,
            max_compressed_bytes: 0,
            max_in_flight_bytes: 0,
            queue_timeout: Duration::from_millis(1),
            ..IngestOptions::default()
        };
        let admission = Admission::new(&options);
        let metrics = IngestMetrics::new(&Registry::new(), "test", &["ok"]);
        let mut first = admission.admit(1, &metrics).await.unwrap();
        admission.enlarge(&mut first, 4 << 10).await.unwrap();
        assert_eq!((first.bytes(), metrics.in_flight_bytes.get()), (5 << 10, 5120.0));
        let refusal = admission.admit(4 << 10, &metrics).await.unwrap_err();
        assert!(refusal.to_string().contains("--max-in-flight-bytes"), "{refusal}");
        assert!(matches!(refusal, Refusal::Overloaded { .. }));
        drop(first);
        assert_eq!(metrics.in_flight_bytes.get(), 0.0);
        let mut all = admission.admit(8 << 10, &metrics).await.unwrap();
        admission.enlarge(&mut all, 1 << 10).await.expect("more than all is all");
        all.shrink(100);
        assert_eq!((all.bytes(), metrics.in_flight_bytes.get()), (1 << 10, 1024.0));
        admission.admit(7 << 10, &metrics).await.unwrap();
    }
}
