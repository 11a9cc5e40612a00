//! Syntax trees as the JSON that tree views of the Prometheus UI read; keys ascending, as Go's maps marshal.

use crate::json::Chunks;
use mytsdb_model::Matcher;
use mytsdb_promql_syntax::{
    AtBound, BinaryExpr, Call, Cardinality, DurationExpr, Expr, MatrixSelector, SubqueryExpr, VectorMatching,
    VectorSelector, format_fixed,
};

/// One node and all below. Recursion is bounded by the parser's `DEPTH_MAX`; chains of operators are none.
pub(crate) fn write_expr(out: &mut Chunks, expr: &Expr) {
    match expr {
        Expr::Aggregate(e) => {
            out.raw("{\"expr\":");
            write_expr(out, &e.expr);
            out.raw(",\"grouping\":");
            out.strings(&e.grouping);
            out.raw(",\"op\":");
            out.string(e.op.as_str());
            out.raw(",\"param\":");
            match &e.param {
                Some(param) => write_expr(out, param),
                None => out.raw("null"),
            }
            out.raw(",\"type\":\"aggregation\",\"without\":");
            write_bool(out, e.without);
            out.raw("}");
        }
        Expr::Binary(e) => write_binary(out, e),
        Expr::Call(e) => write_call(out, e),
        Expr::Matrix(e) => write_selector(out, &e.selector, Some(e)),
        Expr::Subquery(e) => write_subquery(out, e),
        Expr::Number(e) => {
            out.raw("{\"type\":\"numberLiteral\",\"val\":");
            out.string(&format_fixed(e.value));
            out.raw("}");
        }
        Expr::String(e) => {
            out.raw("{\"type\":\"stringLiteral\",\"val\":");
            out.string(&e.text());
            out.raw("}");
        }
        Expr::Paren(e) => {
            out.raw("{\"expr\":");
            write_expr(out, &e.expr);
            out.raw(",\"type\":\"parenExpr\"}");
        }
        Expr::Unary(e) => {
            out.raw("{\"expr\":");
            write_expr(out, &e.expr);
            out.raw(",\"op\":");
            out.string(if e.negative { "-" } else { "+" });
            out.raw(",\"type\":\"unaryExpr\"}");
        }
        Expr::Vector(e) => write_selector(out, e, None),
    }
}

/// A chain of operators, from the outermost one: each has the one before it as its left operand.
fn write_binary(out: &mut Chunks, e: &BinaryExpr) {
    let (leftmost, operators) = e.chain();
    for operator in operators.iter().rev() {
        out.raw("{\"bool\":");
        write_bool(out, operator.return_bool);
        out.raw(",\"lhs\":");
    }
    write_expr(out, leftmost);
    for operator in operators {
        out.raw(",\"matching\":");
        match &operator.matching {
            Some(matching) => write_matching(out, matching),
            None => out.raw("null"),
        }
        out.raw(",\"op\":");
        out.string(operator.op.as_str());
        out.raw(",\"rhs\":");
        write_expr(out, &operator.rhs);
        out.raw(",\"type\":\"binaryExpr\"}");
    }
}

fn write_matching(out: &mut Chunks, matching: &VectorMatching) {
    let card = match matching.cardinality {
        Cardinality::OneToOne => "one-to-one",
        Cardinality::ManyToOne => "many-to-one",
        Cardinality::OneToMany => "one-to-many",
        Cardinality::ManyToMany => "many-to-many",
    };
    out.raw("{\"card\":");
    out.string(card);
    out.raw(",\"fillValues\":{\"lhs\":");
    write_fill(out, matching.fill_left);
    out.raw(",\"rhs\":");
    write_fill(out, matching.fill_right);
    out.raw("},\"include\":");
    out.strings(&matching.include);
    out.raw(",\"labels\":");
    out.strings(&matching.labels);
    out.raw(",\"on\":");
    write_bool(out, matching.on);
    out.raw("}");
}

fn write_call(out: &mut Chunks, e: &Call) {
    let row = e.function.row();
    out.raw("{\"args\":");
    out.list(&e.args, write_expr);
    out.raw(",\"func\":{\"argTypes\":");
    out.strings(row.args.iter().map(|t| t.as_str()));
    out.raw(",\"name\":");
    out.string(row.name);
    out.raw(",\"returnType\":");
    out.string(row.returns.as_str());
    out.raw(",\"variadic\":");
    write_integer(out, i64::from(row.variadic));
    out.raw("},\"type\":\"call\"}");
}

