//! Runs the public tables of float histogram arithmetic (`../shared/conformance/prometheus-3.16/histogram-tables`) against this crate.
//!
//! Histograms are compared as Prometheus' own tests compare them: both sides compacted, floats within 1e-12.

use std::path::{Path, PathBuf};

use mytsdb_histogram::{Bucket, CounterResetHint, FloatHistogram, HistogramError, Reconciled, Span};
use serde_json::Value;

fn tables() -> Option<PathBuf> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance/prometheus-3.16/histogram-tables");
    if folder.is_dir() {
        return Some(folder);
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "conformance data is missing at {}", folder.display());
    println!("no conformance data at {}: nothing checked", folder.display());
    None
}

/// Calls `judge` with each case of a table; it answers with what is wrong. All failures are reported at once.
fn run(table: &str, judge: impl Fn(&Value) -> Result<(), String>) {
    let Some(folder) = tables() else { return };
    #[expect(clippy::disallowed_methods, reason = "test data, not a store's file")]
    let text = std::fs::read_to_string(folder.join(format!("{table}.json"))).expect("the table is readable");
    let table_json: Value = serde_json::from_str(&text).expect("the table is JSON");
    let cases = table_json["cases"].as_array().expect("the table has cases");
    assert!(!cases.is_empty(), "{table} is empty");
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| judge(case).err().map(|problem| format!("{}: {problem}", case["name"])))
        .collect();
    println!("{table}: {} of {} cases", cases.len() - failures.len(), cases.len());
    assert!(failures.is_empty(), "{table}: {} of {} fail\n{}", failures.len(), cases.len(), failures.join("\n"));
}

fn float(value: &Value) -> f64 {
    match value {
        Value::Null => 0.0,
        Value::String(text) => text.parse().expect("a float in quotes"),
        number => number.as_f64().expect("a float"),
    }
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().map(|list| list.iter().map(float).collect()).unwrap_or_default()
}

fn spans(value: &Value) -> Vec<Span> {
    let span = |pair: &Value| Span {
        offset: pair[0].as_i64().and_then(|offset| offset.try_into().ok()).expect("an offset"),
        length: pair[1].as_u64().and_then(|length| length.try_into().ok()).expect("a length"),
    };
    value.as_array().map(|list| list.iter().map(span).collect()).unwrap_or_default()
}

fn histogram(value: &Value) -> FloatHistogram {
    FloatHistogram {
        counter_reset_hint: match value["CounterResetHint"].as_str() {
            None | Some("unknown") => CounterResetHint::Unknown,
            Some("reset") => CounterResetHint::CounterReset,
            Some("not_reset") => CounterResetHint::NotCounterReset,
            Some("gauge") => CounterResetHint::Gauge,
            Some(other) => panic!("unknown hint {other}"),
        },
        schema: value["Schema"].as_i64().unwrap_or(0).try_into().expect("a schema"),
        zero_threshold: float(&value["ZeroThreshold"]),
        zero_count: float(&value["ZeroCount"]),
        count: float(&value["Count"]),
        sum: float(&value["Sum"]),
        positive_spans: spans(&value["PositiveSpans"]),
        negative_spans: spans(&value["NegativeSpans"]),
        positive_buckets: floats(&value["PositiveBuckets"]),
        negative_buckets: floats(&value["NegativeBuckets"]),
        custom_values: floats(&value["CustomValues"]),
    }
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-12 * (a.abs() + b.abs())
}

fn same(got: &FloatHistogram, expected: &FloatHistogram) -> Result<(), String> {
    let all_close = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| close(a, b));
    let equal = got.counter_reset_hint == expected.counter_reset_hint
        && got.schema == expected.schema
        && close(got.zero_threshold, expected.zero_threshold)
        && close(got.zero_count, expected.zero_count)
        && close(got.count, expected.count)
        && close(got.sum, expected.sum)
        && got.positive_spans == expected.positive_spans
        && got.negative_spans == expected.negative_spans
        && all_close(&got.positive_buckets, &expected.positive_buckets)
        && all_close(&got.negative_buckets, &expected.negative_buckets)
        && got.custom_values == expected.custom_values;
    if equal { Ok(()) } else { Err(format!("\n  got      {got:?}\n  expected {expected:?}")) }
}

fn same_compacted(got: &FloatHistogram, expected: &FloatHistogram) -> Result<(), String> {
    let (mut got, mut expected) = (got.clone(), expected.clone());
    got.compact(0);
    expected.compact(0);
    same(&got, &expected)
}

fn expect(condition: bool, problem: impl Into<String>) -> Result<(), String> {
    if condition { Ok(()) } else { Err(problem.into()) }
}

/// Compares a sum or difference (or its error and warnings) with what the case expects.
fn judge_operation(
    case: &Value,
    expected: &Value,
    got: &FloatHistogram,
    outcome: Result<Reconciled, HistogramError>,
) -> Result<(), String> {
    let expected_error = case["expErrMsg"].as_str().unwrap_or("");
    match outcome {
        Err(error) => expect(error.to_string() == expected_error, format!("error {error}")),
        Ok(reconciled) => {
            expect(expected_error.is_empty(), format!("no error, expected {expected_error}"))?;
            let collision = case["expCounterResetCollision"].as_bool().unwrap_or(false);
            let bounds = case["expNHCBBoundsReconciled"].as_bool().unwrap_or(false);
            expect(reconciled.counter_reset_collision == collision, format!("{reconciled:?}"))?;
            expect(reconciled.custom_bounds == bounds, format!("{reconciled:?}"))?;
            if expected.is_null() { Ok(()) } else { same_compacted(got, &histogram(expected)) }
        }
    }
}

