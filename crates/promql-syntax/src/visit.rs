//! Walks over a syntax tree in pre-order, however high it is.

use crate::ast::{BinaryExpr, Expr};

impl Expr {
    /// The direct children, in the order of evaluation.
    pub fn children(&self) -> Vec<&Expr> {
        match self {
            Expr::Aggregate(e) => e.param.iter().chain(std::iter::once(&e.expr)).collect(),
            Expr::Binary(e) => vec![&e.lhs, &e.rhs],
            Expr::Call(e) => e.args.iter().collect(),
            Expr::Subquery(e) => vec![&e.expr],
            Expr::Paren(e) => vec![&e.expr],
            Expr::Unary(e) => vec![&e.expr],
            Expr::Matrix(_) | Expr::Number(_) | Expr::String(_) | Expr::Vector(_) => Vec::new(),
        }
    }

    /// Calls `visit` for this node and, where it returns `true`, for the nodes below.
    pub fn walk(&self, visit: &mut dyn FnMut(&Expr) -> bool) {
        let mut next = vec![self];
        while let Some(node) = next.pop() {
            if visit(node) {
                next.extend(node.children().into_iter().rev());
            }
        }
    }

    /// As [`Expr::walk`], and `visit` may change the node.
    pub fn walk_mut(&mut self, visit: &mut dyn FnMut(&mut Expr) -> bool) {
        let mut next = vec![self];
        while let Some(node) = next.pop() {
            if visit(node) {
                next.extend(node.children_mut().into_iter().rev());
            }
        }
    }

    /// [`Expr::children`], to be changed.
    pub fn children_mut(&mut self) -> Vec<&mut Expr> {
        match self {
            Expr::Aggregate(e) => e.param.iter_mut().chain(std::iter::once(&mut e.expr)).collect(),
            Expr::Binary(e) => {
                let BinaryExpr { lhs, rhs, .. } = &mut **e;
                vec![lhs, rhs]
            }
            Expr::Call(e) => e.args.iter_mut().collect(),
            Expr::Subquery(e) => vec![&mut e.expr],
            Expr::Paren(e) => vec![&mut e.expr],
            Expr::Unary(e) => vec![&mut e.expr],
            Expr::Matrix(_) | Expr::Number(_) | Expr::String(_) | Expr::Vector(_) => Vec::new(),
        }
    }
}
