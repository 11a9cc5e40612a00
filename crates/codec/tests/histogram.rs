//! Histogram chunks and single histograms: what goes in comes back bit for bit, damage is refused, bounds hold.
//! It is long because every form that histograms are read in is compared with the others on the same samples.

use mytsdb_codec::{
    ChunkEncoding, CodecError, HISTOGRAM_PARTS_MAX, HISTOGRAM_SAMPLES_MAX, HistogramChunk, HistogramEncoder,
    put_histogram, take_histogram, take_singles,
};
use mytsdb_columns::{Columns, HistogramTable, Mark};
use mytsdb_histogram::{CUSTOM_SCHEMA, CounterResetHint, FloatHistogram, HistogramError, Span};
use mytsdb_model::{TimeRange, stale_nan};
use mytsdb_testkit::{Random, seed, setting};
use std::sync::Arc;

type Bits = (CounterResetHint, i32, [Vec<Span>; 2], [Vec<u64>; 4]);

/// Every field with its bits, so that NaNs and zeros with a sign are told apart.
fn bits(h: &FloatHistogram) -> Bits {
    let of = |floats: &[f64]| floats.iter().map(|f| f.to_bits()).collect::<Vec<_>>();
    let singles = of(&[h.zero_threshold, h.zero_count, h.count, h.sum]);
    let spans = [h.positive_spans.clone(), h.negative_spans.clone()];
    let lists = [of(&h.positive_buckets), of(&h.negative_buckets), of(&h.custom_values), singles];
    (h.counter_reset_hint, h.schema, spans, lists)
}

#[track_caller]
fn assert_same(left: &[Arc<FloatHistogram>], right: &[Arc<FloatHistogram>]) {
    assert_eq!(left.len(), right.len());
    for (number, (a, b)) in left.iter().zip(right).enumerate() {
        assert_eq!(bits(a), bits(b), "histogram {number}");
    }
}

/// Encodes all samples in single form; if that can be done, compares with the chunk that their histograms gave.
fn compare_singles(times: &[i64], starts: &[i64], histograms: &[Arc<FloatHistogram>], chunk: &[u8]) -> bool {
    let singles: Vec<Vec<u8>> = histograms.iter().map(|histogram| single(histogram)).collect();
    let singles: Vec<&[u8]> = singles.iter().map(Vec::as_slice).collect();
    let mut bytes = vec![0xaa];
    let is_done =
        HistogramEncoder::default().encode_singles(times, starts, &singles, &mut bytes).expect("valid samples");
    if is_done {
        assert_eq!(bytes[1..], *chunk);
    }
    assert_eq!(bytes.len() > 1, is_done);
    is_done
}

/// Reads chunks, and single histograms if they are plain enough, into tables, and compares with the samples of the chunks.
fn compare_tables(chunks: &[Vec<u8>], columns: &mut Columns) {
    let singles: Vec<Vec<u8>> = columns.histograms.iter().map(|histogram| single(histogram)).collect();
    let singles: Vec<&[u8]> = singles.iter().map(Vec::as_slice).collect();
    let times = &columns.histogram_timestamps_ms;
    let mut starts = columns.histogram_start_timestamps_ms.clone();
    starts.resize(times.len(), 0);
    let (mut table, mut of_singles) = (HistogramTable::default(), HistogramTable::default());
    for chunk in chunks {
        HistogramChunk::parse(chunk)
            .and_then(|chunk| chunk.decode_table(TimeRange::ALL, &mut table))
            .expect("just encoded");
    }
    let is_read = take_singles(times, &starts, &singles, &mut of_singles).expect("just written");
    compare_ranges(chunks, &table);
    columns.settle_hints(Mark::default());
    for table in [Some(table), is_read.then_some(of_singles)].into_iter().flatten() {
        assert_eq!(
            (table.timestamps_ms(), table.start_timestamps_ms()),
            (&columns.histogram_timestamps_ms[..], &starts[..])
        );
        for (row, histogram) in columns.histograms.iter().enumerate() {
            let read = FloatHistogram { counter_reset_hint: table.settled_hint(row), ..table.histogram(row) };
            assert_eq!(bits(&read), bits(histogram), "row {row}");
        }
        let mut left = table;
        left.drop_stale();
        let kept = columns.histograms.iter().filter(|histogram| !histogram.is_stale());
        assert_eq!(
            left.sums().iter().map(|sum| sum.to_bits()).collect::<Vec<_>>(),
            kept.map(|h| h.sum.to_bits()).collect::<Vec<_>>()
        );
    }
}

