//! The slot of one connection among those of its listener: whether it is busy, and since when it is quiet.

use crate::metrics::{Ended, Metrics};
use crate::options::ListenerOptions;
use crate::turned_away::TurnedAway;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// All connections of a listener.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) options: ListenerOptions,
    pub(crate) metrics: Metrics,
    epoch: Instant,
    registered: Mutex<Registered>,
}

#[derive(Debug, Default)]
struct Registered {
    next_id: u64,
    /// The open ones that were not evicted.
    by_id: HashMap<u64, Arc<Connection>>,
}

/// What is known of one connection.
///
/// Relaxed throughout: each value stands for itself, and a stale one at most makes another quiet connection go.
#[derive(Debug)]
struct Connection {
    id: u64,
    spare: bool,
    requests: AtomicUsize,
    /// Whether there ever was a whole request.
    served: AtomicBool,
    /// Microseconds from the start of the listener.
    quiet_since_us: AtomicU64,
    evicted: AtomicBool,
    reader: Mutex<Option<Waker>>,
}

impl Connections {
    pub(crate) fn new(options: ListenerOptions, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { options, metrics, epoch: Instant::now(), registered: Mutex::default() })
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// A slot for a new connection, if need be that of one that is quiet. `None` if there is none: all are busy.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Slot> {
        let mut registered = self.registered.lock();
        let ListenerOptions { connections_max, spare_connections_max, .. } = self.options;
        if registered.by_id.len() >= connections_max {
            self.evict(&mut registered);
        }
        let spare = registered.by_id.len() >= connections_max;
        if registered.by_id.len() >= connections_max.saturating_add(spare_connections_max) {
            self.metrics.ended(Ended::Refused).inc();
            return None;
        }
        let id = registered.next_id;
        registered.next_id += 1;
        let connection = Arc::new(Connection {
            id,
            spare,
            requests: AtomicUsize::new(0),
            served: AtomicBool::new(false),
            quiet_since_us: AtomicU64::new(self.now_us()),
            evicted: AtomicBool::new(false),
            reader: Mutex::default(),
        });
        registered.by_id.insert(id, Arc::clone(&connection));
        drop(registered);
        self.metrics.accepted.inc();
        self.metrics.open.add(1.0);
        Some(Slot(Arc::new(SlotGuard { connections: Arc::clone(self), connection })))
    }

    /// Ends the connection that has been quiet for longest, one that was never served first. Says whether there is one.
    pub(crate) fn evict_idle(&self) -> bool {
        self.evict(&mut self.registered.lock())
    }

    fn evict(&self, registered: &mut Registered) -> bool {
        let quiet = registered.by_id.values().filter(|connection| connection.requests.load(Ordering::Relaxed) == 0);
        let oldest = quiet.min_by_key(|connection| {
            (
                connection.served.load(Ordering::Relaxed),
                connection.quiet_since_us.load(Ordering::Relaxed),
                connection.id,
            )
        });
        let Some(id) = oldest.map(|connection| connection.id) else { return false };
        let Some(connection) = registered.by_id.remove(&id) else { return false };
        connection.evicted.store(true, Ordering::Relaxed);
        self.metrics.ended(Ended::Evicted).inc();
        if let Some(reader) = connection.reader.lock().take() {
            reader.wake();
        }
        true
    }
}

/// The slot of a connection. Clones are the same slot, which is free once the last of them is dropped.
#[derive(Debug, Clone)]
pub struct Slot(Arc<SlotGuard>);

#[derive(Debug)]
struct SlotGuard {
    connections: Arc<Connections>,
    connection: Arc<Connection>,
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        self.connections.registered.lock().by_id.remove(&self.connection.id);
        self.connections.metrics.open.add(-1.0);
    }
}

