//! A lock-free staging stack, many producers to one taker, that hands items over in the order they were pushed.
//!
//! The list is Treiber's stack (R. K. Treiber, IBM RJ 5118, 1986) without pop: producers put nodes in front by
//! compare-and-swap, the taker detaches the whole list at once. Nothing is ever taken out of the middle, so the ABA
//! problem cannot arise: whatever list hangs off the head at the moment of the swap is the taker's.
//!
//! Invariants that the code below cites by name:
//!
//! - **Invariant O (owned).** A node is owned by exactly one party: by its producer until the swap in [`Lane::push`]
//!   succeeds, by the lane while it can be reached from `head`, by the taker after the swap in [`Lane::drain`].
//! - **Invariant P (published).** A node reachable from `head` is never written to. Its item and `next` were written
//!   before the Release swap that made it reachable.
//! - **Invariant C (closed).** Bit 0 of the head's address is set once, by [`Lane::close`], and never cleared. A node
//!   address has bit 0 clear because nodes are aligned for the pointer they hold.

use std::fmt;
use std::marker::PhantomData;
use std::ptr;

use crate::atomic::{AtomicPtr, Ordering};
use crate::cell::UnsafeCell;
use crate::weaken::weakened;

/// Bit of the head's address that says "closed" (invariant C).
const CLOSED: usize = 1;

/// Ordering of the swap that publishes a node; pairs with [`TAKE`].
///
/// Each later swap on `head`, of whatever ordering, continues this one's release sequence: a taker that reads the
/// newest head has synchronised with the producers of every node behind it, too.
const PUBLISH: Ordering = if weakened("publish") { Ordering::Relaxed } else { Ordering::Release };

/// Ordering of the swap that detaches the list; pairs with [`PUBLISH`].
const TAKE: Ordering = if weakened("take") { Ordering::Relaxed } else { Ordering::Acquire };

struct Node<T> {
    item: UnsafeCell<T>,
    /// The node pushed before this one, or null. Written only by the owner (invariant O).
    next: UnsafeCell<*mut Node<T>>,
}

const _: () = assert!(align_of::<Node<u8>>() > CLOSED, "bit 0 of a node's address must be free");

/// What a successful [`Lane::push`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// The lane was empty: whoever drains it may be asleep and wants to be woken.
    ToEmpty,
    /// Other items were waiting, so the one who pushed the first of them did the waking.
    BehindOthers,
}

/// An unbounded staging lane: any thread pushes, one thread drains, nobody locks or waits.
///
/// The bound is the owner's business (admission control in front of the push); the lane holds what it is given. It is
/// safe, though rarely useful, to drain from several threads: each item goes to exactly one of them.
///
/// What a producer did before a push, its pushes to other lanes included, is visible to whoever drains that item.
/// So a consumer that drains the lane of references first and the lane of definitions after it never sees a reference
/// whose definition is missing.
pub struct Lane<T> {
    head: AtomicPtr<Node<T>>,
    /// `Send` and `Sync` exactly when `T` is `Send`: items move between threads, no `&T` is ever shared.
    _owns: PhantomData<std::sync::Mutex<T>>,
}

impl<T> Lane<T> {
    /// An empty, open lane. Allocates nothing.
    pub fn new() -> Self {
        Self { head: AtomicPtr::new(ptr::null_mut()), _owns: PhantomData }
    }

    /// Puts `item` behind everything pushed before it.
    ///
    /// Costs one allocation and, without contention, one compare-and-swap.
    ///
    /// # Errors
    ///
    /// Hands the item back if the lane is closed.
    pub fn push(&self, item: T) -> Result<Pushed, T> {
        // Relaxed: the value is only compared and linked to, never followed, before the swap below confirms it.
        let mut head = self.head.load(Ordering::Relaxed);
        if is_closed(head) {
            return Err(item);
        }
        let node = Box::into_raw(Box::new(Node { item: UnsafeCell::new(item), next: UnsafeCell::new(head) }));
        loop {
            // PUBLISH pairs with TAKE in `drain`. Relaxed on failure: as for the load above.
            match self.head.compare_exchange_weak(head, node, PUBLISH, Ordering::Relaxed) {
                Ok(_) if head.is_null() => return Ok(Pushed::ToEmpty),
                Ok(_) => return Ok(Pushed::BehindOthers),
                Err(now) if is_closed(now) => {
                    // SAFETY: the node came out of `Box::into_raw` above and was not published (invariant O).
                    let node = unsafe { Box::from_raw(node) };
                    return Err(node.item.into_inner());
                }
                Err(now) => {
                    head = now;
                    // SAFETY: the node is not published yet, so this thread alone owns and reaches it (invariant O).
                    let next = unsafe { &(*node).next };
                    // SAFETY: as above, nobody else reads or writes `next` meanwhile.
                    next.with_mut(|next| unsafe { *next = head });
                }
            }
        }
    }