/// JSON knows no infinite numbers, so those are null.
fn write_fill(out: &mut Chunks, value: Option<f64>) {
    match value.filter(|value| value.is_finite()) {
        Some(value) => out.float(value),
        None => out.raw("null"),
    }
}

/// `matrix`: the range selector that it belongs to.
fn write_selector(out: &mut Chunks, e: &VectorSelector, matrix: Option<&MatrixSelector>) {
    out.raw("{\"anchored\":");
    write_bool(out, e.anchored);
    out.raw(",\"matchers\":");
    out.list(&e.matchers, write_matcher);
    out.raw(",\"name\":");
    out.string(&e.name);
    out.raw(",\"offset\":");
    write_integer(out, e.offset_ms);
    out.raw(",\"offsetExpr\":");
    write_duration(out, e.offset_expr.as_ref());
    if let Some(matrix) = matrix {
        out.raw(",\"range\":");
        write_integer(out, matrix.range_ms);
        out.raw(",\"rangeExpr\":");
        write_duration(out, matrix.range_expr.as_ref());
    }
    out.raw(",\"smoothed\":");
    write_bool(out, e.smoothed);
    write_at_bound(out, e.at);
    write_at_time(out, e.timestamp_ms);
    out.raw(if matrix.is_some() { ",\"type\":\"matrixSelector\"}" } else { ",\"type\":\"vectorSelector\"}" });
}

fn write_duration(out: &mut Chunks, e: Option<&DurationExpr>) {
    match e {
        None => out.raw("null"),
        Some(DurationExpr::Number(e)) => {
            out.raw("{\"duration\":");
            write_bool(out, e.duration);
            out.raw(",\"type\":\"numberLiteral\",\"val\":");
            out.string(&format_fixed(e.value));
            out.raw("}");
        }
        Some(DurationExpr::Operation(e)) => {
            out.raw("{\"lhs\":");
            write_duration(out, e.lhs.as_ref());
            out.raw(",\"op\":");
            out.string(e.op.as_str());
            out.raw(",\"rhs\":");
            write_duration(out, e.rhs.as_ref());
            out.raw(",\"type\":\"durationExpr\",\"wrapped\":");
            write_bool(out, e.wrapped);
            out.raw("}");
        }
    }
}

fn write_matcher(out: &mut Chunks, matcher: &Matcher) {
    out.raw("{\"name\":");
    out.string(matcher.name());
    out.raw(",\"type\":");
    out.string(matcher.op().as_str());
    out.raw(",\"value\":");
    out.string(matcher.value());
    out.raw("}");
}

fn write_subquery(out: &mut Chunks, e: &SubqueryExpr) {
    out.raw("{\"expr\":");
    write_expr(out, &e.expr);
    out.raw(",\"offset\":");
    write_integer(out, e.offset_ms);
    out.raw(",\"offsetExpr\":");
    write_duration(out, e.offset_expr.as_ref());
    out.raw(",\"range\":");
    write_integer(out, e.range_ms);
    out.raw(",\"rangeExpr\":");
    write_duration(out, e.range_expr.as_ref());
    write_at_bound(out, e.at);
    out.raw(",\"step\":");
    write_integer(out, e.step_ms);
    out.raw(",\"stepExpr\":");
    write_duration(out, e.step_expr.as_ref());
    write_at_time(out, e.timestamp_ms);
    out.raw(",\"type\":\"subquery\"}");
}

fn write_at_bound(out: &mut Chunks, at: Option<AtBound>) {
    out.raw(",\"startOrEnd\":");
    out.raw(match at {
        Some(AtBound::Start) => "\"start\"",
        Some(AtBound::End) => "\"end\"",
        None => "null",
    });
}

fn write_at_time(out: &mut Chunks, timestamp_ms: Option<i64>) {
    out.raw(",\"timestamp\":");
    match timestamp_ms {
        Some(timestamp_ms) => write_integer(out, timestamp_ms),
        None => out.raw("null"),
    }
}

fn write_integer(out: &mut Chunks, n: i64) {
    if n < 0 {
        out.raw("-");
    }
    out.integer(n.unsigned_abs());
}

fn write_bool(out: &mut Chunks, value: bool) {
    out.raw(if value { "true" } else { "false" });
}
