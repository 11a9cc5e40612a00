//! Chains of operators, as generated queries have them: long ones are no nesting, and take linear time.

use mytsdb_model::Labels;
use mytsdb_promql::{
    Cancel, Optimisations, QueryOptions, QueryResult, QueryValue, SampleValue, explain, instant, range,
};
use mytsdb_promql_syntax::{ParseOptions, TextLimits, parse, parse_with, prettify};
use mytsdb_promql_testkit::TestStorage;
use std::time::{Duration, Instant};

/// Stack of the threads that a server usually runs queries on.
const STACK_BYTES: usize = 2 << 20;

/// Far beyond what any of these queries takes, and far below what quadratic time would.
const DEADLINE: Duration = Duration::from_mins(1);

fn small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(work);
    thread.expect("a thread starts").join().expect("the work crashed")
}

/// `count` terms with an operator between them.
fn chain(count: usize, operator: &str, term: impl Fn(usize) -> String) -> String {
    (0..count).map(term).collect::<Vec<_>>().join(operator)
}

/// Series that are there at some of 30 steps.
fn storage(series: usize) -> TestStorage {
    let mut storage = TestStorage::new();
    for i in 0..series {
        let (x, y) = (i.to_string(), (i % 3).to_string());
        for (name, offset) in [("a", 0), ("b", 1), ("c", 2)] {
            let labels = Labels::from_pairs([("__name__", name), ("x", &x), ("y", &y)]);
            for step in (0..30).filter(|step| (step + i + offset) % 4 != 0) {
                let value = (i * 100 + step) as f64;
                storage.append(&labels, step as i64 * 60_000, value, 0).expect("times ascend");
            }
        }
    }
    storage
}

fn ask(storage: &TestStorage, query: &str, options: &QueryOptions) -> Result<QueryResult, String> {
    let expr = parse(query).map_err(|e| e.to_string())?;
    let cancel = Cancel::at(Instant::now() + DEADLINE);
    range(storage, &expr, 0, 1_740_000, 60_000, options, &cancel).map_err(|e| e.to_string())
}

fn one_value(query: &str) -> f64 {
    let cancel = Cancel::at(Instant::now() + DEADLINE);
    let (storage, options) = (storage(10), QueryOptions { lookback_ms: 30_000, ..QueryOptions::default() });
    let expr = parse(query).expect("the query is legal");
    match instant(&storage, &expr, 300_000, &options, &cancel).expect("it is answered").value {
        QueryValue::Scalar(_, value) => value,
        QueryValue::Vector(all) => match &all[..] {
            [sample] if sample.labels == Labels::empty() => match sample.value {
                SampleValue::Float(value) => value,
                SampleValue::Histogram(_) => panic!("a histogram"),
            },
            other => panic!("{} series", other.len()),
        },
        _ => panic!("a matrix or text"),
    }
}

#[test]
fn ten_thousand_terms_are_computed() {
    small_stack(|| {
        assert_eq!(one_value(&chain(10_000, " + ", |_| "1".into())), 10_000.0);
        assert_eq!(one_value(&chain(10_000, " + ", |_| "sum(a{x=\"1\"} * 0 + 1)".into())), 10_000.0);
        assert_eq!(one_value(&chain(10_000, " - ", |_| "time()".into())), 300.0 - 9_999.0 * 300.0);
        assert_eq!(one_value(&chain(10_000, " or ", |i| format!("count(a{{x=\"{i}\"}})"))), 1.0);
        assert_eq!(one_value(&chain(10_000, " and ", |_| "count(a)".into())), one_value("count(a)"));
        assert_eq!(
            one_value(&format!("count(a) unless {}", chain(10_000, " unless ", |_| "a{x=\"none\"}".into()))),
            one_value("count(a)")
        );
        assert_eq!(one_value(&format!("sum(a{})", " * 1".repeat(10_000))), one_value("sum(a)"));
        assert_eq!(one_value(&format!("sum(a{})", " + 1 - 1".repeat(5_000))), one_value("sum(a)"));
        assert_eq!(one_value(&format!("sum(a{})", " >= bool 0 <= bool 2".repeat(3_000))), one_value("count(a)"));
        assert_eq!(one_value(&format!("sum(a{})", " > -1".repeat(3_000))), one_value("sum(a)"));
        assert_eq!(
            one_value(&format!("sum(a{})", " + on (x) (b * 0 or on (x) a * 0)".repeat(500))),
            one_value("sum(a)")
        );
    });
}

