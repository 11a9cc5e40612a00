//! Arithmetic over durations, in brackets and behind `offset`.

use super::{Parsed, Parser};
use crate::ast::{BinaryOp, DurationExpr, DurationOp, DurationOperation, NumberLiteral};
use crate::pos::PosRange;
use crate::token::{Keyword, TokenKind};

const MAX_SECONDS: f64 = i64::MAX as f64 / 1e9;

fn operation(op: DurationOp, lhs: Option<DurationExpr>, rhs: Option<DurationExpr>, pos: PosRange) -> DurationExpr {
    DurationExpr::Operation(Box::new(DurationOperation { op, lhs, rhs, wrapped: false, pos }))
}

impl Parser<'_> {
    /// A whole duration expression, as it stands in brackets or parentheses.
    pub(super) fn duration(&mut self, context: &str, expected: &str) -> Parsed<DurationExpr> {
        self.duration_binary(0, context, expected)
    }

    fn duration_binary(&mut self, precedence: u8, context: &str, expected: &str) -> Parsed<DurationExpr> {
        self.descend()?;
        let mut lhs = self.duration_unary(context, expected)?;
        let mut chain = 0;
        while let Some((op, strength)) = self.duration_op() {
            if strength < precedence {
                break;
            }
            chain += 1;
            self.check_depth(self.depth + chain)?;
            let token = self.advance();
            let next = if op == DurationOp::Pow { strength } else { strength + 1 };
            let rhs = self.duration_binary(next, context, expected)?;
            if let DurationExpr::Number(NumberLiteral { value: 0.0, .. }) = rhs
                && self.peek().kind != TokenKind::Error
            {
                match op {
                    DurationOp::Div => return Err(self.error(token.pos, "division by zero")),
                    DurationOp::Mod => return Err(self.error(token.pos, "modulo by zero")),
                    _ => {}
                }
            }
            self.duration_enabled(token.pos)?;
            let pos = lhs.pos().to(rhs.pos());
            lhs = operation(op, Some(lhs), Some(rhs), pos);
        }
        self.depth -= 1;
        Ok(lhs)
    }

    fn duration_op(&self) -> Option<(DurationOp, u8)> {
        let TokenKind::Binary(op) = self.peek().kind else { return None };
        let duration_op = match op {
            BinaryOp::Add => DurationOp::Add,
            BinaryOp::Sub => DurationOp::Sub,
            BinaryOp::Mul => DurationOp::Mul,
            BinaryOp::Div => DurationOp::Div,
            BinaryOp::Mod => DurationOp::Mod,
            BinaryOp::Pow => DurationOp::Pow,
            _ => return None,
        };
        Some((duration_op, op.precedence()))
    }

    fn duration_enabled(&self, pos: PosRange) -> Parsed<()> {
        if self.options.duration_expressions {
            Ok(())
        } else {
            Err(self.error(pos, "duration expressions are experimental and not enabled"))
        }
    }

    fn duration_unary(&mut self, context: &str, expected: &str) -> Parsed<DurationExpr> {
        let Some((negative, start)) = self.sign() else { return self.duration_primary(context, expected) };
        let operand = self.duration_binary(BinaryOp::Pow.precedence(), context, expected)?;
        Ok(signed(negative, start, operand))
    }

    fn duration_primary(&mut self, context: &str, expected: &str) -> Parsed<DurationExpr> {
        match self.peek().kind {
            TokenKind::Number | TokenKind::Duration => self.duration_literal().map(DurationExpr::Number),
            TokenKind::LeftParen => {
                let open = self.advance();
                let inner = self.duration_binary(0, context, expected)?;
                let close = self.expect(TokenKind::RightParen, context, expected)?;
                self.duration_enabled(open.pos)?;
                Ok(wrapped(inner, open.pos.to(close.pos)))
            }
            _ => match self.duration_function(context, expected)? {
                Some(call) => Ok(call),
                None => Err(self.unexpected(context, expected)),
            },
        }
    }

    /// `step()`, `range()`, `min_of(a, b)` or `max_of(a, b)`.
    fn duration_function(&mut self, context: &str, expected: &str) -> Parsed<Option<DurationExpr>> {
        let token = *self.peek();
        let op = match token.kind {
            TokenKind::Keyword(Keyword::Step) => DurationOp::Step,
            TokenKind::Keyword(Keyword::Range) => DurationOp::Range,
            TokenKind::Keyword(Keyword::MinOf) => DurationOp::MinOf,
            TokenKind::Keyword(Keyword::MaxOf) => DurationOp::MaxOf,
            TokenKind::Identifier if token.text(self.input).eq_ignore_ascii_case("min_of") => DurationOp::MinOf,
            TokenKind::Identifier if token.text(self.input).eq_ignore_ascii_case("max_of") => DurationOp::MaxOf,
            _ => return Ok(None),
        };
        self.advance();
        self.expect(TokenKind::LeftParen, context, expected)?;
        let (mut lhs, mut rhs) = (None, None);
        if matches!(op, DurationOp::MinOf | DurationOp::MaxOf) {
            lhs = Some(self.duration(context, expected)?);
            self.expect(TokenKind::Comma, context, expected)?;
            rhs = Some(self.duration(context, expected)?);
        }
        let close = self.expect(TokenKind::RightParen, context, expected)?;
        self.duration_enabled(token.pos)?;
        Ok(Some(operation(op, lhs, rhs, token.pos.to(close.pos))))
    }

    fn duration_literal(&mut self) -> Parsed<NumberLiteral> {
        let number = self.number()?;
        self.check_duration(&number)?;
        Ok(number)
    }

    /// NaN is only found to be none when it is computed with.
    fn check_duration(&self, number: &NumberLiteral) -> Parsed<()> {
        if number.value.abs() > MAX_SECONDS {
            return Err(self.error(number.pos, "duration out of range"));
        }
        Ok(())
    }

    /// What may stand behind `offset`: behind one sign or without parentheses only one operand.
    pub(super) fn offset_duration(&mut self) -> Parsed<DurationExpr> {
        const CONTEXT: &str = "offset";
        const EXPECTED: &str = "number, duration, step(), or range()";
        if self.peek().kind == TokenKind::LeftParen {
            // What follows the parentheses belongs to the offset too.
            return self.duration(CONTEXT, EXPECTED);
        }
        if self.at_sign(0) && self.at_sign(1) {
            return self.duration(CONTEXT, EXPECTED);
        }
        let Some((negative, start)) = self.sign() else { return self.duration_primary(CONTEXT, EXPECTED) };
        if matches!(self.peek().kind, TokenKind::Number | TokenKind::Duration) {
            let mut number = self.number()?;
            number.pos.start = start;
            self.check_duration(&number)?;
            return Ok(signed(negative, start, DurationExpr::Number(number)));
        }
        let operand = if self.accept(TokenKind::LeftParen).is_some() {
            let inner = self.duration(CONTEXT, EXPECTED)?;
            self.expect(TokenKind::RightParen, CONTEXT, EXPECTED)?;
            let pos = inner.pos();
            wrapped(inner, pos)
        } else {
            let operand = self.duration_primary(CONTEXT, EXPECTED)?;
            if !negative {
                let pos = PosRange::new(start, operand.pos().end);
                return Ok(operation(DurationOp::Add, None, Some(operand), pos));
            }
            operand
        };
        Ok(signed(negative, start, operand))
    }
}

