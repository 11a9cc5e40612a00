//! Walks over a syntax tree in pre-order.

use crate::ast::Expr;

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
        if visit(self) {
            for child in self.children() {
                child.walk(visit);
            }
        }
    }

    /// As [`Expr::walk`], and `visit` may change the node.
    pub fn walk_mut(&mut self, visit: &mut dyn FnMut(&mut Expr) -> bool) {
        if !visit(self) {
            return;
        }
        match self {
            Expr::Aggregate(e) => {
                if let Some(param) = &mut e.param {
                    param.walk_mut(visit);
                }
                e.expr.walk_mut(visit);
            }
            Expr::Binary(e) => {
                e.lhs.walk_mut(visit);
                e.rhs.walk_mut(visit);
            }
            Expr::Call(e) => e.args.iter_mut().for_each(|arg| arg.walk_mut(visit)),
            Expr::Subquery(e) => e.expr.walk_mut(visit),
            Expr::Paren(e) => e.expr.walk_mut(visit),
            Expr::Unary(e) => e.expr.walk_mut(visit),
            Expr::Matrix(_) | Expr::Number(_) | Expr::String(_) | Expr::Vector(_) => {}
        }
    }
}
