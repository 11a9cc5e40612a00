//! The passes one by one, as texts before and after, and plans as people read them.

use super::*;
use crate::options::{Cancel, Optimisations};
use crate::test_storage::TestStorage;
use mytsdb_promql_syntax::parse;

fn facts(plain: bool) -> Facts {
    Facts { start_ms: 1_000, end_ms: 61_000, step_ms: 15_000, instant: false, plain }
}

fn rewritten(query: &str, optimisations: Optimisations, plain: bool) -> String {
    let mut expr = parse(query).unwrap();
    let options = QueryOptions { optimisations, ..QueryOptions::default() };
    rewrite(&mut expr, &options, facts(plain));
    expr.to_string()
}

#[track_caller]
fn folds_to(before: &str, after: &str) {
    assert_eq!(rewritten(before, Optimisations { fold_constants: true, ..Optimisations::NONE }, false), after);
}

#[track_caller]
fn simplifies_to(before: &str, after: &str) {
    let passes = Optimisations { simplify: true, fold_constants: true, ..Optimisations::NONE };
    assert_eq!(rewritten(before, passes, true), after);
}

#[track_caller]
fn pushes(plain: bool, before: &str, after: &str) {
    assert_eq!(rewritten(before, Optimisations { push_matchers: true, ..Optimisations::NONE }, plain), after);
}

/// The plan of `query` over plain floats, as people read it.
fn plan(query: &str) -> String {
    let mut storage = TestStorage::new();
    let load =
        "load 15s\n a_total{job=\"x\",i=\"1\"} 0+1x9\n a_total{job=\"y\",i=\"2\"} 0+1x9\n b_total{job=\"x\"} 0+1x9";
    storage.load(load, 0).unwrap();
    let expr = parse(query).unwrap();
    let options = QueryOptions::default();
    crate::explain(&storage, &expr, (60_000, 120_000, 15_000), &options, &Cancel::new()).unwrap().to_string()
}

#[test]
fn constants_are_folded_and_nothing_else() {
    folds_to("1 + 2 * 3 ^ 2", "19");
    folds_to("a * (2 - 0.5) > bool (1 == bool 1)", "a * 1.5 > bool 1");
    folds_to("-(1 / 0)", "-Inf");
    folds_to("0 / 0", "NaN");
    folds_to("topk(1 + 1, a)", "topk(2, a)");
    folds_to("a + end() - start() + step()", "a + 61 - 1 + 15");
    folds_to("a + (end() - start())", "a + 60");
    folds_to("max_of(1, pi()) + scalar(vector(2))", "5.141592653589793");
    folds_to("(((5m)))", "300");
    folds_to("time() + 1 + 1", "time() + 1 + 1");
    folds_to("a + 1 + 1", "a + 1 + 1");
    folds_to("scalar(a) + (1 + 1)", "scalar(a) + 2");
}

#[test]
fn a_folded_constant_keeps_its_place() {
    let mut expr = parse("quantile(1 + 1, a)").unwrap();
    rewrite(&mut expr, &QueryOptions::default(), facts(false));
    let Expr::Aggregate(aggregate) = &expr else { panic!("an aggregation") };
    let pos = aggregate.param.as_ref().unwrap().pos();
    assert_eq!((pos.start, pos.end), (9, 14));
}

#[test]
fn multiplying_by_one_goes_away_where_there_is_no_name() {
    simplifies_to("sum(a) * 1", "(sum(a))");
    simplifies_to("(2 - 1) * max by (job) (a) / 1", "(max by (job) (a))");
    simplifies_to("a * 1", "a * 1");
    simplifies_to("sum by (__name__) (a) * 1", "sum by (__name__) (a) * 1");
    simplifies_to("topk(2, a) * 1", "topk(2, a) * 1");
    simplifies_to("1 / sum(a)", "1 / sum(a)");
    simplifies_to("sum(a) == bool 1", "sum(a) == bool 1");
}

#[test]
fn matchers_cross_operators_whose_partners_need_them() {
    pushes(false, "a{x=\"1\"} / b", "a{x=\"1\"} / b{x=\"1\"}");
    pushes(false, "a / b{x=~\"1|2\"}", "a{x=~\"1|2\"} / b{x=~\"1|2\"}");
    pushes(
        false,
        "a * on (x) group_left () group by (x) (b{x=\"1\"})",
        "a{x=\"1\"} * on (x) group_left () group by (x) (b{x=\"1\"})",
    );
    pushes(
        false,
        "group by (x) (b{x=\"1\"}) * on (x) group_right () a",
        "group by (x) (b{x=\"1\"}) * on (x) group_right () a{x=\"1\"}",
    );
    pushes(false, "a and on (x) b{x=\"1\"}", "a{x=\"1\"} and on (x) b{x=\"1\"}");
    pushes(false, "a{x=\"1\"} unless b", "a{x=\"1\"} unless b{x=\"1\"}");
    pushes(
        true,
        "sum by (x) (rate(a_total[5m])) / on (x) group_left () max by (x) (b{x=\"1\",y=\"2\"})",
        "sum by (x) (rate(a_total{x=\"1\"}[5m])) / on (x) group_left () max by (x) (b{x=\"1\",y=\"2\"})",
    );
    pushes(
        true,
        "rate(a_total{x=\"1\"}[5m]) * on (x) group_left () sum by (x) (abs(b) * 100)",
        "rate(a_total{x=\"1\"}[5m]) * on (x) group_left () sum by (x) (abs(b{x=\"1\"}) * 100)",
    );
    pushes(
        true,
        "(sum by (x) (a) / sum by (x) (b)) * on (x) max by (x) (c{x=\"1\"})",
        "(sum by (x) (a{x=\"1\"}) / sum by (x) (b{x=\"1\"})) * on (x) max by (x) (c{x=\"1\"})",
    );
    pushes(true, "max_over_time(a[5m]) and b{x=\"1\"}", "max_over_time(a{x=\"1\"}[5m]) and b{x=\"1\"}");
}

