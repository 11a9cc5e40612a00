//! Plans as people read them, before queries run and after.

use mytsdb_promql::{Cancel, QueryOptions, explain, range};
use mytsdb_promql_syntax::parse;
use mytsdb_promql_testkit::TestStorage;

/// The plan of `query` over plain floats, as people read it.
fn plan(query: &str) -> String {
    let mut storage = TestStorage::new();
    let load =
        "load 15s\n a_total{job=\"x\",i=\"1\"} 0+1x9\n a_total{job=\"y\",i=\"2\"} 0+1x9\n b_total{job=\"x\"} 0+1x9";
    storage.load(load, 0).expect("the notation is right");
    let expr = parse(query).expect("the query is right");
    let options = QueryOptions::default();
    explain(&storage, &expr, (60_000, 120_000, 15_000), &options, &Cancel::new()).expect("it has a plan").to_string()
}

#[test]
fn a_plan_tells_what_is_shared() {
    assert_eq!(
        plan("sum(rate(a_total[5m])) / (sum( rate(a_total[5m]) ) + sum(rate(b_total[5m])))"),
        "#1 operate /: one side kept, rows of the other pass, paired by labels, rows made for the result (about 5 series)\n\
        \x20 #2 aggregate sum: kept for 2 places, streamed fold into groups (about 2 series)\n\
        \x20   #3 call rate: window kernel, streamed (about 2 series)\n\
        \x20     #4 select a_total[5m]: windows over each series (about 2 series)\n\
        \x20 #5 operate +: one side kept, rows of the other pass, paired by labels (about 3 series)\n\
        \x20   #6 aggregate sum: shared with #2, streamed fold into groups (about 2 series)\n\
        \x20     #7 call rate: window kernel, streamed (about 2 series)\n\
        \x20       #8 select a_total[5m]: windows over each series (about 2 series)\n\
        \x20   #9 aggregate sum: streamed fold into groups (about 1 series)\n\
        \x20     #10 call rate: window kernel, streamed (about 1 series)\n\
        \x20       #11 select b_total[5m]: windows over each series (about 1 series)\n"
    );
    for query in ["sum(a_total) + sum(b_total)", "max_over_time(sum(a_total)[5m:]) - sum(a_total)"] {
        assert!(!plan(query).contains("shared"), "{query}");
    }
}

#[test]
fn a_plan_tells_what_is_the_same_at_every_step() {
    let once = |query: &str| plan(query).matches("once, step-invariant").count();
    assert_eq!(once("sum(rate(a_total[5m] @ 100)) * 2"), 1);
    assert_eq!(once("sum(a_total @ start()) + a_total"), 1);
    assert_eq!(once("topk(1, sum by (job) (a_total @ 60))"), 1);
    assert_eq!(once("max_over_time(sum(a_total @ 60)[1m:15s])"), 1);
    assert_eq!(once("timestamp(a_total @ 60)"), 1);
    for query in
        ["a_total @ 60", "timestamp(-a_total)", "predict_linear(a_total[5m] @ 60, 1)", "sum(a_total)", "hour()"]
    {
        assert_eq!(once(query), 0, "{query}");
    }
    let text = plan("timestamp(-(a_total @ 60)) + on () (1 + 1) * sum(b_total @ end())");
    assert!(text.starts_with("constant: (1 + 1) is 2\n"), "{text}");
    assert!(text.contains("#5 operate *: once, step-invariant"), "{text}");
    let text = plan("a_total and on (job) b_total{job=\"x\"}");
    assert!(text.contains("handed job=\"x\", about 1 series"), "{text}");
}

#[test]
fn a_plan_that_ran_tells_what_it_took() {
    let mut storage = TestStorage::new();
    storage.load("load 15s\n a_total{i=\"1\"} 0+1x9\n a_total{i=\"2\"} 0+1x9", 0).unwrap();
    let expr = parse("sum(rate(a_total[1m])) / (1 + sum(rate(a_total[1m])))").unwrap();
    let options = QueryOptions { profile: true, ..QueryOptions::default() };
    let result = range(&storage, &expr, 60_000, 120_000, 15_000, &options, &Cancel::new()).unwrap();
    let plan = result.plan.unwrap();
    let [root, sum, rate, select, plus, again, ..] = plan.nodes()[..] else { panic!("{plan}") };
    assert_eq!((select.series, select.samples), (Some(2), Some(16)), "{plan}");
    assert_eq!((rate.rows, sum.rows, root.rows), (Some(2), Some(1), Some(1)), "{plan}");
    assert_eq!((root.samples, again.samples, plus.operator.as_str()), (Some(16), None, "operate +"), "{plan}");
    assert!(again.strategies.contains(&"shared with #2".to_owned()), "{plan}");
    assert!(plan.took > root.took && root.took >= sum.took && sum.took > Some(std::time::Duration::ZERO), "{plan}");
    let silent = range(&storage, &expr, 60_000, 120_000, 15_000, &QueryOptions::default(), &Cancel::new());
    assert!(silent.unwrap().plan.is_none());
}

/// What is said about the outermost node.
fn root_of(query: &str, optimise: bool) -> String {
    let mut storage = TestStorage::new();
    storage.load("load 15s\n a 0+1x9\n b 0+1x9", 0).expect("the notation is right");
    let expr = parse(query).expect("the query is right");
    let options = QueryOptions { optimise, ..QueryOptions::default() };
    let plan = explain(&storage, &expr, (60_000, 120_000, 15_000), &options, &Cancel::new()).expect("it has a plan");
    assert_eq!(plan.rewrites.iter().any(|text| text.starts_with("reference: ")), !optimise, "{plan}");
    plan.root.strategies.join(", ")
}

#[test]
fn a_plan_tells_which_operator_runs() {
    for (query, columnar, reference) in [
        ("topk(2, a)", "best of each step kept while rows pass", "rows kept, then chosen"),
        ("topk(65, a)", "rows kept, then chosen", "rows kept, then chosen"),
        ("topk(scalar(a), a)", "rows kept, then chosen", "rows kept, then chosen"),
        ("a or b", "both sides kept, compared by labels", "both sides kept, compared step by step"),
        (
            "a and b",
            "right side folded, rows of the left side pass, rows made for the result",
            "both sides kept, compared step by step",
        ),
        (
            "a or b or a or b",
            "all operands kept, compared by labels in one table",
            "both sides kept, compared step by step",
        ),
        ("a + fill (0) b", "both sides kept, paired step by step", "both sides kept, paired step by step"),
        (
            "a + b",
            "one side kept, rows of the other pass, paired by labels, rows made for the result",
            "both sides kept, paired step by step",
        ),
        ("hour()", "number by number", "number by number"),
    ] {
        assert_eq!((root_of(query, true).as_str(), root_of(query, false).as_str()), (columnar, reference), "{query}");
    }
}