#[test]
fn sums_of_many_instances_joined_by_or_are_one() {
    small_stack(|| {
        for operands in [500, 2_000] {
            let query = chain(operands, " or ", |i| format!("sum(a{{x=\"{i}\"}} * 0 + 1)"));
            assert_eq!(one_value(&query), 1.0);
        }
    });
}

#[test]
fn as_many_rows_as_operands_take_linear_time() {
    small_stack(|| {
        let storage = storage(4_000);
        for matching in ["", " on (x)", " ignoring (y)"] {
            let query = chain(4_000, &format!(" or{matching} "), |i| format!("a{{x=\"{i}\"}}"));
            let result = ask(&storage, &query, &QueryOptions::default()).unwrap();
            let QueryValue::Matrix(all) = result.value else { panic!("a range query gives a matrix") };
            assert_eq!(all.len(), 4_000);
        }
    });
}

#[test]
fn chains_answer_as_their_plain_evaluation_does() {
    let queries = [
        "a or b or c".to_owned(),
        "a or on (x) b or on (x) c".to_owned(),
        "a or on (y) b or on (y) c or on (x) a".to_owned(),
        "a or on () b or on () c".to_owned(),
        "a or ignoring (x) b or c or ignoring (x) a".to_owned(),
        "a{x=\"1\"} or a or a{x=\"2\"} or -a or -b or vector(1) or vector(2)".to_owned(),
        "(a > 200) or a or (b > 300) or rate(b[5m]) or c".to_owned(),
        "a and b or c unless a or b".to_owned(),
        chain(30, " or ", |i| format!("{}{{x=\"{}\"}}", ["a", "b", "c"][i % 3], i / 2)),
        // More than are left to be read one within the other.
        format!("a{}", " + 1 - 2".repeat(300)),
        format!("a{}", " and b and on (y) c".repeat(300)),
        format!("a{}", " + on (x) (b or on (x) vector(1)) * 0".repeat(100)),
        format!("a{}", " unless c{x=\"0\"} and a + 0".repeat(200)),
        format!("time(){}", " + time() - 1".repeat(300)),
        format!("sum by (y) (a{}) or sum by (y) (b)", " * 1".repeat(500)),
        format!("abs(a{})", " == bool 3 != bool 1".repeat(300)),
    ];
    small_stack(move || {
        let storage = storage(12);
        let plain = QueryOptions { optimise: false, lookback_ms: 30_000, ..QueryOptions::default() };
        let passes = [Optimisations::ALL, Optimisations::NONE];
        for query in queries {
            let expected = ask(&storage, &query, &plain).map(|result| format!("{:?}", result.value));
            for (optimisations, profile) in passes.into_iter().zip([true, false]) {
                let options = QueryOptions { optimise: true, optimisations, profile, ..plain.clone() };
                let found = ask(&storage, &query, &options).map(|result| format!("{:?}", result.value));
                assert_eq!(found, expected, "{}", &query[..query.len().min(200)]);
            }
        }
    });
}

#[test]
fn memory_of_a_chain_is_that_of_its_last_part() {
    small_stack(|| {
        let query = format!("a{}", " + 1".repeat(5_000));
        // 200 rows of 30 steps, twice, and what a row takes beside; not a hundred times that.
        let options = QueryOptions { max_samples: 30_000, ..QueryOptions::default() };
        assert!(ask(&storage(200), &query, &options).is_ok());
        let query = chain(3_000, " or ", |_| "a".into());
        assert!(ask(&storage(200), &query, &options).is_ok());
    });
}

#[test]
fn long_chains_are_printed_compared_copied_and_explained() {
    small_stack(|| {
        for operator in ["+", "or", "and on (x)", "unless ignoring (y)", "* on (x) group_left (y)", ">= bool"] {
            let text = chain(20_000, &format!(" {operator} "), |i| format!("a{i}"));
            let expr = parse(&text).unwrap();
            let printed = expr.to_string();
            let copy = expr.clone();
            assert_eq!(copy.to_string(), printed);
            assert!(copy == expr && parse(&printed).unwrap().to_string() == printed);
            let other = parse(&text.replacen("a0 ", "b0 ", 1)).unwrap();
            assert!(other != expr, "the first operand differs");
            let pretty = prettify(&expr);
            assert!(pretty.len() < 3 * printed.len(), "{}", pretty.len());
            let mut selectors = 0;
            expr.walk(&mut |node| {
                selectors += usize::from(matches!(node, mytsdb_promql_syntax::Expr::Vector(_)));
                true
            });
            assert_eq!(selectors, 20_000);
        }
        let expr = parse(&chain(3_000, " or ", |i| format!("sum(a{{x=\"{i}\"}})"))).unwrap();
        let plan = explain(&storage(3), &expr, (0, 60_000, 60_000), &QueryOptions::default(), &Cancel::new()).unwrap();
        assert!(plan.to_string().contains("not planned"), "{plan}");
        let expr = parse(&chain(100, " or ", |i| format!("sum(a{{x=\"{i}\"}})"))).unwrap();
        let plan = explain(&storage(3), &expr, (0, 60_000, 60_000), &QueryOptions::default(), &Cancel::new()).unwrap();
        assert_eq!(plan.nodes().len(), 299);
    });
}

