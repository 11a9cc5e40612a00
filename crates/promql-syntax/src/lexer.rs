//! Text to tokens, in one pass and linear time.
//!
//! Three modes follow the brackets: at the top level, inside braces (where keywords are plain identifiers) and inside
//! square brackets (where only duration arithmetic is legal).

use crate::ast::BinaryOp;
use crate::pos::PosRange;
use crate::token::{KEYWORD_BYTES_MAX, Keyword, Token, TokenKind, keyword, lowercase};
use regex_syntax::hir::{Class, HirKind};
use std::sync::LazyLock;

pub(crate) struct Lexer<'a> {
    input: &'a str,
    at: usize,
    start: usize,
    paren_depth: usize,
    in_braces: bool,
    in_brackets: bool,
    /// A number stands in these brackets.
    got_duration: bool,
    /// A number or a function stands in these brackets.
    got_width: bool,
    got_colon: bool,
    /// Names may have letters of any script, and dots behind the first character.
    unquoted_names: bool,
    /// Values of a series description follow: `0x2` is a repetition, not a number in base 16.
    series: bool,
    /// Why the last token is [`TokenKind::Error`].
    refusal: String,
}

/// Most tokens of a query. Each may become a node of some 250 bytes.
const TOKENS_MAX: usize = 1 << 18;

/// All tokens of `input`; the last one is [`TokenKind::End`] or [`TokenKind::Error`], for which there is a reason.
pub(crate) fn tokens(input: &str, unquoted_names: bool) -> (Vec<Token>, String) {
    let mut lexer = Lexer { unquoted_names, ..Lexer::new(input) };
    // Most of a long text are values of labels.
    let mut out = Vec::with_capacity((input.len() / 3 + 2).min(4_096));
    loop {
        let mut token = lexer.next_token();
        if out.len() == TOKENS_MAX && !matches!(token.kind, TokenKind::End | TokenKind::Error) {
            token = Token { kind: TokenKind::Error, pos: PosRange::new(token.pos.start, input.len()) };
            lexer.refusal = format!("query has more than {TOKENS_MAX} words and signs, which is the limit");
        }
        let last = matches!(token.kind, TokenKind::End | TokenKind::Error);
        out.push(token);
        if last {
            return (out, lexer.refusal);
        }
    }
}

/// What Prometheus shows in the place of a character behind the end.
const END: char = '\u{fffd}';

type Lexed = Result<TokenKind, String>;

impl<'a> Lexer<'a> {
    pub fn new(input: &'a str) -> Self {
        Self {
            input,
            at: 0,
            start: 0,
            paren_depth: 0,
            in_braces: false,
            in_brackets: false,
            got_duration: false,
            got_width: false,
            got_colon: false,
            unquoted_names: false,
            series: false,
            refusal: String::new(),
        }
    }

    /// A lexer for the metric of a series description.
    pub fn series(input: &'a str) -> Self {
        Self { series: true, unquoted_names: true, ..Self::new(input) }
    }

    /// The offset after the last token.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Why the last token is an error.
    pub fn refusal(&self) -> &str {
        &self.refusal
    }

    pub fn next_token(&mut self) -> Token {
        self.skip_blanks_and_comments();
        self.start = self.at;
        let lexed = if self.in_braces {
            self.inside_braces()
        } else if self.in_brackets {
            self.inside_brackets()
        } else {
            self.top_level()
        };
        match lexed {
            Ok(kind) => Token { kind, pos: PosRange::new(self.start, self.at) },
            // A refusal is about everything from the offending token on.
            Err(message) => {
                self.refusal = message;
                Token { kind: TokenKind::Error, pos: PosRange::new(self.start, self.input.len()) }
            }
        }
    }