#[test]
fn matchers_stay_where_somebody_could_notice() {
    for (plain, query) in [
        // Not part of the matching.
        (true, "a{x=\"1\"} / on (y) b"),
        (true, "a / ignoring (x) b{x=\"1\"}"),
        (true, "{__name__=~\"a\"} and on (__name__) b"),
        // The other side may have a say without a partner.
        (true, "a{x=\"1\"} or b"),
        (true, "a unless b{x=\"1\"}"),
        (true, "a + fill (0) b{x=\"1\"}"),
        // Duplicates on the "one" side are an error whether they are matched or not.
        (true, "a{x=\"1\"} * on (x) group_left () b"),
        (true, "a{x=\"1\"} * on (x) b"),
        // ... but only if the other side has anything at all.
        (true, "a * on (x) group_left () b{x=\"1\"}"),
        (true, "b{x=\"1\"} * on (x) group_right () a"),
        // The label is not that of the series any more.
        (true, "label_replace(a, \"x\", \"1\", \"y\", \"2\") and b{x=\"1\"}"),
        (true, "count_values by (x) (\"x\", a) and b{x=\"1\"}"),
        (true, "absent(a) and b{x=\"1\"}"),
        (true, "sum without (x) (a) and b{x=\"1\"}"),
        (true, "sum(a) and b{x=\"1\"}"),
        (true, "topk(1, a) and b{x=\"1\"}"),
        (true, "histogram_quantile(0.9, a) and b{x=\"1\"}"),
        // Remarks on names, and names that would be joined.
        (true, "rate(a[5m]) and b{x=\"1\"}"),
        (true, "abs({__name__=~\"a.*\"}) and b{x=\"1\"}"),
        // Remarks on histograms.
        (false, "rate(a_total[5m]) and b{x=\"1\"}"),
        (false, "sum by (x) (a) and b{x=\"1\"}"),
        // Of no use, or harmful.
        (true, "a and b{x!=\"1\"}"),
        (true, "a and b{x=\"\"}"),
        (true, "a and b{x=~\"1|\"}"),
    ] {
        pushes(plain, query, &parse(query).unwrap().to_string());
    }
}

#[test]
fn a_plan_tells_what_is_shared() {
    assert_eq!(
        plan("sum(rate(a_total[5m])) / (sum( rate(a_total[5m]) ) + sum(rate(b_total[5m])))"),
        "#1 operate /: both sides kept, paired by labels (about 5 series)\n\
        \x20 #2 aggregate sum: kept for 2 places, streamed fold into groups (about 2 series)\n\
        \x20   #3 call rate: window kernel, streamed (about 2 series)\n\
        \x20     #4 select a_total[5m]: series in any order (about 2 series)\n\
        \x20 #5 operate +: both sides kept, paired by labels (about 3 series)\n\
        \x20   #6 aggregate sum: shared with #2, streamed fold into groups (about 2 series)\n\
        \x20     #7 call rate: window kernel, streamed (about 2 series)\n\
        \x20       #8 select a_total[5m]: series in any order (about 2 series)\n\
        \x20   #9 aggregate sum: streamed fold into groups (about 1 series)\n\
        \x20     #10 call rate: window kernel, streamed (about 1 series)\n\
        \x20       #11 select b_total[5m]: series in any order (about 1 series)\n"
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
    let result = crate::range(&storage, &expr, 60_000, 120_000, 15_000, &options, &Cancel::new()).unwrap();
    let plan = result.plan.unwrap();
    let [root, sum, rate, select, plus, again, ..] = plan.nodes()[..] else { panic!("{plan}") };
    assert_eq!((select.series, select.samples), (Some(2), Some(16)), "{plan}");
    assert_eq!((rate.rows, sum.rows, root.rows), (Some(2), Some(1), Some(1)), "{plan}");
    assert_eq!((root.samples, again.samples, plus.operator.as_str()), (Some(16), None, "operate +"), "{plan}");
    assert!(again.strategies.contains(&"shared with #2".to_owned()), "{plan}");
    assert!(plan.took > root.took && root.took >= sum.took && sum.took > Some(std::time::Duration::ZERO), "{plan}");
    let silent = crate::range(&storage, &expr, 60_000, 120_000, 15_000, &QueryOptions::default(), &Cancel::new());
    assert!(silent.unwrap().plan.is_none());
}
