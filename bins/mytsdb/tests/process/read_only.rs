//! `serve --read-only`: the tier of a node that is gone, on a machine that has nothing of it.

use crate::raw::{export_json, export_protobuf, now_s, post, snappy, write_v1};
use crate::refused;
use crate::server::{ANY, Server, eventually};
use std::path::Path;
use std::time::{Duration, Instant};

const DAY_MS: u64 = 86_400_000;

/// A node that puts samples of three days ago into a store and is gone; gives its answers to some questions.
fn node_that_goes(store: &Path, job: &str, questions: &[String]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let old_s = now_s() - 3 * DAY_MS / 1_000;
    // Without metrics of its own, which would stay in its head.
    let quiet = ["--self-metrics-interval", "0"];
    let server = Server::start_with(dir.path(), &quiet);
    // All in one request: what a flush finds is all of it or nothing.
    let mut points = Vec::new();
    for minute in 0..60 {
        let (time_s, value) = (old_s + 60 * minute, 10 * minute);
        for (instance, value) in [("a", value), ("b", value * 3)] {
            points.push(format!(
                r#"{{"timeUnixNano":"{time_s}000000000","asInt":"{value}","attributes":[
                    {{"key":"job","value":{{"stringValue":"{job}"}}}},
                    {{"key":"instance","value":{{"stringValue":"{instance}"}}}}]}}"#
            ));
        }
    }
    let (points, now_s) = (points.join(","), now_s());
    // How old a day is is told by the newest sample.
    let request = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[
            {{"name":"bytes","sum":{{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{points}]}}}},
            {{"name":"newest","gauge":{{"dataPoints":[{{"timeUnixNano":"{now_s}000000000","asInt":"1"}}]}}}},
            {{"name":"took","unit":"s","exponentialHistogram":{{"aggregationTemporality":2,"dataPoints":[
                {{"timeUnixNano":"{old_s}000000000","count":"6","sum":9,"scale":0,"zeroCount":"1",
                  "positive":{{"offset":0,"bucketCounts":["2","3"]}}}}]}}}}]}}]}}]}}"#
    );
    let stored = post(&server.otlp_http, "Content-Type: application/json\r\n", request.as_bytes());
    assert_eq!((stored.status, stored.body.as_str()), (200, "{}"));
    // Maintenance puts what is old into blocks.
    eventually(&server, "/metrics", "\nmytsdb_engine_flushes_total 1");
    server.signal("TERM");
    server.wait();
    let server = Server::start_with(dir.path(), &[&quiet[..], &["--cold-url", &url(store)]].concat());
    eventually(&server, "/metrics", "\nmytsdb_cold_samples 121");
    let answers = questions.iter().map(|question| server.get(question)).collect();
    server.signal("KILL");
    server.wait();
    answers
}

fn url(store: &Path) -> String {
    format!("file://{}", store.display())
}

