//! The head alone: which series it keeps, and what readers may rely on while samples leave it.

use super::*;
use crate::value::{Row, RowValue};
use mytsdb_blocks::Tombstone;
use mytsdb_columns::{Columns, HistogramTable};
use mytsdb_histogram::FloatHistogram;
use mytsdb_model::{Matcher, TimeRange};

fn head(series_max: usize) -> Head {
    Head::new(Catalog::new(), series_max, 1 << 20, Metrics::new(&mytsdb_telemetry::Registry::new()))
}

fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name)])
}

fn create(head: &Head, name: &str) -> SeriesRef {
    head.find_or_create(&labels(name), |_, _| Ok(())).unwrap()
}

fn put(head: &Head, series: SeriesRef, timestamp_ms: i64) {
    let row = Row { timestamp_ms, start_ms: 0, value: RowValue::Float(1.0) };
    let stored = head.catalog().get(series).unwrap().store(row, 1_000, &mut Sealer::default());
    stored.unwrap();
}

fn times(series: &MemSeries) -> Vec<i64> {
    let mut columns = Columns::default();
    series.read(TimeRange::ALL, &mut columns).unwrap();
    columns.timestamps_ms
}

#[test]
fn a_reference_stays_through_its_epoch_and_the_next() {
    let head = head(10);
    let (kept, idle, touched) = (create(&head, "kept"), create(&head, "idle"), create(&head, "touched"));
    put(&head, kept, 5);
    assert_eq!(head.remove_idle(), 0, "of this epoch");
    assert!(head.touch(touched));
    assert_eq!(head.remove_idle(), 1);
    assert_eq!(head.catalog().get(idle).map(|series| series.series), None);
    assert!(!head.touch(idle));
    assert_eq!(head.find(&labels("touched")), Some(touched), "which keeps it again");
    assert_eq!((head.remove_idle(), head.remove_idle()), (0, 1));
    assert_eq!(head.find(&labels("kept")), Some(kept), "it has a sample");
}

#[test]
fn a_full_head_takes_known_series_and_one_whose_definition_fails_is_not_handed_out() {
    let head = head(2);
    let first = create(&head, "a");
    let failed = head.find_or_create(&labels("b"), |_, _| Err(EngineError::Stopped));
    assert!(matches!(failed, Err(EngineError::Stopped)));
    let full = head.find_or_create(&labels("c"), |_, _| unreachable!("nothing is created"));
    assert!(matches!(full, Err(EngineError::SeriesLimit { limit: 2 })));
    assert_eq!(create(&head, "a"), first);
}

#[test]
fn frozen_samples_are_readable_until_they_are_dropped_and_that_is_counted() {
    let head = head(10);
    let series = create(&head, "m");
    (0..30).for_each(|at| put(&head, series, at * 100));
    let all = head.all();
    let frozen = freeze_before(1_000, &all).unwrap();
    assert_eq!((frozen.series.len(), frozen.first_ms, times(&all[0]).len()), (1, Some(0), 30));
    let before = head.drops();
    head.hand_over(frozen, || Ok(())).unwrap();
    assert_ne!(head.drops(), before);
    assert_eq!(times(&all[0]), (10..30).map(|at| at * 100).collect::<Vec<_>>());
    assert!(freeze_before(1_000, &all).unwrap().series.is_empty());
}

#[test]
fn a_deletion_cuts_what_was_there_when_it_began_and_before_the_next_append() {
    let head = head(10);
    let [a, b, c] = ["a", "b", "c"].map(|name| create(&head, name));
    for series in [a, b, c] {
        (0..10).for_each(|at| put(&head, series, at));
    }
    let selectors = vec![vec![Matcher::equal("__name__", "a")], vec![Matcher::equal("i", "")]];
    let range = TimeRange::new(3, 20);
    let tombstone = Tombstone { id: 1, blocks_below: 1, segments_below: 1, range, selectors };
    let doomed = head.doomed(&tombstone).unwrap();
    // Another one comes, and samples, before it begins: they are deleted with the rest.
    let late = create(&head, "late");
    put(&head, late, 5);
    head.begin_cut(doomed, &tombstone).unwrap();
    // Who appends cuts first, so what is appended stays; it is not cut again.
    head.cut_before_append(|| [a, late, SeriesRef(99)].into_iter());
    put(&head, a, 10);
    put(&head, late, 6);
    head.finish_cut().unwrap();
    head.cut_before_append(|| -> std::iter::Empty<SeriesRef> { unreachable!("there is nothing to cut") });
    let found: Vec<_> = head.all().iter().map(|series| times(series)).collect();
    assert_eq!(found, [vec![0, 1, 2, 10], vec![0, 1, 2], vec![0, 1, 2], vec![6]]);
}