    /// Takes all items that are in the lane, oldest first.
    ///
    /// Items pushed later, even while the iterator is alive, wait for the next call. Does not block; costs one swap
    /// and a walk over what was taken. An empty lane costs one load.
    pub fn drain(&self) -> Drain<T> {
        // Relaxed: only an emptiness test and the expected value of the swap, which synchronises.
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            if untagged(head).is_null() {
                return Drain { oldest: ptr::null_mut() };
            }
            let emptied = ptr::without_provenance_mut(head.addr() & CLOSED);
            // TAKE pairs with PUBLISH in `push`; close's swap in between continues the release sequence.
            match self.head.compare_exchange_weak(head, emptied, TAKE, Ordering::Relaxed) {
                // SAFETY: the swap detached the list, which makes it this thread's (invariant O), and it is
                // well-formed and fully visible (invariant P).
                Ok(_) => return Drain { oldest: unsafe { reversed(untagged(head)) } },
                Err(now) => head = now,
            }
        }
    }

    /// Lets no further item in. Items already in stay for [`drain`](Self::drain); closing again changes nothing.
    ///
    /// A push that races with this either got in, and the next drain yields it, or gets its item back.
    pub fn close(&self) {
        let mut head = self.head.load(Ordering::Relaxed);
        while !is_closed(head) {
            let closed = head.map_addr(|address| address | CLOSED);
            // Relaxed: it publishes nothing of this thread's, and any swap continues the producers' release sequence,
            // so the Acquire in `drain` still pairs with them.
            match self.head.compare_exchange_weak(head, closed, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => head = now,
            }
        }
    }

    /// Whether [`close`](Self::close) has been called.
    pub fn is_closed(&self) -> bool {
        // Relaxed: the flag guards no data; a push that misses it is settled by its own swap.
        is_closed(self.head.load(Ordering::Relaxed))
    }

    /// Whether there was nothing to drain a moment ago. A hint: a push may land before the caller looks at the answer.
    pub fn is_empty(&self) -> bool {
        // Relaxed: no item is touched on the strength of this answer.
        untagged(self.head.load(Ordering::Relaxed)).is_null()
    }
}

impl<T> Default for Lane<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for Lane<T> {
    fn drop(&mut self) {
        drop(self.drain());
    }
}

impl<T> fmt::Debug for Lane<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("is_empty", &self.is_empty()).field("is_closed", &self.is_closed()).finish()
    }
}

/// The items of one [`Lane::drain`], oldest first. Those not asked for are dropped with it.
pub struct Drain<T> {
    /// The oldest node not yet yielded, or null; `next` leads to newer ones. All of them are ours (invariant O).
    oldest: *mut Node<T>,
}

impl<T> Iterator for Drain<T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        if self.oldest.is_null() {
            return None;
        }
        // SAFETY: every node of the list came out of `Box::into_raw` and is ours alone (invariant O); the assignment
        // below unlinks it, so it is turned back into a box once.
        let node = unsafe { Box::from_raw(self.oldest) };
        let Node { item, next } = *node;
        self.oldest = next.into_inner();
        Some(item.into_inner())
    }
}

impl<T> std::iter::FusedIterator for Drain<T> {}

impl<T> Drop for Drain<T> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

impl<T> fmt::Debug for Drain<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("is_empty", &self.oldest.is_null()).finish()
    }
}

fn is_closed<T>(head: *mut Node<T>) -> bool {
    head.addr() & CLOSED != 0
}

/// The first node, without the closed bit.
fn untagged<T>(head: *mut Node<T>) -> *mut Node<T> {
    head.map_addr(|address| address & !CLOSED)
}

