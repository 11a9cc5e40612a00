//! Queries that a real Prometheus was found to answer otherwise; the answers here are its own.
//!
//! It is long because each of them is a case of its own; they share nothing to split them by.

use mytsdb_promql::{Cancel, Optimisations, QueryOptions, QueryValue, SampleValue, instant, range};
use mytsdb_promql_syntax::{parse, prettify};
use mytsdb_promql_testkit::TestStorage;

fn storage(load: &str) -> TestStorage {
    let mut storage = TestStorage::new();
    storage.load(load, 0).expect("the notation is right");
    storage
}

/// The samples of an instant vector at `at_s`, the scalar, or the error; then the remarks.
fn ask(storage: &TestStorage, query: &str, at_s: i64) -> Vec<String> {
    let expr = parse(query).expect("the query is legal");
    let result = match instant(storage, &expr, at_s * 1000, &QueryOptions::default(), &Cancel::new()) {
        Ok(result) => result,
        Err(error) => return vec![error.to_string()],
    };
    let mut out = match result.value {
        QueryValue::Vector(samples) => samples
            .into_iter()
            .map(|sample| match sample.value {
                SampleValue::Float(value) => format!("{} {value}", sample.labels),
                SampleValue::Histogram(histogram) => format!("{} {histogram}", sample.labels),
            })
            .collect(),
        QueryValue::Scalar(_, value) => vec![value.to_string()],
        other => vec![format!("{other:?}")],
    };
    out.extend(result.annotations.warnings(query, 0));
    out.extend(result.annotations.infos(query, 0));
    out
}

/// The remarks of a range query.
fn remarks(storage: &TestStorage, query: &str) -> Vec<String> {
    let expr = parse(query).expect("the query is legal");
    let result = range(storage, &expr, 0, 300_000, 60_000, &QueryOptions::default(), &Cancel::new());
    let annotations = result.expect("the query answers").annotations;
    annotations.warnings(query, 0).into_iter().chain(annotations.infos(query, 0)).collect()
}

#[track_caller]
fn refusal(text: &str, expected: &str) {
    assert_eq!(parse(text).expect_err("the text is no query").to_string(), expected);
}

const NONE: [&str; 0] = [];

#[test]
fn duplicates_matter_only_where_the_other_side_has_something() {
    let storage = storage("load 1m\n a{x=\"1\"} 1\n b{x=\"1\",y=\"1\"} 1\n b{x=\"1\",y=\"2\"} 2\n");
    assert_eq!(ask(&storage, "nothing + on (x) b", 0), NONE);
    assert!(ask(&storage, "a + on (x) b", 0)[0].starts_with("found duplicate series for the match group {x=\"1\"}"));
}

#[test]
fn samples_that_do_not_fit_together_do_not_match() {
    let storage = storage("load 1m\n a{y=\"1\"} 1\n a{y=\"2\"} 2\n h {{schema:0 count:1 sum:1 buckets:[1]}}\n");
    let info = "PromQL info: incompatible sample types encountered for binary operator \"-\": float - histogram (1:1)";
    assert_eq!(ask(&storage, "a - on () h", 0), [info]);
    // So there is room for what stands in.
    let filled =
        "PromQL info: incompatible sample types encountered for binary operator \"==\": histogram == float (1:1)";
    assert_eq!(ask(&storage, "h == bool on () fill_left (2) scalar(a{y=\"2\"}) * a{y=\"1\"}", 0), ["{} 1", filled]);
}

#[test]
fn comparisons_that_do_not_hold_are_matches_too() {
    let storage = storage("load 1m\n a{y=\"1\"} 1\n a{y=\"2\"} 2\n b 5\n");
    let error = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
    assert_eq!(ask(&storage, "a == on () b", 0), [error]);
}

#[test]
fn what_stands_in_keeps_its_side_with_group_right() {
    let storage = storage("load 1m\n many{x=\"1\",y=\"1\"} 7\n");
    assert_eq!(ask(&storage, "nothing + on (x) group_right fill_left (1) many", 0), ["{x=\"1\", y=\"1\"} 8"]);
    assert_eq!(ask(&storage, "nothing + on (x) group_right fill_right (1) many", 0), NONE);
}

#[test]
fn smoothing_factors_matter_only_to_samples() {
    let storage = storage("load 1m\n g 1 2 3\n");
    assert_eq!(ask(&storage, "double_exponential_smoothing(nothing[5m], 0, 0.5)", 120), NONE);
    let error = "invalid smoothing factor. Expected: 0 < sf < 1, got: 0.000000";
    assert_eq!(ask(&storage, "double_exponential_smoothing(g[30s], 0, 0.5)", 120), [error]);
}

#[test]
fn remarks_stand_where_prometheus_shows_them() {
    let storage = storage("load 1m\n g 1 2 3 4 5 6\n h {{schema:0 count:1 sum:1 buckets:[1]}}x5\n q 2 -3 1 0 5 1\n");
    assert_eq!(ask(&storage, "topk(1, h)", 0), ["PromQL info: ignored histogram in topk aggregation (1:1)"]);
    assert_eq!(ask(&storage, "stddev((h))", 0), ["PromQL info: ignored histogram in stddev aggregation (1:9)"]);
    let gauge = "PromQL warning: this native histogram metric is not a gauge: \"h\" (1:1)";
    assert!(ask(&storage, "1 * delta(h[3m:1m])", 240).contains(&gauge.to_owned()));
    let le = "PromQL warning: bucket label \"le\" is missing or has a malformed value of \"\" (1:25)";
    assert_eq!(ask(&storage, "histogram_quantile(0.5, (g))", 0), [le.replace("25", "26")]);
    assert_eq!(ask(&storage, "quantile_over_time(2, h[5m])", 60), NONE);
    let quantile = |q| format!("PromQL warning: quantile value should be between 0 and 1, got {q} (1:10)");
    assert_eq!(remarks(&storage, "quantile(scalar(q), g)"), [quantile("5"), quantile("-3")]);
}

