//! Every endpoint's answers, byte for byte, over a real connection.

use crate::server::{Server, samples};
use mytsdb_http_api::ApiOptions;

const TEMP: &str = r#"{"__name__":"temp","where":"\u003ca\u003e \u0026 \"b\""}"#;

#[test]
fn instant_queries_answer_every_type() {
    let server = Server::with_samples();
    server.check_data("/api/v1/query?query=1%2B1&time=4", r#"{"resultType":"scalar","result":[4,"2"]}"#);
    server.check_data(
        "/api/v1/query?query=%22a%3Cb%22&time=4.5",
        r#"{"resultType":"string","result":[4.500,"a\u003cb"]}"#,
    );
    server.check_data("/api/v1/query?query=none&time=4", r#"{"resultType":"vector","result":[]}"#);
    server.check_data(
        "/api/v1/query?query=temp&time=1970-01-01T00:00:30Z",
        &format!(r#"{{"resultType":"vector","result":[{{"metric":{TEMP},"value":[30,"2.5"]}}]}}"#),
    );
    server.check_data(
        "/api/v1/query?query=temp%5B30s%5D&time=45",
        &format!(r#"{{"resultType":"matrix","result":[{{"metric":{TEMP},"values":[[30,"2.5"],[45,"3.5"]]}}]}}"#),
    );
    server.check_data(
        "/api/v1/query?query=temp&time=700.000&lookback_delta=1m",
        r#"{"resultType":"vector","result":[]}"#,
    );
}

#[test]
fn range_queries_answer_on_the_step() {
    let server = Server::with_samples();
    server.check_data(
        "/api/v1/query_range?query=irate(requests_total%5B1m%5D)&start=300&end=330&step=15s",
        concat!(
            r#"{"resultType":"matrix","result":["#,
            r#"{"metric":{"code":"200"},"values":[[300,"2"],[315,"2"],[330,"2"]]},"#,
            r#"{"metric":{"code":"500"},"values":[[300,"0.2"],[315,"0.2"],[330,"0.2"]]}]}"#
        ),
    );
    server.check_data(
        "/api/v1/query_range?query=1&start=0&end=1&step=0.5",
        r#"{"resultType":"matrix","result":[{"metric":{},"values":[[0,"1"],[0.500,"1"],[1,"1"]]}]}"#,
    );
}

#[test]
fn bad_parameters_are_named() {
    let server = Server::with_samples();
    let check = |target: &str, error: &str| server.check_error(&format!("/api/v1/{target}"), 400, "bad_data", error);
    check("query?query=sum(", "invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis");
    check("query", "invalid parameter \"query\": unknown position: parse error: no expression found in input");
    check(
        "query?query=1&time=x",
        "invalid parameter \"time\": invalid time value for 'time': cannot parse \"x\" to a valid timestamp",
    );
    check("query?query=1&timeout=x", "invalid parameter \"timeout\": cannot parse \"x\" to a valid duration");
    check("query?query=1&limit=x", "invalid parameter \"limit\": strconv.Atoi: parsing \"x\": invalid syntax");
    check("query?query=1&limit=-1", "invalid parameter \"limit\": limit must be non-negative");
    check("query_range?query=1&end=1&step=1", "invalid parameter \"start\": cannot parse \"\" to a valid timestamp");
    check(
        "query_range?query=1&start=2&end=1&step=1",
        "invalid parameter \"end\": end timestamp must not be before start time",
    );
    check("query_range?query=1&start=0&end=1", "invalid parameter \"step\": cannot parse \"\" to a valid duration");
    let step = "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. \
                Try a positive integer";
    check("query_range?query=1&start=0&end=1&step=0", step);
    check("query_range?query=1&start=0&end=1&step=-1", step);
    check(
        "query_range?query=1&start=0&end=11001&step=1",
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)",
    );
    assert_eq!(server.get("/api/v1/query_range?query=1&start=0&end=11000&step=1").status, 200);
    check("series", "no match[] parameter provided");
    check(
        "series?match[]=a%7B",
        "invalid parameter \"match[]\": 1:3: parse error: unexpected end of input inside braces",
    );
    check(
        "labels?start=x",
        "invalid parameter \"start\": invalid time value for 'start': cannot parse \"x\" to a valid timestamp",
    );
}

#[test]
fn execution_errors_are_422() {
    let server = Server::with_samples();
    let answer = server.get("/api/v1/query?query=requests_total+%2B+on()+requests_total&time=30");
    assert_eq!(answer.status, 422);
    assert!(answer.text().starts_with(r#"{"status":"error","errorType":"execution","error":""#), "{}", answer.text());
}

#[test]
fn a_form_body_comes_before_the_url() {
    let server = Server::with_samples();
    let answer = server.post("/api/v1/query?query=2&time=7", "query=1%2B2");
    assert_eq!(answer.text(), r#"{"status":"success","data":{"resultType":"scalar","result":[7,"3"]}}"#);
    let answer = server.post("/api/v1/series?match[]=temp", "match[]=requests_total%7Bcode%3D%22500%22%7D");
    let both = format!(r#"{{"status":"success","data":[{{"__name__":"requests_total","code":"500"}},{TEMP}]}}"#);
    assert_eq!(answer.text(), both);
    let answer = server.send("POST", "/api/v1/query?query=2&time=7", "Content-Type: text/plain\r\n", "query=1");
    assert_eq!(answer.text(), r#"{"status":"success","data":{"resultType":"scalar","result":[7,"2"]}}"#);
}

#[test]
fn limits_cut_and_warn() {
    let server = Server::with_samples();
    let warning = r#""warnings":["results truncated due to limit"]"#;
    server.check(
        "/api/v1/query?query=requests_total&time=0&limit=1",
        200,
        &format!(
            r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{"__name__":"requests_total","code":"200"}},"value":[0,"0"]}}]}},{warning}}}"#
        ),
    );
    server.check(
        "/api/v1/labels?limit=2",
        200,
        &format!(r#"{{"status":"success","data":["__name__","code"],{warning}}}"#),
    );
    server.check(
        "/api/v1/label/code/values?limit=1",
        200,
        &format!(r#"{{"status":"success","data":["200"],{warning}}}"#),
    );
    server.check(
        "/api/v1/series?match[]=requests_total&limit=1",
        200,
        &format!(r#"{{"status":"success","data":[{{"__name__":"requests_total","code":"200"}}],{warning}}}"#),
    );
    server.check_data("/api/v1/label/code/values?limit=2", r#"["200","500"]"#);
    server.check_data("/api/v1/label/code/values?limit=0", r#"["200","500"]"#);
}

#[test]
fn series_and_labels_are_found() {
    let server = Server::with_samples();
    server.check_data("/api/v1/labels", r#"["__name__","code","where"]"#);
    server.check_data("/api/v1/labels?match[]=temp&match[]=none", r#"["__name__","where"]"#);
    server.check_data("/api/v1/label/__name__/values", r#"["requests_total","temp"]"#);
    server.check_data("/api/v1/label/U__code/values", r#"["200","500"]"#);
    server.check_data("/api/v1/label/c%6Fde/values?match[]=%7Bcode!%3D%22%22,code!~%225..%22%7D", r#"["200"]"#);
    server.check_data("/api/v1/label/none/values", "[]");
    server.check_error("/api/v1/label/U__/values", 400, "bad_data", "invalid label name: \"\"");
    server.check_data("/api/v1/series?match[]=temp", &format!("[{TEMP}]"));
    server.check_data("/api/v1/series?match[]=temp&start=601&end=700", "[]");
    let all_time = "start=-292273086-05-16T16:47:06Z&end=292277025-08-18T07:12:54.999999999Z";
    server.check_data(&format!("/api/v1/series?match[]=temp&{all_time}"), &format!("[{TEMP}]"));
}

#[test]
fn syntax_endpoints_answer_from_the_text() {
    let server = Server::with_samples();
    server.check_data("/api/v1/format_query?query=sum(foo)by(a)", r#""sum by (a) (foo)""#);
    server.check_data(
        "/api/v1/parse_query?query=-max_over_time(foo%7Ba%3D%22b%22%7D%5B5m%3A%5D+offset+1m)",
        concat!(
            r#"{"expr":{"args":[{"expr":{"anchored":false,"matchers":[{"name":"a","type":"=","value":"b"},"#,
            r#"{"name":"__name__","type":"=","value":"foo"}],"name":"foo","offset":0,"offsetExpr":null,"#,
            r#""smoothed":false,"startOrEnd":null,"timestamp":null,"type":"vectorSelector"},"#,
            r#""offset":60000,"offsetExpr":null,"range":300000,"rangeExpr":null,"startOrEnd":null,"#,
            r#""step":0,"stepExpr":null,"timestamp":null,"type":"subquery"}],"#,
            r#""func":{"argTypes":["matrix"],"name":"max_over_time","returnType":"vector","variadic":0},"type":"call"},"#,
            r#""op":"-","type":"unaryExpr"}"#
        ),
    );
    server.check_data(
        "/api/v1/parse_query?query=a+/+on(b)+group_left(c)+topk+by(d)+(3,e)",
        concat!(
            r#"{"bool":false,"lhs":{"anchored":false,"matchers":[{"name":"__name__","type":"=","value":"a"}],"#,
            r#""name":"a","offset":0,"offsetExpr":null,"smoothed":false,"#,
            r#""startOrEnd":null,"timestamp":null,"type":"vectorSelector"},"#,
            r#""matching":{"card":"many-to-one","fillValues":{"lhs":null,"rhs":null},"#,
            r#""include":["c"],"labels":["b"],"on":true},"op":"/","#,
            r#""rhs":{"expr":{"anchored":false,"matchers":[{"name":"__name__","type":"=","value":"e"}],"#,
            r#""name":"e","offset":0,"offsetExpr":null,"smoothed":false,"#,
            r#""startOrEnd":null,"timestamp":null,"type":"vectorSelector"},"grouping":["d"],"op":"topk","#,
            r#""param":{"type":"numberLiteral","val":"3"},"type":"aggregation","without":false},"type":"binaryExpr"}"#
        ),
    );
    server.check_data("/api/v1/query_exemplars?query=foo&start=0&end=1", "[]");
    let nothing = server.get("/api/v1/query_exemplars?query=1&start=0&end=1");
    assert_eq!((nothing.status, nothing.text().as_str()), (204, ""));
    let error = "end timestamp must not be before start timestamp";
    server.check_error("/api/v1/query_exemplars?query=foo&start=2&end=1", 400, "bad_data", error);
    server.check_error(
        "/api/v1/format_query?query=sum(",
        400,
        "bad_data",
        "invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis",
    );
}

#[test]
fn metadata_comes_from_all_sources() {
    let server = Server::with_samples();
    server.check_data(
        "/api/v1/metadata?metric=temp",
        r#"{"temp":[{"type":"gauge","help":"How \u003cwarm\u003e.","unit":"celsius"}]}"#,
    );
    server.check_data("/api/v1/metadata?metric=none", "{}");
    server.check_data("/api/v1/metadata?limit=0", "{}");
    server.check_data(
        "/api/v1/metadata?metric=temp&limit_per_metric=0",
        r#"{"temp":[{"type":"gauge","help":"How \u003cwarm\u003e.","unit":"celsius"}]}"#,
    );
    let all = server.get("/api/v1/metadata").text();
    assert!(all.contains(r#""mytsdb_http_jobs_running":[{"type":"gauge""#), "{all}");
}

#[test]
fn what_is_not_here_is_said_honestly() {
    let server = Server::with_samples();
    server.check_data("/api/v1/rules", r#"{"groups":[]}"#);
    server.check_data("/api/v1/alerts", r#"{"alerts":[]}"#);
    server.check_data("/api/v1/alertmanagers", r#"{"activeAlertmanagers":[],"droppedAlertmanagers":[]}"#);
    server.check_data("/api/v1/targets", r#"{"activeTargets":[],"droppedTargets":[],"droppedTargetCounts":{}}"#);
    for question in ["", "?limit=-1", "?metric=up&limit=0", "?match_target={}", "?match_target={job=\"a\"}&limit=2"] {
        server.check_data(&format!("/api/v1/targets/metadata{question}"), "[]");
    }
    for (question, error) in [
        ("limit=x&match_target={", "limit must be a number"),
        ("limit=99999999999999999999", "limit must be a number"),
        ("match_target=sum(up)", "invalid parameter \"match_target\": 1:4: parse error: unexpected \"(\""),
    ] {
        server.check_error(&format!("/api/v1/targets/metadata?{question}"), 400, "bad_data", error);
    }
    server.check("/api/v1/nonsense", 404, "404 page not found\n");
    server.check("/nonsense", 404, "404 page not found\n");
}

#[test]
fn status_tells_about_the_server() {
    let server = Server::with_samples();
    let build: serde_json::Value = serde_json::from_slice(&server.get("/api/v1/status/buildinfo").body).unwrap();
    assert_eq!(build["data"]["version"], "3.16.0");
    assert!(build["data"].get("features").is_none(), "clients take a server with features for another product");
    server.check_data("/api/v1/status/flags", "{}");
    server.check_data("/api/v1/status/config", r#"{"yaml":""}"#);
    let runtime: serde_json::Value = serde_json::from_slice(&server.get("/api/v1/status/runtimeinfo").body).unwrap();
    assert_eq!(runtime["data"]["reloadConfigSuccess"], true);
    let tsdb: serde_json::Value = serde_json::from_slice(&server.get("/api/v1/status/tsdb?limit=1").body).unwrap();
    assert_eq!(tsdb["data"]["headStats"]["numSeries"], 0, "the samples are decades old");
    server.check_error("/api/v1/status/tsdb?limit=0", 400, "bad_data", "limit must be a positive number");
}

#[test]
fn stats_are_given_when_asked_for() {
    let server = Server::with_samples();
    let answer = server.get("/api/v1/query?query=temp&time=30&stats=all").text();
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let stats = &answer["data"]["stats"];
    assert!(stats["timings"]["evalTotalTime"].as_f64().unwrap() > 0.0);
    assert_eq!(stats["samples"]["samplesRead"], 3);
    assert!(answer.get("warnings").is_none());
    let odd: serde_json::Value = serde_json::from_slice(&server.get("/api/v1/query?query=1&stats=1").body).unwrap();
    assert!(odd["data"]["stats"].is_object() && odd["warnings"].as_array().unwrap().len() == 1);
}

#[test]
fn stats_all_carries_the_plan() {
    let server = Server::with_samples();
    let target = "/api/v1/query_range?query=sum(temp)%2F(1%2B1)%2Bsum(temp)&start=30&end=60&step=15&stats=all";
    let answer: serde_json::Value = serde_json::from_slice(&server.get(target).body).unwrap();
    let plan = &answer["data"]["stats"]["plan"];
    assert_eq!(plan["rewrites"][0], "constant: (1 + 1) is 2");
    assert!(plan["ms"].as_f64().unwrap() > 0.0);
    let tree = &plan["tree"];
    assert_eq!((tree["id"].as_u64(), tree["operator"].as_str()), (Some(1), Some("operate +")), "{plan}");
    let select = &tree["children"][0]["children"][0]["children"][0];
    assert_eq!((select["expression"].as_str(), select["series"].as_u64()), (Some("temp"), Some(1)), "{plan}");
    assert!(select["samples"].as_u64() > Some(0) && select["ms"].is_number(), "{plan}");
    assert!(tree["children"][1]["strategies"][0].as_str().unwrap().starts_with("shared with #3"), "{plan}");
    assert!(plan["text"].as_str().unwrap().starts_with("constant: "));
    for other in ["", "&stats=true"] {
        let target = format!("/api/v1/query?query=sum(temp)&time=30{other}");
        assert!(!server.get(&target).text().contains("\"plan\""));
    }
}

#[test]
fn queries_past_the_memory_of_all_are_told_to_come_back() {
    let memory = Some(mytsdb_promql::MemoryBudget::new(10, "--query-max-total-bytes"));
    let query = mytsdb_promql::QueryOptions { memory, ..Default::default() };
    let server = Server::start(samples(), ApiOptions { query, ..ApiOptions::default() });
    let answer = server.get("/api/v1/query?query=sum(temp)&time=45");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.text().contains("more than 10 bytes (--query-max-total-bytes)"), "{}", answer.text());
    assert_eq!(answer.header("retry-after"), "1");
    let query = mytsdb_promql::QueryOptions { max_bytes: 10, ..Default::default() };
    let server = Server::start(samples(), ApiOptions { query, ..ApiOptions::default() });
    assert_eq!(server.get("/api/v1/query?query=sum(temp)&time=45").status, 422);
}

#[test]
fn remarks_carry_the_position() {
    let server = Server::with_samples();
    let answer = server.get("/api/v1/query?query=sum(rate(temp%5B1m%5D))&time=300");
    let answer: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let info = answer["infos"][0].as_str().unwrap();
    assert!(info.starts_with("PromQL info: metric might not be a counter") && info.ends_with("(1:10)"), "{info}");
}
