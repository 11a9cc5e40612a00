//! The clock is passed in: the engine never reads the machine's time.

/// Tells the wall clock's time. The server passes the machine's, tests pass their own.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now_ms(&self) -> i64;
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug, Default)]
pub struct ManualClock(std::sync::atomic::AtomicI64);

impl ManualClock {
    /// A clock that shows `now_ms`.
    pub fn new(now_ms: i64) -> Self {
        Self(std::sync::atomic::AtomicI64::new(now_ms))
    }

    /// Sets the clock, forwards or back.
    pub fn set(&self, now_ms: i64) {
        // Relaxed: nothing else is published with the time.
        self.0.store(now_ms, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        // Relaxed: see `set`.
        self.0.load(std::sync::atomic::Ordering::Relaxed)
    }
}
