//! JSON lines on their way to the store: each line is a series, each of its samples has its own outcome.

use crate::{Appender, BatchSink, Ingest, IngestMetrics, Refusal, Room, TextWritten};
use mytsdb_model::SeriesRef;
use mytsdb_otlp::{Limits, RefusalReason, Refused};
use mytsdb_remote_write::Sink;
use mytsdb_text_format::{BoundedLines, JsonLine};
use std::sync::Arc;

/// Longest line, in bytes: other databases write a series in one.
const LINE_BYTES_MAX: usize = 16 << 20;

impl<A: Appender> Ingest<A> {
    /// Stores the samples of JSON lines, and waits until they are durable. Exemplars of a series belong to no sample of it.
    ///
    /// # Errors
    /// As for [`store_text`](Self::store_text).
    pub async fn store_json_lines(
        &self,
        text: &[u8],
        room: Room,
        metrics: &IngestMetrics,
    ) -> Result<TextWritten, Refusal> {
        self.store_lines(text, room, metrics, |sink| {
            let limits = self.translator().options().limits;
            let mut pass = Pass { sink, limits, written: TextWritten::default() };
            pass.text(text)?;
            Ok(pass.written)
        })
        .await
    }
}

struct Pass<'p, 's, A> {
    sink: &'p mut BatchSink<'s, A>,
    limits: Limits,
    written: TextWritten,
}

impl<A: Appender> Pass<'_, '_, A> {
    fn text(&mut self, text: &[u8]) -> Result<(), Refusal> {
        let mut lines = BoundedLines::new(text, LINE_BYTES_MAX);
        let mut number = 0;
        while let Some(line) = lines.next_line().map_err(|error| Refusal::malformed(error.to_string()))? {
            number += 1;
            let line = match line {
                Ok(line) if line.trim_ascii().is_empty() => continue,
                Ok(line) => JsonLine::parse(line).map_err(|error| error.to_string()),
                Err(()) => Err(format!("a line of more than {LINE_BYTES_MAX} bytes")),
            };
            match line {
                Ok(line) => self.line(line, number)?,
                Err(error) => {
                    self.written.refused.add_with(RefusalReason::Invalid, 1, || format!("line {number}: {error}"));
                }
            }
        }
        Ok(())
    }

    fn line(&mut self, line: JsonLine, number: u64) -> Result<(), Refusal> {
        let samples = line.columns.len() as u64;
        self.written.make_room(samples)?;
        let series = match self.series(&line) {
            Ok(series) => series,
            Err(refused) => {
                let message = || format!("line {number}: {}", refused.message);
                self.written.refused.add_with(refused.reason, samples, message);
                return Ok(());
            }
        };
        let columns = line.columns;
        let start = |starts: &[i64], row: usize| starts.get(row).copied().unwrap_or(0);
        for (row, (&timestamp_ms, &value)) in columns.timestamps_ms.iter().zip(&columns.values).enumerate() {
            Sink::append(self.sink, series, timestamp_ms, start(&columns.start_timestamps_ms, row), value);
            self.written.add(number);
        }
        let histograms = columns.histogram_timestamps_ms.iter().zip(columns.histograms);
        for (row, (&timestamp_ms, histogram)) in histograms.enumerate() {
            let start_ms = start(&columns.histogram_start_timestamps_ms, row);
            // Nobody else has this one, so that nothing is copied.
            let histogram = Arc::unwrap_or_clone(histogram);
            match Sink::append_histogram(self.sink, series, timestamp_ms, start_ms, histogram) {
                Ok(()) => self.written.add(number),
                Err(refused) => {
                    let message = || format!("line {number}: {}", refused.message);
                    self.written.refused.add_with(refused.reason, 1, message);
                }
            }
        }
        for exemplar in line.exemplars {
            Sink::append_exemplar(self.sink, series, exemplar);
        }
        Ok(())
    }

    fn series(&mut self, line: &JsonLine) -> Result<SeriesRef, Refused> {
        if line.labels.is_empty() {
            return Err(Refused::new(RefusalReason::Invalid, "a series without labels"));
        }
        let pairs: Vec<_> = line.labels.iter().collect();
        self.limits.check(&pairs)?;
        Sink::resolve(self.sink, &line.labels)
    }
}
