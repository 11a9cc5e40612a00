//! Columns against a map from time to sample, over random sources of both kinds.

use mytsdb_columns::{Columns, Mark};
use mytsdb_histogram::{CounterResetHint, FloatHistogram};
use mytsdb_model::TimeRange;
use mytsdb_testkit::{Random, seed, setting};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is unique in a sample, its start time, and whether it is a histogram.
type Sample = (u64, i64, bool);

fn push(columns: &mut Columns, time: i64, (number, start, is_histogram): Sample) {
    if is_histogram {
        let histogram = FloatHistogram { sum: number as f64, ..FloatHistogram::default() };
        columns.push_histogram_since(time, start, Arc::new(histogram));
    } else {
        columns.push_float_since(time, start, number as f64);
    }
}

/// The samples from `from` on; asserts that the columns fit together and ascend.
fn samples(columns: &Columns, from: Mark) -> BTreeMap<i64, Sample> {
    let mut all = BTreeMap::new();
    let start = |starts: &[i64], place: usize, count: usize| {
        assert!(starts.is_empty() || starts.len() == count);
        starts.get(place).copied().unwrap_or(0)
    };
    assert_eq!(columns.timestamps_ms.len(), columns.values.len());
    assert_eq!(columns.histogram_timestamps_ms.len(), columns.histograms.len());
    assert!(columns.is_in_order(from));
    for (place, &time) in columns.timestamps_ms.iter().enumerate().skip(from.floats) {
        let start = start(&columns.start_timestamps_ms, place, columns.timestamps_ms.len());
        assert_eq!(all.insert(time, (columns.values[place] as u64, start, false)), None);
    }
    for (place, &time) in columns.histogram_timestamps_ms.iter().enumerate().skip(from.histograms) {
        let start = start(&columns.histogram_start_timestamps_ms, place, columns.histogram_timestamps_ms.len());
        assert_eq!(all.insert(time, (columns.histograms[place].sum as u64, start, true)), None);
    }
    all
}

#[test]
fn many_sources_become_what_a_map_would_hold_in_which_the_first_stays() {
    let seed = seed(11);
    for case in 0..setting("MYTSDB_COLUMNS_CASES", 3_000) {
        let mut random = Random::of_case(seed, case);
        let (times, histograms_one_in) = (1 + random.below(60), 1 + random.below(4));
        let with_starts = random.one_in(2);
        let mut columns = Columns::default();
        for time in 0..random.below(4) as i64 {
            push(&mut columns, 1_000 - time, (900 + time as u64, 0, random.one_in(2)));
        }
        let (before, from) = (columns.clone(), columns.mark());
        let (mut model, mut sources, mut number) = (BTreeMap::new(), Vec::new(), 0);
        for _ in 0..=random.below(4) {
            sources.push(columns.mark());
            // A source is in order itself, except that some are not.
            let mut own: Vec<i64> = (0..random.below(20)).map(|_| random.below(times) as i64).collect();
            own.sort_unstable();
            own.dedup();
            if random.one_in(4) {
                own.reverse();
            }
            for time in own {
                let start = if with_starts && random.one_in(2) { 1 + random.below(9) as i64 } else { 0 };
                let sample = (number, start, random.one_in(histograms_one_in));
                number += 1;
                push(&mut columns, time, sample);
                model.entry(time).or_insert(sample);
            }
        }
        columns.sort_and_dedup(&sources);
        assert_eq!(samples(&columns, from), model, "case {case}");
        assert_eq!(columns.len(), before.len() + model.len());

        let whole = columns.range(from);
        assert_eq!(whole.is_empty(), model.is_empty());
        if let (Some(first), Some(last)) = (model.first_key_value(), model.last_key_value()) {
            assert_eq!(whole, TimeRange::new(*first.0, *last.0));
        }
        let mint = random.below(times + 2) as i64 - 1;
        let range = TimeRange::new(mint, mint + random.below(times) as i64 - 1);
        let mut finished = Columns::default();
        for (&time, &sample) in &model {
            push(&mut finished, time, sample);
        }
        let mut copied = before.clone();
        copied.extend_from(&finished, range);
        let mut moved = columns.clone();
        let mut own = moved.split_off(from);
        assert_eq!((samples(&own, Mark::default()), moved.mark()), (model.clone(), from), "case {case}");
        moved.append(&mut own);
        assert!(own.is_empty());
        assert_eq!(samples(&moved, from), model, "case {case}");
        columns.clip(from, range);
        model.retain(|&time, _| range.contains(time));
        assert_eq!(samples(&columns, from), model, "case {case}, {range:?}");
        assert_eq!(samples(&copied, from), model, "case {case}, {range:?}");
        for cut in [&mut columns, &mut copied] {
            cut.truncate(from);
            assert_eq!(cut.timestamps_ms, before.timestamps_ms);
            assert_eq!(cut.histogram_timestamps_ms, before.histogram_timestamps_ms);
            assert!(cut.values == before.values && cut.histograms == before.histograms);
        }
    }
}

