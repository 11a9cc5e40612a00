//! The body of a rows record: samples of both kinds, with start times where they are known.
//!
//! `varint` count, flags, reference column, timestamp column, start column, places of histograms, values, histograms; see
//! `docs/format/wal.md`. What the bytes of a histogram mean is the caller's business.

use crate::samples::{ROWS_MAX, encode_column, encode_values, values_bytes_max};
use crate::samples::{decode_column, decode_values_front};
use mytsdb_model::SeriesRef;
use mytsdb_varint::{self as varint, VARINT_BYTES_MAX};

const STARTS: u8 = 1;
const HISTOGRAMS: u8 = 2;

/// Samples of both kinds, row by row; a row is a float unless it is among `histograms`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rows<'a> {
    /// The series of each row: 1 to 4096 of them.
    pub refs: &'a [SeriesRef],
    /// Milliseconds since the Unix epoch, as many as rows.
    pub timestamps_ms: &'a [i64],
    /// Since when each row counts, in ms since the Unix epoch, 0 if that is not known: as many as rows, or none.
    pub starts_ms: &'a [i64],
    /// As many as rows. What stands in the row of a histogram is not logged; it is read as 0.
    pub values: &'a [f64],
    /// Numbers of rows, ascending, and the bytes of the histograms in them, one at least.
    pub histograms: &'a [(u32, &'a [u8])],
}

impl Rows<'_> {
    /// # Panics
    /// If a column has the wrong length, there are no rows or too many, or places do not ascend.
    fn check(&self) {
        let count = self.refs.len();
        assert!((1..=ROWS_MAX).contains(&count), "a record has 1 to {ROWS_MAX} rows");
        assert!(self.timestamps_ms.len() == count && self.values.len() == count, "columns of different length");
        assert!(self.starts_ms.is_empty() || self.starts_ms.len() == count, "columns of different length");
        assert!(self.histograms.is_sorted_by(|a, b| a.0 < b.0), "places ascend");
        assert!(self.histograms.last().is_none_or(|last| (last.0 as usize) < count), "places are rows");
    }
}

/// The most bytes that the body takes, with the room that [`encode`] needs to work in.
pub(crate) fn bytes_max(rows: &Rows<'_>) -> usize {
    let count = rows.refs.len();
    let columns = 4 * count * VARINT_BYTES_MAX + 8 * VARINT_BYTES_MAX;
    let histograms: usize = rows.histograms.iter().map(|(_, bytes)| bytes.len() + VARINT_BYTES_MAX).sum();
    columns + values_bytes_max(count) + histograms
}

