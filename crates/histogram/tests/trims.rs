//! Runs the trim cases of Prometheus' own test language (`../shared/conformance/prometheus-3.16/promqltest/native_histograms.test`).
//!
//! Only `NAME </ NUMBER` and `NAME >/ NUMBER` are read here; the whole language is the business of the PromQL crate.

use std::collections::HashMap;
use std::path::Path;

use mytsdb_histogram::{FloatHistogram, Span};

/// Reads `{{schema:0 buckets:[1 2] ..}}`.
fn histogram(literal: &str) -> FloatHistogram {
    let mut h = FloatHistogram::default();
    let (mut offset, mut n_offset) = (0, 0);
    let body = literal.trim().strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).expect("a literal");
    let mut rest = body.trim();
    while let Some((key, tail)) = rest.split_once(':') {
        let (value, tail) = match tail.strip_prefix('[') {
            Some(list) => list.split_once(']').expect("a closed list"),
            None => tail.split_once(' ').unwrap_or((tail, "")),
        };
        let floats = || -> Vec<f64> { value.split_whitespace().map(|f| f.parse().expect("a float")).collect() };
        match key {
            "schema" => h.schema = value.parse().expect("a schema"),
            "sum" => h.sum = floats()[0],
            "count" => h.count = floats()[0],
            "z_bucket" => h.zero_count = floats()[0],
            "z_bucket_w" => h.zero_threshold = floats()[0],
            "buckets" => h.positive_buckets = floats(),
            "n_buckets" => h.negative_buckets = floats(),
            "custom_values" => h.custom_values = floats(),
            "offset" => offset = value.parse().expect("an offset"),
            "n_offset" => n_offset = value.parse().expect("an offset"),
            other => panic!("unknown key {other}"),
        }
        rest = tail.trim_start();
    }
    let span = |offset, buckets: &[f64]| Span { offset, length: buckets.len() as u32 };
    h.positive_spans.push(span(offset, &h.positive_buckets));
    h.negative_spans.push(span(n_offset, &h.negative_buckets));
    // A side that is not written has no span; its emptiness decides how far the zero bucket reaches.
    h.compact(0);
    h
}

/// The tolerance of the test language: relative to the sum of both.
fn almost(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() / (a.abs() + b.abs()) < 1e-6
}

fn same(got: &FloatHistogram, expected: &FloatHistogram) -> bool {
    let counts = |a: &[f64], b: &[f64]| a.len() == b.len() && a.iter().zip(b).all(|(&a, &b)| almost(a, b));
    got.schema == expected.schema
        && got.zero_threshold == expected.zero_threshold
        && almost(got.zero_count, expected.zero_count)
        && almost(got.count, expected.count)
        && almost(got.sum, expected.sum)
        && got.positive_spans == expected.positive_spans
        && got.negative_spans == expected.negative_spans
        && counts(&got.positive_buckets, &expected.positive_buckets)
        && counts(&got.negative_buckets, &expected.negative_buckets)
        && got.custom_values == expected.custom_values
}

#[test]
fn trims_match_the_public_test_file() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/conformance/prometheus-3.16/promqltest/native_histograms.test");
    if !file.exists() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "conformance data is missing at {}", file.display());
        println!("no conformance data at {}: nothing checked", file.display());
        return;
    }
    #[expect(clippy::disallowed_methods, reason = "test data, not a store's file")]
    let text = std::fs::read_to_string(file).expect("the file is readable");
    let (_, section) = text.split_once("# Test native histogram with trim operators").expect("the section on trims");
    let mut loaded = HashMap::new();
    let mut question: Option<(String, bool, f64)> = None;
    let (mut checked, mut failures) = (0, Vec::new());
    for line in section.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["eval", "instant", "at", "1m", name, operator @ ("</" | ">/"), cutoff] => {
                question = cutoff.parse().ok().map(|cutoff| (name.to_owned(), operator == "</", cutoff));
            }
            // Series of more than one value belong to what stands behind the trims.
            [name, ..]
                if line.matches("{{").count() == 1
                    && line.trim_end().ends_with("}}")
                    && !name.contains("{l")
                    && !name.contains("{h") =>
            {
                let (name, literal) = line.split_once("{{").expect("just seen");
                let literal = histogram(&format!("{{{{{literal}"));
                let name = name.trim().trim_end_matches("{}");
                let Some((asked, upper, cutoff)) = question.take() else {
                    loaded.insert(name.to_owned(), literal);
                    continue;
                };
                assert_eq!(asked, name);
                let mut got: FloatHistogram = loaded[name].clone();
                if upper {
                    got.trim_upper(cutoff);
                } else {
                    got.trim_lower(cutoff);
                }
                got.compact(0);
                checked += 1;
                if !same(&got, &literal) {
                    failures.push(format!("{name} upper {upper} {cutoff}: {got}, expected {literal}"));
                }
            }
            _ => {}
        }
    }
    println!("trims: {} of {checked} cases", checked - failures.len());
    assert!(checked >= 70, "only {checked} cases found");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
