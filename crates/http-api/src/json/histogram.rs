//! Native histograms as the API shows them: count, sum and the buckets that hold something.

use super::Chunks;
use mytsdb_histogram::{Bucket, FloatHistogram};

/// `{"count":"n","sum":"x","buckets":[[rule,"lower","upper","count"],…]}`, `buckets` only if there are any.
pub(crate) fn write_histogram(out: &mut Chunks, histogram: &FloatHistogram) {
    out.raw("{\"count\":");
    out.value(histogram.count);
    out.raw(",\"sum\":");
    out.value(histogram.sum);
    let mut separator = ",\"buckets\":[[";
    for bucket in histogram.iter_all().filter(|b| b.count != 0.0) {
        out.raw(separator);
        separator = ",[";
        out.raw(boundary_rule(&bucket));
        for number in [bucket.lower, bucket.upper, bucket.count] {
            out.raw(",");
            out.value(number);
        }
        out.raw("]");
    }
    out.raw(if separator == ",[" { "]}" } else { "}" });
}

/// Which of its bounds belong to a bucket.
fn boundary_rule(bucket: &Bucket) -> &'static str {
    match (bucket.lower_inclusive, bucket.upper_inclusive) {
        (false, true) => "0",
        (true, false) => "1",
        (false, false) => "2",
        (true, true) => "3",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_histogram::Span;

    fn text(histogram: &FloatHistogram) -> String {
        let mut out = Chunks::new();
        write_histogram(&mut out, histogram);
        String::from_utf8(out.finish().concat()).unwrap()
    }

    #[test]
    fn buckets_carry_their_boundary_rule_and_empty_ones_are_left_out() {
        let histogram = FloatHistogram {
            zero_threshold: 0.001,
            zero_count: 2.0,
            count: 12.0,
            sum: 18.4,
            positive_spans: vec![Span { offset: 0, length: 3 }],
            positive_buckets: vec![1.0, 0.0, 4.0],
            negative_spans: vec![Span { offset: 0, length: 1 }],
            negative_buckets: vec![5.0],
            ..FloatHistogram::default()
        };
        assert_eq!(
            text(&histogram),
            r#"{"count":"12","sum":"18.4","buckets":[[1,"-1","-0.5","5"],[3,"-0.001","0.001","2"],[0,"0.5","1","1"],[0,"2","4","4"]]}"#
        );
        assert_eq!(text(&FloatHistogram::default()), r#"{"count":"0","sum":"0"}"#);
    }
}
