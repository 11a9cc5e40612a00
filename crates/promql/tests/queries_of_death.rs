//! Queries made to hurt: each must be refused or answered without much time, memory or stack.

use mytsdb_model::Labels;
use mytsdb_promql::{Cancel, EvalError, MemoryBudget, QueryOptions, QueryValue, WorkerPool, instant, range};
use mytsdb_promql_syntax::{QUERY_BYTES_MAX, parse, prettify};
use mytsdb_promql_testkit::TestStorage;
use std::time::{Duration, Instant};

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
    survive("(".repeat(440) + "a" + &")".repeat(440)).unwrap();
    survive("abs(".repeat(440) + "a" + &")".repeat(440)).unwrap();
    survive("sum(".repeat(440) + "a" + &")".repeat(440)).unwrap();
    survive("-(".repeat(220) + "a" + &")".repeat(220)).unwrap();
    survive("1".to_owned() + &"^1".repeat(440)).unwrap();
    survive("a unless (".repeat(220) + "a" + &")".repeat(220)).unwrap();
    survive("sum_over_time(".repeat(140) + "a" + &"[1m:1m])".repeat(140)).unwrap();
    // Nesting with a chain at each level, of functions that are computed when their rows are read.
    survive("(".repeat(220) + "a" + &" * 2 - a * 1)".repeat(220)).unwrap();
    survive(format!("sum_over_time(a[1m{}])", "+1s".repeat(250))).unwrap();
}

#[test]
fn long_texts_are_refused_or_read_in_linear_time() {
    assert!(survive("a".repeat(QUERY_BYTES_MAX + 1)).unwrap_err().contains("exceeds the limit"));
    survive("a".repeat(QUERY_BYTES_MAX)).unwrap();
    assert!(survive("{".repeat(QUERY_BYTES_MAX)).is_err());
    assert!(survive("\"".to_owned() + &"\\".repeat(QUERY_BYTES_MAX - 2)).is_err());
    assert!(survive("1_".repeat(QUERY_BYTES_MAX / 2)).is_err());
    assert!(survive("(".repeat(1 << 18)).is_err());
    assert!(survive("1,".repeat(1 << 18)).unwrap_err().contains("unexpected \",\""));
    assert!(survive("1+".repeat(1 << 18)).unwrap_err().contains("more than 262144 words and signs"));
    let matchers: Vec<String> = (0..1_500).map(|i| format!("l{i}=\"\"")).collect();
    survive(format!("a{{{}}}", matchers.join(","))).unwrap();
    let labels: Vec<String> = (0..2_000).map(|i| format!("l{i}")).collect();
    survive(format!("sum by ({}) (a)", labels.join(","))).unwrap();
}

#[test]
fn large_patterns_are_refused() {
    assert!(survive("{x=~\"((a{1000}){1000}){1000}\"}".into()).is_err());
    assert!(survive(format!("{{x=~\"{}\"}}", "a".repeat(2 << 20))).unwrap_err().contains("--query-max-pattern-bytes"));
    assert!(survive("label_replace(a, \"d\", \"$1\", \"x\", \"((.{1000}){1000})\")".into()).is_err());
    survive("a{x=~\"(a*)*(a*)*(a*)*b\"}".into()).unwrap();
    let many: Vec<String> = (0..60_000).map(|i| format!("x=~\"{i}.*\\\\pL\"")).collect();
    let error = survive(format!("a{{{}}}", many.join(","))).unwrap_err();
    assert!(error.contains("regular expressions of the query take more than the limit"), "{error}");
}

