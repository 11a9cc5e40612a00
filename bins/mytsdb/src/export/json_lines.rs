//! JSON lines: one object for each series; a long series is cut into several objects.

use super::{Series, Writer};
use mytsdb_columns::Columns;
use mytsdb_engine::Engine;
use mytsdb_text_format::JsonLine;

/// Samples in a line at most.
const LINE_SAMPLES: usize = 10_000;

/// Counts and bounds of histograms in a line, about: a line stays shorter than what an import reads.
const LINE_NUMBERS: usize = 50_000;

/// Lines as [`JsonLine`] has them: those of floats first, then those of histograms, then the exemplars.
pub(super) struct JsonLines;

impl Writer for JsonLines {
    fn family<'n>(&self, _: &Engine, name: &'n str) -> &'n str {
        name
    }

    fn begin(&mut self, _: &Engine, _: &str, _: &mut String) {}

    fn series(&mut self, series: Series<'_>, out: &mut String) {
        let Series { labels, columns, exemplars } = series;
        let line = |columns| JsonLine { labels: labels.clone(), columns, exemplars: Vec::new() };
        for from in (0..columns.timestamps_ms.len()).step_by(LINE_SAMPLES) {
            let rows = from..columns.timestamps_ms.len().min(from + LINE_SAMPLES);
            let part = Columns {
                timestamps_ms: columns.timestamps_ms[rows.clone()].to_vec(),
                values: columns.values[rows.clone()].to_vec(),
                start_timestamps_ms: columns.start_timestamps_ms.get(rows).map(<[i64]>::to_vec).unwrap_or_default(),
                ..Columns::default()
            };
            line(part).write(out);
        }
        let (mut part, mut numbers) = (Columns::default(), 0);
        for (row, (&time, histogram)) in columns.histogram_timestamps_ms.iter().zip(&columns.histograms).enumerate() {
            let start_ms = columns.histogram_start_timestamps_ms.get(row).copied().unwrap_or(0);
            part.push_histogram_since(time, start_ms, histogram.clone());
            numbers += 10 + histogram.positive_buckets.len() + histogram.negative_buckets.len();
            numbers += histogram.custom_values.len();
            if numbers >= LINE_NUMBERS {
                line(std::mem::take(&mut part)).write(out);
                numbers = 0;
            }
        }
        if !part.is_empty() {
            line(part).write(out);
        }
        if !exemplars.is_empty() {
            JsonLine { exemplars: exemplars.into(), ..line(Columns::default()) }.write(out);
        }
    }

    fn end(&mut self, _: &mut String) -> Option<String> {
        None
    }
}
