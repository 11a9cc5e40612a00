//! Queries made to hurt: each must be refused or answered without much time, memory or stack.

use mytsdb_promql::{
    Cancel, EvalError, QUERY_BYTES_MAX, QueryOptions, TestStorage, instant, parse, parse_series_description, prettify,
    range,
};

/// Stack of the threads that a server usually runs queries on.
const STACK_BYTES: usize = 2 << 20;

fn storage() -> TestStorage {
    let mut storage = TestStorage::new();
    storage.load("load 1m\n a{x=\"1\"} 0+1x10\n a{x=\"2\"} 0+1x10", 0).expect("the notation is right");
    storage
}

/// Parses, prints, evaluates and drops `query` on a small stack; any outcome but a crash will do.
#[track_caller]
fn survive(query: String) -> Result<(), String> {
    std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(move || {
            let expr = parse(&query).map_err(|e| e.to_string())?;
            let reparsed = parse(&expr.to_string());
            assert!(reparsed.is_ok() || expr.to_string().len() > QUERY_BYTES_MAX, "{reparsed:?}");
            assert!(!prettify(&expr).is_empty());
            let storage = storage();
            let options = QueryOptions { max_samples: 1_000_000, ..QueryOptions::default() };
            instant(&storage, &expr, 600_000, &options, &Cancel::new()).map_err(|e| e.to_string())?;
            range(&storage, &expr, 0, 600_000, 60_000, &options, &Cancel::new()).map_err(|e| e.to_string())?;
            Ok(())
        })
        .expect("a thread starts")
        .join()
        .expect("the query crashed")
}

#[test]
fn deep_nesting_is_refused_with_a_clear_error() {
    for query in [
        "-".repeat(10_000) + "a",
        "(".repeat(5_000) + "a" + &")".repeat(5_000),
        "sum(".repeat(3_000) + "a" + &")".repeat(3_000),
        "a".to_owned() + &"[1m:1s]".repeat(1_000),
        "a".to_owned() + &" + a".repeat(4_000),
        "1".to_owned() + &"^1".repeat(8_000),
        format!("a[{}1{}]", "(".repeat(4_000), ")".repeat(4_000)),
        format!("a[1{}]", "+1".repeat(8_000)),
        format!("a[{}1]", "-".repeat(8_000)),
    ] {
        let error = survive(query.clone()).unwrap_err();
        assert!(error.contains("nested too deeply") || error.contains("subquery is only allowed"), "{error}");
    }
}

#[test]
fn nesting_up_to_the_limit_is_answered_on_a_small_stack() {
    survive("a".to_owned() + &" + a".repeat(250)).unwrap();
    survive("a".to_owned() + &" or a".repeat(250)).unwrap();
    survive("(".repeat(250) + "a" + &")".repeat(250)).unwrap();
    survive("abs(".repeat(140) + "a" + &")".repeat(140)).unwrap();
    survive("sum(".repeat(140) + "a" + &")".repeat(140)).unwrap();
    survive("-(".repeat(70) + "a" + &")".repeat(70)).unwrap();
    survive(format!("sum_over_time(a[1m{}])", "+1s".repeat(250))).unwrap();
}

#[test]
fn long_texts_are_refused_or_read_in_linear_time() {
    assert!(survive("a".repeat(QUERY_BYTES_MAX + 1)).unwrap_err().contains("exceeds the limit"));
    survive("a".repeat(QUERY_BYTES_MAX)).unwrap();
    assert!(survive("{".repeat(QUERY_BYTES_MAX)).is_err());
    assert!(survive("\"".to_owned() + &"\\".repeat(QUERY_BYTES_MAX - 2)).is_err());
    assert!(survive("1_".repeat(QUERY_BYTES_MAX / 2)).is_err());
    let matchers: Vec<String> = (0..1_500).map(|i| format!("l{i}=\"\"")).collect();
    survive(format!("a{{{}}}", matchers.join(","))).unwrap();
    let labels: Vec<String> = (0..2_000).map(|i| format!("l{i}")).collect();
    survive(format!("sum by ({}) (a)", labels.join(","))).unwrap();
}

#[test]
fn large_patterns_are_refused() {
    assert!(survive("{x=~\"((a{1000}){1000}){1000}\"}".into()).is_err());
    assert!(survive(format!("{{x=~\"{}\"}}", "(a|b)*".repeat(2_000))).is_err());
    assert!(survive("label_replace(a, \"d\", \"$1\", \"x\", \"((.{1000}){1000})\")".into()).is_err());
    survive("a{x=~\"(a*)*(a*)*(a*)*b\"}".into()).unwrap();
}

#[test]
fn huge_numbers_overflow_nothing() {
    for query in [
        "1e999",
        "-1e999",
        "0x7fffffffffffffff",
        "a @ 9e15",
        "a @ -9e15",
        "a offset 290y",
        "a offset -290y",
        "rate(a[290y])",
        "rate(a[290y] @ 9e15 offset -290y)",
        "rate(a[290y] anchored)",
        "rate(a[290y] smoothed)",
        "hour(vector(1e300))",
        "year(vector(-1e18))",
        "vector(1) ^ 1e308",
        "predict_linear(a[1h], 1e308)",
        "quantile_over_time(1e308, a[1h])",
        "round(a, 1e-320)",
        "clamp(a, -1e308, 1e308)",
    ] {
        survive(query.into()).unwrap_or_else(|e| panic!("{query}: {e}"));
    }
    for query in
        ["a[300y]", "a[1e300]", "topk(1e300, a)", "limitk(-1e300, a)", "a @ 1e300", "a[1d1e9]", "a[9999999999y]"]
    {
        assert!(survive(query.into()).is_err(), "{query}");
    }
    let storage = storage();
    let expr = parse("a").unwrap();
    let options = QueryOptions::default();
    assert!(instant(&storage, &expr, i64::MAX, &options, &Cancel::new()).is_err());
    assert!(range(&storage, &expr, i64::MIN, i64::MAX, 1, &options, &Cancel::new()).is_err());
    assert!(range(&storage, &expr, 0, 1 << 59, 1, &options, &Cancel::new()).is_err());
}

#[test]
fn a_subquery_of_too_many_steps_is_refused() {
    assert!(survive("sum_over_time(a[100y:1ms])".into()).unwrap_err().contains("too many samples"));
    assert!(
        survive("sum_over_time(sum_over_time(a[100y:1s])[100y:1s])".into()).unwrap_err().contains("too many samples")
    );
}

#[test]
fn the_cancel_flag_and_the_deadline_stop_an_evaluation() {
    let (storage, expr, options) = (storage(), parse("sum_over_time(a[1d:1s])").unwrap(), QueryOptions::default());
    let cancel = Cancel::new();
    cancel.cancel();
    assert!(matches!(instant(&storage, &expr, 0, &options, &cancel), Err(EvalError::Canceled)));
    let late = Cancel::at(std::time::Instant::now());
    assert!(matches!(range(&storage, &expr, 0, 60_000, 60_000, &options, &late), Err(EvalError::Timeout)));
}

#[test]
fn series_notation_is_bounded() {
    assert!(parse_series_description("a 1x99999999999").is_err());
    assert!(parse_series_description(&("a ".to_owned() + &"_x1000000 ".repeat(5))).is_err());
    assert!(parse_series_description(&("a {{".to_owned() + &"buckets:[1] ".repeat(1_000))).is_err());
}
