//! Methods, headers, compression, probes, limits, panics, timeouts, disconnects and shutdown.

use crate::server::{Server, read_answer, samples};
use mytsdb_columns::{Columns, HistogramTable, Outline, Outlining};
use mytsdb_http_api::ApiOptions;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_promql::{
    Cancel, Finding, LabelStorage, MemoryBudget, QueryOptions, SelectHints, SeriesSet, Storage, StorageError,
};
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

#[test]
fn wrong_methods_get_405_and_options_204() {
    let server = Server::with_samples();
    for (method, target) in [
        ("DELETE", "/api/v1/query"),
        ("POST", "/api/v1/label/a/values"),
        ("PUT", "/api/v1/status/buildinfo"),
        ("POST", "/metrics"),
    ] {
        let answer = server.send(method, target, "", "");
        assert_eq!((answer.status, answer.text().as_str()), (405, "Method Not Allowed\n"), "{method} {target}");
        assert!(answer.header("allow").contains("GET"));
    }
    assert_eq!(server.send("OPTIONS", "/api/v1/query", "", "").status, 204);
    assert_eq!(server.send("HEAD", "/-/healthy", "", "").status, 200);
}

#[test]
fn browsers_of_any_origin_are_let_in_by_default() {
    let server = Server::with_samples();
    let answer = server.send("GET", "/api/v1/query?query=1", "Origin: https://grafana.example\r\n", "");
    assert_eq!(answer.header("access-control-allow-origin"), "https://grafana.example");
    assert_eq!(answer.header("access-control-allow-methods"), "GET, POST, OPTIONS");
    assert_eq!(answer.header("access-control-allow-headers"), "Accept, Authorization, Content-Type, Origin");
    assert_eq!(answer.header("access-control-expose-headers"), "Date");
    assert_eq!(answer.header("vary"), "Accept-Encoding, Origin");
    assert_eq!(server.get("/api/v1/query?query=1").header("access-control-allow-origin"), "");

    let options = ApiOptions { cors_origin: "https://.*\\.example".into(), ..ApiOptions::default() };
    let server = Server::start(samples(), options);
    let allowed = |origin: &str| {
        server
            .send("GET", "/api/v1/query?query=1", &format!("Origin: {origin}\r\n"), "")
            .header("access-control-allow-origin")
    };
    assert_eq!(allowed("https://a.example"), "https://a.example");
    assert_eq!(allowed("https://a.example.evil"), "");
}

#[test]
fn large_answers_are_compressed_on_request() {
    let server = Server::with_samples();
    let target = "/api/v1/query_range?query=temp&start=0&end=600&step=1";
    let plain = server.get(target);
    assert_eq!(plain.header("content-encoding"), "");
    assert_eq!(plain.header("content-type"), "application/json");
    let gzip = server.send("GET", target, "Accept-Encoding: br, gzip, deflate\r\n", "");
    assert_eq!(gzip.header("content-encoding"), "gzip");
    let mut back = Vec::new();
    flate2::read::GzDecoder::new(&gzip.body[..]).read_to_end(&mut back).unwrap();
    assert_eq!(back, plain.body);
    let deflate = server.send("GET", target, "Accept-Encoding: deflate\r\n", "");
    let mut back = Vec::new();
    flate2::read::ZlibDecoder::new(&deflate.body[..]).read_to_end(&mut back).unwrap();
    assert_eq!(back, plain.body);
}

/// Thirty thousand points, from three series.
const LONG: &str = "/api/v1/query_range?query={__name__=~\".%2B\"}&start=0&end=1000&step=0.1&lookback_delta=10m";

#[test]
fn long_answers_are_sent_while_they_are_written() {
    let server = Server::with_samples();
    let target = LONG.replace('"', "%22");
    let plain = server.get(&target);
    assert_eq!((plain.header("transfer-encoding").as_str(), plain.header("content-length").as_str()), ("chunked", ""));
    let answer: serde_json::Value = serde_json::from_slice(&plain.body).unwrap();
    let series = answer["data"]["result"].as_array().unwrap();
    assert_eq!(series.len(), 3);
    assert!(series.iter().all(|s| s["values"].as_array().unwrap().len() == 10_001));
    let gzip = server.send("GET", &target, "Accept-Encoding: gzip\r\n", "");
    let mut back = Vec::new();
    flate2::read::GzDecoder::new(&gzip.body[..]).read_to_end(&mut back).unwrap();
    assert_eq!((gzip.header("content-encoding").as_str(), back == plain.body), ("gzip", true));
}

