//! Values of both kinds, and when two of them are the same.

use mytsdb_codec::{CodecError, take_histogram};
use mytsdb_columns::Columns;
use mytsdb_histogram::FloatHistogram;
use std::sync::Arc;

/// A histogram in the single form of `docs/format/histogram-chunk.md`, as the log and the head hold it. It is valid.
pub(crate) type Encoded = Arc<[u8]>;

/// The value of a row on its way in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RowValue<'a> {
    Float(f64),
    Histogram(&'a Encoded),
}

/// A row on its way in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) timestamp_ms: i64,
    /// Since when it counts, in ms since the epoch; 0 if that is not known.
    pub(crate) start_ms: i64,
    pub(crate) value: RowValue<'a>,
}

/// A value that was found, or is remembered.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Float(f64),
    Encoded(Encoded),
    Histogram(Arc<FloatHistogram>),
}

impl RowValue<'_> {
    pub(crate) fn to_value(self) -> Value {
        match self {
            Self::Float(value) => Value::Float(value),
            Self::Histogram(bytes) => Value::Encoded(bytes.clone()),
        }
    }
}

impl Value {
    /// Whether a row has the same value: floats of the same bits; histograms that are equal in all but the hint, which says
    /// something of the sample before, and in how buckets without observations are written. A float is never a histogram.
    ///
    /// Start times are no part of a value.
    #[inline]
    pub(crate) fn is(&self, row: RowValue<'_>) -> Result<bool, CodecError> {
        match (self, row) {
            (Self::Float(own), RowValue::Float(other)) => Ok(own.to_bits() == other.to_bits()),
            (Self::Float(_), _) | (_, RowValue::Float(_)) => Ok(false),
            (Self::Encoded(own), RowValue::Histogram(other)) if own == other => Ok(true),
            (Self::Encoded(own), RowValue::Histogram(other)) => Ok(same(&decode(own)?, &decode(other)?)),
            (Self::Histogram(own), RowValue::Histogram(other)) => Ok(same(own, &decode(other)?)),
        }
    }

    /// The value at a time in columns that are in order.
    pub(crate) fn at(timestamp_ms: i64, columns: &Columns) -> Option<Self> {
        if let Ok(at) = columns.timestamps_ms.binary_search(&timestamp_ms) {
            return Some(Self::Float(columns.values[at]));
        }
        let at = columns.histogram_timestamps_ms.binary_search(&timestamp_ms).ok()?;
        Some(Self::Histogram(columns.histograms[at].clone()))
    }
}

fn same(left: &FloatHistogram, right: &FloatHistogram) -> bool {
    if left.equals(right) {
        return true;
    }
    let compact = |histogram: &FloatHistogram| {
        let mut histogram = histogram.clone();
        histogram.compact(0);
        histogram
    };
    compact(left).equals(&compact(right))
}

/// The histogram of bytes that hold one and nothing else.
///
/// # Errors
/// As [`take_histogram`], and for bytes behind it.
pub(crate) fn decode(bytes: &[u8]) -> Result<FloatHistogram, CodecError> {
    let mut rest = bytes;
    let histogram = take_histogram(&mut rest)?;
    if rest.is_empty() { Ok(histogram) } else { Err(CodecError::Damaged { reason: "bytes behind a histogram" }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_histogram::{CounterResetHint, Span};

    fn encoded(histogram: &FloatHistogram) -> Encoded {
        let mut bytes = Vec::new();
        mytsdb_codec::put_histogram(histogram, &mut bytes).unwrap();
        bytes.into()
    }

    #[test]
    fn values_are_the_same_by_their_bits_and_histograms_in_all_that_counts() {
        let plain = FloatHistogram {
            count: 3.0,
            sum: f64::NAN,
            positive_spans: vec![Span { offset: 1, length: 2 }],
            positive_buckets: vec![1.0, 2.0],
            ..FloatHistogram::default()
        };
        let hinted = FloatHistogram { counter_reset_hint: CounterResetHint::CounterReset, ..plain.clone() };
        let wider = FloatHistogram {
            positive_spans: vec![Span { offset: 1, length: 3 }],
            positive_buckets: vec![1.0, 2.0, 0.0],
            ..plain.clone()
        };
        let more = FloatHistogram { positive_buckets: vec![1.0, 3.0], ..plain.clone() };
        let gone = FloatHistogram { sum: mytsdb_model::stale_nan(), ..FloatHistogram::default() };
        for (other, expected) in [(&plain, true), (&hinted, true), (&wider, true), (&more, false), (&gone, false)] {
            let row = encoded(other);
            for found in [Value::Encoded(encoded(&plain)), Value::Histogram(Arc::new(plain.clone()))] {
                assert_eq!(found.is(RowValue::Histogram(&row)).unwrap(), expected, "{other}");
                assert!(!found.is(RowValue::Float(plain.sum)).unwrap(), "a float is another value");
            }
            assert!(!Value::Float(0.0).is(RowValue::Histogram(&row)).unwrap());
        }
        assert!(!Value::Float(0.0).is(RowValue::Float(-0.0)).unwrap());
        assert!(decode(&[&encoded(&plain)[..], &[0]].concat()).is_err());
    }
}