#[test]
fn sorting_at_many_steps_is_remarked_unless_all_steps_are_one() {
    let storage = storage("load 1m\n g 1 2 3 4 5 6\n");
    assert_eq!(remarks(&storage, "sort(g @ 60)"), NONE);
    let remark =
        "PromQL warning: sort is ineffective for range queries since results are always ordered by labels (1:1)";
    assert_eq!(remarks(&storage, "sort(sort_desc(g))"), [remark]);
}

#[test]
fn labels_that_have_no_order_end_where_the_sort_leaves_them() {
    let values = "7 07 ~ a a1 a01 b2 10 9 ~ -1 a1b 99999999999999999999 7 ~ b2 x 07".split(' ');
    let series = ('a'..).zip(values).map(|(name, value)| match value {
        "~" => format!(" m{{a=\"{name}\"}} 1\n"),
        value => format!(" m{{a=\"{name}\",v=\"{value}\"}} 1\n"),
    });
    let storage = storage(&format!("load 1m\n{}", series.collect::<String>()));
    let order = |query| ask(&storage, query, 0).iter().map(|s| s[18..19].to_owned()).collect::<String>();
    // Up to twelve series are sorted by insertion, more by another algorithm.
    assert_eq!(order("sort_by_label(m{a=~\"[a-h]\"}, \"v\")"), "bachdfeg");
    assert_eq!(order("sort_by_label(m, \"v\")"), "kanbrihmgjdeflopqc");
    assert_eq!(order("sort_by_label_desc(m{a=~\"[a-h]\"}, \"v\")"), "gefdhcab");
    assert_eq!(order("sort_by_label_desc(m, \"v\")"), "ojcqpglefdmhinarbk");
}

#[test]
fn nan_is_sorted_behind_numbers_and_the_other_way_round() {
    let storage = storage("load 1m\n g{i=\"1\"} NaN\n g{i=\"2\"} NaN\n g{i=\"3\"} 3\n g{i=\"4\"} 4\n");
    let order = |query| ask(&storage, query, 0).iter().map(|s| s[18..19].to_owned()).collect::<String>();
    assert_eq!(order("sort(g)"), "3421");
    assert_eq!(order("sort_desc(g)"), "4321");
}

#[test]
fn without_takes_the_label_of_counted_values_too() {
    let storage = storage("load 1m\n g{job=\"a\",i=\"1\"} 5\n");
    assert_eq!(ask(&storage, "count_values without (job) (\"job\", g)", 0), ["{i=\"1\"} 1"]);
    assert_eq!(ask(&storage, "count_values by (i) (\"job\", g)", 0), ["{i=\"1\", job=\"5\"} 1"]);
}

#[test]
fn info_looks_where_the_first_selector_looks() {
    let storage = storage(
        "load 1m\n g{job=\"a\",instance=\"1\"} 1x30\n target_info{job=\"a\",instance=\"1\",version=\"2\"} 1x5\n",
    );
    let found = ask(&storage, "info(g offset 20m, {version=~\".+\"})", 1500);
    assert_eq!(found, ["{__name__=\"g\", instance=\"1\", job=\"a\", version=\"2\"} 1"]);
}

#[test]
fn smoothed_needs_a_sample_up_to_the_end_and_one_kind_of_samples() {
    let storage = storage("load 1m\n late _x5 1 2 3\n mixed 1 {{schema:0 count:1 sum:1 buckets:[1]}}\n");
    assert_eq!(ask(&storage, "increase(late[1m] smoothed)", 240), NONE);
    let warning = "PromQL warning: encountered a mix of histograms and floats for metric name \"mixed\" (1:1)";
    assert_eq!(ask(&storage, "mixed smoothed", 30), [warning]);
}

#[test]
fn a_scalar_is_the_only_float() {
    let storage = storage("load 1m\n m{i=\"1\"} 3\n m{i=\"2\"} {{schema:0 count:1 sum:1 buckets:[1]}}\n");
    assert_eq!(ask(&storage, "scalar(m)", 0), ["3"]);
}

#[test]
fn absent_looks_through_parentheses() {
    assert_eq!(ask(&TestStorage::new(), "absent((g{job=\"a\"}))", 0), ["{job=\"a\"} 1"]);
}

#[test]
fn deviations_from_nan_are_nan() {
    let storage = storage("load 1m\n g 1 2 NaN 4 5\n");
    assert_eq!(ask(&storage, "mad_over_time(g[10m])", 300), ["{} NaN"]);
}

#[test]
fn classic_fractions_take_decreasing_counts_as_they_are() {
    let storage = storage("load 1m\n b_bucket{le=\"1\"} 8\n b_bucket{le=\"2\"} 6\n b_bucket{le=\"+Inf\"} 10\n");
    assert_eq!(ask(&storage, "histogram_fraction(0, 2, b_bucket)", 0), ["{} 0.6"]);
}

#[test]
fn summaries_of_gauges_are_those_of_histograms_without_buckets() {
    // One bucket shrinks while the count grows, which only the buckets tell.
    let storage = storage(
        "load 1m\n h {{schema:0 count:4 sum:4 buckets:[4 0] counter_reset_hint:gauge}} \
         {{schema:0 count:6 sum:6 buckets:[1 5] counter_reset_hint:gauge}}\n",
    );
    let warning = "PromQL warning: this native histogram metric is not a counter: \"h\" (1:26)";
    assert_eq!(ask(&storage, "histogram_count(increase(h[61s]))", 60), ["{} 2.033333333333333", warning]);
    let trimmed = ask(&storage, "histogram_count(h </ 1)", 60);
    assert_eq!(trimmed, ["{} 1"]);
}

