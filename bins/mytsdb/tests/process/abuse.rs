//! What hostile clients try: each is answered or cut off, memory stays bounded, and others are served meanwhile.

use crate::raw::{connect, export_json, export_protobuf, field, now_s, post, read_all, snappy, write_v1};
use crate::server::Server;
use std::io::Write;
use std::time::{Duration, Instant};

const JSON: &str = "Content-Type: application/json\r\n";
const PROTOBUF: &str = "Content-Type: application/x-protobuf\r\n";

/// Memory that all of it may cost at most, in kB: two of the largest requests, each packed and unpacked.
const MEMORY_KB_MAX: u64 = 256 << 10;

/// What every HTTP/2 connection begins with, and empty settings.
const HTTP2: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn fine(server: &Server) {
    let began = Instant::now();
    assert_eq!(server.get("/-/healthy").trim_end(), "mytsdb is healthy.");
    let stored = post(&server.otlp_http, JSON, export_json("fine", now_s(), "").as_bytes());
    assert_eq!(stored.status, 200, "{stored:?}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn bombs_and_lies_about_lengths_cost_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    fine(&server);
    let before_kb = server.resident_kb();
    let zeros = gzip(&vec![0; 20 << 20]);
    let members: Vec<u8> = gzip(&vec![0; 1 << 20]).repeat(30);
    // A frame that says it has 10 GB, and one with a window of 2 GiB.
    let zstd = [&b"\x28\xb5\x2f\xfd\xe0"[..], &10_000_000_000_u64.to_le_bytes(), b"\x01\0\0"].concat();
    let window = b"\x28\xb5\x2f\xfd\x00\xa8\x01\0\0".to_vec();
    let lie = [&gzip(b"x")[..zeros.len().min(20)], &0xffff_fff0_u32.to_le_bytes()].concat();
    let encoded = |encoding: &str| format!("{PROTOBUF}Content-Encoding: {encoding}\r\n");
    for (encoding, body, statuses) in [
        ("gzip", &zeros, [413, 413]),
        ("gzip", &members, [413, 413]),
        ("gzip", &lie, [400, 413]),
        ("deflate", &zeros, [400, 413]),
        ("zstd", &zstd, [413, 413]),
        ("zstd", &window, [400, 413]),
        // 2.5 GB in forty bytes.
        ("snappy", &[&b"\x80\xf0\x88\xa8\x09"[..], &[0; 35]].concat(), [400, 413]),
    ] {
        for url in [server.otlp_http.clone(), format!("{}/api/v1/otlp/v1/metrics", server.http)] {
            let answer = post(&url, &encoded(encoding), body);
            assert!(statuses.contains(&answer.status), "{encoding} of {} bytes: {answer:?}", body.len());
        }
    }
    let write = format!("{}/api/v1/write", server.http);
    let bomb = post(&write, PROTOBUF, &[&b"\x80\xf0\x88\xa8\x09"[..], &[0; 35]].concat());
    assert!([400, 413].contains(&bomb.status), "{bomb:?}");
    let declared = post(&write, "Expect: 100-continue\r\nContent-Length: 9000000000\r\n", b"");
    assert_eq!(declared.status, 413, "{declared:?}");
    let twice = post(&write, "Content-Length: 3\r\nContent-Length: 4\r\n", b"abc");
    assert_eq!(twice.status, 400, "{twice:?}");
    let chunk = post(&write, "Transfer-Encoding: chunked\r\n", b"ffffffffffffffffff\r\nabc");
    // The body was broken on the way; the sender still has its data.
    assert!([400, 503].contains(&chunk.status), "{chunk:?}");
    fine(&server);
    let more_kb = server.resident_kb().saturating_sub(before_kb);
    assert!(more_kb < MEMORY_KB_MAX, "{more_kb} kB more");
}

#[test]
fn bodies_that_drip_are_given_up_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_with(dir.path(), &["--request-body-timeout", "300ms"]);
    for url in [server.otlp_http.clone(), format!("{}/api/v1/write", server.http)] {
        let path = url.trim_start_matches("http://").split_once('/').unwrap().1.to_owned();
        let mut stream = connect(&url);
        let head = format!(
            "POST /{path} HTTP/1.1\r\nHost: t\r\n{PROTOBUF}Content-Length: 1000\r\nConnection: close\r\n\r\nabc"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let answer = String::from_utf8_lossy(&read_all(&mut stream)).into_owned();
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("--request-body-timeout"), "{answer}");
    }
    let metrics = server.get("/metrics");
    for protocol in ["otlp_http", "remote_write"] {
        let name = "mytsdb_ingest_limited_requests_total";
        let line = format!("{name}{{limit=\"request-body-timeout\",protocol=\"{protocol}\"}} 1");
        assert!(metrics.contains(&line), "{line}");
    }
}