/// Reads parts of chunks into tables, and compares with all that they hold.
fn compare_ranges(chunks: &[Vec<u8>], all: &HistogramTable) {
    let times = all.timestamps_ms();
    let places = [0, 1, times.len() / 3, times.len() / 2, times.len().saturating_sub(2), times.len() - 1];
    let pairs = places.iter().flat_map(|&from| places.iter().map(move |&to| (from, to)));
    for (from, to) in pairs.filter(|&(from, to)| from < times.len() && to < times.len()) {
        // Beside the times, too; the end may be before the beginning.
        let range = TimeRange::new(times[from].saturating_sub(1), times[to]);
        let (mut part, mut rows, mut first) = (HistogramTable::default(), Vec::new(), 0);
        for chunk in chunks {
            let chunk = HistogramChunk::parse(chunk).expect("just encoded");
            chunk.decode_table(range, &mut part).expect("just encoded");
            let own = &times[first..first + chunk.sample_count()];
            let end = own.partition_point(|&time| time <= range.maxt);
            // With the one before.
            let begin = own[..end].partition_point(|&time| time < range.mint).saturating_sub(1);
            rows.extend(first + begin..first + end);
            first += own.len();
        }
        assert_eq!(part.timestamps_ms(), rows.iter().map(|&row| times[row]).collect::<Vec<_>>());
        let starts = rows.iter().map(|&row| all.start_timestamps_ms()[row]);
        assert_eq!(part.start_timestamps_ms(), starts.collect::<Vec<_>>());
        let some: Vec<usize> = (0..part.len()).step_by(2).collect();
        for (histogram, &row) in part.histograms(&some).iter().zip(&some) {
            assert_eq!(bits(histogram), bits(&part.histogram(row)));
        }
        for (row, &of_all) in rows.iter().enumerate() {
            assert_eq!(bits(&part.histogram(row)), bits(&all.histogram(of_all)), "row {row} of {range:?}");
            let is_next = row.checked_sub(1).is_some_and(|before| rows[before] + 1 == of_all);
            assert!(!is_next || part.settled_hint(row) == all.settled_hint(of_all), "row {row} of {range:?}");
        }
    }
}

fn single(histogram: &FloatHistogram) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_histogram(histogram, &mut bytes).expect("a valid histogram");
    bytes
}

/// Encodes all samples, as many chunks as it takes, and compares what comes back; returns the chunks.
#[track_caller]
fn round_trip(times: &[i64], starts: &[i64], histograms: &[Arc<FloatHistogram>]) -> Vec<Vec<u8>> {
    let (chunks, mut columns) = round_trip_of_columns(times, starts, histograms);
    compare_tables(&chunks, &mut columns);
    chunks
}

/// The same without tables; also returns what came back.
#[track_caller]
fn round_trip_of_columns(times: &[i64], starts: &[i64], histograms: &[Arc<FloatHistogram>]) -> (Vec<Vec<u8>>, Columns) {
    let mut encoder = HistogramEncoder::default();
    let (mut chunks, mut at, mut columns) = (Vec::new(), 0, Columns::default());
    while at < times.len() {
        let mut bytes = vec![0xaa];
        let starts = starts.get(at..).unwrap_or_default();
        let taken = encoder.encode(&times[at..], starts, &histograms[at..], &mut bytes).expect("valid samples");
        assert!((1..=HISTOGRAM_SAMPLES_MAX).contains(&taken) && bytes[0] == 0xaa);
        let chunk = bytes.split_off(1);
        assert_eq!(HistogramChunk::parse(&chunk).expect("just encoded").sample_count(), taken);
        ChunkEncoding::Histogram.decode(&chunk, &mut columns).expect("just encoded");
        at += taken;
        chunks.push(chunk);
    }
    assert_eq!(columns.histogram_timestamps_ms, times);
    assert_same(&columns.histograms, histograms);
    if compare_singles(times, starts, histograms, &chunks[0]) {
        assert_eq!(chunks.len(), 1);
    }
    let known = starts.iter().any(|&start| start != 0);
    assert_eq!(columns.histogram_start_timestamps_ms, if known { starts } else { &[] });
    (chunks, columns)
}

