//! Groups that the storage remembers are those that would be found anew.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use mytsdb_columns::{Columns, HistogramTable, Outline, Outlining};
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_promql::{
    Cancel, Finding, QueryOptions, QueryValue, SelectHints, SeriesSet, Storage, StorageError, instant, range,
};
use mytsdb_promql_syntax::parse;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Series of one sample; all that anybody wants to be remembered is.
struct Attentive {
    labels: Vec<Labels>,
    findings: Mutex<HashMap<Vec<u8>, Finding>>,
    recalled: AtomicUsize,
}

impl Attentive {
    fn new(series: usize, names: usize) -> Self {
        let mut labels: Vec<Labels> = (0..series)
            .map(|i| {
                let name = format!("m{}_total", i % names);
                let (a, b) = (format!("{}", i % 7), format!("{}", i % 3));
                Labels::from_pairs([("__name__", name), ("a", a), ("b", b), ("i", i.to_string())])
            })
            .collect();
        labels.sort();
        Self { labels, findings: Mutex::default(), recalled: AtomicUsize::new(0) }
    }

    fn remembered(&self) -> usize {
        self.findings.lock().unwrap().len()
    }
}

struct Set<'a>(&'a Attentive);

impl SeriesSet for Set<'_> {
    fn len(&self) -> usize {
        self.0.labels.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.0.labels[index]
    }

    fn recall(&self, key: &[u8]) -> Option<Finding> {
        let found = self.0.findings.lock().unwrap().get(key).cloned();
        self.0.recalled.fetch_add(usize::from(found.is_some()), Ordering::Relaxed);
        found
    }

    fn remember(&self, key: &[u8], finding: Finding, bytes: usize) {
        assert!(bytes >= 4 * self.len(), "{bytes}");
        self.0.findings.lock().unwrap().insert(key.to_vec(), finding);
    }

    fn read(&self, index: usize, _: TimeRange, out: &mut Columns) -> Result<(), StorageError> {
        // Every fifth series has nothing, so that groups do not begin where their first series is.
        if !index.is_multiple_of(5) {
            out.timestamps_ms.extend([1_000, 2_000]);
            out.values.extend([index as f64, index as f64 * 3.0]);
        }
        Ok(())
    }

    fn may_have_label(&self, _: &str) -> bool {
        true
    }

    fn read_table(&self, _: usize, _: TimeRange, _: bool, _: &mut HistogramTable) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn read_outline(&self, _: usize, _: TimeRange, _: &Outlining<'_>, _: &mut Outline) -> Result<bool, StorageError> {
        Ok(false)
    }
}

impl Storage for Attentive {
    fn select(&self, _: &SelectHints, _: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        Ok(Box::new(Set(self)))
    }

    fn is_plain(&self) -> bool {
        false
    }
}

fn ask(storage: &Attentive, query: &str, at_once: bool, options: &QueryOptions) -> QueryValue {
    let (expr, cancel) = (parse(query).unwrap(), Cancel::new());
    let result = if at_once {
        instant(storage, &expr, 2_000, options, &cancel)
    } else {
        range(storage, &expr, 1_000, 4_000, 1_000, options, &cancel)
    };
    result.unwrap().value
}

#[test]
fn a_query_that_comes_again_has_the_groups_of_the_plain_evaluation() {
    let aggregations = ["sum", "sum by (a)", "sum by (b, a)", "sum by (a, b)", "sum without (i)", "max without (i, a)"];
    let others = ["count by (__name__)", "count by (a, __name__)", "topk by (a) (2, ", "limitk by (b) (3, "];
    for (names, delayed_name_removal, profile) in [(1, false, false), (3, false, true), (1, true, false)] {
        let storage = Attentive::new(3_000, names);
        for round in 0..3 {
            for aggregation in aggregations.iter().chain(&others) {
                for inner in ["m0_total", "rate(m0_total[5m])", "last_over_time(m0_total[5m])"] {
                    if inner.starts_with("rate") && names > 1 {
                        // Series that a rate leaves without a difference are an error.
                        continue;
                    }
                    let open = if aggregation.contains("k by") { "" } else { " (" };
                    let query = format!("{aggregation}{open}{inner})");
                    for at_once in [true, false] {
                        let fast = QueryOptions { delayed_name_removal, profile, ..QueryOptions::default() };
                        let plain = QueryOptions { optimise: false, ..fast.clone() };
                        let (found, expected) =
                            (ask(&storage, &query, at_once, &fast), ask(&storage, &query, at_once, &plain));
                        assert_eq!(format!("{found:?}"), format!("{expected:?}"), "round {round}: {query}");
                    }
                }
            }
        }
        assert!(storage.remembered() >= 7, "{}", storage.remembered());
        assert!(storage.recalled.into_inner() > 60);
    }
}

#[test]
fn few_rows_and_many_groups_are_not_remembered() {
    let options = QueryOptions::default();
    for (storage, query) in [
        (Attentive::new(1_000, 1), "sum by (a) (m0_total)"),
        (Attentive::new(3_000, 1), "sum by (i) (m0_total)"),
        (Attentive::new(3_000, 1), "sum(m0_total)"),
    ] {
        ask(&storage, query, true, &options);
        assert_eq!(storage.remembered(), 0, "{query}");
    }
}
