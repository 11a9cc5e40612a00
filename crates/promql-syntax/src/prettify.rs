//! Syntax trees to indented text, split wherever a line would be long.

use crate::ast::{BinaryExpr, Expr};
use std::fmt::{self, Write};

/// Nodes longer than this are split.
const LINE_CHARS_MAX: usize = 100;

/// Deeper levels are indented no further, and the operators of longer chains not at all: the text would be blanks for the
/// most part.
const INDENTED_LEVELS_MAX: usize = 250;

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
    "  ".repeat(level.min(INDENTED_LEVELS_MAX))
}

/// Counts characters and fails when there are too many.
struct Fits {
    left: usize,
}

impl Write for Fits {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let chars = text.chars().take(self.left + 1).count();
        self.left = self.left.checked_sub(chars).ok_or(fmt::Error)?;
        Ok(())
    }
}

impl Pretty {
    /// Whether the text of `what` is no longer than a line. Cost: as much of the text as fits.
    fn fits(&self, what: impl fmt::Display) -> bool {
        write!(Fits { left: self.chars_max }, "{what}").is_ok()
    }

    /// The node's text, indented by `level` and without a line break at the end.
    fn node(&self, expr: &Expr, level: usize) -> String {
        let pad = indent(level);
        match expr {
            // A leaf is one line, however long.
            Expr::Matrix(_) | Expr::Number(_) | Expr::String(_) | Expr::Vector(_) => format!("{pad}{expr}"),
            Expr::Unary(e) => {
                let inner = self.node(&e.expr, level);
                format!("{pad}{}{}", if e.negative { "-" } else { "+" }, inner.trim_start())
            }
            Expr::Binary(e) => self.binary(e, level),
            // One that fits is not indented in Prometheus.
            Expr::Subquery(_) if self.fits(expr) => expr.to_string(),
            Expr::Subquery(e) => format!("{}{}", self.node(&e.expr, level), e.window()),
            _ if self.fits(expr) => format!("{pad}{expr}"),
            Expr::Aggregate(e) => {
                let param = e.param.as_ref().map(|param| self.node(param, level + 1) + ",\n").unwrap_or_default();
                format!("{pad}{}(\n{param}{}\n{pad})", e.head(), self.node(&e.expr, level + 1))
            }
            Expr::Call(e) => {
                let args: Vec<String> = e.args.iter().map(|arg| self.node(arg, level + 1)).collect();
                format!("{pad}{}(\n{}\n{pad})", e.function.name(), args.join(",\n"))
            }
            Expr::Paren(e) => format!("{pad}(\n{}\n{pad})", self.node(&e.expr, level + 1)),
        }
    }

    /// A chain of operators: from the left as many as fit are one line, each of the others splits. Each operator stands a
    /// level deeper than the one behind it, as long as there are few.
    fn binary(&self, e: &BinaryExpr, level: usize) -> String {
        let (leftmost, operators) = e.chain();
        let (mut flat, mut together) = (String::new(), 0);
        if self.fits(leftmost) {
            flat = leftmost.to_string();
            for operator in &operators {
                let fits = self.fits(&operator.rhs);
                let longer = fits.then(|| format!("{flat} {} {}", operator.operator(), operator.rhs));
                let Some(longer) = longer.filter(|longer| self.fits(longer)) else { break };
                flat = longer;
                together += 1;
            }
        }
        let long = operators.len() > INDENTED_LEVELS_MAX;
        let level_of = |operator: usize| if long { level } else { level + operators.len() - operator };
        let mut out = match together {
            0 => self.node(leftmost, level_of(0)),
            _ => indent(level_of(together)) + &flat,
        };
        for (at, operator) in operators.iter().enumerate().skip(together) {
            let level = level_of(at + 1);
            out.push('\n');
            out.push_str(&indent(level));
            out.push_str(&operator.operator());
            out.push('\n');
            out.push_str(&self.node(&operator.rhs, level + 1));
        }
        out
    }
}
