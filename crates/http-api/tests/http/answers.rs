//! What is answered: statuses, texts, shapes and headers, as clients compare them.

#![expect(clippy::unwrap_used, reason = "whatever fails here fails the test that asked")]

use crate::server::Server;
use crate::store::{store, store_at};
use mytsdb_http_api::{ApiOptions, ExemplarSource, Exemplars, Fault};
use mytsdb_model::{Exemplar, Labels, Matcher, TimeRange};
use mytsdb_promql::Cancel;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn server() -> Server {
    Server::start(store(), ApiOptions::default())
}

fn json(server: &Server, target: &str) -> serde_json::Value {
    serde_json::from_slice(&server.get(target).body).unwrap()
}

#[test]
fn errors_have_the_statuses_and_texts_that_clients_look_for() {
    let server = server();
    let no_timestamp = |name: &str| {
        format!(
            "invalid parameter \"{name}\": invalid time value for '{name}': cannot parse \"x\" to a valid timestamp"
        )
    };
    for (target, error) in [
        ("query?query=%2B%2B", "invalid parameter \"query\": 1:3: parse error: unexpected end of input"),
        ("query", "invalid parameter \"query\": unknown position: parse error: no expression found in input"),
        ("query?query=up&time=x", &no_timestamp("time")),
        ("series?match[]=up&start=x", &no_timestamp("start")),
        ("labels?end=x", &no_timestamp("end")),
        ("query_exemplars?query=up&start=x", &no_timestamp("start")),
        ("query_range?query=1&start=x", "invalid parameter \"start\": cannot parse \"x\" to a valid timestamp"),
        (
            "query_range?query=1&start=5&end=1&step=1",
            "invalid parameter \"end\": end timestamp must not be before start time",
        ),
        (
            "query_range?query=1&start=0&end=11001&step=1",
            "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
        ),
        (
            "query_range?query=up[5m]&start=0&end=1&step=1",
            "invalid parameter \"query\": invalid expression type \"range vector\" for range query, must be Scalar or instant Vector",
        ),
        ("query?query=up&timeout=x", "invalid parameter \"timeout\": cannot parse \"x\" to a valid duration"),
        ("query?query=up&timeout=-1", "invalid parameter \"timeout\": timeout must be positive, got -1s"),
        ("query?query=up&timeout=0", "invalid parameter \"timeout\": timeout must be positive, got 0s"),
        (
            "query?query=up&timeout=1e10",
            "invalid parameter \"timeout\": cannot parse \"1e10\" to a valid duration. It overflows int64",
        ),
        ("query?query=up&timeout=300y", "invalid parameter \"timeout\": cannot parse \"300y\" to a valid duration"),
        (
            "query?query=up&lookback_delta=x",
            "error parsing lookback delta duration: cannot parse \"x\" to a valid duration",
        ),
        (
            "query?query=up&lookback_delta=1e300",
            "error parsing lookback delta duration: cannot parse \"1e300\" to a valid duration. It overflows int64",
        ),
        ("query?query=up&limit=1.5", "invalid parameter \"limit\": strconv.Atoi: parsing \"1.5\": invalid syntax"),
        (
            "query?query=up&limit=99999999999999999999",
            "invalid parameter \"limit\": strconv.Atoi: parsing \"99999999999999999999\": value out of range",
        ),
        ("labels?match[]=up[5m]", "1:3: parse error: unexpected \"[\""),
        ("label/job/values?match[]=up[5m]", "1:3: parse error: unexpected \"[\""),
        ("series?match[]=up[5m]", "invalid parameter \"match[]\": 1:3: parse error: unexpected \"[\""),
        ("metadata?limit=x", "limit must be a number"),
        ("metadata?limit_per_metric=x", "limit_per_metric must be a number"),
        ("query_exemplars?query=", "unknown position: parse error: no expression found in input"),
        ("query_exemplars?query=up&start=5&end=1", "end timestamp must not be before start timestamp"),
        ("status/tsdb?limit=x", "limit must be a positive number"),
        ("status/tsdb?limit=10001", "limit must not exceed 10000"),
    ] {
        server.check_error(&format!("/api/v1/{target}"), 400, "bad_data", error);
    }
    assert_eq!(server.get("/api/v1/query_range?query=1&start=0&end=11000&step=1").status, 200);
    let twice = server.get("/api/v1/query?query=up+%2B+on(job)+up&time=300");
    assert_eq!(twice.status, 422);
    let text = r#"{"status":"error","errorType":"execution","error":"found duplicate series for the match group {job=\"x\"} on the right hand-side"#;
    assert!(twice.text().starts_with(text) && !twice.text().contains("\"data\""), "{}", twice.text());
    server.check("/api/v1/nosuch", 404, "404 page not found\n");
}

