//! The passes one by one, as texts before and after.

use super::*;
use crate::options::Optimisations;
use mytsdb_promql_syntax::parse;

fn facts(plain: bool) -> Facts {
    Facts { times: Bounds { start_ms: 1_000, end_ms: 61_000, step_ms: 15_000 }, instant: false, plain }
}

fn built(query: &str) -> Tree {
    build::build(&parse(query).unwrap(), facts(false).times).unwrap()
}

fn rewritten(query: &str, optimisations: Optimisations, plain: bool) -> String {
    let mut tree = built(query);
    let options = QueryOptions { optimisations, ..QueryOptions::default() };
    let root = tree.root();
    rewrite(&mut tree, root, &options, facts(plain));
    text::shortened(&tree, root)
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
    let mut tree = built("quantile(1 + 1, a)");
    let root = tree.root();
    rewrite(&mut tree, root, &QueryOptions::default(), facts(false));
    let pos = tree[tree.param(root).unwrap()].pos;
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

/// The parts of a range query whose steps may be kept.
#[track_caller]
fn keeps(query: &str, expected: &[&str]) {
    let mut tree = built(query);
    let (root, options) = (tree.root(), QueryOptions::default());
    rewrite(&mut tree, root, &options, facts(true));
    traits::find(&mut tree);
    mark(&mut tree, root, &options, facts(true));
    let kept: Vec<String> = tree.ids().filter(|id| tree[*id].kept).map(|id| text::shortened(&tree, id)).collect();
    assert_eq!(kept, expected, "{query}");
    let of_kept = |id: NodeId| {
        tree.any(id, |node| matches!(&node.kind, Kind::Select(s) | Kind::Range(s, _) if s.selector.any_order))
    };
    assert!(!tree.ids().any(|id| tree[id].kept && of_kept(id)), "{query}");
}

#[test]
fn parts_are_kept_whose_steps_depend_on_their_windows_alone() {
    for whole in [
        "m",
        "-m{job=\"a\"}",
        "rate(m[5m])",
        "m * 8 > bool 2",
        "abs(delta(m[5m] offset 1m))",
        "clamp(m, 0, 1)",
        "quantile_over_time(0.5, m[5m])",
        "predict_linear(m[5m], 60)",
        "sum(m)",
        "avg by (job) (rate(m[5m]) * 60)",
        "stddev without (a) (m offset -5m)",
    ] {
        keeps(whole, &[whole]);
    }
    for not in [
        "1",
        "time()",
        "{job=\"a\"}",
        "sum({__name__=~\"m|n\"})",
        "m @ 60",
        "rate(m[5m] @ end())",
        "sum(m @ 60)",
        "rate(m[5m] smoothed)",
        "avg_over_time(m[5m])",
        "sum(sum_over_time(m[5m]))",
        "max_over_time(rate(m[5m])[10m:1m])",
        "double_exponential_smoothing(m[5m], 0.5, 0.5)",
        "topk(3, m)",
        "quantile(0.5, m)",
        "count_values(\"v\", m)",
        "absent(m)",
        "m + n",
        "m * time()",
        "timestamp(m)",
        "label_replace(m, \"a\", \"b\", \"c\", \"d\")",
        "histogram_count(m)",
    ] {
        keeps(not, &[]);
    }
    keeps("sum(m) / sum(n)", &["sum(m)", "sum(n)"]);
    keeps("sum(sum by (job) (m))", &["sum by (job) (m)"]);
    keeps("topk(3, sum by (job) (m)) > scalar(sum(n))", &["sum by (job) (m)", "sum(n)"]);
    keeps("histogram_quantile(0.9, sum by (le) (rate(m[5m])))", &["sum by (le) (rate(m[5m]))"]);
    keeps("sum(m) + n", &["sum(m)"]);
    keeps("max_over_time(sum(m)[10m:1m])", &["sum(m)"]);
}
