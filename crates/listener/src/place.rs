//! The place of one connection among those of its listener: whether it is busy, and since when it is quiet.

use crate::metrics::{Ended, Metrics};
use crate::options::ListenerOptions;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;
use tokio::time::Instant;

/// All connections of a listener.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) options: ListenerOptions,
    pub(crate) metrics: Metrics,
    epoch: Instant,
    seats: Mutex<Seats>,
}

#[derive(Debug, Default)]
struct Seats {
    next_id: u64,
    /// Those that were not told to go.
    taken: HashMap<u64, Arc<Seat>>,
}

/// What is known of one connection.
///
/// Relaxed throughout: each value stands for itself, and a stale one at most makes another quiet connection go.
#[derive(Debug)]
struct Seat {
    id: u64,
    spare: bool,
    requests: AtomicUsize,
    /// Whether there ever was a whole request.
    served: AtomicBool,
    /// Microseconds from the table's epoch.
    quiet_since_us: AtomicU64,
    evicted: AtomicBool,
    reader: Mutex<Option<Waker>>,
}

impl Table {
    pub(crate) fn new(options: ListenerOptions, metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { options, metrics, epoch: Instant::now(), seats: Mutex::default() })
    }

    // Nothing that can panic runs under these locks, so a poisoned one holds good values.
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// A place for a new connection, if need be that of one that is quiet. `None` if there is none: all are busy.
    pub(crate) fn sit(self: &Arc<Self>) -> Option<Place> {
        let mut seats = self.seats();
        let ListenerOptions { connections_max, spare_connections_max, .. } = self.options;
        if seats.taken.len() >= connections_max {
            self.evict(&mut seats);
        }
        let spare = seats.taken.len() >= connections_max;
        if seats.taken.len() >= connections_max.saturating_add(spare_connections_max) {
            self.metrics.ended(Ended::Refused).inc();
            return None;
        }
        let id = seats.next_id;
        seats.next_id += 1;
        let seat = Arc::new(Seat {
            id,
            spare,
            requests: AtomicUsize::new(0),
            served: AtomicBool::new(false),
            quiet_since_us: AtomicU64::new(self.now_us()),
            evicted: AtomicBool::new(false),
            reader: Mutex::default(),
        });
        seats.taken.insert(id, Arc::clone(&seat));
        drop(seats);
        self.metrics.accepted.inc();
        self.metrics.open.add(1.0);
        Some(Place(Arc::new(Claim { table: Arc::clone(self), seat })))
    }

    /// Ends the connection that has been quiet for longest, one that was never served first. Says whether there is one.
    pub(crate) fn make_room(&self) -> bool {
        self.evict(&mut self.seats())
    }

    fn evict(&self, seats: &mut Seats) -> bool {
        let quiet = seats.taken.values().filter(|seat| seat.requests.load(Ordering::Relaxed) == 0);
        let oldest = quiet.min_by_key(|seat| {
            (seat.served.load(Ordering::Relaxed), seat.quiet_since_us.load(Ordering::Relaxed), seat.id)
        });
        let Some(id) = oldest.map(|seat| seat.id) else { return false };
        let Some(seat) = seats.taken.remove(&id) else { return false };
        seat.evicted.store(true, Ordering::Relaxed);
        self.metrics.ended(Ended::Evicted).inc();
        if let Some(reader) = seat.reader.lock().unwrap_or_else(PoisonError::into_inner).take() {
            reader.wake();
        }
        true
    }
}

/// The place of a connection. Clones are the same place, which is free once the last of them is dropped.
#[derive(Debug, Clone)]
pub struct Place(Arc<Claim>);

#[derive(Debug)]
struct Claim {
    table: Arc<Table>,
    seat: Arc<Seat>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.table.seats().taken.remove(&self.seat.id);
        self.table.metrics.open.add(-1.0);
    }
}

impl Place {
    /// Notes that a request is being worked on, until the value returned is dropped. A connection with a request is not
    /// ended for want of room or of bytes.
    #[must_use]
    pub fn begin_request(&self) -> Busy {
        self.0.seat.served.store(true, Ordering::Relaxed);
        self.0.seat.requests.fetch_add(1, Ordering::Relaxed);
        Busy(self.clone())
    }

    /// Whether this connection is one too many: all places were taken by busy ones when it came, and still are.
    pub fn is_spare(&self) -> bool {
        self.0.seat.spare && self.0.table.seats().taken.len() > self.0.table.options.connections_max
    }

    pub(crate) fn options(&self) -> &ListenerOptions {
        &self.0.table.options
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.0.seat.requests.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn count_ended(&self, why: Ended) {
        self.0.table.metrics.ended(why).inc();
    }

    /// Whether the connection has to go. If not, `context` is woken when it has to.
    pub(crate) fn poll_evicted(&self, context: &Context<'_>) -> bool {
        let seat = &self.0.seat;
        // The waker is stored first, under the lock that the other side takes after it has set the flag.
        let mut reader = seat.reader.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *reader {
            Some(known) => known.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        drop(reader);
        seat.evicted.load(Ordering::Relaxed)
    }

    /// How long there has been no request.
    pub(crate) fn quiet_for(&self) -> Duration {
        let since_us = self.0.seat.quiet_since_us.load(Ordering::Relaxed);
        Duration::from_micros(self.0.table.now_us().saturating_sub(since_us))
    }
}

/// A request being worked on.
#[derive(Debug)]
pub struct Busy(Place);

impl Drop for Busy {
    fn drop(&mut self) {
        let Claim { table, seat } = &*self.0.0;
        seat.quiet_since_us.store(table.now_us(), Ordering::Relaxed);
        seat.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_telemetry::Registry;

    fn table(connections_max: usize, spare_connections_max: usize) -> Arc<Table> {
        let options = ListenerOptions { connections_max, spare_connections_max, ..ListenerOptions::default() };
        Table::new(options, Metrics::new("test", &Registry::new()))
    }

    fn is_evicted(place: &Place) -> bool {
        place.poll_evicted(&Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn the_one_quiet_for_longest_makes_room_and_those_never_served_go_first() {
        let table = table(3, 1);
        let places: Vec<Place> = (0..3).map(|_| table.sit().unwrap()).collect();
        drop(places[0].begin_request());
        let busy = places[1].begin_request();
        let fourth = table.sit().unwrap();
        assert_eq!(places.iter().map(is_evicted).collect::<Vec<_>>(), [false, false, true]);
        let _fifth = table.sit().unwrap();
        assert!(is_evicted(&fourth) && !is_evicted(&places[0]));
        drop(busy);
        assert_eq!(table.metrics.ended(Ended::Evicted).get(), 2);
    }

    #[tokio::test]
    async fn beyond_busy_connections_there_are_a_few_spare_ones() {
        let table = table(2, 1);
        let busy: Vec<_> = (0..2).map(|_| table.sit().unwrap().begin_request()).collect();
        let spare = table.sit().unwrap();
        assert!(spare.is_spare());
        let working = spare.begin_request();
        assert!(table.sit().is_none());
        assert_eq!(table.metrics.ended(Ended::Refused).get(), 1);
        drop(working);
        let next = table.sit().unwrap();
        assert!(is_evicted(&spare), "a spare one that is quiet makes room as well");
        drop(busy);
        assert!(!next.is_spare(), "there is room now");
        drop((spare, next));
        assert_eq!(table.metrics.open.get(), 0.0);
    }
}
