//! XOR chunks through the public API: round trips, growth, damage, golden bytes.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use mytsdb_codec::{CodecError, XorAppender, XorChunk, decode};
use mytsdb_model::{STALE_NAN_BITS, TimeRange};
use proptest::prelude::*;

fn encode(samples: &[(i64, u64)]) -> Box<[u8]> {
    let mut chunk = XorAppender::new();
    for &(time, value) in samples {
        chunk.push(time, f64::from_bits(value)).unwrap();
    }
    chunk.finish()
}

fn decoded(bytes: &[u8]) -> Result<Vec<(i64, u64)>, CodecError> {
    let (mut times, mut values) = (vec![7], vec![7.0]);
    let result = decode(bytes, &mut times, &mut values);
    assert_eq!(times.len(), values.len());
    assert_eq!((times[0], values[0]), (7, 7.0), "what was there before stays");
    if result.is_err() {
        assert_eq!(times.len(), 1, "an error leaves the columns as they were");
    }
    result.map(|()| times.into_iter().zip(values).skip(1).map(|(t, v)| (t, v.to_bits())).collect())
}

/// Times that ascend strictly, in steps of every size class; values from constant to arbitrary bits.
fn samples() -> impl Strategy<Value = Vec<(i64, u64)>> {
    let step = prop_oneof![
        4 => Just(15_000u64),
        2 => 14_990u64..15_010,
        1 => 1u64..20_000,
        1 => 1u64..200_000,
        1 => 1u64..2_000_000,
        1 => 1u64..=u64::MAX >> 1,
    ];
    let value = prop_oneof![
        3 => Just(1.0f64.to_bits()),
        3 => (0u32..1000).prop_map(|v| f64::from(v).to_bits()),
        2 => (0u32..100_000).prop_map(|v| (f64::from(v) / 100.0).to_bits()),
        1 => any::<u64>(),
        1 => prop::sample::select(vec![STALE_NAN_BITS, 0, 1 << 63, 1, u64::MAX, f64::INFINITY.to_bits(), 0x7ff8_0000_dead_beef]),
    ];
    let start = prop_oneof![Just(1_700_000_000_000i64), any::<i64>(), Just(i64::MIN)];
    (start, prop::collection::vec((step, value), 0..300)).prop_map(|(mut time, steps)| {
        let mut out = Vec::new();
        for (step, value) in steps {
            out.push((time, value));
            match time.checked_add_unsigned(step) {
                Some(next) => time = next,
                None => break,
            }
        }
        out
    })
}

proptest! {
    #[test]
    fn samples_come_back_bit_for_bit(samples in samples()) {
        let bytes = encode(&samples);
        prop_assert_eq!(decoded(&bytes).unwrap(), samples.clone());
        let chunk = XorChunk::new(&bytes).unwrap();
        prop_assert_eq!(chunk.sample_count(), samples.len());
        prop_assert_eq!(chunk.first_timestamp_ms(), samples.first().map(|s| s.0));
    }

    #[test]
    fn a_resumed_chunk_continues_as_if_never_left(samples in samples(), cut in 0usize..300) {
        let cut = cut.min(samples.len());
        let mut chunk = XorAppender::resume(encode(&samples[..cut]).into_vec()).unwrap();
        prop_assert_eq!(chunk.sample_count(), cut);
        for &(time, value) in &samples[cut..] {
            chunk.push(time, f64::from_bits(value)).unwrap();
        }
        if let (Some(first), Some(last)) = (samples.first(), samples.last()) {
            prop_assert_eq!(chunk.time_range(), TimeRange::new(first.0, last.0));
        }
        prop_assert_eq!(chunk.finish(), encode(&samples));
    }

    #[test]
    fn a_cut_at_any_byte_is_an_error(samples in samples()) {
        let bytes = encode(&samples);
        for cut in 0..bytes.len() {
            prop_assert!(decoded(&bytes[..cut]).is_err(), "cut at {} of {}", cut, bytes.len());
        }
    }

    #[test]
    fn a_flipped_bit_never_panics(samples in samples()) {
        let mut bytes = encode(&samples).into_vec();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(samples) = decoded(&bytes) {
                prop_assert!(samples.is_sorted_by(|a, b| a.0 < b.0));
            }
            let _resumable: bool = XorAppender::resume(bytes.clone()).is_ok();
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let read = decoded(&bytes);
        let resumed = XorAppender::resume(bytes.clone());
        prop_assert_eq!(read.is_ok(), resumed.is_ok());
        if let (Ok(read), Ok(mut resumed)) = (read, resumed) {
            prop_assert_eq!(decoded(resumed.bytes()).unwrap(), read.clone());
            if read.last().is_none_or(|last| last.0 < i64::MAX) {
                resumed.push(i64::MAX, 0.25).unwrap();
                prop_assert_eq!(decoded(resumed.bytes()).unwrap().len(), read.len() + 1);
            }
        }
    }
}

