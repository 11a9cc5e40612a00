//! A parser for Go's regular expressions that builds an expression tree for `regex-automata`.
//!
//! Source: the syntax page of Go's `regexp/syntax` package (the Perl-flag dialect, with `.` matching newlines as
//! Prometheus compiles patterns). Error texts are Go's. Groups are kept on a stack of the parser's own, so nesting costs
//! no stack of the thread.

use crate::RegexError;
use crate::class::{self, code_points};
use crate::fold;
use regex_syntax::hir::{Capture, Class, ClassUnicode, Dot, Hir, Look, Repetition};

/// Most levels of a tree, as in Go: a group, a repetition, a sequence or an alternation is one.
const HEIGHT_MAX: u32 = 1_000;
/// Largest count in `x{n,m}`, and largest product of such counts within each other, as in Go.
const REPEAT_MAX: u32 = 1_000;

#[derive(Clone, Copy)]
struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_newline: bool,
    swap_greed: bool,
}

/// A parsed pattern.
pub(crate) struct Parsed {
    pub hir: Hir,
    /// The names of the groups, from group 1; they need not differ.
    pub names: Vec<Option<String>>,
}

/// An operand, with what Go bounds.
struct Piece {
    hir: Hir,
    /// The product of the counts of nested repetitions.
    repeats: u32,
    height: u32,
}

impl Piece {
    fn leaf(hir: Hir) -> Self {
        Self { hir, repeats: 1, height: 1 }
    }
}

/// An open frame: the whole pattern or a group.
struct Frame {
    /// Its number, if it captures.
    capture: Option<u32>,
    /// Flags to go back to behind it.
    outer: Flags,
    branches: Vec<Piece>,
    pieces: Vec<Piece>,
    /// Characters behind the last piece that stand for themselves.
    run: String,
}

impl Frame {
    fn new(capture: Option<u32>, outer: Flags) -> Self {
        Self { capture, outer, branches: Vec::new(), pieces: Vec::new(), run: String::new() }
    }

    fn flush(&mut self) {
        if !self.run.is_empty() {
            let run = std::mem::take(&mut self.run);
            self.pieces.push(Piece::leaf(Hir::literal(run.into_bytes())));
        }
    }

    fn push(&mut self, piece: Piece) {
        self.flush();
        self.pieces.push(piece);
    }

    /// The operand of a repetition.
    fn pop(&mut self) -> Option<Piece> {
        match self.run.pop() {
            Some(c) => Some(Piece::leaf(Hir::literal(c.encode_utf8(&mut [0; 4]).as_bytes().to_vec()))),
            None => self.pieces.pop(),
        }
    }

    fn end_branch(&mut self) {
        self.flush();
        let pieces = std::mem::take(&mut self.pieces);
        self.branches.push(joined(pieces, Hir::concat));
    }

    fn end(mut self) -> Piece {
        self.end_branch();
        joined(self.branches, Hir::alternation)
    }
}

/// Operands in one node; a single one stays what it is.
fn joined(mut pieces: Vec<Piece>, join: impl FnOnce(Vec<Hir>) -> Hir) -> Piece {
    if pieces.len() == 1
        && let Some(only) = pieces.pop()
    {
        return only;
    }
    let repeats = pieces.iter().map(|piece| piece.repeats).max().unwrap_or(1);
    let height = pieces.iter().map(|piece| piece.height).max().unwrap_or(0) + 1;
    Piece { hir: join(pieces.into_iter().map(|piece| piece.hir).collect()), repeats, height }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    flags: Flags,
    names: Vec<Option<String>>,
    open: Vec<Frame>,
    /// From here on there is no `:]`. Remembering that avoids searching again.
    no_named_class: bool,
}

type Done<T> = Result<T, RegexError>;

fn err<T>(message: impl Into<String>) -> Done<T> {
    Err(RegexError::syntax(message))
}

/// Parses a whole pattern, in time linear in its length.
pub(crate) fn parse(text: &str) -> Done<Parsed> {
    let flags = Flags { fold_case: false, multi_line: false, dot_newline: true, swap_greed: false };
    let mut parser =
        Parser { text, at: 0, flags, names: Vec::new(), open: vec![Frame::new(None, flags)], no_named_class: false };
    parser.run()?;
    let Parser { names, mut open, .. } = parser;
    match (open.pop(), open.is_empty()) {
        (Some(whole), true) => {
            let piece = whole.end();
            check_height(text, &piece)?;
            Ok(Parsed { hir: piece.hir, names })
        }
        _ => err(format!("missing closing ): `{text}`")),
    }
}

