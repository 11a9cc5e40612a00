//! The type check: what the grammar cannot say, in the order in which errors are reported.

use crate::ast::{AggregateExpr, AggregateOp, BinaryExpr, Call, Cardinality, Expr, ValueType, VectorSelector};
use crate::error::ParseError;
use crate::functions::Function;
use crate::pos::PosRange;
use crate::token::quote;
use mytsdb_model::LABEL_NAME;

type Checked = Result<ValueType, ParseError>;

/// Checks `expr` and all below it, and settles how vectors are matched.
pub(super) fn check(text: &str, expr: &mut Expr) -> Checked {
    match expr {
        Expr::Aggregate(e) => aggregate(text, e),
        Expr::Binary(_) => chain(text, expr),
        Expr::Call(e) => call(text, e),
        Expr::Matrix(e) => {
            selector(text, &e.selector)?;
            Ok(ValueType::Matrix)
        }
        Expr::Subquery(e) => {
            let inner = check(text, &mut e.expr)?;
            if inner != ValueType::Vector {
                let message = format!("subquery is only allowed on instant vector, got {} instead", inner.as_str());
                return Err(ParseError::new(text, e.pos(), message));
            }
            Ok(ValueType::Matrix)
        }
        Expr::Number(_) => Ok(ValueType::Scalar),
        Expr::String(_) => Ok(ValueType::String),
        Expr::Paren(e) => check(text, &mut e.expr),
        Expr::Unary(e) => {
            let inner = check(text, &mut e.expr)?;
            if !matches!(inner, ValueType::Scalar | ValueType::Vector) {
                let message = format!(
                    "unary expression only allowed on expressions of type scalar or instant vector, got {}",
                    quote(inner.documented())
                );
                return Err(ParseError::new(text, e.pos(), message));
            }
            Ok(inner)
        }
        Expr::Vector(e) => {
            selector(text, e)?;
            Ok(ValueType::Vector)
        }
    }
}

/// `context` is only asked for an error.
fn expect<C: std::fmt::Display>(
    text: &str,
    expr: &mut Expr,
    wanted: ValueType,
    context: impl FnOnce() -> C,
) -> Result<(), ParseError> {
    let found = check(text, expr)?;
    if found != wanted {
        let context = context();
        let message = format!("expected type {} in {context}, got {}", wanted.documented(), found.documented());
        return Err(ParseError::new(text, expr.pos(), message));
    }
    Ok(())
}

fn aggregate(text: &str, e: &mut AggregateExpr) -> Checked {
    expect(text, &mut e.expr, ValueType::Vector, || "aggregation expression")?;
    if let Some(param) = &mut e.param {
        let wanted = if e.op == AggregateOp::CountValues { ValueType::String } else { ValueType::Scalar };
        expect(text, param, wanted, || "aggregation parameter")?;
    }
    Ok(ValueType::Vector)
}

/// The operator with its modifiers, without the blanks around. The end is that of the last byte, as Prometheus has it.
fn operator_pos(text: &str, e: &BinaryExpr) -> PosRange {
    let bytes = text.as_bytes();
    let space = |i: usize| matches!(bytes.get(i), Some(b' ' | b'\t' | b'\n' | b'\r'));
    let mut start = e.lhs.pos().end;
    while space(start) {
        start += 1;
    }
    let mut end = e.rhs.pos().start.saturating_sub(1);
    while end > start && space(end) {
        end -= 1;
    }
    PosRange::new(start, end)
}

/// A chain of operators, from the left. What is wrong first ends it; the tree is whole again then.
fn chain(text: &str, expr: &mut Expr) -> Checked {
    let (mut operand, mut operators) = expr.take_apart();
    let mut checked = check(text, &mut operand);
    while let Some(mut operator) = operators.pop() {
        operator.lhs = operand;
        if let Ok(left) = checked {
            checked = binary(text, &mut operator, left);
        }
        operand = Expr::Binary(operator);
    }
    *expr = operand;
    checked
}

