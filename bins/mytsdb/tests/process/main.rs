//! The server as a process: it starts on free ports, stores, refuses what it must, and leaves in order.
//!
//! `codes` holds what each protocol is answered in each situation, `abuse` what hostile clients try.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod abuse;
mod codes;
mod raw;
mod read_only;
mod server;
mod tsdb;

use server::{ANY, Server, eventually};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

fn refused(args: &[&str]) -> String {
    let Output { status, stderr, .. } = Command::new(env!("CARGO_BIN_EXE_mytsdb")).args(args).output().unwrap();
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

#[test]
fn a_fresh_start_has_something_to_plot_and_a_stop_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    assert_eq!(server.get("/-/ready").trim_end(), "mytsdb is ready.");
    assert!(server.get("/").contains("<html"));
    eventually(&server, "/api/v1/query?query=mytsdb_engine_head_series", "\"value\"");
    let first = server.get("/api/v1/query?query=mytsdb_engine_head_series[1h]");
    let stopping = Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    assert!(stopping.elapsed() < Duration::from_secs(10));

    let server = Server::start(dir.path());
    let sample = first.split("\"values\":[[").nth(1).unwrap().split(',').next().unwrap();
    eventually(&server, "/api/v1/query?query=mytsdb_engine_head_series[1h]", sample);
}

#[test]
fn what_was_stored_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let first = eventually(&server, "/api/v1/query?query=mytsdb_engine_head_series[1h]", "\"values\"");
    server.signal("KILL");
    server.wait();
    let server = Server::start(dir.path());
    let sample = first.split("\"values\":[[").nth(1).unwrap().split(',').next().unwrap();
    eventually(&server, "/api/v1/query?query=mytsdb_engine_head_series[1h]", sample);
}

#[test]
fn a_day_that_is_old_moves_to_the_cold_tier_and_answers_stay() {
    let (dir, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let old_ms = now_ms - 3 * 86_400_000;
    let server = Server::start(dir.path());
    let text = format!("old_metric{{job=\"a\"}} 7 {old_ms}\nold_metric{{job=\"a\"}} 8 {now_ms}\n");
    let sent = ureq::post(format!("{}/api/v1/import/prometheus", server.http)).send(&text).unwrap();
    assert!(sent.status().is_success());
    // The first maintenance puts what is old into a block.
    eventually(&server, "/metrics", "\nmytsdb_engine_flushes_total 1");
    drop(server);

    let url = format!("file://{}", store.path().display());
    let server = Server::start_with(dir.path(), &["--cold-url", &url]);
    eventually(&server, "/metrics", "\nmytsdb_cold_demotions_total 1");
    let asked = format!("/api/v1/query?query=old_metric&time={}", old_ms / 1_000 + 1);
    assert!(server.get(&asked).contains("\"7\""), "{}", server.get(&asked));
    assert!(server.get("/metrics").contains("\nmytsdb_cold_samples 1"));
    let exported = |flags: &[&str]| {
        let mut export = Command::new(env!("CARGO_BIN_EXE_mytsdb"));
        export.args(["export", "--match", "old_metric", "--data-dir"]).arg(dir.path()).args(flags);
        let output = export.output().unwrap();
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(0));
    let (text, _) = exported(&["--cold-url", &url]);
    assert_eq!(text.matches("old_metric{").count(), 2, "{text}");

    // Without the tier that is said, and with it again all is there.
    let (text, warning) = exported(&[]);
    assert_eq!(text.matches("old_metric{").count(), 1, "{text}");
    assert!(warning.contains("--cold-url"), "{warning}");
    let server = Server::start(dir.path());
    assert!(server.get(&asked).contains("samples may be missing"), "{}", server.get(&asked));
    drop(server);
    let server = Server::start_with(dir.path(), &["--cold-url", &url, "--cold-unreachable", "error"]);
    assert!(server.get(&asked).contains("\"7\""));
}

#[test]
fn otlp_over_http_is_taken_on_both_ports() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    for (name, url) in
        [("own_port", server.otlp_http.clone()), ("api_port", format!("{}/api/v1/otlp/v1/metrics", server.http))]
    {
        let json = format!(
            r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"{name}","gauge":{{"dataPoints":[
                {{"timeUnixNano":"{now_s}000000000","asInt":"42"}}]}}}}]}}]}}]}}"#
        );
        let mut answer = ureq::post(&url).header("content-type", "application/json").send(json).unwrap();
        assert_eq!(answer.body_mut().read_to_string().unwrap(), "{}", "{url}");
        let stored = server.get(&format!("/api/v1/query?query={name}&time={now_s}"));
        assert!(stored.contains(&format!("[{now_s},\"42\"]")), "{stored}");
        let wrong = ureq::post(&url).header("content-type", "text/plain").send("x").unwrap_err();
        assert!(matches!(wrong, ureq::Error::StatusCode(415)), "{wrong}");
    }
}

