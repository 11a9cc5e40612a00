//! The tables of float histogram arithmetic.

use crate::score::{Options, Score, files, read};
use mytsdb_histogram::{CounterResetHint, FloatHistogram, Reconciled, Span};
use serde_json::Value;
use std::path::Path;

const TOLERANCE: f64 = 1e-9;

/// Runs every table in `dir`.
pub fn run(dir: &Path, options: &Options) -> anyhow::Result<Score> {
    let mut score = Score::default();
    for (name, path) in files(dir, "json", options)? {
        let table: Value = serde_json::from_str(&read(&path)?)?;
        let mut file = Score::default();
        for case in table["cases"].as_array().into_iter().flatten() {
            let label = format!("{name} {}", case["name"].as_str().unwrap_or(""));
            file.check(options, &label, &check(&name, case));
        }
        score.file(&name, file);
    }
    Ok(score)
}

fn check(table: &str, case: &Value) -> Result<(), String> {
    match table {
        "hist_AllFloatBucketIterator.json" => buckets(case, false),
        "hist_AllReverseFloatBucketIterator.json" => buckets(case, true),
        "hist_FloatHistogramAdd.json" => combined(case, false),
        "hist_FloatHistogramSub.json" => combined(case, true),
        "hist_KahanAddWithCompHistogram.json" => kahan(case),
        "hist_FloatHistogramCompact.json" => {
            let mut h = histogram(&case["in"]);
            h.compact(case["maxEmptyBuckets"].as_u64().unwrap_or(0) as u32);
            same(&histogram(&case["expected"]), &h)
        }
        "hist_FloatHistogramCopyToSchema.json" => {
            let schema = case["targetSchema"].as_i64().unwrap_or(0) as i32;
            let copy = histogram(&case["in"]).copy_to_schema(schema).map_err(|e| e.to_string())?;
            same(&histogram(&case["expected"]), &copy)
        }
        "hist_FloatHistogramDetectReset.json" => {
            let found = histogram(&case["current"]).detect_reset(&histogram(&case["previous"]));
            equal("reset", case["resetExpected"].as_bool().unwrap_or(false), found)
        }
        "hist_FloatHistogramDiv.json" => {
            let mut h = histogram(&case["fh"]);
            h.div(number(&case["s"]));
            same(&histogram(&case["expected"]), &h)
        }
        "hist_FloatHistogramMul.json" => {
            let mut h = histogram(&case["in"]);
            h.mul(number(&case["scale"]));
            same(&histogram(&case["expected"]), &h)
        }
        "hist_FloatHistogramSize.json" => {
            equal("bytes", case["expected"].as_u64().unwrap_or(0), histogram(&case["fh"]).size() as u64)
        }
        "hist_FloatHistogramString.json" => {
            equal("text", case["expected"].as_str().unwrap_or("").to_owned(), histogram(&case["fh"]).to_string())
        }
        "hist_FloatHistogramValidateNegativeHistogram.json" => {
            equal("validity", false, histogram(&case["fh"]).validate().is_ok())
        }
        _ => Err("unknown table".into()),
    }
}

fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("+Inf" | "Inf") => f64::INFINITY,
        Some("-Inf") => f64::NEG_INFINITY,
        Some("NaN") => f64::NAN,
        _ => value.as_f64().unwrap_or(0.0),
    }
}

fn histogram(value: &Value) -> FloatHistogram {
    let numbers = |key: &str| value[key].as_array().into_iter().flatten().map(number).collect();
    let spans = |key: &str| {
        let pairs = value[key].as_array().into_iter().flatten();
        pairs.map(|p| Span { offset: number(&p[0]) as i32, length: number(&p[1]) as u32 }).collect()
    };
    FloatHistogram {
        counter_reset_hint: match value["CounterResetHint"].as_str() {
            Some("gauge") => CounterResetHint::Gauge,
            Some("reset") => CounterResetHint::CounterReset,
            Some("not_reset" | "notReset") => CounterResetHint::NotCounterReset,
            _ => CounterResetHint::Unknown,
        },
        schema: number(&value["Schema"]) as i32,
        zero_threshold: number(&value["ZeroThreshold"]),
        zero_count: number(&value["ZeroCount"]),
        count: number(&value["Count"]),
        sum: number(&value["Sum"]),
        positive_spans: spans("PositiveSpans"),
        negative_spans: spans("NegativeSpans"),
        positive_buckets: numbers("PositiveBuckets"),
        negative_buckets: numbers("NegativeBuckets"),
        custom_values: numbers("CustomValues"),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "most of what is compared is made for the comparison")]
fn equal<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, actual: T) -> Result<(), String> {
    if expected == actual { Ok(()) } else { Err(format!("{what}: expected {expected:?}, got {actual:?}")) }
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}

