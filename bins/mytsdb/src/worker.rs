//! Threads that take one step after the other until the server stops, and how they hear of that.

use anyhow::{Context, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Tells work that goes on beside requests that the server stops.
#[derive(Default)]
pub(crate) struct Shutdown {
    begun: AtomicBool,
    /// Held for a moment by whoever begins to wait, so that nobody falls asleep behind the call.
    waiting: Mutex<()>,
    changed: Condvar,
}

impl Shutdown {
    /// Stops all such work. Work that is asked for later does not begin.
    pub(crate) fn begin(&self) {
        let _waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Relaxed, here and below: nothing else is published with it.
        self.begun.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Waits for a while, or until the server stops.
    pub(crate) fn wait(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.has_begun() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            waiting = self.changed.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Starts a thread that waits for `first` and then takes steps, each of which says how long to wait before the next one, until
/// the server stops. A step that takes long looks at the shutdown itself.
pub(crate) fn spawn(
    name: &str,
    shutdown: &Arc<Shutdown>,
    first: Duration,
    mut step: impl FnMut(&Shutdown) -> Duration + Send + 'static,
) -> Result<JoinHandle<()>> {
    let shutdown = shutdown.clone();
    let steps = move || {
        shutdown.wait(first);
        while !shutdown.has_begun() {
            let pause = step(&shutdown);
            shutdown.wait(pause);
        }
    };
    std::thread::Builder::new().name(name.to_owned()).spawn(steps).with_context(|| format!("start thread {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_hours(1);

    #[test]
    fn steps_follow_each_other_until_the_server_stops_whatever_they_wait_for() {
        let shutdown = Arc::new(Shutdown::default());
        let (tell, hear) = mpsc::channel();
        let mut pauses = [Duration::ZERO, Duration::ZERO, LONG].into_iter();
        let worker = spawn("test", &shutdown, Duration::ZERO, move |_| {
            tell.send(()).unwrap();
            pauses.next().unwrap()
        })
        .unwrap();
        (0..3).for_each(|_| hear.recv().unwrap());
        shutdown.begin();
        worker.join().unwrap();
        assert!(hear.recv().is_err(), "no step is taken afterwards");
    }

    #[test]
    fn a_worker_that_has_not_begun_and_a_step_that_waits_are_stopped() {
        let shutdown = Arc::new(Shutdown::default());
        let idle = spawn("idle", &shutdown, LONG, |_| panic!("no step was due")).unwrap();
        let (tell, hear) = mpsc::channel();
        let busy = spawn("busy", &shutdown, Duration::ZERO, move |shutdown| {
            tell.send(()).unwrap();
            shutdown.wait(LONG);
            Duration::ZERO
        })
        .unwrap();
        hear.recv().unwrap();
        shutdown.begin();
        idle.join().unwrap();
        busy.join().unwrap();
        assert!(hear.recv().is_err());
    }
}
