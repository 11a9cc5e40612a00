//! From the samples of a series to chunks as Prometheus has them: cut where kind or layout change, after 120 samples, and before histograms take megabytes.

use super::append::XorAppender;
use super::histogram::{encode, is_integer, same_layout};
use crate::CodecError;
use mytsdb_columns::Columns;
use mytsdb_histogram::{CounterResetHint, FloatHistogram};
use mytsdb_model::TimeRange;

/// Samples of a chunk.
const SAMPLES_MAX: usize = 120;

/// Buckets, spans and bounds of all histograms of a chunk, unless one alone has more.
const PARTS_MAX: usize = 1 << 17;

/// What the bytes of a chunk are, by the number that the format gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrometheusEncoding {
    /// Floats.
    Xor = 1,
    /// Native histograms whose counts are integers.
    Histogram = 2,
    /// Native histograms with other counts.
    FloatHistogram = 3,
}

/// A chunk of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrometheusChunk {
    /// What its bytes are.
    pub encoding: PrometheusEncoding,
    /// Times of its first and last sample.
    pub range: TimeRange,
    /// How many samples it has, 1 to 120.
    pub samples: u32,
    /// The samples.
    pub bytes: Vec<u8>,
}

/// Makes chunks of the samples of a series and hands them to `each` in the order of time; none of them overlap.
///
/// Cost: some 10 ns a float, and a bucket of a histogram.
///
/// # Errors
/// [`CodecError::OutOfOrder`], also for two samples of one time; those of `each`.
pub fn encode_prometheus<E: From<CodecError>>(
    columns: &Columns,
    mut each: impl FnMut(PrometheusChunk) -> Result<(), E>,
) -> Result<(), E> {
    let (times, histogram_times) = (&columns.timestamps_ms, &columns.histogram_timestamps_ms);
    let (mut float, mut histogram) = (0, 0);
    let mut last_ms = None;
    while float < times.len() || histogram < histogram_times.len() {
        let next_histogram = histogram_times.get(histogram);
        let chunk = if times.get(float).is_some_and(|time| next_histogram.is_none_or(|next| time < next)) {
            let until = next_histogram.copied();
            let rest = &times[float..times.len().min(float + SAMPLES_MAX)];
            let count = rest.iter().take_while(|time| until.is_none_or(|until| **time < until)).count();
            let of = float..float + count;
            float = of.end;
            floats(&times[of.clone()], &columns.values[of])?
        } else {
            let until = times.get(float).copied();
            let count = run(&histogram_times[histogram..], &columns.histograms[histogram..], until);
            let of = histogram..histogram + count;
            histogram = of.end;
            let run: Vec<&FloatHistogram> = columns.histograms[of.clone()].iter().map(|h| &**h).collect();
            histograms(&histogram_times[of], &run)?
        };
        if let Some(last_ms) = last_ms.filter(|last| chunk.range.mint <= *last) {
            return Err(CodecError::OutOfOrder { timestamp_ms: chunk.range.mint, last_ms }.into());
        }
        last_ms = Some(chunk.range.maxt);
        each(chunk)?;
    }
    Ok(())
}

fn floats(times_ms: &[i64], values: &[f64]) -> Result<PrometheusChunk, CodecError> {
    let mut appender = XorAppender::new();
    for (time, value) in times_ms.iter().zip(values) {
        appender.push(*time, *value)?;
    }
    Ok(PrometheusChunk {
        encoding: PrometheusEncoding::Xor,
        range: range_of(times_ms),
        samples: times_ms.len() as u32,
        bytes: appender.bytes().to_vec(),
    })
}

/// How many histograms can be in one chunk: of one counter without a reset, or one gauge, in one layout, before `until`.
fn run(times_ms: &[i64], histograms: &[std::sync::Arc<FloatHistogram>], until: Option<i64>) -> usize {
    let Some(first) = histograms.first() else { return 0 };
    let integers = is_integer(first);
    let is_gauge = |histogram: &FloatHistogram| histogram.counter_reset_hint == CounterResetHint::Gauge;
    let parts = first.size() / size_of::<f64>();
    let others = histograms.iter().zip(times_ms).skip(1).take(SAMPLES_MAX.min(PARTS_MAX / parts).max(1) - 1);
    let more = others.zip(histograms).take_while(|((histogram, time), before)| {
        until.is_none_or(|until| **time < until)
            && !first.is_stale()
            && !histogram.is_stale()
            && same_layout(first, histogram)
            && is_integer(histogram) == integers
            && is_gauge(histogram) == is_gauge(first)
            // Only the first of a chunk says what it follows: the others of a counter continue it.
            && (is_gauge(first) || !histogram.detect_reset(before))
    });
    1 + more.count()
}

