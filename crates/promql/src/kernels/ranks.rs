//! The order in which Prometheus ranks values, ties and NaN included: a heap of the best, and a sort that is not stable.
//!
//! Its comparison is no order where both values are NaN, and equal values end where its algorithms happen to leave them.
//! So both are the algorithms of Go's standard library (`container/heap`, and the sort of [`go_sort`]), step by step.

use super::go_sort;

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
    go_sort::sort_until(cells, &|a, b| worse(b.0, a.0, top), stop);
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
