//! The parser's tables: syntax trees with byte positions, refusals, printed forms, series notation.

use crate::score::{Options, Score, files, read};
use mytsdb_histogram::{CounterResetHint, FloatHistogram};
use mytsdb_model::Labels;
use mytsdb_promql_syntax::{
    AtBound, BinaryOp, Cardinality, DurationExpr, DurationOp, Expr, PosRange, VectorMatching, VectorSelector, parse,
    prettify_to,
};
use mytsdb_promql_testkit::{SequenceItem, parse_series_description};
use serde_json::{Value, json};
use std::path::Path;

/// The prettifier's tables were made for lines of this length.
const PRETTY_LINE_CHARS: usize = 10;

/// Runs every table in `dir`.
pub fn run(dir: &Path, options: &Options) -> anyhow::Result<Score> {
    let mut score = Score::default();
    for (name, path) in files(dir, "json", options)? {
        let table: Value = serde_json::from_str(&escape_lone_surrogates(&read(&path)?))?;
        let mut file = Score::default();
        for case in table["cases"].as_array().into_iter().flatten() {
            let label = case["input"].as_str().or(case["in"].as_str()).unwrap_or("").to_owned();
            let outcome = match name.as_str() {
                "promql_parse_ok.json" => tree(case),
                "promql_parse_fail.json" => refusal(case),
                "promql_printer.json" => printed(case),
                "promql_prettier.json" => pretty(case),
                "promql_series_desc.json" | "promql_series_values.json" | "promql_series_histograms.json" => {
                    series(case)
                }
                _ => Err("unknown table".into()),
            };
            file.check(options, &label, &outcome);
        }
        score.file(&name, file);
    }
    Ok(score)
}

/// Bytes that are not UTF-8 stand in the tables as `\udcXX`, which JSON's grammar allows and strict readers refuse.
pub fn escape_lone_surrogates(text: &str) -> String {
    text.replace("\\udcff", "\\ufffd")
}

fn compare(path: &str, expected: &Value, actual: &Value) -> Result<(), String> {
    match (expected, actual) {
        (Value::Object(e), Value::Object(a)) => {
            for (key, value) in e {
                let found = a.get(key).unwrap_or(&Value::Null);
                compare(&format!("{path}.{key}"), value, found)?;
            }
            Ok(())
        }
        (Value::Array(e), Value::Array(a)) if e.len() == a.len() => {
            e.iter().zip(a).enumerate().try_for_each(|(i, (e, a))| compare(&format!("{path}[{i}]"), e, a))
        }
        (Value::Number(e), Value::Number(a)) if e.as_f64() == a.as_f64() => Ok(()),
        _ if expected == actual => Ok(()),
        // The tables leave out fields that are zero.
        (Value::Array(e), Value::Null) if e.is_empty() => Ok(()),
        _ => Err(format!("{path}: expected {expected}, got {actual}")),
    }
}

fn tree(case: &Value) -> Result<(), String> {
    let expr = parse(case["input"].as_str().unwrap_or("")).map_err(|e| e.to_string())?;
    compare("", &case["expected"], &expr_json(&expr))
}

fn refusal(case: &Value) -> Result<(), String> {
    let input = case["input"].as_str().unwrap_or("");
    let error = match parse(input) {
        Ok(expr) => return Err(format!("accepted as {expr}")),
        Err(error) => error,
    };
    let Some(first) = case["errors"].as_array().and_then(|e| e.first()) else {
        let expected = (
            case["PositionRange"][0].as_u64().map(|n| n as usize),
            case["PositionRange"][1].as_u64().map(|n| n as usize),
            case["Err"]["error"].as_str().unwrap_or(""),
        );
        let actual = (Some(error.pos().start), Some(error.pos().end), error.message());
        return if expected == actual { Ok(()) } else { Err(format!("expected {expected:?}, got {actual:?}")) };
    };
    let actual = json!({"pos": pos(error.pos()), "msg": error.message()});
    // The second form of the table keeps the names of the Go structures.
    let expected = if first.get("msg").is_some() {
        first.clone()
    } else {
        json!({"pos": first["PositionRange"], "msg": first["Err"]["error"]})
    };
    compare("", &expected, &actual)
}

fn printed(case: &Value) -> Result<(), String> {
    let expr = parse(case["in"].as_str().unwrap_or("")).map_err(|e| e.to_string())?;
    same(case["out"].as_str().unwrap_or(""), &expr.to_string())
}

fn pretty(case: &Value) -> Result<(), String> {
    let expr = parse(case["in"].as_str().unwrap_or("")).map_err(|e| e.to_string())?;
    same(case["out"].as_str().unwrap_or(""), &prettify_to(&expr, PRETTY_LINE_CHARS))
}

