//! How requests are read: forms, URLs, times and parameters as clients really write them.

#![expect(clippy::unwrap_used, reason = "whatever fails here fails the test that asked")]

use crate::server::{Answer, Server, read_answer};
use crate::store::{scalar, store};
use mytsdb_http_api::ApiOptions;
use std::io::{Read, Write};

fn server() -> Server {
    Server::start(store(), ApiOptions::default())
}

fn multipart(server: &Server, target: &str, fields: &[(&str, &str)]) -> Answer {
    let parts = fields
        .iter()
        .map(|(name, value)| format!("--xYz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    let body = format!("{}--xYz--\r\n", parts.collect::<String>());
    server.send("POST", target, "Content-Type: multipart/form-data; boundary=xYz\r\n", &body)
}

/// Sends bytes as they are, on one connection, and reads until the server closes it.
fn raw(server: &Server, request: &[u8]) -> String {
    let mut stream = server.connect();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

const NO_QUERY: &str = r#"{"status":"error","errorType":"bad_data","error":"invalid parameter \"query\": unknown position: parse error: no expression found in input"}"#;

#[test]
fn multipart_forms_are_read_where_prometheus_reads_them() {
    let server = server();
    let fields = [("query", "1+1"), ("time", "0"), ("kubernetes_namespace", "x")];
    assert_eq!(multipart(&server, "/api/v1/query", &fields).text(), scalar(0, "2"));
    let fields = [("query", "1+1"), ("start", "0"), ("end", "60"), ("step", "30")];
    assert_eq!(
        multipart(&server, "/api/v1/query_range", &fields).text(),
        r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[0,"2"],[30,"2"],[60,"2"]]}]}}"#
    );
    let series = multipart(&server, "/api/v1/series", &[("match[]", "up")]);
    assert_eq!((series.status, series.text().contains("no match[] parameter provided")), (400, true));
    let labels = multipart(&server, "/api/v1/labels", &[("match[]", "cpu_total")]);
    assert_eq!(labels.text(), r#"{"status":"success","data":["__name__","job"]}"#);
    let url_first = multipart(&server, "/api/v1/query?query=2&time=0", &[("query", "1")]);
    assert_eq!(url_first.text(), scalar(0, "2"));
}

#[test]
fn forms_have_a_limit_that_is_named_and_so_do_all_together() {
    let options = ApiOptions { form_bytes_max: 200_000, forms_bytes_max: 50_000, ..ApiOptions::default() };
    let server = Server::start(store(), options);
    let form = |bytes: usize| format!("query=1&time=0&pad={}", "x".repeat(bytes));
    assert_eq!(server.post("/api/v1/query", &form(60_000)).text(), scalar(0, "1"));
    assert_eq!(server.post("/api/v1/query", &form(100_000)).text(), scalar(0, "1"));
    let refused = server.post("/api/v1/query", &form(150_000));
    assert_eq!((refused.status, refused.header("retry-after").as_str()), (503, "1"));
    assert!(refused.text().contains("all together may have 50000 bytes"), "{}", refused.text());
    let refused = server.post("/api/v1/query", &form(300_000));
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("larger than 200000 bytes (--http-max-form-bytes)"), "{}", refused.text());
    assert_eq!(server.post("/api/v1/query", &form(100_000)).text(), scalar(0, "1"), "what was taken is given back");
}

#[test]
fn urls_of_64_kib_are_read_and_longer_ones_get_414() {
    let server = server();
    let url = |len: usize| {
        let start = "/api/v1/query?query=1&time=0&pad=";
        format!("{start}{}", "x".repeat(len - start.len()))
    };
    assert_eq!(server.get(&url(37_000)).text(), scalar(0, "1"));
    assert_eq!(server.get(&url(65_533)).text(), scalar(0, "1"));
    for len in [65_534, 65_535, 70_000, 1 << 20] {
        let answer = server.get(&url(len));
        assert_eq!(answer.status, 414, "{len}");
        assert!(answer.text().contains("longer than 65533 bytes (--http-max-url-bytes)"), "{}", answer.text());
    }
    let mut listener = ApiOptions::default().listener;
    listener.target_bytes_max = Some(100);
    let server = Server::start(store(), ApiOptions { listener, ..ApiOptions::default() });
    assert_eq!(server.get(&url(100)).status, 200);
    assert_eq!(server.get(&url(101)).status, 414);
}