/// One operator, whose left operand is checked.
fn binary(text: &str, e: &mut BinaryExpr, left: ValueType) -> Checked {
    let right = check(text, &mut e.rhs)?;
    let err = |pos, message: String| Err(ParseError::new(text, pos, message));
    if e.return_bool && !e.op.is_comparison() {
        return err(operator_pos(text, e), "bool modifier can only be used on comparison operators".into());
    }
    let scalars = left == ValueType::Scalar && right == ValueType::Scalar;
    if e.op.is_comparison() && !e.return_bool && scalars {
        return err(operator_pos(text, e), "comparisons between scalars must use BOOL modifier".into());
    }
    if let Some(matching) = &mut e.matching {
        if e.op.is_set() && matching.cardinality == Cardinality::OneToOne {
            matching.cardinality = Cardinality::ManyToMany;
        }
        if matching.on
            && let Some(label) = matching.labels.iter().find(|l| matching.include.contains(l))
        {
            let message = format!("label {} must not occur in ON and GROUP clause at once", quote(label));
            return err(operator_pos(text, e), message);
        }
    }
    for (side, found) in [(&e.lhs, left), (&e.rhs, right)] {
        if !matches!(found, ValueType::Scalar | ValueType::Vector) {
            return err(side.pos(), "binary expression must contain only scalar and instant vector types".into());
        }
    }
    if left != ValueType::Vector || right != ValueType::Vector {
        if let Some(matching) = e.matching.take() {
            if !matching.labels.is_empty() {
                return err(e.lhs.pos().to(e.rhs.pos()), "vector matching only allowed between instant vectors".into());
            }
            if matching.fill_left.is_some() || matching.fill_right.is_some() {
                return err(
                    e.lhs.pos().to(e.rhs.pos()),
                    "filling in missing series only allowed between instant vectors".into(),
                );
            }
        }
        if e.op.is_set() {
            let message = format!("set operator {} not allowed in binary scalar expression", quote(e.op.as_str()));
            return err(e.lhs.pos().to(e.rhs.pos()), message);
        }
    } else if let Some(matching) = &e.matching
        && e.op.is_set()
    {
        if matching.cardinality != Cardinality::ManyToMany {
            return err(
                e.lhs.pos().to(e.rhs.pos()),
                format!("no grouping allowed for {} operation", quote(e.op.as_str())),
            );
        }
        if matching.fill_left.is_some() || matching.fill_right.is_some() {
            return err(e.lhs.pos().to(e.rhs.pos()), "filling in missing series not allowed for set operators".into());
        }
    }
    Ok(if scalars { ValueType::Scalar } else { ValueType::Vector })
}

fn call(text: &str, e: &mut Call) -> Checked {
    let function = e.function.row();
    let err = |pos, message: String| Err(ParseError::new(text, pos, message));
    let (wanted, given) = (function.args.len(), e.args.len());
    let shown = || quote(function.name);
    if function.variadic == 0 {
        if given != wanted {
            return err(e.pos, format!("expected {wanted} argument(s) in call to {}, got {given}", shown()));
        }
    } else {
        let least = wanted - 1;
        if given < least {
            return err(e.pos, format!("expected at least {least} argument(s) in call to {}, got {given}", shown()));
        }
        if let Ok(more) = usize::try_from(function.variadic)
            && given > least + more
        {
            let most = least + more;
            return err(e.pos, format!("expected at most {most} argument(s) in call to {}, got {given}", shown()));
        }
    }
    if e.function == Function::Info && given > 1 {
        match &mut e.args[1] {
            Expr::Vector(s) if s.name.is_empty() => s.label_selector_only = true,
            Expr::Vector(s) => {
                return err(s.pos, "expected label selectors only, got vector selector instead".into());
            }
            other if other.value_type() == ValueType::Vector => {
                return err(other.pos(), "expected label selectors only".into());
            }
            other => {
                let found = other.value_type().documented();
                let message = format!("expected type instant vector in call to function {}, got {found}", shown());
                return err(e.pos, message);
            }
        }
    }
    for (i, arg) in e.args.iter_mut().enumerate() {
        expect(text, arg, function.args[i.min(wanted - 1)], || format!("call to function {}", shown()))?;
    }
    Ok(function.returns)
}

fn selector(text: &str, e: &VectorSelector) -> Result<(), ParseError> {
    if !e.name.is_empty() {
        // The last matcher is that of the name before the braces.
        if let Some(inner) = e.matchers[..e.matchers.len() - 1].iter().find(|m| m.name() == LABEL_NAME) {
            let message = format!("metric name must not be set twice: {} or {}", quote(&e.name), quote(inner.value()));
            return Err(ParseError::new(text, e.pos, message));
        }
    } else if !e.label_selector_only && e.matchers.iter().all(mytsdb_model::Matcher::matches_empty) {
        return Err(ParseError::new(text, e.pos, "vector selector must contain at least one non-empty matcher"));
    }
    Ok(())
}