#[test]
fn durations_that_cannot_be_are_errors_of_the_query() {
    let storage = storage("load 1m\n g 1\n");
    assert_eq!(ask(&storage, "rate(g[min_of(1m, range())])", 0), ["7:26: duration must be greater than 0"]);
    assert_eq!(ask(&storage, "g[max_of(1, 2^2000)]", 0), ["2:19: duration is NaN or infinite"]);
}

#[test]
fn an_offset_in_parentheses_goes_on_behind_them() {
    let storage = storage("load 1m\n g 1 2 3 4 5\n");
    assert_eq!(ask(&storage, "g offset (1m) * 2", 240), ["{__name__=\"g\"} 3"]);
    assert_eq!(ask(&storage, "g offset -(1m) * 2", 120), ["{} 8"]);
    refusal(
        "a offset (1m) * b",
        "1:17: parse error: unexpected identifier \"b\" in offset, expected number, duration, step(), or range()",
    );
}

#[test]
fn refusals_are_worded_as_in_prometheus() {
    for (text, expected) in [
        ("", "unknown position: parse error: no expression found in input"),
        (" ", "1:1: parse error: no expression found in input"),
        ("]", "1:1: parse error: unexpected right bracket ']'"),
        ("@", "1:1: parse error: unexpected <op:@>"),
        ("a =~ b", "1:3: parse error: unexpected character after '=': '~'"),
        ("t step", "1:3: parse error: unexpected \"step\""),
        ("foo[5", "1:6: parse error: unclosed left bracket"),
        ("foo[0", "1:6: parse error: unclosed left bracket"),
        ("foo[5/0", "1:8: parse error: unclosed left bracket"),
        ("foo[1m[", "1:7: parse error: unexpected left bracket '['"),
        ("foo[1@", "1:6: parse error: unexpected <op:@> in subquery or range, expected \":\" or \"]\""),
        ("foo[5m:1m:", "1:10: parse error: unexpected colon ':'"),
        ("foo[:1m]", "1:6: parse error: unexpected colon before duration in duration expression"),
        ("p[max_of", "1:9: parse error: unexpected end of input in duration expression"),
        ("foo[step() x", "1:12: parse error: unexpected character in duration expression: 'x'"),
        ("sum(a b)", "1:7: parse error: unexpected identifier \"b\" in aggregation"),
        ("sum(abs(a b))", "1:11: parse error: unexpected identifier \"b\" in aggregation"),
        ("sum by (a) b", "1:12: parse error: unexpected identifier \"b\" in aggregation"),
        ("sum by(\"\"", "1:8: parse error: invalid label name for grouping: \"\""),
        ("avg())", "1:7: parse error: unexpected right parenthesis ')'"),
        ("abs(a, *", "1:6: parse error: trailing commas not allowed in function call args"),
        ("fill(1)", "1:5: parse error: unexpected \"(\""),
        ("a + fill (x) b", "1:11: parse error: unexpected identifier \"x\""),
        ("a + fill(1) fill(2) b", "1:17: parse error: unexpected \"(\""),
        ("1e400", "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"1e400\": value out of range"),
        ("22337203685477580820s", "1:1: parse error: not a valid duration string: \"22337203685477580820s\""),
    ] {
        refusal(text, expected);
    }
}

#[test]
fn modifiers_are_printed_in_the_order_of_prometheus() {
    let shown = |text| prettify(&parse(text).expect("the query is legal"));
    assert_eq!(shown("c smoothed offset 1m @ 5"), "c @ 5.000 smoothed offset 1m");
    assert_eq!(shown("c[5m] @ 5 smoothed offset 1m"), "c[5m] smoothed @ 5.000 offset 1m");
}

#[test]
fn ties_stay_where_the_heap_leaves_them() {
    let storage = storage(
        "load 1m\n i{i=\"0\"} 0\n i{i=\"1\"} -2\n i{i=\"2\"} 0\n i{i=\"3\"} 3\n i{i=\"4\"} -1\n i{i=\"5\"} 5\n i{i=\"6\"} -1\n",
    );
    let order = |query| ask(&storage, query, 0).iter().map(|s| s[18..19].to_owned()).collect::<String>();
    assert_eq!(order("bottomk(3, i)"), "164");
}

#[test]
fn the_operand_fails_before_the_parameter() {
    let storage = storage("load 1m\n a{x=\"1\"} 1\n b{x=\"1\",y=\"1\"} 1\n b{x=\"1\",y=\"2\"} 2\n");
    assert_eq!(ask(&storage, "topk(-1e300, a)", 0), NONE);
    for query in ["topk(NaN, a + on (x) b)", "bottomk(1e300, a + on (x) b)", "limitk(NaN, a + on (x) b)"] {
        assert!(ask(&storage, query, 0)[0].starts_with("found duplicate series"), "{query}");
    }
    assert_eq!(ask(&storage, "topk(NaN, a)", 0), ["Parameter value is NaN"]);
}

#[test]
fn labels_of_matches_are_quoted_where_they_have_to_be() {
    let storage = storage("load 1m\n a{\"x.y\"=\"1\"} 1\n b{\"x.y\"=\"1\",y=\"1\"} 1\n b{\"x.y\"=\"1\",y=\"2\"} 2\n");
    let error = &ask(&storage, "a + on (\"x.y\") b", 0)[0];
    assert!(error.starts_with("found duplicate series for the match group {\"x.y\"=\"1\"} on the right"), "{error}");
}

