//! The head alone: which series it keeps, and what readers may rely on while samples leave it.

use super::*;
use crate::value::{Row, RowValue};
use mytsdb_blocks::Tombstone;
use mytsdb_columns::Columns;
use mytsdb_model::{Matcher, TimeRange};

fn head(series_max: usize) -> Head {
    Head::new(Catalog::new(), series_max, Metrics::new(&mytsdb_telemetry::Registry::new()))
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
    let all = head.all().unwrap();
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
    let found: Vec<_> = head.all().unwrap().iter().map(|series| times(series)).collect();
    assert_eq!(found, [vec![0, 1, 2, 10], vec![0, 1, 2], vec![0, 1, 2], vec![6]]);
}
