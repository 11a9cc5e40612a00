//! Tokens to a syntax tree: precedence climbing over binary operators, postfix modifiers, then a type check.

mod check;
mod duration;
mod known_patterns;
mod metric;
mod options;
mod selector;

use crate::ast::{
    AggregateExpr, BinaryExpr, BinaryOp, Call, Cardinality, Expr, NumberLiteral, ParenExpr, StringLiteral, UnaryExpr,
    VectorMatching,
};
use crate::error::ParseError;
use crate::functions::Function;
use crate::lexer;
use crate::literal::{parse_duration_ms, parse_number, unquote};
use crate::pos::PosRange;
use crate::token::{Keyword, Token, TokenKind, quote};

pub use metric::parse_metric;
pub use options::{ParseOptions, QUERY_BYTES_MAX, TextLimits};

/// Most levels of nesting in a syntax tree: parentheses, functions, signs, subqueries and `^`. The operators of a chain
/// like `a + b + c` are one level, however many there are.
pub const DEPTH_MAX: usize = 450;

/// The refusal of a text without tokens.
const NO_EXPRESSION: &str = "no expression found in input";

/// Parses and type-checks a query of at most [`QUERY_BYTES_MAX`] bytes, in linear time.
///
/// # Errors
/// The first error in the text.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    parse_with(text, ParseOptions::ALL)
}

/// As [`parse`], for a chosen part of the language.
///
/// # Errors
/// The first error in the text.
pub fn parse_with(text: &str, options: ParseOptions) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text, options)?;
    if matches!(parser.peek().kind, TokenKind::End) {
        return Err(parser.error(PosRange::default(), NO_EXPRESSION));
    }
    let mut expr = parser.binary(0)?;
    if !matches!(parser.peek().kind, TokenKind::End) {
        return Err(parser.unexpected("", ""));
    }
    check::check(text, &mut expr)?;
    Ok(expr)
}

/// Parses an instant selector like `up{job="x"}`, as the `match[]` parameters of the API have it. Its matchers may all
/// match the empty value, and so every series.
///
/// # Errors
/// The first error in the text, or that something else than a selector stands there.
pub fn parse_selector(text: &str, options: ParseOptions) -> Result<Vec<mytsdb_model::Matcher>, ParseError> {
    let mut parser = Parser::new(text, options)?;
    let mut expr = match parser.peek().kind {
        TokenKind::End => return Err(parser.error(PosRange::default(), "unexpected end of input")),
        TokenKind::LeftBrace
        | TokenKind::Identifier
        | TokenKind::MetricIdentifier
        | TokenKind::Aggregate(_)
        | TokenKind::Binary(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless) => parser.vector_selector()?,
        TokenKind::Keyword(keyword) if keyword.is_metric_name() => parser.vector_selector()?,
        _ => return Err(parser.unexpected("", "")),
    };
    if !matches!(parser.peek().kind, TokenKind::End) {
        return Err(parser.unexpected("", ""));
    }
    if let Expr::Vector(selector) = &mut expr {
        selector.label_selector_only = true;
    }
    check::check(text, &mut expr)?;
    match expr {
        Expr::Vector(selector) => Ok(selector.matchers),
        other => Err(ParseError::new(text, other.pos(), "expected a plain vector selector")),
    }
}

pub(crate) struct Parser<'a> {
    input: &'a str,
    tokens: Vec<Token>,
    /// Why the last token is an error.
    refusal: String,
    at: usize,
    options: ParseOptions,
    depth: usize,
    /// Aggregations that are not parsed to their end.
    aggregations: usize,
    /// Height of the tree that was returned last.
    height: usize,
    /// Memory of the regular expressions so far.
    pattern_bytes: usize,
}

type Parsed<T> = Result<T, ParseError>;