#[test]
fn later_quantiles_find_joined_bounds_as_the_first_left_them() {
    let storage = storage(
        "load 1m\n b_bucket{le=\"1\"} 1\n b_bucket{le=\"1.0\"} 1\n b_bucket{le=\"2\"} 4\n b_bucket{le=\"+Inf\"} 10\n",
    );
    // The last bound stands twice then.
    let found = ask(&storage, "histogram_quantiles(b_bucket, \"q\", 0.2, 0.2)", 0);
    assert_eq!(found, ["vector cannot contain metrics with the same labelset"]);
    let found = ask(&storage, "histogram_quantiles(b_bucket, \"q\", 0.9, 0.2)", 0);
    assert_eq!(found, ["{q=\"0.9\"} 2", "{q=\"0.2\"} 2"]);
    assert_eq!(ask(&storage, "histogram_quantile(0.2, b_bucket)", 0), ["{} 1"]);
}

#[test]
fn a_zero_bucket_without_width_is_not_below_zero() {
    let storage = storage("load 1m\n h {{schema:0 count:5 sum:9 z_bucket:2 buckets:[3]}}\n");
    assert_eq!(ask(&storage, "histogram_count(h </ 0)", 0), ["{} 0"]);
    assert_eq!(ask(&storage, "histogram_count(h >/ 0)", 0), ["{} 5"]);
    assert_eq!(ask(&storage, "histogram_count(h </ NaN)", 0), ["{} NaN"]);
}

#[test]
fn one_custom_bucket_over_everything_begins_at_zero_for_fractions() {
    let storage = storage("load 1m\n h {{schema:-53 count:5 sum:9 buckets:[5]}}\n");
    assert_eq!(ask(&storage, "histogram_fraction(-Inf, 5, h)", 0), ["{} 0"]);
    assert_eq!(ask(&storage, "histogram_quantile(0, -1 * h)", 0), ["{} inf"]);
}

#[test]
fn counts_of_nan_are_no_observations_of_nan() {
    let storage = storage("load 1m\n h {{schema:0 count:5 sum:9 buckets:[5]}}\n");
    assert_eq!(ask(&storage, "histogram_quantile(0.9, h * NaN)", 0), ["{} NaN"]);
    assert_eq!(ask(&storage, "histogram_fraction(0, 1, h * NaN)", 0), ["{} NaN"]);
}

#[test]
fn what_is_not_shown_is_remarked_all_the_same() {
    let storage = storage("load 1m\n h {{schema:0 count:1 sum:1 buckets:[1]}}x5\n");
    let quantile = "PromQL warning: quantile value should be between 0 and 1, got +Inf (1:36)";
    assert_eq!(ask(&storage, "start_timestamp(histogram_quantile(Inf, h))", 60), [quantile]);
    let gauge = "PromQL warning: this native histogram metric is not a gauge: \"h\" (1:22)";
    assert_eq!(ask(&storage, "limit_ratio(0, delta(h[5m]))", 240), [gauge]);
}

#[test]
fn type_and_unit_tell_no_series_apart() {
    let storage = storage("load 1m\n g{__type__=\"gauge\",__unit__=\"s\",i=\"1\"} 5\n");
    assert_eq!(ask(&storage, "sum without (i) (g)", 0), ["{} 5"]);
    assert_eq!(ask(&storage, "g + label_replace(g, \"__type__\", \"x\", \"\", \"\")", 0), ["{i=\"1\"} 10"]);
    assert_eq!(ask(&storage, "absent(nothing{__type__=\"gauge\",i=\"1\"})", 0), ["{i=\"1\"} 1"]);
}

#[test]
fn an_unknown_strategy_of_integration_is_remarked_at_itself() {
    let storage = storage("load 1m\n g 1 3 NaN 5\n");
    let warning = "PromQL warning: strategy should be 0, 1, or 2 (default), using 2, got 0.5 (1:17)";
    assert_eq!(ask(&storage, "integral(g[4m], 0.5)", 180), ["{} 360", warning]);
    assert_eq!(ask(&storage, "integral(g[4m], 0)", 180), ["{} 240"]);
    assert_eq!(ask(&storage, "integral(g[4m], 1)", 180), ["{} 480"]);
}

#[test]
fn infinite_values_at_exact_ranks_are_kept() {
    let storage = storage("load 1m\n g{i=\"1\"} 1\n g{i=\"2\"} 2\n g{i=\"3\"} Inf\n");
    assert_eq!(ask(&storage, "quantile(0.5, g)", 0), ["{} 2"]);
    assert_eq!(ask(&storage, "quantile(1, g)", 0), ["{} inf"]);
}

#[test]
fn an_info_metric_of_histograms_is_refused() {
    let storage = storage("load 1m\n t{instance=\"i\",job=\"j\"} 1\n h{instance=\"i\",job=\"j\"} {{count:1 sum:1}}\n");
    let error = "this should be an info metric, with float samples: {__name__=\"h\", instance=\"i\", job=\"j\"}";
    assert_eq!(ask(&storage, "info(t, {__name__=\"h\"})", 0), [error]);
}

#[test]
fn functions_of_ranges_join_series_that_become_equal_and_never_meet() {
    let storage = storage("load 1m\n a{i=\"1\"} 1 _ _ _\n b{i=\"1\"} _ _ _ 1\n");
    let expr = parse("sum_over_time({i=\"1\"}[1m])").expect("the query is legal");
    let result = range(&storage, &expr, 0, 180_000, 60_000, &QueryOptions::default(), &Cancel::new());
    let QueryValue::Matrix(series) = result.expect("they never meet").value else { panic!("no matrix") };
    assert_eq!(series.len(), 1);
    assert_eq!(series[0].timestamps_ms, [0, 180_000]);
    let error = ask(&storage, "sum_over_time({i=\"1\"}[5m])", 180);
    assert_eq!(error, ["vector cannot contain metrics with the same labelset"]);
}

#[test]
fn a_sort_of_one_time_is_not_remarked_whatever_it_sorts() {
    let storage = storage("load 1m\n g 1 2 3 4 5 6\n");
    assert_eq!(remarks(&storage, "sort(topk(1, g @ 60))"), NONE);
}