    fn skip_blanks_and_comments(&mut self) {
        let bytes = self.input.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                b'#' if !self.in_brackets || self.got_duration => {
                    while bytes.get(self.at).is_some_and(|&b| b != b'\n' && b != b'\r') {
                        self.at += 1;
                    }
                }
                _ => break,
            }
        }
    }

    #[inline]
    fn peek(&self) -> Option<char> {
        match self.input.as_bytes().get(self.at) {
            Some(&byte) if byte.is_ascii() => Some(char::from(byte)),
            _ => self.input[self.at..].chars().next(),
        }
    }

    #[inline]
    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// `set` is ASCII.
    #[inline]
    fn accept(&mut self, set: &str) -> bool {
        let found = self.input.as_bytes().get(self.at).is_some_and(|byte| set.as_bytes().contains(byte));
        self.at += usize::from(found);
        found
    }

    /// `set` is ASCII.
    fn accept_run(&mut self, set: &str) {
        let rest = &self.input.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|byte| set.as_bytes().contains(byte)).count();
    }

    /// All of what follows that is ASCII and belongs to a word.
    fn word(&mut self, more: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.input.as_bytes()[self.at..];
        self.at += rest.iter().take_while(|&&byte| byte.is_ascii() && more(char::from(byte))).count();
        &self.input[self.start..self.at]
    }

    fn begins_name(&self, c: char) -> bool {
        is_alpha(c) || (self.unquoted_names && is_letter(c))
    }

    /// All of what follows that belongs to a name, which has begun.
    fn name(&mut self, colons: bool) -> &'a str {
        let plain = |c: char| is_alphanumeric(c) || (colons && c == ':');
        let mut name = self.word(plain);
        while self.unquoted_names && self.peek().is_some_and(|c| c == '.' || is_letter(c)) {
            self.bump();
            name = self.word(plain);
        }
        name
    }

    fn top_level(&mut self) -> Lexed {
        let Some(c) = self.bump() else {
            return if self.paren_depth > 0 {
                Err("unclosed left parenthesis".into())
            } else if self.in_brackets {
                Err("unclosed left bracket".into())
            } else {
                Ok(TokenKind::End)
            };
        };
        Ok(match c {
            ',' => TokenKind::Comma,
            '+' => TokenKind::Binary(BinaryOp::Add),
            '-' => TokenKind::Binary(BinaryOp::Sub),
            '*' => TokenKind::Binary(BinaryOp::Mul),
            '/' => TokenKind::Binary(BinaryOp::Div),
            '%' => TokenKind::Binary(BinaryOp::Mod),
            '^' => TokenKind::Binary(BinaryOp::Pow),
            '@' => TokenKind::At,
            '=' if self.accept("=") => TokenKind::Binary(BinaryOp::Eq),
            '=' if self.accept("~") => return Err("unexpected character after '=': '~'".into()),
            '=' => TokenKind::Assign,
            '!' => match self.bump() {
                Some('=') => TokenKind::Binary(BinaryOp::NotEq),
                Some(other) => return Err(format!("unexpected character after '!': {}", quote_char(other))),
                None => return Err(format!("unexpected character after '!': '{END}'")),
            },
            '<' if self.accept("=") => TokenKind::Binary(BinaryOp::LessEq),
            '<' if self.accept("/") => TokenKind::Binary(BinaryOp::TrimUpper),
            '<' => TokenKind::Binary(BinaryOp::Less),
            '>' if self.accept("=") => TokenKind::Binary(BinaryOp::GreaterEq),
            '>' if self.accept("/") => TokenKind::Binary(BinaryOp::TrimLower),
            '>' => TokenKind::Binary(BinaryOp::Greater),
            '(' | ')' => return self.parenthesis(c),
            '{' => {
                self.in_braces = true;
                TokenKind::LeftBrace
            }
            '[' if self.in_brackets => return Err("unexpected left bracket '['".into()),
            ']' => return Err("unexpected right bracket ']'".into()),
            '[' => {
                self.in_brackets = true;
                self.got_duration = false;
                self.got_width = false;
                self.got_colon = false;
                TokenKind::LeftBracket
            }
            '"' | '\'' | '`' => return self.string(c),
            c if c.is_ascii_digit() || (c == '.' && self.peek().is_some_and(|d| d.is_ascii_digit())) => {
                self.at = self.start;
                return self.number_or_duration();
            }
            c if self.begins_name(c) || c == ':' => return Ok(self.identifier()),
            c => return Err(format!("unexpected character: {}", quote_char(c))),
        })
    }

    /// A parenthesis that was just read; there may be as many right ones as left ones.
    fn parenthesis(&mut self, c: char) -> Lexed {
        if c == '(' {
            self.paren_depth += 1;
            return Ok(TokenKind::LeftParen);
        }
        if self.paren_depth == 0 {
            self.start = self.at;
            return Err("unexpected right parenthesis ')'".into());
        }
        self.paren_depth -= 1;
        Ok(TokenKind::RightParen)
    }

    fn identifier(&mut self) -> TokenKind {
        let word = self.name(true);
        if let Some(kind) = keyword(word) {
            return kind;
        }
        if let Some(fill) = fill_keyword(word) {
            let rest = self.input[self.at..].trim_start_matches([' ', '\t', '\n', '\r']);
            if rest.starts_with('(') {
                return TokenKind::Keyword(fill);
            }
        }
        if word.contains(':') { TokenKind::MetricIdentifier } else { TokenKind::Identifier }
    }

    fn inside_braces(&mut self) -> Lexed {
        let Some(c) = self.bump() else {
            return Err("unexpected end of input inside braces".into());
        };
        Ok(match c {
            c if self.begins_name(c) => {
                self.name(false);
                TokenKind::Identifier
            }
            ',' => TokenKind::Comma,
            '"' | '\'' | '`' => return self.string(c),
            '=' if self.accept("~") => TokenKind::RegexMatch,
            '=' => TokenKind::Assign,
            '!' => match self.bump() {
                Some('~') => TokenKind::RegexNoMatch,
                Some('=') => TokenKind::Binary(BinaryOp::NotEq),
                Some(other) => {
                    return Err(format!("unexpected character after '!' inside braces: {}", quote_char(other)));
                }
                None => return Err(format!("unexpected character after '!' inside braces: '{END}'")),
            },
            '{' => return Err("unexpected left brace '{'".into()),
            '}' => {
                self.in_braces = false;
                TokenKind::RightBrace
            }
            c => return Err(format!("unexpected character inside braces: {}", quote_char(c))),
        })
    }

    fn inside_brackets(&mut self) -> Lexed {
        let Some(c) = self.bump() else {
            return if self.got_duration {
                self.top_level()
            } else {
                Err("unexpected end of input in duration expression".into())
            };
        };
        Ok(match c {
            ']' => {
                self.in_brackets = false;
                TokenKind::RightBracket
            }
            ':' => {
                if !self.got_width {
                    self.start = self.at;
                    return Err("unexpected colon before duration in duration expression".into());
                }
                if self.got_colon {
                    return Err("unexpected colon ':'".into());
                }
                self.got_colon = true;
                TokenKind::Colon
            }
            '(' | ')' => return self.parenthesis(c),
            ',' => TokenKind::Comma,
            '+' => TokenKind::Binary(BinaryOp::Add),
            '-' => TokenKind::Binary(BinaryOp::Sub),
            '*' => TokenKind::Binary(BinaryOp::Mul),
            '/' => TokenKind::Binary(BinaryOp::Div),
            '%' => TokenKind::Binary(BinaryOp::Mod),
            '^' => TokenKind::Binary(BinaryOp::Pow),
            c if c.is_ascii_digit() || (c == '.' && self.peek().is_some_and(|d| d.is_ascii_digit())) => {
                self.at = self.start;
                self.got_duration = true;
                self.got_width = true;
                return self.number_or_duration();
            }
            c if is_alpha(c) => {
                let keyword = match self.word(is_alpha).to_ascii_lowercase().as_str() {
                    "step" => Keyword::Step,
                    "range" => Keyword::Range,
                    "min_of" => Keyword::MinOf,
                    "max_of" => Keyword::MaxOf,
                    _ if self.got_duration => {
                        return Err(format!("unexpected character: {}, expected ':'", quote_char(c)));
                    }
                    _ => return Err(format!("unexpected character in duration expression: {}", quote_char(c))),
                };
                self.got_width = true;
                TokenKind::Keyword(keyword)
            }
            _ if self.got_duration => {
                // From the first number on, what has no meaning here is lexed as elsewhere.
                self.at = self.start;
                return self.top_level();
            }
            c => return Err(format!("unexpected character in duration expression: {}", quote_char(c))),
        })
    }

    fn number_or_duration(&mut self) -> Lexed {
        if self.scan_number() {
            return Ok(TokenKind::Number);
        }
        if self.scan_duration_rest() {
            return Ok(TokenKind::Duration);
        }
        Err(format!("bad number or duration syntax: {}", crate::token::quote(&self.input[self.start..self.at])))
    }

    /// Digits with dot, exponent and underscores where Go allows them; false leaves the offset behind what was seen.
    fn scan_number(&mut self) -> bool {
        let mut digits = "0123456789";
        let mut hex = false;
        if !self.series && self.accept("0") && self.accept("xX") {
            self.accept("_");
            digits = "0123456789abcdefABCDEF";
            hex = true;
        }
        let (mut dot, mut exponent) = (false, false);
        // As in Prometheus this one is not counted: it is for the conversion to refuse `.0.`.
        self.accept(".");
        loop {
            self.accept_run(digits);
            match self.peek() {
                Some('.') => {
                    self.bump();
                    if dot || hex || self.accept("_.") {
                        return false;
                    }
                    dot = true;
                }
                Some('e' | 'E') if !hex => {
                    self.bump();
                    if exponent {
                        return false;
                    }
                    exponent = true;
                    self.accept("+-");
                    if self.accept("._eE") || self.peek().is_none() {
                        return false;
                    }
                }
                Some('_') => {
                    self.bump();
                    if self.accept("._eE") || self.peek().is_none() {
                        return false;
                    }
                }
                _ => break,
            }
        }
        match self.peek() {
            Some('x') if self.series => true,
            Some(c) => !is_alphanumeric(c),
            None => true,
        }
    }

    /// The part of a duration after its first digits.
    fn scan_duration_rest(&mut self) -> bool {
        if !self.accept("smhdwy") {
            return false;
        }
        // `ms`; nonsense like `hs` is refused when the duration is computed.
        self.accept("s");
        while self.accept("0123456789") {
            self.accept_run("0123456789");
            if !self.accept("smhdw") {
                return false;
            }
            self.accept("s");
        }
        if self.peek().is_some_and(is_alphanumeric) {
            self.bump();
            return false;
        }
        true
    }

    fn string(&mut self, quote: char) -> Lexed {
        loop {
            // Most of a string has no meaning here; what has is ASCII, so this stops between characters.
            let rest = &self.input.as_bytes()[self.at..];
            self.at += rest.iter().take_while(|&&b| !matches!(b, b'"' | b'\'' | b'`' | b'\n' | b'\\')).count();
            match self.bump() {
                None if quote == '`' => return Err("unterminated raw string".into()),
                None => return Err("unterminated quoted string".into()),
                Some('\n') if quote != '`' => return Err("unterminated quoted string".into()),
                Some('\\') if quote != '`' => self.escape(quote)?,
                Some(c) if c == quote => return Ok(TokenKind::String),
                Some(_) => {}
            }
        }
    }

    fn escape(&mut self, quote: char) -> Result<(), String> {
        let (digits, base, max) = match self.bump() {
            None => return Err("escape sequence not terminated".into()),
            Some('a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\') => return Ok(()),
            Some(c) if c == quote => return Ok(()),
            Some('0'..='7') => {
                self.at -= 1;
                (3, 8, 255)
            }
            Some('x') => (2, 16, 255),
            Some('u') => (4, 16, 0x10_ffff),
            Some('U') => (8, 16, 0x10_ffff),
            Some(c) => return Err(format!("unknown escape sequence {}", rune(c))),
        };
        let mut value = 0u64;
        for _ in 0..digits {
            let Some(c) = self.bump() else { return Err("escape sequence not terminated".into()) };
            let Some(digit) = c.to_digit(base) else {
                return Err(format!("illegal character {} in escape sequence", rune(c)));
            };
            value = value * u64::from(base) + u64::from(digit);
        }
        if value > max || (0xd800..0xe000).contains(&value) {
            return Err("escape sequence is an invalid Unicode code point".into());
        }
        Ok(())
    }
}

