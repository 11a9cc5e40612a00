//! `load` blocks: series notation with a step.

use super::{TestStorage, nhcb};
use crate::error::StorageError;
use crate::literal::parse_duration_ms;
use crate::parser::{SequenceItem, SeriesDescription, StartTimes, parse_series_description, parse_start_times};
use mytsdb_model::Labels;

impl TestStorage {
    /// Appends the samples of a block like
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
    /// The notation is wrong, or a sample is not newer than what the series has.
    pub fn load(&mut self, block: &str, start_ms: i64) -> Result<(), StorageError> {
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
            let wrong = |e: crate::ParseError| StorageError::new(format!("{e} in {line:?}"));
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
        for (description, starts) in &series {
            self.append_series(description, starts.as_ref(), start_ms, step_ms)?;
        }
        if nhcb {
            let labels: Vec<Labels> = series.into_iter().map(|(description, _)| description.labels).collect();
            nhcb::convert(self, &labels)?;
        }
        Ok(())
    }

    fn append_series(
        &mut self,
        description: &SeriesDescription,
        starts: Option<&StartTimes>,
        start_ms: i64,
        step_ms: i64,
    ) -> Result<(), StorageError> {
        let labels = &description.labels;
        for (i, item) in description.values.iter().enumerate() {
            let at = start_ms + step_ms * i as i64;
            let offset = starts.and_then(|s| s.offsets_ms.get(i).copied().flatten());
            let started = offset.map_or(0, |offset| at + offset);
            match item {
                SequenceItem::Gap => {}
                SequenceItem::Float(value) => self.append(labels, at, *value, started)?,
                SequenceItem::Histogram(item) => self.append_histogram(labels, at, &item.histogram, started)?,
            }
        }
        Ok(())
    }
}
