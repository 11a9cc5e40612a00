//! Admission of queries: so many run, so many wait, and nobody waits for long.

use crate::error::{ApiError, ErrorKind};
use mytsdb_telemetry::{Counter, Description, Gauge, Registry};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const RUNNING: Description =
    Description::new("mytsdb_http_jobs_running", "Queries and lookups being worked on, by gate.");
const WAITING: Description =
    Description::new("mytsdb_http_jobs_waiting", "Queries and lookups waiting for a turn, by gate.");
const REFUSED: Description = Description::new(
    "mytsdb_http_jobs_refused_total",
    "Queries and lookups turned away because too many ran, by gate.",
);

/// A bound on concurrent jobs.
pub(crate) struct Gate {
    running: Arc<Semaphore>,
    running_max: usize,
    waiting: Semaphore,
    waiting_max: usize,
    wait_max: Duration,
    running_gauge: Gauge,
    waiting_gauge: Gauge,
    refused: Counter,
}

/// The right to run one job; given back when dropped.
pub(crate) struct Turn {
    _permit: OwnedSemaphorePermit,
    running_gauge: Gauge,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.running_gauge.add(-1.0);
    }
}

/// Counts a waiter for as long as it waits, however the wait ends.
struct Waiter<'a>(&'a Gauge);

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.0.add(-1.0);
    }
}

impl Gate {
    pub(crate) fn new(
        name: &str,
        running_max: usize,
        waiting_max: usize,
        wait_max: Duration,
        registry: &Registry,
    ) -> Self {
        Self {
            running: Arc::new(Semaphore::new(running_max)),
            running_max,
            waiting: Semaphore::new(waiting_max),
            waiting_max,
            wait_max,
            running_gauge: registry.gauge(&RUNNING, &[("gate", name)]),
            waiting_gauge: registry.gauge(&WAITING, &[("gate", name)]),
            refused: registry.counter(&REFUSED, &[("gate", name)]),
        }
    }

    /// A turn, if one is free.
    pub(crate) fn try_enter(&self) -> Option<Turn> {
        Arc::clone(&self.running).try_acquire_owned().ok().map(|permit| self.turn(permit))
    }

    /// Waits for a turn, but no longer than `timeout`.
    pub(crate) async fn enter(&self, timeout: Duration) -> Result<Turn, ApiError> {
        if let Some(turn) = self.try_enter() {
            return Ok(turn);
        }
        self.wait(timeout).await.map(|permit| self.turn(permit))
    }

    fn turn(&self, permit: OwnedSemaphorePermit) -> Turn {
        self.running_gauge.add(1.0);
        Turn { _permit: permit, running_gauge: self.running_gauge.clone() }
    }

    async fn wait(&self, timeout: Duration) -> Result<OwnedSemaphorePermit, ApiError> {
        let refuse = |message: String| {
            self.refused.inc();
            ApiError::new(ErrorKind::Overloaded, message)
        };
        let (running, waiting) = (self.running_max, self.waiting_max);
        let Ok(_place) = self.waiting.try_acquire() else {
            return Err(refuse(format!("too many queries: {running} run and {waiting} wait")));
        };
        self.waiting_gauge.add(1.0);
        let _waiter = Waiter(&self.waiting_gauge);
        match tokio::time::timeout(timeout.min(self.wait_max), Arc::clone(&self.running).acquire_owned()).await {
            Ok(permit) => Ok(permit.expect("the semaphore is never closed")),
            Err(_) => Err(refuse("query timed out in query queue".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_queue_is_bounded_in_length_and_time() {
        let gate = Arc::new(Gate::new("test", 1, 1, Duration::from_millis(50), &Registry::new()));
        let turn = gate.enter(Duration::from_secs(9)).await.ok().unwrap();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter(Duration::from_secs(9)).await.err() }
        });
        while gate.waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = gate.enter(Duration::from_secs(9)).await.err().unwrap();
        assert_eq!(refused.message, "too many queries: 1 run and 1 wait");
        let timed_out = waiting.await.unwrap().unwrap();
        assert_eq!(timed_out.message, "query timed out in query queue");
        drop(turn);
        assert!(gate.enter(Duration::from_secs(9)).await.is_ok());
        assert_eq!((gate.running_gauge.get(), gate.waiting_gauge.get(), gate.refused.get()), (0.0, 0.0, 2));
    }
}
