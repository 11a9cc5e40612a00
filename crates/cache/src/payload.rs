//! All samples of a series in a file as one entry of L2: sections with chunks of the project's own codec.
//!
//! ```text
//!  u8 encoding | u32 size | chunk        section after section, docs/format/cache-segment.md
//! ```

use crate::error::CacheError;
use mytsdb_codec::{ChunkEncoding, CodecError, DxEncoder, DxStartsEncoder, HistogramEncoder};
use mytsdb_columns::{Columns, Mark};

/// Floats in a chunk.
const CHUNK_FLOATS: usize = 4_096;

/// Bytes in front of a chunk.
const FRONT_BYTES: usize = 5;

/// Appends the samples of columns, which are in order, as an entry: nothing if there are none.
///
/// # Errors
/// [`CacheError::Codec`], over histograms that no chunk takes; then what was appended has no meaning.
pub fn encode_entry(columns: &Columns, out: &mut Vec<u8>) -> Result<(), CacheError> {
    let (mut floats, mut with_starts) = (DxEncoder::default(), DxStartsEncoder::default());
    let count = columns.timestamps_ms.len();
    for from in (0..count).step_by(CHUNK_FLOATS) {
        let part = from..count.min(from + CHUNK_FLOATS);
        let (times, values) = (&columns.timestamps_ms[part.clone()], &columns.values[part.clone()]);
        let starts = columns.start_timestamps_ms.get(part).unwrap_or_default();
        if starts.iter().any(|&start_ms| start_ms != 0) {
            put_section(ChunkEncoding::DxStarts, out, |out| with_starts.encode(times, starts, values, out))?;
        } else {
            put_section(ChunkEncoding::Dx, out, |out| floats.encode(times, values, out))?;
        }
    }
    let mut encoder = HistogramEncoder::default();
    let mut from = 0;
    while from < columns.histograms.len() {
        let (times, histograms) = (&columns.histogram_timestamps_ms[from..], &columns.histograms[from..]);
        let starts = columns.histogram_start_timestamps_ms.get(from..).unwrap_or_default();
        from += put_section(ChunkEncoding::Histogram, out, |out| encoder.encode(times, starts, histograms, out))?;
    }
    Ok(())
}

fn put_section<T>(
    encoding: ChunkEncoding,
    out: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<T, CodecError>,
) -> Result<T, CacheError> {
    out.push(encoding.number());
    let size_at = out.len();
    out.extend_from_slice(&[0; 4]);
    let done = encode(out)?;
    let size = (out.len() - size_at - 4) as u32;
    out[size_at..size_at + 4].copy_from_slice(&size.to_le_bytes());
    Ok(done)
}

