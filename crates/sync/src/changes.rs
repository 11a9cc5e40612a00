//! What has changed since a moment: told too early rather than too late, in bounded memory.
//!
//! Who computes something from shared data takes a stamp ([`Changes::stamp`]) and then reads. Who changes data makes the change visible,
//! then notes it ([`Changes::note`]), and only then tells anybody. Who wants to use a result again asks what has changed since its stamp
//! ([`Changes::earliest_since`]). Changes are told by place, of which the caller says what it stands for, and as the earliest time that
//! they are about.
//!
//! **Invariant R.** A change that was not seen by who read after taking a stamp is told to whoever asks with that stamp, from the end of
//! the note on. And if who asks with an older stamp *after* taking a new one is not told of a change, the new stamp tells it from the end
//! of the note on.
//!
//! The first rests on two fences: the stamp advances the moment and then reads, the change is made and then reads the moment; one of the
//! two sees the other. The second rests on reading the moment under the lock of the place. `tests/loom/changes.rs` shows both for every order of
//! events, and notices when the fence of the stamp is missing (`stamp_fence`) and when the moment is read ahead of the lock
//! (`note_moment`). `docs/result-cache.md` has the rest.

use crate::atomic::{AtomicU64, Ordering, fence};
use crate::weaken::weakened;
use crate::{Mutex, MutexGuard};
use std::sync::PoisonError;

/// Pairs that a place remembers.
const PAIRS_MAX: usize = 32;

/// Ranges that are remembered for all places.
const RANGES_MAX: usize = 64;

/// Changes by place, and of all places by range of time.
#[derive(Debug)]
pub struct Changes {
    /// The moment now; a stamp is the moment before it was advanced.
    now: AtomicU64,
    places: Box<[Mutex<Place>]>,
    ranges: Mutex<Vec<ChangedRange>>,
}

/// The changes of one place: moments, and the earliest time changed in them or later. Both ascend strictly.
#[derive(Debug, Default)]
struct Place(Vec<(u64, i64)>);

/// What one of those who note has noted last, by place: what is told already costs no lock.
///
/// A pair that was noted is told to every stamp that was taken before its moment began. So as long as the moment is the same, a change at that
/// time or later is told to them too, and who takes a stamp later sees it.
#[derive(Debug)]
pub struct Noted(Box<[(u64, i64)]>);

impl Noted {
    /// Nothing yet, in so many places.
    pub fn new(places: usize) -> Self {
        Self(vec![(0, 0); places].into())
    }
}

/// Times that changed for all places; both ends are included.
#[derive(Debug, Clone, Copy)]
struct ChangedRange {
    moment: u64,
    mint: i64,
    maxt: i64,
}

impl Changes {
    /// Nothing has changed yet in so many places.
    pub fn new(places: usize) -> Self {
        Self {
            now: AtomicU64::new(1),
            places: (0..places).map(|_| Mutex::default()).collect(),
            ranges: Mutex::new(Vec::new()),
        }
    }

    /// A stamp for what is read from here on.
    pub fn stamp(&self) -> u64 {
        let stamp = self.now.fetch_add(1, Ordering::AcqRel);
        if !weakened("stamp_fence") {
            // Pairs with the fence in `note` and `note_range`: see Invariant R.
            fence(Ordering::SeqCst);
        }
        stamp
    }

    /// Notes what has been changed: places, and the earliest time that the change of each is about. Cost: for each of them a lock that is hardly
    /// ever taken, or nothing if no stamp was taken since `noted` last had it.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn note(&self, noted: &mut Noted, changed: impl IntoIterator<Item = (usize, i64)>) {
        fence(Ordering::SeqCst); // pairs with the one in `stamp`
        for (place, time) in changed {
            let known = &mut noted.0[place];
            if known.0 == self.moment() && known.1 <= time {
                continue;
            }
            let ahead = weakened("note_moment").then(|| self.moment());
            let mut place = lock(&self.places[place]);
            let moment = ahead.unwrap_or_else(|| self.moment());
            place.note(moment, time);
            *known = (moment, time);
        }
    }

    /// Notes that something changed in a range of time, whatever the place.
    pub fn note_range(&self, mint: i64, maxt: i64) {
        if mint > maxt {
            return;
        }
        fence(Ordering::SeqCst); // pairs with the one in `stamp`
        let mut ranges = lock(&self.ranges);
        let changed = ChangedRange { moment: self.moment(), mint, maxt };
        if ranges.len() == RANGES_MAX {
            // The two oldest become one.
            let oldest = ranges.remove(0);
            let next = &mut ranges[0];
            (next.mint, next.maxt) = (next.mint.min(oldest.mint), next.maxt.max(oldest.maxt));
        }
        ranges.push(changed);
    }

    /// A time that no change since the stamp is before, of those that are about the place or reach into `mint..=maxt` whatever the place;
    /// `i64::MAX` if there was none.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn earliest_since(&self, stamp: u64, place: usize, (mint, maxt): (i64, i64)) -> i64 {
        let of_place = lock(&self.places[place]).earliest_since(stamp);
        let ranges = lock(&self.ranges);
        let reaches_in = |range: &&ChangedRange| range.moment > stamp && range.mint <= maxt && range.maxt >= mint;
        ranges.iter().filter(reaches_in).map(|range| range.mint).fold(of_place, i64::min)
    }

    /// The moment now. Read under the lock of what notes it; the fences carry the order.
    fn moment(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }
}

