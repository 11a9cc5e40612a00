//! Whether two answers of the HTTP API say the same.

use serde_json::Value;
use std::collections::BTreeSet;

/// Relative difference of values that is no difference: sums may be made in another order.
const TOLERANCE: f64 = 1e-9;

/// A difference: its kind, and both sides of it.
#[derive(Debug, Clone)]
pub struct Difference {
    pub kind: &'static str,
    pub text: String,
}

fn differ(kind: &'static str, theirs: impl std::fmt::Display, ours: impl std::fmt::Display) -> Difference {
    Difference { kind, text: format!("\n    theirs: {theirs}\n    ours:   {ours}") }
}

/// Which properties of an answer must agree beside the values.
#[derive(Debug, Clone, Copy)]
pub struct Promised {
    /// The order of an instant vector's samples.
    pub order: bool,
    /// The signs of zeros.
    pub zero_signs: bool,
}

/// The first difference.
pub fn compare(theirs: &Value, ours: &Value, promised: Promised) -> Option<Difference> {
    if theirs.is_null() {
        return None;
    }
    if theirs["status"] != ours["status"] {
        let kind =
            if theirs["errorType"] == "bad_data" || ours["errorType"] == "bad_data" { "accept" } else { "failure" };
        return Some(differ(kind, short(theirs), short(ours)));
    }
    if theirs["status"] == "error" {
        if theirs["errorType"] != ours["errorType"] || theirs["error"] != ours["error"] {
            return Some(differ("error text", short(theirs), short(ours)));
        }
        return None;
    }
    let (a, b) = (&theirs["data"], &ours["data"]);
    if a["resultType"].is_null() {
        return (a != b).then(|| differ("text", a, b));
    }
    if a["resultType"] != b["resultType"] {
        return Some(differ("type", short(theirs), short(ours)));
    }
    let found = match a["resultType"].as_str() {
        Some("vector" | "matrix") => series(&a["result"], &b["result"], promised),
        _ => sample(&a["result"], &b["result"], promised),
    };
    found.or_else(|| remarks(theirs, ours, "warnings")).or_else(|| remarks(theirs, ours, "infos"))
}

fn short(answer: &Value) -> String {
    let mut text = if answer["status"] == "error" { answer["error"].to_string() } else { answer["data"].to_string() };
    if text.len() > 600 {
        let end = (0..=600).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0);
        text.truncate(end);
    }
    text
}

/// Whether a series has a float and a histogram at the same time.
pub fn of_both_kinds(answer: &Value) -> bool {
    answer["data"]["result"].as_array().into_iter().flatten().any(|series| {
        let times = |key: &str| {
            let points = series[key].as_array().into_iter().flatten();
            points.map(|point| point[0].to_string()).collect::<BTreeSet<_>>()
        };
        !times("values").is_disjoint(&times("histograms"))
    })
}

