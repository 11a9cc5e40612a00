//! DX chunks through the public API: round trips, damage, refusals, golden bytes.
//!
//! `MYTSDB_SEED` sets the seed of the random tests, `MYTSDB_DX_VALUES` how many values come and go.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use mytsdb_codec::{ChunkEncoding, CodecError, DX_SAMPLES_MAX, DxChunk, DxEncoder, DxStartsEncoder, dx_kernel};
use mytsdb_columns::Columns;
use mytsdb_model::STALE_NAN_BITS;
use mytsdb_testkit::{Random, seed, setting};

const SPECIAL_BITS: [u64; 14] = [
    STALE_NAN_BITS,
    0x7ff8_0000_0000_0000,
    0x7ff0_0000_0000_0001,
    0xfff8_dead_beef_0001,
    0,
    1 << 63,
    1,
    (1 << 63) | 1,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x7fef_ffff_ffff_ffff,
    0x4340_0000_0000_0000,
    0x43e0_0000_0000_0000,
    0xc3e0_0000_0000_0000,
];

/// Values of one of many natures, some of them mixed with another.
fn values(random: &mut Random, count: usize) -> Vec<f64> {
    let nature = random.below(20);
    let rare = [2, 5, 50, 1_000][random.below(4) as usize];
    let power = 10f64.powi(random.below(20) as i32);
    let mut walk = random.below(1 << 40) as i64;
    (0..count)
        .map(|_| {
            let bits = random.bits();
            let special = f64::from_bits(SPECIAL_BITS[random.below(SPECIAL_BITS.len() as u64) as usize]);
            walk = walk.wrapping_add(random.below(201) as i64 - 100);
            match nature {
                0 => f64::from_bits(bits),
                1 | 18 => special,
                2 => walk as f64,
                3 => walk as f64 / power,
                4 if random.below(rare) == 0 => f64::from_bits(bits),
                5 if random.below(rare) == 0 => special,
                6 if random.below(rare) == 0 => f64::from_bits(STALE_NAN_BITS),
                4..=6 => walk as f64 / 100.0,
                7 => (bits >> 11) as f64 / (1u64 << 53) as f64,
                8 => ((1i64 << 53) + (bits % 5) as i64 - 2) as f64,
                9 => (bits as i64) as f64,
                10 => f64::from_bits(bits >> 12),
                11 if random.below(rare) == 0 => walk as f64,
                12 if random.below(rare) == 0 => (bits >> 20) as f64 / 1e4,
                11 | 12 => 7.25,
                13 => (bits % 10_000) as f64 / 100.0,
                14 => ((bits % 10_000) as f64 / 100.0) + 0.1,
                15 => walk as f64 * 1e15,
                16 => -(bits as f64 % 1e9) / power,
                17 => f64::from_bits(0x4059_0000_0000_0000 + bits % 1_000),
                _ => f64::from(bits as u32) / 3.0,
            }
        })
        .collect()
}

/// Times that ascend strictly, in steps of every size, between any extremes.
fn times(random: &mut Random, count: usize) -> Vec<i64> {
    let mut ascending: Vec<i64> = match random.below(8) {
        0 => (0..count).map(|_| random.bits() as i64).collect(),
        1 => (0..count as i64).map(|i| i64::MIN + i).collect(),
        2 => (0..count as i64).map(|i| i64::MAX - i).collect(),
        nature => {
            let mut time = random.below(1 << 41) as i64;
            let (jitter, gaps) = (1 + random.below(40), 2 + random.below(200));
            (0..count as i64)
                .map(|_| {
                    let gap = if nature > 4 && random.below(gaps) == 0 { 60_000 } else { 0 };
                    time += 15_000 + gap;
                    time + if nature > 3 { random.below(jitter) as i64 } else { 0 }
                })
                .collect()
        }
    };
    if random.below(10) == 0 {
        ascending[0] = i64::MIN;
        ascending[count - 1] = i64::MAX;
    }
    ascending.sort_unstable();
    ascending.dedup();
    ascending
}