#[test]
fn remote_write_is_taken_on_the_port_of_the_api() {
    let field = |number: u8, content: &[u8]| [&[number << 3 | 2, content.len() as u8], content].concat();
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64;
    let mut time = [0x80; 6];
    for (group, byte) in time.iter_mut().enumerate() {
        *byte |= (now_ms >> (7 * group)) as u8 & 0x7f;
    }
    time[5] &= 0x7f;
    // Series, label, sample of prometheus.WriteRequest, as one literal of a snappy block.
    let label = [field(1, b"__name__"), field(2, b"by_remote_write")].concat();
    let sample = [&[0x09][..], &42_f64.to_le_bytes(), &[0x10], &time].concat();
    let request = field(1, &[field(1, &label), field(2, &sample)].concat());
    let block = [&[request.len() as u8, (request.len() as u8 - 1) << 2][..], &request].concat();
    let url = format!("{}/api/v1/write", server.http);
    let send = |body: &[u8]| ureq::post(&url).header("content-type", "application/x-protobuf").send(body);
    assert_eq!(send(&block).unwrap().status().as_u16(), 204);
    let stored = server.get(&format!("/api/v1/query?query=by_remote_write&time={}", now_ms / 1000 + 1));
    assert!(stored.contains(",\"42\"]"), "{stored}");
    assert!(matches!(send(&block[1..]).unwrap_err(), ureq::Error::StatusCode(400)));
}

/// Asks with these credentials over TLS that trusts `authority`, and gives the status and the body.
fn ask(authority: &str, url: &str, body: Option<&str>, authorization: Option<&str>) -> (u16, String) {
    let authority = ureq::tls::Certificate::from_pem(authority.as_bytes()).unwrap();
    let tls = ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::from(vec![authority])).build();
    let agent = ureq::Agent::config_builder().tls_config(tls).http_status_as_error(false).proxy(None).build();
    let agent = ureq::Agent::from(agent);
    let mut answer = match body {
        None => authorization
            .into_iter()
            .fold(agent.get(url), |ask, value| ask.header("authorization", value))
            .call()
            .unwrap(),
        Some(body) => {
            let ask = agent.post(url).header("content-type", "application/json");
            authorization.into_iter().fold(ask, |ask, value| ask.header("authorization", value)).send(body).unwrap()
        }
    };
    (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
}