#[test]
fn nothing_is_an_empty_list_and_never_null() {
    let server = server();
    let range = "start=0&end=60&step=30";
    for query in ["nosuch", "vector(1)>1+unless+vector(1)"] {
        server.check_data(&format!("/api/v1/query?query={query}&time=0"), r#"{"resultType":"vector","result":[]}"#);
        let target = format!("/api/v1/query_range?query={query}&{range}");
        server.check_data(&target, r#"{"resultType":"matrix","result":[]}"#);
    }
    for target in ["label/no-such/values", "labels?match[]=nosuch", "series?match[]=nosuch"] {
        server.check_data(&format!("/api/v1/{target}"), "[]");
    }
    server.check_data("/api/v1/metadata?metric=nosuch", "{}");
}

#[test]
fn series_are_found_at_all_times_unless_told_when() {
    let server = server();
    let cpu = r#"[{"__name__":"cpu_total","job":"a"}]"#;
    server.check_data("/api/v1/series?match[]=cpu_total", cpu);
    server.check_data("/api/v1/series?match[]=cpu_total&start=0&end=1", cpu);
    server.check_data("/api/v1/series?match[]=cpu_total&start=1700000000", "[]");
    server.check_data("/api/v1/series?match[]=cpu_total&match[]={__name__=~\"cpu.*\"}&match[]=cpu_total", cpu);
    assert_eq!(
        server.post("/api/v1/series", "match[]=cpu_total").text(),
        format!(r#"{{"status":"success","data":{cpu}}}"#)
    );
}

#[test]
fn selectors_that_select_all_are_refused() {
    let server = server();
    let error = "match[] must contain at least one non-empty matcher";
    for selector in ["{foo=\"\"}", "{}", "{job=~\".*\"}"] {
        let named = format!("invalid parameter \"match[]\": {error}");
        server.check_error(&format!("/api/v1/series?match[]={selector}"), 400, "bad_data", &named);
        server.check_error(&format!("/api/v1/labels?match[]={selector}"), 400, "bad_data", error);
        server.check_error(&format!("/api/v1/label/job/values?match[]={selector}"), 400, "bad_data", error);
    }
    server.check_data("/api/v1/series?match[]={foo!=\"\"}", "[]");
    assert_eq!(json(&server, "/api/v1/series?match[]={job!=\"\"}")["data"].as_array().unwrap().len(), 4);
    server.check_error("/api/v1/series", 400, "bad_data", "no match[] parameter provided");
}

#[test]
fn dotted_labels_are_found_however_they_are_written() {
    let server = server();
    for name in ["U__http_2e_status", "http.status", "http%2estatus"] {
        let values = r#"["200","4 \"x\" \u003c \u0026 5"]"#;
        server.check_data(&format!("/api/v1/label/{name}/values"), values);
    }
    server.check_error("/api/v1/label/%ff/values", 400, "bad_data", "invalid label name: \"\\xff\"");
    server.check_data("/api/v1/labels", r#"["__name__","code","http.status","instance","job","service.name"]"#);
    let dotted = json(&server, "/api/v1/query?query={\"dotted.name\"}&time=300");
    assert_eq!(dotted["data"]["result"][0]["metric"]["__name__"], "dotted.name");
}

#[test]
fn limits_cut_lists_with_a_warning() {
    let server = server();
    let cut = r#""warnings":["results truncated due to limit"]"#;
    server.check_data("/api/v1/label/job/values?limit=2", r#"["a","x"]"#);
    server.check("/api/v1/label/job/values?limit=1", 200, &format!(r#"{{"status":"success","data":["a"],{cut}}}"#));
    server.check_data("/api/v1/label/job/values?limit=0", r#"["a","x"]"#);
    for target in [
        "label/job/values?",
        "series?match[]=up&",
        "labels?",
        "query?query=up&",
        "query_range?query=up&start=0&end=1&step=1&",
    ] {
        let error = "invalid parameter \"limit\": limit must be non-negative";
        server.check_error(&format!("/api/v1/{target}limit=-1"), 400, "bad_data", error);
    }
    for target in [
        "series?match[]=up&match[]=cpu_total&",
        "labels?",
        "query?query=up&time=0&",
        "query_range?query=up&start=0&end=1&step=1&",
    ] {
        assert!(server.get(&format!("/api/v1/{target}limit=1")).text().ends_with(&format!("{cut}}}")), "{target}");
        assert!(!server.get(&format!("/api/v1/{target}limit=9")).text().contains("warnings"), "{target}");
    }
}

#[test]
fn results_have_the_shape_of_their_type() {
    let server = server();
    server.check_data("/api/v1/query?query=1%2B1&time=0", r#"{"resultType":"scalar","result":[0,"2"]}"#);
    server.check_data("/api/v1/query?query=\"x\"&time=0", r#"{"resultType":"string","result":[0,"x"]}"#);
    server.check_data(
        "/api/v1/query_range?query=1&start=0&end=0&step=1",
        r#"{"resultType":"matrix","result":[{"metric":{},"values":[[0,"1"]]}]}"#,
    );
    let cpu = json(&server, "/api/v1/query?query=cpu_total[20s]&time=300.001");
    assert_eq!(cpu["data"]["result"][0]["values"].to_string(), r#"[[285,"1"],[300,"1"]]"#);
    let steps = json(&server, "/api/v1/query_range?query=time()&start=0&end=44&step=15");
    assert_eq!(steps["data"]["result"][0]["values"].to_string(), r#"[[0,"0"],[15,"15"],[30,"30"]]"#);
    server.check_data(
        "/api/v1/query_range?query=irate(http_requests_total[1m])&start=120&end=199&step=60",
        concat!(
            r#"{"resultType":"matrix","result":[{"metric":{"code":"200","service.name":"a"},"values":[[120,"1"],[180,"1"]]},"#,
            r#"{"metric":{"code":"500","service.name":"b"},"values":[[120,"2"],[180,"2"]]}]}"#
        ),
    );
}

#[test]
fn browsers_ask_before_they_know_whether_a_path_exists() {
    let server = server();
    let origin = "Origin: https://g.example\r\n";
    for (method, target, status) in [
        ("GET", "/api/v1/query?query=1&time=0", 200),
        ("OPTIONS", "/api/v1/query", 204),
        ("OPTIONS", "/api/v1/whatever", 204),
    ] {
        let answer = server.send(method, target, origin, "");
        assert_eq!(answer.status, status, "{method} {target}");
        assert_eq!(answer.header("access-control-allow-origin"), "https://g.example", "{method} {target}");
        assert_eq!(answer.header("access-control-allow-methods"), "GET, POST, OPTIONS");
        assert_eq!(answer.header("access-control-allow-headers"), "Accept, Authorization, Content-Type, Origin");
        assert_eq!(answer.header("access-control-expose-headers"), "Date");
        assert_eq!(answer.header("vary"), "Accept-Encoding, Origin");
    }
    let plain = server.get("/api/v1/query?query=1&time=0");
    assert!(
        plain.header("access-control-allow-origin").is_empty() && plain.header("vary") == "Accept-Encoding, Origin"
    );
}

#[test]
fn wrong_methods_are_told_which_are_right() {
    let server = server();
    for target in ["/-/healthy", "/-/ready"] {
        assert_eq!(server.send("HEAD", target, "", "").status, 200);
    }
    for (method, target, allow) in [
        ("HEAD", "/api/v1/query?query=1", "GET, OPTIONS, POST"),
        ("PUT", "/api/v1/query", "GET, OPTIONS, POST"),
        ("DELETE", "/api/v1/series", "GET, OPTIONS, POST"),
        ("POST", "/api/v1/label/job/values", "GET, OPTIONS"),
        ("HEAD", "/api/v1/status/buildinfo", "GET, OPTIONS"),
    ] {
        let answer = server.send(method, target, "", "");
        assert_eq!((answer.status, answer.header("allow").as_str()), (405, allow), "{method} {target}");
    }
}

#[test]
fn compressed_answers_are_the_plain_ones_at_every_size() {
    let server = server();
    for points in [10, 1_500, 11_000] {
        let target = format!("/api/v1/query_range?query=time()&start=0&end={points}&step=1");
        let plain = server.get(&target);
        let gzip = server.send("GET", &target, "Accept-Encoding: gzip\r\n", "");
        let mut back = Vec::new();
        if gzip.header("content-encoding") == "gzip" {
            flate2::read::GzDecoder::new(&gzip.body[..]).read_to_end(&mut back).unwrap();
        } else {
            assert!(plain.body.len() < 1024);
            back.clone_from(&gzip.body);
        }
        assert!(back == plain.body, "{points}");
        let ruby = server.send("GET", &target, "Accept-Encoding: gzip;q=1.0, deflate;q=0.6\r\n", "");
        assert!(ruby.header("content-encoding").is_empty() && ruby.body == plain.body);
    }
}

#[test]
fn names_are_dropped_at_once() {
    let server = server();
    let error = "vector cannot contain metrics with the same labelset";
    let renamed = |selector: &str| {
        let inner = format!(
            "label_replace(rate({{__name__=~\"{selector}\"}}[2m]),\"p\",\"$1\",\"__name__\",\"(?:(.%2B)_)?total\")"
        );
        format!("sum+by+(job,+)+(label_replace({inner},\"__name__\",\"x\",\"__name__\",\".*\"))")
    };
    for query in
        ["changes({__name__=~\"c.%2B\"}[5m])", "count(changes({__name__=~\"c.%2B\"}[5m]))", &renamed("c.%2B_total")]
    {
        server.check_error(&format!("/api/v1/query?query={query}&time=300"), 422, "execution", error);
    }
    let one = r#"{"resultType":"vector","result":[{"metric":{"job":"a"},"value":[300,"0"]}]}"#;
    server.check_data(&format!("/api/v1/query?query={}&time=300", renamed("cpu_total")), one);
    let gone = "label_replace(rate(cpu_total[5m]),\"n\",\"$1\",\"__name__\",\"(.%2B)\")";
    server.check_data(&format!("/api/v1/query?query={gone}&time=300"), one);
}

#[test]
fn queries_are_formatted_as_prometheus_does() {
    let server = server();
    for (query, expected) in [
        ("1000000000", "1000000000"),
        ("1000000000000.00001", "1000000000000"),
        ("foo[1001ms]", "foo[1s1ms]"),
        ("a%2Bignoring()group_left(x)b", "a + ignoring () group_left (x) b"),
        ("sum(rate(a[5m]))by(x)", "sum by (x) (rate(a[5m]))"),
        (
            "sum+by(\"label.1\")(rate({\"a.b\",t=\"c\"}[2m]))",
            "sum by (\"label.1\") (rate({__name__=\"a.b\",t=\"c\"}[2m]))",
        ),
        ("a{b=~\"x\\\\d%2B\"}+offset+-5m+@+start()", "a{b=~\"x\\\\d+\"} @ start() offset -5m"),
        ("x{le=\"1\"}>bool+5m", "x{le=\"1\"} > bool 5m"),
        ("foo+offset+(5m)", "foo offset (5m)"),
        ("-2^2", "-2 ^ 2"),
        ("smoothed{anchored=\"x\"}+offset+5m", "smoothed{anchored=\"x\"} offset 5m"),
        ("fill+%2B+on(fill)+step", "fill + on (fill) step"),
    ] {
        assert_eq!(json(&server, &format!("/api/v1/format_query?query={query}"))["data"], expected, "{query}");
    }
}

#[test]
fn exemplars_are_an_empty_list_where_there_could_be_some() {
    let server = server();
    server.check_data("/api/v1/query_exemplars?query=up", "[]");
    assert_eq!(server.get("/api/v1/query_exemplars?query=1").status, 204);
}

/// Shows what it is asked for as the labels of an exemplar's series.
struct Echo;

impl ExemplarSource for Echo {
    fn exemplars(
        &self,
        range: TimeRange,
        selectors: &[Vec<Matcher>],
        _: &Cancel,
    ) -> Result<Vec<(Labels, Vec<Exemplar>)>, String> {
        let shown = |matchers: &Vec<Matcher>| matchers.iter().map(Matcher::to_string).collect::<Vec<_>>().join(",");
        let asked = selectors.iter().map(shown).collect::<Vec<_>>().join(" or ");
        if asked.contains("broken") {
            return Err("the disk is gone".to_owned());
        }
        let trace = Labels::from_pairs([("trace_id", "4b<f9")]);
        let exemplars = vec![
            Exemplar { timestamp_ms: range.mint, value: 0.1, labels: trace },
            Exemplar { timestamp_ms: range.maxt, value: f64::INFINITY, labels: Labels::empty() },
        ];
        Ok(vec![(Labels::from_pairs([("asked", asked)]), exemplars)])
    }
}

#[test]
fn exemplars_are_those_of_all_selectors_of_a_query() {
    let options = ApiOptions { exemplars: Exemplars::of(Arc::new(Echo)), ..ApiOptions::default() };
    let server = Server::start(store(), options);
    let target = "/api/v1/query_exemplars?query=sum(rate(a{b=\"1\"}[5m]))/c&start=1.5&end=2";
    let asked = r#"b=\"1\",__name__=\"a\" or __name__=\"c\""#;
    let exemplars = r#"[{"labels":{"trace_id":"4b\u003cf9"},"value":"0.1","timestamp":1.500},{"labels":{},"value":"+Inf","timestamp":2}]"#;
    server.check_data(target, &format!(r#"[{{"seriesLabels":{{"asked":"{asked}"}},"exemplars":{exemplars}}}]"#));
    server.check_error("/api/v1/query_exemplars?query=broken", 500, "internal", "the disk is gone");
}

#[test]
fn clients_read_what_the_server_is() {
    let options = ApiOptions { retention: "15d".into(), config_yaml: "global:\n".into(), ..ApiOptions::default() };
    let server = Server::start(store(), options);
    let keys = ["branch", "buildDate", "buildUser", "goVersion", "revision", "version"];
    let build = json(&server, "/api/v1/status/buildinfo")["data"].clone();
    assert_eq!(build.as_object().unwrap().keys().collect::<Vec<_>>(), keys);
    assert_eq!((&build, build["version"].as_str()), (&json(&server, "/version"), Some("3.16.0")));
    assert_eq!(json(&server, "/api/v1/status/runtimeinfo")["data"]["storageRetention"], "15d");
    assert_eq!(json(&server, "/api/v1/status/config")["data"]["yaml"], "global:\n");
    server.check_data("/api/v1/status/walreplay", r#"{"min":0,"max":0,"current":0}"#);
    let features = json(&server, "/api/v1/features")["data"].clone();
    for (category, of) in features.as_object().unwrap() {
        assert!(of.as_object().unwrap().values().all(serde_json::Value::is_boolean), "{category}");
    }
    assert_eq!((&features["promql_functions"]["rate"], &features["api"]["admin"]), (&true.into(), &false.into()));
}

#[test]
fn federation_gives_the_newest_samples_as_text() {
    let now_ms = i64::try_from(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    // Seconds back and forth do not matter: what counts is the newest sample of the last five minutes.
    let end_ms = now_ms / 15_000 * 15_000 - 15_000;
    let server = Server::start(store_at(end_ms - 600_000), ApiOptions::default());
    let answer = server.get("/federate?match[]=cpu_total&match[]={job=\"a\"}&match[]=dotted.name&match[]=nosuch");
    assert_eq!(answer.status, 400, "{}", answer.text());
    let target = "/federate?match[]=cpu_total&match[]={job=\"a\"}&match[]={\"dotted.name\",\"http.status\"=\"200\"}";
    let answer = server.get(target);
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8; escaping=underscores");
    let expected = format!(
        "# TYPE conn_total untyped\nconn_total{{job=\"a\",instance=\"\"}} 41 {end_ms}\n\
         # TYPE cpu_total untyped\ncpu_total{{job=\"a\",instance=\"\"}} 1 {end_ms}\n\
         # TYPE dotted_name untyped\ndotted_name{{http_status=\"200\",instance=\"\"}} 7 {end_ms}\n"
    );
    assert_eq!(answer.text(), expected);
    let utf8 = server.send("GET", target, "Accept: text/plain;escaping=allow-utf-8\r\n", "").text();
    assert!(
        utf8.contains(&format!("{{\"dotted.name\",\"http.status\"=\"200\",instance=\"\"}} 7 {end_ms}\n")),
        "{utf8}"
    );
    server.check("/federate?match[]=up[5m]", 400, "1:3: parse error: unexpected \"[\"\n");
    server.check("/federate", 200, "");
}

#[test]
fn metadata_has_limits_of_its_own() {
    let server = server();
    let temp = r#"{"temp":[{"type":"gauge","help":"How \u003cwarm\u003e.","unit":"celsius"}]}"#;
    server.check_data("/api/v1/metadata?limit=0", "{}");
    for limits in ["limit=-1", "", "limit_per_metric=0", "limit_per_metric=-1", "limit=1&limit_per_metric=1"] {
        server.check_data(&format!("/api/v1/metadata?metric=temp&{limits}"), temp);
    }
}

#[test]
fn stats_that_are_neither_true_nor_all_are_warned_about() {
    let server = server();
    for stats in ["true", "all"] {
        let answer = json(&server, &format!("/api/v1/query?query=1&stats={stats}"));
        assert!(answer.get("warnings").is_none() && answer["data"]["stats"].is_object(), "{answer}");
    }
    let warning = r#"value "1" for parameter "stats" is deprecated and will be rejected in the next major release, use "true" or "all""#;
    assert_eq!(json(&server, "/api/v1/query?query=1&stats=1")["warnings"], serde_json::json!([warning]));
}

#[test]
fn a_store_that_takes_nothing_more_is_not_ready_and_says_why() {
    let broken = Arc::new(AtomicBool::new(false));
    let fault = Fault::new({
        let broken = Arc::clone(&broken);
        move || broken.load(Ordering::Relaxed).then(|| "sync of segment 7 failed".to_owned())
    });
    let server = Server::start(store(), ApiOptions { fault, ..ApiOptions::default() });
    server.check("/-/ready", 200, "mytsdb is ready.\n");
    broken.store(true, Ordering::Relaxed);
    server.check("/-/ready", 503, "Service Unavailable: nothing is stored any more: sync of segment 7 failed\n");
    assert_eq!(server.get("/-/healthy").status, 200);
    assert_eq!(server.get("/api/v1/query?query=up&time=0").status, 200, "what is stored can still be read");
}
