//! Records: what a frame's payload is made of. `kind u8`, `body bytes u32`, body.

use crate::frame::FrameBuffer;
use crate::header::le_u32;
use crate::notes;
use crate::rows::{self, RowColumns, Rows};
use crate::samples::{self, Columns, ROWS_MAX};
use mytsdb_model::{Exemplar, FamilyMetadata, Labels, SeriesRef};
use mytsdb_varint::{self as varint, VARINT_BYTES_MAX};

/// What replay gives back, in the order in which it was logged.
#[derive(Debug, Clone, PartialEq)]
pub enum Record<'a> {
    /// A series and the reference by which samples name it. Comes before the first of them.
    Series {
        /// The reference.
        series: SeriesRef,
        /// The labels.
        labels: Labels,
    },
    /// Samples, column by column; the columns have equal length, 1 to 4096.
    Samples {
        /// The series of each row.
        refs: &'a [SeriesRef],
        /// Milliseconds since the Unix epoch.
        timestamps_ms: &'a [i64],
        /// Values, NaN payloads included.
        values: &'a [f64],
    },
    /// Samples of both kinds, some with start times.
    Rows(Rows<'a>),
    /// What is known of a metric from here on.
    Metadata {
        /// Name of the metric.
        family: &'a str,
        /// Type, help and unit.
        metadata: FamilyMetadata,
    },
    /// Exemplars of one series, 1 to 4096.
    Exemplars {
        /// The labels of the series, which need not be defined.
        series: Labels,
        /// In the order of logging.
        exemplars: &'a [Exemplar],
    },
}

const RECORD_HEADER_BYTES: usize = 5;
const KIND_SERIES: u8 = 1;
const KIND_SAMPLES: u8 = 2;
const KIND_END: u8 = 3;
const KIND_ROWS: u8 = 4;
const KIND_METADATA: u8 = 5;
const KIND_EXEMPLARS: u8 = 6;
const KIND_LAST: u8 = KIND_EXEMPLARS;

pub(crate) fn put_series(frames: &mut FrameBuffer, series: SeriesRef, labels: &Labels) {
    let mut reference = [0; VARINT_BYTES_MAX];
    let bytes = varint::write(&mut reference, 0, series.0);
    put(frames, KIND_SERIES, &[&reference[..bytes], labels.as_bytes()]);
}

/// Cuts the columns into records of at most [`ROWS_MAX`] rows.
///
/// # Panics
/// If the columns differ in length.
pub(crate) fn put_samples(frames: &mut FrameBuffer, refs: &[SeriesRef], timestamps_ms: &[i64], values: &[f64]) {
    assert!(refs.len() == timestamps_ms.len() && refs.len() == values.len(), "columns of different length");
    let mut scratch = frames.take_scratch();
    for start in (0..refs.len()).step_by(ROWS_MAX) {
        let rows = start..refs.len().min(start + ROWS_MAX);
        if scratch.len() < samples::bytes_max(rows.len()) {
            scratch.resize(samples::bytes_max(rows.len()), 0);
        }
        let bytes = samples::encode(&mut scratch, &refs[rows.clone()], &timestamps_ms[rows.clone()], &values[rows]);
        put(frames, KIND_SAMPLES, &[&scratch[..bytes]]);
    }
    frames.give_scratch(scratch);
}

/// # Panics
/// If the rows are not as their fields say.
pub(crate) fn put_rows(frames: &mut FrameBuffer, rows: &Rows<'_>) {
    let mut scratch = frames.take_scratch();
    if scratch.len() < rows::bytes_max(rows) {
        scratch.resize(rows::bytes_max(rows), 0);
    }
    let bytes = rows::encode(&mut scratch, rows, &mut Vec::new());
    put(frames, KIND_ROWS, &[&scratch[..bytes]]);
    frames.give_scratch(scratch);
}

/// # Panics
/// If the texts are longer than the format has room for.
pub(crate) fn put_metadata(frames: &mut FrameBuffer, family: &str, metadata: &FamilyMetadata) {
    put(frames, KIND_METADATA, &[&notes::encode_metadata(family, metadata)]);
}

/// Cuts the exemplars into records of at most [`notes::EXEMPLARS_MAX`].
pub(crate) fn put_exemplars(frames: &mut FrameBuffer, series: &Labels, exemplars: &[&Exemplar]) {
    for some in exemplars.chunks(notes::EXEMPLARS_MAX) {
        put(frames, KIND_EXEMPLARS, &[&notes::encode_exemplars(series, some)]);
    }
}

pub(crate) fn put_end(frames: &mut FrameBuffer) {
    put(frames, KIND_END, &[]);
}

fn put(frames: &mut FrameBuffer, kind: u8, body: &[&[u8]]) {
    let body_bytes = body.iter().map(|part| part.len()).sum::<usize>();
    let Some(out) = frames.begin_record(RECORD_HEADER_BYTES + body_bytes) else { return };
    out.push(kind);
    out.extend_from_slice(&(body_bytes as u32).to_le_bytes());
    for part in body {
        out.extend_from_slice(part);
    }
}

/// How the records of one payload ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Whether the last record was the end of a checkpoint.
    pub(crate) end: bool,
}

