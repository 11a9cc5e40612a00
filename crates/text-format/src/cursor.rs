//! A place in a line.

use crate::Problem;
use std::borrow::Cow;

/// A problem and the byte at which it is.
pub(crate) type Trouble = (usize, Problem);

/// Reads a line from left to right.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.at == self.text.len()
    }

    pub(crate) fn trouble<T>(&self, problem: Problem) -> Result<T, Trouble> {
        Err((self.at, problem))
    }

    /// Passes over blanks and tabs; whether there were any.
    pub(crate) fn skip_blanks(&mut self) -> bool {
        let blanks = self.rest().bytes().take_while(|b| matches!(b, b' ' | b'\t')).count();
        self.at += blanks;
        blanks > 0
    }

    /// Passes over `text` if it is next.
    pub(crate) fn eat(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    pub(crate) fn expect(&mut self, text: &'static str) -> Result<(), Trouble> {
        if self.eat(text) { Ok(()) } else { self.trouble(Problem::Expected(text)) }
    }

    /// What comes before the next blank, or the end.
    pub(crate) fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find([' ', '\t']).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// A name without quotes: letters, digits that are not first, underscores, and colons if it is a metric's.
    pub(crate) fn classic_name(&mut self, is_metric: bool) -> Option<&'a str> {
        let rest = self.rest();
        let fits = |at: usize, b: u8| {
            b.is_ascii_alphabetic() || b == b'_' || (b == b':' && is_metric) || (at > 0 && b.is_ascii_digit())
        };
        let end = rest.bytes().enumerate().take_while(|(at, b)| fits(*at, *b)).count();
        self.at += end;
        (end > 0).then(|| &rest[..end])
    }

    /// A text in quotes, without them.
    pub(crate) fn quoted(&mut self) -> Result<Cow<'a, str>, Trouble> {
        self.expect("\"")?;
        let rest = self.rest();
        let Some(end) = closing_quote(rest) else {
            self.at = self.text.len();
            return self.trouble(Problem::Expected("\""));
        };
        let text = unescape(&rest[..end], true).map_err(|offset| (self.at + offset, Problem::Escape))?;
        self.at += end + 1;
        Ok(text)
    }
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|b| {
        let closes = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        closes
    })
}

/// Undoes `\\`, `\n` and, if asked for, `\"`; `Err` tells where another character stands behind a backslash.
pub(crate) fn unescape(text: &str, quotes: bool) -> Result<Cow<'_, str>, usize> {
    if !text.contains('\\') {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let here = text.len() - rest.len() + at;
        match rest.as_bytes().get(at + 1) {
            Some(b'\\') => out.push('\\'),
            Some(b'n') => out.push('\n'),
            Some(b'"') if quotes => out.push('"'),
            _ => return Err(here),
        }
        rest = &rest[at + 2..];
    }
    out.push_str(rest);
    Ok(Cow::Owned(out))
}
