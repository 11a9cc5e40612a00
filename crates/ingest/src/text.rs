//! Text formats on their way to the store: each line has its own outcome.

use crate::{Appender, BatchSink, Ingest, IngestMetrics, Refusal, Room};
use mytsdb_model::{Exemplar, FamilyKind};
use mytsdb_otlp::{Limits, Metadata, RefusalReason, Refusals};
use mytsdb_remote_write::Sink;
use mytsdb_text_format::{BoundedLines, Format, Line, Parser, Sample};

/// Samples of one request: a line of a few bytes becomes a row of some forty.
const SAMPLES_MAX: u64 = 2_000_000;

/// Longest line, in bytes.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What became of a text.
#[derive(Debug, Default)]
pub struct TextWritten {
    /// Samples that are stored, those that were there already too.
    pub samples: u64,
    /// Exemplars likewise.
    pub exemplars: u64,
    /// Lines that say nothing, and samples that are not stored, with the numbers of their lines.
    pub refused: Refusals,
    /// The line of each row.
    lines: Vec<u32>,
}

impl<A: Appender> Ingest<A> {
    /// Stores the samples of a text, and waits until they are durable. A sample without a time gets `now_ms`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for a text of too many samples, else as for [`store`](Self::store).
    pub async fn store_text(
        &self,
        (format, text): (Format, &[u8]),
        now_ms: i64,
        room: Room,
        metrics: &IngestMetrics,
    ) -> Result<TextWritten, Refusal> {
        let translator = self.translator();
        let (limits, metadata) = (translator.options().limits, translator.metadata());
        self.store_lines(text, room, metrics, |sink| {
            let mut pass = Pass { sink, limits, metadata, now_ms, written: TextWritten::default(), family: None };
            pass.text(format, text)?;
            Ok(pass.written)
        })
        .await
    }

    /// Stores what `read` finds in a text, line by line.
    pub(crate) async fn store_lines(
        &self,
        text: &[u8],
        room: Room,
        metrics: &IngestMetrics,
        mut read: impl FnMut(&mut BatchSink<'_, A>) -> Result<TextWritten, Refusal>,
    ) -> Result<TextWritten, Refusal> {
        metrics.count_bytes(text.len());
        let (mut written, refused) = self.store(room, metrics, |sink, _| read(sink)).await?;
        written.exemplars = u64::from(refused.exemplars_stored());
        for (row, refusal) in refused.rows() {
            written.samples = written.samples.saturating_sub(1);
            let line = written.lines.get(row as usize).copied().unwrap_or_default();
            written.refused.add_with(RefusalReason::Sample, 1, || format!("line {line}: {refusal}"));
        }
        metrics.count_points(written.samples, &written.refused);
        Ok(written)
    }
}

impl TextWritten {
    /// Checks that there may be `samples` more.
    pub(crate) fn make_room(&self, samples: u64) -> Result<(), Refusal> {
        if self.samples.saturating_add(samples) > SAMPLES_MAX {
            let limit = format!("more than {SAMPLES_MAX} samples, which is the limit: send it in parts");
            return Err(Refusal::malformed(limit));
        }
        Ok(())
    }

    /// Counts a row of a line.
    pub(crate) fn add(&mut self, line: u64) {
        self.samples += 1;
        self.lines.push(u32::try_from(line).unwrap_or(u32::MAX));
    }
}

/// What the comments before some samples say of their metric.
struct Family {
    name: String,
    kind: FamilyKind,
    help: String,
    unit: String,
}

struct Pass<'p, 's, A> {
    sink: &'p mut BatchSink<'s, A>,
    limits: Limits,
    metadata: &'p Metadata,
    now_ms: i64,
    written: TextWritten,
    family: Option<Family>,
}

impl<A: Appender> Pass<'_, '_, A> {
    fn text(&mut self, format: Format, text: &[u8]) -> Result<(), Refusal> {
        let mut parser = Parser::new(format);
        let mut lines = BoundedLines::new(text, LINE_BYTES_MAX);
        while let Some(line) = lines.next_line().map_err(|error| Refusal::malformed(error.to_string()))? {
            let read = match line {
                Ok(line) => parser.line(line),
                Err(()) => Err(parser.too_long(LINE_BYTES_MAX)),
            };
            match read {
                Ok(Line::Sample(sample)) => self.sample(&sample, parser.line_count())?,
                Ok(Line::Kind { family, kind }) => self.family(&family).kind = kind,
                Ok(Line::Help { family, help }) => self.family(&family).help = help.into_owned(),
                Ok(Line::Unit { family, unit }) => unit.clone_into(&mut self.family(&family).unit),
                Ok(Line::Nothing | Line::End) => {}
                Err(error) => self.written.refused.add_with(RefusalReason::Invalid, 1, || error.to_string()),
            }
        }
        self.describe();
        if let Err(error) = parser.finish() {
            self.written.refused.note(&error.to_string());
        }
        Ok(())
    }

    /// What is said of a metric; what was said of another one before is complete.
    fn family(&mut self, name: &str) -> &mut Family {
        if self.family.as_ref().is_some_and(|family| family.name != name) {
            self.describe();
        }
        let fresh =
            || Family { name: name.to_owned(), kind: FamilyKind::Unknown, help: String::new(), unit: String::new() };
        self.family.get_or_insert_with(fresh)
    }

    fn describe(&mut self) {
        if let Some(Family { name, kind, help, unit }) = self.family.take()
            && !(kind == FamilyKind::Unknown && help.is_empty() && unit.is_empty())
        {
            self.metadata.record(&name, kind, &help, &unit);
            self.sink.describe();
        }
    }

    fn sample(&mut self, sample: &Sample, line: u64) -> Result<(), Refusal> {
        self.written.make_room(1)?;
        let pairs: Vec<_> = sample.labels.iter().collect();
        let resolved = self.limits.check(&pairs).and_then(|()| Sink::resolve(self.sink, &sample.labels));
        let series = match resolved {
            Ok(series) => series,
            Err(refused) => {
                let message = || format!("line {line}: {}", refused.message);
                self.written.refused.add_with(refused.reason, 1, message);
                return Ok(());
            }
        };
        let timestamp_ms = sample.timestamp_ms.unwrap_or(self.now_ms);
        Sink::append(self.sink, series, timestamp_ms, 0, sample.value);
        if let Some(sent) = &sample.exemplar {
            let timestamp_ms = sent.timestamp_ms.unwrap_or(timestamp_ms);
            let exemplar = Exemplar { timestamp_ms, value: sent.value, labels: sent.labels.clone() };
            self.sink.append_exemplar_of_last(series, exemplar);
        }
        self.written.add(line);
        Ok(())
    }
}
