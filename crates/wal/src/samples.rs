//! The body of a samples record: three columns, each with the encoding that scrapes compress well under.
//!
//! `varint` count, reference column, timestamp column, value column; see `docs/format/wal.md`. A row costs 9.5
//! bytes with random values, 2 to 5 with typical ones. Cost: a few nanoseconds per row each way.

use mytsdb_model::SeriesRef;
use mytsdb_varint::{self as varint, VARINT_BYTES_MAX, unzigzag, zigzag};

/// Rows in one record at most, so that a reader's buffers have a bound.
pub const ROWS_MAX: usize = 4096;
/// A row's worst case: two full varints, a nibble, a whole float.
const ROW_BYTES_MAX: usize = 2 * VARINT_BYTES_MAX + 9;
/// Room that the value writer may touch behind the last kept byte.
const SLACK_BYTES: usize = 8 + 3 * VARINT_BYTES_MAX;

const PLAIN: u8 = 0;
const RUNS: u8 = 1;

/// The most bytes that `count` rows can take, with the room that [`encode`] needs to work in.
pub(crate) fn bytes_max(count: usize) -> usize {
    count * ROW_BYTES_MAX + SLACK_BYTES
}

/// The same for a value column alone.
pub(crate) fn values_bytes_max(count: usize) -> usize {
    count * 9 + SLACK_BYTES
}

/// Writes the body for equally long, non-empty columns of at most [`ROWS_MAX`] rows; returns its length.
///
/// `body` has at least [`bytes_max`] bytes; what it holds does not matter, so it need not be cleared between records.
pub(crate) fn encode(body: &mut [u8], refs: &[SeriesRef], timestamps_ms: &[i64], values: &[f64]) -> usize {
    let mut at = varint::write(body, 0, refs.len() as u64);
    at = encode_column(body, at, refs, |series| series.0 as i64);
    at = encode_column(body, at, timestamps_ms, |timestamp_ms| *timestamp_ms);
    encode_values(body, at, values)
}

pub(crate) fn encode_column<T>(body: &mut [u8], mut at: usize, rows: &[T], number: impl Fn(&T) -> i64) -> usize {
    let mut last_delta = number(&rows[0]);
    let mut pair_count = 1;
    for pair in rows.windows(2) {
        let delta = number(&pair[1]).wrapping_sub(number(&pair[0]));
        pair_count += usize::from(delta != last_delta);
        last_delta = delta;
    }
    if pair_count * 2 > rows.len() {
        body[at] = PLAIN;
        at += 1;
        let mut last = 0i64;
        for row in rows {
            at = varint::write(body, at, zigzag(number(row).wrapping_sub(last)));
            last = number(row);
        }
        return at;
    }
    body[at] = RUNS;
    at += 1;
    let (mut delta, mut run) = (number(&rows[0]), 1);
    for pair in rows.windows(2) {
        let next = number(&pair[1]).wrapping_sub(number(&pair[0]));
        if next == delta {
            run += 1;
            continue;
        }
        at = varint::write(body, at, zigzag(delta));
        at = varint::write(body, at, run);
        (delta, run) = (next, 1);
    }
    at = varint::write(body, at, zigzag(delta));
    varint::write(body, at, run)
}

pub(crate) fn encode_values(body: &mut [u8], at: usize, values: &[f64]) -> usize {
    let (tags, kept) = body[at..].split_at_mut(values.len().div_ceil(2));
    let mut end = 0;
    for (tag, pair) in tags.iter_mut().zip(values.chunks(2)) {
        let mut nibbles = 0;
        for (i, value) in pair.iter().enumerate() {
            let bits = value.to_bits();
            // 64 zeros count as 8 bytes to drop; the shift by 64 is the one case apart.
            let dropped = bits.trailing_zeros() / 8;
            let high = bits.checked_shr(dropped * 8).unwrap_or(0);
            kept[end..end + 8].copy_from_slice(&high.to_le_bytes());
            end += 8 - dropped as usize;
            nibbles |= (8 - dropped as u8) << (4 * i);
        }
        *tag = nibbles;
    }
    at + tags.len() + end
}

/// Decoded columns; reused from record to record.
#[derive(Default)]
pub(crate) struct Columns {
    pub(crate) refs: Vec<SeriesRef>,
    pub(crate) timestamps_ms: Vec<i64>,
    pub(crate) values: Vec<f64>,
}

impl Columns {
    /// Replaces the columns by those of `body`; `None`, with columns in any state, if it is not a whole body.
    pub(crate) fn decode(&mut self, body: &[u8]) -> Option<()> {
        self.refs.clear();
        self.timestamps_ms.clear();
        self.values.clear();
        let mut at = 0;
        let count = varint::read(body, &mut at).ok().filter(|n| (1..=ROWS_MAX as u64).contains(n))? as usize;
        decode_column(body, &mut at, count, |number| self.refs.push(SeriesRef(number as u64)))?;
        decode_column(body, &mut at, count, |number| self.timestamps_ms.push(number))?;
        decode_values(&body[at..], count, &mut self.values)
    }
}

