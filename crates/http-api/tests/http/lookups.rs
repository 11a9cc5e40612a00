//! Lists of series and counts over them stay within the memory of queries, and stop when they are told to.

use crate::server::Server;
use mytsdb_columns::{Columns, HistogramTable, Outline, Outlining};
use mytsdb_http_api::ApiOptions;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_promql::{
    Cancel, Finding, LabelStorage, MemoryBudget, QueryOptions, SelectHints, SeriesSet, Storage, StorageError,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// So many series, which all look the same.
struct Same(usize);

struct SameSet(usize, Labels);

impl Storage for Same {
    fn select(&self, _: &SelectHints, _: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        Ok(Box::new(SameSet(self.0, Labels::from_pairs([("__name__", "a"), ("job", "b")]))))
    }

    fn is_plain(&self) -> bool {
        true
    }
}

impl LabelStorage for Same {
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

impl SeriesSet for SameSet {
    fn len(&self) -> usize {
        self.0
    }

    fn may_have_label(&self, _: &str) -> bool {
        true
    }

    fn labels(&self, _: usize) -> &Labels {
        &self.1
    }

    fn recall(&self, _: &[u8]) -> Option<Finding> {
        None
    }

    fn remember(&self, _: &[u8], _: Finding, _: usize) {}

    fn read(&self, _: usize, _: TimeRange, _: &mut Columns) -> Result<(), StorageError> {
        Ok(())
    }

    fn read_table(&self, _: usize, _: TimeRange, _: bool, _: &mut HistogramTable) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn read_outline(&self, _: usize, _: TimeRange, _: &Outlining<'_>, _: &mut Outline) -> Result<bool, StorageError> {
        Ok(false)
    }
}

const TARGETS: [&str; 3] = ["series?match[]=a", "series?match[]=a&match[]=b", "status/tsdb"];

fn get(series: usize, target: &str, options: ApiOptions) -> (u16, String) {
    let server = Server::start(Arc::new(Same(series)), options);
    let answer = server.get(&format!("/api/v1/{target}"));
    (answer.status, answer.text())
}

#[test]
fn they_count_for_the_memory_of_queries() {
    for target in TARGETS {
        let query = QueryOptions { max_bytes: 10_000, ..QueryOptions::default() };
        let (status, text) = get(1_000, target, ApiOptions { query, ..ApiOptions::default() });
        assert_eq!(status, 422, "{target}: {text}");
        let memory = MemoryBudget::new(10_000, "--query-max-total-bytes");
        let query = QueryOptions { memory: Some(memory.clone()), ..QueryOptions::default() };
        let (status, text) = get(1_000, target, ApiOptions { query, ..ApiOptions::default() });
        assert!(status == 503 && text.contains("10000 bytes (--query-max-total-bytes)"), "{target}: {text}");
        assert_eq!(memory.used_bytes(), 0, "{target}");
    }
}

#[test]
fn they_stop_at_the_deadline_however_many_series_there_are() {
    for target in TARGETS {
        let query = QueryOptions { max_bytes: u64::MAX, ..QueryOptions::default() };
        let query_timeout = Duration::from_millis(50);
        let began = Instant::now();
        let (status, text) = get(1 << 40, target, ApiOptions { query, query_timeout, ..ApiOptions::default() });
        assert!(status == 503 && text.contains("query timed out in query execution"), "{target}: {status} {text}");
        assert!(began.elapsed() < Duration::from_secs(10), "{target}");
    }
}

#[test]
fn counts_name_the_largest_first_and_equal_ones_by_name() {
    let server = Server::start(Arc::new(Same(3)), ApiOptions::default());
    let counts: serde_json::Value = serde_json::from_slice(&server.get("/api/v1/status/tsdb?limit=1").body).unwrap();
    let data = &counts["data"];
    assert_eq!(data["headStats"]["numSeries"], 3);
    assert_eq!(data["seriesCountByMetricName"].to_string(), r#"[{"name":"a","value":3}]"#);
    assert_eq!(data["labelValueCountByLabelName"].to_string(), r#"[{"name":"__name__","value":1}]"#);
    assert_eq!(data["seriesCountByLabelValuePair"].to_string(), r#"[{"name":"__name__=a","value":3}]"#);
}