fn times(count: usize) -> Vec<i64> {
    (0..count as i64).map(|i| 1_700_000_000_000 + 15_000 * i).collect()
}

/// Valid spans, some of no length, and the number of their buckets.
fn spans(random: &mut Random, lowest: i32, buckets_max: u64) -> (Vec<Span>, usize) {
    let (mut spans, mut buckets) = (Vec::new(), 0);
    for number in 0..random.below(4) {
        let offset = if number == 0 { lowest + random.below(40) as i32 } else { random.below(6) as i32 };
        let length = random.below(buckets_max) as u32;
        spans.push(Span { offset, length });
        buckets += length as usize;
    }
    (spans, buckets)
}

fn count(random: &mut Random, kind: u64) -> f64 {
    match kind {
        0 => random.below(1_000) as f64,
        1 => (random.bits() >> (11 + random.below(53))) as f64,
        2 => random.unit() * 1e6,
        _ => random.pick(&[0.0, -0.0, f64::NAN, stale_nan(), f64::INFINITY, 9_007_199_254_740_993.0, 1e300, 0.25, 7.0]),
    }
}

/// A valid histogram that need not make sense.
fn histogram(random: &mut Random) -> FloatHistogram {
    let kind = random.below(4);
    let is_custom = random.one_in(4);
    let (positive_spans, positive) = spans(random, if is_custom { 0 } else { -20 }, 6);
    let (negative_spans, negative) = if is_custom { (Vec::new(), 0) } else { spans(random, -20, 3) };
    let end: i64 = positive_spans.iter().map(|span| i64::from(span.offset) + i64::from(span.length)).sum();
    let bounds = if is_custom { end.max(1) + random.below(3) as i64 } else { 0 };
    FloatHistogram {
        counter_reset_hint: random.pick(&[
            CounterResetHint::Unknown,
            CounterResetHint::CounterReset,
            CounterResetHint::NotCounterReset,
            CounterResetHint::Gauge,
        ]),
        schema: if is_custom { CUSTOM_SCHEMA } else { random.below(13) as i32 - 4 },
        zero_threshold: if is_custom { 0.0 } else { random.pick(&[0.0, -0.0, 2f64.powi(-128), 0.001]) },
        zero_count: if is_custom { 0.0 } else { count(random, kind) },
        count: count(random, kind),
        sum: if random.one_in(3) { f64::from_bits(random.bits()) } else { random.unit() },
        positive_buckets: (0..positive).map(|_| count(random, kind)).collect(),
        negative_buckets: (0..negative).map(|_| count(random, kind)).collect(),
        positive_spans,
        negative_spans,
        custom_values: (0..bounds).map(|i| i as f64 * 0.5 - 1.0).collect(),
    }
}

fn marker() -> FloatHistogram {
    FloatHistogram { sum: stale_nan(), ..FloatHistogram::default() }
}

