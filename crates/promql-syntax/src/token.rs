//! Tokens of the query language and how error messages call them.

use crate::ast::{AggregateOp, BinaryOp};
use crate::pos::PosRange;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Token {
    pub kind: TokenKind,
    pub pos: PosRange,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum TokenKind {
    /// The lexer has refused something and keeps the reason; nothing follows.
    Error,
    End,
    Identifier,
    /// An identifier with a colon in it.
    MetricIdentifier,
    String,
    Number,
    Duration,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    /// `=`
    Assign,
    Colon,
    At,
    /// `=~`
    RegexMatch,
    /// `!~`
    RegexNoMatch,
    Binary(BinaryOp),
    Aggregate(AggregateOp),
    Keyword(Keyword),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keyword {
    Offset,
    By,
    Without,
    On,
    Ignoring,
    GroupLeft,
    GroupRight,
    Bool,
    Start,
    End,
    Step,
    Range,
    Anchored,
    Smoothed,
    Fill,
    FillLeft,
    FillRight,
    MinOf,
    MaxOf,
}

impl Keyword {
    /// Whether it is one of those that are keywords only before a parenthesis.
    pub const fn is_fill(self) -> bool {
        matches!(self, Keyword::Fill | Keyword::FillLeft | Keyword::FillRight)
    }

    /// Whether a metric may bear the keyword as its bare name.
    pub const fn is_metric_name(self) -> bool {
        matches!(
            self,
            Keyword::Offset
                | Keyword::By
                | Keyword::Without
                | Keyword::Start
                | Keyword::End
                | Keyword::Step
                | Keyword::Range
                | Keyword::Anchored
                | Keyword::Smoothed
        )
    }
}

/// The longest keyword is `count_values`.
pub(crate) const KEYWORD_BYTES_MAX: usize = 12;

/// `word` in lower case; `None` if it is longer than any keyword or not ASCII.
pub(crate) fn lowercase<'b>(word: &str, buffer: &'b mut [u8; KEYWORD_BYTES_MAX]) -> Option<&'b str> {
    let out = buffer.get_mut(..word.len())?;
    out.copy_from_slice(word.as_bytes());
    out.make_ascii_lowercase();
    std::str::from_utf8(out).ok()
}

/// What `word` (any case) means at the top level.
pub(crate) fn keyword(word: &str) -> Option<TokenKind> {
    let mut buffer = [0; KEYWORD_BYTES_MAX];
    let lower = lowercase(word, &mut buffer)?;
    let keyword = match lower {
        "offset" => Keyword::Offset,
        "by" => Keyword::By,
        "without" => Keyword::Without,
        "on" => Keyword::On,
        "ignoring" => Keyword::Ignoring,
        "group_left" => Keyword::GroupLeft,
        "group_right" => Keyword::GroupRight,
        "bool" => Keyword::Bool,
        "start" => Keyword::Start,
        "end" => Keyword::End,
        "step" => Keyword::Step,
        "range" => Keyword::Range,
        "anchored" => Keyword::Anchored,
        "smoothed" => Keyword::Smoothed,
        "and" => return Some(TokenKind::Binary(BinaryOp::And)),
        "or" => return Some(TokenKind::Binary(BinaryOp::Or)),
        "unless" => return Some(TokenKind::Binary(BinaryOp::Unless)),
        "atan2" => return Some(TokenKind::Binary(BinaryOp::Atan2)),
        "inf" | "nan" => return Some(TokenKind::Number),
        _ => {
            let op = AggregateOp::ALL.into_iter().find(|op| op.as_str() == lower);
            return op.map(TokenKind::Aggregate);
        }
    };
    Some(TokenKind::Keyword(keyword))
}

impl Token {
    pub fn text<'a>(&self, input: &'a str) -> &'a str {
        &input[self.pos.start..self.pos.end.min(input.len())]
    }

    /// The token as error messages show it.
    pub fn describe(&self, input: &str) -> String {
        let text = self.text(input);
        let quoted = || {
            if text.chars().count() > 10 {
                let short: String = text.chars().take(10).collect();
                format!("{}...", quote(&short))
            } else {
                quote(text)
            }
        };
        match &self.kind {
            TokenKind::End => "end of input".to_owned(),
            // Names of functions of durations are keywords everywhere in Prometheus.
            TokenKind::Identifier if ["min_of", "max_of"].iter().any(|w| text.eq_ignore_ascii_case(w)) => quoted(),
            TokenKind::Identifier => format!("identifier {}", quote(text)),
            TokenKind::MetricIdentifier => format!("metric identifier {}", quote(text)),
            TokenKind::String => format!("string {}", quoted()),
            TokenKind::Number => format!("number {}", quoted()),
            TokenKind::Duration => format!("duration {}", quoted()),
            TokenKind::Binary(_) | TokenKind::RegexMatch | TokenKind::RegexNoMatch | TokenKind::At => {
                format!("<op:{text}>")
            }
            TokenKind::Aggregate(_) => format!("<aggr:{text}>"),
            TokenKind::Keyword(
                Keyword::Start | Keyword::End | Keyword::Step | Keyword::Range | Keyword::MinOf | Keyword::MaxOf,
            ) => quoted(),
            TokenKind::Keyword(_) => format!("<{text}>"),
            _ => quoted(),
        }
    }
}

/// The text between double quotes as Go's `%q` writes it, with escapes for what does not print. It need not be UTF-8.
pub fn quote(text: impl AsRef<[u8]>) -> String {
    let bytes = text.as_ref();
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\x07' => out.push_str("\\a"),
                '\x08' => out.push_str("\\b"),
                '\x0c' => out.push_str("\\f"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\x0b' => out.push_str("\\v"),
                c if (c as u32) < 0x20 || c as u32 == 0x7f => push_hex(&mut out, "\\x", c as u32, 2),
                c if c.is_control() => push_hex(&mut out, "\\u", c as u32, 4),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            push_hex(&mut out, "\\x", u32::from(*byte), 2);
        }
    }
    out.push('"');
    out
}

fn push_hex(out: &mut String, prefix: &str, value: u32, digits: u32) {
    out.push_str(prefix);
    out.extend((0..digits).rev().filter_map(|i| char::from_digit((value >> (4 * i)) & 0xf, 16)));
}
