//! A small store of metrics as clients meet them: dotted names, quotes in values, counters.

#![expect(clippy::unwrap_used, reason = "whatever fails here fails the test that asked")]

use mytsdb_model::Labels;
use mytsdb_promql::LabelStorage;
use mytsdb_promql_testkit::TestStorage;
use std::sync::Arc;

/// Ten minutes at 15 s, from time 0.
pub fn store() -> Arc<dyn LabelStorage> {
    store_at(0)
}

/// The same from another time on.
pub fn store_at(start_ms: i64) -> Arc<dyn LabelStorage> {
    let mut storage = TestStorage::new();
    let mut add = |labels: &[(&str, &str)], first: f64, step: f64| {
        let labels = Labels::from_pairs(labels.iter().copied());
        for i in 0..=40_i32 {
            storage.append(&labels, start_ms + i64::from(i) * 15_000, first + step * f64::from(i), 0).unwrap();
        }
    };
    add(&[("__name__", "up"), ("job", "x"), ("instance", "1")], 1.0, 0.0);
    add(&[("__name__", "up"), ("job", "x"), ("instance", "2")], 0.0, 0.0);
    add(&[("__name__", "http_requests_total"), ("service.name", "a"), ("code", "200")], 0.0, 15.0);
    add(&[("__name__", "http_requests_total"), ("service.name", "b"), ("code", "500")], 0.0, 30.0);
    add(&[("__name__", "dotted.name"), ("http.status", "200")], 7.0, 0.0);
    add(&[("__name__", "dotted.name"), ("http.status", "4 \"x\" < & 5")], 8.0, 0.0);
    add(&[("__name__", "cpu_total"), ("job", "a")], 1.0, 0.0);
    add(&[("__name__", "conn_total"), ("job", "a")], 1.0, 1.0);
    Arc::new(storage)
}

/// The whole answer to a scalar.
pub fn scalar(seconds: i64, value: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"scalar","result":[{seconds},"{value}"]}}}}"#)
}
