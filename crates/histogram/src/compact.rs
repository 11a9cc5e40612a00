//! The canonical layout: no empty buckets but short runs between populated ones.

use super::FloatHistogram;
use super::spans::{self, IndexedBuckets, Span};

impl FloatHistogram {
    /// Drops empty buckets and joins spans.
    ///
    /// A gap between two populated buckets is written out as empty buckets if it is at most `empty_buckets_max` long,
    /// else it separates two spans. With 0, two histograms with equal populated buckets get equal spans.
    pub fn compact(&mut self, empty_buckets_max: u32) {
        compact_side(&mut self.positive_spans, &mut self.positive_buckets, empty_buckets_max);
        compact_side(&mut self.negative_spans, &mut self.negative_buckets, empty_buckets_max);
    }
}

fn compact_side(spans: &mut Vec<Span>, buckets: &mut Vec<f64>, gap_max: u32) {
    if spans.is_empty() && buckets.is_empty() {
        return;
    }
    let populated = IndexedBuckets::new(spans, buckets).filter(|&(_, count)| count != 0.0);
    let compacted = spans::build(populated, gap_max);
    (*spans, *buckets) = compacted;
}