#[test]
fn names_of_metrics_are_labels_of_groups_too() {
    assert!(parse("a * on (b:c) d").is_ok() && parse("sum by (:) (a)").is_ok());
    refusal("a * on (b:c", "1:12: parse error: unclosed left parenthesis");
}

#[test]
fn tokens_are_refused_where_prometheus_finds_them() {
    let number = |text| {
        format!("1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"{text}\": invalid syntax")
    };
    refusal(".0.", &number(".0."));
    refusal("0..", &number("0.."));
    refusal("1..2", "1:1: parse error: bad number or duration syntax: \"1..\"");
    refusal("a max_of b", "1:3: parse error: unexpected \"max_of\"");
    refusal("{a=max_of}", "1:4: parse error: unexpected identifier \"max_of\" in label matching, expected string");
    let clause = |at: u32, token| format!("1:{at}: parse error: unexpected {token} in grouping opts, expected \"(\"");
    refusal("a*on()group_left", &clause(17, "end of input"));
    refusal("(a*on()group_left)", &clause(18, "\")\""));
    refusal("a*on()group_left bool b", &clause(18, "<bool>"));
}

#[test]
fn a_colon_needs_a_number_or_a_function_before_it() {
    refusal("foo[:1m]", "1:6: parse error: unexpected colon before duration in duration expression");
    refusal("(a(n[1][:", "1:10: parse error: unexpected colon before duration in duration expression");
    assert!(parse("foo[step():1m]").is_ok());
    assert!(parse("(delta(c[1] anchored))[step():1]").is_ok());
    let expected = "number, duration, step(), or range()";
    for (text, token) in [
        ("foo[step2", "1:9: parse error: unexpected number \"2\""),
        ("foo[min_of5", "1:11: parse error: unexpected number \"5\""),
    ] {
        refusal(text, &format!("{token} in subquery or range selector, expected {expected}"));
    }
    refusal("foo[1m] + foo[x", "1:15: parse error: unexpected character in duration expression: 'x'");
    refusal("(foo[1m])[", "1:11: parse error: unexpected end of input in duration expression");
    refusal("foo[1m step2", "1:8: parse error: unexpected \"step\" in subquery or range, expected \":\" or \"]\"");
}

#[test]
fn extended_selectors_are_refused_as_in_prometheus() {
    for text in ["(x)anchored", "1 anchored", "sum(x) anchored", "rate(x[5m]) anchored", "(x[5m:1m]) anchored"] {
        refusal(text, "1:1: parse error: anchored modifier not implemented");
    }
    refusal("x anchored smoothed", "1:1: parse error: anchored and smoothed modifiers cannot be used together");
    assert!(parse("x[5m] anchored anchored").is_ok());
}

#[test]
fn behind_two_signs_an_offset_is_a_whole_duration_expression() {
    let shown = |text| prettify(&parse(text).expect("the query is legal"));
    assert_eq!(shown("x offset --5"), "x offset 5s");
    assert_eq!(shown("x offset -+5m"), "x offset -5m");
    assert_eq!(shown("x offset --5m * 2"), "x offset 5m * 2");
    assert_eq!(shown("x offset -5m * 2"), "x offset -5m * 2");
    assert!(parse("x offset NaN").is_ok() && parse("x offset --NaN").is_ok());
    refusal("l offset+Inf", "1:9: parse error: duration out of range");
    let expected = "unexpected end of input in offset, expected number, duration, step(), or range()";
    refusal("g offset--", &format!("1:11: parse error: {expected}"));
}

#[test]
fn parts_of_milliseconds_are_cut_off_durations_and_rounded_in_times() {
    let shown = |text| prettify(&parse(text).expect("the query is legal"));
    assert_eq!(shown("a[1.9999]"), "a[1s999ms]");
    assert_eq!(shown("a[2.3]"), "a[2s300ms]");
    assert_eq!(shown("a offset 1.0005"), "a offset 1s");
    assert_eq!(shown("a @ 1.0005"), "a @ 1.001");
}

#[test]
fn equal_stand_ins_are_printed_once_but_nan_equals_nothing() {
    let shown = |text| prettify(&parse(text).expect("the query is legal"));
    assert_eq!(shown("a + fill(NaN) b"), "a + fill_left (NaN) fill_right (NaN) b");
    assert_eq!(shown("a + fill_left(0) fill_right(-0) b"), "a + fill (0) b");
    assert_eq!(shown("a + fill(1e300) b"), "a + fill (1e+300) b");
}

#[test]
fn a_clause_before_the_arguments_lets_an_aggregation_be_refused_before_what_follows() {
    let wrong = "wrong number of arguments for aggregate expression provided, expected 1, got 2";
    refusal("(stddev by()(a,b)", &format!("1:2: parse error: {wrong}"));
    refusal("(stddev(a,b)", "1:13: parse error: unclosed left parenthesis");
}

#[test]
fn info_refuses_what_is_no_vector_as_a_whole() {
    let error =
        |found| format!("1:1: parse error: expected type instant vector in call to function \"info\", got {found}");
    refusal("info(x, 1)", &error("scalar"));
    refusal("info(1, x[5m])", &error("range vector"));
    refusal("info(x, sum(1))", "1:9: parse error: expected label selectors only");
}

/// All values of a range query over five minutes.
fn values(storage: &TestStorage, query: &str, step_ms: i64) -> Vec<f64> {
    let expr = parse(query).expect("the query is legal");
    let result = range(storage, &expr, 0, 300_000, step_ms, &QueryOptions::default(), &Cancel::new());
    let QueryValue::Matrix(series) = result.expect("the query answers").value else { return Vec::new() };
    series.into_iter().flat_map(|series| series.values).collect()
}

