//! Syntax trees back to text.

use crate::ast::{
    AggregateExpr, AtBound, BinaryExpr, Call, Cardinality, DurationExpr, DurationOp, Expr, MatrixSelector,
    NumberLiteral, SubqueryExpr, VectorMatching, VectorSelector,
};
use crate::lexer::{is_alpha, is_alphanumeric};
use crate::literal::format_duration_ms;
use crate::number_text::{format_fixed, format_general};
use crate::token::quote;
use mytsdb_model::{LABEL_NAME, Matcher};
use std::cmp::Ordering;
use std::fmt;

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Aggregate(e) => {
                write!(f, "{}", e.head())?;
                f.write_str("(")?;
                if let Some(param) = &e.param {
                    write!(f, "{param}, ")?;
                }
                write!(f, "{})", e.expr)
            }
            Expr::Binary(e) => {
                let (leftmost, operators) = e.chain();
                write!(f, "{leftmost}")?;
                operators.into_iter().try_for_each(|e| write!(f, " {} {}", e.operator(), e.rhs))
            }
            Expr::Call(e) => call(f, e),
            Expr::Matrix(e) => f.write_str(&matrix(e)),
            Expr::Subquery(e) => write!(f, "{}{}", e.expr, e.window()),
            Expr::Number(e) => f.write_str(&number(e)),
            Expr::String(e) => f.write_str(&quote(&e.value)),
            Expr::Paren(e) => write!(f, "({})", e.expr),
            Expr::Unary(e) => write!(f, "{}{}", if e.negative { "-" } else { "+" }, e.expr),
            Expr::Vector(e) => write!(f, "{}{}", selector(e), modifiers(e, false)),
        }
    }
}

fn call(f: &mut fmt::Formatter<'_>, e: &Call) -> fmt::Result {
    write!(f, "{}(", e.function.name())?;
    for (i, arg) in e.args.iter().enumerate() {
        write!(f, "{}{arg}", if i > 0 { ", " } else { "" })?;
    }
    f.write_str(")")
}

impl AggregateExpr {
    /// The operator and its clause, as they stand before the parentheses; `by ()` is the same as none.
    pub fn head(&self) -> String {
        let op = self.op.as_str();
        if self.without {
            format!("{op} without ({}) ", label_list(&self.grouping))
        } else if self.grouping.is_empty() {
            op.to_owned()
        } else {
            format!("{op} by ({}) ", label_list(&self.grouping))
        }
    }
}

/// The name of a label as a query has it: in quotes unless it is made of ASCII letters, digits and underscores.
pub fn label_name(name: &str) -> String {
    let plain = name.starts_with(is_alpha) && name.chars().all(is_alphanumeric);
    if plain { name.to_owned() } else { quote(name) }
}

fn label_list(labels: &[String]) -> String {
    labels.iter().map(|l| label_name(l)).collect::<Vec<_>>().join(", ")
}

impl BinaryExpr {
    /// The operator with `bool` and the matching clauses, as they stand between the operands.
    pub fn operator(&self) -> String {
        let mut out = self.op.as_str().to_owned();
        if self.return_bool {
            out.push_str(" bool");
        }
        out.extend(self.matching.as_ref().map(ToString::to_string));
        out
    }
}

impl fmt::Display for VectorMatching {
    /// The clauses as they stand behind the operator, each behind a space.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&matching_clause(self))
    }
}

fn matching_clause(m: &VectorMatching) -> String {
    let mut parts = Vec::new();
    let grouped = matches!(m.cardinality, Cardinality::ManyToOne | Cardinality::OneToMany);
    if m.on || grouped || !m.labels.is_empty() {
        parts.push(format!(" {} ({})", if m.on { "on" } else { "ignoring" }, label_list(&m.labels)));
    }
    if grouped {
        let word = if m.cardinality == Cardinality::ManyToOne { "group_left" } else { "group_right" };
        parts.push(format!(" {word} ({})", label_list(&m.include)));
    }
    match (m.fill_left, m.fill_right) {
        // Numbers that are equal are the same here, whatever their signs, and NaN is not.
        (Some(left), Some(right)) if left.partial_cmp(&right) == Some(Ordering::Equal) => {
            parts.push(format!(" fill ({})", format_general(left)));
        }
        (left, right) => {
            for (word, value) in [("fill_left", left), ("fill_right", right)] {
                parts.extend(value.map(|value| format!(" {word} ({})", format_general(value))));
            }
        }
    }
    parts.concat()
}

