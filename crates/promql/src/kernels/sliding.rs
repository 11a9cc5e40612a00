//! Extremes and quantiles of windows that slide over a column: each window starts from what is known of the one before.
//!
//! The twins that define the results are `over_time::max`, `min` and `quantile`; these agree to the last bit.

use super::cells::Cells;
use super::columns::open;
use super::over_time::Rank;
use super::window_table::WindowTable;

/// What no value is worse than.
const fn worst<const MAX: bool>() -> f64 {
    if MAX { f64::NEG_INFINITY } else { f64::INFINITY }
}

/// The better one of two, the first of equals; `a` is no NaN, and a NaN `b` is worse than it.
#[inline]
fn better<const MAX: bool>(a: f64, b: f64) -> f64 {
    if MAX {
        if b > a { b } else { a }
    } else if b < a {
        b
    } else {
        a
    }
}

fn best<const MAX: bool>(values: &[f64]) -> f64 {
    values.iter().fold(worst::<MAX>(), |best, &value| better::<MAX>(best, value))
}

/// `max_over_time` or `min_over_time` of the values of a single window, at least one: eight at a time, as vector instructions take them.
pub(crate) fn extreme<const MAX: bool>(values: &[f64]) -> f64 {
    let mut lanes = [worst::<MAX>(); 8];
    let (eights, rest) = values.as_chunks::<8>();
    for eight in eights {
        for (lane, &value) in lanes.iter_mut().zip(eight) {
            *lane = better::<MAX>(*lane, value);
        }
    }
    let found = best::<MAX>(&lanes);
    let found = rest.iter().fold(found, |found, &value| better::<MAX>(found, value));
    if found == 0.0 {
        // Of 0 and -0 the earlier one, whichever lane it is in.
        return values.iter().copied().find(|&value| value == 0.0).unwrap_or(found);
    }
    let last = values[values.len() - 1];
    if found == worst::<MAX>() && values.iter().all(|value| value.is_nan()) { last } else { found }
}

/// For each window the best value of `low..high`: of what is right of a pivot it is carried along, of what is left of it
/// the best from each value to the pivot is kept in `left`. When a window has passed the pivot, its end is the next one.
///
/// `values` holds no NaN. Two comparisons a value and one a window.
fn slide<const MAX: bool>(
    values: &[f64],
    windows: impl Iterator<Item = (usize, usize)>,
    left: &mut [f64],
    out: &mut [f64],
) {
    let (mut pivot, mut next, mut right) = (0, 0, worst::<MAX>());
    for (out, (low, high)) in out.iter_mut().zip(windows) {
        if low >= pivot {
            let mut found = worst::<MAX>();
            for (slot, &value) in left[low..high].iter_mut().zip(&values[low..high]).rev() {
                found = better::<MAX>(value, found);
                *slot = found;
            }
            (pivot, next, right) = (high, high, worst::<MAX>());
        }
        for &value in &values[next..high] {
            right = better::<MAX>(right, value);
        }
        next = high;
        *out = if low < pivot { better::<MAX>(left[low], right) } else { right };
    }
}

/// `max_over_time` or `min_over_time`.
pub(crate) fn extremes<const MAX: bool>(
    table: &WindowTable,
    values: &[f64],
    numbers: &mut Vec<f64>,
    counts: &mut Vec<u32>,
    out: &mut Cells,
) {
    let out = open(table, 1, out);
    let (low, high) = table.bounds();
    let windows = || low.iter().zip(high).map(|(&low, &high)| (low as usize, high as usize));
    numbers.clear();
    match table.pieces() {
        Some((bounds, pieces)) if bounds.len() < values.len() => {
            numbers.extend(bounds.windows(2).map(|piece| best::<MAX>(&values[piece[0] as usize..piece[1] as usize])));
            let count = numbers.len();
            numbers.resize(2 * count, 0.0);
            let (found, left) = numbers.split_at_mut(count);
            slide::<MAX>(found, table.live().map(|step| (step, step + pieces)), left, out);
        }
        _ => {
            numbers.extend(values.iter().map(|&value| better::<MAX>(worst::<MAX>(), value)));
            numbers.resize(2 * values.len(), 0.0);
            let (found, left) = numbers.split_at_mut(values.len());
            slide::<MAX>(found, windows(), left, out);
        }
    }
    // The worst value of all is the best one, or there are only NaN.
    if out.contains(&worst::<MAX>()) {
        let mut count = 0;
        counts.clear();
        counts.push(0);
        counts.extend(values.iter().map(|value| {
            count += u32::from(!value.is_nan());
            count
        }));
        for (out, (low, high)) in out.iter_mut().zip(windows()) {
            if counts[low] == counts[high] {
                *out = f64::NAN;
            }
        }
    }
}

/// Values of fuller windows are sorted from scratch: keeping them sorted would move too many.
const SORTED_SAMPLES_MAX: usize = 1 << 12;

/// Up to here counting the smaller values, several at a time, is faster than searching.
const COUNTED_SAMPLES_MAX: usize = 64;

