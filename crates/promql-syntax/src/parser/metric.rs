//! The metric that stands in front of a series description: `name{label="value"}`.

use super::Parsed;
use crate::ast::BinaryOp;
use crate::error::ParseError;
use crate::lexer::Lexer;
use crate::literal::unquote;
use crate::token::{Token, TokenKind};
use mytsdb_model::{LABEL_NAME, Labels, LabelsBuilder};

/// Reads a metric off the front of `text`: its labels, and the first byte behind it.
///
/// # Errors
/// The first error in the metric.
pub fn parse_metric(text: &str) -> Result<(Labels, usize), ParseError> {
    let mut lexer = Lexer::series(text);
    let mut labels = LabelsBuilder::new();
    let mut token = lexer.next_token();
    match token.kind {
        TokenKind::End => return Ok((Labels::empty(), 0)),
        TokenKind::LeftBrace => {}
        TokenKind::Identifier
        | TokenKind::MetricIdentifier
        | TokenKind::Keyword(_)
        | TokenKind::Aggregate(_)
        | TokenKind::Binary(BinaryOp::And | BinaryOp::Or | BinaryOp::Unless) => {
            labels.set(LABEL_NAME, token.text(text));
            if !text[token.pos.end..].starts_with('{') {
                return Ok((labels.build(), token.pos.end));
            }
            token = lexer.next_token();
        }
        _ => return Err(unexpected(text, &lexer, &token, "identifier or \"{\"")),
    }
    debug_assert_eq!(token.kind, TokenKind::LeftBrace);
    pairs(text, &mut lexer, &mut labels)?;
    Ok((labels.build(), lexer.offset()))
}

fn unexpected(text: &str, lexer: &Lexer<'_>, token: &Token, expected: &str) -> ParseError {
    let message = match &token.kind {
        TokenKind::Error => lexer.refusal().to_owned(),
        _ => format!("unexpected {} in label set, expected {expected}", token.describe(text)),
    };
    ParseError::new(text, token.pos, message)
}

/// What stands between the braces, and the closing one.
fn pairs(text: &str, lexer: &mut Lexer<'_>, labels: &mut LabelsBuilder) -> Parsed<()> {
    let unquoted = |token: &Token| String::from_utf8_lossy(&unquote(token.text(text))).into_owned();
    let mut token = lexer.next_token();
    while token.kind != TokenKind::RightBrace {
        let name = match token.kind {
            TokenKind::Identifier => token.text(text).to_owned(),
            TokenKind::String => unquoted(&token),
            _ => return Err(unexpected(text, lexer, &token, "identifier or \"}\"")),
        };
        let quoted = token.kind == TokenKind::String;
        token = lexer.next_token();
        if token.kind == TokenKind::Assign {
            token = lexer.next_token();
            if token.kind != TokenKind::String {
                return Err(unexpected(text, lexer, &token, "string"));
            }
            labels.set(&name, &unquoted(&token));
            token = lexer.next_token();
        } else if quoted && matches!(token.kind, TokenKind::Comma | TokenKind::RightBrace) {
            labels.set(LABEL_NAME, &name);
        } else {
            return Err(unexpected(text, lexer, &token, if quoted { "\",\" or \"}\"" } else { "\"=\"" }));
        }
        match token.kind {
            TokenKind::Comma => token = lexer.next_token(),
            TokenKind::RightBrace => {}
            _ => return Err(unexpected(text, lexer, &token, "\",\" or \"}\"")),
        }
    }
    Ok(())
}