#[test]
fn a_run_continues_only_behind_samples_of_both_kinds() {
    let histogram = Arc::new(FloatHistogram::default());
    let mut columns = Columns::default();
    columns.push_float(9, 0.0);
    let from = columns.mark();
    assert!(columns.continues_at(from, from), "nothing before, nothing behind");
    columns.push_float(1, 1.0);
    columns.push_histogram(5, histogram.clone());
    let at = columns.mark();
    assert!(columns.continues_at(at, from), "nothing behind");
    columns.push_float(5, 2.0);
    assert!(!columns.continues_at(at, from), "the time of a histogram");
    columns.truncate(at);
    columns.push_float(6, 2.0);
    columns.push_histogram(4, histogram);
    assert!(!columns.continues_at(at, from), "a histogram before a histogram");
    assert!(!columns.is_in_order(from));
    assert!(columns.continues_at(from, from), "nothing before");
}

#[test]
fn samples_appended_to_the_columns_themselves_get_unknown_starts() {
    let mut columns = Columns::default();
    columns.push_float_since(1, 7, 1.0);
    columns.timestamps_ms.push(2);
    columns.values.push(2.0);
    columns.pad_starts();
    assert_eq!(columns.start_timestamps_ms, [7, 0]);
    columns.clear();
    columns.push_float(3, 3.0);
    assert!(columns.is_empty() || columns.start_timestamps_ms.is_empty());
    assert!(columns.heap_bytes() >= 16);
}

#[test]
fn hints_are_what_the_samples_before_them_say() {
    use CounterResetHint::{CounterReset, Gauge, NotCounterReset, Unknown};
    let histogram = |count: f64, counter_reset_hint| FloatHistogram { count, counter_reset_hint, ..Default::default() };
    let stale = FloatHistogram { sum: mytsdb_model::stale_nan(), ..FloatHistogram::default() };
    let finer = FloatHistogram { schema: 3, ..histogram(9.0, NotCounterReset) };
    let mut columns = Columns::default();
    columns.push_histogram(0, histogram(1.0, Unknown).into());
    let from = columns.mark();
    let samples = [
        (histogram(5.0, NotCounterReset), Unknown, "the first"),
        (histogram(6.0, Unknown), NotCounterReset, "more"),
        (histogram(6.0, CounterReset), Unknown, "as many, and known to be reset"),
        (histogram(4.0, NotCounterReset), Unknown, "less, whatever was said"),
        (histogram(5.0, Gauge), Gauge, "a gauge"),
        (histogram(6.0, Unknown), Unknown, "behind a gauge"),
        (stale, Unknown, "stale"),
        (histogram(7.0, NotCounterReset), Unknown, "behind a marker"),
        (finer, Unknown, "of another schema"),
    ];
    for (at, (histogram, ..)) in samples.iter().enumerate() {
        columns.push_histogram(10 + at as i64, Arc::new(histogram.clone()));
    }
    columns.push_histogram(30, histogram(9.0, NotCounterReset).into());
    columns.push_histogram(32, histogram(9.0, NotCounterReset).into());
    columns.push_float(31, 0.0);
    columns.push_histogram(33, histogram(9.0, Unknown).into());
    columns.settle_hints(from);
    let hints: Vec<_> = columns.histograms.iter().map(|h| h.counter_reset_hint).collect();
    for (at, (_, expected, what)) in samples.iter().enumerate() {
        assert_eq!(hints[1 + at], *expected, "{what}");
    }
    assert_eq!(
        hints[10..],
        [Unknown, Unknown, NotCounterReset],
        "of another schema, behind a float, behind a histogram"
    );
    assert_eq!(hints[0], Unknown, "not asked for");
}