/// The values of a window, sorted; NaN, which come first, are only counted.
struct Sorted<'s> {
    values: &'s mut Vec<f64>,
    nans: usize,
}

impl Sorted<'_> {
    fn rebuild(&mut self, window: &[f64]) {
        self.values.clear();
        self.values.extend(window.iter().filter(|v| !v.is_nan()));
        self.nans = window.len() - self.values.len();
        self.values.sort_unstable_by(f64::total_cmp);
    }

    #[inline]
    fn position(&self, value: f64) -> usize {
        if self.values.len() > COUNTED_SAMPLES_MAX {
            return self.values.partition_point(|&v| v < value);
        }
        self.values.iter().fold(0, |count: u64, &v| count + u64::from(v < value)) as usize
    }

    fn remove(&mut self, value: f64) {
        if value.is_nan() {
            self.nans -= 1;
        } else {
            self.values.remove(self.position(value));
        }
    }

    fn insert(&mut self, value: f64) {
        if value.is_nan() {
            self.nans += 1;
        } else {
            self.values.insert(self.position(value), value);
        }
    }

    #[inline]
    fn replace(&mut self, old: f64, new: f64) {
        if old.is_nan() || new.is_nan() {
            self.remove(old);
            self.insert(new);
            return;
        }
        // In an ascending column the first value leaves and the last one enters.
        let from = if self.values.first() == Some(&old) { 0 } else { self.position(old) };
        let to =
            if self.values.last().is_some_and(|&last| last < new) { self.values.len() } else { self.position(new) };
        if from < to {
            self.values.copy_within(from + 1..to, from);
            self.values[to - 1] = new;
        } else {
            self.values.copy_within(to..from, to + 1);
            self.values[to] = new;
        }
    }

    #[inline]
    fn at(&self, index: usize) -> f64 {
        if index < self.nans { f64::NAN } else { self.values[index - self.nans] }
    }

    fn quantile(&self, q: f64) -> f64 {
        let count = self.values.len() + self.nans;
        if count == 0 || q.is_nan() {
            return f64::NAN;
        }
        if !(0.0..=1.0).contains(&q) {
            return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
        }
        let rank = Rank::new(q, count);
        rank.between(self.at(rank.lower), self.at(rank.upper))
    }
}

/// `quantile_over_time` of the quantile that `q` gives for each step; `false` if the windows have to be sorted one by
/// one: they are too full, or there are negative zeros, whose place among the zeros is what sorting makes of it.
pub(crate) fn quantiles(
    table: &WindowTable,
    values: &[f64],
    q: impl Fn(usize) -> f64,
    numbers: &mut Vec<f64>,
    out: &mut Cells,
) -> bool {
    let negative_zero = (-0.0f64).to_bits();
    if table.longest() > SORTED_SAMPLES_MAX || values.iter().fold(false, |any, v| any | (v.to_bits() == negative_zero))
    {
        return false;
    }
    let first_step = table.live().start;
    let out = open(table, 1, out);
    let (lows, highs) = table.bounds();
    let mut sorted = Sorted { values: numbers, nans: 0 };
    sorted.rebuild(&[]);
    let (mut from, mut to) = (0, 0);
    for (i, (out, (&low, &high))) in out.iter_mut().zip(lows.iter().zip(highs)).enumerate() {
        let (low, high) = (low as usize, high as usize);
        let (gone, come) = (low - from, high - to);
        if low >= to || 2 * (gone + come) > high - low {
            sorted.rebuild(&values[low..high]);
        } else {
            let both = gone.min(come);
            for (&old, &new) in values[from..from + both].iter().zip(&values[to..]) {
                sorted.replace(old, new);
            }
            values[from + both..low].iter().for_each(|&old| sorted.remove(old));
            values[to + both..high].iter().for_each(|&new| sorted.insert(new));
        }
        (from, to) = (low, high);
        *out = sorted.quantile(q(first_step + i));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::over_time;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn extremes_of_one_window_are_those_that_are_defined(
            values in prop::collection::vec(prop_oneof![
                3 => (-3i32..3).prop_map(f64::from),
                3 => prop::sample::select(vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY]),
                2 => prop::sample::select(vec![f64::NAN, f64::from_bits(0x7ff8_0000_0000_0002)]),
            ], 1..40),
            only in 0u8..4,
        ) {
            // Of some kinds alone, too.
            let keeps = |value: &f64| match only {
                0 => value.is_nan(),
                1 => value.is_nan() || *value == f64::NEG_INFINITY,
                2 => *value == 0.0,
                _ => true,
            };
            let some: Vec<f64> = values.iter().copied().filter(keeps).collect();
            let values = if some.is_empty() { values } else { some };
            prop_assert_eq!(extreme::<true>(&values).to_bits(), over_time::max(&values).to_bits(), "max of {:?}", values);
            prop_assert_eq!(extreme::<false>(&values).to_bits(), over_time::min(&values).to_bits(), "min of {:?}", values);
        }
    }
}
