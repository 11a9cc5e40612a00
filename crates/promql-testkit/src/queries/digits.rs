//! Last digits that depend on the library and on the processor, and what makes more of them than a last digit.

use super::is_sort;
use mytsdb_promql_syntax::{AggregateOp, BinaryOp, Expr, Function, SampleUse, StepUse, ValueType};

/// Whether a function computes each float by itself.
fn is_elementwise(function: Function) -> bool {
    let row = function.row();
    row.samples == SampleUse::Floats && row.args.first() == Some(&ValueType::Vector) && !is_sort(row)
}

/// Whether every program finds the same bits.
fn is_exact(function: Function) -> bool {
    use Function::{Abs, Ceil, Clamp, ClampMax, ClampMin, Deg, Floor, Rad, Round, Sgn, Sqrt};
    let arithmetic =
        matches!(function, Abs | Ceil | Clamp | ClampMax | ClampMin | Deg | Floor | Rad | Round | Sgn | Sqrt);
    arithmetic || !is_elementwise(function) || function.row().steps == StepUse::TimeWithoutArgument
}

/// Whether a function gives a last digit back as a last digit.
fn keeps_digits(function: Function) -> bool {
    use Function::{Abs, Clamp, ClampMax, ClampMin, Deg, Rad};
    !is_elementwise(function) || matches!(function, Abs | Clamp | ClampMax | ClampMin | Deg | Rad)
}

/// Whether last digits that are nobody's may show in the result as other numbers.
pub(super) fn enlarges_last_digits(expr: &Expr) -> bool {
    let mut next = vec![(expr, false)];
    while let Some((expr, enlarged)) = next.pop() {
        let (exact, keeps) = match expr {
            Expr::Call(call) => (is_exact(call.function), keeps_digits(call.function)),
            Expr::Binary(binary) => (!matches!(binary.op, BinaryOp::Pow | BinaryOp::Atan2), binary.op != BinaryOp::Mod),
            Expr::Aggregate(aggregate) => (true, aggregate.op != AggregateOp::CountValues),
            _ => (true, true),
        };
        if enlarged && !exact {
            return true;
        }
        next.extend(expr.children().into_iter().map(|child| (child, enlarged || !keeps)));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_promql_syntax::parse;

    #[test]
    fn only_what_stands_around_an_inexact_function_enlarges_its_last_digits() {
        for (text, enlarges) in [
            ("minute(cosh(a))", true),
            ("a % ignoring (le) sum(atan(g))", true),
            ("count_values(\"v\", a ^ 2)", true),
            ("sin(round(a, 0.1))", false),
            ("abs(sin(a)) + exp(a)", false),
            ("hour(a % 3)", false),
        ] {
            assert_eq!(enlarges_last_digits(&parse(text).unwrap()), enlarges, "{text}");
        }
    }
}
