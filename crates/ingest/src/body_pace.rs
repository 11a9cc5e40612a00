//! How slowly the body of a request may arrive.

use crate::{IngestOptions, Refusal};
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;

/// Follows the body of one request. Its sender may keep the server waiting for [`IngestOptions::body_grace`] at first, and
/// gains time by each byte that it sends; what the server takes for itself does not count.
#[derive(Debug)]
pub struct BodyPace {
    /// Bytes a second; 0 for no limit.
    floor: u32,
    /// How long the sender may still be waited for.
    credit: Duration,
}

impl BodyPace {
    /// The pace of a body of which nothing has arrived.
    pub fn new(options: &IngestOptions) -> Self {
        Self { floor: options.min_body_bytes_per_second, credit: options.body_grace }
    }

    /// Waits for the next piece of the body.
    ///
    /// # Errors
    /// [`Refusal::Unavailable`] if too few bytes came before for how long it takes.
    pub async fn wait_for<T>(&mut self, piece: impl Future<Output = T>) -> Result<T, Refusal> {
        if self.floor == 0 {
            return Ok(piece.await);
        }
        let began = Instant::now();
        let waited = tokio::time::timeout(self.credit, piece).await;
        self.credit = self.credit.saturating_sub(began.elapsed());
        waited.map_err(|_| {
            self.credit = Duration::ZERO;
            Refusal::slow_rate(self.floor)
        })
    }

    /// Notes that bytes came.
    pub fn arrived(&mut self, bytes: usize) {
        if self.floor > 0 {
            let gained = Duration::from_nanos((bytes as u64).saturating_mul(1_000_000_000 / u64::from(self.floor)));
            self.credit = self.credit.saturating_add(gained);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    fn pace(floor: u32) -> BodyPace {
        let grace = Duration::from_secs(5);
        BodyPace::new(&IngestOptions {
            min_body_bytes_per_second: floor,
            body_grace: grace,
            ..IngestOptions::default()
        })
    }

    async fn seconds(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    /// Time is simulated.
    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(test);
    }

    #[test]
    fn a_sender_gains_time_by_what_it_sends() {
        run(async {
            let mut pace = pace(100);
            pace.wait_for(seconds(4)).await.unwrap();
            pace.arrived(300);
            pace.wait_for(seconds(3)).await.unwrap();
            let began = Instant::now();
            let refusal = pace.wait_for(pending::<()>()).await.unwrap_err();
            assert_eq!(began.elapsed().as_secs(), 1, "5 s at first, 3 s for 300 bytes, and 7 s are gone");
            assert_eq!(refusal.flag(), Some("--min-body-bytes-per-second"));
            assert!(refusal.to_string().contains("100 bytes a second") && refusal.retry_after().is_some(), "{refusal}");
            pace.wait_for(seconds(1)).await.unwrap_err();
            pace.wait_for(ready(())).await.expect("what is there is taken");
        });
    }

    #[test]
    fn without_a_floor_nothing_is_too_slow() {
        run(async {
            let mut pace = pace(0);
            for _ in 0..10 {
                pace.wait_for(seconds(3600)).await.unwrap();
                pace.arrived(1);
            }
        });
    }
}
