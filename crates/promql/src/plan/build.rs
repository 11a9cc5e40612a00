//! From a syntax tree to the nodes of a plan: computed durations and `@ start()` are settled here.

use super::tree::{Inputs, Kind, NodeId, Selection, Tree};
use crate::error::EvalError;
use crate::kernels::grid::Bounds;
use crate::operators::binary::Operation;
use crate::operators::groups::GroupBy;
use crate::operators::selector::{Selector, SubqueryWidth, Width};
use mytsdb_promql_syntax::{
    AtBound, BinaryExpr, DurationExpr, DurationOp, DurationOperation, Expr, MatrixSelector, PosRange, SubqueryExpr,
    VectorSelector,
};
use smallvec::smallvec;

/// Times of queries lie between this and its negative.
pub(crate) const TIME_MS_MAX: i64 = 1 << 60;

/// The nodes of `expr` over `bounds`.
pub(super) fn build(expr: &Expr, bounds: Bounds) -> Result<Tree, EvalError> {
    let mut count = 0;
    expr.walk(&mut |_| {
        count += 1;
        true
    });
    let mut build = Build { tree: Tree::with_capacity(count), bounds };
    build.node(expr)?;
    Ok(build.tree)
}

struct Build {
    tree: Tree,
    bounds: Bounds,
}

impl Build {
    /// Adds `expr` and all below. What is wrong with an outer node is told first.
    fn node(&mut self, expr: &Expr) -> Result<NodeId, EvalError> {
        let (inner, outer) = (expr.unwrap_parens(), expr.pos());
        let (kind, inputs) = match inner {
            Expr::Binary(binary) => return self.chain(binary, outer),
            Expr::Aggregate(aggregate) => {
                let by = GroupBy { labels: aggregate.grouping.clone(), without: aggregate.without };
                let mut inputs = Inputs::new();
                for input in aggregate.param.iter().chain(std::iter::once(&aggregate.expr)) {
                    inputs.push(self.node(input)?);
                }
                (Kind::Aggregate(aggregate.op, by), inputs)
            }
            Expr::Call(call) => {
                let inputs = call.args.iter().map(|arg| self.node(arg)).collect::<Result<_, _>>()?;
                (Kind::Call(call.function), inputs)
            }
            Expr::Subquery(subquery) => {
                let width = self.subquery(subquery)?;
                (Kind::Subquery(Box::new(width)), smallvec![self.node(&subquery.expr)?])
            }
            Expr::Unary(unary) => (Kind::Sign { negative: unary.negative }, smallvec![self.node(&unary.expr)?]),
            Expr::Vector(selector) => (Kind::Select(Box::new(self.selection(selector)?)), Inputs::new()),
            Expr::Matrix(matrix) => (self.range(matrix)?, Inputs::new()),
            Expr::Number(number) => (Kind::Number { value: number.value, duration: number.duration }, Inputs::new()),
            Expr::String(text) => (Kind::Text(text.value.clone()), Inputs::new()),
            Expr::Paren(_) => return Err(EvalError::execution("parentheses around nothing")),
        };
        Ok(self.tree.push(kind, inputs, inner.value_type(), (inner.pos(), outer)))
    }

    /// Adds a chain of operators from the left, without a call for each of them.
    fn chain(&mut self, binary: &BinaryExpr, outer: PosRange) -> Result<NodeId, EvalError> {
        let (leftmost, operators) = binary.chain();
        let mut left = self.node(leftmost)?;
        let last = operators.len() - 1;
        for (at, operator) in operators.into_iter().enumerate() {
            let right = self.node(&operator.rhs)?;
            let pos = operator.pos();

            let matching = operator.matching.clone().map(Box::new);

            let operation = Operation { op: operator.op, return_bool: operator.return_bool, matching, pos };
            let place = (pos, if at == last { outer } else { pos });
            left = self.tree.push(Kind::Binary(operation), smallvec![left, right], operator.value_type(), place);
        }
        Ok(left)
    }