fn number(e: &NumberLiteral) -> String {
    if e.duration { format_duration_ms((e.value * 1000.0).round() as i64) } else { format_fixed(e.value) }
}

fn matcher(m: &Matcher) -> String {
    format!("{}{}{}", label_name(m.name()), m.op().as_str(), quote(m.value()))
}

/// Name and matchers; the matchers are sorted by their text.
fn selector(e: &VectorSelector) -> String {
    let shown = if e.name.is_empty() { &e.matchers[..] } else { &e.matchers[..e.matchers.len() - 1] };
    let mut matchers: Vec<String> = shown
        .iter()
        .filter(|m| e.name.is_empty() || m.name() != LABEL_NAME || m.value() != e.name)
        .map(matcher)
        .collect();
    if matchers.is_empty() {
        return if e.name.is_empty() { "{}".to_owned() } else { e.name.clone() };
    }
    matchers.sort();
    format!("{}{{{}}}", e.name, matchers.join(","))
}

fn at_suffix(timestamp_ms: Option<i64>, at: Option<AtBound>) -> String {
    match (timestamp_ms, at) {
        (Some(ms), _) => {
            let magnitude = ms.unsigned_abs();
            format!(" @ {}{}.{:03}", if ms < 0 { "-" } else { "" }, magnitude / 1000, magnitude % 1000)
        }
        (None, Some(AtBound::Start)) => " @ start()".into(),
        (None, Some(AtBound::End)) => " @ end()".into(),
        (None, None) => String::new(),
    }
}

fn offset_suffix(offset_ms: i64, expr: Option<&DurationExpr>) -> String {
    match expr {
        Some(expr) => format!(" offset {}", duration(expr)),
        None if offset_ms != 0 => format!(" offset {}", format_duration_ms(offset_ms)),
        None => String::new(),
    }
}

/// What stands behind a selector; `anchored` and `smoothed` before `@` only if a range does.
fn modifiers(e: &VectorSelector, ranged: bool) -> String {
    let extended = match (e.anchored, e.smoothed) {
        (true, _) => " anchored",
        (_, true) => " smoothed",
        _ => "",
    };
    let at = at_suffix(e.timestamp_ms, e.at);
    let offset = offset_suffix(e.offset_ms, e.offset_expr.as_ref());
    if ranged { [extended, &at, &offset].concat() } else { [&at, extended, &offset].concat() }
}

fn width(ms: i64, expr: Option<&DurationExpr>) -> String {
    expr.map_or_else(|| format_duration_ms(ms), duration)
}

fn matrix(e: &MatrixSelector) -> String {
    format!("{}[{}]{}", selector(&e.selector), width(e.range_ms, e.range_expr.as_ref()), modifiers(&e.selector, true))
}

impl SubqueryExpr {
    /// The window with its modifiers, as they stand behind the inner expression.
    pub fn window(&self) -> String {
        let step = if self.step_ms == 0 && self.step_expr.is_none() {
            String::new()
        } else {
            width(self.step_ms, self.step_expr.as_ref())
        };
        format!(
            "[{}:{step}]{}{}",
            width(self.range_ms, self.range_expr.as_ref()),
            at_suffix(self.timestamp_ms, self.at),
            offset_suffix(self.offset_ms, self.offset_expr.as_ref())
        )
    }
}

fn duration(e: &DurationExpr) -> String {
    let DurationExpr::Operation(o) = e else {
        let DurationExpr::Number(n) = e else { return String::new() };
        return number(n);
    };
    let operand = |side: &Option<DurationExpr>| side.as_ref().map(duration).unwrap_or_default();
    let text = match (o.op, &o.lhs) {
        (DurationOp::Step | DurationOp::Range, _) => format!("{}()", o.op.as_str()),
        (DurationOp::MinOf | DurationOp::MaxOf, _) => {
            format!("{}({}, {})", o.op.as_str(), operand(&o.lhs), operand(&o.rhs))
        }
        // A sign; `+` says nothing.
        (DurationOp::Add, None) => operand(&o.rhs),
        (_, None) => format!("{}{}", o.op.as_str(), operand(&o.rhs)),
        (_, Some(_)) => format!("{} {} {}", operand(&o.lhs), o.op.as_str(), operand(&o.rhs)),
    };
    if o.wrapped { format!("({text})") } else { text }
}
