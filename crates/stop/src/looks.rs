//! Counts the steps of work and checks the stop sign after a fixed number of them.

use crate::{Canceled, StopSign};

/// Counts steps of work between two looks at a [`StopSign`].
#[derive(Debug)]
pub struct Looks<'a> {
    sign: StopSign<'a>,
    steps_left: usize,
}

impl<'a> Looks<'a> {
    pub(crate) fn new(sign: StopSign<'a>) -> Self {
        Self { sign, steps_left: 0 }
    }

    /// Steps between two looks. A step is what takes 10 to 200 ns: a text compared, a cold pointer followed, a
    /// pattern run; cheaper things count several for one.
    pub const STEPS: usize = 4_096;

    /// Counts steps that come next, and looks if it is time.
    ///
    /// # Errors
    /// [`Canceled`] if the work is to stop.
    #[inline]
    pub fn before(&mut self, steps: usize) -> Result<(), Canceled> {
        if steps < self.steps_left {
            self.steps_left -= steps;
            return Ok(());
        }
        self.look()
    }

    #[cold]
    fn look(&mut self) -> Result<(), Canceled> {
        self.steps_left = Self::STEPS;
        self.sign.check()
    }

    /// The items as a list, each a step: as many pages of memory are touched between two looks as that many items fill.
    ///
    /// # Errors
    /// [`Canceled`] if the work is to stop.
    pub fn collect<T>(&mut self, items: impl Iterator<Item = T>) -> Result<Vec<T>, Canceled> {
        let mut out = Vec::with_capacity(items.size_hint().0);
        for item in items {
            self.before(1)?;
            out.push(item);
        }
        Ok(out)
    }

    /// Makes room for more items; those that are there, if they have to move, are copied some at a time.
    ///
    /// # Errors
    /// [`Canceled`] if the work is to stop.
    #[inline]
    pub fn reserve<T: Copy>(&mut self, items: &mut Vec<T>, more: usize) -> Result<(), Canceled> {
        if items.capacity() - items.len() >= more { Ok(()) } else { self.grow(items, more) }
    }

    #[cold]
    fn grow<T: Copy>(&mut self, items: &mut Vec<T>, more: usize) -> Result<(), Canceled> {
        const PART: usize = Looks::STEPS / 4;
        let mut larger = Vec::with_capacity(items.len() + more.max(items.len()));
        for some in items.chunks(PART) {
            self.before(some.len())?;
            larger.extend_from_slice(some);
        }
        *items = larger;
        Ok(())
    }

    /// Sorts by `compare`, each comparison two steps, one for either item; equal items may change places.
    ///
    /// A merge sort over sorted runs, so it needs the memory of a second list.
    ///
    /// # Errors
    /// [`Canceled`] if the work is to stop.
    pub fn sort_by<T: Copy>(
        &mut self,
        mut items: Vec<T>,
        compare: impl Fn(&T, &T) -> std::cmp::Ordering,
    ) -> Result<Vec<T>, Canceled> {
        /// A run costs some ten comparisons an item.
        const RUN: usize = Looks::STEPS / 16;
        for run in items.chunks_mut(RUN) {
            self.before(run.len() * 16)?;
            run.sort_unstable_by(&compare);
        }
        // One second list for all rounds: its memory is new to the processor only once.
        let mut merged = Vec::with_capacity(if items.len() > RUN { items.len() } else { 0 });
        let mut width = RUN;
        while width < items.len() {
            for pair in items.chunks(2 * width) {
                let (mut left, mut right) = pair.split_at(width.min(pair.len()));
                while let (Some(a), Some(b)) = (left.first(), right.first()) {
                    self.before(2)?;
                    let from = if compare(a, b).is_gt() { &mut right } else { &mut left };
                    merged.push(from[0]);
                    *from = &from[1..];
                }
                for rest in left.chunks(RUN).chain(right.chunks(RUN)) {
                    self.before(rest.len())?;
                    merged.extend_from_slice(rest);
                }
            }
            std::mem::swap(&mut items, &mut merged);
            merged.clear();
            width *= 2;
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn work_looks_at_once_and_then_every_so_many_steps() {
        let looked = AtomicUsize::new(0);
        let keep_going = || looked.fetch_add(1, Ordering::Relaxed) < 3;
        let mut looks = StopSign::new(&keep_going).looks();
        let steps = (0..usize::MAX).find(|_| looks.before(1).is_err());
        assert_eq!(steps, Some(3 * Looks::STEPS));
        assert_eq!(looked.load(Ordering::Relaxed), 4);
        assert_eq!(StopSign::NEVER.looks().before(usize::MAX), Ok(()));
    }

    /// The most steps between two looks of some work, each call of `step` being one.
    fn longest_gap<T>(work: impl FnOnce(&mut Looks<'_>, &dyn Fn()) -> Result<T, Canceled>) -> usize {
        let (gap, longest) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let keep_going = || {
            longest.fetch_max(gap.swap(0, Ordering::Relaxed), Ordering::Relaxed);
            true
        };
        let step = || _ = gap.fetch_add(1, Ordering::Relaxed);
        assert!(work(&mut StopSign::new(&keep_going).looks(), &step).is_ok());
        keep_going();
        longest.into_inner()
    }

    #[test]
    fn lists_are_made_and_sorted_with_looks_in_between() {
        let collect = |looks: &mut Looks<'_>, step: &dyn Fn()| looks.collect((0..100_000).inspect(|_| step()));
        assert!(longest_gap(collect) <= Looks::STEPS);
        assert_eq!(StopSign::NEVER.looks().collect(3..6), Ok(vec![3, 4, 5]));
        let push = |looks: &mut Looks<'_>, step: &dyn Fn()| {
            let mut items = Vec::new();
            for i in 0..100_000 {
                step();
                looks.before(1)?;
                looks.reserve(&mut items, 3)?;
                items.extend([i; 3]);
            }
            assert!(items.iter().copied().eq((0..100_000).flat_map(|i| [i; 3])));
            Ok(())
        };
        assert!(longest_gap(push) <= Looks::STEPS);
        for factor in [1u32, 2_654_435_761] {
            let items: Vec<u32> = (0..100_000).map(|i: u32| i.wrapping_mul(factor)).collect();
            let sort = |looks: &mut Looks<'_>, step: &dyn Fn()| {
                let compare = |a: &u32, b: &u32| {
                    step();
                    a.cmp(b)
                };
                looks.sort_by(items, compare)
            };
            assert!(longest_gap(sort) <= Looks::STEPS);
        }
    }

    #[test]
    fn sorting_by_runs_sorts_and_stops_when_told() {
        for len in [0u32, 1, 255, 256, 257, 50_000] {
            let shuffled: Vec<u32> = (0..len).map(|i| i.wrapping_mul(2_654_435_761)).collect();
            let mut expected = shuffled.clone();
            expected.sort_unstable();
            assert_eq!(StopSign::NEVER.looks().sort_by(shuffled, Ord::cmp), Ok(expected), "{len}");
        }
        assert_eq!(StopSign::new(&|| false).looks().sort_by(vec![2, 1], Ord::cmp), Err(Canceled));
    }
}