fn encode(times: &[i64], values: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    DxEncoder::default().encode(times, values, &mut bytes).unwrap();
    bytes
}

/// Both columns; checks that a refusal leaves what was there and that a success appends as many as announced.
fn decoded(bytes: &[u8]) -> Result<(Vec<i64>, Vec<u64>), CodecError> {
    let chunk = DxChunk::parse(bytes)?;
    assert!((1..=DX_SAMPLES_MAX).contains(&chunk.sample_count()));
    let (mut times, mut values) = (vec![7], vec![7.0]);
    let (read_times, read_values) = (chunk.decode_times(&mut times), chunk.decode_values(&mut values));
    assert_eq!(times.len(), 1 + if read_times.is_ok() { chunk.sample_count() } else { 0 });
    assert_eq!(values.len(), 1 + if read_values.is_ok() { chunk.sample_count() } else { 0 });
    assert_eq!((times[0], values[0]), (7, 7.0), "what was there before stays");
    assert!(times[1..].is_sorted_by(|a, b| a < b));
    read_times?;
    read_values?;
    Ok((times.split_off(1), values[1..].iter().map(|value| value.to_bits()).collect()))
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn millions_of_samples_come_back_bit_for_bit() {
    let wanted = setting("MYTSDB_DX_VALUES", 3_000_000) as usize;
    let mut random = Random::new(seed(0x5eed));
    println!("kernel {}", dx_kernel());
    let mut encoder = DxEncoder::default();
    let (mut done, mut bytes) = (0, Vec::new());
    while done < wanted {
        let seed = random.state();
        let count = if random.below(3) == 0 { 1 + random.below(20) } else { 1 + random.below(1_100) };
        let times = times(&mut random, count as usize);
        let values = values(&mut random, times.len());
        bytes.clear();
        encoder.encode(&times, &values, &mut bytes).unwrap();
        let (read_times, read_values) = decoded(&bytes).unwrap();
        assert!(read_times == times, "times, MYTSDB_SEED={seed}");
        assert!(read_values == bits(&values), "values, MYTSDB_SEED={seed}");
        let worst = times.len() * 17 + times.len().div_ceil(128) * 60 + 64;
        assert!(bytes.len() <= worst, "{} bytes for {} samples, MYTSDB_SEED={seed}", bytes.len(), times.len());
        done += times.len();
    }
}

#[test]
fn damaged_chunks_are_refused_or_read_as_announced() {
    let mut random = Random::new(seed(0x5eed));
    let mut refused = 0;
    for round in 0..300_000 {
        let count = 1 + random.below([3, 40, 300][round % 3]) as usize;
        let times = times(&mut random, count);
        let values = values(&mut random, times.len());
        let mut bytes = encode(&times, &values);
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len() as u64) as usize;
            // The fronts of the columns matter most.
            let at = if random.below(2) == 0 { at.min(random.below(24) as usize) } else { at };
            match random.below(4) {
                0 => bytes[at] = random.bits() as u8,
                1 => bytes[at] ^= 1 << random.below(8),
                2 => bytes[at] = [0, 0xff, 0x80, 0x7f][random.below(4) as usize],
                _ => bytes.truncate(at.max(1)),
            }
        }
        refused += usize::from(decoded(&bytes).is_err());
    }
    assert!(refused > 100_000, "{refused}");
}

#[test]
fn random_bytes_never_panic() {
    let mut random = Random::new(seed(0x5eed));
    for _ in 0..200_000 {
        let len = random.below(60);
        let mut bytes: Vec<u8> = (0..len).map(|_| random.bits() as u8).collect();
        // A plausible front, or hardly any would reach the blocks.
        for (byte, bound) in bytes.iter_mut().zip([12, 200, 6, 128, 4]) {
            *byte %= bound;
        }
        let _refused: bool = decoded(&bytes).is_err();
    }
}