#[test]
fn a_pinned_operand_is_aggregated_with_the_parameter_of_the_first_step() {
    let storage = storage("load 1m\n k 0.5 1 1 0 0 0\n g{i=\"1\"} 1\n g{i=\"2\"} 3\n");
    assert_eq!(values(&storage, "quantile(scalar(k), g @ 0)", 60_000), [2.0; 6]);
    assert_eq!(values(&storage, "topk(scalar(k), g @ 0)", 60_000), [0.0; 0]);
}

#[test]
fn functions_of_time_are_not_the_same_at_every_step() {
    let storage = storage("load 1m\n g{instance=\"a\"} 1 2 3 4 5 6\n");
    let remark =
        "PromQL warning: sort is ineffective for range queries since results are always ordered by labels (1:1)";
    assert_eq!(remarks(&storage, "sort(month(g @ 60))"), [remark]);
    assert_eq!(remarks(&storage, "sort(info(g @ 60, {version=~\".*\"}))"), NONE);
}

#[test]
fn an_extended_range_that_nobody_looks_at_has_values_at_its_edges() {
    let storage = storage("load 1m\n g 1 2 4 8\n h {{schema:0 count:1 sum:1 buckets:[1]}}x5\n");
    let samples = |query| {
        let expr = parse(query).expect("the query is legal");
        let result = instant(&storage, &expr, 150_000, &QueryOptions::default(), &Cancel::new());
        let QueryValue::Matrix(mut series) = result.expect("the query answers").value else { return Vec::new() };
        let series = series.pop().expect("there is one");
        series.timestamps_ms.into_iter().zip(series.values).collect::<Vec<_>>()
    };
    assert_eq!(samples("g[1m] anchored"), [(90_000, 2.0), (120_000, 4.0), (150_000, 4.0)]);
    assert_eq!(samples("(g[1m] smoothed)"), [(90_000, 3.0), (120_000, 4.0), (150_000, 6.0)]);
    assert_eq!(ask(&storage, "h[1m] anchored", 150), ["anchored modifier is not supported with histograms"]);
    assert_eq!(ask(&storage, "g anchored", 150), ["{__name__=\"g\"} 4"]);
    let late = self::storage("load 1m\n g _ _ _ 5\n");
    assert_eq!(
        ask(&late, "g[1m] smoothed", 130),
        [
            "Matrix([Series { labels: {__name__=\"g\"}, timestamps_ms: [70000, 130000], values: [5.0, 5.0], histogram_timestamps_ms: [], histograms: [] }])"
        ]
    );
    // Times are those of the samples.
    assert_eq!(ask(&storage, "timestamp(g smoothed)", 150), ["{} 120"]);
    assert_eq!(ask(&storage, "start_timestamp(g smoothed)", 150), NONE);
}

#[test]
fn functions_that_know_no_extension_matter_only_where_they_are_evaluated() {
    let storage = storage("load 1m\n g 1 2 4 8\n");
    let error = "smoothed modifier can only be used with: delta, increase, rate - not with changes";
    assert_eq!(ask(&storage, "sum_over_time(changes(g[40s] smoothed)[15s:2m])", 110), NONE);
    assert_eq!(ask(&storage, "sum_over_time(changes(g[40s] smoothed)[15s:2m])", 125), [error]);
}

#[test]
fn resets_of_an_extended_window_are_summed_up_before_they_are_added() {
    let storage = storage("load 1m\n w 1e300 0 90 39 1e21 14 -1e300 18.9\n");
    let info =
        "PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"w\" (1:10)";
    assert_eq!(ask(&storage, "increase(w[7m] anchored)", 430), ["{} 0", info]);
}

#[test]
fn only_the_last_refusal_of_a_step_is_remarked() {
    let storage = storage("load 1m\n m{i=\"1\"} 3\n m{i=\"2\"} {{schema:0 count:1 sum:1 buckets:[1]}}\n");
    let info =
        "PromQL info: incompatible sample types encountered for binary operator \">/\": float >/ histogram (1:1)";
    assert_eq!(ask(&storage, "20 >/ m", 0), [info]);
}

#[test]
fn what_an_outer_call_remarks_on_its_parameter_comes_later() {
    let storage = storage("load 1m\n g 1 2 3\n");
    let warning = |column| format!("PromQL warning: quantile value should be between 0 and 1, got -1 (1:{column})");
    assert_eq!(ask(&storage, "quantile(-1, quantile_over_time(-1, g[5m]))", 60), ["{} -inf".to_owned(), warning(10)]);
    let le = "PromQL warning: bucket label \"le\" is missing or has a malformed value of \"\" (1:21)";
    assert_eq!(ask(&storage, "histogram_quantiles(g, \"q\", -1, -1)", 60), [le.to_owned(), warning(33)]);
}

#[test]
fn contradicting_resets_leave_no_sum_of_two_histograms() {
    let storage = storage(
        "load 1m\n a {{schema:0 count:4 sum:4 buckets:[4]}} {{schema:0 count:6 sum:6 buckets:[6]}}\n \
         b {{schema:0 count:4 sum:4 buckets:[4]}} {{schema:0 count:2 sum:2 buckets:[2]}}\n",
    );
    let warning = "PromQL warning: conflicting counter resets during histogram addition (1:15)";
    assert_eq!(ask(&storage, "histogram_sum(a + on () b)", 60), [warning]);
}

#[test]
fn hints_of_summaries_forget_what_was_passed() {
    let load = "load 1m\n h {{schema:0 count:9 sum:9 buckets:[9]}} stale {{schema:0 count:2 sum:2 buckets:[2]}} \
                {{schema:0 count:3 sum:3 buckets:[3]}} _ {{schema:0 count:1 sum:1 buckets:[1]}} \
                {{schema:0 count:2 sum:2 buckets:[2]}}\n";
    let storage = storage(load);
    let warning = "PromQL warning: conflicting counter resets during histogram aggregation (1:29)";
    assert_eq!(ask(&storage, "histogram_sum(sum_over_time(h[7m]))", 420), ["{} 8", warning]);
    // The reset before the second window is not seen, as its sample was passed over.
    assert_eq!(ask(&storage, "histogram_sum(sum_over_time(h[80s]))", 360), ["{} 3"]);
    // Where buckets matter anywhere around, nothing is summarised.
    assert_eq!(ask(&storage, "histogram_sum(sum_over_time(h[7m])) >/ 2", 420).len(), 1);
}