#[test]
#[expect(clippy::disallowed_methods, reason = "files of a person, which are not stored data")]
fn every_listener_speaks_tls_and_asks_for_credentials_and_shows_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let certificate = pair.cert.pem();
    let hash = bcrypt::hash("secret", 4).unwrap();
    // printf writer-token | sha256sum
    let of_token = "3590c0a59f72ce02700194a05f228a725c1f135a6dcb3ded9b2d86ab6a6f52cb";
    let web = format!(
        "tls_server_config: {{cert_file: server.crt, key_file: server.key}}\nbasic_auth_users: {{alice: {hash}}}\n\
         basic_auth_scopes: {{alice: [read]}}\nbearer_tokens: [{{name: ci, sha256: {of_token}, scopes: [write]}}]\n"
    );
    for (name, text) in
        [("server.crt", &certificate), ("server.key", &pair.signing_key.serialize_pem()), ("web.yml", &web)]
    {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let web_file = dir.path().join("web.yml");
    let flags = ["--web-config-file", web_file.to_str().unwrap(), "--web-enable-admin-api", "true"];
    let server = Server::start_with(&dir.path().join("data"), &flags);
    assert!(server.http.starts_with("https://") && server.otlp_http.starts_with("https://"));
    // alice:secret
    let (reader, writer) = (Some("Basic YWxpY2U6c2VjcmV0"), Some("Bearer writer-token"));
    let export = Some(r#"{"resourceMetrics":[]}"#);
    let api = |path: &str| format!("{}{path}", server.http);
    let (query, delete) = (api("/api/v1/query?query=1"), api("/api/v1/admin/tsdb/delete_series?match[]=a"));
    for (url, body, authorization, expected) in [
        (&query, None, None, 401),
        (&query, None, Some("Bearer guess"), 401),
        (&query, None, reader, 200),
        (&query, None, writer, 403),
        (&delete, Some(""), reader, 403),
        (&api("/api/v1/otlp/v1/metrics"), export, reader, 403),
        (&api("/api/v1/otlp/v1/metrics"), export, writer, 200),
        (&api("/api/v1/write"), export, None, 401),
        (&api("/-/healthy"), None, None, 401),
        (&server.otlp_http, export, None, 401),
        (&server.otlp_http, export, reader, 403),
        (&server.otlp_http, export, writer, 200),
    ] {
        let (status, text) = ask(&certificate, url, body, authorization);
        assert_eq!(status, expected, "{url} with {authorization:?}: {text}");
        assert!(!text.contains("guess"), "{text}");
    }
    for path in ["/api/v1/status/flags", "/api/v1/status/config", "/metrics"] {
        let (_, text) = ask(&certificate, &api(path), None, reader);
        assert!(text.len() > 100 && !text.contains(&hash) && !text.contains(of_token), "{text}");
    }
    assert!(ask(&certificate, &api("/api/v1/status/flags"), None, reader).1.contains("web.yml"));

    // Another password counts a second or so after it is written.
    std::fs::write(&web_file, web.replace(&hash, &bcrypt::hash("other", 4).unwrap())).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while ask(&certificate, &query, None, reader).0 != 401 {
        assert!(Instant::now() < deadline, "the old password is still good");
        std::thread::yield_now();
    }
    let plain = ureq::get(server.http.replace("https://", "http://")).call();
    assert!(plain.is_err(), "there is no door beside TLS");
}

#[test]
fn exemplars_and_metadata_survive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let json = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"took","unit":"s","description":"How long.",
            "histogram":{{"aggregationTemporality":2,"dataPoints":[{{"timeUnixNano":"{now_s}000000000","count":"3","sum":3,
            "bucketCounts":["1","1","1"],"explicitBounds":[0.5,1],"exemplars":[
            {{"timeUnixNano":"{now_s}500000000","asDouble":0.75,"traceId":"0af7651916cd43dd8448eb211c80319c"}}]}}]}}}}]}}]}}]}}"#
    );
    let url = format!("{}/v1/metrics", server.otlp_http.trim_end_matches("/v1/metrics"));
    let mut answer = ureq::post(&url).header("content-type", "application/json").send(json).unwrap();
    assert_eq!(answer.body_mut().read_to_string().unwrap(), "{}");
    let exemplars = r#"[{"seriesLabels":{"__name__":"took_seconds_bucket","le":"1"},"exemplars":[{"labels":{"trace_id":"0af7651916cd43dd8448eb211c80319c"},"value":"0.75","timestamp":"#;
    let metadata = r#"{"took_seconds":[{"type":"histogram","help":"How long.","unit":"seconds"}]}"#;
    let check = |server: &Server| {
        let found = server.get("/api/v1/query_exemplars?query=rate(took_seconds_bucket[5m])");
        assert!(found.contains(&format!("{exemplars}{now_s}.500}}]}}]")), "{found}");
        assert!(server.get("/api/v1/metadata?metric=took_seconds").contains(metadata));
    };
    check(&server);
    server.signal("KILL");
    server.wait();
    check(&Server::start(dir.path()));
}

