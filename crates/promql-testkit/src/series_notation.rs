//! Series notation: `metric{labels} 1 2+3x4 _ {{schema:0 count:1}}`, the language in which test data is written.

use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};
use mytsdb_model::{Labels, stale_nan};
use mytsdb_promql_syntax::{ParseError, PosRange, parse_duration_ms, parse_metric, parse_number, quote};
use std::sync::Arc;

/// Most values one line may expand to.
const VALUES_MAX: usize = 1 << 20;

/// One line of series notation.
#[derive(Debug, Clone)]
pub struct SeriesDescription {
    /// The series.
    pub labels: Labels,
    /// Its values, one a step.
    pub values: Vec<SequenceItem>,
}

/// The value of one step.
#[derive(Debug, Clone, PartialEq)]
pub enum SequenceItem {
    /// No sample.
    Gap,
    /// A float sample.
    Float(f64),
    /// A histogram sample.
    Histogram(HistogramItem),
}

/// A histogram, and whether its counter reset hint was written or left to the default.
#[derive(Debug, Clone, PartialEq)]
pub struct HistogramItem {
    /// The histogram.
    pub histogram: Arc<FloatHistogram>,
    /// `counter_reset_hint` was written.
    pub hint_written: bool,
}

/// Start times of the values of one series, relative to each sample's own time.
#[derive(Debug, Clone)]
pub struct StartTimes {
    /// The series.
    pub labels: Labels,
    /// Offsets in milliseconds; `None` where none is known.
    pub offsets_ms: Vec<Option<i64>>,
}

/// Parses one line of series notation.
///
/// # Errors
/// The first error in the line.
pub fn parse_series_description(text: &str) -> Result<SeriesDescription, ParseError> {
    let mut scanner = Scanner { text, at: 0 };
    let labels = scanner.metric()?;
    let mut values = Vec::new();
    scanner.items(|s| s.item(&mut values))?;
    Ok(SeriesDescription { labels, values })
}

/// Parses a line of start times, `metric{labels}@st -1m _x2 -30s+1sx3`.
///
/// # Errors
/// The first error in the line.
pub fn parse_start_times(text: &str) -> Result<StartTimes, ParseError> {
    let mut scanner = Scanner { text, at: 0 };
    let labels = scanner.metric()?;
    if !text[scanner.at..].starts_with("@st") {
        return Err(scanner.error("expected \"@st\" behind the metric"));
    }
    scanner.at += 3;
    let mut offsets_ms = Vec::new();
    scanner.items(|s| s.start_time(&mut offsets_ms))?;
    Ok(StartTimes { labels, offsets_ms })
}