#[test]
fn remarks_on_layouts_come_alone_where_nothing_is_added() {
    let (exponential, custom) =
        ("{{schema:0 count:1 sum:1 buckets:[1]}}", "{{schema:-53 count:1 sum:1 custom_values:[5] buckets:[1]}}");
    let gauge = "{{schema:0 count:1 sum:1 buckets:[1] counter_reset_hint:gauge}}";
    let other = "{{schema:-53 count:1 sum:1 custom_values:[2 5] buckets:[1]}}";
    let storage = storage(&format!(
        "load 1m\n a {exponential} {custom} {gauge}\n b {exponential} {gauge} {custom} {exponential}\n \
         c {custom} {other} {exponential}\n"
    ));
    let mixed = |name, column| {
        let text = "vector contains a mix of histograms with exponential and custom buckets schemas";
        format!("PromQL warning: {text} for metric name \"{name}\" (1:{column})")
    };
    let not_a_counter = "PromQL warning: this native histogram metric is not a counter: \"a\" (1:6)".to_owned();
    assert_eq!(ask(&storage, "rate(a[5m])", 200), [not_a_counter, mixed("a", 6)]);
    assert_eq!(ask(&storage, "rate(b[5m])", 200), [mixed("b", 6)]);
    assert_eq!(ask(&storage, "rate(a[5m] anchored)", 200), [mixed("a", 6)]);
    assert_eq!(ask(&storage, "sum_over_time(c[5m])", 200), [mixed("c", 15)]);
}

#[test]
fn between_a_gauge_and_a_counter_lies_a_gauge() {
    let (counter, gauge) =
        ("{{schema:0 count:1 sum:1 buckets:[1]}}", "{{schema:0 count:3 sum:3 buckets:[3] counter_reset_hint:gauge}}");
    let storage = storage(&format!("load 1m\n h {counter} {counter} {gauge}\n"));
    assert_eq!(ask(&storage, "histogram_count(delta(h[1m] smoothed))", 150), ["{} 1"]);
}

#[test]
fn buckets_without_observations_tell_histograms_apart() {
    let storage = storage("load 1m\n h {{schema:0 count:2 sum:1 buckets:[1 0 1]}}\n");
    assert_eq!(ask(&storage, "h == bool on () h", 0), ["{} 1"]);
    assert_eq!(ask(&storage, "h == bool on () sum(h)", 0), ["{} 0"]);
}

#[test]
fn a_bucket_that_is_only_cut_in_its_infinite_width_is_not_cut() {
    let storage = storage("load 1m\n h {{schema:-53 count:1 sum:24 custom_values:[10] buckets:[0 1]}}\n");
    assert_eq!(ask(&storage, "histogram_sum(h >/ 1000)", 0), ["{} 24"]);
}

#[test]
fn ranks_beyond_all_buckets_are_the_whole_count() {
    let storage =
        storage("load 1m\n h {{schema:0 count:0.7023548527417415 sum:1 buckets:[0.1 0.2 0.3 0.1023548527417415]}}\n");
    assert_eq!(ask(&storage, "histogram_fraction(300, Inf, h)", 0), ["{} 0"]);
    let below_zero = storage_of_a_zero_bucket();
    assert_eq!(ask(&below_zero, "histogram_fraction(-0.3, 0, h)", 0), ["{} 0"]);
}

/// One observation in a zero bucket without width, one below.
fn storage_of_a_zero_bucket() -> TestStorage {
    storage("load 1m\n h {{schema:1 count:2 sum:1 z_bucket:1 n_buckets:[1] n_offset:-1}}\n")
}

#[test]
fn quantiles_of_negative_counts_end_at_the_upper_bound() {
    let storage =
        storage("load 1m\n a {{schema:0 count:4 sum:4 buckets:[4]}}\n b {{schema:0 count:6 sum:6 buckets:[0 6]}}\n");
    assert_eq!(ask(&storage, "histogram_quantile(0.5, a - on () b - on () b)", 0), ["{} 1"]);
}

#[test]
fn quantiles_of_counts_that_are_nan_are_the_last_finite_bound() {
    let storage = storage("load 1m\n b_bucket{le=\"1\"} 1\n b_bucket{le=\"2\"} 4\n b_bucket{le=\"+Inf\"} 10\n");
    assert_eq!(ask(&storage, "histogram_quantile(0.1, b_bucket % 0)", 0), ["{} 2"]);
}

#[test]
fn the_first_step_with_an_error_tells() {
    let storage = storage(
        "load 1m\n a{x=\"1\",y=\"1\"} _ 1 1\n a{x=\"1\",y=\"2\"} _ 1 1\n b{x=\"1\",y=\"1\"} _ 1 1\n b{x=\"1\",y=\"2\"} _ _ 1\n",
    );
    let expr = parse("a + on (x) b").expect("the query is legal");
    let error = |start_ms| {
        let result = range(&storage, &expr, start_ms, 120_000, 60_000, &QueryOptions::default(), &Cancel::new());
        result.expect_err("the labels are not unique").to_string()
    };
    let many = "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)";
    assert_eq!(error(0), many);
    assert!(error(120_000).starts_with("found duplicate series for the match group {x=\"1\"} on the right"));
}