#[test]
fn sums_match_the_table_in_both_orders() {
    run("hist_FloatHistogramAdd", |case| {
        for (left, right) in [("in1", "in2"), ("in2", "in1")] {
            let mut sum = histogram(&case[left]);
            let outcome = sum.add(&histogram(&case[right]));
            judge_operation(case, &case["expected"], &sum, outcome)?;
        }
        Ok(())
    });
}

#[test]
fn compensated_sums_match_the_table_of_plain_sums() {
    run("hist_FloatHistogramAdd", |case| {
        let mut sum = histogram(&case["in1"]);
        let mut compensation = sum.new_compensation();
        let outcome = sum.kahan_add(&histogram(&case["in2"]), &mut compensation);
        if outcome.is_ok() {
            sum.add(&compensation).map_err(|error| error.to_string())?;
        }
        judge_operation(case, &case["expected"], &sum, outcome)
    });
}

#[test]
fn compensated_sums_match_the_table() {
    run("hist_KahanAddWithCompHistogram", |case| {
        let mut sum = histogram(&case["in1"]);
        let mut compensation = if case["comp"].is_null() { sum.new_compensation() } else { histogram(&case["comp"]) };
        let outcome = sum.kahan_add(&histogram(&case["in2"]), &mut compensation);
        expect(sum.positive_spans == compensation.positive_spans, "the compensation has other spans than the sum")?;
        if outcome.is_ok() {
            sum.add(&compensation).map_err(|error| error.to_string())?;
        }
        judge_operation(case, &case["expectedSum"], &sum, outcome)
    });
}

#[test]
fn differences_match_the_table() {
    run("hist_FloatHistogramSub", |case| {
        let mut difference = histogram(&case["in1"]);
        let outcome = difference.sub(&histogram(&case["in2"]));
        judge_operation(case, &case["expected"], &difference, outcome)?;
        // The other order is the negative of it.
        let mut reverse = histogram(&case["in2"]);
        let outcome = reverse.sub(&histogram(&case["in1"]));
        reverse.mul(-1.0);
        reverse.counter_reset_hint = difference.counter_reset_hint;
        judge_operation(case, &case["expected"], &reverse, outcome)
    });
}

#[test]
fn multiples_match_the_table_field_by_field() {
    run("hist_FloatHistogramMul", |case| {
        let mut product = histogram(&case["in"]);
        product.mul(float(&case["scale"]));
        same(&product, &histogram(&case["expected"]))
    });
}

#[test]
fn quotients_match_the_table_field_by_field() {
    run("hist_FloatHistogramDiv", |case| {
        let mut quotient = histogram(&case["fh"]);
        quotient.div(float(&case["s"]));
        same(&quotient, &histogram(&case["expected"]))
    });
}

#[test]
fn compacted_layouts_match_the_table_field_by_field() {
    run("hist_FloatHistogramCompact", |case| {
        let mut compacted = histogram(&case["in"]);
        compacted.compact(case["maxEmptyBuckets"].as_u64().and_then(|max| max.try_into().ok()).expect("a count"));
        same(&compacted, &histogram(&case["expected"]))
    });
}

#[test]
fn copies_to_a_schema_match_the_table() {
    run("hist_FloatHistogramCopyToSchema", |case| {
        let schema = case["targetSchema"].as_i64().and_then(|schema| schema.try_into().ok()).expect("a schema");
        let copy = histogram(&case["in"]).copy_to_schema(schema).map_err(|error| error.to_string())?;
        same(&copy, &histogram(&case["expected"]))
    });
}

#[test]
fn detected_resets_match_the_table() {
    run("hist_FloatHistogramDetectReset", |case| {
        let reset = histogram(&case["current"]).detect_reset(&histogram(&case["previous"]));
        expect(Some(reset) == case["resetExpected"].as_bool(), format!("reset: {reset}"))
    });
}

#[test]
fn text_forms_match_the_table() {
    run("hist_FloatHistogramString", |case| {
        let text = histogram(&case["fh"]).to_string();
        expect(Some(text.as_str()) == case["expected"].as_str(), text)
    });
}

#[test]
fn histograms_with_negative_counts_are_invalid() {
    run("hist_FloatHistogramValidateNegativeHistogram", |case| match histogram(&case["fh"]).validate() {
        Err(HistogramError::NegativeCount { .. }) => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// What a walk over all buckets has to yield, put together from the walks over each side.
fn all_buckets(case: &Value) -> Vec<Bucket> {
    let h = histogram(&case["h"]);
    let wants = |part: &str| case[part].as_bool().expect("a flag");
    let mut expected = Vec::new();
    if wants("includeNeg") {
        expected.extend(h.iter_negative().rev().map(|mut bucket| {
            bucket.upper = bucket.upper.min(-h.zero_threshold);
            bucket
        }));
    }
    if wants("includeZero") {
        expected.push(h.zero_bucket());
    }
    if wants("includePos") {
        expected.extend(h.iter_positive().map(|mut bucket| {
            bucket.lower = bucket.lower.max(h.zero_threshold);
            bucket
        }));
    }
    expected
}

#[test]
fn all_buckets_come_in_ascending_order() {
    run("hist_AllFloatBucketIterator", |case| {
        let got: Vec<Bucket> = histogram(&case["h"]).iter_all().collect();
        expect(got == all_buckets(case), format!("{got:?}"))?;
        expect(got.is_sorted_by(|a, b| a.lower < b.lower && a.upper < b.upper), "not ascending")
    });
}

#[test]
fn all_buckets_come_in_descending_order() {
    run("hist_AllReverseFloatBucketIterator", |case| {
        let got: Vec<Bucket> = histogram(&case["h"]).iter_all().rev().collect();
        let mut expected = all_buckets(case);
        expected.reverse();
        expect(got == expected, format!("{got:?}"))
    });
}