/// Times and counts.
fn read_histograms(series: &MemSeries) -> Vec<(i64, f64)> {
    let mut columns = Columns::default();
    assert!(series.read(TimeRange::ALL, &mut columns).unwrap(), "in order");
    let counts = columns.histograms.iter().map(|histogram| histogram.count);
    columns.histogram_timestamps_ms.into_iter().zip(counts).collect()
}

/// The same, read by the table too; both must agree.
fn histograms(series: &MemSeries) -> Vec<(i64, f64)> {
    let read = read_histograms(series);
    let mut table = HistogramTable::default();
    assert!(series.read_table(TimeRange::ALL, &mut table).unwrap());
    assert_eq!(table.timestamps_ms().iter().copied().zip(table.counts().iter().copied()).collect::<Vec<_>>(), read);
    read
}

fn put_histogram(head: &Head, sealer: &mut Sealer, series: SeriesRef, timestamp_ms: i64) {
    let mut bytes = Vec::new();
    let histogram = FloatHistogram { count: timestamp_ms as f64, ..FloatHistogram::default() };
    mytsdb_codec::put_histogram(&histogram, &mut bytes).unwrap();
    let row = Row { timestamp_ms, start_ms: 0, value: RowValue::Histogram(&bytes.into()) };
    head.catalog().get(series).unwrap().store(row, 1_000_000, sealer).unwrap();
    sealer.hand_on();
}

fn counted(times: std::ops::Range<i64>) -> Vec<(i64, f64)> {
    times.map(|time| (time, time as f64)).collect()
}

#[test]
fn full_runs_wait_within_the_bound_and_are_read_as_they_are_before_and_after() {
    let head = head(10);
    let (series, mut sealer) = (create(&head, "m"), head.sealer());
    let mem = head.catalog().get(series).unwrap().clone();
    for time in 0..1_000 {
        put_histogram(&head, &mut sealer, series, time);
    }
    let waiting = head.unsealed_bytes();
    assert!(waiting > 0 && waiting < mem.chunk_bytes() as usize, "the open run is none of them");
    assert_eq!(histograms(&mem), counted(0..1_000));
    assert!(mem.judge(1, 130).unwrap().value.is_some(), "a time that waits is taken");
    assert!(head.seal_next(&mut Sealer::default()).unwrap());
    assert_eq!(head.unsealed_bytes(), 0);
    assert!(mem.chunk_bytes() < waiting as u64 / 2);
    assert_eq!(histograms(&mem), counted(0..1_000));
    while head.seal_next(&mut Sealer::default()).unwrap() {}
    // What a bound has no room for is packed by whoever appends.
    let strict = Head::new(Catalog::new(), 10, 0, Metrics::new(&mytsdb_telemetry::Registry::new()));
    let (series, mut sealer) = (create(&strict, "m"), strict.sealer());
    for time in 0..1_000 {
        put_histogram(&strict, &mut sealer, series, time);
    }
    assert_eq!(strict.unsealed_bytes(), 0);
    assert_eq!(histograms(strict.catalog().get(series).unwrap()), counted(0..1_000));
}

#[test]
fn a_flush_a_deletion_and_a_float_close_runs_that_wait() {
    let head = head(10);
    let mut sealer = head.sealer();
    let series = ["flushed", "cut", "changed"].map(|name| create(&head, name));
    for series in series {
        (0..500).for_each(|time| put_histogram(&head, &mut sealer, series, time));
    }
    let [flushed, cut, changed] = series.map(|series| head.catalog().get(series).unwrap().clone());
    let frozen = freeze_before(130, std::slice::from_ref(&flushed)).unwrap();
    assert_eq!(histograms(&flushed), counted(0..500));
    head.hand_over(frozen, || Ok(())).unwrap();
    assert_eq!(histograms(&flushed), counted(130..500));
    cut.delete(TimeRange::new(10, 400), &mut Sealer::default()).unwrap();
    assert_eq!(histograms(&cut), [counted(0..10), counted(401..500)].concat());
    put(&head, series[2], 500);
    assert_eq!(head.unsealed_bytes(), 0, "all of them are chunks");
    let mut columns = Columns::default();
    changed.read(TimeRange::ALL, &mut columns).unwrap();
    assert_eq!((columns.histograms.len(), columns.timestamps_ms), (500, vec![500]));
    while head.seal_next(&mut Sealer::default()).unwrap() {}
    assert_eq!(histograms(&flushed), counted(130..500));
}