fn same(expected: &str, actual: &str) -> Result<(), String> {
    if expected == actual { Ok(()) } else { Err(format!("expected\n{expected}\ngot\n{actual}")) }
}

fn pos(pos: PosRange) -> Value {
    json!([pos.start, pos.end])
}

fn number(value: f64) -> Value {
    if value.is_finite() { json!(value) } else { json!(mytsdb_promql_syntax::format_fixed(value)) }
}

fn op_name(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Add => "ADD",
        BinaryOp::Sub => "SUB",
        BinaryOp::Mul => "MUL",
        BinaryOp::Div => "DIV",
        BinaryOp::Mod => "MOD",
        BinaryOp::Pow => "POW",
        BinaryOp::Atan2 => "ATAN2",
        BinaryOp::Eq => "EQLC",
        BinaryOp::NotEq => "NEQ",
        BinaryOp::Less => "LSS",
        BinaryOp::LessEq => "LTE",
        BinaryOp::Greater => "GTR",
        BinaryOp::GreaterEq => "GTE",
        BinaryOp::TrimUpper => "TRIM_UPPER",
        BinaryOp::TrimLower => "TRIM_LOWER",
        BinaryOp::And => "LAND",
        BinaryOp::Or => "LOR",
        BinaryOp::Unless => "LUNLESS",
    }
}

fn at_name(at: Option<AtBound>) -> Value {
    match at {
        Some(AtBound::Start) => json!("START"),
        Some(AtBound::End) => json!("END"),
        None => Value::Null,
    }
}

const NANOSECONDS: i64 = 1_000_000;

fn expr_json(expr: &Expr) -> Value {
    match expr {
        Expr::Aggregate(e) => json!({
            "_t": "AggregateExpr", "Op": e.op.as_str().to_uppercase(), "Expr": expr_json(&e.expr),
            "Param": e.param.as_ref().map(expr_json), "Grouping": e.grouping, "Without": e.without, "PosRange": pos(e.pos),
        }),
        Expr::Binary(e) => json!({
            "_t": "BinaryExpr", "Op": op_name(e.op), "LHS": expr_json(&e.lhs), "RHS": expr_json(&e.rhs),
            "ReturnBool": e.return_bool, "VectorMatching": e.matching.as_ref().map(matching_json),
        }),
        Expr::Call(e) => json!({
            "_t": "Call", "Func": {"_t": "Function", "name": e.function.name()},
            "Args": e.args.iter().map(expr_json).collect::<Vec<_>>(), "PosRange": pos(e.pos),
        }),
        Expr::Matrix(e) => json!({
            "_t": "MatrixSelector", "VectorSelector": selector_json(&e.selector), "Range": e.range_ms * NANOSECONDS,
            "RangeExpr": e.range_expr.as_ref().map(duration_json), "EndPos": e.end,
        }),
        Expr::Subquery(e) => json!({
            "_t": "SubqueryExpr", "Expr": expr_json(&e.expr), "Range": e.range_ms * NANOSECONDS,
            "Step": e.step_ms * NANOSECONDS, "OriginalOffset": e.offset_ms * NANOSECONDS, "Timestamp": e.timestamp_ms,
            "StartOrEnd": at_name(e.at), "EndPos": e.end, "RangeExpr": e.range_expr.as_ref().map(duration_json),
            "StepExpr": e.step_expr.as_ref().map(duration_json),
        }),
        Expr::Number(e) => json!({
            "_t": "NumberLiteral", "Val": number(e.value), "Duration": e.duration, "PosRange": pos(e.pos),
        }),
        Expr::String(e) => json!({"_t": "StringLiteral", "Val": e.text(), "PosRange": pos(e.pos)}),
        Expr::Paren(e) => json!({"_t": "ParenExpr", "Expr": expr_json(&e.expr), "PosRange": pos(e.pos)}),
        Expr::Unary(e) => json!({
            "_t": "UnaryExpr", "Op": if e.negative { "SUB" } else { "ADD" }, "Expr": expr_json(&e.expr),
            "StartPos": e.start,
        }),
        Expr::Vector(e) => selector_json(e),
    }
}

fn selector_json(e: &VectorSelector) -> Value {
    let matchers: Vec<Value> =
        e.matchers.iter().map(|m| json!({"matcher": [m.name(), m.op().as_str(), m.value()]})).collect();
    json!({
        "_t": "VectorSelector", "Name": e.name, "LabelMatchers": matchers, "PosRange": pos(e.pos),
        "OriginalOffset": e.offset_ms * NANOSECONDS, "OriginalOffsetExpr": e.offset_expr.as_ref().map(duration_json),
        "Timestamp": e.timestamp_ms, "StartOrEnd": at_name(e.at), "BypassEmptyMatcherCheck": e.label_selector_only,
    })
}

