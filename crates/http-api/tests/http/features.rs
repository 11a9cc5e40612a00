//! Parts of the language that are off by default: what turns them on, for all queries and for one.

#![expect(clippy::unwrap_used, reason = "whatever fails here fails the test that asked")]

use crate::server::Server;
use crate::store::{scalar, store};
use mytsdb_http_api::ApiOptions;
use mytsdb_model::Labels;
use mytsdb_promql::QueryOptions;
use mytsdb_promql_testkit::TestStorage;
use std::sync::Arc;

/// A counter that began anew between two samples, which only its start timestamps tell.
fn restarted(use_start_timestamps: bool) -> Server {
    let mut storage = TestStorage::new();
    let labels = Labels::from_pairs([("__name__", "c_total"), ("job", "s")]);
    storage.append(&labels, 280_000, 5.0, 200_000).unwrap();
    storage.append(&labels, 290_000, 7.0, 285_000).unwrap();
    let query = QueryOptions { use_start_timestamps, ..QueryOptions::default() };
    Server::start(Arc::new(storage), ApiOptions { query, ..ApiOptions::default() })
}

/// The answer to a query with a header line for start timestamps, which may be empty.
fn ask(server: &Server, target: &str, header: &str) -> (u16, String) {
    let line =
        if header.is_empty() { String::new() } else { format!("x-prometheus-use-start-timestamps: {header}\r\n") };
    let answer = server.send("GET", &format!("/api/v1/{target}"), &line, "");
    (answer.status, answer.text())
}

#[test]
fn start_timestamps_are_used_if_the_server_or_the_header_says_so() {
    let resets = |count| {
        format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{"job":"s"}},"value":[300,"{count}"]}}]}}}}"#
        )
    };
    let range = |count| {
        format!(
            r#"{{"status":"success","data":{{"resultType":"matrix","result":[{{"metric":{{"job":"s"}},"values":[[300,"{count}"]]}}]}}}}"#
        )
    };
    for (on, header, count) in [
        (false, "", 0),
        (false, "true", 1),
        (false, "1", 1),
        (false, "T", 1),
        (false, "false", 0),
        (true, "", 1),
        (true, "true", 1),
        (true, "False", 0),
        (true, "0", 0),
    ] {
        let server = restarted(on);
        let (instant, steps) = (
            "query?query=resets(c_total[1m])&time=300",
            "query_range?query=resets(c_total[1m])&start=300&end=300&step=1",
        );
        assert_eq!(ask(&server, instant, header), (200, resets(count)), "{on} {header}");
        assert_eq!(ask(&server, steps, header), (200, range(count)), "{on} {header}");
    }
}

#[test]
fn anchored_increases_and_start_timestamp_use_them() {
    let server = restarted(false);
    let value = |query: &str, header: &str| {
        let answer = ask(&server, &format!("query?time=300&query={query}"), header).1;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        answer["data"]["result"][0]["value"][1].as_str().map(str::to_owned)
    };
    assert_eq!(value("increase(c_total[1m]%20anchored)", "").as_deref(), Some("2"));
    assert_eq!(value("increase(c_total[1m]%20anchored)", "true").as_deref(), Some("12"));
    assert_eq!(value("start_timestamp(c_total)", ""), None);
    assert_eq!(value("start_timestamp(c_total)", "true").as_deref(), Some("285"));
}

#[test]
fn a_header_that_is_no_truth_value_is_refused_after_the_parameters_and_before_the_query() {
    let server = restarted(false);
    let refused = |got: &str| {
        let reason = format!(
            "error parsing X-Prometheus-Use-Start-Timestamps header: strconv.ParseBool: parsing {got}: invalid syntax"
        );
        (400, serde_json::json!({"status": "error", "errorType": "bad_data", "error": reason}))
    };
    let ask = |target: &str, header: &str| {
        let (status, text) = ask(&server, target, header);
        (status, serde_json::from_str::<serde_json::Value>(&text).unwrap())
    };
    for (header, got) in [("yes", "\"yes\""), ("tRue", "\"tRue\""), ("2", "\"2\""), ("a\"b", "\"a\\\"b\"")] {
        assert_eq!(ask("query?query=1", header), refused(got), "{header}");
        assert_eq!(ask("query_range?query=1&start=0&end=1&step=1", header), refused(got), "{header}");
    }
    assert_eq!(ask("query?query=%2B%2B", "x"), refused("\"x\""));
    for (parameter, named) in [
        ("time=x", "\"time\""),
        ("limit=x", "\"limit\""),
        ("timeout=x", "\"timeout\""),
        ("lookback_delta=x", "lookback delta"),
    ] {
        let (status, answer) = ask(&format!("query?query=1&{parameter}"), "x");
        assert!(status == 400 && answer["error"].as_str().unwrap().contains(named), "{answer}");
    }
    let elsewhere = ask("query_exemplars?query=up&start=0&end=1", "x");
    assert_eq!(elsewhere.0, 200, "other endpoints do not read it");
}

#[test]
fn an_empty_header_says_nothing() {
    let server = restarted(true);
    let answer = server.send("GET", "/api/v1/query?query=1&time=0", "X-Prometheus-Use-Start-Timestamps:\r\n", "");
    assert_eq!((answer.status, answer.text()), (200, scalar(0, "1")));
}

#[test]
fn names_with_dots_and_letters_of_any_script_need_no_quotes_if_asked_for() {
    let server = Server::start(store(), ApiOptions { unquoted_names: true, ..ApiOptions::default() });
    let default = Server::start(store(), ApiOptions::default());
    let value = r#"{"resultType":"vector","result":[{"metric":{},"value":[300,"15"]}]}"#;
    let targets = [
        ("query?query=sum(dotted.name)&time=300", value),
        ("query?query=sum(dotted.name{http.status!=\"\"})&time=300", value),
        ("query?query=\u{f6}l.\u{e4}&time=300", r#"{"resultType":"vector","result":[]}"#),
        ("label/http.status/values?match[]=dotted.name{http.status=\"200\"}", r#"["200"]"#),
        ("labels?match[]=dotted.name", r#"["__name__","http.status"]"#),
        ("series?match[]=dotted.name{http.status=\"200\"}", r#"[{"__name__":"dotted.name","http.status":"200"}]"#),
    ];
    for (target, data) in targets {
        server.check_data(&format!("/api/v1/{target}"), data);
        assert_eq!(default.get(&format!("/api/v1/{target}")).status, 400, "{target}");
    }
    assert_eq!(server.get("/federate?match[]=dotted.name").status, 200);
    assert_eq!(default.get("/federate?match[]=dotted.name").status, 400);
}

#[test]
fn what_is_on_is_told() {
    let told = |options: ApiOptions| {
        let server = Server::start(store(), options);
        let features = server.get("/api/v1/features").text();
        let features: serde_json::Value = serde_json::from_str(&features).unwrap();
        let promql = &features["data"]["promql"];
        (promql["unquoted_utf8_names"].as_bool().unwrap(), promql["delayed_name_removal"].as_bool().unwrap())
    };
    assert_eq!(told(ApiOptions::default()), (false, false));
    assert_eq!(told(ApiOptions { unquoted_names: true, ..ApiOptions::default() }), (true, false));
    let query = QueryOptions { delayed_name_removal: true, ..QueryOptions::default() };
    assert_eq!(told(ApiOptions { query, ..ApiOptions::default() }), (false, true));
}