fn histograms(times_ms: &[i64], run: &[&FloatHistogram]) -> Result<PrometheusChunk, CodecError> {
    if let Some(pair) = times_ms.windows(2).find(|pair| pair[0] >= pair[1]) {
        return Err(CodecError::OutOfOrder { timestamp_ms: pair[1], last_ms: pair[0] });
    }
    // The marker that ends a series has nothing but its sum.
    let marker = run.first().filter(|first| first.is_stale()).map(|first| FloatHistogram {
        sum: first.sum,
        counter_reset_hint: first.counter_reset_hint,
        ..FloatHistogram::default()
    });
    let integers = marker.is_some() || run.first().is_some_and(|first| is_integer(first));
    let bytes = match &marker {
        Some(marker) => encode(times_ms, &[marker], true),
        None => encode(times_ms, run, integers),
    };
    Ok(PrometheusChunk {
        encoding: if integers { PrometheusEncoding::Histogram } else { PrometheusEncoding::FloatHistogram },
        range: range_of(times_ms),
        samples: times_ms.len() as u32,
        bytes,
    })
}

fn range_of(times_ms: &[i64]) -> TimeRange {
    match (times_ms.first(), times_ms.last()) {
        (Some(first), Some(last)) => TimeRange::new(*first, *last),
        _ => TimeRange::EMPTY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_histogram::Span;
    use std::sync::Arc;

    fn cut(columns: &Columns) -> Vec<(PrometheusEncoding, i64, i64, u32)> {
        let mut found = Vec::new();
        encode_prometheus(columns, |chunk| {
            found.push((chunk.encoding, chunk.range.mint, chunk.range.maxt, chunk.samples));
            Ok::<_, CodecError>(())
        })
        .unwrap();
        found
    }

    fn histogram(hint: CounterResetHint, offset: i32, count: f64) -> Arc<FloatHistogram> {
        Arc::new(FloatHistogram {
            counter_reset_hint: hint,
            count,
            sum: 1.5,
            positive_spans: vec![Span { offset, length: 1 }],
            positive_buckets: vec![count],
            ..FloatHistogram::default()
        })
    }

    #[test]
    fn floats_are_cut_after_120_samples_and_around_histograms() {
        use CounterResetHint::Unknown;
        let mut columns = Columns::default();
        (0..121).for_each(|time| columns.push_float(time, time as f64));
        columns.push_histogram(200, histogram(Unknown, 0, 1.0));
        columns.push_float(201, 1.0);
        let expected = [
            (PrometheusEncoding::Xor, 0, 119, 120),
            (PrometheusEncoding::Xor, 120, 120, 1),
            (PrometheusEncoding::Histogram, 200, 200, 1),
            (PrometheusEncoding::Xor, 201, 201, 1),
        ];
        assert_eq!(cut(&columns), expected);
    }

    #[test]
    fn a_chunk_of_histograms_ends_where_a_reset_another_layout_or_kind_or_a_marker_comes() {
        use CounterResetHint::{CounterReset, Gauge, NotCounterReset, Unknown};
        let stale =
            Arc::new(FloatHistogram { sum: f64::from_bits(0x7ff0_0000_0000_0002), ..FloatHistogram::default() });
        let samples = [
            histogram(Unknown, 0, 1.0),
            histogram(NotCounterReset, 0, 2.0),
            histogram(NotCounterReset, 1, 2.0),
            histogram(NotCounterReset, 1, 2.5),
            histogram(CounterReset, 1, 0.5),
            histogram(NotCounterReset, 1, 1.5),
            stale,
            histogram(Unknown, 1, 1.0),
            histogram(Gauge, 1, 1.0),
            histogram(Gauge, 1, 0.0),
        ];
        let mut columns = Columns::default();
        (0..).zip(samples).for_each(|(time, histogram)| columns.push_histogram(time, histogram));
        let expected = [
            (PrometheusEncoding::Histogram, 0, 1, 2),
            (PrometheusEncoding::Histogram, 2, 2, 1),
            (PrometheusEncoding::FloatHistogram, 3, 3, 1),
            (PrometheusEncoding::FloatHistogram, 4, 5, 2),
            (PrometheusEncoding::Histogram, 6, 6, 1),
            (PrometheusEncoding::Histogram, 7, 7, 1),
            (PrometheusEncoding::Histogram, 8, 9, 2),
        ];
        assert_eq!(cut(&columns), expected);
    }

    #[test]
    fn two_samples_of_one_time_are_refused() {
        let mut columns = Columns::default();
        columns.push_float(5, 1.0);
        columns.push_histogram(5, histogram(CounterResetHint::Unknown, 0, 1.0));
        let error = encode_prometheus(&columns, |_| Ok::<_, CodecError>(())).unwrap_err();
        assert_eq!(error, CodecError::OutOfOrder { timestamp_ms: 5, last_ms: 5 });
    }
}