#[test]
fn headers_beyond_the_limit_are_named_or_cut_off_on_every_listener() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let header = |bytes: usize| format!("X-Long: {}\r\n", "x".repeat(bytes));
    for url in [server.otlp_http.clone(), format!("{}/api/v1/write", server.http)] {
        let named = post(&url, &header(20_000), b"x");
        assert_eq!(named.status, 431, "{named:?}");
        assert!(url == server.otlp_http || named.body.contains("the limit is 16384 (--max-header-bytes)"), "{named:?}");
        let long = post(&url, &header(1 << 20), b"");
        assert_eq!(long.status, 431, "{long:?}");
        let many = post(&url, &"a: b\r\n".repeat(5000), b"");
        assert_eq!(many.status, 431, "{many:?}");
    }
    assert!(
        server
            .get("/metrics")
            .contains("mytsdb_requests_turned_away_total{listener=\"http\",reason=\"max-header-bytes\"} 1")
    );
    fine(&server);
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `POST /` in HPACK: three of the static table, and the path and the authority written out.
const HEADERS: &[u8] = b"\x83\x86\x04\x01/\x01\x01t";

#[test]
fn floods_of_http2_end_their_connection_alone() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    fine(&server);
    let before_kb = server.resident_kb();
    for address in [&server.grpc, &server.otlp_http, &server.http] {
        // Streams that are opened and reset at once (CVE-2023-44487).
        let mut stream = connect(address);
        stream.write_all(HTTP2).unwrap();
        let resets = (0..20_000_u32)
            .flat_map(|i| [frame(1, 4, 2 * i + 1, HEADERS), frame(3, 0, 2 * i + 1, &8_u32.to_be_bytes())].concat());
        drop(stream.write_all(&resets.collect::<Vec<u8>>()));
        drop(stream.shutdown(std::net::Shutdown::Write));
        read_all(&mut stream);
        // A head that never ends (CVE-2024-27316).
        let mut stream = connect(address);
        stream.write_all(HTTP2).unwrap();
        let mut written = stream.write_all(&frame(1, 0, 1, HEADERS));
        let junk = [&b"\x00\x7f\xe1\x7e"[..], &[b'x'; 16_000]].concat();
        for _ in 0..4_000 {
            if written.is_err() {
                break;
            }
            written = stream.write_all(&frame(9, 0, 1, &junk));
        }
        assert!(written.is_err(), "64 MB of a head were taken");
        // Frames that are none.
        for junk in [&frame(1, 4, 0, HEADERS)[..], &frame(0, 0, 1, b"x"), &[0xff; 100], &frame(4, 0, 0, &[0; 5])] {
            let mut stream = connect(address);
            stream.write_all(&[HTTP2, junk].concat()).unwrap();
            drop(stream.shutdown(std::net::Shutdown::Write));
            read_all(&mut stream);
        }
        fine(&server);
    }
    let more_kb = server.resident_kb().saturating_sub(before_kb);
    assert!(more_kb < MEMORY_KB_MAX, "{more_kb} kB more");
}