fn matching_json(m: &VectorMatching) -> Value {
    let card = match m.cardinality {
        Cardinality::OneToOne => "CardOneToOne",
        Cardinality::ManyToOne => "CardManyToOne",
        Cardinality::OneToMany => "CardOneToMany",
        Cardinality::ManyToMany => "CardManyToMany",
    };
    json!({"_t": "VectorMatching", "Card": card, "MatchingLabels": m.labels, "On": m.on, "Include": m.include})
}

fn duration_json(e: &DurationExpr) -> Value {
    match e {
        DurationExpr::Number(n) => expr_json(&Expr::Number(*n)),
        DurationExpr::Operation(o) => {
            let op = match o.op {
                DurationOp::Add => "ADD",
                DurationOp::Sub => "SUB",
                DurationOp::Mul => "MUL",
                DurationOp::Div => "DIV",
                DurationOp::Mod => "MOD",
                DurationOp::Pow => "POW",
                DurationOp::Step => "STEP",
                DurationOp::Range => "RANGE",
                DurationOp::MinOf => "MIN_OF",
                DurationOp::MaxOf => "MAX_OF",
            };
            json!({
                "_t": "DurationExpr", "Op": op, "LHS": o.lhs.as_ref().map(duration_json),
                "RHS": o.rhs.as_ref().map(duration_json), "Wrapped": o.wrapped, "StartPos": o.pos.start,
                "EndPos": o.pos.end,
            })
        }
    }
}

fn series(case: &Value) -> Result<(), String> {
    let refused = case["fail"] == json!(true) || case["expectError"].is_string() || case["expectedError"].is_string();
    let description = match parse_series_description(case["input"].as_str().unwrap_or("")) {
        Ok(_) if refused => return Err("accepted".into()),
        Ok(description) => description,
        Err(error) if refused => {
            let text = error.to_string();
            let expected = case["expectError"].as_str().or(case["expectedError"].as_str());
            // Token numbers of Go's parser generator have no meaning here.
            let portable = expected.filter(|e| !e.contains("<Item"));
            return match portable {
                Some(expected) if !text.ends_with(expected) => Err(format!("expected {expected:?}, got {text:?}")),
                _ => Ok(()),
            };
        }
        Err(error) => return Err(error.to_string()),
    };
    for key in ["expectedLabels", "expectedMetric"] {
        if let Some(expected) = case[key].as_object() {
            let pairs = expected.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap_or("")));
            let expected = Labels::from_pairs(pairs);
            if description.labels != expected {
                return Err(format!("labels: expected {expected}, got {}", description.labels));
            }
        }
    }
    let Some(expected) = case["expectedValues"].as_array().or(case["expected"].as_array()) else { return Ok(()) };
    let actual: Vec<Value> = description.values.iter().map(item_json).collect();
    if expected.len() != actual.len() {
        return Err(format!("expected {} values, got {}", expected.len(), actual.len()));
    }
    for (i, (e, a)) in expected.iter().zip(&actual).enumerate() {
        let e = if e.get("Omitted") == Some(&json!(false)) { &e["Value"] } else { e };
        compare(&format!("[{i}]"), e, a)?;
    }
    Ok(())
}

fn item_json(item: &SequenceItem) -> Value {
    match item {
        SequenceItem::Gap => json!("none"),
        SequenceItem::Float(value) => number(*value),
        SequenceItem::Histogram(h) => histogram_json(&h.histogram),
    }
}

fn histogram_json(h: &FloatHistogram) -> Value {
    let spans = |spans: &[mytsdb_histogram::Span]| -> Vec<Value> {
        spans.iter().map(|s| json!({"Offset": s.offset, "Length": s.length})).collect()
    };
    let hint = match h.counter_reset_hint {
        CounterResetHint::Unknown => "UnknownCounterReset",
        CounterResetHint::CounterReset => "CounterReset",
        CounterResetHint::NotCounterReset => "NotCounterReset",
        CounterResetHint::Gauge => "GaugeType",
    };
    json!({
        "Schema": h.schema, "Sum": number(h.sum), "Count": number(h.count), "ZeroCount": number(h.zero_count),
        "ZeroThreshold": h.zero_threshold, "PositiveBuckets": h.positive_buckets, "NegativeBuckets": h.negative_buckets,
        "PositiveSpans": spans(&h.positive_spans), "NegativeSpans": spans(&h.negative_spans),
        "CustomValues": h.custom_values, "CounterResetHint": hint,
    })
}