fn fill_keyword(word: &str) -> Option<Keyword> {
    let mut buffer = [0; KEYWORD_BYTES_MAX];
    Some(match lowercase(word, &mut buffer)? {
        "fill" => Keyword::Fill,
        "fill_left" => Keyword::FillLeft,
        "fill_right" => Keyword::FillRight,
        _ => return None,
    })
}

/// Go's `%q` of a character.
fn quote_char(c: char) -> String {
    if c == '\'' {
        "'\\''".to_owned()
    } else if c == '"' {
        "'\"'".to_owned()
    } else {
        format!("{c:?}")
    }
}

/// Go's `%#U`.
fn rune(c: char) -> String {
    if c.is_control() { format!("U+{:04X}", c as u32) } else { format!("U+{:04X} '{c}'", c as u32) }
}

/// Whether Unicode calls `c` a letter (category L).
fn is_letter(c: char) -> bool {
    static LETTERS: LazyLock<Vec<(char, char)>> = LazyLock::new(|| {
        let class = regex_syntax::parse(r"\p{L}").map(regex_syntax::hir::Hir::into_kind);
        let Ok(HirKind::Class(Class::Unicode(letters))) = class else { return vec![('A', 'Z'), ('a', 'z')] };
        letters.iter().map(|range| (range.start(), range.end())).collect()
    });
    if c.is_ascii() {
        return c.is_ascii_alphabetic();
    }
    let next = LETTERS.partition_point(|&(first, _)| first <= c);
    next.checked_sub(1).is_some_and(|at| c <= LETTERS[at].1)
}

pub(crate) fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

pub(crate) fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || c.is_ascii_digit()
}