    fn selection(&self, selector: &VectorSelector) -> Result<Selection, EvalError> {
        let offset_ms = match &selector.offset_expr {
            Some(offset) => milliseconds(offset, self.bounds, false)?,
            None => selector.offset_ms,
        };
        let timestamp_ms = at(selector.timestamp_ms, selector.at, self.bounds);
        Ok(Selection {
            selector: Selector {
                matchers: selector.matchers.clone(),
                offset_ms,
                timestamp_ms,
                anchored: selector.anchored,
                smoothed: selector.smoothed,
                any_order: false,
                summarised: false,
                pos: selector.pos,
            },
            name: selector.name.clone(),
            labels_only: selector.label_selector_only,
            handed: Vec::new(),
        })
    }

    fn range(&self, matrix: &MatrixSelector) -> Result<Kind, EvalError> {
        let range_ms = match &matrix.range_expr {
            Some(range) => milliseconds(range, self.bounds, true)?,
            None => matrix.range_ms,
        };
        Ok(Kind::Range(Box::new(self.selection(&matrix.selector)?), Width { range_ms, pos: matrix.pos() }))
    }

    fn subquery(&self, subquery: &SubqueryExpr) -> Result<SubqueryWidth, EvalError> {
        let settled = |expr: &Option<DurationExpr>, known_ms: i64, positive: bool| match expr {
            Some(expr) => milliseconds(expr, self.bounds, positive),
            None => Ok(known_ms),
        };
        Ok(SubqueryWidth {
            range_ms: settled(&subquery.range_expr, subquery.range_ms, true)?,
            step_ms: settled(&subquery.step_expr, subquery.step_ms, true)?,
            offset_ms: settled(&subquery.offset_expr, subquery.offset_ms, false)?,
            timestamp_ms: at(subquery.timestamp_ms, subquery.at, self.bounds),
            pos: subquery.pos(),
        })
    }
}

fn at(timestamp_ms: Option<i64>, bound: Option<AtBound>, bounds: Bounds) -> Option<i64> {
    match bound {
        Some(AtBound::Start) => Some(bounds.start_ms),
        Some(AtBound::End) => Some(bounds.end_ms),
        // Far beyond any sample; sums of times and durations stay in range.
        None => timestamp_ms.map(|t| t.clamp(-TIME_MS_MAX, TIME_MS_MAX)),
    }
}

fn milliseconds(expr: &DurationExpr, bounds: Bounds, positive: bool) -> Result<i64, EvalError> {
    let pos = expr.pos();
    let err = |message: &str| Err(EvalError::Query(format!("{}:{}: {message}", pos.start, pos.end)));
    let seconds = seconds(expr, bounds)?;
    if !seconds.is_finite() {
        return err("duration is NaN or infinite");
    }
    if positive && seconds <= 0.0 {
        return err("duration must be greater than 0");
    }
    if seconds.abs() > i64::MAX as f64 / 1e9 {
        return err("duration is out of range");
    }
    Ok((seconds * 1000.0) as i64)
}

fn seconds(expr: &DurationExpr, bounds: Bounds) -> Result<f64, EvalError> {
    let operation: &DurationOperation = match expr {
        DurationExpr::Number(number) => return Ok(number.value),
        DurationExpr::Operation(operation) => operation,
    };
    let side = |side: &Option<DurationExpr>| side.as_ref().map_or(Ok(0.0), |e| seconds(e, bounds));
    let (a, b) = (side(&operation.lhs)?, side(&operation.rhs)?);
    let pos = operation.pos;
    let by_zero = |what: &str| Err(EvalError::Query(format!("{}:{}: {what} by zero", pos.start, pos.end)));
    Ok(match operation.op {
        DurationOp::Step => bounds.step_ms as f64 / 1000.0,
        DurationOp::Range => (bounds.end_ms - bounds.start_ms) as f64 / 1000.0,
        DurationOp::Add => a + b,
        DurationOp::Sub => a - b,
        DurationOp::Mul => a * b,
        DurationOp::Div if b == 0.0 => return by_zero("division"),
        DurationOp::Mod if b == 0.0 => return by_zero("modulo"),
        DurationOp::Div => a / b,
        DurationOp::Mod => a % b,
        DurationOp::Pow => a.powf(b),
        DurationOp::MinOf => a.min(b),
        DurationOp::MaxOf => a.max(b),
    })
}
