//! Custom bucket bounds: what two lists have in common, and buckets moved to the shorter list.

use super::resolution::gathered;
use super::spans::Sparse;

/// Bit by bit, as Prometheus compares them.
pub(super) fn same_bounds(left: &[f64], right: &[f64]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(a, b)| a.to_bits() == b.to_bits())
}

/// The bounds that both ascending lists have. May be empty: then one bucket, up to +Inf, is left.
pub(super) fn common_bounds(left: &[f64], right: &[f64]) -> Vec<f64> {
    let mut right = right.iter().copied().peekable();
    let mut common = Vec::new();
    for &bound in left {
        while right.next_if(|&other| other < bound).is_some() {}
        if right.next_if(|&other| other == bound).is_some() {
            common.push(bound);
        }
    }
    common
}

/// Moves each bucket to the one of `common` (a subset of `bounds`) that contains it.
pub(super) fn rolled_up(buckets: impl Iterator<Item = (i64, f64)>, bounds: &[f64], common: &[f64]) -> Sparse {
    gathered(buckets.map(|(index, count)| (target_index(index, bounds, common), count)))
}

/// The bucket of `common` that holds bucket `index` of `bounds`.
pub(super) fn target_index(index: i64, bounds: &[f64], common: &[f64]) -> i64 {
    let upper = super::bucket_bound(super::CUSTOM_SCHEMA, index, bounds);
    common.partition_point(|&bound| bound < upper) as i64
}
