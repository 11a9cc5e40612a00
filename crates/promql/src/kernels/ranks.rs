//! The order in which Prometheus ranks values, ties and NaN included: a heap of the best, and a sort that is not stable.
//!
//! Its comparison is no order where both values are NaN, and equal values end where its algorithms happen to leave them.
//! So both are the algorithms of Go's standard library (`container/heap` and the pattern-defeating quicksort of `sort`),
//! step by step.

/// A value, and the row it is from.
pub(crate) type Ranked = (f64, u32);

/// Whether `a` gives way before `b`: the smaller of two if the largest are wanted (`top`), else the larger; NaN always.
#[inline]
fn worse(a: f64, b: f64, top: bool) -> bool {
    a.is_nan() || if top { a < b } else { a > b }
}

/// Offers one more cell to a heap that has room for it; `heap` includes the new cell as its last element.
pub(crate) fn push(heap: &mut [Ranked], top: bool) {
    let mut at = heap.len().saturating_sub(1);
    while at > 0 {
        let parent = (at - 1) / 2;
        if !worse(heap[at].0, heap[parent].0, top) {
            break;
        }
        heap.swap(at, parent);
        at = parent;
    }
}

/// Offers one more cell to a full heap: it takes the place of the first if it is better.
pub(crate) fn replace(heap: &mut [Ranked], cell: Ranked, top: bool) {
    let Some(&(first, _)) = heap.first() else { return };
    let better = if top { first < cell.0 } else { first > cell.0 };
    if !(better || (first.is_nan() && !cell.0.is_nan())) {
        return;
    }
    heap[0] = cell;
    let mut at = 0;
    loop {
        let (left, right) = (2 * at + 1, 2 * at + 2);
        if left >= heap.len() {
            return;
        }
        let child = if right < heap.len() && worse(heap[right].0, heap[left].0, top) { right } else { left };
        if !worse(heap[child].0, heap[at].0, top) {
            return;
        }
        heap.swap(at, child);
        at = child;
    }
}

/// Sorts the best first: `top` descending, else ascending, NaN last.
pub(crate) fn sort(cells: &mut [Ranked], top: bool) {
    sort_until(cells, top, &|| false);
}

/// The same, but leaves the cells in any order once `stop` says so, which is asked for each run of some thousands.
pub(crate) fn sort_until(cells: &mut [Ranked], top: bool, stop: &dyn Fn() -> bool) {
    let limit = usize::BITS - cells.len().leading_zeros();
    let mut sort = Sort { cells, top, stop };
    let end = sort.cells.len();
    sort.quick(0, end, limit);
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

struct Sort<'c> {
    cells: &'c mut [Ranked],
    top: bool,
    stop: &'c dyn Fn() -> bool,
}

/// For runs from this length on the stop sign is checked.
const STOP_RUN: usize = 1 << 12;

impl Sort<'_> {
    /// Whether the cell at `a` must stand before the one at `b`.
    fn less(&self, a: usize, b: usize) -> bool {
        worse(self.cells[b].0, self.cells[a].0, self.top)
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

    fn best(values: &[f64], count: usize, top: bool) -> Vec<Ranked> {
        let mut heap: Vec<Ranked> = Vec::new();
        for (row, &value) in values.iter().enumerate() {
            if heap.len() < count {
                heap.push((value, row as u32));
                push(&mut heap, top);
            } else {
                replace(&mut heap, (value, row as u32), top);
            }
        }
        sort(&mut heap, top);
        heap
    }

    #[test]
    fn equal_values_stay_where_the_heap_leaves_them() {
        let rows = |values: &[f64], count, top| best(values, count, top).iter().map(|r| r.1).collect::<Vec<_>>();
        assert_eq!(rows(&[1.0, 1.0, 1.0, 1.0], 2, true), [0, 1]);
        assert_eq!(rows(&[f64::NAN, 1.0, f64::NAN, 2.0], 2, true), [3, 1]);
        assert_eq!(rows(&[0.0, -2.0, 0.0, 3.0, -1.0, 5.0, -1.0], 3, false), [1, 6, 4]);
    }

    proptest! {
        #[test]
        fn the_best_are_found_and_sorted(
            values in prop::collection::vec(prop_oneof![5 => (-20..20i32).prop_map(f64::from), 1 => Just(f64::NAN)], 0..300),
            count in 1..400usize,
            top: bool,
        ) {
            let found: Vec<f64> = best(&values, count, top).iter().map(|cell| cell.0).collect();
            let mut expected = values;
            expected.sort_by(|a, b| {
                let numbers = if top { b.partial_cmp(a) } else { a.partial_cmp(b) };
                a.is_nan().cmp(&b.is_nan()).then(numbers.unwrap_or(std::cmp::Ordering::Equal))
            });
            expected.truncate(count);
            let show = |values: &[f64]| format!("{values:?}");
            prop_assert_eq!(show(&found), show(&expected));
        }
    }
}
