//! Selectors and the modifiers behind them: ranges, subqueries, `offset`, `@`, `anchored`, `smoothed`.

use super::duration::literal_ms;
use super::{Parsed, Parser, known_patterns};
use crate::ast::{AtBound, DurationExpr, Expr, MatrixSelector, SubqueryExpr, VectorSelector};
use crate::literal::unquote;
use crate::pos::PosRange;
use crate::token::{Keyword, Token, TokenKind};
use mytsdb_go_regex::AnchoredRegex;
use mytsdb_model::{MatchOp, Matcher};

const NOT_A_SELECTOR: &str = "must be preceded by an instant vector selector or range vector selector or a subquery";

/// Most memory of all compiled regular expressions of a query. One of a dozen bytes takes some kilobytes.
const PATTERNS_BYTES_MAX: usize = 256 << 20;

impl Parser<'_> {
    pub(super) fn vector_selector(&mut self) -> Parsed<Expr> {
        let first = *self.peek();
        let name = if first.kind == TokenKind::LeftBrace {
            String::new()
        } else {
            self.advance();
            first.text(self.input).to_owned()
        };
        let mut matchers = Vec::new();
        if self.peek().kind == TokenKind::LeftBrace {
            self.matchers(&mut matchers)?;
        }
        if !name.is_empty() {
            matchers.reserve_exact(1);
            matchers.push(Matcher::metric(name.clone()));
        }
        Ok(Expr::Vector(Box::new(VectorSelector {
            name,
            matchers,
            offset_ms: 0,
            offset_expr: None,
            timestamp_ms: None,
            at: None,
            anchored: false,
            smoothed: false,
            label_selector_only: false,
            pos: PosRange::new(first.pos.start, self.last_end()),
        })))
    }

    fn matchers(&mut self, out: &mut Vec<Matcher>) -> Parsed<()> {
        const CONTEXT: &str = "label matching";
        self.advance();
        if self.accept(TokenKind::RightBrace).is_some() {
            return Ok(());
        }
        loop {
            let label = *self.peek();
            match label.kind {
                TokenKind::Identifier | TokenKind::String => self.advance(),
                _ => return Err(self.unexpected(CONTEXT, "identifier or \"}\"")),
            };
            match self.match_op() {
                Some(op) => {
                    let value = *self.peek();
                    if value.kind != TokenKind::String {
                        return Err(self.unexpected(CONTEXT, "string"));
                    }
                    self.advance();
                    out.push(self.matcher(op, &label, &value)?);
                }
                None if label.kind == TokenKind::String => {
                    out.push(Matcher::metric(self.label_name(&label)?));
                }
                None => return Err(self.unexpected(CONTEXT, "label matching operator")),
            }
            let comma = self.accept(TokenKind::Comma).is_some();
            if self.accept(TokenKind::RightBrace).is_some() {
                return Ok(());
            }
            if !comma {
                return Err(self.unexpected(CONTEXT, "\",\" or \"}\""));
            }
        }
    }

    fn match_op(&mut self) -> Option<MatchOp> {
        let op = match self.peek().kind {
            TokenKind::Assign => MatchOp::Equal,
            TokenKind::Binary(crate::ast::BinaryOp::NotEq) => MatchOp::NotEqual,
            TokenKind::RegexMatch => MatchOp::Regex,
            TokenKind::RegexNoMatch => MatchOp::NotRegex,
            _ => return None,
        };
        self.advance();
        Some(op)
    }

    fn label_name(&self, token: &Token) -> Parsed<String> {
        let text = token.text(self.input);
        if token.kind != TokenKind::String {
            return Ok(text.to_owned());
        }
        String::from_utf8(unquote(text)).map_err(|e| {
            let shown = crate::token::quote(e.as_bytes());
            self.error(token.pos, format!("invalid label name {shown}"))
        })
    }

    fn matcher(&mut self, op: MatchOp, label: &Token, value: &Token) -> Parsed<Matcher> {
        let name = self.label_name(label)?;
        let text = String::from_utf8(unquote(value.text(self.input)))
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        let pos = label.pos.to(value.pos);
        let matcher = known_patterns::matcher(&self.options.limits.pattern, op, name, text)
            .map_err(|e| self.error(pos, e.to_string()))?;
        self.pattern_bytes += matcher.regex().map_or(0, AnchoredRegex::heap_bytes);
        if self.pattern_bytes > PATTERNS_BYTES_MAX {
            let message =
                format!("regular expressions of the query take more than the limit of {PATTERNS_BYTES_MAX} bytes");
            return Err(self.error(pos, message));
        }
        Ok(matcher)
    }

    /// `[range]` or `[range:step]` behind `expr`.
    pub(super) fn range(&mut self, expr: Expr) -> Parsed<Expr> {
        let open = self.advance();
        let (range_ms, range_expr) = self.positive_duration()?;
        if self.accept(TokenKind::Colon).is_some() {
            let (step_ms, step_expr) = match self.peek().kind {
                TokenKind::RightBracket => (0, None),
                _ => self.subquery_step()?,
            };
            self.expect(TokenKind::RightBracket, "subquery selector", "\"]\"")?;
            self.grow(self.height)?;
            return Ok(Expr::Subquery(Box::new(SubqueryExpr {
                expr,
                range_ms,
                range_expr,
                step_ms,
                step_expr,
                offset_ms: 0,
                offset_expr: None,
                timestamp_ms: None,
                at: None,
                end: self.last_end(),
            })));
        }
        let close = self.expect(TokenKind::RightBracket, "subquery or range", "\":\" or \"]\"")?;
        let pos = open.pos.to(close.pos);
        let Expr::Vector(selector) = expr else {
            return Err(self.error(pos, "ranges only allowed for vector selectors"));
        };
        if selector.offset_ms != 0 || selector.offset_expr.is_some() {
            return Err(self.error(pos, "no offset modifiers allowed before range"));
        }
        if selector.timestamp_ms.is_some() || selector.at.is_some() {
            return Err(self.error(pos, "no @ modifiers allowed before range"));
        }
        let end = self.last_end();
        Ok(Expr::Matrix(Box::new(MatrixSelector { selector: *selector, range_ms, range_expr, end })))
    }

    fn positive_duration(&mut self) -> Parsed<(i64, Option<DurationExpr>)> {
        let expr = self.duration("subquery or range selector", "number, duration, step(), or range()")?;
        self.positive(expr)
    }

    fn subquery_step(&mut self) -> Parsed<(i64, Option<DurationExpr>)> {
        let expr = self.duration("subquery selector", "number, duration, step(), range(), or \"]\"")?;
        self.positive(expr)
    }

    fn positive(&self, expr: DurationExpr) -> Parsed<(i64, Option<DurationExpr>)> {
        match expr {
            // The token behind it is read before its value is looked at.
            DurationExpr::Number(n) if n.value <= 0.0 && self.peek().kind == TokenKind::Error => {
                Err(self.unexpected("", ""))
            }
            DurationExpr::Number(n) if n.value <= 0.0 || n.value.is_nan() => {
                Err(self.error(n.pos, "duration must be greater than 0"))
            }
            DurationExpr::Number(n) => Ok((literal_ms(n.value), None)),
            computed @ DurationExpr::Operation(_) => Ok((0, Some(computed))),
        }
    }

    pub(super) fn offset(&mut self, mut expr: Expr) -> Parsed<Expr> {
        self.advance();
        let duration = self.offset_duration()?;
        let (offset_ms, offset_expr) = match duration {
            DurationExpr::Number(n) => (literal_ms(n.value), None),
            computed @ DurationExpr::Operation(_) => (0, Some(computed)),
        };
        let end = self.last_end();
        let pos = expr.pos();
        let (at_ms, at_expr, last) = match &mut expr {
            Expr::Vector(e) => (&mut e.offset_ms, &mut e.offset_expr, &mut e.pos.end),
            Expr::Matrix(e) => (&mut e.selector.offset_ms, &mut e.selector.offset_expr, &mut e.end),
            Expr::Subquery(e) => (&mut e.offset_ms, &mut e.offset_expr, &mut e.end),
            _ => return Err(self.error(pos, format!("offset modifier {NOT_A_SELECTOR}"))),
        };
        if *at_ms != 0 || at_expr.is_some() {
            return Err(self.error(pos, "offset may not be set multiple times"));
        }
        (*at_ms, *at_expr, *last) = (offset_ms, offset_expr, end);
        Ok(expr)
    }

    pub(super) fn at_modifier(&mut self, mut expr: Expr) -> Parsed<Expr> {
        self.advance();
        let bound = match self.peek().kind {
            TokenKind::Keyword(Keyword::Start) => Some(AtBound::Start),
            TokenKind::Keyword(Keyword::End) => Some(AtBound::End),
            _ => None,
        };
        let pos = expr.pos();
        let mut timestamp_ms = None;
        if bound.is_some() {
            self.advance();
            self.expect(TokenKind::LeftParen, "@", "timestamp")?;
            self.expect(TokenKind::RightParen, "@", "timestamp")?;
        } else {
            let seconds = self.signed_number("@", "timestamp")?.value;
            if !seconds.is_finite() || seconds.abs() >= i64::MAX as f64 {
                let shown = go_fixed(seconds);
                return Err(self.error(pos, format!("timestamp out of bounds for @ modifier: {shown}")));
            }
            let ms = (seconds * 1000.0).round();
            // Beyond what fits it is what Go makes of it on the common processor.
            timestamp_ms = Some(if ms.abs() < i64::MAX as f64 { ms as i64 } else { i64::MIN });
        }
        let end = self.last_end();
        let (at_ms, at_bound, last) = match &mut expr {
            Expr::Vector(e) => (&mut e.timestamp_ms, &mut e.at, &mut e.pos.end),
            Expr::Matrix(e) => (&mut e.selector.timestamp_ms, &mut e.selector.at, &mut e.end),
            Expr::Subquery(e) => (&mut e.timestamp_ms, &mut e.at, &mut e.end),
            _ => return Err(self.error(pos, format!("@ modifier {NOT_A_SELECTOR}"))),
        };
        if at_ms.is_some() || at_bound.is_some() {
            return Err(self.error(pos, "@ <timestamp> may not be set multiple times"));
        }
        (*at_ms, *at_bound, *last) = (timestamp_ms, bound, end);
        Ok(expr)
    }

    /// `anchored` or `smoothed` behind a selector.
    pub(super) fn extended(&mut self, mut expr: Expr) -> Parsed<Expr> {
        let token = self.advance();
        let anchored = token.kind == TokenKind::Keyword(Keyword::Anchored);
        let word = if anchored { "anchored" } else { "smoothed" };
        let pos = expr.pos();
        let selector = match &mut expr {
            Expr::Vector(e) => {
                e.pos.end = token.pos.end;
                &mut **e
            }
            Expr::Matrix(e) => {
                e.end = token.pos.end;
                &mut e.selector
            }
            Expr::Subquery(_) => {
                return Err(self.error(pos, format!("{word} modifier is not supported for subqueries")));
            }
            _ => return Err(self.error(pos, format!("{word} modifier not implemented"))),
        };
        if if anchored { selector.smoothed } else { selector.anchored } {
            return Err(self.error(pos, "anchored and smoothed modifiers cannot be used together"));
        }
        if anchored {
            selector.anchored = true;
        } else {
            selector.smoothed = true;
        }
        Ok(expr)
    }
}

/// Go's `%f`.
fn go_fixed(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf".into() } else { "-Inf".into() }
    } else {
        format!("{value:.6}")
    }
}