#[test]
fn nobody_waits_for_clients_that_do_not_read_a_long_answer() {
    let options = ApiOptions { queries_running_max: 1, queries_waiting_max: 0, ..ApiOptions::default() };
    let server = Server::start(samples(), options);
    let target = LONG.replace('"', "%22");
    let idle = || wait_until(|| server.get("/metrics").text().contains("mytsdb_http_jobs_running{gate=\"query\"} 0\n"));
    let mut stream = server.connect();
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()).unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    idle();
    drop(stream);
    assert_eq!(server.get(&target).status, 200);
}

#[test]
fn a_client_that_does_not_read_fills_no_memory_and_keeps_no_turn_for_ever() {
    // An answer of some 100 MB, and a budget of 4 for all queries.
    let budget = MemoryBudget::new(4 << 20, "--flag");
    let query = QueryOptions { memory: Some(budget.clone()), ..QueryOptions::default() };
    let query_timeout = Duration::from_secs(3);
    let options = ApiOptions { query, query_timeout, queries_running_max: 2, ..ApiOptions::default() };
    let storage = Arc::new(Odd::default());
    let server = Server::start(Arc::clone(&storage) as _, options);
    let mut stream = server.connect();
    let long = "/api/v1/query_range?query=up%20@%20end()&start=0&end=10000&step=1&lookback_delta=1d";
    stream.write_all(format!("GET {long} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    wait_until(|| budget.used_bytes() > 3 << 20);
    let running =
        |n: u32| server.get("/metrics").text().contains(&format!("mytsdb_http_jobs_running{{gate=\"query\"}} {n}\n"));
    assert!(running(1));
    let answer = server.get("/api/v1/query?query=1&time=0");
    assert_eq!(answer.status, 200, "{}", answer.text());
    wait_until(|| running(0));
    assert!(storage.reads.load(Ordering::Relaxed) < 500, "it was not read to the end");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).ok();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "a part is not taken for the whole");
    wait_until(|| budget.used_bytes() == 0);
    assert!(budget.peak_bytes() <= 4 << 20);
}