pub(crate) fn decode_column(body: &[u8], at: &mut usize, count: usize, mut push: impl FnMut(i64)) -> Option<()> {
    let mode = *body.get(*at)?;
    *at += 1;
    let mut last = 0i64;
    let mut left = count;
    while left > 0 {
        let delta = unzigzag(varint::read(body, at).ok()?);
        let run = match mode {
            PLAIN => 1,
            RUNS => varint::read(body, at).ok().filter(|run| (1..=left as u64).contains(run))? as usize,
            _ => return None,
        };
        for _ in 0..run {
            last = last.wrapping_add(delta);
            push(last);
        }
        left -= run;
    }
    Some(())
}

fn decode_values(body: &[u8], count: usize, values: &mut Vec<f64>) -> Option<()> {
    decode_values_front(body, count, values)?.is_empty().then_some(())
}

/// The bytes behind the values; `None` if they cannot be right.
pub(crate) fn decode_values_front<'a>(body: &'a [u8], count: usize, values: &mut Vec<f64>) -> Option<&'a [u8]> {
    let (tags, mut kept) = body.split_at_checked(count.div_ceil(2))?;
    for row in 0..count {
        let bytes = usize::from(tags[row / 2] >> (4 * (row % 2)) & 15);
        if bytes > 8 {
            return None;
        }
        let (high, rest) = kept.split_at_checked(bytes)?;
        let mut le = [0; 8];
        if kept.len() >= 8 {
            // The common case copies a whole word; what it takes too much of is shifted out below.
            le.copy_from_slice(&kept[..8]);
        } else {
            le[..bytes].copy_from_slice(high);
        }
        let word = u64::from_le_bytes(le);
        values.push(f64::from_bits(word.checked_shl(64 - 8 * bytes as u32).unwrap_or(0)));
        kept = rest;
    }
    let unused_nibble = if count % 2 == 1 { tags[count / 2] >> 4 } else { 0 };
    (unused_nibble == 0).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rows = (Vec<SeriesRef>, Vec<i64>, Vec<f64>);

    #[track_caller]
    fn check((refs, timestamps_ms, values): &Rows, bytes_expected_max: usize) {
        let mut body = vec![0xaa; bytes_max(refs.len())];
        let bytes = encode(&mut body, refs, timestamps_ms, values);
        let body = &body[..bytes];
        assert!(body.len() <= bytes_expected_max, "{} bytes", body.len());
        let mut columns = Columns::default();
        columns.decode(body).unwrap();
        assert_eq!((&columns.refs, &columns.timestamps_ms), (refs, timestamps_ms));
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&columns.values), bits(values));
        for cut in 0..body.len() {
            assert!(columns.decode(&body[..cut]).is_none(), "cut at {cut}");
        }
        let mut longer = body.to_vec();
        longer.push(0);
        assert!(columns.decode(&longer).is_none(), "a byte too many");
    }

    fn mix(x: u64) -> u64 {
        (x ^ (x >> 31)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn a_scrape_costs_no_more_than_its_values() {
        let n = 1000;
        let refs: Vec<_> = (1..=n).map(SeriesRef).collect();
        let random = (0..n).map(|i| f64::from_bits(mix(mix(i)))).collect();
        check(&(refs.clone(), vec![1_700_000_000_000; n as usize], random), 8_520);
        let integers = (0..n).map(|i| i as f64).collect();
        check(&(refs, vec![1_700_000_000_000; n as usize], integers), 3_500);
    }

    #[test]
    fn extremes_survive() {
        let refs = vec![SeriesRef(u64::MAX), SeriesRef(0), SeriesRef(1 << 63)];
        let values = vec![f64::from_bits(0x7ff0_0000_0000_0002), -0.0, f64::from_bits(1)];
        check(&(refs, vec![i64::MIN, i64::MAX, 0], values), 100);
        check(&(vec![SeriesRef(1)], vec![-1], vec![0.0]), 8);
        let n = ROWS_MAX as u64;
        let refs: Vec<_> = (0..n).map(|i| SeriesRef(mix(i))).collect();
        let times: Vec<_> = (0..n).map(|i| mix(i + 7) as i64).collect();
        let mut body = vec![0; bytes_max(ROWS_MAX)];
        let bytes = encode(&mut body, &refs, &times, &vec![f64::from_bits(u64::MAX); ROWS_MAX]);
        Columns::default().decode(&body[..bytes]).unwrap();
    }

    #[test]
    fn nonsense_is_refused_without_allocation() {
        let mut columns = Columns::default();
        for body in
            [&[0u8][..], &[0x81, 0x20], &[1, 2, 0], &[2, RUNS, 2, 3], &[1, 0, 2, 0, 2, 9], &[1, 0, 2, 0, 2, 0x10]]
        {
            assert!(columns.decode(body).is_none(), "{body:?}");
        }
    }
}