#[test]
fn labels_beyond_the_limits_are_named_and_never_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let write = format!("{}/api/v1/write", server.http);
    let now_ms = now_s() as i64 * 1000;
    let attribute = |name: &str, value: &str| format!(r#"{{"key":"{name}","value":{{"stringValue":"{value}"}}}}"#);
    let many: Vec<String> = (0..10_000).map(|i| attribute(&format!("a{i}"), "b")).collect();
    let names: Vec<String> = (0..10_000).map(|i| format!("a{i:05}")).collect();
    let labels: Vec<(&str, &[u8])> = std::iter::once(("__name__", &b"m"[..]))
        .chain(names[..1000].iter().map(|name| (name.as_str(), &b"b"[..])))
        .collect();
    let long = "x".repeat(1 << 20);
    let name = "n".repeat(1000);
    for (attributes, labels, part) in [
        (many[..1000].join(","), labels, "--max-labels-per-series"),
        (attribute("a", &long), vec![("__name__", &b"m"[..]), ("a", long.as_bytes())], "--max-label-value-bytes"),
        (attribute(&name, "b"), vec![("__name__", &b"m"[..]), (name.as_str(), &b"b"[..])], "--max-label-name-bytes"),
    ] {
        let otlp = post(&server.otlp_http, JSON, export_json("m", now_s(), &attributes).as_bytes());
        assert_eq!(otlp.status, 200);
        let remote = post(&write, PROTOBUF, &snappy(&write_v1(&labels, &[(now_ms, 1.0)])));
        assert_eq!(remote.status, 400);
        for answer in [otlp, remote] {
            assert!(
                answer.body.contains(part) && answer.body.len() < 1000,
                "{part}: {} bytes: {:.300}",
                answer.body.len(),
                answer.body
            );
        }
    }
    let otlp = post(&server.otlp_http, JSON, export_json("m", now_s(), &many.join(",")).as_bytes());
    let part = r#"metric \"m\": more than 1024 attributes, the limit is 1024 (--max-attributes)"#;
    assert!(otlp.status == 200 && otlp.body.contains(part), "{otlp:?}");
    let metrics = server.get("/metrics");
    for (limit, protocol) in [
        ("max-labels-per-series", "remote_write"),
        ("max-label-value-bytes", "otlp_http"),
        ("max-label-name-bytes", "otlp_http"),
        ("max-attributes", "otlp_http"),
    ] {
        let line = format!("mytsdb_ingest_limited_points_total{{limit=\"{limit}\",protocol=\"{protocol}\"}} 1");
        assert!(metrics.contains(&line), "{line}");
    }
    fine(&server);
}

#[test]
fn texts_that_are_none_and_values_that_nest_without_end_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let write = format!("{}/api/v1/write", server.http);
    let now = now_s();
    let bad_text = post(&write, PROTOBUF, &snappy(&write_v1(&[("__name__", b"m\xff")], &[(now as i64 * 1000, 1.0)])));
    assert_eq!(bad_text.status, 400, "{bad_text:?}");
    let bad_text = post(&server.otlp_http, PROTOBUF, &export_protobuf("m", now, &field(1, b"\xff\xfe")));
    assert!(bad_text.status == 400 || bad_text.body.contains("UTF-8"), "{bad_text:?}");
    // An array in an array in an array.
    for depth in [65, 10_000] {
        let nested = (0..depth).fold(field(1, b"x"), |value, _| field(5, &field(1, &value)));
        let answer = post(&server.otlp_http, PROTOBUF, &export_protobuf("m", now, &nested));
        assert!(answer.status == 200 && answer.body.contains("is 64 (--max-attribute-nesting)"), "{depth}: {answer:?}");
    }
    let nested = format!("{}{}", r#"{"arrayValue":{"values":["#.repeat(10_000), "]}}".repeat(10_000));
    let attribute = format!(r#"{{"key":"a","value":{nested}}}"#);
    let answer = post(&server.otlp_http, JSON, export_json("m", now, &attribute).as_bytes());
    assert!(answer.status == 200 && answer.body.contains("is 64 (--max-attribute-nesting)"), "{answer:?}");
    let answer = post(&server.otlp_http, JSON, "[".repeat(1 << 20).as_bytes());
    assert_eq!(answer.status, 400);
    fine(&server);
}

#[test]
fn any_nan_is_stored_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let write = format!("{}/api/v1/write", server.http);
    let now = now_s();
    for (name, bits) in
        [("quiet", 0x7ff8_0000_0000_0001), ("signalling", 0x7ff0_0000_0000_0001), ("negative", u64::MAX)]
    {
        let series = write_v1(&[("__name__", name.as_bytes())], &[(now as i64 * 1000, f64::from_bits(bits))]);
        assert_eq!(post(&write, PROTOBUF, &snappy(&series)).status, 204);
        let stored = server.get(&format!("/api/v1/query?query={name}&time={now}"));
        assert!(stored.contains(&format!("[{now},\"NaN\"]")), "{stored}");
    }
}