#[test]
fn the_tier_of_a_node_that_is_gone_answers_every_endpoint_and_takes_nothing() {
    let (store, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let old_s = now_s() - 3 * DAY_MS / 1_000;
    let (from, to) = (old_s - 60, old_s + 3_700);
    let range = format!("start={from}&end={to}");
    let questions = [
        format!("/api/v1/query?query=bytes_total&time={to}"),
        format!("/api/v1/query?query=bytes_total[2h]&time={to}"),
        format!("/api/v1/query?query=histogram_quantile(0.5,took_seconds)&time={}", old_s + 10),
        format!("/api/v1/query_range?query=sum+by+(job)(rate(bytes_total[5m]))&step=60&{range}"),
        format!("/api/v1/series?match[]=bytes_total&{range}"),
        format!("/api/v1/labels?{range}"),
        format!("/api/v1/label/instance/values?{range}"),
        format!("/api/v1/label/__name__/values?match[]=bytes_total&{range}"),
        format!("/api/v1/query_exemplars?query=bytes_total&{range}"),
    ];
    let before = node_that_goes(store.path(), "x", &questions);
    assert!(before[0].contains("\"590\"") && before[0].contains("\"1770\""), "{}", before[0]);
    assert!(before[2].contains("\"value\""), "{}", before[2]);

    let data = elsewhere.path().join("data");
    let url = url(store.path());
    let flags = ["--read-only", "--web-enable-admin-api", "--cold-url", &url];
    let server = Server::start_with(&data, &flags);
    assert_eq!(server.get("/-/ready").trim_end(), "mytsdb is ready.");
    assert!(server.get("/").contains("<html"));
    for (question, expected) in questions.iter().zip(&before) {
        assert_eq!(&server.get(question), expected, "{question}");
    }
    eventually(&server, "/api/v1/metadata?metric=bytes_total", "counter");
    let metadata = server.get("/api/v1/metadata?metric=took_seconds");
    assert!(metadata.contains("histogram") && metadata.contains("\"unit\":\"seconds\""), "{metadata}");
    assert!(server.get("/metrics").contains("\nmytsdb_cold_samples 121"));
    assert!(server.get("/api/v1/status/flags").contains("\"read-only\":\"true\""));

    let write = snappy(&write_v1(&[("__name__", b"new")], &[(now_s() as i64 * 1_000, 1.0)]));
    let json = export_json("new", now_s(), "");
    let protobuf = export_protobuf("new", now_s(), b"");
    let api = |path: &str| format!("{}{path}", server.http);
    for (to, kind, body) in [
        (server.otlp_http.clone(), "application/x-protobuf", &protobuf[..]),
        (server.otlp_http.clone(), "application/json", json.as_bytes()),
        (api("/api/v1/otlp/v1/metrics"), "application/json", json.as_bytes()),
        (api("/api/v1/write"), "application/x-protobuf", &write[..]),
        (api("/api/v1/import/prometheus"), "text/plain", b"new 1\n"),
        (api("/api/v1/import"), "application/json", b"{}"),
        (api("/api/v1/admin/tsdb/delete_series?match[]=bytes_total"), "text/plain", b""),
        (api("/api/v1/admin/tsdb/clean_tombstones"), "text/plain", b""),
    ] {
        let answer = post(&to, &format!("Content-Type: {kind}\r\n"), body);
        assert_eq!(answer.status, 403, "{to}: {answer:?}");
        assert!(answer.body.contains("--read-only"), "{to}: {answer:?}");
    }
    assert_eq!(server.get(&questions[0]), before[0], "nothing was deleted");
    let stopping = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(stopping.elapsed() < Duration::from_secs(10));
    assert!(!data.exists(), "it made a data folder");
}

#[test]
fn of_several_nodes_one_is_chosen_and_a_store_without_any_is_refused() {
    let store = tempfile::tempdir().unwrap();
    let to = now_s() - 3 * DAY_MS / 1_000 + 3_700;
    let question = [format!("/api/v1/query?query=bytes_total&time={to}")];
    let answers: Vec<String> = ["x", "y"].iter().flat_map(|job| node_that_goes(store.path(), job, &question)).collect();
    let listen = ["serve", "--http-listen", ANY, "--otlp-grpc-listen", ANY, "--otlp-http-listen", ANY, "--read-only"];
    let start = |flags: &[&str]| refused(&[&listen[..], flags].concat());
    let error = start(&["--cold-url", &url(store.path())]);
    assert!(error.contains("2 nodes") && error.contains("--cold-node"), "{error}");
    let names: Vec<&str> = error.rsplit(": ").next().unwrap().trim().split(", ").collect();
    let data = store.path().join("none");
    let mut found: Vec<String> = names
        .iter()
        .map(|name| {
            let server =
                Server::start_with(&data, &["--read-only", "--cold-url", &url(store.path()), "--cold-node", name]);
            server.get(&question[0])
        })
        .collect();
    found.sort();
    let mut expected = answers.clone();
    expected.sort();
    assert_eq!(found, expected);

    let error = start(&["--cold-url", &url(store.path()), "--cold-node", "0000000000000000"]);
    assert!(error.contains("0000000000000000"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = start(&["--cold-url", &url(empty.path())]);
    assert!(error.contains("no node has written there"), "{error}");
    let missing = empty.path().join("missing");
    let error = start(&["--cold-url", &url(&missing)]);
    assert!(error.contains("missing") && !missing.exists(), "{error}");
    assert!(start(&[]).contains("--cold-url"));
}