/// Equal up to rounding and to how the buckets are cut into spans.
fn same(expected: &FloatHistogram, actual: &FloatHistogram) -> Result<(), String> {
    let lists = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| close(a, b));
    let indexes = |spans: &[Span]| {
        let mut at = 0;
        let mut out = Vec::new();
        for span in spans {
            at += i64::from(span.offset);
            out.extend((0..i64::from(span.length)).map(|i| at + i));
            at += i64::from(span.length);
        }
        out
    };
    let fits = expected.schema == actual.schema
        && expected.counter_reset_hint == actual.counter_reset_hint
        && expected.zero_threshold == actual.zero_threshold
        && close(expected.zero_count, actual.zero_count)
        && close(expected.count, actual.count)
        && close(expected.sum, actual.sum)
        && indexes(&expected.positive_spans) == indexes(&actual.positive_spans)
        && indexes(&expected.negative_spans) == indexes(&actual.negative_spans)
        && lists(&expected.positive_buckets, &actual.positive_buckets)
        && lists(&expected.negative_buckets, &actual.negative_buckets)
        && lists(&expected.custom_values, &actual.custom_values);
    if fits { Ok(()) } else { Err(format!("expected {expected:?}, got {actual:?}")) }
}

fn outcome(
    case: &Value,
    expected: &FloatHistogram,
    actual: &FloatHistogram,
    result: Result<Reconciled, mytsdb_histogram::HistogramError>,
) -> Result<(), String> {
    let fails = case["expErrMsg"].as_str().is_some_and(|message| !message.is_empty());
    let reconciled = match result {
        Err(_) if fails => return Ok(()),
        Err(error) => return Err(error.to_string()),
        Ok(_) if fails => return Err("accepted".into()),
        Ok(reconciled) => reconciled,
    };
    let flag = |key: &str| case[key].as_bool().unwrap_or(false);
    equal("reconciled bounds", flag("expNHCBBoundsReconciled"), reconciled.custom_bounds)?;
    if case["expCounterResetCollision"].is_boolean() {
        equal("reset collision", flag("expCounterResetCollision"), reconciled.counter_reset_collision)?;
    }
    // Some cases are about the flags only.
    if *expected == FloatHistogram::default() { Ok(()) } else { same(expected, actual) }
}

fn combined(case: &Value, subtract: bool) -> Result<(), String> {
    let (mut left, right) = (histogram(&case["in1"]), histogram(&case["in2"]));
    let result = if subtract { left.sub(&right) } else { left.add(&right) };
    left.compact(0);
    let mut expected = histogram(&case["expected"]);
    expected.compact(0);
    outcome(case, &expected, &left, result)
}

fn kahan(case: &Value) -> Result<(), String> {
    let (mut sum, other) = (histogram(&case["in1"]), histogram(&case["in2"]));
    let mut compensation = if case["comp"].is_object() { histogram(&case["comp"]) } else { sum.new_compensation() };
    let result = sum.kahan_add(&other, &mut compensation);
    sum.add(&compensation).map_err(|e| e.to_string())?;
    sum.compact(0);
    let mut expected = histogram(&case["expectedSum"]);
    expected.compact(0);
    outcome(case, &expected, &sum, result)
}

/// The counts that the spans describe.
fn covered<'h>(spans: &[Span], buckets: &'h [f64]) -> &'h [f64] {
    let length: u32 = spans.iter().map(|s| s.length).sum();
    &buckets[..buckets.len().min(length as usize)]
}

/// The buckets in order: they cover the chosen sides completely, ascending (or descending) and without overlap.
fn buckets(case: &Value, reverse: bool) -> Result<(), String> {
    let h = histogram(&case["h"]);
    let flag = |key: &str| case[key].as_bool().unwrap_or(false);
    let mut all: Vec<_> = h.iter_all().collect();
    if reverse {
        let backwards: Vec<_> = h.iter_all().rev().collect();
        all.reverse();
        equal("backwards", all.len(), backwards.len())?;
        if all != backwards {
            return Err("backwards is not the reverse of forwards".into());
        }
        all.reverse();
    }
    let mut counts: Vec<f64> = Vec::new();
    if flag("includeNeg") {
        counts.extend(covered(&h.negative_spans, &h.negative_buckets).iter().rev());
    }
    if flag("includeZero") && h.zero_count > 0.0 {
        counts.push(h.zero_count);
    }
    if flag("includePos") {
        counts.extend(covered(&h.positive_spans, &h.positive_buckets));
    }
    let found: Vec<f64> = all.iter().map(|b| b.count).collect();
    equal("counts", &counts, &found)?;
    equal("order", true, all.windows(2).all(|w| w[0].upper <= w[1].lower))
}