impl<'a> Parser<'a> {
    fn new(input: &'a str, options: ParseOptions) -> Parsed<Self> {
        let TextLimits { query_bytes_max, query_setting, .. } = options.limits;
        if input.len() > query_bytes_max {
            let message = format!(
                "query of {} bytes exceeds the limit of {query_bytes_max} bytes ({query_setting})",
                input.len()
            );
            return Err(ParseError::new(input, PosRange::default(), message));
        }
        let (tokens, refusal) = lexer::tokens(input, options.unquoted_names);
        Ok(Self { input, tokens, refusal, at: 0, options, depth: 0, aggregations: 0, height: 0, pattern_bytes: 0 })
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }

    fn advance(&mut self) -> Token {
        let token = self.tokens[self.at];
        // The last token (end or error) is never passed.
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    fn accept(&mut self, kind: TokenKind) -> Option<Token> {
        (self.peek().kind == kind).then(|| self.advance())
    }

    fn accept_keyword(&mut self, keyword: Keyword) -> Option<Token> {
        self.accept(TokenKind::Keyword(keyword))
    }

    /// End of the token that was consumed last.
    fn last_end(&self) -> usize {
        if self.at == 0 { 0 } else { self.tokens[self.at - 1].pos.end }
    }

    fn error(&self, pos: PosRange, message: impl Into<String>) -> ParseError {
        ParseError::new(self.input, pos, message)
    }

    /// The next token is not what the grammar wants.
    fn unexpected(&self, context: &str, expected: &str) -> ParseError {
        let token = self.peek();
        if token.kind == TokenKind::Error {
            return self.error(token.pos, &*self.refusal);
        }
        let mut message = match token.kind {
            // Within braces there are no keywords.
            TokenKind::Identifier if context == "label matching" => {
                format!("unexpected identifier {}", quote(token.text(self.input)))
            }
            _ => format!("unexpected {}", token.describe(self.input)),
        };
        // What nothing nearer explains is explained by the aggregation around it.
        let context = if context.is_empty() && self.aggregations > 0 { "aggregation" } else { context };
        if !context.is_empty() {
            message.push_str(" in ");
            message.push_str(context);
        }
        if !expected.is_empty() {
            message.push_str(", expected ");
            message.push_str(expected);
        }
        self.error(token.pos, message)
    }

    fn descend(&mut self) -> Parsed<()> {
        self.depth += 1;
        self.check_depth(self.depth)
    }

    fn check_depth(&self, depth: usize) -> Parsed<()> {
        if depth > DEPTH_MAX {
            let message = format!("expression is nested too deeply, the limit is {DEPTH_MAX} levels");
            return Err(self.error(self.peek().pos, message));
        }
        Ok(())
    }

    /// Notes that a node was built over trees of at most `below` levels.
    fn grow(&mut self, below: usize) -> Parsed<()> {
        self.height = below + 1;
        self.check_depth(self.height)
    }

    /// An expression of operators that bind at least as strongly as `precedence`.
    fn binary(&mut self, precedence: u8) -> Parsed<Expr> {
        self.descend()?;
        let mut lhs = self.unary()?;
        while let TokenKind::Binary(op) = self.peek().kind {
            if op.precedence() < precedence {
                break;
            }
            // The operators of a chain are one level.
            let below = if matches!(lhs, Expr::Binary(_)) { self.height - 1 } else { self.height };
            self.advance();
            let (return_bool, matching) = self.binary_modifiers()?;
            let rhs = self.binary(if op == BinaryOp::Pow { op.precedence() } else { op.precedence() + 1 })?;
            self.grow(below.max(self.height))?;
            lhs = Expr::Binary(Box::new(BinaryExpr::new(op, lhs, rhs, matching, return_bool)));
        }
        self.depth -= 1;
        Ok(lhs)
    }

    fn binary_modifiers(&mut self) -> Parsed<(bool, VectorMatching)> {
        let return_bool = self.accept_keyword(Keyword::Bool).is_some();
        let mut matching = VectorMatching::default();
        let on = self.accept_keyword(Keyword::On).is_some();
        if on || self.accept_keyword(Keyword::Ignoring).is_some() {
            matching.on = on;
            matching.labels = self.grouping()?;
            let cardinality = if self.accept_keyword(Keyword::GroupLeft).is_some() {
                Some(Cardinality::ManyToOne)
            } else if self.accept_keyword(Keyword::GroupRight).is_some() {
                Some(Cardinality::OneToMany)
            } else {
                None
            };
            if let Some(cardinality) = cardinality {
                matching.cardinality = cardinality;
                if self.peek().kind == TokenKind::LeftParen || !self.starts_expression() {
                    matching.include = self.grouping()?;
                }
            }
        }
        self.fill(&mut matching)?;
        Ok((return_bool, matching))
    }

    fn fill(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        for _ in 0..2 {
            let TokenKind::Keyword(keyword @ (Keyword::Fill | Keyword::FillLeft | Keyword::FillRight)) =
                self.peek().kind
            else {
                break;
            };
            let left_taken = keyword != Keyword::FillRight && matching.fill_left.is_some();
            let right_taken = keyword != Keyword::FillLeft && matching.fill_right.is_some();
            if left_taken || right_taken {
                break;
            }
            let token = self.advance();
            if !self.options.fill_modifiers {
                return Err(self.error(token.pos, "binop fill modifiers are experimental and not enabled"));
            }
            self.expect(TokenKind::LeftParen, "fill modifier", "\"(\"")?;
            let value = self.signed_number("", "")?.value;
            self.expect(TokenKind::RightParen, "", "")?;
            if keyword != Keyword::FillRight {
                matching.fill_left = Some(value);
            }
            if keyword != Keyword::FillLeft {
                matching.fill_right = Some(value);
            }
        }
        Ok(())
    }

    fn expect(&mut self, kind: TokenKind, context: &str, expected: &str) -> Parsed<Token> {
        self.accept(kind).ok_or_else(|| self.unexpected(context, expected))
    }

    /// Whether the token that comes `ahead` tokens after the next one is a sign.
    fn at_sign(&self, ahead: usize) -> bool {
        let token = self.tokens.get(self.at + ahead);
        token.is_some_and(|t| matches!(t.kind, TokenKind::Binary(BinaryOp::Sub | BinaryOp::Add)))
    }

    fn sign(&mut self) -> Option<(bool, usize)> {
        let negative = match self.peek().kind {
            TokenKind::Binary(BinaryOp::Sub) => true,
            TokenKind::Binary(BinaryOp::Add) => false,
            _ => return None,
        };
        Some((negative, self.advance().pos.start))
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let Some((negative, start)) = self.sign() else { return self.postfix() };
        // A sign binds as strongly as `*`: of the binary operators, only `^` may take the operand first.
        let operand = self.binary(BinaryOp::Pow.precedence())?;
        if let Expr::Number(mut number) = operand {
            if negative {
                number.value = -number.value;
            }
            number.pos.start = start;
            return Ok(Expr::Number(number));
        }
        self.grow(self.height)?;
        Ok(Expr::Unary(Box::new(UnaryExpr { negative, expr: operand, start })))
    }

    fn postfix(&mut self) -> Parsed<Expr> {
        self.height = 1;
        let mut expr = self.primary()?;
        loop {
            expr = match self.peek().kind {
                TokenKind::LeftBracket => self.range(expr)?,
                TokenKind::Keyword(Keyword::Offset) => self.offset(expr)?,
                TokenKind::At => self.at_modifier(expr)?,
                TokenKind::Keyword(Keyword::Anchored | Keyword::Smoothed) => self.extended(expr)?,
                _ => return Ok(expr),
            };
        }
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let token = *self.peek();
        match token.kind {
            TokenKind::Number | TokenKind::Duration => Ok(Expr::Number(self.number()?)),
            TokenKind::String => {
                self.advance();
                Ok(Expr::String(StringLiteral { value: unquote(token.text(self.input)), pos: token.pos }))
            }
            TokenKind::LeftParen => {
                self.advance();
                let expr = self.binary(0)?;
                let close = self.expect(TokenKind::RightParen, "", "")?;
                self.grow(self.height)?;
                Ok(Expr::Paren(Box::new(ParenExpr { expr, pos: token.pos.to(close.pos) })))
            }
            TokenKind::Identifier
            | TokenKind::Keyword(Keyword::Start | Keyword::End | Keyword::Step | Keyword::Range) => {
                if self.tokens[self.at + 1].kind == TokenKind::LeftParen { self.call() } else { self.vector_selector() }
            }
            TokenKind::Aggregate(_) => match self.tokens[self.at + 1].kind {
                TokenKind::LeftParen | TokenKind::Keyword(Keyword::By | Keyword::Without) => self.aggregate(),
                _ => self.vector_selector(),
            },
            TokenKind::LeftBrace
            | TokenKind::MetricIdentifier
            | TokenKind::Binary(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless) => self.vector_selector(),
            TokenKind::Keyword(keyword) if keyword.is_fill() => {
                // A metric of this name; the parenthesis behind it made it a keyword.
                self.advance();
                Err(self.unexpected("", ""))
            }
            TokenKind::Keyword(keyword) if keyword.is_metric_name() => self.vector_selector(),
            _ => Err(self.unexpected("", "")),
        }
    }

    fn number(&mut self) -> Parsed<NumberLiteral> {
        let token = self.advance();
        let text = token.text(self.input);
        let (value, duration) = if token.kind == TokenKind::Duration {
            (parse_duration_ms(text).map(|ms| ms as f64 / 1000.0), true)
        } else {
            (parse_number(text), false)
        };
        match value {
            Ok(value) => Ok(NumberLiteral { value, duration, pos: token.pos }),
            Err(message) => Err(self.error(token.pos, message)),
        }
    }

    /// `[+-] number`, folded into one literal.
    fn signed_number(&mut self, context: &str, expected: &str) -> Parsed<NumberLiteral> {
        let sign = self.sign();
        if !matches!(self.peek().kind, TokenKind::Number | TokenKind::Duration) {
            return Err(self.unexpected(context, expected));
        }
        let mut number = self.number()?;
        if let Some((negative, start)) = sign {
            number.pos.start = start;
            if negative {
                number.value = -number.value;
            }
        }
        Ok(number)
    }

    /// `( expr, … )` after a function or an aggregation; also tells the height of the tallest argument.
    fn arguments(&mut self) -> Parsed<(Vec<Expr>, usize)> {
        self.expect(TokenKind::LeftParen, "", "")?;
        let (mut args, mut tallest) = (Vec::new(), 0);
        if self.accept(TokenKind::RightParen).is_some() {
            return Ok((args, tallest));
        }
        loop {
            args.push(self.binary(0)?);
            tallest = tallest.max(self.height);
            if self.accept(TokenKind::RightParen).is_some() {
                return Ok((args, tallest));
            }
            let comma = self.expect(TokenKind::Comma, "", "")?;
            if !self.starts_expression() {
                return Err(self.error(comma.pos, "trailing commas not allowed in function call args"));
            }
        }
    }

    /// Whether the next token may begin an expression, or cannot be read.
    fn starts_expression(&self) -> bool {
        match self.peek().kind {
            TokenKind::Binary(BinaryOp::Add | BinaryOp::Sub | BinaryOp::And | BinaryOp::Or | BinaryOp::Unless)
            | TokenKind::Number
            | TokenKind::Duration
            | TokenKind::String
            | TokenKind::LeftParen
            | TokenKind::LeftBrace
            | TokenKind::Identifier
            | TokenKind::MetricIdentifier
            | TokenKind::Aggregate(_)
            | TokenKind::Error => true,
            TokenKind::Keyword(keyword) => keyword.is_metric_name() || keyword.is_fill(),
            _ => false,
        }
    }

    fn call(&mut self) -> Parsed<Expr> {
        let name = self.advance();
        let (args, tallest) = self.arguments()?;
        self.grow(tallest)?;
        let text = name.text(self.input);
        // Keywords have any case.
        let keyword = matches!(name.kind, TokenKind::Keyword(_));
        let known = if keyword { Function::by_name(&text.to_ascii_lowercase()) } else { Function::by_name(text) };
        let Some(function) = known else {
            return Err(self.error(name.pos, format!("unknown function with name {}", quote(text))));
        };
        if function.row().experimental && !self.options.experimental_functions {
            return Err(self.error(name.pos, format!("function {} is experimental and not enabled", quote(text))));
        }
        Ok(Expr::Call(Box::new(Call { function, args, pos: PosRange::new(name.pos.start, self.last_end()) })))
    }

    fn aggregate(&mut self) -> Parsed<Expr> {
        let token = self.advance();
        let TokenKind::Aggregate(op) = token.kind else { return Err(self.unexpected("aggregation", "")) };
        self.aggregations += 1;
        let mut clause = self.aggregate_clause()?;
        let (mut args, tallest) = self.arguments()?;
        self.aggregations -= 1;
        self.grow(tallest)?;
        if clause.is_none() {
            clause = self.aggregate_clause()?;
            if clause.is_none() && self.peek().kind == TokenKind::Error {
                // What might be the clause is read before the aggregation is looked at.
                return Err(self.unexpected("", ""));
            }
        }
        let (without, grouping) = clause.unwrap_or_default();
        let pos = PosRange::new(token.pos.start, self.last_end());
        if args.is_empty() {
            return Err(self.error(pos, "no arguments for aggregate expression provided"));
        }
        if op.is_experimental() && !self.options.experimental_functions {
            return Err(self.error(pos, format!("{}() is experimental and not enabled", op.as_str())));
        }
        let wanted = if op.has_param() { 2 } else { 1 };
        if args.len() != wanted {
            let message = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, got {}",
                args.len()
            );
            return Err(self.error(pos, message));
        }
        let expr = args.remove(wanted - 1);
        let param = args.pop();
        Ok(Expr::Aggregate(Box::new(AggregateExpr { op, expr, param, grouping, without, pos })))
    }