#[test]
fn golden_bytes_match_the_format_page() {
    // 1: time 1 = varint 02; value 1.0 = 3ff0000000000000
    // 2: delta 1 = 01; value 1.0 again = 0
    // 3: dod 0 = 0; 1.0^2.0 = 7ff0.. = 11 00001 001011 11111111111
    // 4: dod 5 = 10 00000000000101; value again = 0
    // 0 0 11 00001 001011 11111111111 10 00000000000101 0 = 30 97 ff e0 01 40
    let one_two = [(1, 1.0f64.to_bits()), (2, 1.0f64.to_bits()), (3, 2.0f64.to_bits()), (9, 2.0f64.to_bits())];
    let golden = [0, 4, 2, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0, 1, 0x30, 0x97, 0xff, 0xe0, 0x01, 0x40];
    assert_eq!(*encode(&one_two), golden);
    assert_eq!(decoded(&golden).unwrap(), one_two);
}

#[test]
fn differences_of_deltas_take_the_smallest_class_that_holds_them() {
    // Three samples with constant values: 2 + 1 + 8 + delta bytes, then 1 bit, the dod, 1 bit.
    let check = |dod: i64, bits: usize| {
        let samples = [(0, 0), (1_000_000, 0), (2_000_000 + dod, 0)];
        let bytes = encode(&samples);
        assert_eq!(bytes.len(), 2 + 1 + 8 + 3 + (2 + bits).div_ceil(8), "dod {dod}");
        assert_eq!(decoded(&bytes).unwrap(), samples);
    };
    check(0, 1);
    for (edge, bits, wider) in [(8_192, 16, 20), (65_536, 20, 24), (524_288, 24, 68)] {
        check(edge, bits);
        check(edge + 1, wider);
        check(-(edge - 1), bits);
        check(-edge, wider);
    }
}

#[test]
fn the_extremes_of_time_round_trip() {
    let samples = [(i64::MIN, 1), (i64::MIN + 1, 2), (-1, 3), (0, 4), (i64::MAX - 1, 5), (i64::MAX, 6)];
    assert_eq!(decoded(&encode(&samples)).unwrap(), samples);
    let jump = [(i64::MIN, 1), (i64::MAX, 2)];
    assert_eq!(decoded(&encode(&jump)).unwrap(), jump);
}

#[test]
fn every_prefix_is_readable_while_the_chunk_grows() {
    let mut chunk = XorAppender::new();
    assert_eq!(decoded(chunk.bytes()).unwrap(), []);
    assert!(chunk.time_range().is_empty());
    let mut expected = Vec::new();
    for i in 0..500i64 {
        let value = (i as f64).sqrt();
        chunk.push(i * 15_000 + i % 7, value).unwrap();
        expected.push((i * 15_000 + i % 7, value.to_bits()));
        assert_eq!(decoded(chunk.bytes()).unwrap(), expected);
        assert_eq!(chunk.last_value(), value);
    }
}

#[test]
fn a_sample_that_is_not_later_is_refused_and_changes_nothing() {
    let mut chunk = XorAppender::new();
    chunk.push(5, 1.0).unwrap();
    let before = chunk.bytes().to_vec();
    assert_eq!(chunk.push(5, 2.0), Err(CodecError::OutOfOrder { timestamp_ms: 5, last_ms: 5 }));
    assert_eq!(chunk.push(4, 2.0), Err(CodecError::OutOfOrder { timestamp_ms: 4, last_ms: 5 }));
    assert_eq!(chunk.bytes(), before);
}

#[test]
fn a_full_chunk_refuses_the_next_sample() {
    let mut chunk = XorAppender::new();
    for i in 0..XorAppender::SAMPLE_COUNT_MAX as i64 {
        chunk.push(i, 0.0).unwrap();
    }
    assert!(matches!(chunk.push(i64::MAX, 0.0), Err(CodecError::Full { count: 65_535 })));
    assert_eq!(decoded(chunk.bytes()).unwrap().len(), XorAppender::SAMPLE_COUNT_MAX);
}

#[test]
fn an_announced_count_beyond_the_bytes_is_refused() {
    let mut bytes = encode(&[(0, 0), (1, 0), (2, 0)]).into_vec();
    bytes[..2].copy_from_slice(&[0xff, 0xff]);
    assert!(matches!(XorChunk::new(&bytes), Err(CodecError::Truncated { .. })));
}

#[test]
fn one_empty_byte_behind_the_samples_is_accepted_and_two_are_not() {
    let samples = [(0, 0), (1, 0), (2, 0)];
    let mut bytes = encode(&samples).into_vec();
    bytes.push(0);
    assert_eq!(decoded(&bytes).unwrap(), samples);
    let mut resumed = XorAppender::resume(bytes.clone()).unwrap();
    resumed.push(3, 1.0).unwrap();
    assert_eq!(decoded(resumed.bytes()).unwrap().len(), 4);
    bytes.push(0);
    assert!(decoded(&bytes).is_err());
}
