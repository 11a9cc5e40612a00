//! Answers of the query benchmark: read from JSON and compared with Prometheus'.

use crate::questions::{Ask, Question};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Labels (as text) to points.
type Answer = BTreeMap<String, Vec<(f64, f64)>>;

/// Says how `ours` differs from `theirs` by more than `tolerance`, a relative bound for values.
pub(crate) fn compare(question: &Question, ours: &[u8], theirs: &[u8], tolerance: f64) -> Result<()> {
    match question.ask {
        Ask::Labels { .. } => compare_sets(&read_set(ours)?, &read_set(theirs)?),
        Ask::Values { .. } => compare_values(question, ours, theirs, tolerance),
    }
}

/// What a successful answer holds.
pub(crate) fn data(body: &[u8]) -> Result<Value> {
    let mut answer: Value = serde_json::from_slice(body)?;
    ensure!(answer["status"] == "success", "{answer}");
    Ok(answer["data"].take())
}

/// Names, values or label sets, each as JSON text with the keys of objects sorted.
fn read_set(body: &[u8]) -> Result<BTreeSet<String>> {
    Ok(data(body)?.as_array().context("a list")?.iter().map(Value::to_string).collect())
}

fn compare_sets(ours: &BTreeSet<String>, theirs: &BTreeSet<String>) -> Result<()> {
    ensure!(!theirs.is_empty(), "nothing to compare with");
    if let Some(missing) = theirs.difference(ours).next() {
        anyhow::bail!("{missing} is missing");
    }
    if let Some(more) = ours.difference(theirs).next() {
        anyhow::bail!("{more} is too much");
    }
    Ok(())
}

fn read(body: &[u8]) -> Result<Answer> {
    let result = data(body)?["result"].take();
    let mut series = Answer::new();
    for item in result.as_array().context("a list of series")? {
        let points = match (&item["values"], &item["value"]) {
            (Value::Array(points), _) => points.iter().map(point).collect::<Result<Vec<_>>>()?,
            (_, value) => vec![point(value)?],
        };
        series.insert(item["metric"].to_string(), points);
    }
    Ok(series)
}

/// A time in seconds and a value.
pub(crate) fn point(pair: &Value) -> Result<(f64, f64)> {
    Ok((pair[0].as_f64().context("a time")?, number(&pair[1])?))
}

/// A number as answers have it, in a string.
pub(crate) fn number(value: &Value) -> Result<f64> {
    Ok(match value.as_str().context("a value")? {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        other => other.parse()?,
    })
}

/// The values of each time, sorted, without the series they belong to: of equal values any may be among the ten best.
fn by_time(answer: &Answer) -> Answer {
    let mut times: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for &(time, value) in answer.values().flatten() {
        times.entry((time * 1e3) as u64).or_default().push(value);
    }
    let rows = times.into_iter().map(|(time, mut values)| {
        values.sort_unstable_by(f64::total_cmp);
        (time.to_string(), values.into_iter().map(|value| (0.0, value)).collect())
    });
    rows.collect()
}

fn compare_values(question: &Question, ours: &[u8], theirs: &[u8], tolerance: f64) -> Result<()> {
    let (mut ours, mut theirs) = (read(ours)?, read(theirs)?);
    if question.ties {
        (ours, theirs) = (by_time(&ours), by_time(&theirs));
    }
    ensure!(!theirs.is_empty(), "nothing to compare with");
    ensure!(ours.len() == theirs.len(), "{} series, not {}", ours.len(), theirs.len());
    for (labels, expected) in &theirs {
        let found = ours.get(labels).with_context(|| format!("{labels} is missing"))?;
        ensure!(found.len() == expected.len(), "{labels}: {} points, not {}", found.len(), expected.len());
        for (&(t, v), &(time, value)) in found.iter().zip(expected) {
            let close = v == value
                || (v.is_nan() && value.is_nan())
                || (v - value).abs() <= tolerance * v.abs().max(value.abs());
            ensure!(t == time && close, "{labels}: {v} at {t}, not {value} at {time}");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions::QUESTIONS;

    #[track_caller]
    fn check(name: &str, ours: &str, theirs: &str, expected: Option<&str>) {
        let question = QUESTIONS.iter().find(|q| q.name == name).unwrap();
        let envelope = |data: &str| format!("{{\"status\":\"success\",\"data\":{data}}}");
        let result = compare(question, envelope(ours).as_bytes(), envelope(theirs).as_bytes(), 1e-9);
        assert_eq!(result.err().map(|e| e.to_string()).as_deref(), expected);
    }

    #[test]
    fn lookups_are_compared_as_sets() {
        check("label values", r#"["b","a"]"#, r#"["a","b"]"#, None);
        check("label values", r#"["a"]"#, r#"["a","b"]"#, Some("\"b\" is missing"));
        check("label values", r#"["a","b"]"#, r#"["a"]"#, Some("\"b\" is too much"));
        check("label values", "[]", "[]", Some("nothing to compare with"));
        check("series of a job", r#"[{"a":"1","b":"2"},{"c":"3"}]"#, r#"[{"c":"3"},{"b":"2","a":"1"}]"#, None);
    }

    #[test]
    fn values_may_differ_by_the_tolerance_and_ties_by_their_series() {
        let one = |name: &str, value: &str| {
            format!(r#"{{"result":[{{"metric":{{"a":"{name}"}},"values":[[1,"{value}"]]}}]}}"#)
        };
        check("sum by rate", &one("x", "1"), &one("x", "1.0000000001"), None);
        check("sum by rate", &one("x", "1"), &one("x", "2"), Some(r#"{"a":"x"}: 1 at 1, not 2 at 1"#));
        check("sum by rate", &one("x", "1"), &one("y", "1"), Some(r#"{"a":"y"} is missing"#));
        check("topk", &one("x", "1"), &one("y", "1"), None);
    }
}