/// Milliseconds of a literal: those of the nanoseconds in which Prometheus keeps it, so that halves are not rounded.
pub(super) fn literal_ms(seconds: f64) -> i64 {
    if seconds.is_nan() {
        // What Go makes of it on the common processor.
        return i64::MIN / 1_000_000;
    }
    (seconds * 1e9).round() as i64 / 1_000_000
}

fn signed(negative: bool, start: usize, operand: DurationExpr) -> DurationExpr {
    match operand {
        DurationExpr::Number(mut number) => {
            if negative {
                number.value = -number.value;
            }
            number.pos.start = start;
            DurationExpr::Number(number)
        }
        operand @ DurationExpr::Operation(_) if negative => {
            let pos = PosRange::new(start, operand.pos().end);
            operation(DurationOp::Sub, None, Some(operand), pos)
        }
        operand @ DurationExpr::Operation(_) => operand,
    }
}

/// Remembers parentheses; around a plain number they become an operation of their own.
fn wrapped(inner: DurationExpr, pos: PosRange) -> DurationExpr {
    match inner {
        DurationExpr::Operation(mut operation) => {
            operation.wrapped = true;
            DurationExpr::Operation(operation)
        }
        number @ DurationExpr::Number(_) => DurationExpr::Operation(Box::new(DurationOperation {
            op: DurationOp::Add,
            lhs: None,
            rhs: Some(number),
            wrapped: true,
            pos,
        })),
    }
}
