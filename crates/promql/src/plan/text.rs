//! Nodes as the PromQL that they evaluate.

use super::tree::{Kind, NodeId, Selection, Tree};
use crate::operators::binary::Operation;
use crate::operators::groups::GroupBy;
use crate::operators::selector::{SubqueryWidth, Width};
use mytsdb_promql_syntax::{
    AggregateOp, Expr, MatrixSelector, NumberLiteral, PosRange, SubqueryExpr, VectorSelector, label_name, quote,
};
use std::fmt::{self, Write};

/// Where an expression becomes longer, the rest of its text is left out.
const TEXT_BYTES_MAX: usize = 4 << 10;

/// The text of a node, as far as people read it. Cost: hardly more than what is left of it.
pub(super) fn shortened(tree: &Tree, id: NodeId) -> String {
    let mut cut = Cut { text: String::new() };
    // An error only says that there was more.
    let (Ok(()) | Err(fmt::Error)) = write(tree, id, &mut cut);
    cut.text
}

/// [`shortened`] without the parentheses around the node.
pub(super) fn shortened_bare(tree: &Tree, id: NodeId) -> String {
    let mut cut = Cut { text: String::new() };
    let (Ok(()) | Err(fmt::Error)) = write_bare(tree, id, &mut cut);
    cut.text
}

struct Cut {
    text: String,
}

impl Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let left = TEXT_BYTES_MAX - self.text.len();
        if text.len() <= left {
            self.text.push_str(text);
            return Ok(());
        }
        self.text.push_str(&text[..text.floor_char_boundary(left)]);
        self.text.push_str("...");
        Err(fmt::Error)
    }
}

fn write(tree: &Tree, id: NodeId, f: &mut dyn Write) -> fmt::Result {
    let node = &tree[id];
    if node.pos == node.outer {
        return write_bare(tree, id, f);
    }
    f.write_char('(')?;
    write_bare(tree, id, f)?;
    f.write_char(')')
}

/// The node without the parentheses around it.
fn write_bare(tree: &Tree, id: NodeId, f: &mut dyn Write) -> fmt::Result {
    let node = &tree[id];
    match &node.kind {
        Kind::Binary(_) => write_chain(tree, id, f),
        Kind::Aggregate(op, by) => {
            write!(f, "{}(", aggregation(*op, by))?;
            write_list(tree, &node.inputs, f)
        }
        Kind::Call(function) => {
            write!(f, "{}(", function.name())?;
            write_list(tree, &node.inputs, f)
        }
        Kind::Subquery(width) => {
            write(tree, node.inputs[0], f)?;
            f.write_str(&window(**width))
        }
        Kind::Sign { negative } => {
            f.write_char(if *negative { '-' } else { '+' })?;
            write(tree, node.inputs[0], f)
        }
        _ => f.write_str(&own_text(&node.kind)),
    }
}

/// `a + b + c`, however long it is.
fn write_chain(tree: &Tree, id: NodeId, f: &mut dyn Write) -> fmt::Result {
    let (mut operand, mut operators) = (id, Vec::new());
    while let (Some(operation), true) = (tree.operation(operand), operand == id || is_bare(tree, operand)) {
        let (left, right) = tree.sides(operand);
        operators.push((operation, right));
        operand = left;
    }
    write(tree, operand, f)?;
    operators.into_iter().rev().try_for_each(|(operation, right)| {
        write!(f, " {} ", operator(operation))?;
        write(tree, right, f)
    })
}

fn is_bare(tree: &Tree, id: NodeId) -> bool {
    tree[id].pos == tree[id].outer
}

fn write_list(tree: &Tree, inputs: &[NodeId], f: &mut dyn Write) -> fmt::Result {
    for (at, input) in inputs.iter().enumerate() {
        f.write_str(if at > 0 { ", " } else { "" })?;
        write(tree, *input, f)?;
    }
    f.write_char(')')
}

/// What a node says beside its inputs.
pub(super) fn own_text(kind: &Kind) -> String {
    match kind {
        Kind::Number { value, duration } => {
            Expr::Number(NumberLiteral { value: *value, duration: *duration, pos: PosRange::default() }).to_string()
        }
        Kind::Text(text) => quote(text),
        Kind::Select(selection) => Expr::Vector(Box::new(selector(selection))).to_string(),
        Kind::Range(selection, width) => range(selection, *width),
        Kind::Subquery(width) => window(**width),
        Kind::Sign { negative } => if *negative { "-" } else { "+" }.to_owned(),
        Kind::Binary(operation) => operator(operation),
        Kind::Aggregate(op, by) => aggregation(*op, by),
        Kind::Call(function) => function.name().to_owned(),
    }
}

/// The operator of an aggregation and its clause, as they stand before the parentheses; `by ()` is the same as none.
pub(super) fn aggregation(op: AggregateOp, by: &GroupBy) -> String {
    let labels = || by.labels.iter().map(|label| label_name(label)).collect::<Vec<_>>().join(", ");
    match (by.without, by.labels.is_empty()) {
        (true, _) => format!("{} without ({}) ", op.as_str(), labels()),
        (false, true) => op.as_str().to_owned(),
        (false, false) => format!("{} by ({}) ", op.as_str(), labels()),
    }
}

/// An operator with `bool` and the matching clauses, as they stand between the operands.
pub(super) fn operator(operation: &Operation) -> String {
    let bool = if operation.return_bool { " bool" } else { "" };
    let matching = operation.matching.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{}{bool}{matching}", operation.op.as_str())
}

fn selector(Selection { selector, name, labels_only, .. }: &Selection) -> VectorSelector {
    VectorSelector {
        name: name.clone(),
        matchers: selector.matchers.clone(),
        offset_ms: selector.offset_ms,
        offset_expr: None,
        timestamp_ms: selector.timestamp_ms,
        at: None,
        anchored: selector.anchored,
        smoothed: selector.smoothed,
        label_selector_only: *labels_only,
        pos: selector.pos,
    }
}

fn range(selection: &Selection, width: Width) -> String {
    let (range_ms, end) = (width.range_ms, width.pos.end);
    Expr::Matrix(Box::new(MatrixSelector { selector: selector(selection), range_ms, range_expr: None, end }))
        .to_string()
}

/// The window of a subquery with its modifiers, as they stand behind the inner expression.
pub(super) fn window(width: SubqueryWidth) -> String {
    SubqueryExpr {
        expr: Expr::Number(NumberLiteral { value: 0.0, duration: false, pos: PosRange::default() }),
        range_ms: width.range_ms,
        range_expr: None,
        step_ms: width.step_ms,
        step_expr: None,
        offset_ms: width.offset_ms,
        offset_expr: None,
        timestamp_ms: width.timestamp_ms,
        at: None,
        end: width.pos.end,
    }
    .window()
}
