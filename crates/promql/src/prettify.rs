//! Syntax trees to indented text, split wherever a line would be long.

use crate::ast::{BinaryExpr, Expr};
use crate::printer::{aggregate_head, binary_operator, subquery_suffix};

/// Nodes longer than this are split.
const LINE_CHARS_MAX: usize = 100;

/// The expression, indented by two blanks a level and with lines of about 100 characters at most.
pub fn prettify(expr: &Expr) -> String {
    prettify_to(expr, LINE_CHARS_MAX)
}

/// As [`prettify`], for lines of `chars_max` characters.
pub fn prettify_to(expr: &Expr, chars_max: usize) -> String {
    Pretty { chars_max }.node(expr, 0)
}

struct Pretty {
    chars_max: usize,
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

impl Pretty {
    /// The node's text, indented by `level` and without a line break at the end.
    fn node(&self, expr: &Expr, level: usize) -> String {
        let pad = indent(level);
        let flat = expr.to_string();
        match expr {
            // A leaf is one line, however long.
            Expr::Matrix(_) | Expr::Number(_) | Expr::String(_) | Expr::Vector(_) => format!("{pad}{flat}"),
            Expr::Unary(e) => {
                let inner = self.node(&e.expr, level);
                format!("{pad}{}{}", if e.negative { "-" } else { "+" }, inner.trim_start())
            }
            // One that fits is not indented in Prometheus.
            Expr::Subquery(_) if flat.chars().count() <= self.chars_max => flat,
            Expr::Subquery(e) => format!("{}{}", self.node(&e.expr, level), subquery_suffix(e)),
            _ if flat.chars().count() <= self.chars_max => format!("{pad}{flat}"),
            Expr::Aggregate(e) => {
                let param = e.param.as_ref().map(|param| self.node(param, level + 1) + ",\n").unwrap_or_default();
                format!("{pad}{}(\n{param}{}\n{pad})", aggregate_head(e), self.node(&e.expr, level + 1))
            }
            Expr::Binary(e) => self.binary(e, level),
            Expr::Call(e) => {
                let args: Vec<String> = e.args.iter().map(|arg| self.node(arg, level + 1)).collect();
                format!("{pad}{}(\n{}\n{pad})", e.function.name, args.join(",\n"))
            }
            Expr::Paren(e) => format!("{pad}(\n{}\n{pad})", self.node(&e.expr, level + 1)),
        }
    }

    fn binary(&self, e: &BinaryExpr, level: usize) -> String {
        let operator = binary_operator(e);
        format!("{}\n{}{operator}\n{}", self.node(&e.lhs, level + 1), indent(level), self.node(&e.rhs, level + 1))
    }
}
