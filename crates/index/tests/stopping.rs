//! How soon long questions notice that nobody waits for the answer: counted, not timed.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use mytsdb_index::{IndexError, IndexReader, IndexWriter, MemIndex};
use mytsdb_model::{Canceled, Labels, MatchOp, Matcher, SeriesRef, StopSign};
use std::fmt::Debug;
use std::sync::atomic::{AtomicUsize, Ordering};

const SERIES: usize = 300_000;

fn labels(series: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", "m"),
        ("half", ["a", "b"][series % 2]),
        ("pod", &format!("pod-{series:08}")),
        ("zone", &format!("z{}", series % 3)),
    ])
}

fn questions() -> Vec<Vec<Matcher>> {
    let of = |op, name: &str, value: &str| Matcher::new(op, name, value).unwrap();
    vec![
        vec![],
        vec![of(MatchOp::Regex, "pod", "pod-.*7.*")],
        vec![of(MatchOp::Regex, "pod", "other-.*")],
        vec![of(MatchOp::Regex, "pod", ".+")],
        vec![of(MatchOp::Equal, "half", "a"), of(MatchOp::Regex, "pod", ".*7")],
        vec![of(MatchOp::Equal, "half", "a"), of(MatchOp::Equal, "__name__", "m")],
        vec![of(MatchOp::NotRegex, "pod", "pod-.*7.*")],
        vec![of(MatchOp::NotEqual, "half", "b"), of(MatchOp::NotEqual, "zone", "z0")],
        vec![of(MatchOp::Regex, "zone", "z[01]"), of(MatchOp::Regex, "half", "a|b")],
    ]
}

fn text(matchers: &[Matcher]) -> String {
    matchers.iter().map(Matcher::to_string).collect::<Vec<_>>().join(", ")
}

/// Asks once to count the looks, then stops at some of them, which must be the last.
#[track_caller]
fn check<T, E: Debug>(
    what: &str,
    looks_min: usize,
    ask: &dyn Fn(StopSign<'_>) -> Result<T, E>,
    is_canceled: fn(&E) -> bool,
) {
    let count = |stop_at: usize| {
        let looked = AtomicUsize::new(0);
        let keep_going = || looked.fetch_add(1, Ordering::Relaxed) + 1 < stop_at;
        let answer = ask(StopSign::new(&keep_going));
        (looked.into_inner(), answer)
    };
    let (looks, answer) = count(usize::MAX);
    assert!(answer.is_ok() && looks >= looks_min, "{what}: {looks} looks");
    for stop_at in [1, 2, looks / 2, looks].into_iter().filter(|at| (1..=looks).contains(at)) {
        let (looked, answer) = count(stop_at);
        let canceled = matches!(&answer, Err(error) if is_canceled(error));
        assert!(canceled, "{what}: went on at look {stop_at} of {looks}");
        assert_eq!(looked, stop_at, "{what}: looked again after it was stopped");
    }
}

#[test]
fn the_head_index_stops_soon_wherever_it_is() {
    // Once with references in order, and once without, as a checkpoint leaves them.
    for factor in [1, 7] {
        let mut index = MemIndex::new();
        let reference = |series: usize| SeriesRef((series * factor % SERIES) as u64 + 1);
        (0..SERIES).for_each(|series| index.add(reference(series), &labels(series)));
        let canceled = |_: &Canceled| true;
        for matchers in questions() {
            check(&text(&matchers), 2, &|stop| index.select(&matchers, stop), canceled);
        }
        let all = index.select(&[], StopSign::NEVER).unwrap();
        assert!(all.is_sorted() && all.len() == SERIES);
        check("names", 1, &|stop| index.label_names(stop), canceled);
        check("names of all", 50, &|stop| index.label_names_of(&all, stop), canceled);
        check("values", 100, &|stop| index.label_values("pod", stop), canceled);
        check("values of all", 200, &|stop| index.label_values_of("pod", &all, stop), canceled);
        check("values of few", 50, &|stop| index.label_values_of("pod", &all[..3], stop), canceled);
        let regex = Matcher::new(MatchOp::Regex, "pod", "pod-.*7.*").unwrap();
        check("a pattern", 70, &|stop| index.select(std::slice::from_ref(&regex), stop), canceled);
    }
}

#[test]
fn the_frozen_index_stops_soon_wherever_it_is() {
    let mut writer = IndexWriter::new();
    for series in 0..SERIES {
        writer.add(&labels(series)).unwrap();
    }
    let sections = writer.finish().unwrap();
    let reader = IndexReader::new(&sections.symbols, &sections.postings).unwrap();
    let canceled = |error: &IndexError| matches!(error, IndexError::Canceled(_));
    for matchers in questions() {
        let looks_min = if matchers.iter().any(|m| m.value() == "other-.*") { 0 } else { 2 };
        check(&text(&matchers), looks_min, &|stop| reader.select(&matchers, stop), canceled);
    }
    let all = reader.select(&[], StopSign::NEVER).unwrap();
    check("names", 1, &|stop| reader.label_names(stop), canceled);
    check("names of all", 4, &|stop| reader.label_names_of(&all, stop), canceled);
    check("values", 70, &|stop| reader.label_values("pod", stop), canceled);
    check("values of all", 70, &|stop| reader.label_values_of("pod", &all, stop), canceled);
}
