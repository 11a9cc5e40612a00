//! Arbitrary bytes as a histogram chunk and as a single histogram: no panic, valid histograms, nothing left behind by an
//! error, and the same histograms after encoding them again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mytsdb_codec::{ChunkEncoding, HistogramChunk, HistogramEncoder, put_histogram, take_histogram};
use mytsdb_columns::{Columns, HistogramTable};
use mytsdb_histogram::FloatHistogram;
use mytsdb_model::TimeRange;

/// Every field as bits.
fn bits(h: &FloatHistogram) -> Vec<u64> {
    let singles = [h.zero_threshold, h.zero_count, h.count, h.sum];
    let floats = singles.iter().chain(&h.positive_buckets).chain(&h.negative_buckets).chain(&h.custom_values);
    let spans = h.positive_spans.iter().chain(&h.negative_spans);
    let spans = spans.flat_map(|span| [span.offset as u64, u64::from(span.length)]);
    let lengths = [h.positive_spans.len(), h.positive_buckets.len(), h.negative_buckets.len()].map(|len| len as u64);
    let kind = [h.counter_reset_hint as u64, h.schema as u64];
    floats.map(|float| float.to_bits()).chain(spans).chain(lengths).chain(kind).collect()
}

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    if let Ok(histogram) = take_histogram(&mut rest) {
        assert_eq!(histogram.validate(), Ok(()));
        let mut bytes = Vec::new();
        put_histogram(&histogram, &mut bytes).expect("it is valid");
        let again = take_histogram(&mut bytes.as_slice()).expect("just written");
        // Integers above 2^53 are read as the nearest float, which is another integer then.
        assert_eq!(bits(&again), bits(&histogram));
    }

    let mut table = HistogramTable::default();
    let is_table = HistogramChunk::parse(data).and_then(|chunk| chunk.decode_table(TimeRange::ALL, &mut table)).is_ok();
    let mut columns = Columns::default();
    if ChunkEncoding::Histogram.decode(data, &mut columns).is_err() {
        assert!(columns.is_empty() && columns.histograms.is_empty() && !is_table);
        return;
    }
    // A negative count that belongs to no histogram is refused in tables only.
    for (row, histogram) in columns.histograms.iter().enumerate().filter(|_| is_table) {
        let counter_reset_hint = histogram.counter_reset_hint;
        assert_eq!(bits(&FloatHistogram { counter_reset_hint, ..table.histogram(row) }), bits(histogram));
    }
    let (times, starts) = (&columns.histogram_timestamps_ms, &columns.histogram_start_timestamps_ms);
    assert!(times.is_sorted_by(|a, b| a < b) && times.len() == columns.histograms.len());
    let (mut encoder, mut again, mut at) = (HistogramEncoder::default(), Columns::default(), 0);
    while at < times.len() {
        let mut bytes = Vec::new();
        let starts = starts.get(at..).unwrap_or_default();
        at += encoder.encode(&times[at..], starts, &columns.histograms[at..], &mut bytes).expect("they are valid");
        ChunkEncoding::Histogram.decode(&bytes, &mut again).expect("just encoded");
    }
    assert_eq!(&again.histogram_timestamps_ms, times);
    assert_eq!(&again.histogram_start_timestamps_ms, starts);
    assert!(again.histograms.iter().zip(&columns.histograms).all(|(a, b)| bits(a) == bits(b)));
});