/// Writes the body; returns its length. `body` has at least [`bytes_max`] bytes; what it holds does not matter.
///
/// # Panics
/// If the rows are not as their fields say.
pub(crate) fn encode(body: &mut [u8], rows: &Rows<'_>, floats: &mut Vec<f64>) -> usize {
    rows.check();
    let Rows { refs, timestamps_ms, starts_ms, values, histograms } = *rows;
    let mut at = varint::write(body, 0, refs.len() as u64);
    body[at] = if starts_ms.is_empty() { 0 } else { STARTS } | if histograms.is_empty() { 0 } else { HISTOGRAMS };
    at += 1;
    at = encode_column(body, at, refs, |series| series.0 as i64);
    at = encode_column(body, at, timestamps_ms, |timestamp_ms| *timestamp_ms);
    if !starts_ms.is_empty() {
        at = encode_column(body, at, starts_ms, |start_ms| *start_ms);
    }
    if histograms.is_empty() {
        return encode_values(body, at, values);
    }
    at = varint::write(body, at, histograms.len() as u64);
    let mut next = 0;
    for &(row, _) in histograms {
        at = varint::write(body, at, u64::from(row - next));
        next = row + 1;
    }
    floats.clear();
    let mut places = histograms.iter().map(|(row, _)| *row as usize).peekable();
    floats.extend(values.iter().enumerate().filter(|(row, _)| places.next_if_eq(row).is_none()).map(|(_, v)| v));
    at = encode_values(body, at, floats);
    for (_, bytes) in histograms {
        at = varint::write(body, at, bytes.len() as u64);
        body[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    }
    at
}

/// Decoded columns; reused from record to record.
#[derive(Default)]
pub(crate) struct RowColumns {
    refs: Vec<SeriesRef>,
    timestamps_ms: Vec<i64>,
    starts_ms: Vec<i64>,
    values: Vec<f64>,
    floats: Vec<f64>,
    places: Vec<u32>,
}

impl RowColumns {
    /// Hands the rows of `body` to `sink`; `None`, and nothing is handed over, if it is not a whole body.
    ///
    /// Memory: 48 bytes a row, and 24 a histogram.
    pub(crate) fn decode(&mut self, body: &[u8], sink: &mut dyn FnMut(Rows<'_>)) -> Option<()> {
        for column in [&mut self.timestamps_ms, &mut self.starts_ms] {
            column.clear();
        }
        self.refs.clear();
        self.floats.clear();
        self.places.clear();
        let mut at = 0;
        let count = varint::read(body, &mut at).ok().filter(|n| (1..=ROWS_MAX as u64).contains(n))? as usize;
        let flags = *body.get(at)?;
        at += 1;
        if flags & !(STARTS | HISTOGRAMS) != 0 {
            return None;
        }
        decode_column(body, &mut at, count, |number| self.refs.push(SeriesRef(number as u64)))?;
        decode_column(body, &mut at, count, |number| self.timestamps_ms.push(number))?;
        if flags & STARTS != 0 {
            decode_column(body, &mut at, count, |number| self.starts_ms.push(number))?;
        }
        if flags & HISTOGRAMS != 0 {
            let histograms = varint::read(body, &mut at).ok().filter(|n| (1..=count as u64).contains(n))?;
            let mut next = 0;
            for _ in 0..histograms {
                let row = varint::read(body, &mut at).ok()?.checked_add(next).filter(|&row| row < count as u64)?;
                self.places.push(row as u32);
                next = row + 1;
            }
        }
        let mut rest = decode_values_front(body.get(at..)?, count - self.places.len(), &mut self.floats)?;
        let mut histograms = Vec::with_capacity(self.places.len());
        for &row in &self.places {
            let mut bytes_at = 0;
            let size = varint::read(rest, &mut bytes_at).ok().filter(|&size| size > 0)?;
            let (bytes, behind) = rest[bytes_at..].split_at_checked(usize::try_from(size).ok()?)?;
            histograms.push((row, bytes));
            rest = behind;
        }
        if !rest.is_empty() {
            return None;
        }
        let values = if self.places.is_empty() {
            &self.floats
        } else {
            let (mut floats, mut places) = (self.floats.iter(), self.places.iter().peekable());
            self.values.clear();
            self.values.extend((0..count as u32).map(|row| match places.next_if_eq(&&row) {
                Some(_) => 0.0,
                None => *floats.next().expect("as many floats as rows that are no histograms"),
            }));
            &self.values
        };
        let Self { refs, timestamps_ms, starts_ms, .. } = &*self;
        sink(Rows { refs, timestamps_ms, starts_ms, values, histograms: &histograms });
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_testkit::{Random, seed, setting};

    #[test]
    fn rows_of_both_kinds_come_back_and_cut_or_longer_bodies_are_refused() {
        let seed = seed(3);
        let mut columns = RowColumns::default();
        for case in 0..setting("MYTSDB_WAL_CASES", 500) {
            let mut random = Random::of_case(seed, case);
            let count_max = if random.one_in(20) { ROWS_MAX } else { 12 };
            let count = 1 + random.index(count_max);
            let (one_in, with_starts) = (1 + random.below(4), random.one_in(2));
            let refs: Vec<_> = (0..count).map(|_| SeriesRef(random.bits() >> random.below(64))).collect();
            let timestamps_ms: Vec<_> = (0..count).map(|_| random.bits() as i64 >> random.below(64)).collect();
            let starts_ms: Vec<_> =
                if with_starts { (0..count).map(|_| random.below(3) as i64 - 1).collect() } else { Vec::new() };
            let places: Vec<u32> = (0..count as u32).filter(|_| one_in < 4 && random.one_in(one_in)).collect();
            let bodies: Vec<Vec<u8>> =
                places.iter().map(|_| vec![random.below(256) as u8; 1 + random.index(40)]).collect();
            let histograms: Vec<_> = places.iter().copied().zip(bodies.iter().map(Vec::as_slice)).collect();
            let mut values: Vec<_> = (0..count).map(|_| f64::from_bits(random.bits() << random.below(64))).collect();
            for &row in &places {
                values[row as usize] = 0.0;
            }
            let (refs, timestamps_ms, starts_ms) = (&refs[..], &timestamps_ms[..], &starts_ms[..]);
            let rows = Rows { refs, timestamps_ms, starts_ms, values: &values, histograms: &histograms };

            let mut body = vec![0xaa; bytes_max(&rows)];
            let bytes = encode(&mut body, &rows, &mut Vec::new());
            let body = &body[..bytes];
            let mut seen = 0;
            let whole = columns.decode(body, &mut |read| {
                seen += 1;
                let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
                assert_eq!(bits(read.values), bits(rows.values), "seed {seed} case {case}");
                assert_eq!(Rows { values: rows.values, ..read }.histograms, rows.histograms);
                assert_eq!((read.refs, read.timestamps_ms, read.starts_ms), (refs, timestamps_ms, starts_ms));
            });
            assert!(whole.is_some() && seen == 1, "seed {seed} case {case}");
            for cut in (0..body.len()).rev().take(300) {
                assert!(columns.decode(&body[..cut], &mut |_| {}).is_none(), "seed {seed} case {case} cut {cut}");
            }
            let longer = [body, &[0]].concat();
            assert!(columns.decode(&longer, &mut |_| {}).is_none(), "seed {seed} case {case}: a byte too many");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        let mut columns = RowColumns::default();
        // No rows; too many; an unknown flag; no histograms where there should be; a place behind the rows; an empty one.
        let bodies: [&[u8]; 6] = [
            &[0, 0],
            &[0x81, 0x20, 0],
            &[1, 4, 0, 2, 0, 2, 0],
            &[1, 2, 0, 2, 0, 2, 0, 0],
            &[1, 2, 0, 2, 0, 2, 1, 1, 1, 9],
            &[1, 2, 0, 2, 0, 2, 1, 0, 0],
        ];
        for body in bodies {
            assert!(columns.decode(body, &mut |_| panic!("nothing is handed over")).is_none(), "{body:?}");
        }
        assert!(columns.decode(&[1, 2, 0, 2, 0, 2, 1, 0, 1, 9], &mut |_| {}).is_some(), "the same made right");
    }
}