/// Samples of a series: one histogram that grows, now and then another one, a marker, or a bucket more.
fn series(random: &mut Random) -> Vec<Arc<FloatHistogram>> {
    let mut now = histogram(random);
    (0..=random.below(40))
        .map(|_| {
            match random.below(12) {
                0 => now = histogram(random),
                1 => return Arc::new(marker()),
                2 => now.sum = stale_nan(),
                3 if !now.positive_spans.is_empty() && !now.uses_custom_buckets() => {
                    now.positive_spans.last_mut().expect("not empty").length += 1;
                    now.positive_buckets.push(1.0);
                }
                4 if now.positive_spans.len() > 1 => {
                    let gone = now.positive_spans.pop().expect("not empty").length as usize;
                    now.positive_buckets.truncate(now.positive_buckets.len() - gone);
                }
                _ => {}
            }
            now.counter_reset_hint = CounterResetHint::NotCounterReset;
            for bucket in &mut now.positive_buckets {
                *bucket += random.below(5) as f64;
                now.count += *bucket;
            }
            Arc::new(now.clone())
        })
        .collect()
}

fn series_of_case(seed: u64, case: u64) -> (Vec<i64>, Vec<i64>, Vec<Arc<FloatHistogram>>) {
    let mut random = Random::of_case(seed, case);
    let histograms = series(&mut random);
    let mut time = random.bits() as i64 >> random.below(64);
    let times: Vec<i64> = histograms
        .iter()
        .map(|_| {
            time = time.saturating_add(1 + random.below(20_000) as i64);
            time
        })
        .collect();
    let starts = if random.one_in(2) { times.iter().map(|_| random.below(3) as i64 * 500).collect() } else { vec![] };
    (times, starts, histograms)
}

#[test]
fn any_valid_samples_come_back_bit_for_bit() {
    let seed = seed(1);
    for case in 0..setting("MYTSDB_HISTOGRAM_CASES", 2_000) {
        let (times, starts, histograms) = series_of_case(seed, case);
        if times.is_sorted_by(|a, b| a < b) {
            round_trip(&times, &starts, &histograms);
        }
        for histogram in &histograms {
            let mut bytes = Vec::new();
            put_histogram(histogram, &mut bytes).expect("a valid histogram");
            let mut rest = bytes.as_slice();
            let read = take_histogram(&mut rest).expect("just written");
            assert_eq!((bits(&read), rest.len()), (bits(histogram), 0), "case {case}");
            for cut in 0..bytes.len() {
                assert!(take_histogram(&mut &bytes[..cut]).is_err(), "case {case}, cut to {cut}");
            }
        }
    }
}

/// Whatever these bytes are: no panic, valid histograms, nothing left behind by an error, and they can be encoded again.
fn survives(bytes: &[u8]) -> bool {
    let mut columns = Columns::default();
    columns.push_histogram(i64::MIN, Arc::default());
    let read = ChunkEncoding::Histogram.decode(bytes, &mut columns);
    let table = HistogramChunk::parse(bytes)
        .and_then(|chunk| chunk.decode_table(TimeRange::ALL, &mut HistogramTable::default()));
    // A negative count that belongs to no histogram is refused in tables only.
    let is_strict = table == Err(CodecError::Damaged { reason: "a negative count" });
    assert!(table.is_ok() == read.is_ok() || is_strict, "{table:?}, {read:?}");
    if read.is_err() {
        assert_eq!((columns.len(), columns.histograms.len()), (1, 1));
        return false;
    }
    let (times, histograms) = (&columns.histogram_timestamps_ms[1..], &columns.histograms[1..]);
    assert!(histograms.iter().all(|histogram| histogram.validate().is_ok()));
    let starts = columns.histogram_start_timestamps_ms.get(1..).unwrap_or_default();
    round_trip_of_columns(times, starts, histograms);
    true
}