type Parsed<T> = Result<T, ParseError>;

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || c.is_ascii_digit()
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl Scanner<'_> {
    fn error(&self, message: impl Into<String>) -> ParseError {
        ParseError::new(self.text, PosRange::new(self.at, self.text.len()), message)
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn accept(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn blanks(&mut self) -> bool {
        let before = self.at;
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.at += 1;
        }
        self.at > before
    }

    fn word(&mut self, more: fn(char) -> bool) -> &str {
        let start = self.at;
        while let Some(c) = self.peek().filter(|&c| more(c)) {
            self.at += c.len_utf8();
        }
        &self.text[start..self.at]
    }

    fn unexpected(&self) -> ParseError {
        match self.peek() {
            None => self.error("unexpected end of input in series values"),
            Some(c) => self.error(format!("unexpected {} in series values", quote(c.to_string()))),
        }
    }

    /// Items separated by blanks, up to the end.
    fn items(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        while self.at < self.text.len() {
            if !self.blanks() {
                return Err(self.unexpected());
            }
            if self.at < self.text.len() {
                item(self)?;
            }
        }
        Ok(())
    }

    fn metric(&mut self) -> Parsed<Labels> {
        let (labels, end) = parse_metric(self.text)?;
        self.at = end;
        Ok(labels)
    }

    /// The count behind `x`.
    fn repeat(&mut self) -> Parsed<usize> {
        let digits = self.word(|c| c.is_ascii_digit());
        match digits.parse::<usize>() {
            Ok(count) if count < VALUES_MAX => Ok(count),
            Ok(_) => Err(self.error("repetition is too long")),
            Err(_) => Err(self.unexpected()),
        }
    }

    fn room(&self, have: usize, more: usize) -> Parsed<()> {
        if have + more > VALUES_MAX { Err(self.error("too many values in series")) } else { Ok(()) }
    }

    fn item(&mut self, out: &mut Vec<SequenceItem>) -> Parsed<()> {
        if self.accept('_') {
            let count = if self.accept('x') { self.repeat()? } else { 1 };
            self.room(out.len(), count)?;
            out.extend(std::iter::repeat_n(SequenceItem::Gap, count));
            return Ok(());
        }
        if self.text[self.at..].starts_with("{{") {
            return self.histograms(out);
        }
        let (mut value, plain) = self.value()?;
        if !matches!(self.peek(), Some('+' | '-' | 'x')) {
            out.push(SequenceItem::Float(value));
            return Ok(());
        }
        if !plain {
            return Err(self.unexpected());
        }
        let mut delta = 0.0;
        if self.peek() != Some('x') {
            let negative = self.accept('-');
            if !negative {
                self.at += 1;
            }
            delta = self.number()?;
            if negative {
                delta = -delta;
            }
        }
        if !self.accept('x') {
            return Err(self.unexpected());
        }
        let count = self.repeat()?;
        self.room(out.len(), count + 1)?;
        for _ in 0..=count {
            out.push(SequenceItem::Float(value));
            value += delta;
        }
        Ok(())
    }

    /// A value, and whether it is a plain number that may be repeated.
    fn value(&mut self) -> Parsed<(f64, bool)> {
        let sign = match self.peek() {
            Some('-') => -1.0,
            Some('+') => 1.0,
            _ => 0.0,
        };
        if sign != 0.0 {
            self.at += 1;
        }
        let factor = if sign < 0.0 { -1.0 } else { 1.0 };
        if self.peek().is_some_and(is_alpha) {
            let start = self.at;
            let word = self.word(is_alphanumeric).to_ascii_lowercase();
            return match word.as_str() {
                "stale" if sign == 0.0 => Ok((stale_nan(), false)),
                "inf" => Ok((factor * f64::INFINITY, false)),
                "nan" => Ok((f64::NAN, false)),
                _ => {
                    self.at = start;
                    Err(self.unexpected())
                }
            };
        }
        Ok((factor * self.number()?, true))
    }

    /// An unsigned decimal number.
    fn number(&mut self) -> Parsed<f64> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        while let Some(&b) = bytes.get(self.at) {
            let exponent_sign =
                matches!(b, b'+' | b'-') && self.at > start && matches!(bytes[self.at - 1], b'e' | b'E');
            if !(b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'_') || exponent_sign) {
                break;
            }
            self.at += 1;
        }
        if self.at == start {
            return Err(self.unexpected());
        }
        parse_number(&self.text[start..self.at])
            .map_err(|message| ParseError::new(self.text, PosRange::new(start, self.at), message))
    }

    fn signed_number(&mut self) -> Parsed<f64> {
        self.value().map(|(value, _)| value)
    }

    fn histograms(&mut self, out: &mut Vec<SequenceItem>) -> Parsed<()> {
        let first = self.histogram()?;
        let operation = self.peek().filter(|c| matches!(c, '+' | '-'));
        let mut delta = None;
        if operation.is_some() {
            self.at += 1;
            if !self.text[self.at..].starts_with("{{") {
                return Err(self.unexpected());
            }
            delta = Some(self.histogram()?);
            if self.peek() != Some('x') {
                return Err(self.unexpected());
            }
        }
        let repeated = self.accept('x');
        let repetition = self.at;
        let count = if repeated { self.repeat()? } else { 0 };
        self.room(out.len(), count + 1)?;
        let hint_written = first.hint_written;
        let mut current = first.histogram;
        out.push(SequenceItem::Histogram(HistogramItem { histogram: Arc::clone(&current), hint_written }));
        for _ in 0..count {
            if let Some(delta) = &delta {
                let change = &delta.histogram;
                if current.schema > change.schema {
                    let message = format!(
                        "error combining histograms: cannot merge from schema {} to {}",
                        change.schema, current.schema
                    );
                    self.at = repetition;
                    return Err(self.error(message));
                }
                let mut next = FloatHistogram::clone(&current);
                let combined = if operation == Some('-') { next.sub(change) } else { next.add(change) };
                combined.map_err(|e| self.error(format!("error combining histograms: {e}")))?;
                current = Arc::new(next);
            }
            out.push(SequenceItem::Histogram(HistogramItem { histogram: Arc::clone(&current), hint_written }));
        }
        Ok(())
    }

    /// `{{key:value …}}`
    fn histogram(&mut self) -> Parsed<HistogramItem> {
        self.at += 2;
        let mut histogram = FloatHistogram::default();
        let (mut offset, mut negative_offset) = (0, 0);
        let mut seen: Vec<String> = Vec::new();
        if self.text[self.at..].starts_with(" }}") {
            self.at += 1;
        }
        let mut first = true;
        while !self.text[self.at..].starts_with("}}") {
            if !first && !self.blanks() {
                return Err(self.unexpected());
            }
            if !first && self.text[self.at..].starts_with("}}") {
                break;
            }
            first = false;
            let start = self.at;
            let key = self.word(is_alphanumeric).to_owned();
            if key.is_empty() {
                return Err(self.unexpected());
            }
            let known = [
                "schema",
                "sum",
                "count",
                "z_bucket",
                "z_bucket_w",
                "buckets",
                "offset",
                "n_buckets",
                "n_offset",
                "custom_values",
                "counter_reset_hint",
            ];
            if !known.contains(&key.as_str()) {
                self.at = start;
                return Err(self.error(format!("bad histogram descriptor found: {}", quote(&key))));
            }
            if !self.accept(':') {
                self.at = start;
                return Err(self.error("missing `:` for histogram descriptor"));
            }
            if seen.contains(&key) {
                self.at = 0;
                return Err(self.error(format!("duplicate key {} in histogram", quote(&key))));
            }
            match key.as_str() {
                "schema" => histogram.schema = self.integer()?,
                "sum" => histogram.sum = self.signed_number()?,
                "count" => histogram.count = self.signed_number()?,
                "z_bucket" => histogram.zero_count = self.signed_number()?,
                "z_bucket_w" => histogram.zero_threshold = self.number()?,
                "buckets" => histogram.positive_buckets = self.list()?,
                "offset" => offset = self.integer()?,
                "n_buckets" => histogram.negative_buckets = self.list()?,
                "n_offset" => negative_offset = self.integer()?,
                "custom_values" => histogram.custom_values = self.list()?,
                _ => {
                    histogram.counter_reset_hint = match self.word(is_alphanumeric) {
                        "unknown" => CounterResetHint::Unknown,
                        "reset" => CounterResetHint::CounterReset,
                        "not_reset" => CounterResetHint::NotCounterReset,
                        "gauge" => CounterResetHint::Gauge,
                        other => {
                            let message = format!("bad histogram descriptor found: {}", quote(other));
                            return Err(self.error(message));
                        }
                    }
                }
            }
            seen.push(key);
        }
        self.at += 2;
        let spans = |offset: i32, buckets: &[f64]| {
            if buckets.is_empty() { Vec::new() } else { vec![Span { offset, length: buckets.len() as u32 }] }
        };
        histogram.positive_spans = spans(offset, &histogram.positive_buckets);
        histogram.negative_spans = spans(negative_offset, &histogram.negative_buckets);
        let hint_written = seen.iter().any(|key| key == "counter_reset_hint");
        Ok(HistogramItem { histogram: Arc::new(histogram), hint_written })
    }

    fn integer(&mut self) -> Parsed<i32> {
        let start = self.at;
        if matches!(self.peek(), Some('+' | '-')) {
            self.at += 1;
        }
        self.word(|c| c.is_ascii_digit());
        self.text[start..self.at].parse().map_err(|_| self.unexpected())
    }

    /// `[1 2 3 ]`
    fn list(&mut self) -> Parsed<Vec<f64>> {
        if !self.accept('[') {
            return Err(self.unexpected());
        }
        let mut out = Vec::new();
        while !self.accept(']') {
            if !out.is_empty() {
                if !self.blanks() {
                    return Err(self.unexpected());
                }
                if self.accept(']') {
                    break;
                }
            }
            out.push(self.signed_number()?);
        }
        Ok(out)
    }

    fn start_time(&mut self, out: &mut Vec<Option<i64>>) -> Parsed<()> {
        if self.accept('_') {
            let count = if self.accept('x') { self.repeat()? } else { 1 };
            self.room(out.len(), count)?;
            out.extend(std::iter::repeat_n(None, count));
            return Ok(());
        }
        let mut value = self.signed_duration(false)?;
        let delta = if matches!(self.peek(), Some('+' | '-')) { Some(self.signed_duration(true)?) } else { None };
        if delta.is_some() && self.peek() != Some('x') {
            return Err(self.unexpected());
        }
        let count = if self.accept('x') { self.repeat()? } else { 0 };
        self.room(out.len(), count + 1)?;
        for _ in 0..=count {
            out.push(Some(value));
            value = value.saturating_add(delta.unwrap_or(0));
        }
        Ok(())
    }

    fn signed_duration(&mut self, sign_needed: bool) -> Parsed<i64> {
        let negative = self.accept('-');
        if !negative && !self.accept('+') && sign_needed {
            return Err(self.unexpected());
        }
        let start = self.at;
        let word = self.word(|c| c != 'x' && is_alphanumeric(c)).to_owned();
        let duration = parse_duration_ms(&word).map_err(|message| {
            self.at = start;
            self.error(message)
        })?;
        Ok(if negative { -duration } else { duration })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_notation_expands() {
        let series = parse_series_description("m{a=\"b\"} 1+1x2 _ stale -2x1 {{sum:1}}+{{sum:2}}x1").unwrap();
        assert_eq!(series.labels.to_string(), r#"{__name__="m", a="b"}"#);
        assert_eq!(series.values.len(), 9);
        assert!(matches!(series.values[2], SequenceItem::Float(3.0)));
        assert!(matches!(series.values[3], SequenceItem::Gap));
        assert!(matches!(&series.values[8], SequenceItem::Histogram(item) if item.histogram.sum == 3.0));
        assert!(parse_series_description("m 1 2 x").is_err());
    }

    #[test]
    fn series_notation_is_bounded() {
        assert!(parse_series_description("a 1x99999999999").is_err());
        assert!(parse_series_description(&("a ".to_owned() + &"_x1000000 ".repeat(5))).is_err());
        assert!(parse_series_description(&("a {{".to_owned() + &"buckets:[1] ".repeat(1_000))).is_err());
    }
}
