//! How soon long questions notice that nobody waits for the answer: counted, not timed.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "../../stop/tests/stop_looks/mod.rs"]
mod stop_looks;

use mytsdb_index::{IndexError, IndexReader, IndexWriter, MemIndex, PackedIndex};
use mytsdb_model::{Labels, MatchOp, Matcher, SeriesRef};
use mytsdb_stop::{Looks, StopSign};
use stop_looks::check;

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

fn canceled(error: &IndexError) -> bool {
    matches!(error, IndexError::Canceled(_))
}

/// Looks at something that every series has, or every value of the pods, where each is a step.
const LOOKS: usize = SERIES / Looks::STEPS;

#[test]
fn the_head_index_stops_soon_wherever_it_is() {
    // Once with references in order, and once without, as a checkpoint leaves them.
    for factor in [1, 7] {
        let mut index = MemIndex::new();
        let reference = |series: usize| SeriesRef((series * factor % SERIES) as u64 + 1);
        (0..SERIES).for_each(|series| index.add(reference(series), &labels(series)));
        let index = index.snapshot();
        for matchers in questions() {
            check(&text(&matchers), 2, |stop| index.select(&matchers, stop), canceled);
        }
        let all = index.select(&[], StopSign::NEVER).unwrap();
        assert!(all.is_sorted() && all.len() == SERIES);
        check("names", 1, |stop| index.label_names(stop), canceled);
        check("names of all", LOOKS, |stop| index.label_names_of(&all, stop), canceled);
        // Each value is found, put into a list, compared some ten times, and put into a list again.
        check("values", 13 * LOOKS, |stop| index.label_values("pod", stop), canceled);
        check("values of all", 14 * LOOKS, |stop| index.label_values_of("pod", &all, stop), canceled);
        check("values of few", LOOKS / 2, |stop| index.label_values_of("pod", &all[..3], stop), canceled);
        let regex = Matcher::new(MatchOp::Regex, "pod", "pod-.*7.*").unwrap();
        check("a pattern", LOOKS, |stop| index.select(std::slice::from_ref(&regex), stop), canceled);
        check("everything", LOOKS / 8, |stop| index.select(&[], stop), canceled);
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
    for matchers in questions() {
        let looks_min = if matchers.iter().any(|m| m.value() == "other-.*") { 0 } else { 2 };
        check(&text(&matchers), looks_min, |stop| reader.select(&matchers, stop), canceled);
    }
    let all = reader.select(&[], StopSign::NEVER).unwrap();
    check("names", 1, |stop| reader.label_names(stop), canceled);
    check("names of all", 4, |stop| reader.label_names_of(&all, stop), canceled);
    check("values", LOOKS, |stop| reader.label_values("pod", stop), canceled);
    check("values of all", LOOKS, |stop| reader.label_values_of("pod", &all, stop), canceled);
}

#[test]
fn the_packed_index_stops_soon_wherever_it_is() {
    let mut writer = IndexWriter::new();
    for series in 0..SERIES {
        writer.add(&labels(series)).unwrap();
    }
    let packed = writer.finish_packed().unwrap();
    let index = PackedIndex::new(&packed.section).unwrap();
    for matchers in questions() {
        let looks_min = if matchers.iter().any(|m| m.value() == "other-.*") { 0 } else { 2 };
        check(&text(&matchers), looks_min, |stop| index.select(&matchers, stop), canceled);
    }
    let all = index.select(&[], StopSign::NEVER).unwrap();
    check("names", 1, |stop| index.label_names(stop), canceled);
    check("names of all", 1, |stop| index.label_names_of(&all, stop), canceled);
    check("values", LOOKS, |stop| index.label_values("pod", stop), canceled);
    check("values of all", LOOKS, |stop| index.label_values_of("pod", &all, stop), canceled);
}
