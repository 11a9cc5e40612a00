//! Whether the parts of a histogram fit together: for everything that comes from outside.

use super::{EXPONENTIAL_SCHEMA_MAX, EXPONENTIAL_SCHEMA_MIN, FloatHistogram, HistogramError, Span};

impl FloatHistogram {
    /// Checks schema, spans, bounds and counts.
    ///
    /// Counts must not be negative; that they add up is not asked, as float counts need not.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn validate(&self) -> Result<(), HistogramError> {
        if self.uses_custom_buckets() {
            self.validate_custom()?;
        } else {
            self.validate_exponential()?;
        }
        check_side(&self.positive_spans, &self.positive_buckets, "a positive bucket")?;
        check_side(&self.negative_spans, &self.negative_buckets, "a negative bucket")?;
        check_count("the histogram", self.count)
    }

    /// Checks that the counts of a histogram of integers add up: all observations are in buckets, but for those of NaN, which
    /// no bucket holds and which make the sum NaN. Not asked of [the marker that ends a series](Self::is_stale).
    ///
    /// Linear in the buckets. Counts are exact up to 2^53.
    ///
    /// # Errors
    /// [`HistogramError::CountMismatch`].
    pub fn validate_integers(&self) -> Result<(), HistogramError> {
        if self.is_stale() {
            return Ok(());
        }
        let in_buckets: f64 =
            self.zero_count + self.positive_buckets.iter().sum::<f64>() + self.negative_buckets.iter().sum::<f64>();
        let fits = if self.sum.is_nan() { in_buckets <= self.count } else { in_buckets == self.count };
        if fits { Ok(()) } else { Err(HistogramError::CountMismatch { in_buckets, count: self.count }) }
    }

    fn validate_custom(&self) -> Result<(), HistogramError> {
        let below = f64::NEG_INFINITY;
        let pairs = self.custom_values.iter().zip(std::iter::once(&below).chain(&self.custom_values));
        for (index, (&bound, &before)) in pairs.enumerate() {
            if !(bound.is_finite() && bound > before) {
                return Err(HistogramError::BadCustomBound { index, bound });
            }
        }
        if self.zero_count != 0.0 {
            return Err(HistogramError::UnexpectedPart("a zero count"));
        }
        if self.zero_threshold != 0.0 {
            return Err(HistogramError::UnexpectedPart("a zero threshold"));
        }
        if !(self.negative_spans.is_empty() && self.negative_buckets.is_empty()) {
            return Err(HistogramError::UnexpectedPart("negative buckets"));
        }
        match self.positive_spans.first() {
            Some(first) if first.offset < 0 => {
                return Err(HistogramError::NegativeSpanOffset { span: 0, offset: first.offset });
            }
            _ => {}
        }
        let last = end_index(&self.positive_spans) - 1;
        let bounds = self.custom_values.len();
        if last > bounds as i64 { Err(HistogramError::TooFewCustomBounds { index: last, bounds }) } else { Ok(()) }
    }

    fn validate_exponential(&self) -> Result<(), HistogramError> {
        if !(EXPONENTIAL_SCHEMA_MIN..=EXPONENTIAL_SCHEMA_MAX).contains(&self.schema) {
            return Err(HistogramError::UnknownSchema(self.schema));
        }
        if !self.custom_values.is_empty() {
            return Err(HistogramError::UnexpectedPart("custom bounds"));
        }
        if !(self.zero_threshold >= 0.0 && self.zero_threshold.is_finite()) {
            return Err(HistogramError::BadZeroThreshold(self.zero_threshold));
        }
        check_count("the zero bucket", self.zero_count)
    }
}

fn check_side(spans: &[Span], buckets: &[f64], part: &'static str) -> Result<(), HistogramError> {
    for (number, span) in spans.iter().enumerate().skip(1) {
        if span.offset < 0 {
            return Err(HistogramError::NegativeSpanOffset { span: number, offset: span.offset });
        }
    }
    let needed = spans.iter().map(|span| u64::from(span.length)).sum();
    if needed != buckets.len() as u64 {
        return Err(HistogramError::BucketCountMismatch { needed, found: buckets.len() });
    }
    let end = end_index(spans);
    if end > i64::from(i32::MAX) {
        return Err(HistogramError::IndexOutOfRange(end));
    }
    // Nothing branches on a bucket while all are good, so several are looked at at once.
    if buckets.iter().filter(|&&count| count < 0.0).count() == 0 {
        return Ok(());
    }
    buckets.iter().try_for_each(|&count| check_count(part, count))
}

/// Index behind the last bucket.
fn end_index(spans: &[Span]) -> i64 {
    spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum()
}

fn check_count(part: &'static str, count: f64) -> Result<(), HistogramError> {
    if count < 0.0 { Err(HistogramError::NegativeCount { part, count }) } else { Ok(()) }
}
