//! Many runs of samples into one column pair, ascending and unique in time.

use mytsdb_model::TimeRange;

/// Sorts the samples from index `from` on by time and keeps the first of those that share one, in the order in
/// which they were put there; so earlier sources win.
pub(crate) fn sort_and_dedup(from: usize, timestamps_ms: &mut Vec<i64>, values: &mut Vec<f64>) {
    debug_assert_eq!(timestamps_ms.len(), values.len());
    let mut order: Vec<usize> = (from..timestamps_ms.len()).collect();
    order.sort_by_key(|&i| timestamps_ms[i]); // stable: earlier sources stay first
    order.dedup_by_key(|i| timestamps_ms[*i]);
    let sorted: Vec<(i64, f64)> = order.iter().map(|&i| (timestamps_ms[i], values[i])).collect();
    timestamps_ms.truncate(from);
    values.truncate(from);
    for (timestamp_ms, value) in sorted {
        timestamps_ms.push(timestamp_ms);
        values.push(value);
    }
}

/// Whether the run that begins at `at` continues the one before it, which begins at `from`, in ascending order.
pub(crate) fn ascends_at(at: usize, from: usize, timestamps_ms: &[i64]) -> bool {
    at == from || at == timestamps_ms.len() || timestamps_ms[at - 1] < timestamps_ms[at]
}

/// Cuts sorted columns, from index `from` on, down to a range.
pub(crate) fn clip(from: usize, range: TimeRange, timestamps_ms: &mut Vec<i64>, values: &mut Vec<f64>) {
    let inside = |time: Option<&i64>| time.is_none_or(|&time| range.contains(time));
    if inside(timestamps_ms.get(from)) && inside(timestamps_ms.last()) {
        return;
    }
    let end = from + timestamps_ms[from..].partition_point(|&t| t <= range.maxt);
    timestamps_ms.truncate(end);
    values.truncate(end);
    let start = from + timestamps_ms[from..].partition_point(|&t| t < range.mint);
    timestamps_ms.drain(from..start);
    values.drain(from..start);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_source_of_a_time_wins_and_earlier_columns_stay() {
        let mut t = vec![99, 5, 7, 9, 1, 7, 9, 11];
        let mut v = vec![0.0, 5.0, 7.0, 9.0, 1.0, 70.0, 90.0, 11.0];
        sort_and_dedup(1, &mut t, &mut v);
        assert_eq!(t, [99, 1, 5, 7, 9, 11]);
        assert_eq!(v, [0.0, 1.0, 5.0, 7.0, 9.0, 11.0]);
        clip(1, TimeRange::new(5, 9), &mut t, &mut v);
        assert_eq!(t, [99, 5, 7, 9]);
    }
}
