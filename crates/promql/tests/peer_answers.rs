//! Queries that a real Prometheus was found to answer otherwise; the answers here are its own.

use mytsdb_promql::{Cancel, QueryOptions, QueryValue, SampleValue, TestStorage, instant, parse, prettify, range};

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
fn what_stands_in_is_not_turned_round_with_the_sides() {
    let storage = storage("load 1m\n many{x=\"1\",y=\"1\"} 7\n");
    assert_eq!(ask(&storage, "nothing + on (x) group_right fill_left (1) many", 0), NONE);
    assert_eq!(ask(&storage, "nothing + on (x) group_right fill_right (1) many", 0), ["{x=\"1\", y=\"1\"} 8"]);
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
    assert_eq!(ask(&storage, "rate(g[min_of(1m, range())])", 0), ["14:25: duration must be greater than 0"]);
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
        ("foo[step():1m]", "1:12: parse error: unexpected colon before duration in duration expression"),
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
fn without_keeps_type_and_unit() {
    let storage = storage("load 1m\n g{__type__=\"gauge\",__unit__=\"s\",i=\"1\"} 5\n");
    assert_eq!(ask(&storage, "sum without (i) (g)", 0), ["{__type__=\"gauge\", __unit__=\"s\"} 5"]);
}

#[test]
fn functions_of_ranges_refuse_series_that_become_equal_even_if_they_never_meet() {
    let storage = storage("load 1m\n a{i=\"1\"} 1 _ _ _\n b{i=\"1\"} _ _ _ 1\n");
    let expr = parse("sum_over_time({i=\"1\"}[1m])").expect("the query is legal");
    let result = range(&storage, &expr, 0, 180_000, 60_000, &QueryOptions::default(), &Cancel::new());
    let error = result.expect_err("both have the same labels").to_string();
    assert_eq!(error, "vector cannot contain metrics with the same labelset");
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
