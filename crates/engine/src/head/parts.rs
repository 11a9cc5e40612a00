//! The parts of a flush: ranges of series in the order of labels, about equal by the bytes of their chunks.

use super::MemSeries;
use std::sync::Arc;

/// Most parts of a flush. Each becomes a block of its own until compaction merges them, and blocks must stay few.
const PARTS_MAX: u64 = 4;

/// Series of a part after which there is another one: whoever writes a block holds some 300 B for each, which is much beside short chunks.
const PART_SERIES: usize = 1 << 15;

/// How some series are divided: no series is in two parts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// Where each ends, ascending; the last one has the last series.
    ends: Vec<usize>,
}

impl Parts {
    /// Divides series into as many parts as their chunks have times `part_bytes`, or as those with chunks are times [`PART_SERIES`], at
    /// least one. Cost: a look at every series.
    pub(crate) fn of(series: &[Arc<MemSeries>], part_bytes: u64) -> Self {
        let bytes: Vec<u64> = series.iter().map(|series| series.chunk_bytes()).collect();
        Self { ends: ends(&bytes, part_bytes, PART_SERIES) }
    }

    /// The parts of the same series.
    pub(crate) fn each<'a>(&self, series: &'a [Arc<MemSeries>]) -> impl Iterator<Item = &'a [Arc<MemSeries>]> {
        self.ends.iter().scan(0, move |from, &end| Some(&series[std::mem::replace(from, end)..end]))
    }
}

fn ends(bytes: &[u64], part_bytes: u64, part_series: usize) -> Vec<usize> {
    let total: u64 = bytes.iter().sum();
    let by_series = bytes.iter().filter(|bytes| **bytes > 0).count().div_ceil(part_series) as u64;
    let parts = total.div_ceil(part_bytes.max(1)).max(by_series).clamp(1, PARTS_MAX);
    let mut ends = Vec::new();
    let (mut sum, mut marks) = (0, 0);
    for (at, bytes) in bytes.iter().enumerate() {
        sum += bytes;
        // How many of the equal parts are behind it.
        let passed = (sum * parts).checked_div(total).unwrap_or(0);
        if passed > marks {
            ends.push(at + 1);
            marks = passed;
        }
    }
    // What follows the last mark has no samples.
    ends.pop();
    ends.push(bytes.len());
    ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_about_equal_and_have_every_series_once() {
        assert_eq!(ends(&[], 10, 100), [0]);
        assert_eq!(ends(&[0, 0, 0], 10, 100), [3], "series without samples");
        assert_eq!(ends(&[10; 9], 90, 100), [9], "one is enough");
        assert_eq!(ends(&[10; 9], 89, 100), [5, 9]);
        assert_eq!(ends(&[10; 12], 1, 100), [3, 6, 9, 12], "never more than four");
        assert_eq!(ends(&[10; 2], 0, 100), [1, 2], "never more than there are series");
        assert_eq!(ends(&[1, 100, 1, 1, 1], 26, 100), [2, 5], "a large one is a part with those before it");
        assert_eq!(ends(&[0, 10, 10, 0], 10, 100), [2, 4]);
        assert_eq!(ends(&[u64::from(u32::MAX); 8], 1 << 20, 100), [2, 4, 6, 8]);
        assert_eq!(ends(&[1, 0, 1, 0, 1, 1], 100, 2), [3, 6], "many series with few samples");
        assert_eq!(ends(&[1, 0, 1, 0, 1, 1], 100, 1), [1, 3, 5, 6]);
    }
}
