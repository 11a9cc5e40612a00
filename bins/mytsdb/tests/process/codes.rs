//! What each write protocol over HTTP, and a query, is answered in each situation, as its clients obey it; gRPC's answers are
//! in the tests of its crate.

use crate::raw::{Answer, export_json, export_protobuf, now_s, post, snappy, write_v1, write_v2};
use crate::server::Server;

const JSON: &str = "Content-Type: application/json\r\n";
const PROTOBUF: &str = "Content-Type: application/x-protobuf\r\n";
const V2: &str =
    "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\nContent-Encoding: snappy\r\n";

/// Codes after which the exporter of a Collector sends again. After other errors it drops the data.
fn collector_retries(answer: &Answer) -> bool {
    matches!(answer.status, 429 | 502..=504)
}

/// Codes after which Prometheus sends again by default.
fn prometheus_retries(answer: &Answer) -> bool {
    answer.status >= 500
}

fn written(answer: &Answer) -> Vec<&str> {
    let names = ["samples", "histograms", "exemplars"];
    names.iter().filter_map(|name| answer.header(&format!("x-prometheus-remote-write-{name}-written"))).collect()
}

#[test]
fn every_situation_of_otlp_over_http_has_its_code() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &["--max-request-bytes", "100000", "--max-compressed-bytes", "1000"]);
    let export = export_json("stored", now_s(), "");
    let late = export_json("late", 1_000_000, "");
    let api = format!("{}/api/v1/otlp/v1/metrics", server.http);
    let large = vec![b' '; 100_001];
    for url in [&server.otlp_http, &api] {
        let stored = post(url, JSON, export.as_bytes());
        assert_eq!((stored.status, stored.body.as_str()), (200, "{}"));
        let partial = post(url, JSON, late.as_bytes());
        assert_eq!(partial.status, 200);
        assert!(
            partial.body.contains("\"rejectedDataPoints\":\"1\"") && partial.body.contains("--retention"),
            "{partial:?}"
        );
        for (headers, body, status, part) in [
            (JSON, &b"{"[..], 400, ""),
            (PROTOBUF, b"\xff\xff\xff", 400, "undecodable"),
            ("Content-Type: text/plain\r\n", b"x", 415, "content type"),
            ("", b"x", 415, "content type"),
            ("Content-Type: application/json\r\nContent-Encoding: br\r\n", b"x", 415, "br"),
            ("Content-Type: application/json\r\nContent-Encoding: gzip\r\n", b"no gzip", 400, "gzip"),
            (JSON, &large[..], 413, "--max-request-bytes"),
            ("Content-Type: application/json\r\nContent-Encoding: gzip\r\n", &[0; 1001], 413, "--max-compressed-bytes"),
        ] {
            let answer = post(url, headers, body);
            assert_eq!(answer.status, status, "{headers}{answer:?}");
            assert!(answer.body.contains(part), "{answer:?}");
            assert!(!collector_retries(&answer), "{answer:?}");
        }
        let json = post(url, JSON, b"{");
        assert!(
            json.header("content-type") == Some("application/json") && json.body.contains("\"code\":3"),
            "{json:?}"
        );
        assert_eq!(post(url, PROTOBUF, b"\xff").header("content-type"), Some("application/x-protobuf"));
    }
    let ask = |url: &str| ureq::get(url).config().http_status_as_error(false).build().call().unwrap().status().as_u16();
    assert_eq!(ask(&server.otlp_http), 405);
    assert_eq!(ask(&server.otlp_http.replace("/v1/metrics", "/v1/traces")), 404);
}

