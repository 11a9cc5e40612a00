//! Compares answers of a server with the model's.

use super::metrics::{METRICS, Shape};
use super::model::{Component, Labels, Model, Vector};
use super::questions::{Outer, Question};
use crate::answers::{data, number};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::BTreeMap;

/// Relative difference that rounding may make: sums are added in another order.
const TOLERANCE: f64 = 1e-9;

/// Rows of an answer by their labels: values by the second.
type Answer = BTreeMap<Labels, BTreeMap<i64, Cell>>;

/// A value, or what is compared of a native histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell {
    Number(f64),
    Histogram { count: f64, sum: f64 },
}

impl Cell {
    fn component(self, component: Component) -> f64 {
        match (self, component) {
            (Self::Number(value), _) => value,
            (Self::Histogram { count, .. }, Component::Count) => count,
            (Self::Histogram { sum, .. }, Component::Sum) => sum,
        }
    }
}

/// What an answer was worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) rows: usize,
    pub(crate) points: usize,
}

/// Rows and points of an answer, which must be a success.
pub(crate) fn seen(body: &[u8]) -> Result<Seen> {
    let answer = read(body)?;
    Ok(Seen { rows: answer.len(), points: answer.values().map(BTreeMap::len).sum() })
}

/// Says where an answer differs from the model's.
pub(crate) fn compare(
    model: &mut Model<'_>,
    question: &Question,
    oldest_s: i64,
    newest_s: i64,
    body: &[u8],
) -> Result<()> {
    let answer = read(body)?;
    let (first_s, last_s, step_s) = question.steps(oldest_s, newest_s);
    let shape = METRICS.iter().find(|m| m.name == question.expression.metric).map(|m| m.shape);
    let components: &[Component] =
        if shape == Some(Shape::Native) { &[Component::Count, Component::Sum] } else { &[Component::Count] };
    for &component in components {
        let mut points = 0;
        for at_s in (first_s..=last_s).step_by(step_s as usize) {
            let expected = model.answer(question, at_s, component);
            let cell = |row: &BTreeMap<i64, Cell>| row.get(&at_s).map(|cell| cell.component(component));
            let found: Vector = answer.iter().filter_map(|(labels, row)| Some((labels.clone(), cell(row)?))).collect();
            points += found.len();
            compare_vectors(question, &found, &expected).with_context(|| format!("at {at_s}"))?;
        }
        let all: usize = answer.values().map(BTreeMap::len).sum();
        ensure!(all == points, "{all} points, of which {points} are at a step");
    }
    Ok(())
}

fn compare_vectors(question: &Question, found: &Vector, expected: &Vector) -> Result<()> {
    let best = match question.expression.outer {
        Outer::Top(k) => Some((k, -1.0)),
        Outer::Bottom(k) => Some((k, 1.0)),
        _ => None,
    };
    if let Some((k, sign)) = best {
        let mut values: Vec<f64> = expected.values().map(|value| value * sign).collect();
        values.sort_unstable_by(f64::total_cmp);
        ensure!(found.len() == k.min(values.len()), "{} rows, not {}", found.len(), k.min(values.len()));
        let worst = values.get(k - 1).copied().unwrap_or(f64::INFINITY);
        for (labels, &value) in found {
            let &own = expected.get(labels).with_context(|| format!("{labels:?} has no such row"))?;
            ensure!(close(value, own), "{labels:?}: {value}, not {own}");
            ensure!(value * sign <= worst || close(value * sign, worst), "{labels:?}: {value} is not among the best");
        }
        return Ok(());
    }
    for (labels, &value) in expected {
        let &found = found.get(labels).with_context(|| format!("{labels:?} is missing; it is {value}"))?;
        ensure!(close(found, value), "{labels:?}: {found}, not {value}");
    }
    if let Some((labels, value)) = found.iter().find(|(labels, _)| !expected.contains_key(*labels)) {
        bail!("{labels:?}: {value}, of which nothing is known");
    }
    Ok(())
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}

fn read(body: &[u8]) -> Result<Answer> {
    let result = data(body)?["result"].take();
    let mut answer = Answer::new();
    for item in result.as_array().context("a list of series")? {
        let labels: Labels = serde_json::from_value(item["metric"].clone())?;
        let mut row = BTreeMap::new();
        let lists = ["values", "histograms"].iter().filter_map(|key| item[*key].as_array()).flatten();
        let single = ["value", "histogram"].iter().map(|key| &item[*key]).filter(|pair| pair.is_array());
        for pair in lists.chain(single) {
            let time_s = pair[0].as_f64().context("a time")?;
            ensure!(time_s.fract() == 0.0, "a value at {time_s}, at which nothing was asked for");
            row.insert(time_s as i64, cell(&pair[1])?);
        }
        ensure!(answer.insert(labels, row).is_none(), "two rows with the labels {}", item["metric"]);
    }
    Ok(answer)
}

fn cell(value: &Value) -> Result<Cell> {
    if value.is_string() {
        return Ok(Cell::Number(number(value)?));
    }
    Ok(Cell::Histogram { count: number(&value["count"])?, sum: number(&value["sum"])? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::cluster::{Cluster, Plan, Preset};
    use crate::k8s::questions::QUESTIONS;
    use serde_json::json;

    const START_MS: i64 = 1_790_000_000_000;
    const END_S: i64 = START_MS / 1_000 + 1_800;

    /// The model's own answer to an instant query, written as a server would; each value goes through `change`.
    fn body(model: &mut Model<'_>, question: &Question, change: impl Fn(f64) -> f64) -> Vec<u8> {
        let rows = model.answer(question, END_S, Component::Count).into_iter();
        let rows = rows.map(|(labels, v)| json!({"metric": labels, "value": [END_S, change(v).to_string()]}));
        let result: Vec<Value> = rows.collect();
        json!({"status": "success", "data": {"result": result}}).to_string().into_bytes()
    }

    #[test]
    fn an_answer_passes_and_one_that_is_off_does_not() {
        let plan = Plan { size: Preset::Quick.size(), seed: 7, start_ms: START_MS, interval_ms: 15_000, churn: 0.0 };
        let cluster = Cluster::new(&plan);
        let mut model = Model::new(&cluster, END_S * 1_000);
        for number in [0, 1, 2, 10, 18, 24, 30, 44] {
            let question = &QUESTIONS[number];
            let mut judge = |change: fn(f64) -> f64| {
                let body = body(&mut model, question, change);
                compare(&mut model, question, START_MS / 1_000, END_S, &body)
            };
            judge(|v| v).unwrap();
            judge(|v| v * (1.0 + 1e-12)).unwrap();
            let error = judge(|v| v * 1.001 + 1e-3).unwrap_err();
            assert!(format!("{error:#}").contains(", not "), "{error:#}");
        }
        let missing = br#"{"status":"success","data":{"result":[]}}"#;
        let error = compare(&mut model, &QUESTIONS[0], START_MS / 1_000, END_S, missing).unwrap_err();
        assert!(format!("{error:#}").contains("is missing"), "{error:#}");
    }
}