/// A record that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadRecord {
    /// Where in the payload it begins.
    pub(crate) at: usize,
    /// Its kind, if no release up to this one has written such records.
    pub(crate) unknown_kind: Option<u8>,
}

/// Reads payloads; holds the buffers of one record of samples.
#[derive(Default)]
pub(crate) struct RecordDecoder {
    columns: Columns,
    rows: RowColumns,
    exemplars: Vec<Exemplar>,
}

impl RecordDecoder {
    /// Hands every record to `sink`. `Err` tells the first record that makes no sense; those before it were handed over,
    /// those behind it are not.
    pub(crate) fn decode(&mut self, payload: &[u8], sink: &mut dyn FnMut(Record<'_>)) -> Result<Tally, BadRecord> {
        let mut tally = Tally::default();
        let mut at = 0;
        while at < payload.len() {
            at = self.decode_one(payload, at, &mut tally, sink).ok_or_else(|| BadRecord {
                at,
                unknown_kind: payload.get(at).copied().filter(|&kind| kind == 0 || kind > KIND_LAST),
            })?;
        }
        Ok(tally)
    }

    fn decode_one(
        &mut self,
        payload: &[u8],
        at: usize,
        tally: &mut Tally,
        sink: &mut dyn FnMut(Record<'_>),
    ) -> Option<usize> {
        let (header, rest) = payload[at..].split_at_checked(RECORD_HEADER_BYTES)?;
        let body = rest.get(..le_u32(header, 1) as usize)?;
        match header[0] {
            KIND_SERIES => {
                let mut labels_at = 0;
                let series = SeriesRef(varint::read(body, &mut labels_at).ok()?);
                let labels = Labels::from_bytes(&body[labels_at..]).ok()?;
                sink(Record::Series { series, labels });
            }
            KIND_SAMPLES => {
                self.columns.decode(body)?;
                let Columns { refs, timestamps_ms, values } = &self.columns;
                sink(Record::Samples { refs, timestamps_ms, values });
            }
            KIND_ROWS => self.rows.decode(body, &mut |rows| sink(Record::Rows(rows)))?,
            KIND_METADATA => {
                let (family, metadata) = notes::decode_metadata(body)?;
                sink(Record::Metadata { family, metadata });
            }
            KIND_EXEMPLARS => {
                let series = notes::decode_exemplars(body, &mut self.exemplars)?;
                sink(Record::Exemplars { series, exemplars: &self.exemplars });
            }
            KIND_END if body.is_empty() && rest.is_empty() => tally.end = true,
            _ => return None,
        }
        Some(at + RECORD_HEADER_BYTES + body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FRAME_HEADER_BYTES;
    use mytsdb_model::FamilyKind;

    #[test]
    fn cut_and_flipped_payloads_never_panic_and_never_grow() {
        let mut frames = FrameBuffer::new(1 << 20);
        put_series(&mut frames, SeriesRef(300), &Labels::from_pairs([("__name__", "up"), ("job", "node")]));
        put_samples(&mut frames, &[SeriesRef(300), SeriesRef(301)], &[5, 5], &[1.5, f64::NAN]);
        let histograms = [(1, &b"of them"[..])];
        put_rows(
            &mut frames,
            &Rows {
                refs: &[SeriesRef(300), SeriesRef(301)],
                timestamps_ms: &[6, 6],
                starts_ms: &[1, 0],
                values: &[0.5, 0.0],
                histograms: &histograms,
            },
        );
        let metadata = FamilyMetadata { kind: FamilyKind::Gauge, help: "h".into(), unit: "u".into() };
        put_metadata(&mut frames, "up", &metadata);
        let exemplar = Exemplar { timestamp_ms: 5, value: 0.5, labels: Labels::from_pairs([("trace_id", "1")]) };
        put_exemplars(&mut frames, &Labels::from_pairs([("__name__", "up")]), &[&exemplar]);
        put_end(&mut frames);
        let payload = frames.bytes()[FRAME_HEADER_BYTES..].to_vec();
        let mut decoder = RecordDecoder::default();
        let tally = decoder.decode(&payload, &mut |_| {});
        assert_eq!(tally, Ok(Tally { end: true }));
        for cut in 0..payload.len() {
            if let Ok(tally) = decoder.decode(&payload[..cut], &mut |_| {}) {
                assert!(!tally.end, "cut at {cut}");
            }
        }
        for bit in 0..payload.len() * 8 {
            let mut bad = payload.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let mut rows = 0;
            let outcome = decoder.decode(&bad, &mut |record| {
                if let Record::Samples { refs, .. } | Record::Rows(Rows { refs, .. }) = record {
                    rows += refs.len();
                }
            });
            assert!(rows <= 2 * ROWS_MAX, "{outcome:?}");
        }
        for kind in [0, KIND_LAST + 1, 0xff] {
            let later = [&[kind, 0, 0, 0, 0], &payload[..]].concat();
            let refused = BadRecord { at: 0, unknown_kind: Some(kind) };
            assert_eq!(decoder.decode(&later, &mut |_| {}), Err(refused));
        }
    }
}