#[test]
fn every_situation_of_remote_write_has_its_code() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &["--max-request-bytes", "100000"]);
    let url = format!("{}/api/v1/write", server.http);
    let now_ms = now_s() as i64 * 1000;
    let one =
        |name: &str, time_ms: i64, value: f64| snappy(&write_v1(&[("__name__", name.as_bytes())], &[(time_ms, value)]));
    for (body, status, part) in [
        (one("a", now_ms, 1.0), 204, ""),
        (one("a", now_ms, 1.0), 204, ""),
        (one("a", now_ms, 2.0), 400, "duplicate sample for timestamp"),
        (one("a", 1_000_000, 1.0), 400, "too old"),
        (one("a", now_ms + 86_400_000, 1.0), 400, "out of bounds"),
        (snappy(&write_v1(&[("job", b"a")], &[(now_ms, 1.0)])), 400, "invalid metric name or labels"),
        (snappy(b"\xff\xff\xff"), 400, "undecodable"),
        (b"no snappy".to_vec(), 400, "snappy"),
        (snappy(&vec![0; 100_001]), 413, "--max-request-bytes"),
    ] {
        let answer = post(&url, PROTOBUF, &body);
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.contains(part) && !prometheus_retries(&answer), "{answer:?}");
    }
    for headers in
        ["Content-Type: application/json\r\n", "Content-Type: application/x-protobuf\r\nContent-Encoding: gzip\r\n"]
    {
        assert_eq!(post(&url, headers, b"x").status, 415);
    }
    let v2 = |samples: &[(i64, f64)]| post(&url, V2, &snappy(&write_v2("b", samples)));
    let stored = v2(&[(now_ms, 1.0), (now_ms + 1, 2.0)]);
    assert_eq!((stored.status, written(&stored)), (204, vec!["2", "0", "0"]));
    let again = v2(&[(now_ms, 1.0)]);
    assert_eq!((again.status, written(&again)), (204, vec!["1", "0", "0"]));
    let partial = v2(&[(now_ms + 2, 1.0), (1_000_000, 1.0)]);
    assert_eq!((partial.status, written(&partial)), (400, vec!["1", "0", "0"]), "{partial:?}");
    let unreadable = post(&url, V2, &snappy(b"\xff\xff\xff"));
    assert_eq!((unreadable.status, written(&unreadable)), (400, vec!["0", "0", "0"]));
}

#[test]
fn what_may_pass_is_sent_again_by_every_client() {
    let dir = tempfile::tempdir().unwrap();
    let now = now_s();
    let write = |name: &str| snappy(&write_v1(&[("__name__", name.as_bytes())], &[(now as i64 * 1000, 1.0)]));
    let try_both = |server: &Server, otlp_status: u16, part: &str| {
        let otlp = post(&server.otlp_http, PROTOBUF, &export_protobuf("by_otlp", now, b""));
        let remote = post(&format!("{}/api/v1/write", server.http), PROTOBUF, &write("by_write"));
        assert_eq!((otlp.status, remote.status), (otlp_status, 503), "{otlp:?} {remote:?}");
        assert!(collector_retries(&otlp) && prometheus_retries(&remote));
        for answer in [&otlp, &remote] {
            assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
            assert!(answer.body.contains(part), "{answer:?}");
        }
    };
    // More free space than any disk has.
    let server = Server::start_with(dir.path(), &["--disk-floor-bytes", "1000000000000000000"]);
    try_both(&server, 503, "--disk-floor-bytes");
    assert!(server.get("/api/v1/query?query=1").contains("success"), "queries go on");
    drop(server);

    let flags = ["--max-new-series-per-second", "1", "--max-new-series-burst", "1", "--self-metrics-interval", "0"];
    let server = Server::start_with(dir.path(), &flags);
    let url = format!("{}/api/v1/write", server.http);
    assert_eq!(post(&url, PROTOBUF, &write("first")).status, 204);
    try_both(&server, 429, "--max-new-series-per-second");
    assert_eq!(post(&url, PROTOBUF, &write("first")).status, 204, "series that are there go on");
    let metrics = server.get("/metrics");
    for protocol in ["otlp_http", "remote_write"] {
        let name = "mytsdb_ingest_limited_requests_total";
        let line = format!("{name}{{limit=\"max-new-series-per-second\",protocol=\"{protocol}\"}} 1");
        assert!(metrics.contains(&line), "{line}");
    }
}

#[test]
fn every_situation_of_a_query_has_its_code() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &["--query-max-samples", "3"]);
    let ask = |query: &str| {
        let url = format!("{}/api/v1/query", server.http);
        let mut answer =
            ureq::post(url).config().http_status_as_error(false).build().send_form([("query", query)]).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    };
    for (query, status, part) in [
        ("1", 200, "success"),
        ("sum(", 400, "bad_data"),
        ("", 400, "bad_data"),
        ("vector(1) and on() group_left vector(1)", 400, "bad_data"),
        ("label_replace(vector(1), \"a\", \"b\", \"c\", \"(\")", 422, "execution"),
        ("{__name__=~\"mytsdb_.+\"}", 422, "--query-max-samples"),
    ] {
        if part == "--query-max-samples" {
            crate::server::eventually(&server, "/api/v1/query?query=count(mytsdb_engine_blocks)", "\"value\"");
        }
        let (got, text) = ask(query);
        assert_eq!(got, status, "{query}: {text}");
        if part != "--query-max-samples" {
            assert!(text.contains(part), "{query}: {text}");
        }
    }
}
