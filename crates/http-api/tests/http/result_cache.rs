//! The result cache as clients meet it: hits in `stats=all` and in the metrics, `nocache=1` goes around it.

use crate::server::Server;
use mytsdb_columns::{Columns, HistogramTable, Outline, Outlining};
use mytsdb_http_api::ApiOptions;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_promql::{
    Cancel, Finding, LabelStorage, QueryOptions, ReadStamp, ResultCache, SelectHints, SeriesSet, Storage, StorageError,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

/// One series with a sample each second, which tells from when on it has changed.
struct Ticking {
    changed_ms: AtomicI64,
    reads: AtomicUsize,
}

struct TickingSet<'a>(&'a Ticking, Labels);

impl Storage for Ticking {
    fn select(&self, _: &SelectHints, _: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        Ok(Box::new(TickingSet(self, Labels::from_pairs([("__name__", "a"), ("job", "b")]))))
    }

    fn is_plain(&self) -> bool {
        true
    }

    fn stamp(&self) -> Option<ReadStamp> {
        Some(ReadStamp { storage: 1, moment: 1 })
    }

    fn changed_since(&self, _: ReadStamp, metric: &str, _: TimeRange) -> i64 {
        assert_eq!(metric, "a");
        self.changed_ms.load(Ordering::Relaxed)
    }
}

impl LabelStorage for Ticking {
    fn label_names(&self, _: TimeRange, _: &[Matcher], _: usize, _: &Cancel) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }

    fn label_values(
        &self,
        _: &str,
        _: TimeRange,
        _: &[Matcher],
        _: usize,
        _: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }
}

impl SeriesSet for TickingSet<'_> {
    fn len(&self) -> usize {
        1
    }

    fn may_have_label(&self, name: &str) -> bool {
        self.1.get(name).is_some()
    }

    fn labels(&self, _: usize) -> &Labels {
        &self.1
    }

    fn recall(&self, _: &[u8]) -> Option<Finding> {
        None
    }

    fn remember(&self, _: &[u8], _: Finding, _: usize) {}

    fn read(&self, _: usize, range: TimeRange, out: &mut Columns) -> Result<(), StorageError> {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        for second in range.mint.div_euclid(1_000)..=range.maxt.div_euclid(1_000) {
            if range.contains(second * 1_000) {
                out.timestamps_ms.push(second * 1_000);
                out.values.push(second as f64);
            }
        }
        Ok(())
    }

    fn read_table(&self, _: usize, _: TimeRange, _: bool, _: &mut HistogramTable) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn read_outline(&self, _: usize, _: TimeRange, _: &Outlining<'_>, _: &mut Outline) -> Result<bool, StorageError> {
        Ok(false)
    }
}

#[test]
fn steps_are_kept_until_they_change_and_nocache_goes_around_them() {
    let storage = Arc::new(Ticking { changed_ms: AtomicI64::new(i64::MAX), reads: AtomicUsize::new(0) });
    let query = QueryOptions { results: Some(ResultCache::new(1 << 20)), ..QueryOptions::default() };
    let server = Server::start(storage.clone(), ApiOptions { query, ..ApiOptions::default() });
    let ask = |path: &str, more: &str| {
        let reads = storage.reads.load(Ordering::Relaxed);
        let target = format!("/api/v1/{path}?query=sum(a)&start=1000&end=1290&step=10&time=1000{more}");
        let answer: serde_json::Value = serde_json::from_slice(&server.get(&target).body).unwrap();
        let used = &answer["data"]["stats"]["resultCache"];
        let used = ["hits", "partial", "misses", "stepsKept", "stepsComputed"].map(|name| used[name].as_u64());
        let reads = storage.reads.load(Ordering::Relaxed) - reads;
        (answer["data"]["result"].clone(), used.map(|count| count.unwrap_or(99)), reads)
    };
    let all = "&stats=all";
    let (first, used, reads) = ask("query_range", all);
    assert_eq!((first[0]["values"].as_array().unwrap().len(), used, reads), (30, [0, 0, 1, 0, 30], 1));
    assert_eq!(ask("query_range", all), (first.clone(), [1, 0, 0, 30, 0], 0));
    assert_eq!(ask("query_range", ""), (first.clone(), [99; 5], 0), "told when asked for");
    assert_eq!(ask("query_range", "&stats=all&nocache=1"), (first.clone(), [0; 5], 1));
    storage.changed_ms.store(1_250_001, Ordering::Relaxed);
    assert_eq!(ask("query_range", all), (first.clone(), [0, 1, 0, 26, 4], 1));
    storage.changed_ms.store(1_000_000, Ordering::Relaxed);
    assert_eq!(ask("query_range", all), (first, [0, 0, 1, 0, 30], 1));
    let (_, used, reads) = ask("query", all);
    assert_eq!((used, reads), ([0; 5], 1), "one step is not worth it");
    let metrics = server.get("/metrics").text();
    for (result, count) in [("hit", 2), ("partial", 1), ("miss", 2)] {
        let line = format!("mytsdb_result_cache_requests_total{{result=\"{result}\"}} {count}\n");
        assert!(metrics.contains(&line), "{line}{metrics}");
    }
    assert!(metrics.contains("mytsdb_result_cache_entries 1\n"), "{metrics}");
}