impl Slot {
    /// Notes that a request is being worked on, until the value returned is dropped. A connection with a request is not
    /// ended for want of room or of bytes.
    #[must_use]
    pub fn begin_request(&self) -> Busy {
        self.0.connection.served.store(true, Ordering::Relaxed);
        self.0.connection.requests.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Notes that a stream of HTTP/2 has begun. Clients know how many there may be, and keep further requests to themselves:
    /// that is all that can be seen of the limit.
    pub(crate) fn begin_stream(&self) {
        if self.0.connection.requests.load(Ordering::Relaxed) >= self.options().streams_max as usize {
            self.0.connections.metrics.full.inc();
        }
    }

    /// Whether this connection is one too many: busy connections had all slots when it came, and still have them.
    pub fn is_spare(&self) -> bool {
        self.0.connection.spare
            && self.0.connections.registered.lock().by_id.len() > self.0.connections.options.connections_max
    }

    pub(crate) fn options(&self) -> &ListenerOptions {
        &self.0.connections.options
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.0.connection.requests.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn count_turned_away(&self, why: &TurnedAway) {
        self.0.connections.metrics.count_turned_away(why);
    }

    pub(crate) fn count_ended(&self, why: Ended) {
        self.0.connections.metrics.ended(why).inc();
    }

    /// Whether the connection was evicted. If not, `context` is woken once it is.
    pub(crate) fn poll_evicted(&self, context: &Context<'_>) -> bool {
        let connection = &self.0.connection;
        // The waker is stored first, under the lock that the other side takes after it has set the flag.
        let mut reader = connection.reader.lock();
        match &mut *reader {
            Some(known) => known.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        drop(reader);
        connection.evicted.load(Ordering::Relaxed)
    }

    /// How long there has been no request.
    pub(crate) fn quiet_for(&self) -> Duration {
        let since_us = self.0.connection.quiet_since_us.load(Ordering::Relaxed);
        Duration::from_micros(self.0.connections.now_us().saturating_sub(since_us))
    }
}

/// A request being worked on.
#[derive(Debug)]
pub struct Busy(Slot);

impl Drop for Busy {
    fn drop(&mut self) {
        let SlotGuard { connections, connection } = &*self.0.0;
        connection.quiet_since_us.store(connections.now_us(), Ordering::Relaxed);
        connection.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_telemetry::Registry;

    fn connections(connections_max: usize, spare_connections_max: usize) -> Arc<Connections> {
        let options = ListenerOptions { connections_max, spare_connections_max, ..ListenerOptions::default() };
        Connections::new(options, Metrics::new("test", &Registry::new()))
    }

    fn is_evicted(slot: &Slot) -> bool {
        slot.poll_evicted(&Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn the_one_quiet_for_longest_makes_room_and_those_never_served_go_first() {
        let connections = connections(3, 1);
        let slots: Vec<Slot> = (0..3).map(|_| connections.admit().unwrap()).collect();
        drop(slots[0].begin_request());
        let busy = slots[1].begin_request();
        let fourth = connections.admit().unwrap();
        assert_eq!(slots.iter().map(is_evicted).collect::<Vec<_>>(), [false, false, true]);
        let _fifth = connections.admit().unwrap();
        assert!(is_evicted(&fourth) && !is_evicted(&slots[0]));
        drop(busy);
        assert_eq!(connections.metrics.ended(Ended::Evicted).get(), 2);
    }

    #[tokio::test]
    async fn requests_that_take_the_last_stream_are_counted() {
        let options = ListenerOptions { streams_max: 2, ..ListenerOptions::default() };
        let connections = Connections::new(options, Metrics::new("test", &Registry::new()));
        let slot = connections.admit().unwrap();
        let first = slot.begin_request();
        slot.begin_stream();
        assert_eq!(connections.metrics.full.get(), 0);
        let second = slot.begin_request();
        slot.begin_stream();
        assert_eq!(connections.metrics.full.get(), 1);
        drop((first, second));
        let _busy = slot.begin_request();
        slot.begin_stream();
        assert_eq!(connections.metrics.full.get(), 1, "there is a stream left again");
    }

    #[tokio::test]
    async fn beyond_busy_connections_there_are_a_few_spare_ones() {
        let connections = connections(2, 1);
        let busy: Vec<_> = (0..2).map(|_| connections.admit().unwrap().begin_request()).collect();
        let spare = connections.admit().unwrap();
        assert!(spare.is_spare());
        let working = spare.begin_request();
        assert!(connections.admit().is_none());
        assert_eq!(connections.metrics.ended(Ended::Refused).get(), 1);
        drop(working);
        let next = connections.admit().unwrap();
        assert!(is_evicted(&spare), "a spare one that is quiet makes room as well");
        drop(busy);
        assert!(!next.is_spare(), "there is room now");
        drop((spare, next));
        assert_eq!(connections.metrics.open.get(), 0.0);
    }
}
