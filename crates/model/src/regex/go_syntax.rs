//! A parser for Go's regular expressions that builds an expression tree for `regex-automata`.
//!
//! Source: the syntax page of Go's `regexp/syntax` package (the Perl-flag dialect, with `.` matching newlines as
//! Prometheus compiles matchers). Error texts are Go's, without the leading `error parsing regexp: `.

use super::go_class;
use regex_syntax::hir::{Capture, Class, ClassUnicode, Dot, Hir, Look, Repetition};

/// Deepest nesting of groups.
const DEPTH_MAX: usize = 250;
/// Largest count in `x{n,m}`, as in Go.
const REPEAT_MAX: u32 = 1_000;

#[derive(Clone, Copy)]
struct Flags {
    fold_case: bool,
    multi_line: bool,
    dot_newline: bool,
    swap_greed: bool,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    flags: Flags,
    groups: u32,
    names: Vec<String>,
}

/// Parses a whole pattern.
pub(super) fn parse(text: &str) -> Result<Hir, String> {
    let flags = Flags { fold_case: false, multi_line: false, dot_newline: true, swap_greed: false };
    let mut parser = Parser { text, at: 0, flags, groups: 0, names: Vec::new() };
    let hir = parser.alternation(0)?;
    if parser.at < text.len() {
        return Err(format!("unexpected ): `{text}`"));
    }
    if repeat_product(&hir) > u64::from(REPEAT_MAX) {
        return Err("invalid repeat count".to_owned());
    }
    Ok(hir)
}