#[test]
fn a_query_stops_when_the_client_of_its_long_answer_goes() {
    let storage = Arc::new(Odd { pause: Duration::from_millis(2), ..Odd::default() });
    let server = Server::start(Arc::clone(&storage) as _, ApiOptions::default());
    let mut stream = server.connect();
    let long = "/api/v1/query_range?query=up%20@%20end()&start=0&end=10000&step=1&lookback_delta=1d&limit=10";
    stream.write_all(format!("GET {long} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()).unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).unwrap();
    // All that is shown has been written; the rest is only evaluated.
    drop(stream);
    wait_until(|| server.get("/metrics").text().contains("mytsdb_http_jobs_running{gate=\"query\"} 0\n"));
    assert!(storage.reads.load(Ordering::Relaxed) < 900, "it was not read to the end");
}

#[test]
fn nothing_but_health_is_answered_before_the_server_is_ready() {
    let server = Server::with_samples();
    server.check("/-/ready", 200, "mytsdb is ready.\n");
    server.ready.store(false, Ordering::Release);
    for target in ["/-/ready", "/api/v1/query?query=1"] {
        let answer = server.get(target);
        assert_eq!((answer.status, answer.text().as_str()), (503, "Service Unavailable"));
        assert_eq!(answer.header("x-prometheus-stopping"), "false");
    }
    server.check("/-/healthy", 200, "mytsdb is healthy.\n");
    assert_eq!(server.get("/metrics").status, 200);
}

#[test]
fn requests_are_counted_by_route_and_never_by_path() {
    let server = Server::with_samples();
    server.get("/api/v1/query?query=1");
    server.get("/api/v1/label/secret/values");
    server.get("/made/up/path");
    let metrics = server.get("/metrics");
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = metrics.text();
    for line in [
        r#"mytsdb_http_requests_total{code="200",handler="/api/v1/query"} 1"#,
        r#"mytsdb_http_requests_total{code="200",handler="/api/v1/label/{name}/values"} 1"#,
        r#"mytsdb_http_requests_total{code="404",handler="unmatched"} 1"#,
        r#"mytsdb_http_request_duration_seconds_count{handler="/api/v1/query"} 1"#,
        r#"mytsdb_query_stage_seconds_count{stage="evaluate"} 1"#,
        "process_resident_memory_bytes ",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("secret") && !text.contains("made/up"));
}

#[test]
fn the_page_is_whole_and_locked_down() {
    let server = Server::with_samples();
    let page = server.get("/");
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").starts_with("default-src 'self'"));
    let text = page.text();
    let script = text.split('"').find(|t| t.ends_with("/app.js")).unwrap();
    let asset = server.get(&format!("/{script}"));
    assert_eq!(asset.header("content-type"), "text/javascript; charset=utf-8");
    assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
    let etag = page.header("etag");
    let again = server.send("GET", "/", &format!("If-None-Match: {etag}\r\n"), "");
    assert_eq!((again.status, again.body.len()), (304, 0));
    assert_eq!(server.get("/ui/old/app.js").header("cache-control"), "no-cache");
    assert_eq!(server.get("/ui/old/nothing.js").status, 404);
    assert_eq!(server.get("/favicon.ico").header("content-type"), "image/svg+xml");
}

#[test]
fn oversized_requests_are_refused() {
    let server = Server::with_samples();
    let long = format!("query={}1", "%2B".repeat(17 << 10));
    let answer = server.post("/api/v1/query", &long);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("bad_data"), "{}", answer.text());
    let huge = format!("query={}", "1".repeat(11 << 20));
    let mut stream = server.connect();
    let head = format!(
        "POST /api/v1/query HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        huge.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(huge.as_bytes()).unwrap();
    assert_eq!(
        read_answer(&mut stream).text(),
        r#"{"status":"error","errorType":"bad_data","error":"form body is larger than 10485760 bytes (--http-max-form-bytes)"}"#
    );
    let headers = format!("X-Long: {}\r\n", "x".repeat(17 << 10));
    assert_eq!(server.send("GET", "/-/healthy", &headers, "").status, 431);
}

/// Series whose reading takes time, until somebody says stop; or that panic.
#[derive(Default)]
struct Odd {
    panics: bool,
    pause: Duration,
    reads: AtomicUsize,
}

struct OddSet<'a>(&'a Odd, Vec<Labels>);

impl Storage for Odd {
    fn select(&self, _: &SelectHints, _: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        assert!(!self.panics, "a storage that panics");
        let labels = (0..1000).map(|i| Labels::from_pairs([("n", format!("{i:04}"))])).collect();
        Ok(Box::new(OddSet(self, labels)))
    }

    fn is_plain(&self) -> bool {
        false
    }
}

impl LabelStorage for Odd {
    fn label_names(&self, _: TimeRange, _: &[Matcher], _: usize, _: &Cancel) -> Result<Vec<String>, StorageError> {
        Err(StorageError::new("block 7 is damaged"))
    }

    fn label_values(
        &self,
        _: &str,
        _: TimeRange,
        _: &[Matcher],
        limit: usize,
        _: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        let len = if limit == 0 { 40_000 } else { limit.min(40_000) };
        Ok((0..len).map(|i| format!("{i:05}")).collect())
    }
}

impl SeriesSet for OddSet<'_> {
    fn len(&self) -> usize {
        self.1.len()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.1[index]
    }

    fn read(&self, _: usize, range: TimeRange, out: &mut Columns) -> Result<(), StorageError> {
        self.0.reads.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(self.0.pause);
        out.timestamps_ms.push(range.maxt);
        out.values.push(1.0);
        Ok(())
    }

    fn may_have_label(&self, _: &str) -> bool {
        true
    }

    fn recall(&self, _: &[u8]) -> Option<Finding> {
        None
    }

    fn remember(&self, _: &[u8], _: Finding, _: usize) {}

    fn read_table(&self, _: usize, _: TimeRange, _: bool, _: &mut HistogramTable) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn read_outline(&self, _: usize, _: TimeRange, _: &Outlining<'_>, _: &mut Outline) -> Result<bool, StorageError> {
        Ok(false)
    }
}

