//! What the parser accepts, refuses and prints; the large tables are run by `mytsdb-conformance parser`.

use mytsdb_promql_syntax::{
    Expr, ParseOptions, ValueType, format_duration_ms, parse, parse_duration_ms, parse_selector, parse_with, prettify,
};

#[track_caller]
fn refuses(query: &str, expected: &str) {
    match parse(query) {
        Ok(expr) => panic!("{query} was accepted as {expr}"),
        Err(error) => assert_eq!(error.to_string(), expected, "{query}"),
    }
}

#[test]
fn errors_tell_line_column_and_cause() {
    refuses("", "unknown position: parse error: no expression found in input");
    refuses("sum(\n  up{job=}\n)", "2:10: parse error: unexpected \"}\" in label matching, expected string");
    refuses(
        "up offset",
        "1:10: parse error: unexpected end of input in offset, expected number, duration, step(), or range()",
    );
    refuses(
        "rate(up)",
        "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
    );
    refuses("{job=~\".*\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher");
    refuses("up{", "1:4: parse error: unexpected end of input inside braces");
    refuses("sum by (without) (a)", "1:9: parse error: unexpected <without> in grouping opts, expected label");
    assert!(parse("sum by (by, offset) (a + on (ignoring) group_left (bool) b)").is_ok());
    refuses("1 > 2", "1:3: parse error: comparisons between scalars must use BOOL modifier");
}

#[test]
fn operators_bind_as_documented() {
    #[track_caller]
    fn check(query: &str, lhs: &str, rhs: &str) {
        let Expr::Binary(binary) = parse(query).unwrap() else { panic!("{query} is no binary expression") };
        assert_eq!((binary.lhs.to_string().as_str(), binary.rhs.to_string().as_str()), (lhs, rhs), "{query}");
    }
    check("a + b * c", "a", "b * c");
    check("a ^ b ^ c", "a", "b ^ c");
    check("a - b - c", "a - b", "c");
    check("a or b and c", "a", "b and c");
    check("-a * b", "-a", "b");
    check("a offset 5m + b", "a offset 5m", "b");
    check("a offset -2 ^ 2", "a offset -2s", "2");
}

#[test]
fn positions_are_bytes_of_the_query() {
    let query = "  sum by (ü) (up) ";
    // A bare name is ASCII; the quoted form takes any.
    assert!(parse(query).is_err());
    let query = "  sum by (\"ü\") (up) ";
    let expr = parse(query).unwrap();
    assert_eq!(&query[expr.pos().start..expr.pos().end], "sum by (\"ü\") (up)");
    assert_eq!(expr.value_type(), ValueType::Vector);
}

#[test]
fn printing_and_parsing_are_inverse() {
    for query in [
        "sum by (job) (rate(http_requests_total{code=~\"5..\"}[5m] offset 1m))",
        "a + on (x) group_left (y) fill (0) b",
        "max_over_time(rate(a[5m])[1h:30s] @ start() offset 5m)",
        "{\"metric.name\",\"label.name\"=\"v\"}",
        "a[5m] anchored @ 1.500",
        "quantile(0.9, a) > bool 3",
        "label_replace(a, \"d\", \"$1\", \"s\", \"(.*)\\\\.x\")",
        "a </ 5 or b >/ -Inf",
        "foo[max_of(step(), 5s)]",
    ] {
        let expr = parse(query).unwrap_or_else(|e| panic!("{query}: {e}"));
        let printed = expr.to_string();
        assert_eq!(parse(&printed).unwrap().to_string(), printed, "{query}");
        assert_eq!(parse(&prettify(&expr)).unwrap().to_string(), printed, "{query}");
    }
}

#[test]
fn the_stable_language_has_no_experiments() {
    for query in ["limitk(1, a)", "info(a)", "a[1m + 1m]", "a + fill (0) b"] {
        assert!(parse_with(query, ParseOptions::ALL).is_ok(), "{query}");
        assert!(parse_with(query, ParseOptions::STABLE).is_err(), "{query}");
    }
    assert!(parse_with("sum(rate(a[5m] offset -1m))", ParseOptions::STABLE).is_ok());
    assert!(parse_with("rate(a[5m] anchored)", ParseOptions::STABLE).is_ok());
}

#[test]
fn unquoted_names_may_have_letters_of_any_script_and_dots_if_asked_for() {
    let unquoted = ParseOptions { unquoted_names: true, ..ParseOptions::ALL };
    for query in ["a..b.", "sum.x", "温度{場所=\"x\"}", "sum by (c.d, é) (a.1)", "inf.x", "ªx", ":a.b"] {
        assert!(parse_with(query, unquoted).is_ok(), "{query}");
        assert!(parse(query).is_err(), "{query}");
    }
    for query in [".a", "a{.b=\"1\"}", "a²", "Ⅷa", "a٣", "🙂"] {
        assert!(parse_with(query, unquoted).is_err(), "{query}");
    }
}

#[test]
fn selectors_stand_alone_for_the_api() {
    let selector = |text| parse_selector(text, ParseOptions::ALL);
    assert_eq!(selector("up{job=\"a\"}").unwrap().len(), 2);
    assert!(selector("up offset 5m").is_err());
    assert!(selector("rate(up[5m])").is_err());
    for (text, error) in [
        ("up+1", "1:3: parse error: unexpected <op:+>"),
        ("up[5m]", "1:3: parse error: unexpected \"[\""),
        ("sum(up)", "1:4: parse error: unexpected \"(\""),
        ("1", "1:1: parse error: unexpected number \"1\""),
        ("-up", "1:1: parse error: unexpected <op:->"),
        ("(up)", "1:1: parse error: unexpected \"(\""),
        ("up{", "1:4: parse error: unexpected end of input inside braces"),
        ("up{a=\"b\"} {c=\"d\"}", "1:11: parse error: unexpected \"{\""),
    ] {
        assert_eq!(selector(text).unwrap_err().to_string(), error, "{text}");
    }
    for text in ["rate", "sum", "up # x", "{}", "{a=~\".*\"}"] {
        assert!(selector(text).is_ok(), "{text}");
    }
}

#[test]
fn durations_round_trip() {
    for text in ["0s", "1ms", "1m30s", "1h", "1d", "2w", "1y", "1d1h1m1s1ms"] {
        assert_eq!(format_duration_ms(parse_duration_ms(text).unwrap()), text);
    }
    assert!(parse_duration_ms("1s1h").is_err());
}