#[test]
fn huge_numbers_overflow_nothing() {
    for query in [
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
    for query in [
        "1e999",
        "-1e999",
        "a[300y]",
        "a[1e300]",
        "topk(1e300, a)",
        "limitk(1e300, a)",
        "a @ 1e300",
        "a[1d1e9]",
        "a[9999999999y]",
    ] {
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

/// Milliseconds of an hour and a year.
const HOUR_MS: i64 = 3_600_000;
const YEAR_MS: i64 = 365 * 24 * HOUR_MS;

/// 250 series of an hour, one sample each 15 s.
fn crowd() -> TestStorage {
    let mut storage = TestStorage::new();
    for (name, series) in [("a", 200), ("b", 50)] {
        for i in 0..series {
            let (x, y) = (i.to_string(), (i % 7).to_string());
            let labels = Labels::from_pairs([("__name__", name), ("x", &x), ("y", &y), ("le", &x)]);
            for t in (0..=HOUR_MS).step_by(15_000) {
                storage.append(&labels, t, (t / 7 + i64::from(i)) as f64, 0).expect("times ascend");
            }
        }
    }
    storage
}

/// `inner` wrapped `times` times.
fn wrapped(times: usize, before: &str, inner: &str, after: &str) -> String {
    before.repeat(times) + inner + &after.repeat(times)
}

/// The fifty queries, each with the steps it is asked for: start, end and step in ms.
fn fifty() -> Vec<(String, (i64, i64, i64))> {
    // The most points that the API lets through, and some spans beyond it.
    let dashboard = (0, HOUR_MS, 60_000);
    let finest = (0, 11_000 * 300, 300);
    let year_of_seconds = (0, YEAR_MS, 1_000);
    let matchers: Vec<String> = (0..1_500).map(|i| format!("l{i}=\"\"")).collect();
    let labels: Vec<String> = (0..2_000).map(|i| format!("l{i}")).collect();
    vec![
        // Nesting.
        (wrapped(10_000, "-", "a", ""), dashboard),
        (wrapped(5_000, "(", "a", ")"), dashboard),
        (wrapped(3_000, "sum(", "a", ")"), dashboard),
        (wrapped(1_000, "", "a", "[1m:1s]"), dashboard),
        (wrapped(4_000, "", "a", " + a"), dashboard),
        (wrapped(8_000, "", "1", "^1"), dashboard),
        (wrapped(140, "sum by (x) (", "a", ")"), finest),
        (wrapped(140, "abs(", "a", ")"), finest),
        (wrapped(70, "-(", "a", ")"), finest),
        // Long chains.
        (wrapped(250, "", "a", " or a"), dashboard),
        (wrapped(250, "", "a", " + a"), dashboard),
        (wrapped(120, "", "sum(a)", " + sum(rate(a[5m]))"), finest),
        (wrapped(100, "a unless (", "a", ")"), dashboard),
        // Subqueries.
        ("sum_over_time(a[100y:1ms])".into(), dashboard),
        ("sum_over_time(sum_over_time(a[100y:1s])[100y:1s])".into(), dashboard),
        ("max_over_time(rate(a[5m])[1d:1s])".into(), dashboard),
        ("max_over_time(max_over_time(max_over_time(a[1h:1m])[1h:1m])[1h:1m])".into(), finest),
        ("changes(a[1h:10ms])".into(), dashboard),
        (format!("sum_over_time(({})[13h:1s])", wrapped(140, "(vector(1) + ", "vector(1)", ")")), dashboard),
        (format!("sum_over_time((vector({}))[11h:1s])", wrapped(100, "(time() + ", "time()", ")")), dashboard),
        ("count_over_time((a or b or a)[1d:1s])".into(), finest),
        // Steps.
        ("a".into(), year_of_seconds),
        ("sum(a)".into(), year_of_seconds),
        ("vector(1)".into(), (0, 1 << 40, 1)),
        ("time() + time()".into(), (0, YEAR_MS, 2_000)),
        ("a".into(), finest),
        ("stddev_over_time(a[1h])".into(), finest),
        ("quantile_over_time(0.5, a[1h])".into(), finest),
        ("double_exponential_smoothing(a[100y], 0.5, 0.5)".into(), finest),
        ("predict_linear(a[290y], 1e308)".into(), finest),
        ("rate(a[290y] @ 9e15 offset -290y)".into(), finest),
        // Patterns.
        ("{x=~\"((a{1000}){1000}){1000}\"}".into(), dashboard),
        (format!("{{x=~\"{}\"}}", "(a|b)*".repeat(2_000)), dashboard),
        (format!("{{x=~\"{}\"}}", "(.*)".repeat(100)), dashboard),
        ("label_replace(a, \"d\", \"$1\", \"x\", \"((.{1000}){1000})\")".into(), dashboard),
        (format!("label_replace(a, \"d\", \"$1\", \"x\", \"{}\")", "\\\\Q\\\\E".repeat(2_000)), dashboard),
        // Labels that grow.
        (wrapped(140, "label_replace(", "a", ", \"x\", \"$1$1\", \"x\", \"(.*)\")"), dashboard),
        (wrapped(140, "label_join(", "a", ", \"x\", \"\", \"x\", \"x\")"), dashboard),
        (format!("label_replace(a, \"x\", \"{}\", \"x\", \"(.*)\")", "$1".repeat(7_000)), dashboard),
        (format!("a{{{}}}", matchers.join(",")), finest),
        (format!("sum by ({}) (a)", labels.join(",")), finest),
        // Joins of everything with everything, and values as series.
        ("{__name__=~\".+\"} * on () group_left () {__name__=~\".+\"}".into(), dashboard),
        ("{__name__=~\".+\"} and on () {__name__=~\".+\"}".into(), finest),
        ("a * on () group_left () group(b)".into(), finest),
        ("count_values(\"v\", a)".into(), finest),
        ("count_values without () (\"v\", rate(a[1m]) + 1e-9 * time())".into(), finest),
        ("quantile by (x) (0.5, {__name__=~\".+\"})".into(), finest),
        ("histogram_quantile(0.9, {__name__=~\".+\"})".into(), finest),
        ("limitk(1e15, a) or topk(1e15, b) or bottomk(1e15, a)".into(), finest),
        // Times beyond all bounds.
        ("a[9999999999y]".into(), dashboard),
    ]
}

/// Most memory that this process ever had, as the kernel counts it.
#[expect(clippy::disallowed_methods, reason = "the kernel's own figures")]
fn resident_peak_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

#[test]
fn fifty_queries_of_death_end_in_time_and_within_their_memory() {
    const BUDGET_BYTES: u64 = 64 << 20;
    const DEADLINE: Duration = Duration::from_secs(1);
    let queries = fifty();
    assert_eq!(queries.len(), 50);
    let storage = crowd();
    let pool = WorkerPool::new(1).expect("there is a thread to be had");
    let healthy = parse("sum(a)").expect("the query is legal");
    let mut slowest = Duration::ZERO;
    for (number, (query, (start_ms, end_ms, step_ms))) in queries.iter().enumerate() {
        let shown: String = query.chars().take(60).collect();
        let (before, began) = (resident_peak_bytes(), Instant::now());
        let budget = MemoryBudget::new(BUDGET_BYTES, "the test");
        let options =
            QueryOptions { memory: Some(budget.clone()), pool: Some(pool.clone()), ..QueryOptions::default() };
        let outcome = std::thread::scope(|scope| {
            let ask = || {
                let expr = parse(query).map_err(|e| e.to_string())?;
                let cancel = Cancel::at(Instant::now() + DEADLINE);
                instant(&storage, &expr, *end_ms, &options, &cancel).map_err(|e| e.to_string())?;
                let result = range(&storage, &expr, *start_ms, *end_ms, *step_ms, &options, &cancel);
                result.map(|_| ()).map_err(|e| e.to_string())
            };
            let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, ask);
            thread.expect("a thread starts").join().unwrap_or_else(|_| panic!("crashed: {shown}"))
        });
        let took = began.elapsed();
        // The kernel's figure is off by some pages a thread, to either side.
        let grown = resident_peak_bytes().zip(before).map_or(0, |(after, before)| after.saturating_sub(before));
        let outcome = outcome.err().map_or_else(|| "answered".to_owned(), |e| e.chars().take(70).collect());
        println!(
            "{:2} {:5} ms, {:3} MiB granted, {:4} MiB more resident: {shown}: {outcome}",
            number + 1,
            took.as_millis(),
            budget.peak_bytes() >> 20,
            grown >> 20
        );
        slowest = slowest.max(took);
        // Far beyond the deadline, for machines that do other things too.
        assert!(took < 10 * DEADLINE, "{took:?}: {shown}");
        assert!(budget.peak_bytes() <= BUDGET_BYTES, "{}: {shown}", budget.peak_bytes());
        assert_eq!(budget.used_bytes(), 0, "{shown}");
        assert!(grown < 8 * BUDGET_BYTES, "{grown} bytes: {shown}");
        let alive = instant(&storage, &healthy, HOUR_MS, &options, &Cancel::new()).expect("a normal query is answered");
        assert!(matches!(&alive.value, QueryValue::Vector(all) if all.len() == 1), "{shown}");
    }
    println!("slowest {slowest:?}");
}