#[test]
fn a_panic_is_an_answer_and_the_server_lives() {
    let server = Server::start(Arc::new(Odd { panics: true, ..Odd::default() }), ApiOptions::default());
    let error = "internal error: the query ended in a panic";
    server.check_error("/api/v1/query?query=up", 500, "internal", error);
    server.check_data("/api/v1/query?query=1&time=0", r#"{"resultType":"scalar","result":[0,"1"]}"#);
}

#[test]
fn storage_errors_are_internal() {
    let server = Server::start(Arc::new(Odd::default()), ApiOptions::default());
    server.check_error("/api/v1/labels", 500, "internal", "block 7 is damaged");
}

#[test]
fn label_values_without_a_limit_are_bounded() {
    let server = Server::start(Arc::new(Odd::default()), ApiOptions::default());
    let count = |target: &str| {
        let answer: serde_json::Value = serde_json::from_slice(&server.get(target).body).unwrap();
        (answer["data"].as_array().unwrap().len(), answer.get("warnings").is_some())
    };
    assert_eq!(count("/api/v1/label/n/values"), (30_000, true));
    assert_eq!(count("/api/v1/label/n/values?limit=0"), (40_000, false));
}

#[test]
fn a_query_stops_at_its_timeout() {
    let storage = Arc::new(Odd { pause: Duration::from_millis(5), ..Odd::default() });
    let server = Server::start(Arc::clone(&storage) as _, ApiOptions::default());
    let answer = server.get("/api/v1/query?query=sum(up)&timeout=100ms");
    assert_eq!(answer.status, 503);
    assert!(answer.text().starts_with(r#"{"status":"error","errorType":"timeout","error":"query timed out"#));
    assert!(storage.reads.load(Ordering::Relaxed) < 500);
}

#[test]
fn a_query_stops_when_its_client_goes() {
    let storage = Arc::new(Odd { pause: Duration::from_millis(5), ..Odd::default() });
    let server = Server::start(Arc::clone(&storage) as _, ApiOptions::default());
    let mut stream = server.connect();
    stream.write_all(b"GET /api/v1/query?query=sum(up) HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    wait_until(|| storage.reads.load(Ordering::Relaxed) > 3);
    drop(stream);
    wait_until(|| server.get("/metrics").text().contains("mytsdb_http_jobs_running{gate=\"query\"} 0\n"));
    assert!(storage.reads.load(Ordering::Relaxed) < 900, "it was not read to the end");
}

#[test]
fn queries_beyond_the_queue_are_refused() {
    let storage = Arc::new(Odd { pause: Duration::from_millis(5), ..Odd::default() });
    let options = ApiOptions { queries_running_max: 1, queries_waiting_max: 0, ..ApiOptions::default() };
    let server = Server::start(Arc::clone(&storage) as _, options);
    let mut stream = server.connect();
    stream.write_all(b"GET /api/v1/query?query=sum(up) HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    wait_until(|| storage.reads.load(Ordering::Relaxed) > 0);
    let answer = server.get("/api/v1/query?query=1");
    assert_eq!((answer.status, answer.header("retry-after").as_str()), (503, "1"));
    assert_eq!(
        answer.text(),
        r#"{"status":"error","errorType":"timeout","error":"too many queries: 1 run and 0 wait"}"#
    );
}

#[test]
fn a_request_in_flight_is_answered_at_shutdown() {
    let storage = Arc::new(Odd { pause: Duration::from_micros(300), ..Odd::default() });
    let mut server = Server::start(Arc::clone(&storage) as _, ApiOptions::default());
    let mut stream = server.connect();
    stream.write_all(b"GET /api/v1/query?query=sum(up)&time=1 HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    wait_until(|| storage.reads.load(Ordering::Relaxed) > 0);
    server.begin_stop();
    let answer = read_answer(&mut stream);
    assert_eq!(
        answer.text(),
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"1000"]}]}}"#
    );
}

#[test]
fn what_does_not_finish_in_time_is_cut_off_at_shutdown() {
    let storage = Arc::new(Odd { pause: Duration::from_millis(5), ..Odd::default() });
    let options = ApiOptions { drain: Duration::from_millis(50), ..ApiOptions::default() };
    let mut server = Server::start(Arc::clone(&storage) as _, options);
    let mut stream = server.connect();
    stream.write_all(b"GET /api/v1/query?query=sum(up) HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    wait_until(|| storage.reads.load(Ordering::Relaxed) > 0);
    let began = Instant::now();
    server.stop();
    assert!(began.elapsed() < Duration::from_secs(3));
    assert!(storage.reads.load(Ordering::Relaxed) < 900);
}

#[track_caller]
fn wait_until(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(20), "nothing happened");
        std::thread::yield_now();
    }
}

/// Searches without an end, unless it is told to stop.
struct Endless;

fn search(cancel: &Cancel) -> StorageError {
    loop {
        if let Err(error) = cancel.check() {
            return StorageError::from_error(error);
        }
        std::thread::yield_now();
    }
}

impl Storage for Endless {
    fn select(&self, hints: &SelectHints, _: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        Err(search(&hints.cancel))
    }

    fn is_plain(&self) -> bool {
        false
    }
}

impl LabelStorage for Endless {
    fn label_names(&self, _: TimeRange, _: &[Matcher], _: usize, cancel: &Cancel) -> Result<Vec<String>, StorageError> {
        Err(search(cancel))
    }

    fn label_values(
        &self,
        _: &str,
        _: TimeRange,
        _: &[Matcher],
        _: usize,
        cancel: &Cancel,
    ) -> Result<Vec<String>, StorageError> {
        Err(search(cancel))
    }
}

#[test]
fn the_deadline_reaches_the_storage() {
    let options = ApiOptions { query_timeout: std::time::Duration::from_millis(20), ..ApiOptions::default() };
    let server = Server::start(Arc::new(Endless), options);
    for target in ["query?query=a", "series?match[]=a", "labels", "labels?match[]=a", "label/x/values", "status/tsdb"] {
        let answer = server.get(&format!("/api/v1/{target}"));
        assert_eq!(answer.status, 503, "{target}: {}", answer.text());
        assert!(answer.text().contains("query timed out in query execution"), "{target}: {}", answer.text());
    }
}