#[test]
fn a_chunk_cut_anywhere_is_refused() {
    let times: Vec<i64> = (0..300).map(|i| i * 15_000 + i % 7).collect();
    for kind in 0..4u64 {
        let values: Vec<f64> = (0..300u64)
            .map(|i| match kind {
                0 => (i * i % 1_000) as f64,
                1 => f64::from_bits(i.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                2 if i % 10 == 0 => f64::NAN,
                3 if i % 10 == 0 => f64::from_bits(STALE_NAN_BITS),
                _ => i as f64 / 4.0,
            })
            .collect();
        let bytes = encode(&times, &values);
        assert_eq!(decoded(&bytes).unwrap(), (times.clone(), bits(&values)));
        for cut in 0..bytes.len() {
            assert!(decoded(&bytes[..cut]).is_err(), "kind {kind}, cut at {cut} of {}", bytes.len());
        }
        let longer = [bytes, vec![0]].concat();
        assert!(decoded(&longer).is_err(), "kind {kind}");
    }
}

#[test]
fn equal_time_columns_are_equal_times() {
    let times: Vec<i64> = (0..240).map(|i| i * 15_000).collect();
    let (a, b) = (encode(&times, &[1.5; 240]), encode(&times, &[f64::NAN; 240]));
    let shorter = encode(&times[..239], &[1.5; 239]);
    let column = |bytes| DxChunk::parse(bytes).unwrap().time_column();
    assert_eq!(column(&a), column(&b));
    assert_ne!(column(&a), column(&shorter), "the count is part of the column");
}

#[test]
fn columns_that_make_no_chunk_are_refused_and_change_nothing() {
    let mut out = vec![1, 2, 3];
    let mut encoder = DxEncoder::default();
    let long: Vec<i64> = (0..=DX_SAMPLES_MAX as i64).collect();
    for (times, values) in [(&long[..0], 0), (&long[..3], 2), (&long[..], DX_SAMPLES_MAX + 1)] {
        let refused = encoder.encode(times, &vec![0.0; values], &mut out);
        assert_eq!(refused, Err(CodecError::Columns { timestamps: times.len(), values }));
    }
    let refused = encoder.encode(&[1, 5, 5], &[0.0; 3], &mut out);
    assert_eq!(refused, Err(CodecError::OutOfOrder { timestamp_ms: 5, last_ms: 5 }));
    assert_eq!(out, [1, 2, 3]);
    encoder.encode(&long[1..], &vec![0.5; DX_SAMPLES_MAX], &mut out).unwrap();
    assert_eq!(DxChunk::parse(&out[3..]).unwrap().sample_count(), DX_SAMPLES_MAX);
    assert_eq!(decoded(&out[3..]).unwrap().0, long[1..]);
}

#[test]
fn usual_columns_take_few_bytes() {
    let mut random = Random::new(1);
    let times: Vec<i64> = (0..120).map(|i| 1_700_000_000_000 + i * 15_000).collect();
    let mut check = |bytes_max: usize, value: &mut dyn FnMut(u64) -> f64| {
        let values: Vec<f64> = (0..120).map(|_| value(random.bits() >> 3)).collect();
        let bytes = encode(&times, &values);
        assert!(bytes.len() <= bytes_max, "{} bytes, not {bytes_max}", bytes.len());
    };
    let (mut counter, mut gauge, mut bucket) = (1e6, 5_000i64, 0u64);
    check(16, &mut |_| 42.0);
    check(142, &mut |r| {
        counter += (r % 200) as f64;
        counter
    });
    check(230, &mut |r| (r % 10_000) as f64 / 100.0);
    check(128, &mut |r| {
        gauge += (r % 101) as i64 - 50;
        gauge as f64 / 100.0
    });
    check(50, &mut |r| {
        bucket += u64::from(r.is_multiple_of(20));
        bucket as f64
    });
}

/// A column of two integers 0 and 1 as times, then the value column given.
fn with_values(column: &[u8]) -> Vec<u8> {
    [&[4, 1, 5, 0, 2], column].concat()
}

#[track_caller]
fn refuses(column: &[u8], reason: &str) {
    let error = decoded(&with_values(column)).unwrap_err().to_string();
    assert!(error.contains(reason), "{error:?}, not {reason:?}");
}

#[test]
fn what_the_format_page_forbids_is_refused() {
    assert_eq!(decoded(&with_values(&[1, 0, 4, 0, 0x21])).unwrap(), (vec![0, 1], bits(&[0.1, 0.2])));
    refuses(&[], "kind");
    refuses(&[18, 4, 0], "unknown kind");
    refuses(&[98, 4, 0], "unknown kind");
    refuses(&[0, 6, 0], "unknown mode");
    refuses(&[0, 4, 0, 0], "behind a column");
    refuses(&[97, 0, 0, 0, 0, 0, 0, 0], "cut short: constant");
    refuses(&[97, 0, 0, 0, 0, 0, 0, 0, 0, 0], "behind a column");
    refuses(&[0, 0, 58, 0], "bit width");
    refuses(&[0, 0, 65, 0], "bit width");
    refuses(&[0, 0, 4, 4, 0], "block flag");
    refuses(&[0, 0, 3, 0, 0x40], "bits behind the last");
    refuses(&[0, 0, 0x84, 0, 4, 0], "bitmap bits");
    refuses(&[0, 0, 4, 2, 0x21, 0], "number of patches");
    refuses(&[0, 0, 4, 2, 0x21, 3, 0, 1, 1, 1, 2, 1], "number of patches");
    refuses(&[0, 0, 4, 2, 0x21, 1, 2, 1], "patch position");
    refuses(&[0, 0, 4, 2, 0x21, 2, 1, 1, 1, 1], "patch position");
    refuses(&[&[0, 0, 64, 2][..], &[0; 16], &[1, 0, 1]].concat(), "number of patches");
    refuses(&[0, 0, 4, 0, 0x21, 0], "behind a column");
    refuses(&[0, 0, 4], "cut short");
    refuses(&[64, 0, 4, 0], "no exceptions");
    refuses(&[64, 3, 0, 0, 0, 4, 0], "count beyond");
    refuses(&[64, 1, 2, 4, 0], "behind the last sample");
    refuses(&[32, 1, 0, 4, 0], "cut short");
    refuses(&[&[0, 4][..], &[0xff; 9], &[2]].concat(), "varint");
}

#[test]
fn times_that_do_not_ascend_are_refused() {
    let check = |column: &[u8], is_legal: bool| {
        let bytes = [&[column.len() as u8][..], column, &[0, 4, 0]].concat();
        let mut times = Vec::new();
        let read = DxChunk::parse(&bytes).unwrap().decode_times(&mut times);
        assert_eq!(read.is_ok(), is_legal, "{column:?}: {times:?}");
        assert_eq!(times.is_empty(), !is_legal);
    };
    let max = [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    check(&[1, 5, 0, 2], true);
    check(&[0, 4, 0], true);
    check(&[1, 4, 0], false);
    check(&[1, 5, 0, 0], false);
    check(&[1, 5, 0, 1], false);
    check(&[&[0, 5][..], &max, &[2]].concat(), true);
    check(&[&[1, 5][..], &max, &[2]].concat(), false);
    check(&[1, 0, 4, 0, 0x21], true);
    check(&[1, 0, 4, 0, 0x12], false);
    check(&[1, 0, 4, 0, 0x11], false);
    check(&[&[1, 1][..], &max, &[4, 0, 0x11]].concat(), true);
    check(&[&[2, 1][..], &max, &[4, 0, 0x11, 1]].concat(), true);
    check(&[&[2, 1][..], &max, &[4, 0, 0x10, 1]].concat(), false);
}

#[test]
fn a_count_beyond_the_limit_or_the_bytes_is_refused() {
    assert!(DxChunk::parse(&[6, 0xff, 0xff, 3, 5, 0, 2, 0, 4, 0]).is_ok());
    assert!(matches!(DxChunk::parse(&[6, 0x80, 0x80, 4, 5, 0, 2, 0, 4, 0]), Err(CodecError::Damaged { .. })));
    let blocks = [6, 0xff, 0xff, 3, 0, 0, 0, 0, 4, 0];
    assert!(matches!(DxChunk::parse(&blocks), Err(CodecError::Truncated { field: "blocks", .. })));
}

#[test]
fn golden_bytes_stay_as_they_were_released() {
    let mut random = Random::new(42);
    let regular: Vec<i64> = (0..300).map(|i| 1_700_000_000_000 + i * 15_000).collect();
    let late: Vec<i64> = regular.iter().map(|time| time + random.below(11) as i64 - 5).collect();
    let mut column =
        |value: &dyn Fn(u64, u64) -> f64| -> Vec<f64> { (0..300).map(|i| value(i, random.bits() >> 3)).collect() };
    let stale = f64::from_bits(STALE_NAN_BITS);
    let check = |name: &str, golden: &str, times: &[i64], values: &[f64]| {
        let bytes = encode(times, &values[..times.len()]);
        let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap();
        let hex: String = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
        let golden: String = golden.split_whitespace().collect();
        assert!(hex == golden, "GOLDEN {name} {hex}");
        assert_eq!(decoded(&bytes).unwrap(), (times.to_vec(), bits(&values[..times.len()])));
    };
    macro_rules! golden {
        ($name:literal, $times:expr, $values:expr) => {
            check($name, include_str!(concat!("golden/dx-", $name, ".hex")), $times, $values)
        };
    }
    golden!("example", &[1_000, 16_000, 31_000], &[0.5, 0.75, 1.5]);
    golden!("constant", &regular, &[42.5; 300]);
    golden!("counter", &late, &column(&|i, r| (1_000_000 + i * 100 + r % 90) as f64));
    golden!("gauge", &regular, &column(&|_, r| (r % 10_000) as f64 / 100.0));
    golden!("bucket", &late[..130], &column(&|i, _| (i / 17) as f64));
    golden!(
        "exceptions",
        &regular[..120],
        &column(&|i, r| if i % 20 == 3 { f64::NAN } else { (r % 50) as f64 / 10.0 })
    );
    golden!("stale", &regular[..120], &column(&|i, r| if i % 20 == 3 { stale } else { (r % 50) as f64 }));
    golden!("patches", &late[..120], &column(&|i, r| (r % 8) as f64 - if i % 50 == 9 { 1e9 } else { 0.0 }));
    golden!("ordered", &regular[..20], &column(&|_, r| f64::from_bits(r)));
    golden!("nan", &regular[..20], &[f64::NAN; 20]);
    golden!("extremes", &[i64::MIN, -1, 0, i64::MAX], &[-0.0, f64::MAX, f64::INFINITY, 5e-324]);
}

#[test]
fn a_constant_column_tells_its_value_and_columns_are_read_apart() {
    let times: Vec<i64> = (0..200).map(|i| i * 1_000).collect();
    let nan = f64::from_bits(0x7ff0_0000_0000_0002);
    for (value, count) in [(0.5, 200), (-0.0, 200), (nan, 3), (f64::INFINITY, 130), (1e300, 1), (7.0, 1)] {
        let mut bytes = Vec::new();
        DxEncoder::default().encode(&times[..count], &vec![value; count], &mut bytes).unwrap();
        let chunk = DxChunk::parse(&bytes).unwrap();
        assert_eq!(chunk.same_value().unwrap().map(f64::to_bits), Some(value.to_bits()), "{value}");
        let apart = DxChunk::from_columns(chunk.time_column(), chunk.value_column()).unwrap();
        let (mut read_times, mut read_values) = (Vec::new(), Vec::new());
        apart.decode_times(&mut read_times).unwrap();
        apart.decode_values(&mut read_values).unwrap();
        assert_eq!(read_times, times[..count]);
        assert!(read_values.len() == count && read_values.iter().all(|v| v.to_bits() == value.to_bits()));
    }
    for values in [vec![1.0, 2.0, 3.0], vec![1.0, nan, 1.0], vec![0.1, 0.1, 0.2]] {
        let mut bytes = Vec::new();
        DxEncoder::default().encode(&times[..3], &values, &mut bytes).unwrap();
        assert_eq!(DxChunk::parse(&bytes).unwrap().same_value().unwrap(), None);
    }
}

fn encode_starts(times: &[i64], starts: &[i64], values: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    DxStartsEncoder::default().encode(times, starts, values, &mut bytes).unwrap();
    bytes
}

#[test]
fn start_times_come_back_beside_values_and_cut_or_flipped_bytes_leave_nothing() {
    let seed = seed(1);
    for case in 0..setting("MYTSDB_DX_CASES", 300) {
        let mut random = Random::of_case(seed, case);
        let count = 1 + random.index(300);
        let times: Vec<i64> = (0..count as i64).map(|i| i * 15_000 + random.below(9) as i64).collect();
        let mut start = random.bits() as i64;
        let starts: Vec<i64> = (0..count)
            .map(|_| {
                if random.one_in(50) {
                    start = if random.one_in(3) { 0 } else { random.bits() as i64 };
                }
                start
            })
            .collect();
        let values: Vec<f64> =
            (0..count).map(|_| if random.one_in(9) { f64::from_bits(random.bits()) } else { 7.0 }).collect();
        let bytes = encode_starts(&times, &starts, &values);
        let mut columns = Columns::default();
        columns.push_float(-5, 1.0);
        ChunkEncoding::DxStarts.decode(&bytes, &mut columns).unwrap();
        assert_eq!(columns.timestamps_ms[1..], times, "seed {seed} case {case}");
        assert_eq!((columns.start_timestamps_ms[0], &columns.start_timestamps_ms[1..]), (0, &starts[..]));
        assert_eq!(bits(&columns.values[1..]), bits(&values));
        let front = DxChunk::parse(&bytes).unwrap();
        let mut apart = Columns::default();
        ChunkEncoding::DxStarts.decode_columns(Some(front.time_column()), front.value_column(), &mut apart).unwrap();
        assert_eq!(apart.start_timestamps_ms, starts);
        let cut = random.index(bytes.len());
        let mut flipped = bytes.clone();
        flipped[cut] ^= 1 << random.below(8);
        for bad in [&bytes[..cut], &flipped] {
            let mut columns = Columns::default();
            match ChunkEncoding::DxStarts.decode(bad, &mut columns) {
                Err(_) => assert!(columns.is_empty() && columns.values.is_empty(), "seed {seed} case {case}"),
                Ok(()) => {
                    assert!(bad.len() == bytes.len() && columns.values.len() == columns.start_timestamps_ms.len());
                }
            }
        }
    }
    let mut out = vec![1];
    let refused = DxStartsEncoder::default().encode(&[1, 2], &[0], &[1.0, 2.0], &mut out);
    assert!(matches!(refused, Err(CodecError::Columns { .. })));
    let refused = DxStartsEncoder::default().encode(&[2, 2], &[0, 0], &[1.0, 2.0], &mut out);
    assert!(matches!(refused, Err(CodecError::OutOfOrder { .. })));
    assert_eq!(out, [1]);
}

#[test]
fn the_golden_bytes_of_a_chunk_with_start_times_stay() {
    let times: Vec<i64> = (0..200).map(|i| 1_700_000_000_000 + i * 15_000).collect();
    let starts: Vec<i64> = (0..200).map(|i| if i < 120 { 1_699_999_990_123 } else { 1_700_001_800_042 }).collect();
    let values: Vec<f64> = (0..200u16).map(|i| f64::from(i % 120 * 7)).collect();
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap();
    let bytes = encode_starts(&times, &starts, &values);
    let hex: String = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
    let golden: String = include_str!("golden/dx-starts.hex").split_whitespace().collect();
    assert!(hex == golden, "GOLDEN starts {hex}");
}