    fn aggregate_clause(&mut self) -> Parsed<Option<(bool, Vec<String>)>> {
        let without = match self.peek().kind {
            TokenKind::Keyword(Keyword::By) => false,
            TokenKind::Keyword(Keyword::Without) => true,
            _ => return Ok(None),
        };
        self.advance();
        Ok(Some((without, self.grouping()?)))
    }

    /// `( label, … )`, a trailing comma allowed.
    fn grouping(&mut self) -> Parsed<Vec<String>> {
        const CONTEXT: &str = "grouping opts";
        self.expect(TokenKind::LeftParen, CONTEXT, "\"(\"")?;
        let mut labels = Vec::new();
        if self.accept(TokenKind::RightParen).is_some() {
            return Ok(labels);
        }
        loop {
            let token = *self.peek();
            let text = token.text(self.input);
            let label = match token.kind {
                // The only keyword that is no label here.
                TokenKind::Keyword(Keyword::Without) => return Err(self.unexpected(CONTEXT, "label")),
                TokenKind::Identifier
                | TokenKind::MetricIdentifier
                | TokenKind::Keyword(_)
                | TokenKind::Aggregate(_)
                | TokenKind::Binary(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless | BinaryOp::Atan2) => {
                    text.to_owned()
                }
                TokenKind::String => {
                    let bytes = unquote(text);
                    match String::from_utf8(bytes) {
                        Ok(label) if !label.is_empty() => label,
                        Ok(_) => return Err(self.error(token.pos, "invalid label name for grouping: \"\"")),
                        Err(e) => {
                            let shown = crate::token::quote(e.as_bytes());
                            return Err(self.error(token.pos, format!("invalid label name for grouping: {shown}")));
                        }
                    }
                }
                _ => return Err(self.unexpected(CONTEXT, "label")),
            };
            self.advance();
            labels.push(label);
            let comma = self.accept(TokenKind::Comma).is_some();
            if self.accept(TokenKind::RightParen).is_some() {
                return Ok(labels);
            }
            if !comma {
                return Err(self.unexpected(CONTEXT, "\",\" or \")\""));
            }
        }
    }
}