#[test]
fn a_thread_packs_what_waits_while_others_append_and_read() {
    let head = head(10);
    let series = create(&head, "m");
    let mem = head.catalog().get(series).unwrap().clone();
    std::thread::scope(|scope| {
        scope.spawn(|| head.seal_until_ended(|error| panic!("{error}")));
        scope.spawn(|| {
            let mut sealer = head.sealer();
            (0..20_000).for_each(|time| put_histogram(&head, &mut sealer, series, time));
            while head.unsealed_bytes() > 0 {
                std::thread::yield_now();
            }
            head.end_sealing();
        });
        let mut read = 0;
        while read < 20_000 {
            let all = read_histograms(&mem);
            assert!(all.len() >= read && all == counted(0..all.len() as i64), "a hole, or one twice");
            read = all.len();
        }
    });
    assert_eq!(histograms(&mem), counted(0..20_000));
}

fn put_off(head: &Head, sealer: &mut Sealer, series: SeriesRef, times: std::ops::Range<i64>) {
    for timestamp_ms in times {
        let row = Row { timestamp_ms, start_ms: 0, value: RowValue::Float(1.0) };
        head.catalog().get(series).unwrap().store(row, 1_000_000, sealer).unwrap();
    }
    sealer.hand_on();
}

#[test]
fn full_chunks_of_floats_wait_within_the_bound_and_are_read_as_they_are_before_and_after() {
    let head = head(10);
    let (series, mut sealer) = (create(&head, "m"), head.sealer());
    let mem = head.catalog().get(series).unwrap().clone();
    put_off(&head, &mut sealer, series, 0..500);
    let (waiting, before) = (head.unsealed_bytes(), mem.chunk_bytes());
    assert!(waiting > 0 && (waiting as u64) < before, "the open chunk is none of them");
    assert_eq!(times(&mem), (0..500).collect::<Vec<_>>());
    assert!(mem.judge(1, 130).unwrap().value.is_some(), "a time that waits is taken");
    assert!(head.seal_next(&mut Sealer::default()).unwrap());
    assert!(mem.chunk_bytes() < before, "one look packs all of a series");
    while head.seal_next(&mut Sealer::default()).unwrap() {}
    assert_eq!((head.unsealed_bytes(), times(&mem)), (0, (0..500).collect()));
    // What a bound has no room for is packed by whoever appends.
    let strict = Head::new(Catalog::new(), 10, 0, Metrics::new(&mytsdb_telemetry::Registry::new()));
    let (series, mut sealer) = (create(&strict, "m"), strict.sealer());
    put_off(&strict, &mut sealer, series, 0..500);
    assert!(!strict.seal_next(&mut sealer).unwrap(), "nothing waits");
    assert_eq!(times(strict.catalog().get(series).unwrap()), (0..500).collect::<Vec<_>>());
}

#[test]
fn a_flush_and_a_deletion_take_floats_that_wait() {
    let head = head(10);
    let mut sealer = head.sealer();
    let [flushed, cut] = ["flushed", "cut"].map(|name| {
        let series = create(&head, name);
        put_off(&head, &mut sealer, series, 0..500);
        head.catalog().get(series).unwrap().clone()
    });
    let frozen = freeze_before(360, std::slice::from_ref(&flushed)).unwrap();
    assert_eq!(frozen.series[0].1.ordered, 3);
    // Between freezing and dropping, those behind the cut are packed, and one that is frozen keeps its place.
    while head.seal_next(&mut Sealer::default()).unwrap() {}
    assert!(flushed.only_frozen_chunk(frozen.series[0].1, TimeRange::ALL).is_none(), "they are three");
    let mut columns = Columns::default();
    flushed.frozen_samples(frozen.series[0].1, TimeRange::ALL, &mut columns).unwrap();
    assert_eq!(columns.timestamps_ms, (0..360).collect::<Vec<_>>());
    head.hand_over(frozen, || Ok(())).unwrap();
    assert_eq!(times(&flushed), (360..500).collect::<Vec<_>>());
    put_off(&head, &mut sealer, cut.series, 500..800);
    cut.delete(TimeRange::new(10, 700), &mut Sealer::default()).unwrap();
    assert_eq!(times(&cut), (0..10).chain(701..800).collect::<Vec<_>>());
    while head.seal_next(&mut Sealer::default()).unwrap() {}
    assert_eq!((head.unsealed_bytes(), times(&cut)), (0, (0..10).chain(701..800).collect()));
    // One chunk that waits and is all that is frozen goes into a block packed.
    let only = create(&head, "only");
    put_off(&head, &mut sealer, only, 0..121);
    let only = head.catalog().get(only).unwrap().clone();
    let frozen = freeze_before(120, std::slice::from_ref(&only)).unwrap();
    let chunk = only.only_frozen_chunk(frozen.series[0].1, TimeRange::ALL).unwrap();
    assert_eq!(chunk.encoding, mytsdb_codec::ChunkEncoding::Dx);
}