#[test]
fn the_order_of_values_decides_over_errors_where_all_steps_are_one() {
    let storage = storage(
        "load 1m\n a{x=\"1\",y=\"1\"} 1\n a{x=\"2\",y=\"1\"} 2\n a{x=\"1\",y=\"2\"} 4\n a{x=\"2\",y=\"2\"} 3\n b{x=\"1\"} 1\n b{x=\"2\"} 1\n",
    );
    let no_passes = QueryOptions { optimisations: Optimisations::NONE, ..QueryOptions::default() };
    let plain = QueryOptions { optimise: false, ..QueryOptions::default() };
    for options in [QueryOptions::default(), no_passes, plain] {
        let error = |query| {
            let expr = parse(query).expect("the query is legal");
            let result = range(&storage, &expr, 0, 120_000, 60_000, &options, &Cancel::new());
            result.expect_err("the labels are not unique").to_string()
        };
        assert!(error("topk by (z) (4, a @ 0) * on (x) group_right b").contains("match group {x=\"2\"} on the left"));
        assert!(
            error("bottomk by (z) (4, a @ 0) * on (x) group_right b").contains("match group {x=\"2\"} on the left")
        );
        assert!(error("a @ 0 * on (x) group_right b").contains("match group {x=\"1\"} on the left"));
    }
}

#[test]
fn comparisons_of_vectors_forget_that_a_name_was_to_go() {
    let storage = storage("load 1m\n a 1 2 3\n b 1 1 1\n");
    let options = QueryOptions { delayed_name_removal: true, ..QueryOptions::default() };
    let labels = |query| {
        let expr = parse(query).expect("the query is legal");
        let result = instant(&storage, &expr, 120_000, &options, &Cancel::new()).expect("the query answers");
        let QueryValue::Vector(samples) = result.value else { return Vec::new() };
        samples.into_iter().map(|sample| sample.labels.to_string()).collect()
    };
    assert_eq!(labels("avg_over_time(a[5m]) > ignoring () b"), ["{__name__=\"a\"}"]);
    assert_eq!(labels("avg_over_time(a[5m]) > bool ignoring () b"), ["{}"]);
    assert_eq!(labels("avg_over_time(a[5m]) > 1"), ["{}"]);
}

#[test]
fn info_looks_at_the_step_where_selectors_do_not_agree() {
    let storage = storage(
        "load 1m\n g{job=\"a\",instance=\"1\"} 1x30\n target_info{job=\"a\",instance=\"1\",version=\"2\"} 1x5\n",
    );
    assert_eq!(ask(&storage, "info(g offset 20m or g, {version=~\".+\"})", 1500), NONE);
    let found = "{instance=\"1\", job=\"a\", version=\"2\"} 5";
    assert_eq!(ask(&storage, "info(sum_over_time(g[5m:1m] offset 20m), {version=~\".+\"})", 1500), [found]);
}

#[test]
fn numbers_of_series_are_refused_from_below_first() {
    let storage = storage("load 1m\n g 1 1 1 1 1 1\n k -Inf +Inf 0 0 0 0\n");
    let expr = parse("topk(scalar(k), g)").expect("the query is legal");
    let result = range(&storage, &expr, 0, 300_000, 60_000, &QueryOptions::default(), &Cancel::new());
    assert_eq!(result.expect_err("it is no number").to_string(), "Scalar value -Inf underflows int64");
}

#[test]
fn a_bucket_that_is_gone_is_a_reset_even_if_it_held_less_than_nothing() {
    let storage = storage(
        "load 1m\n a {{schema:0 count:1 sum:1 buckets:[1 -2]}} {{schema:0 count:3 sum:3 buckets:[3]}}\n \
         b {{schema:0 count:1 sum:1 buckets:[1]}} {{schema:0 count:3 sum:3 buckets:[4 -1]}}\n",
    );
    // With the reset the first histogram is left out of the difference, which is 3 and not 2 before it is extrapolated.
    assert_eq!(ask(&storage, "histogram_count(increase(a[61s]))", 60), ["{} 3.05"]);
    assert_eq!(ask(&storage, "histogram_count(increase(b[61s]))", 60), ["{} 2.033333333333333"]);
}

#[test]
fn a_histogram_without_observations_in_buckets_has_its_quantiles_at_the_last_one() {
    let storage = storage(
        "load 1m\n a {{schema:0 count:10 sum:5}}x1\n b {{schema:0 count:10 sum:NaN}}x1\n \
         c {{schema:-53 count:10 sum:5 custom_values:[1 2] buckets:[0 0]}}x1\n",
    );
    for (quantile, expected) in [
        ("0.1, a", "0"),
        ("0.9, a", "0"),
        ("0, a", "NaN"),
        ("1, a", "NaN"),
        ("0, -a", "0"),
        ("0.9, -a", "0"),
        ("0, b", "NaN"),
        ("0.9, b", "NaN"),
        ("0.1, -b", "NaN"),
        ("0.1, c", "2"),
        ("0.9, c", "1"),
        ("0, c", "NaN"),
        ("0, -c", "2"),
        ("1, -c", "1"),
    ] {
        let query = format!("histogram_quantile({quantile})");
        assert_eq!(ask(&storage, &query, 60)[0], format!("{{}} {expected}"), "{query}");
    }
}

#[test]
fn duplicates_are_refused_beside_an_empty_side_if_anything_is_filled() {
    let storage = storage("load 1m\n a{job=\"x\",i=\"1\"} 1x1\n a{job=\"x\",i=\"2\"} 1x1\n");
    for query in [
        "a / on (job) group_right fill_left (0) none",
        "a / on (job) group_right fill_right (0) none",
        "none / on (job) group_left fill_right (0) a",
        "none / on (job) fill_right (0) a",
    ] {
        let answer = ask(&storage, query, 60);
        assert!(answer[0].starts_with("found duplicate series for the match group {job=\"x\"}"), "{query}: {answer:?}");
    }
    for query in ["a / on (job) group_right none", "a / on (job) fill_left (0) none"] {
        assert_eq!(ask(&storage, query, 60), NONE, "{query}");
    }
}
