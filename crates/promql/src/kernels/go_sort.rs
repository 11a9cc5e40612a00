//! The unstable sort of Go's standard library (the pattern-defeating quicksort of `sort` and `slices`), step by step.
//!
//! Prometheus sorts by comparisons that are no orders: two NaN, a label that one of two series lacks. Where its items end
//! then is what the algorithm makes of the answers, so ours asks the same questions. No answers can make it panic.

/// Sorts by `before`, which says whether its first item must stand before the second.
///
/// Leaves the items in any order once `stop` says so, which is asked for each run of some thousands.
pub(crate) fn sort_until<T>(cells: &mut [T], before: &impl Fn(&T, &T) -> bool, stop: &dyn Fn() -> bool) {
    let limit = usize::BITS - cells.len().leading_zeros();
    let end = cells.len();
    Sort { cells, before, stop }.quick(0, end, limit);
}

/// Longest run that is sorted by insertion.
const INSERTION_MAX: usize = 12;
/// From this length on the pivot is the median of medians, and a few elements out of order are put in place.
const LONG: usize = 50;

/// What the choice of a pivot says about the order of a run.
#[derive(Clone, Copy, PartialEq)]
enum Seems {
    Unordered,
    Ascending,
    Descending,
}

struct Sort<'c, T, F> {
    cells: &'c mut [T],
    before: &'c F,
    stop: &'c dyn Fn() -> bool,
}

/// For runs from this length on the stop sign is checked.
const STOP_RUN: usize = 1 << 12;