fn check_height(text: &str, piece: &Piece) -> Done<()> {
    if piece.height > HEIGHT_MAX { err(format!("expression nests too deeply: `{text}`")) } else { Ok(()) }
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn top(&mut self) -> &mut Frame {
        self.open.last_mut().expect("the frame of the whole pattern is never taken while there is text")
    }

    fn leaf(&mut self, hir: Hir) {
        self.top().push(Piece::leaf(hir));
    }

    fn run(&mut self) -> Done<()> {
        // Where the repetition operator before this position starts: two in a row are an error.
        let mut operator_at: Option<usize> = None;
        while let Some(c) = self.peek() {
            let start = self.at;
            let before = operator_at.take();
            match c {
                '*' | '+' | '?' | '{' => {
                    if self.repetition(before)? {
                        operator_at = Some(start);
                    } else {
                        self.next();
                        self.literal(c);
                    }
                }
                '(' => self.open_group()?,
                ')' => self.close_group()?,
                '[' => self.class()?,
                '\\' => self.escape()?,
                _ => {
                    self.next();
                    let Flags { multi_line, dot_newline, .. } = self.flags;
                    match c {
                        '|' => self.top().end_branch(),
                        '.' => self.leaf(Hir::dot(if dot_newline { Dot::AnyChar } else { Dot::AnyCharExceptLF })),
                        '^' => self.leaf(Hir::look(if multi_line { Look::StartLF } else { Look::Start })),
                        '$' => self.leaf(Hir::look(if multi_line { Look::EndLF } else { Look::End })),
                        _ => self.literal(c),
                    }
                }
            }
        }
        Ok(())
    }

    fn literal(&mut self, c: char) {
        if self.flags.fold_case && fold::has_case(c) {
            self.leaf(Hir::class(Class::Unicode(fold::orbit(c))));
        } else {
            self.top().run.push(c);
        }
    }

    /// Applies a repetition operator to the operand before it; `false` if a `{` starts none, which makes it a literal.
    fn repetition(&mut self, before: Option<usize>) -> Done<bool> {
        let start = self.at;
        let counted = self.peek() == Some('{');
        let Some((min, max)) = self.repeat_operator()? else { return Ok(false) };
        let lazy = self.eat("?");
        if let Some(first) = before {
            return err(format!("invalid nested repetition operator: `{}`", &self.text[first..self.at]));
        }
        let Some(sub) = self.top().pop() else {
            return err(format!("missing argument to repetition operator: `{}`", &self.text[start..self.at]));
        };
        // An operand that may occur zero times bounds nothing; Go does not look deeper either.
        let factor = if counted { max.unwrap_or(min) } else { 1 };
        let repeats = if counted && max == Some(0) { 1 } else { factor.max(1).saturating_mul(sub.repeats) };
        if counted && factor >= 2 && repeats > REPEAT_MAX {
            return err(format!("invalid repeat count: `{}`", &self.text[start..self.at]));
        }
        let greedy = lazy == self.flags.swap_greed;
        let height = sub.height + 1;
        let hir = Hir::repetition(Repetition { min, max, greedy, sub: Box::new(sub.hir) });
        let piece = Piece { hir, repeats, height };
        check_height(self.text, &piece)?;
        self.top().push(piece);
        Ok(true)
    }

    /// Reads `*`, `+`, `?` or `{n,m}`; `None`, and nothing read, if a `{` starts no count.
    fn repeat_operator(&mut self) -> Done<Option<(u32, Option<u32>)>> {
        let start = self.at;
        let found = match self.next() {
            Some('*') => Some((0, None)),
            Some('+') => Some((1, None)),
            Some('?') => Some((0, Some(1))),
            _ => self.braced_count(),
        };
        if let Some((min, max)) = found {
            if min > REPEAT_MAX || max.is_some_and(|max| max > REPEAT_MAX || max < min) {
                return err(format!("invalid repeat count: `{}`", &self.text[start..self.at]));
            }
        } else {
            self.at = start;
        }
        Ok(found)
    }

    /// `n}`, `n,}` or `n,m}` behind the opening brace.
    fn braced_count(&mut self) -> Option<(u32, Option<u32>)> {
        let min = self.number()?;
        let max =
            if self.eat(",") { if self.peek() == Some('}') { None } else { Some(self.number()?) } } else { Some(min) };
        self.eat("}").then_some((min, max))
    }

    /// A decimal number without leading zeros; saturates, since everything above 1,000 is refused alike.
    fn number(&mut self) -> Option<u32> {
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let text = &self.rest()[..digits];
        if digits == 0 || (digits > 1 && text.starts_with('0')) {
            return None;
        }
        let number = text.parse().unwrap_or(u32::MAX);
        self.at += digits;
        Some(number)
    }

    fn open_group(&mut self) -> Done<()> {
        let start = self.at;
        let outer = self.flags;
        self.next();
        let mut name = None;
        if self.peek() == Some('?') {
            let rest = &self.text[start..];
            let prefix = if rest.len() > 4 && rest.starts_with("(?P<") {
                4
            } else if rest.len() > 3 && rest.starts_with("(?<") {
                3
            } else {
                return self.flag_group(start, outer);
            };
            name = Some(self.group_name(start, prefix)?);
        }
        self.names.push(name);
        self.open_frame(Some(self.names.len() as u32), outer)
    }

    fn open_frame(&mut self, capture: Option<u32>, outer: Flags) -> Done<()> {
        if self.open.len() > HEIGHT_MAX as usize {
            return err(format!("expression nests too deeply: `{}`", self.text));
        }
        self.open.push(Frame::new(capture, outer));
        Ok(())
    }

    fn close_group(&mut self) -> Done<()> {
        if self.open.len() < 2 {
            return err(format!("unexpected ): `{}`", self.text));
        }
        let Some(frame) = self.open.pop() else { return Ok(()) };
        self.next();
        self.flags = frame.outer;
        let capture = frame.capture;
        let mut piece = frame.end();
        if let Some(index) = capture {
            piece.hir = Hir::capture(Capture { index, name: None, sub: Box::new(piece.hir) });
            piece.height += 1;
        }
        check_height(self.text, &piece)?;
        self.top().push(piece);
        Ok(())
    }

    fn group_name(&mut self, start: usize, prefix: usize) -> Done<String> {
        let rest = &self.text[start..];
        let Some(end) = rest.find('>') else { return err(format!("invalid named capture: `{rest}`")) };
        let name = rest[prefix..end].to_owned();
        self.at = start + end + 1;
        if name.is_empty() || !name.bytes().all(|c| c == b'_' || c.is_ascii_alphanumeric()) {
            return err(format!("invalid named capture: `{}`", &rest[..=end]));
        }
        Ok(name)
    }

    /// Flags behind `(`; with a `:` they hold for a group, else for the rest of the one around.
    fn flag_group(&mut self, start: usize, outer: Flags) -> Done<()> {
        self.next();
        let mut flags = self.flags;
        let (mut value, mut any) = (true, false);
        while let Some(c) = self.next() {
            match c {
                'i' => flags.fold_case = value,
                'm' => flags.multi_line = value,
                's' => flags.dot_newline = value,
                'U' => flags.swap_greed = value,
                '-' if value => {
                    (value, any) = (false, false);
                    continue;
                }
                ':' | ')' if value || any => {
                    self.flags = flags;
                    return if c == ':' { self.open_frame(None, outer) } else { Ok(()) };
                }
                _ => break,
            }
            any = true;
        }
        err(format!("invalid or unsupported Perl syntax: `{}`", &self.text[start..self.at]))
    }

    /// A backslash outside a class.
    fn escape(&mut self) -> Done<()> {
        if self.eat("\\Q") {
            let text = self.text;
            let (quoted, rest) = text[self.at..].split_once("\\E").unwrap_or((&text[self.at..], ""));
            self.at = text.len() - rest.len();
            quoted.chars().for_each(|c| self.literal(c));
            return Ok(());
        }
        let look = match self.rest().chars().nth(1) {
            Some('A') => Some(Look::Start),
            Some('z') => Some(Look::End),
            Some('b') => Some(Look::WordAscii),
            Some('B') => Some(Look::WordAsciiNegate),
            _ => None,
        };
        if let Some(look) = look {
            self.at += 2;
            self.leaf(Hir::look(look));
        } else if let Some(set) = self.class_escape()? {
            self.leaf(Hir::class(Class::Unicode(set)));
        } else {
            match char::from_u32(self.char_escape()?) {
                Some(c) => self.literal(c),
                // Half of a surrogate pair, which no text has.
                None => self.leaf(Hir::fail()),
            }
        }
        Ok(())
    }

    /// A class with the case folded if the flag is set, and negated after that.
    fn settled(&self, mut set: ClassUnicode, negated: bool) -> ClassUnicode {
        if self.flags.fold_case {
            set.case_fold_simple();
        }
        if negated {
            set.negate();
        }
        set
    }

    /// `\d`-like and `\p`-like escapes; moves only if there is one.
    fn class_escape(&mut self) -> Done<Option<ClassUnicode>> {
        let text = &self.text[self.at..];
        let mut chars = text.chars();
        let (Some('\\'), Some(letter)) = (chars.next(), chars.next()) else {
            return Ok(None);
        };
        if let Some((set, negated)) = class::perl(letter) {
            self.at += 2;
            return Ok(Some(self.settled(set, negated)));
        }
        if letter != 'p' && letter != 'P' {
            return Ok(None);
        }
        let refused = |text: &str| err(format!("invalid character class range: `{text}`"));
        let (name, len) = match chars.next() {
            None => return refused(text),
            Some('{') => match text.find('}') {
                None => return refused(text),
                Some(end) => (&text[3..end], end + 1),
            },
            Some(c) => (&text[2..2 + c.len_utf8()], 2 + c.len_utf8()),
        };
        self.at += len;
        let (inner, plain) = name.strip_prefix('^').map_or((false, name), |rest| (true, rest));
        let Some(set) = class::unicode(plain) else { return refused(&text[..len]) };
        Ok(Some(self.settled(set, inner != (letter == 'P'))))
    }

    /// The code point of an escape that stands for one character; it may be a surrogate.
    fn char_escape(&mut self) -> Done<u32> {
        let start = self.at;
        self.next();
        let Some(c) = self.next() else {
            return err("trailing backslash at end of expression: ``");
        };
        let octal = |c: Option<char>| c.and_then(|c| c.to_digit(8));
        let code = match c {
            '1'..='7' if octal(self.peek()).is_none() => None,
            '0'..='7' => {
                let mut code = u32::from(c) - u32::from('0');
                for _ in 0..2 {
                    let Some(digit) = octal(self.peek()) else { break };
                    code = code * 8 + digit;
                    self.next();
                }
                Some(code)
            }
            'x' => self.hex_code(),
            'a' => Some(7),
            'f' => Some(12),
            'n' => Some(10),
            'r' => Some(13),
            't' => Some(9),
            'v' => Some(11),
            _ if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
            _ => None,
        };
        code.map_or_else(|| err(format!("invalid escape sequence: `{}`", &self.text[start..self.at])), Ok)
    }

    /// Two hexadecimal digits, or any number of them in braces. What is refused has been read.
    fn hex_code(&mut self) -> Option<u32> {
        let first = self.next()?;
        if first != '{' {
            let second = self.next();
            return Some(first.to_digit(16)? * 16 + second?.to_digit(16)?);
        }
        let mut code = None;
        loop {
            let c = self.next()?;
            if c == '}' {
                return code;
            }
            let sum = code.unwrap_or(0) * 16 + c.to_digit(16)?;
            if sum > u32::from(char::MAX) {
                return None;
            }
            code = Some(sum);
        }
    }

    /// `[...]`.
    fn class(&mut self) -> Done<()> {
        let start = self.at;
        self.next();
        let negated = self.eat("^");
        // Joined at the end: to join them one by one would take quadratic time.
        let mut ranges = Vec::new();
        let mut first = true;
        loop {
            match self.peek() {
                None => return err(format!("missing closing ]: `{}`", &self.text[start..])),
                Some(']') if !first => break,
                Some(_) => first = false,
            }
            let set = self.class_item(start)?;
            ranges.extend_from_slice(set.ranges());
        }
        self.next();
        let mut set = ClassUnicode::new(ranges);
        if negated {
            set.negate();
        }
        self.leaf(Hir::class(Class::Unicode(set)));
        Ok(())
    }

    /// A class within a class, a character or a range of them.
    fn class_item(&mut self, start: usize) -> Done<ClassUnicode> {
        if self.rest().starts_with("[:") && !self.no_named_class {
            if let Some(end) = self.rest()[2..].find(":]") {
                let Some((set, negated)) = class::posix(&self.rest()[2..end + 2]) else {
                    return err(format!("invalid character class range: `{}`", &self.rest()[..end + 4]));
                };
                self.at += end + 4;
                return Ok(self.settled(set, negated));
            }
            self.no_named_class = true;
        }
        if let Some(set) = self.class_escape()? {
            return Ok(set);
        }
        let range_at = self.at;
        let low = self.class_char(start)?;
        let ranged = self.rest().starts_with('-') && !self.rest().starts_with("-]") && self.rest().len() > 1;
        let high = if ranged {
            self.next();
            self.class_char(start)?
        } else {
            low
        };
        if high < low {
            return err(format!("invalid character class range: `{}`", &self.text[range_at..self.at]));
        }
        Ok(self.settled(code_points(low, high), false))
    }

    /// One code point of the class that begins at `start`.
    fn class_char(&mut self, start: usize) -> Done<u32> {
        match self.peek() {
            None => err(format!("missing closing ]: `{}`", &self.text[start..])),
            Some('\\') => self.char_escape(),
            Some(c) => {
                self.next();
                Ok(u32::from(c))
            }
        }
    }
}
