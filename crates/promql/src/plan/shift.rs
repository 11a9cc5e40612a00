//! Where the parts of an expression look, as `info` has to know.

use crate::eval::functions::info::Shift;
use mytsdb_promql_syntax::{Expr, ValueType};

/// Where all of an expression that gives a vector looks, subqueries around it included; if its parts do not agree, at the
/// step itself.
pub(crate) fn shift(expr: &Expr) -> Shift {
    let mut all = Vec::new();
    shifts(expr, Shift::default(), &mut all);
    let first = all.first().copied().unwrap_or_default();
    if all.iter().all(|shift| *shift == first) { first } else { Shift::default() }
}

fn shifts(expr: &Expr, around: Shift, out: &mut Vec<Shift>) {
    let within = |timestamp_ms: Option<i64>, offset_ms: i64| match timestamp_ms {
        Some(at) => (Some(at - offset_ms), 0),
        None => around.0.map_or((None, around.1 + offset_ms), |at| (Some(at - offset_ms), 0)),
    };
    match expr {
        // What only gives numbers or texts moves nothing.
        _ if matches!(expr.value_type(), ValueType::Scalar | ValueType::String) => {}
        Expr::Vector(selector) if selector.label_selector_only => {}
        Expr::Vector(selector) => out.push(within(selector.timestamp_ms, selector.offset_ms)),
        Expr::Matrix(matrix) => out.push(within(matrix.selector.timestamp_ms, matrix.selector.offset_ms)),
        Expr::Subquery(subquery) => {
            shifts(&subquery.expr, within(subquery.timestamp_ms, subquery.offset_ms), out);
        }
        Expr::Binary(binary) => {
            let before = out.len();
            let (leftmost, operators) = binary.chain();
            shifts(leftmost, around, out);
            for operator in operators.into_iter().filter(|operator| operator.value_type() == ValueType::Vector) {
                shifts(&operator.rhs, around, out);
                if out.len() == before {
                    out.push(around);
                }
            }
        }
        _ => {
            let before = out.len();
            expr.children().into_iter().for_each(|child| shifts(child, around, out));
            if out.len() == before {
                // A vector without a selector is one of the step itself.
                out.push(around);
            }
        }
    }
}