/// Turns the list round: newest first becomes oldest first. Returns the new first node.
///
/// # Safety
///
/// `newest` is null or the first of a list of nodes that the caller alone owns and that ends in null.
unsafe fn reversed<T>(newest: *mut Node<T>) -> *mut Node<T> {
    let mut rest = newest;
    let mut done = ptr::null_mut();
    while !rest.is_null() {
        // SAFETY: `rest` is a live node of the list, which the caller owns.
        let next = unsafe { &(*rest).next };
        let node = rest;
        next.with_mut(|next| {
            // SAFETY: the caller owns the list, so nobody else touches `next`.
            rest = unsafe { ptr::replace(next, done) };
        });
        done = node;
    }
    done
}

#[cfg(all(test, not(mytsdb_loom)))]
mod tests {
    use super::*;
    use std::rc::Rc;
    use std::sync::Arc;

    #[test]
    fn drain_yields_in_the_order_of_pushing() {
        let lane = Lane::new();
        assert_eq!(lane.push(1), Ok(Pushed::ToEmpty));
        assert_eq!(lane.push(2), Ok(Pushed::BehindOthers));
        assert_eq!(lane.push(3), Ok(Pushed::BehindOthers));
        assert_eq!(lane.drain().collect::<Vec<_>>(), [1, 2, 3]);
        assert!(lane.is_empty());
        assert_eq!(lane.drain().next(), None);
    }

    #[test]
    fn close_keeps_what_is_in_and_refuses_what_comes() {
        let lane = Lane::new();
        lane.push("in").unwrap();
        lane.close();
        lane.close();
        assert!(lane.is_closed() && !lane.is_empty());
        assert_eq!(lane.push("late"), Err("late"));
        assert_eq!(lane.drain().collect::<Vec<_>>(), ["in"]);
        assert!(lane.is_closed() && lane.is_empty(), "draining does not reopen");
        assert_eq!(lane.push("later"), Err("later"));
    }

    #[test]
    fn items_left_in_a_lane_or_a_drain_are_dropped_once() {
        let item = Rc::new(());
        let lane = Lane::new();
        for _ in 0..3 {
            lane.push(Rc::clone(&item)).unwrap();
        }
        let mut drain = lane.drain();
        drop(drain.next());
        assert_eq!(Rc::strong_count(&item), 3);
        drop(drain);
        assert_eq!(Rc::strong_count(&item), 1);
        lane.push(Rc::clone(&item)).unwrap();
        drop(lane);
        assert_eq!(Rc::strong_count(&item), 1);
    }

    #[test]
    fn a_long_list_is_dropped_without_recursion() {
        let lane = Lane::new();
        for number in 0..300_000 {
            lane.push(number).unwrap();
        }
        drop(lane);
    }

    #[test]
    fn lanes_cross_threads_exactly_when_their_items_do() {
        fn assert_shared<T: Send + Sync>() {}
        assert_shared::<Lane<std::cell::Cell<u8>>>();
    }

    #[test]
    fn many_producers_lose_and_double_nothing_and_keep_their_order() {
        const PRODUCERS: usize = 4;
        const EACH: usize = 20_000;
        let lane = Arc::new(Lane::new());
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|producer| {
                let lane = Arc::clone(&lane);
                std::thread::spawn(move || {
                    let mut accepted = 0;
                    for number in 0..EACH {
                        match lane.push((producer, number)) {
                            Ok(_) => accepted += 1,
                            Err(refused) => {
                                assert_eq!(refused, (producer, number));
                                break;
                            }
                        }
                    }
                    accepted
                })
            })
            .collect();
        let mut next = [0; PRODUCERS];
        let mut take = |lane: &Lane<(usize, usize)>| {
            for (producer, number) in lane.drain() {
                assert_eq!(number, next[producer], "order within a producer");
                next[producer] += 1;
            }
            next.iter().sum::<usize>()
        };
        while take(&lane) < PRODUCERS * EACH / 2 {
            std::thread::yield_now();
        }
        lane.close();
        let accepted: Vec<usize> = producers.into_iter().map(|producer| producer.join().unwrap()).collect();
        take(&lane);
        assert_eq!(next.as_slice(), accepted);
    }
}