impl Place {
    fn note(&mut self, moment: u64, time: i64) {
        let pairs = &mut self.0;
        // Whoever is told of an earlier moment is told of this one too, which is about an earlier time.
        while pairs.last().is_some_and(|&(_, later)| later >= time) {
            pairs.pop();
        }
        if pairs.last().is_some_and(|&(last, _)| last >= moment) {
            return;
        }
        pairs.push((moment, time));
        if pairs.len() > PAIRS_MAX {
            let nearest = nearest(pairs);
            pairs[nearest + 1].1 = pairs[nearest].1;
            pairs.remove(nearest);
        }
    }

    fn earliest_since(&self, stamp: u64) -> i64 {
        let first = self.0.partition_point(|&(moment, _)| moment <= stamp);
        self.0.get(first).map_or(i64::MAX, |&(_, time)| time)
    }
}

/// The pair that is nearest to the next one, measured by how far both are from the last.
fn nearest(pairs: &[(u64, i64)]) -> usize {
    let newest = pairs.last().map_or(0, |&(_, time)| time);
    let distance = |at: usize| {
        let (time, next) = (pairs[at].1, pairs[at + 1].1);
        next.saturating_sub(time) as f64 / (newest.saturating_sub(time) as f64 + 1.0)
    };
    (0..pairs.len() - 1).min_by(|&a, &b| distance(a).total_cmp(&distance(b))).unwrap_or(0)
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    // What panicked while it was held left it whole.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(all(test, not(mytsdb_loom)))]
mod tests {
    use super::*;

    const ALL: (i64, i64) = (i64::MIN, i64::MAX);

    #[test]
    fn the_earliest_time_since_a_stamp_is_told_by_place() {
        let (changes, noted) = (Changes::new(2), &mut Noted::new(2));
        let first = changes.stamp();
        assert_eq!(changes.earliest_since(first, 0, ALL), i64::MAX);
        changes.note(noted, [(0, 100), (0, 90), (0, 110)]);
        let second = changes.stamp();
        changes.note(noted, [(0, 120)]);
        let third = changes.stamp();
        let told = |place| [first, second, third].map(|stamp| changes.earliest_since(stamp, place, ALL));
        assert_eq!(told(0), [90, 120, i64::MAX]);
        assert_eq!(told(1), [i64::MAX; 3]);
        changes.note(noted, [(0, 95)]);
        assert_eq!(told(0), [90, 95, 95], "a late one counts for all before it");
    }

    #[test]
    fn ranges_count_for_every_place_where_they_reach_in() {
        let changes = Changes::new(1);
        let stamp = changes.stamp();
        changes.note_range(10, 20);
        changes.note_range(9, 8);
        let told = |mint, maxt| changes.earliest_since(stamp, 0, (mint, maxt));
        assert_eq!([told(0, 9), told(20, 30), told(0, 10), told(21, 30)], [i64::MAX, 10, 10, i64::MAX]);
        let later = changes.stamp();
        assert_eq!(changes.earliest_since(later, 0, ALL), i64::MAX);
    }

    #[test]
    fn what_is_told_is_never_too_late_and_takes_bounded_memory() {
        let (changes, noted) = (Changes::new(1), &mut Noted::new(1));
        let mut stamps = Vec::new();
        // Times ascend but for some that come late.
        let times: Vec<i64> = (0..5_000).map(|i| if i % 97 == 0 { i * 10 - 300 } else { i * 10 }).collect();
        for &time in &times {
            stamps.push(changes.stamp());
            changes.note(noted, [(0, time), (0, time + 1)]);
        }
        assert!(changes.places[0].lock().unwrap().0.len() <= PAIRS_MAX);
        let newest = times[times.len() - 1];
        for (i, &stamp) in stamps.iter().enumerate() {
            let exact = times[i..].iter().copied().min().unwrap();
            let told = changes.earliest_since(stamp, 0, ALL);
            assert!(told <= exact, "{i}: {told} is behind {exact}");
            let age = newest - exact + 400;
            assert!(exact - told <= age / 2, "{i}: {told} is far ahead of {exact}, which is {age} old");
        }
        let first = changes.stamp();
        (0..1_000).for_each(|at| changes.note_range(at, at));
        assert!(changes.ranges.lock().unwrap().len() <= RANGES_MAX);
        assert_eq!(changes.earliest_since(first, 0, (0, 0)), 0, "joined, not forgotten");
    }
}