#[test]
fn chunks_that_are_cut_are_refused_and_flipped_bits_do_no_harm() {
    let seed = seed(2);
    for case in 0..setting("MYTSDB_HISTOGRAM_DAMAGES", 40) {
        let (times, starts, histograms) = series_of_case(seed, case);
        if !times.is_sorted_by(|a, b| a < b) {
            continue;
        }
        for chunk in round_trip(&times, &starts, &histograms) {
            for cut in 0..chunk.len() {
                assert!(!survives(&chunk[..cut]), "case {case}, cut to {cut}");
            }
            assert!(!survives(&[&chunk[..], &[0]].concat()), "case {case}, a byte behind the end");
            let mut damaged = chunk.clone();
            for bit in 0..chunk.len() * 8 {
                damaged[bit / 8] ^= 1 << (bit % 8);
                survives(&damaged);
                damaged[bit / 8] ^= 1 << (bit % 8);
            }
        }
        for histogram in &histograms {
            let mut bytes = Vec::new();
            put_histogram(histogram, &mut bytes).expect("a valid histogram");
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                if let Ok(read) = take_histogram(&mut bytes.as_slice()) {
                    assert_eq!(read.validate(), Ok(()));
                }
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}

fn with_buckets(offset: i32, buckets: Vec<f64>) -> FloatHistogram {
    FloatHistogram {
        schema: 3,
        count: buckets.iter().sum(),
        positive_spans: vec![Span { offset, length: buckets.len() as u32 }],
        positive_buckets: buckets,
        ..FloatHistogram::default()
    }
}

#[test]
fn stale_markers_and_standing_histograms_cost_next_to_nothing() {
    let standing = Arc::new(with_buckets(1, vec![7.0; 160]));
    let alone = round_trip(&times(1), &[], std::slice::from_ref(&standing))[0].len();
    let all = round_trip(&times(120), &[], &vec![standing.clone(); 120])[0].len();
    assert!(all <= alone + 8, "{all} bytes for 120, {alone} for one");

    let stale = Arc::new(marker());
    let mut some = vec![standing; 120];
    for at in [3, 4, 60, 119] {
        some[at] = stale.clone();
    }
    let with_markers = round_trip(&times(120), &[], &some)[0].len();
    assert!(with_markers <= all + 24, "{with_markers} bytes with four markers, {all} without");
    assert!(round_trip(&times(120), &[], &vec![stale; 120])[0].len() <= 24);
}

#[test]
fn a_new_bucket_widens_the_run_and_costs_a_column() {
    let narrow = Arc::new(with_buckets(1, vec![7.0; 100]));
    let wide = Arc::new(with_buckets(1, vec![7.0; 101]));
    let mut samples = vec![narrow; 60];
    let before = round_trip(&times(60), &[], &samples)[0].len();
    samples.extend(vec![wide; 60]);
    let after = round_trip(&times(120), &[], &samples)[0].len();
    assert!(after <= before + 40, "{after} bytes with the new bucket, {before} without");
}

#[test]
fn samples_beyond_the_bounds_go_into_the_next_chunk() {
    let small = Arc::new(with_buckets(1, vec![1.0]));
    assert_eq!(round_trip(&times(HISTOGRAM_SAMPLES_MAX + 1), &[], &vec![small; HISTOGRAM_SAMPLES_MAX + 1]).len(), 2);
    let large = Arc::new(with_buckets(1, vec![1.0; HISTOGRAM_PARTS_MAX - 1]));
    assert_eq!(round_trip(&times(40), &[], &vec![large; 40]).len(), 3, "16 of them are a chunk");
    // Between wide ones a narrow one must not be given their columns.
    let mixed: Vec<_> =
        (0..200).map(|i| Arc::new(with_buckets(1, vec![2.0; if i == 100 { 30_000 } else { 2 }]))).collect();
    assert_eq!(round_trip(&times(200), &[], &mixed).len(), 1);
}

#[test]
fn what_cannot_be_stored_is_refused_with_its_number() {
    let mut encoder = HistogramEncoder::default();
    let good = Arc::new(with_buckets(1, vec![1.0]));
    let bad = Arc::new(FloatHistogram { schema: 77, ..FloatHistogram::default() });
    let large = Arc::new(with_buckets(1, vec![1.0; HISTOGRAM_PARTS_MAX]));
    let mut out = vec![1, 2];
    let mut refused = |times: &[i64], starts: &[i64], samples: &[&Arc<FloatHistogram>]| {
        let samples: Vec<_> = samples.iter().map(|&sample| sample.clone()).collect();
        let error = encoder.encode(times, starts, &samples, &mut out).expect_err("refused");
        assert_eq!(out, [1, 2]);
        error
    };
    let unknown = HistogramError::UnknownSchema(77);
    assert_eq!(refused(&[1, 2], &[], &[&good, &bad]), CodecError::Histogram { sample: 1, source: unknown.clone() });
    assert_eq!(refused(&[1], &[], &[&large]), CodecError::HistogramTooLarge { parts: HISTOGRAM_PARTS_MAX + 1 });
    assert_eq!(refused(&[2, 2], &[], &[&good, &good]), CodecError::OutOfOrder { timestamp_ms: 2, last_ms: 2 });
    assert_eq!(refused(&[1], &[], &[]), CodecError::Columns { timestamps: 1, values: 0 });
    assert_eq!(refused(&[], &[], &[]), CodecError::Columns { timestamps: 0, values: 0 });
    assert!(matches!(refused(&[1], &[0, 0], &[&good]), CodecError::Columns { .. }));
    assert_eq!(put_histogram(&bad, &mut out), Err(CodecError::Histogram { sample: 0, source: unknown }));
    assert!(matches!(put_histogram(&large, &mut out), Err(CodecError::HistogramTooLarge { .. })));
    assert_eq!(out, [1, 2]);
}

#[test]
fn bytes_that_ask_for_more_than_the_bounds_are_refused() {
    let refuses = |bytes: &[u8], reason: &str| {
        let error = HistogramChunk::parse(bytes).and_then(|chunk| chunk.decode(&mut Columns::default()));
        let error = error.expect_err(reason).to_string();
        assert!(error.contains(reason), "{error}, not {reason}");
    };
    // Times: n - 1, an exact line from 0 in steps of 1.
    let front = |n: u16| [&[5, (n - 1) as u8 & 0x7f | 0x80, ((n - 1) >> 7) as u8, 5, 0, 2][..], &[0]].concat();
    let run = |rows: u16| [(rows - 1) as u8 & 0x7f | 0x80, ((rows - 1) >> 7) as u8, 0, 0, 0];
    refuses(&front(1025), "more histograms");
    refuses(&[&front(1024)[..], &run(1025)].concat(), "count beyond");
    refuses(&[&front(2)[..], &[1, 0, 9, 0, 0]].concat(), "schema");
    refuses(&[&front(2)[..], &[1, 4, 0, 0, 0]].concat(), "flag of a run");
    refuses(&[&front(2)[..], &[1, 0, 0, 3, 0]].concat(), "threshold");
    refuses(&[&front(2)[..], &[1, 0, 0, 0, 3]].concat(), "count beyond");
    refuses(&[&front(2)[..], &[1, 0, 0, 0, 1, 1, 0, 2]].concat(), "spans");
    refuses(&[&front(2)[..], &[1, 0, 0, 0, 1, 2, 0, 2, 1, 1, 1]].concat(), "goes back");
    // One span of 65,536 buckets, in 1,024 rows.
    refuses(&[&front(1024)[..], &run(1024), &[1, 1, 0, 2, 0x80, 0x80, 4]].concat(), "beyond the bounds");
    // The same in one row, of which there are no bytes.
    refuses(&[&front(1)[..], &run(1), &[1, 1, 0, 2, 0x80, 0x80, 4]].concat(), "beyond the bounds");
    // Shape 9 of two layouts; then of one, in which hint 3 is the last.
    refuses(&[&front(2)[..], &[1, 0, 0, 0, 1, 0, 0, 4, 10, 4, 0, 4, 0]].concat(), "shape");
    // Custom bounds 0, 1, 2, .. as an exact line, in 1,024 rows.
    let bounds = [0x80, 0x80, 4, 0, 5, 0, 2];
    refuses(&[&front(1024)[..], &[0xff, 7, 2, 0xcb], &bounds].concat(), "beyond the bounds");
    assert_eq!(ChunkEncoding::from_number(0), Err(CodecError::UnknownEncoding { number: 0 }));
    for encoding in [ChunkEncoding::Xor, ChunkEncoding::Dx, ChunkEncoding::Histogram] {
        assert_eq!(ChunkEncoding::from_number(encoding.number()), Ok(encoding));
        let mut columns = Columns::default();
        columns.push_float_since(1, 1, 1.0);
        assert!(encoding.decode(&[0xff; 3], &mut columns).is_err());
        assert_eq!((columns.len(), columns.start_timestamps_ms.len()), (1, 1));
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).expect("a nibble");
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The histogram of the format page.
fn example(count: f64, buckets: [f64; 2]) -> FloatHistogram {
    FloatHistogram {
        schema: 1,
        zero_threshold: 2f64.powi(-128),
        zero_count: 1.0,
        count,
        sum: 2.5,
        positive_spans: vec![Span { offset: 1, length: 2 }],
        positive_buckets: buckets.to_vec(),
        ..FloatHistogram::default()
    }
}

#[test]
fn golden_bytes_stay_as_they_were_released() {
    let check = |name: &str, golden: &str, histograms: &[FloatHistogram], starts: &[i64]| {
        let golden: String = golden.split_whitespace().collect();
        let histograms: Vec<_> = histograms.iter().cloned().map(Arc::new).collect();
        let chunks = round_trip(&times(histograms.len()), starts, &histograms);
        assert!(hex(&chunks[0]) == golden && chunks.len() == 1, "GOLDEN {name} {}", hex(&chunks[0]));
    };
    macro_rules! golden {
        ($name:literal, $histograms:expr, $starts:expr) => {
            check($name, include_str!(concat!("golden/histogram-", $name, ".hex")), $histograms, $starts)
        };
    }
    golden!("example", &[example(4.0, [1.0, 2.0]), example(6.0, [2.0, 3.0]), marker()], &[]);

    let mut random = Random::new(42);
    let mut buckets = vec![1_000.0; 40];
    let mut grown = |random: &mut Random| {
        for bucket in &mut buckets {
            *bucket += random.below(7) as f64;
        }
        with_buckets(-20, buckets.clone())
    };
    let growing: Vec<_> = (0..130).map(|_| grown(&mut random)).collect();
    golden!("growing", &growing, &[1_699_999_999_000; 130]);
    let thirds = |h: &FloatHistogram| FloatHistogram {
        positive_buckets: h.positive_buckets.iter().map(|bucket| bucket / 3.0).collect(),
        negative_spans: vec![Span { offset: 3, length: 1 }],
        negative_buckets: vec![f64::NAN],
        ..h.clone()
    };
    golden!("values", &growing[..20].iter().map(thirds).collect::<Vec<_>>(), &[]);
    let custom = |i: usize| FloatHistogram {
        counter_reset_hint: if i == 3 { CounterResetHint::CounterReset } else { CounterResetHint::NotCounterReset },
        schema: CUSTOM_SCHEMA,
        zero_threshold: 0.0,
        custom_values: vec![0.005, 0.01, 0.025, 0.05],
        ..with_buckets(0, vec![i as f64, 7.0, 1.0, 0.0, 2.0])
    };
    golden!("custom", &(0..10).map(custom).collect::<Vec<_>>(), &[]);
    // Layouts and runs: a bucket appears, one goes, a marker in between, another schema.
    let other = FloatHistogram { schema: 2, ..with_buckets(5, vec![3.0]) };
    let layouts = [
        with_buckets(1, vec![1.0, 2.0]),
        with_buckets(1, vec![1.0, 2.0, 3.0]),
        marker(),
        with_buckets(2, vec![9.0]),
        other,
    ];
    golden!("layouts", &layouts, &[]);
}

#[test]
fn golden_single_histograms_stay_as_they_were_released() {
    let check = |golden: &str, histogram: &FloatHistogram| {
        let mut bytes = Vec::new();
        put_histogram(histogram, &mut bytes).expect("valid");
        assert_eq!(hex(&bytes), golden.replace(' ', ""));
    };
    check("00 01 01 01 00 02 02 0000000000000440 04 01 02 02", &example(4.0, [1.0, 2.0]));
    check("10", &marker());
    let mut custom = FloatHistogram {
        counter_reset_hint: CounterResetHint::Gauge,
        schema: CUSTOM_SCHEMA,
        zero_threshold: 0.0,
        zero_count: 0.0,
        custom_values: vec![0.5],
        ..example(1.5, [1.0, 0.5])
    };
    custom.positive_spans[0].offset = 0;
    let floats = "0000000000000440 000000000000f83f 0000000000000000 000000000000f03f 000000000000e03f";
    check(&format!("0f cb 01 000000000000e03f 00 01 00 00 02 {floats}"), &custom);
}

#[test]
fn histograms_that_are_alike_become_a_chunk_from_their_single_form() {
    let mut random = Random::new(seed(7));
    for _ in 0..setting("MYTSDB_CODEC_CASES", 300) {
        let rows = 1 + random.index(150);
        let (positive, positive_count) = spans(&mut random, -300, 40);
        let (negative, negative_count) = spans(&mut random, -300, 10);
        let bits = 1 + random.below(52);
        let mut count = |_| (random.bits() >> (64 - bits)) as f64;
        let histograms: Vec<_> = (0..rows)
            .map(|row| {
                Arc::new(FloatHistogram {
                    counter_reset_hint: [CounterResetHint::Unknown, CounterResetHint::Gauge][row % 7 / 6],
                    schema: 3,
                    zero_threshold: 0.25,
                    zero_count: count(0),
                    count: count(0),
                    sum: count(0) - 0.5,
                    positive_spans: positive.clone(),
                    positive_buckets: (0..positive_count).map(&mut count).collect(),
                    negative_spans: negative.clone(),
                    negative_buckets: (0..negative_count).map(&mut count).collect(),
                    ..FloatHistogram::default()
                })
            })
            .collect();
        let starts: Vec<i64> = if rows.is_multiple_of(2) { Vec::new() } else { (0..rows as i64).collect() };
        let chunks = round_trip(&times(rows), &starts, &histograms);
        assert!(compare_singles(&times(rows), &starts, &histograms, &chunks[0]));
    }
}

#[test]
fn histograms_that_are_not_alike_or_damaged_become_no_chunk_from_their_single_form() {
    let plain = FloatHistogram { count: 3.0, zero_count: 3.0, ..FloatHistogram::default() };
    let others = [
        FloatHistogram { schema: 1, ..plain.clone() },
        FloatHistogram { zero_threshold: 0.5, ..plain.clone() },
        FloatHistogram { zero_count: 0.5, ..plain.clone() },
        FloatHistogram { sum: stale_nan(), ..FloatHistogram::default() },
        FloatHistogram {
            positive_spans: vec![Span { offset: 0, length: 1 }],
            positive_buckets: vec![0.0],
            ..plain.clone()
        },
    ];
    let plain = single(&plain);
    let mut encoder = HistogramEncoder::default();
    for other in &others {
        let mut out = Vec::new();
        let both = [&plain[..], &single(other)];
        assert_eq!(encoder.encode_singles(&[1, 2], &[], &both, &mut out), Ok(false), "{other}");
        let turned = [both[1], both[0]];
        assert_eq!(encoder.encode_singles(&[1, 2], &[], &turned, &mut out), Ok(false), "{other}");
        assert!(out.is_empty());
    }
    let longer = [&plain[..], &[0]].concat();
    for damaged in [&longer[..], &plain[..plain.len() - 1]] {
        let mut out = Vec::new();
        assert!(encoder.encode_singles(&[1, 2], &[], &[&plain, damaged], &mut out).is_err());
        assert!(out.is_empty());
    }
    let mut out = Vec::new();
    assert_eq!(encoder.encode_singles(&[1], &[], &[&[]], &mut out), Ok(false));
    assert!(encoder.encode_singles(&[2, 1], &[], &[&plain, &plain], &mut out).is_err());
    assert!(encoder.encode_singles(&[], &[], &[], &mut out).is_err());
    assert!(out.is_empty());
}