#[test]
fn chains_are_split_as_nested_operators_are() {
    let long = |name: char| name.to_string().repeat(60);
    let (a, b, c) = (long('a'), long('b'), long('c'));
    let pretty = |query: &str| prettify(&parse(query).unwrap());
    assert_eq!(pretty(&format!("{a} + {b} - {c}")), format!("    {a}\n  +\n    {b}\n-\n  {c}"));
    assert_eq!(pretty(&format!("x + y - {c} or {b}")), format!("  x + y - {c}\nor\n  {b}"));
    assert_eq!(pretty("x + y - z"), "x + y - z");
    assert_eq!(pretty(&format!("x or sum({a} + {b})")), format!("  x\nor\n  sum(\n      {a}\n    +\n      {b}\n  )"));
}

#[test]
fn the_first_wrong_operator_of_a_chain_is_told() {
    let error = |text: &str| parse(text).unwrap_err().to_string();
    assert_eq!(
        error("a + b and (1 or c)"),
        "1:12: parse error: set operator \"or\" not allowed in binary scalar expression"
    );
    assert_eq!(error("1 + 2 == 3 and a"), "1:7: parse error: comparisons between scalars must use BOOL modifier");
    assert_eq!(
        error("a + \"x\" + b + rate(c)"),
        "1:5: parse error: binary expression must contain only scalar and instant vector types"
    );
    let long = chain(20_000, " + ", |_| "1".into()) + " == 5 + 1";
    assert!(error(&long).ends_with("comparisons between scalars must use BOOL modifier"));
}

#[test]
fn texts_and_patterns_have_limits_of_their_own() {
    let limits = TextLimits { query_bytes_max: 30, ..TextLimits::DEFAULT };
    let limits = TextLimits { pattern: mytsdb_go_regex::Limits { pattern_bytes_max: 5, ..limits.pattern }, ..limits };
    let options = ParseOptions::within(limits);
    assert!(parse_with("a{x=~\"12345\"}", options).is_ok());
    assert_eq!(
        parse_with("a{x=~\"123456\"}", options).unwrap_err().to_string(),
        "1:3: parse error: error parsing regexp: pattern of 6 bytes exceeds the limit of 5 bytes (--query-max-pattern-bytes)"
    );
    assert_eq!(
        parse_with(&"a".repeat(31), options).unwrap_err().to_string(),
        "1:1: parse error: query of 31 bytes exceeds the limit of 30 bytes (--query-max-text-bytes)"
    );
    let query = QueryOptions { texts: limits, ..QueryOptions::default() };
    let replaced = "label_replace(a, \"d\", \"$1\", \"x\", \"(.*)..\")";
    assert_eq!(
        ask(&storage(1), replaced, &query).unwrap_err(),
        "invalid regular expression in label_replace(): error parsing regexp: pattern of 6 bytes exceeds the limit of 5 bytes \
         (--query-max-pattern-bytes)"
    );
}

#[test]
fn four_megabytes_are_parsed_in_linear_time() {
    small_stack(|| {
        let values: Vec<String> = (0..60_000).map(|i| format!("10\\\\.{}\\\\.{}:9100", i / 250, i % 250)).collect();
        let query = format!("count(a{{x=~\"{}\"}})", values[..40_000].join("|"));
        assert!(query.len() > 700_000 && parse(&query).is_ok());
        let one = format!("a{{x=~\"{}\"}}", values[..20_000].join("|"));
        let text = chain(8, " or ", |_| one.clone());
        assert!(parse(&text).is_ok());
        let text = chain(26_000, " or ", |i| format!("sum(up{{instance=\"10.0.0.{i}:9100\"}})"));
        assert!(parse(&text).is_ok());
    });
}