fn series(theirs: &Value, ours: &Value, promised: Promised) -> Option<Difference> {
    let ordered = promised.order;
    let list = |value: &Value| {
        let mut list: Vec<Value> = value.as_array().cloned().unwrap_or_default();
        if !ordered {
            list.sort_by_key(|s| s["metric"].to_string());
        }
        list
    };
    let (theirs, ours) = (list(theirs), list(ours));
    let labels = |list: &[Value]| list.iter().map(|s| s["metric"].clone()).collect::<Vec<_>>();
    if labels(&theirs) != labels(&ours) {
        let (mut a, mut b) = (labels(&theirs), labels(&ours));
        let show = |list: Vec<Value>| {
            let text = Value::Array(list).to_string();
            text.chars().take(900).collect::<String>()
        };
        if ordered {
            let sorted = |list: &[Value]| list.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
            if sorted(&a) == sorted(&b) {
                return Some(differ("order", show(theirs), show(ours)));
            }
        }
        let both: Vec<Value> = a.iter().filter(|l| b.contains(l)).cloned().collect();
        a.retain(|l| !both.contains(l));
        b.retain(|l| !both.contains(l));
        return Some(differ("labels", show(a), show(b)));
    }
    for (a, b) in theirs.iter().zip(&ours) {
        for key in ["value", "histogram"] {
            if a[key].is_null() != b[key].is_null() {
                return Some(differ("sample kind", a, b));
            }
            if !a[key].is_null()
                && let Some(mut found) = sample(&a[key], &b[key], promised)
            {
                found.text = format!(" {}{}", a["metric"], found.text);
                return Some(found);
            }
        }
        for key in ["values", "histograms"] {
            let none = Vec::new();
            let (x, y) = (a[key].as_array().unwrap_or(&none), b[key].as_array().unwrap_or(&none));
            let times = |list: &[Value]| list.iter().map(|p| p[0].clone()).collect::<Vec<_>>();
            if times(x) != times(y) {
                let (p, q) = (times(x), times(y));
                let only = |p: &[Value], q: &[Value]| {
                    p.iter().filter(|t| !q.contains(t)).take(8).map(ToString::to_string).collect::<Vec<_>>().join(" ")
                };
                let text =
                    format!("{} {key}: only theirs {:?}, only ours {:?}", a["metric"], only(&p, &q), only(&q, &p));
                return Some(Difference { kind: "times", text });
            }
            for (p, q) in x.iter().zip(y) {
                if let Some(mut found) = sample(p, q, promised) {
                    found.text = format!(" {} at {}{}", a["metric"], p[0], found.text);
                    return Some(found);
                }
            }
        }
    }
    None
}

/// Two `[time, value]`.
fn sample(theirs: &Value, ours: &Value, promised: Promised) -> Option<Difference> {
    if theirs[0] != ours[0] {
        return Some(differ("time", theirs, ours));
    }
    let (a, b) = (&theirs[1], &ours[1]);
    if a.is_object() || b.is_object() {
        return histogram(a, b).then(|| differ("histogram", a, b));
    }
    let same = match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => a == b || near(a, b) || (!promised.zero_signs && is_zero(a) && is_zero(b)),
        _ => a == b,
    };
    (!same).then(|| differ("value", a, b))
}

fn histogram(a: &Value, b: &Value) -> bool {
    let field = |key: &str| match (a[key].as_str(), b[key].as_str()) {
        (Some(a), Some(b)) => a != b && !near(a, b),
        _ => true,
    };
    let none = Vec::new();
    let (x, y) = (a["buckets"].as_array().unwrap_or(&none), b["buckets"].as_array().unwrap_or(&none));
    field("count")
        || field("sum")
        || x.len() != y.len()
        || x.iter().zip(y).any(|(p, q)| {
            let count = |b: &Value| b[3].as_str().unwrap_or_default().to_owned();
            (0..3).any(|i| p[i] != q[i]) || (count(p) != count(q) && !near(&count(p), &count(q)))
        })
}

fn is_zero(text: &str) -> bool {
    text == "0" || text == "-0"
}

/// Texts of numbers that are close, but not the same number written in two ways.
fn near(a: &str, b: &str) -> bool {
    let (Ok(x), Ok(y)) = (a.parse::<f64>(), b.parse::<f64>()) else { return false };
    x != y && (x - y).abs() <= TOLERANCE * x.abs().min(y.abs())
}

/// Only Prometheus says by how much buckets were not monotonic, and when.
fn without_details(remark: &str) -> String {
    match (remark.find(", from buckets "), remark.rfind(" (")) {
        (Some(details), Some(position)) => [&remark[..details], &remark[position..]].concat(),
        _ => remark.to_owned(),
    }
}

/// Warnings or infos. Both sides may show any ten of more than ten, and in any order.
fn remarks(theirs: &Value, ours: &Value, key: &'static str) -> Option<Difference> {
    let list = |answer: &Value| {
        let all = answer[key].as_array().into_iter().flatten();
        all.filter_map(|v| v.as_str().map(without_details)).collect::<Vec<_>>()
    };
    let (a, b) = (list(theirs), list(ours));
    let set = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
    let same = if a.len() > 10 { a.len() == b.len() && a.last() == b.last() } else { set(&a) == set(&b) };
    (!same).then(|| differ(key, format!("{a:?}"), format!("{b:?}")))
}