#[test]
fn urls_are_read_as_people_type_them() {
    let server = server();
    let value = |text: &str| server.get(&format!("/api/v1/query?query={text}&time=300")).text();
    assert_eq!(value("count(up{job=\"x\"})>0"), value("count(up%7Bjob%3D%22x%22%7D)%3E0"));
    assert!(value("count(up{job=\"x\"})>0").contains(r#"{"metric":{},"value":[300,"2"]}"#));
    assert!(value("up{job=\"x\",instance=\"1\"}").contains(r#""value":[300,"1"]"#));
    server.check_data("/api/v1/series?match[]={__name__=~\"cpu.*\"}", r#"[{"__name__":"cpu_total","job":"a"}]"#);
    server.check_data(
        "/api/v1/query?query=`a|b\\^<é#`&time=0",
        r#"{"resultType":"string","result":[0,"a|b\\^\u003cé#"]}"#,
    );
}

#[test]
fn many_requests_of_one_connection_are_read_as_typed_and_bodies_stay_as_they_are() {
    let server = server();
    let form = "query=\"{<>}\"&time=0";
    let chunked = format!("{:x}\r\n{form}\r\n0\r\n\r\n", form.len());
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let requests = [
        "GET /api/v1/query?query=\"a\"&time=0 HTTP/1.1\r\nHost: t\r\n\r\n".to_owned(),
        format!(
            "POST /api/v1/query?x=\"<\" HTTP/1.1\r\nHost: t\r\n{kind}\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        ),
        format!(
            "POST /api/v1/query?x=\"<\" HTTP/1.1\r\nHost: t\r\n{kind}\r\nTransfer-Encoding: chunked\r\n\r\n{chunked}"
        ),
        "GET /api/v1/query?query=\"b\"&time=0 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".to_owned(),
    ];
    let answers = raw(&server, requests.concat().as_bytes());
    let results: Vec<&str> = answers.split("\"result\":").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
    assert_eq!(results, [r#"[0,"a"]"#, r#"[0,"{\u003c\u003e"#, r#"[0,"{\u003c\u003e"#, r#"[0,"b"]"#]);
}

#[test]
fn odd_paths_are_redirected_with_method_and_body() {
    let server = server();
    for path in ["//api/v1/query", "/./api/v1/query", "/api//v1/query", "/api/v1/../v1/query"] {
        let answer = server.get(&format!("{path}?query=1&time=0"));
        assert_eq!(
            (answer.status, answer.header("location").as_str()),
            (307, "/api/v1/query?query=1&time=0"),
            "{path}"
        );
    }
    let answer = server.post("//api/v1/query", "query=1");
    assert_eq!((answer.status, answer.header("location").as_str()), (307, "/api/v1/query"));
    assert_eq!(server.get("//evil.example/a").header("location"), "/evil.example/a");
}

#[test]
fn times_are_rounded_as_prometheus_does() {
    let server = server();
    let time = |time: &str| server.get(&format!("/api/v1/query?query=time()&time={time}"));
    for (text, value) in
        [("1700000000.0005", "1700000000"), ("1700000000.0015", "1700000000.001"), ("1543578564.705", "1543578564.705")]
    {
        assert!(time(text).text().ends_with(&format!(r#","{value}"]}}}}"#)), "{text}: {}", time(text).text());
    }
    for text in [
        "1970-01-01T00:05:00Z",
        "1970-01-01T00:05:00.000Z",
        "1970-01-01T02:05:00%2B02:00",
        "300",
        "300.0",
        "3e2",
        "%2B300",
    ] {
        assert_eq!(time(text).text(), scalar(300, "300"), "{text}");
    }
    for text in
        ["1970-01-01T00:05:00", "1970-01-01+00:05:00Z", "1970-1-1T00:05:00Z", "1970-01-01t00:05:00z", "+300", "300s"]
    {
        assert_eq!(time(text).status, 400, "{text}");
    }
    let range = server.get("/api/v1/query_range?query=time()&start=1543578564.705&end=1543578570.705&step=2").text();
    assert_eq!(range.matches(".705,").count(), 4, "{range}");
}

#[test]
fn forms_come_before_the_url_and_other_bodies_are_not_read() {
    let server = server();
    assert_eq!(server.post("/api/v1/query?query=2&time=300", "query=1").text(), scalar(300, "1"));
    let both = server.post("/api/v1/series?match[]=conn_total", "match[]=cpu_total").text();
    let expected = r#"[{"__name__":"conn_total","job":"a"},{"__name__":"cpu_total","job":"a"}]"#;
    assert_eq!(both, format!(r#"{{"status":"success","data":{expected}}}"#));
    assert_eq!(server.send("POST", "/api/v1/query?query=2&time=300", "", "").text(), scalar(300, "2"));
    let form = "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n";
    assert_eq!(server.send("POST", "/api/v1/query", form, "query=1&time=0").text(), scalar(0, "1"));
    let json = server.send("POST", "/api/v1/query", "Content-Type: application/json\r\n", r#"{"query":"1"}"#);
    assert_eq!((json.status, json.text().as_str()), (400, NO_QUERY));
    let text = "Content-Type: text/plain\r\n";
    assert_eq!(server.send("POST", "/api/v1/query?query=7&time=0", text, "query=1").text(), scalar(0, "7"));
}

#[test]
fn bytes_that_are_no_utf8_are_a_parse_error() {
    let server = server();
    let error = "invalid parameter \"query\": 1:1: parse error: unexpected character: '\u{fffd}'";
    for target in ["query?query=%80%80%80", "query?query=%ff", "format_query?query=%ff", "query?query=\u{80}"] {
        let answer = server.get(&format!("/api/v1/{target}"));
        assert_eq!(answer.status, 400, "{target}");
        assert!(answer.text().contains("1:1: parse error: unexpected character"), "{target}: {}", answer.text());
    }
    server.check_error("/api/v1/query?query=%80%80%80", 400, "bad_data", error);
    let head = "POST /api/v1/query HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 9\r\nContent-Type: application/x-www-form-urlencoded\r\n\r\nquery=";
    let answer = raw(&server, &[head.as_bytes(), b"\x80\x80\x80"].concat());
    assert!(answer.contains("unexpected character: '\u{fffd}'"), "{answer}");
    assert_eq!(server.get("/-/healthy").status, 200);
}

#[test]
fn characters_with_a_meaning_in_urls_keep_it() {
    let server = server();
    assert_eq!(server.get("/api/v1/query?query=sum(up)+1&time=300").status, 400);
    assert!(server.get("/api/v1/query?query=sum(up)%2B1&time=300").text().contains(r#""2"]"#));
    for query in ["query=1;2", "query=up%", "query=up%zz"] {
        assert_eq!(server.get(&format!("/api/v1/query?{query}")).text(), NO_QUERY, "{query}");
        assert_eq!(server.post("/api/v1/query", query).text(), NO_QUERY, "{query}");
    }
    let error = "error parsing form values: invalid URL escape \"%zz\"";
    server.check_error("/api/v1/series?match[]=up%zz&match[]=up", 400, "bad_data", error);
}

#[test]
fn steps_are_seconds_or_durations() {
    let server = server();
    let step = |step: &str| server.get(&format!("/api/v1/query_range?query=1&start=0&end=0&step={step}"));
    for text in ["15", "15.0", "15s", "1m30s", "0.5", "1e1", "1w", "0.0015"] {
        assert_eq!(step(text).status, 200, "{text}");
    }
    for text in ["0", "-5"] {
        assert!(step(text).text().contains("zero or negative query resolution step widths are not accepted"), "{text}");
    }
    for text in ["1.5m", "PT15S", ""] {
        assert!(step(text).text().contains(&format!("cannot parse \\\"{text}\\\" to a valid duration")), "{text}");
    }
    assert!((400..500).contains(&step("0.0001").status));
    let cut = server.get("/api/v1/query_range?query=1&start=0&end=0.003&step=0.0015").text();
    assert_eq!(cut.matches("\"1\"").count(), 4, "{cut}");
}

#[test]
fn a_connection_kept_alive_reads_the_next_url_as_typed_too() {
    let server = server();
    let mut stream = server.connect();
    stream.write_all(b"GET /api/v1/query?query=1&time=0 HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    let mut first = Vec::new();
    while !first.ends_with(scalar(0, "1").as_bytes()) {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        first.push(byte[0]);
    }
    assert!(first.starts_with(b"HTTP/1.1 200 OK"));
    stream.write_all(b"GET /api/v1/query?query=\"x\"&time=0 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
    assert!(String::from_utf8_lossy(&read_answer(&mut stream).body).contains(r#"[0,"x"]"#));
}

#[test]
fn long_chains_and_long_alternations_are_answered() {
    let server = server();
    let form = |query: &str| format!("query={}&time=300", query.replace('+', "%2B").replace('=', "%3D"));
    let terms = vec!["1"; 1_000].join("+");
    assert_eq!(server.post("/api/v1/query", &form(&terms)).text(), scalar(300, "1000"));
    let pairs = format!("{}1{}", "(".repeat(400), ")".repeat(400));
    assert_eq!(server.post("/api/v1/query", &form(&pairs)).text(), scalar(300, "1"));
    let values: Vec<String> = (0..1_900).map(|i| format!("10.0.{}.{}:9100", i / 250, i % 250)).collect();
    let counted = format!("count(conn_total{{job=~\"a|{}\"}})", values.join("|"));
    let answer = server.post("/api/v1/query", &form(&counted)).text();
    assert!(answer.contains(r#""value":[300,"1"]"#), "{answer}");
    let sums: Vec<String> = (0..500).map(|i| format!("sum(conn_total{{job=\"{i}\"}} or vector(1))")).collect();
    assert!(
        server.post("/api/v1/query", &form(&sums.join(" or "))).text().contains(r#""metric":{},"value":[300,"1"]"#)
    );
    for endpoint in ["format_query", "parse_query"] {
        let answer = server.post(&format!("/api/v1/{endpoint}"), &form(&vec!["a"; 10_000].join("+")));
        assert_eq!(answer.status, 200, "{endpoint}");
    }
    let tree = server.post("/api/v1/parse_query", &form("a+b+c")).text();
    assert!(tree.starts_with(r#"{"status":"success","data":{"bool":false,"lhs":{"bool":false,"lhs":{"#), "{tree}");
    assert!(tree.find(r#""value":"b""#) < tree.find(r#""value":"c""#), "{tree}");
}