impl<T, F: Fn(&T, &T) -> bool> Sort<'_, T, F> {
    /// Whether the cell at `a` must stand before the one at `b`.
    fn less(&self, a: usize, b: usize) -> bool {
        (self.before)(&self.cells[a], &self.cells[b])
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.cells.swap(a, b);
    }

    /// Sorts `a..b`; after `limit` bad pivots by a heap.
    fn quick(&mut self, mut a: usize, mut b: usize, mut limit: u32) {
        let (mut balanced, mut partitioned) = (true, true);
        loop {
            let length = b - a;
            if length <= INSERTION_MAX {
                return self.insert(a, b);
            }
            if length >= STOP_RUN && (self.stop)() {
                return;
            }
            if limit == 0 {
                return self.heap(a, b);
            }
            if !balanced {
                self.break_patterns(a, b);
                limit -= 1;
            }
            let (mut pivot, mut seems) = self.pivot(a, b);
            if seems == Seems::Descending {
                self.cells[a..b].reverse();
                pivot = (b - 1) - (pivot - a);
                seems = Seems::Ascending;
            }
            if balanced && partitioned && seems == Seems::Ascending && self.insert_few(a, b) {
                return;
            }
            if a > 0 && !self.less(a - 1, pivot) {
                a = self.partition_equal(a, b, pivot);
                continue;
            }
            let (middle, was_partitioned) = self.partition(a, b, pivot);
            partitioned = was_partitioned;
            let (left, right) = (middle - a, b - middle);
            balanced = left.min(right) >= length / 8;
            if left < right {
                self.quick(a, middle, limit);
                a = middle + 1;
            } else {
                self.quick(middle + 1, b, limit);
                b = middle;
            }
        }
    }

    fn insert(&mut self, a: usize, b: usize) {
        for i in a + 1..b {
            self.sink(i, a);
        }
    }

    /// Moves the cell at `i` down while it is less than the one before it, not below `end`.
    fn sink(&mut self, i: usize, end: usize) {
        let mut j = i;
        while j > end && self.less(j, j - 1) {
            self.swap(j, j - 1);
            j -= 1;
        }
    }

    fn heap(&mut self, a: usize, b: usize) {
        let length = b - a;
        for root in (0..=(length - 1) / 2).rev() {
            self.sift(a, root, length);
        }
        for end in (0..length).rev() {
            self.swap(a, a + end);
            self.sift(a, 0, end);
        }
    }

    fn sift(&mut self, first: usize, mut root: usize, length: usize) {
        loop {
            let mut child = 2 * root + 1;
            if child >= length {
                return;
            }
            if child + 1 < length && self.less(first + child, first + child + 1) {
                child += 1;
            }
            if !self.less(first + root, first + child) {
                return;
            }
            self.swap(first + root, first + child);
            root = child;
        }
    }

    /// Cells less than the pivot first; where the pivot is then, and whether nothing had to move.
    fn partition(&mut self, a: usize, b: usize, pivot: usize) -> (usize, bool) {
        self.swap(a, pivot);
        let (mut i, mut j) = (a + 1, b - 1);
        let mut untouched = true;
        loop {
            while i <= j && self.less(i, a) {
                i += 1;
            }
            while i <= j && !self.less(j, a) {
                j -= 1;
            }
            if i > j {
                self.swap(j, a);
                return (j, untouched);
            }
            self.swap(i, j);
            untouched = false;
            i += 1;
            j -= 1;
        }
    }

    /// Cells equal to the pivot first, given that none is less; where the others begin.
    fn partition_equal(&mut self, a: usize, b: usize, pivot: usize) -> usize {
        self.swap(a, pivot);
        let (mut i, mut j) = (a + 1, b - 1);
        loop {
            while i <= j && !self.less(a, i) {
                i += 1;
            }
            while i <= j && self.less(a, j) {
                j -= 1;
            }
            if i > j {
                return i;
            }
            self.swap(i, j);
            i += 1;
            j -= 1;
        }
    }

    /// Puts up to five cells in their places; whether all is sorted then.
    fn insert_few(&mut self, a: usize, b: usize) -> bool {
        let mut i = a + 1;
        for _ in 0..5 {
            while i < b && !self.less(i, i - 1) {
                i += 1;
            }
            if i == b {
                return true;
            }
            if b - a < LONG {
                return false;
            }
            self.swap(i, i - 1);
            if i - a >= 2 {
                self.sink(i - 1, 0);
            }
            let mut j = i + 1;
            while j < b && self.less(j, j - 1) {
                self.swap(j, j - 1);
                j += 1;
            }
        }
        false
    }

    /// Moves three cells of the middle elsewhere.
    fn break_patterns(&mut self, a: usize, b: usize) {
        let length = b - a;
        let mut random = length as u64;
        let mask = (1u64 << (usize::BITS - length.leading_zeros())) - 1;
        let middle = a + (length / 4) * 2;
        for at in middle - 1..=middle + 1 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let other = (random & mask) as usize;
            self.swap(at, a + if other >= length { other - length } else { other });
        }
    }

    fn pivot(&self, a: usize, b: usize) -> (usize, Seems) {
        let length = b - a;
        let mut swaps = 0;
        let mut quarters = [1, 2, 3].map(|n| a + length / 4 * n);
        if length >= LONG {
            quarters = quarters.map(|at| self.median([at - 1, at, at + 1], &mut swaps));
        }
        let pivot = self.median(quarters, &mut swaps);
        let seems = match swaps {
            0 => Seems::Ascending,
            12 => Seems::Descending,
            _ => Seems::Unordered,
        };
        (pivot, seems)
    }

    fn median(&self, [mut a, mut b, mut c]: [usize; 3], swaps: &mut u32) -> usize {
        for pair in [true, false, true] {
            let (x, y) = if pair { (&mut a, &mut b) } else { (&mut b, &mut c) };
            if self.less(*y, *x) {
                *swaps += 1;
                std::mem::swap(x, y);
            }
        }
        b
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_order_sorts(mut numbers in prop::collection::vec(-50..50i32, 0..400)) {
            let mut expected = numbers.clone();
            expected.sort_unstable();
            sort_until(&mut numbers, &|a, b| a < b, &|| false);
            prop_assert_eq!(numbers, expected);
        }

        #[test]
        fn answers_that_contradict_each_other_keep_all_items(count in 0..2_000usize, seed: u64) {
            let mut items: Vec<usize> = (0..count).collect();
            let asked = std::cell::Cell::new(seed);
            let before = |_: &usize, _: &usize| {
                asked.set(asked.get().wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
                asked.get() >> 63 == 1
            };
            sort_until(&mut items, &before, &|| false);
            items.sort_unstable();
            prop_assert_eq!(items, (0..count).collect::<Vec<_>>());
        }
    }
}
