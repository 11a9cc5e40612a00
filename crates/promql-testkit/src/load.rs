//! `load` blocks: series notation with a step.

use crate::nhcb;
use crate::series_notation::{
    SequenceItem, SeriesDescription, StartTimes, parse_series_description, parse_start_times,
};
use crate::storage::TestStorage;
use mytsdb_model::Labels;
use mytsdb_promql::{SampleValue, StorageError};
use mytsdb_promql_syntax::parse_duration_ms;

/// One sample of a `load` block.
#[derive(Debug, Clone)]
pub struct LoadedSample {
    /// When, in ms.
    pub timestamp_ms: i64,
    /// The value, of either kind.
    pub value: SampleValue,
    /// The start timestamp in ms; 0 is unknown.
    pub start_ms: i64,
}

/// One series of a `load` block: its samples ascend in time.
#[derive(Debug, Clone)]
pub struct LoadedSeries {
    /// The labels, the name among them.
    pub labels: Labels,
    /// What to append, in order.
    pub samples: Vec<LoadedSample>,
}

/// Reads a block like
///
/// ```text
/// load 15s
///   up{job="a"} 1 1 0 _ 1x10
/// ```
///
/// Item `i` of a line is at `start_ms + i * step`. `load_with_nhcb` also converts classic histograms to native ones
/// with custom buckets. A line `metric@st …` gives the start times of the line that follows.
///
/// # Errors
/// The notation is wrong.
pub fn parse_load(block: &str, start_ms: i64) -> Result<Vec<LoadedSeries>, StorageError> {
    let mut lines = block.lines().map(str::trim).filter(|line| !line.is_empty());
    let head = lines.next().unwrap_or("");
    let mut words = head.split_whitespace();
    let nhcb = match words.next() {
        Some("load") => false,
        Some("load_with_nhcb") => true,
        _ => return Err(StorageError::new(format!("not a load command: {head:?}"))),
    };
    let step_ms = parse_duration_ms(words.next().unwrap_or("")).map_err(StorageError::new)?;
    let mut series: Vec<(SeriesDescription, Option<StartTimes>)> = Vec::new();
    let mut pending: Option<StartTimes> = None;
    for line in lines {
        let wrong = |e: mytsdb_promql_syntax::ParseError| StorageError::new(format!("{e} in {line:?}"));
        let metric_end = line.find([' ', '\t']).unwrap_or(line.len());
        if line[..metric_end].ends_with("@st") {
            pending = Some(parse_start_times(line).map_err(wrong)?);
            continue;
        }
        let description = parse_series_description(line).map_err(wrong)?;
        let starts = pending.take().filter(|s| s.labels == description.labels);
        series.retain(|(known, _)| known.labels != description.labels);
        series.push((description, starts));
    }
    let mut loaded: Vec<LoadedSeries> =
        series.iter().map(|(description, starts)| samples(description, starts.as_ref(), start_ms, step_ms)).collect();
    if nhcb {
        let converted = nhcb::convert(&loaded)?;
        loaded.extend(converted);
    }
    Ok(loaded)
}

fn samples(description: &SeriesDescription, starts: Option<&StartTimes>, start_ms: i64, step_ms: i64) -> LoadedSeries {
    let mut samples = Vec::new();
    for (i, item) in description.values.iter().enumerate() {
        let timestamp_ms = start_ms + step_ms * i as i64;
        let offset = starts.and_then(|s| s.offsets_ms.get(i).copied().flatten());
        let value = match item {
            SequenceItem::Gap => continue,
            SequenceItem::Float(value) => SampleValue::Float(*value),
            SequenceItem::Histogram(item) => SampleValue::Histogram(item.histogram.clone()),
        };
        samples.push(LoadedSample { timestamp_ms, value, start_ms: offset.map_or(0, |offset| timestamp_ms + offset) });
    }
    LoadedSeries { labels: description.labels.clone(), samples }
}

impl TestStorage {
    /// Appends the samples of a block as [`parse_load`] reads it.
    ///
    /// # Errors
    /// The notation is wrong, or a sample is not newer than what the series has.
    pub fn load(&mut self, block: &str, start_ms: i64) -> Result<(), StorageError> {
        for LoadedSeries { labels, samples } in parse_load(block, start_ms)? {
            for LoadedSample { timestamp_ms, value, start_ms } in samples {
                match value {
                    SampleValue::Float(value) => self.append(&labels, timestamp_ms, value, start_ms)?,
                    SampleValue::Histogram(histogram) => {
                        self.append_histogram(&labels, timestamp_ms, &histogram, start_ms)?;
                    }
                }
            }
        }
        Ok(())
    }
}