/// How often nested counted repetitions multiply out; Go bounds it as a whole.
fn repeat_product(hir: &Hir) -> u64 {
    use regex_syntax::hir::HirKind;
    match hir.kind() {
        HirKind::Repetition(r) => {
            let own = u64::from(r.max.unwrap_or(r.min).max(r.min).max(1));
            own.saturating_mul(repeat_product(&r.sub))
        }
        HirKind::Capture(c) => repeat_product(&c.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().map(repeat_product).max().unwrap_or(1),
        _ => 1,
    }
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

    /// Alternatives up to the end or a closing parenthesis, which stays.
    fn alternation(&mut self, depth: usize) -> Result<Hir, String> {
        if depth > DEPTH_MAX {
            return Err(format!("expression nests too deeply: `{}`", self.text));
        }
        let mut branches = Vec::new();
        loop {
            branches.push(self.concat(depth)?);
            if !self.eat("|") {
                return Ok(Hir::alternation(branches));
            }
        }
    }

    fn concat(&mut self, depth: usize) -> Result<Hir, String> {
        let mut parts: Vec<Hir> = Vec::new();
        // Where the last operand ends and its operator starts: two operators in a row are an error.
        let mut operator_at: Option<usize> = None;
        while let Some(c) = self.peek() {
            let start = self.at;
            match c {
                '|' | ')' => break,
                '*' | '+' | '?' | '{' => {
                    let Some((min, max)) = self.repeat_operator()? else {
                        self.next();
                        parts.push(self.literal('{'));
                        operator_at = None;
                        continue;
                    };
                    let lazy = self.eat("?");
                    let operator = &self.text[start..self.at];
                    if let Some(first) = operator_at {
                        return Err(format!("invalid nested repetition operator: `{}`", &self.text[first..self.at]));
                    }
                    let Some(sub) = parts.pop() else {
                        return Err(format!("missing argument to repetition operator: `{operator}`"));
                    };
                    let greedy = lazy == self.flags.swap_greed;
                    parts.push(Hir::repetition(Repetition { min, max, greedy, sub: Box::new(sub) }));
                    operator_at = Some(start);
                    continue;
                }
                '(' => match self.group(depth)? {
                    Some(group) => parts.push(group),
                    // A bare flag group is no operand, and no operator may follow an operator across it either.
                    None => continue,
                },
                '[' => parts.push(self.class()?),
                '.' => {
                    self.next();
                    parts.push(Hir::dot(if self.flags.dot_newline { Dot::AnyChar } else { Dot::AnyCharExceptLF }));
                }
                '^' => {
                    self.next();
                    parts.push(Hir::look(if self.flags.multi_line { Look::StartLF } else { Look::Start }));
                }
                '$' => {
                    self.next();
                    parts.push(Hir::look(if self.flags.multi_line { Look::EndLF } else { Look::End }));
                }
                '\\' => self.escape(&mut parts)?,
                _ => {
                    self.next();
                    parts.push(self.literal(c));
                }
            }
            operator_at = None;
        }
        Ok(Hir::concat(parts))
    }

    fn literal(&self, c: char) -> Hir {
        if self.flags.fold_case {
            return self.fold(go_class::class(&[(c, c)]));
        }
        Hir::literal(c.encode_utf8(&mut [0; 4]).as_bytes().to_vec())
    }

    fn fold(&self, mut set: ClassUnicode) -> Hir {
        if self.flags.fold_case {
            set.case_fold_simple();
        }
        Hir::class(Class::Unicode(set))
    }

    /// Reads `*`, `+`, `?` or `{n,m}`; `None` if a `{` starts no valid count, which makes it a literal.
    fn repeat_operator(&mut self) -> Result<Option<(u32, Option<u32>)>, String> {
        let start = self.at;
        let found = match self.next() {
            Some('*') => Some((0, None)),
            Some('+') => Some((1, None)),
            Some('?') => Some((0, Some(1))),
            _ => self.braced_count(),
        };
        if let Some((min, max)) = found {
            if min > REPEAT_MAX || max.is_some_and(|max| max > REPEAT_MAX || max < min) {
                return Err(format!("invalid repeat count: `{}`", &self.text[start..self.at]));
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

    /// A group; `None` for one that only sets flags.
    fn group(&mut self, depth: usize) -> Result<Option<Hir>, String> {
        let start = self.at;
        self.next();
        let outer = self.flags;
        let mut capture = None;
        if self.eat("?") {
            if self.rest().starts_with("P<") || self.rest().starts_with('<') {
                capture = Some(Some(self.group_name(start)?));
            } else if !self.group_flags(start)? {
                return Ok(None);
            }
        } else {
            capture = Some(None);
        }
        let index = capture.as_ref().map(|_| {
            self.groups += 1;
            self.groups
        });
        let sub = self.alternation(depth + 1)?;
        if !self.eat(")") {
            return Err(format!("missing closing ): `{}`", self.text));
        }
        self.flags = outer;
        Ok(Some(match (capture, index) {
            (Some(name), Some(index)) => {
                Hir::capture(Capture { index, name: name.map(String::into_boxed_str), sub: Box::new(sub) })
            }
            _ => sub,
        }))
    }

    fn group_name(&mut self, start: usize) -> Result<String, String> {
        self.eat("P");
        self.eat("<");
        let Some(end) = self.rest().find('>') else {
            return Err(format!("invalid named capture: `{}`", &self.text[start..]));
        };
        let name = self.rest()[..end].to_owned();
        self.at += end + 1;
        let valid = !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
        if !valid {
            return Err(format!("invalid named capture: `{}`", &self.text[start..self.at]));
        }
        if self.names.contains(&name) {
            return Err(format!("duplicate capture group name: `{name}`"));
        }
        self.names.push(name.clone());
        Ok(name)
    }

    /// Flags behind `(?`; tells whether a `:` opened a group.
    fn group_flags(&mut self, start: usize) -> Result<bool, String> {
        let mut value = true;
        let mut any = false;
        loop {
            let Some(c) = self.next() else {
                return Err(format!("missing closing ): `{}`", self.text));
            };
            match c {
                'i' => self.flags.fold_case = value,
                'm' => self.flags.multi_line = value,
                's' => self.flags.dot_newline = value,
                'U' => self.flags.swap_greed = value,
                '-' if value => {
                    value = false;
                    any = false;
                    continue;
                }
                ':' | ')' if value || any => return Ok(c == ':'),
                _ => return Err(format!("invalid or unsupported Perl syntax: `{}`", &self.text[start..self.at])),
            }
            any = true;
        }
    }

    /// A backslash outside a class.
    fn escape(&mut self, parts: &mut Vec<Hir>) -> Result<(), String> {
        if self.eat("\\Q") {
            let end = self.rest().find("\\E").unwrap_or(self.rest().len());
            let quoted = self.rest()[..end].to_owned();
            self.at += end;
            self.eat("\\E");
            parts.extend(quoted.chars().map(|c| self.literal(c)));
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
            parts.push(Hir::look(look));
        } else if let Some(set) = self.class_escape()? {
            parts.push(self.fold(set));
        } else {
            let c = self.char_escape()?;
            parts.push(self.literal(c));
        }
        Ok(())
    }

    /// `\d`-like and `\p`-like escapes; moves only if there is one.
    fn class_escape(&mut self) -> Result<Option<ClassUnicode>, String> {
        let start = self.at;
        let mut chars = self.rest().chars();
        let (Some('\\'), Some(letter)) = (chars.next(), chars.next()) else {
            return Ok(None);
        };
        if let Some(set) = go_class::perl(letter) {
            self.at += 2;
            return Ok(Some(set));
        }
        if letter != 'p' && letter != 'P' {
            return Ok(None);
        }
        self.at += 2;
        let name = if self.eat("{") {
            let Some(end) = self.rest().find('}') else {
                return Err(format!("invalid character class range: `{}`", &self.text[start..]));
            };
            let name = self.rest()[..end].to_owned();
            self.at += end + 1;
            name
        } else {
            self.next().map(String::from).unwrap_or_default()
        };
        let (inner, plain) = name.strip_prefix('^').map_or((false, name.as_str()), |rest| (true, rest));
        let Some(mut set) = go_class::unicode(plain) else {
            return Err(format!("invalid character class range: `{}`", &self.text[start..self.at]));
        };
        if inner != (letter == 'P') {
            set.negate();
        }
        Ok(Some(set))
    }

    /// An escape that stands for one character.
    fn char_escape(&mut self) -> Result<char, String> {
        let start = self.at;
        self.next();
        let Some(c) = self.next() else {
            return Err("trailing backslash at end of expression: ``".to_owned());
        };
        let code = match c {
            '1'..='7' if !self.peek().is_some_and(|n| ('0'..='7').contains(&n)) => None,
            '0'..='7' => {
                let mut code = u32::from(c) - u32::from('0');
                for _ in 0..2 {
                    let Some(digit) = self.peek().and_then(|n| n.to_digit(8)) else { break };
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
            _ if c.is_ascii_punctuation() || !c.is_ascii() => (c.is_ascii()).then_some(u32::from(c)),
            _ => None,
        };
        code.and_then(char::from_u32)
            .ok_or_else(|| format!("invalid escape sequence: `{}`", &self.text[start..self.at]))
    }

    fn hex_code(&mut self) -> Option<u32> {
        if self.eat("{") {
            let end = self.rest().find('}').filter(|end| (1..=6).contains(end))?;
            let code = u32::from_str_radix(&self.rest()[..end], 16).ok()?;
            self.at += end + 1;
            return Some(code);
        }
        let code = self.rest().get(..2).and_then(|text| u32::from_str_radix(text, 16).ok())?;
        self.at += 2;
        Some(code)
    }

    /// `[...]`.
    fn class(&mut self) -> Result<Hir, String> {
        let start = self.at;
        let missing = |parser: &Self| format!("missing closing ]: `{}`", &parser.text[start..]);
        self.next();
        let negated = self.eat("^");
        let mut set = ClassUnicode::empty();
        let mut first = true;
        loop {
            match self.peek() {
                None => return Err(missing(self)),
                Some(']') if !first => break,
                Some(_) => {}
            }
            first = false;
            if self.rest().starts_with("[:")
                && let Some(end) = self.rest().find(":]")
            {
                let name = &self.rest()[2..end];
                let Some(named) = go_class::posix(name) else {
                    return Err(format!("invalid character class range: `{}`", &self.rest()[..end + 2]));
                };
                self.at += end + 2;
                set.union(&named);
                continue;
            }
            if let Some(named) = self.class_escape()? {
                set.union(&named);
                continue;
            }
            let range_at = self.at;
            let low = self.class_char().map_err(|e| e.unwrap_or_else(|| missing(self)))?;
            let ranged = self.rest().starts_with('-') && !self.rest().starts_with("-]") && self.rest().len() > 1;
            let high = if ranged {
                self.next();
                self.class_char().map_err(|e| e.unwrap_or_else(|| missing(self)))?
            } else {
                low
            };
            if high < low {
                return Err(format!("invalid character class range: `{}`", &self.text[range_at..self.at]));
            }
            set.union(&go_class::class(&[(low, high)]));
        }
        self.next();
        if self.flags.fold_case {
            set.case_fold_simple();
        }
        if negated {
            set.negate();
        }
        Ok(Hir::class(Class::Unicode(set)))
    }

    /// One character of a class; an error without a text means that the class is not closed.
    fn class_char(&mut self) -> Result<char, Option<String>> {
        match self.peek() {
            None => Err(None),
            Some('\\') => self.char_escape().map_err(Some),
            Some(c) => {
                self.next();
                Ok(c)
            }
        }
    }
}