#[test]
fn a_wrong_start_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let server = Server::start(dir.path());
    let http = server.http.trim_start_matches("http://");
    let error =
        refused(&["--http-listen", ANY, "--otlp-grpc-listen", ANY, "--otlp-http-listen", ANY, "--data-dir", data]);
    assert!(error.contains("is in use") && error.contains("--data-dir"), "{error}");
    let error =
        refused(&["--http-listen", http, "--otlp-grpc-listen", ANY, "--otlp-http-listen", ANY, "--data-dir", data]);
    assert!(error.contains(http) && error.contains("--http-listen"), "{error}");
    let error = refused(&[
        "--http-listen",
        ANY,
        "--otlp-grpc-listen",
        &server.grpc,
        "--otlp-http-listen",
        ANY,
        "--data-dir",
        data,
    ]);
    assert!(error.contains("--otlp-grpc-listen"), "{error}");
    let error = refused(&[
        "--http-listen",
        ANY,
        "--otlp-grpc-listen",
        ANY,
        "--otlp-http-listen",
        ANY,
        "--data-dir",
        "/proc/none",
    ]);
    assert!(error.contains("/proc/none") && error.contains("--data-dir"), "{error}");
    let error = refused(&["--retention", "soon"]);
    assert!(error.contains("--retention"), "{error}");
    let error = refused(&["--config", "/nonexistent.yaml"]);
    assert!(error.contains("/nonexistent.yaml"), "{error}");
}

#[test]
fn three_thousand_half_open_connections_do_not_lock_health_out() {
    const CONNECTIONS: usize = 3_000;
    // Both ends are files; the client's are this process'.
    assert!(mytsdb_listener::raise_descriptor_limit().is_none_or(|limit| limit > 2 * CONNECTIONS as u64 + 256));
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let http = server.http.trim_start_matches("http://").to_owned();
    let half_requests: [(&str, &[u8]); 4] = [
        (&http, b"GET /api/v1/query?query=1 HTTP/1.1\r\nHost: a"),
        (&http, b"POST /api/v1/query HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n"),
        (&server.grpc, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x40\x01\x04\0\0\0\x01abc"),
        (&server.grpc, b"PRI * HTT"),
    ];
    let before_kb = server.resident_kb();
    let (mut open, mut slowest) = (Vec::with_capacity(CONNECTIONS), Duration::ZERO);
    for i in 0..CONNECTIONS {
        let (address, bytes) = half_requests[i % half_requests.len()];
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        std::io::Write::write_all(&mut stream, bytes).unwrap();
        open.push(stream);
        if i % 100 == 99 {
            for path in ["/-/healthy", "/-/ready"] {
                let began = Instant::now();
                assert!(server.get(path).starts_with("mytsdb is "));
                slowest = slowest.max(began.elapsed());
            }
        }
    }
    let more_kb = server.resident_kb().saturating_sub(before_kb);
    println!("slowest answer {slowest:?}, {more_kb} kB more");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert!(more_kb < 64 << 10, "{more_kb} kB");
    let metrics = server.get("/metrics");
    for listener in ["http", "otlp_grpc"] {
        let name = format!("mytsdb_connections_ended_total{{listener=\"{listener}\",reason=\"evicted\"}}");
        let evicted = metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap();
        assert!(evicted.trim().parse::<usize>().unwrap() > CONNECTIONS / 10, "{listener}: {evicted}");
    }
}

#[test]
fn the_page_and_the_configuration_are_of_this_server() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let port = server.grpc.rsplit(':').next().unwrap();
    assert!(server.get("/").contains(&format!("name=\"otlp-grpc-port\" content=\"{port}\"")));
    let config = server.get("/api/v1/status/config");
    assert!(config.contains("global:\\n  scrape_interval: 5s\\n"), "{config}");
}