/// Appends the samples of an entry to columns, which are empty; they are in order then. `samples` is how many there must be, which also bounds
/// the memory: no more than one chunk beyond that is decoded.
///
/// # Errors
/// [`CacheError::Damaged`], [`CacheError::Codec`], [`CacheError::Samples`]; what the columns hold has no meaning then.
pub fn decode_entry(bytes: &[u8], samples: u64, out: &mut Columns) -> Result<(), CacheError> {
    let mut rest = bytes;
    let mut histograms_begun = false;
    while !rest.is_empty() {
        let damaged = |reason| CacheError::damaged("section", bytes.len() - rest.len(), reason);
        let (front, behind) = rest.split_at_checked(FRONT_BYTES).ok_or_else(|| damaged("it is cut off"))?;
        let encoding = ChunkEncoding::from_number(front[0])?;
        match encoding {
            ChunkEncoding::Histogram => histograms_begun = true,
            ChunkEncoding::Dx | ChunkEncoding::DxStarts if !histograms_begun => {}
            _ => return Err(damaged("an encoding that has no place here")),
        }
        let size = u32::from_le_bytes([front[1], front[2], front[3], front[4]]) as usize;
        let (chunk, behind) = behind.split_at_checked(size).ok_or_else(|| damaged("its chunk is cut off"))?;
        encoding.decode(chunk, out)?;
        if out.len() as u64 > samples {
            return Err(CacheError::Samples { found: out.len() as u64, expected: samples });
        }
        rest = behind;
    }
    if out.len() as u64 != samples {
        return Err(CacheError::Samples { found: out.len() as u64, expected: samples });
    }
    if !out.is_in_order(Mark::default()) {
        return Err(CacheError::damaged("entry", 0, "its samples are not in order"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};
    use mytsdb_model::stale_nan;
    use mytsdb_testkit::{Random, seed};
    use std::sync::Arc;

    fn random_columns(random: &mut Random) -> Columns {
        let mut columns = Columns::default();
        let kinds = random.below(3);
        let with_starts = random.one_in(2);
        let mut time = random.below(1 << 40) as i64;
        let most = if random.one_in(8) { 10_000 } else { 300 };
        for at in 0..random.below(most) {
            time += 1 + random.below(30_000) as i64;
            let start = if with_starts && at > 20 { time - 7 } else { 0 };
            if kinds == 0 || (kinds == 2 && random.one_in(2)) {
                let any = f64::from_bits(random.bits());
                let value = random.pick(&[any, at as f64, stale_nan(), -0.0, 0.1]);
                columns.push_float_since(time, start, value);
            } else if columns.histograms.len() < 200 {
                let histogram = FloatHistogram {
                    counter_reset_hint: CounterResetHint::Gauge,
                    schema: 2,
                    count: 3.0,
                    sum: random.below(100) as f64 / 8.0,
                    positive_spans: vec![Span { offset: -2, length: 1 + random.below(2) as u32 }],
                    positive_buckets: vec![],
                    ..FloatHistogram::default()
                };
                let length = histogram.positive_spans[0].length as usize;
                let histogram = FloatHistogram { positive_buckets: vec![1.5; length], ..histogram };
                columns.push_histogram_since(time, start, Arc::new(histogram));
            }
        }
        columns
    }

    /// All of columns as bits; start times that are not known are 0.
    fn bits(columns: &Columns) -> (Vec<(i64, i64, u64)>, String) {
        let start = |starts: &[i64], at: usize| starts.get(at).copied().unwrap_or(0);
        let floats = columns.timestamps_ms.iter().zip(&columns.values).enumerate();
        let floats = floats.map(|(at, (t, v))| (*t, start(&columns.start_timestamps_ms, at), v.to_bits())).collect();
        let times = columns.histogram_timestamps_ms.iter().enumerate();
        let starts: Vec<_> = times.map(|(at, t)| (*t, start(&columns.histogram_start_timestamps_ms, at))).collect();
        (floats, format!("{starts:?} {:?}", columns.histograms))
    }

    #[test]
    fn what_is_packed_comes_back_bit_for_bit_and_a_wrong_count_is_refused() {
        let seed = seed(1);
        for case in 0..200 {
            let columns = random_columns(&mut Random::of_case(seed, case));
            let mut bytes = Vec::new();
            encode_entry(&columns, &mut bytes).unwrap();
            let samples = columns.len() as u64;
            let mut read = Columns::default();
            decode_entry(&bytes, samples, &mut read).unwrap();
            assert_eq!(bits(&read), bits(&columns), "seed {seed} case {case}");
            assert!(decode_entry(&bytes, samples + 1, &mut Columns::default()).is_err());
            if samples > 0 {
                assert!(decode_entry(&bytes, samples - 1, &mut Columns::default()).is_err());
                assert!(decode_entry(&bytes[..bytes.len() - 1], samples, &mut Columns::default()).is_err());
            }
        }
    }

    #[test]
    fn sections_out_of_their_order_are_refused() {
        let mut columns = Columns::default();
        columns.push_float(1, 1.0);
        let mut floats = Vec::new();
        encode_entry(&columns, &mut floats).unwrap();
        let mut histograms = Vec::new();
        columns.clear();
        columns.push_histogram(2, Arc::new(FloatHistogram::default()));
        encode_entry(&columns, &mut histograms).unwrap();
        let read = |parts: [&[u8]; 2]| decode_entry(&parts.concat(), 2, &mut Columns::default()).is_ok();
        assert!(read([&floats, &histograms]));
        assert!(!read([&histograms, &floats]));
        assert!(!read([&floats, &floats]), "one time twice");
        let xor = [&[1, 1, 0, 0, 0, 0][..], &floats].concat();
        assert!(decode_entry(&xor, 1, &mut Columns::default()).is_err(), "an encoding that no entry has");
    }
}
