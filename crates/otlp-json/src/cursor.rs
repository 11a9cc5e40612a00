//! Reads JSON tokens from left to right (RFC 8259); a place that breaks a rule is an error there.

use crate::error::{JsonError, Problem};
use crate::number::number_length;
use std::borrow::Cow;

/// Arrays and objects inside each other that are passed over; each takes a byte of memory meanwhile.
const SKIPPED_DEPTH_MAX: usize = 1 << 20;

/// A place in a text that is known to be UTF-8.
#[derive(Debug)]
pub(crate) struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
    /// The innermost known field around the place, for errors.
    pub field: &'static str,
}

impl<'a> Cursor<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text: text.as_bytes(), at: 0, field: "" }
    }

    pub fn error(&self, problem: Problem) -> JsonError {
        JsonError { offset: self.at, field: self.field, problem }
    }

    /// Bytes that are left.
    pub fn remaining(&self) -> usize {
        self.text.len() - self.at
    }

    /// The next byte that is no white space; it stays the next one.
    pub fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Passes over `byte`, which must come next.
    pub fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), JsonError> {
        if self.take(byte) { Ok(()) } else { Err(self.unexpected(what)) }
    }

    /// Passes over `byte` if it comes next.
    pub fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Passes over a word such as `null` if it comes next.
    pub fn take_word(&mut self, word: &str) -> bool {
        self.peek();
        let found = self.text[self.at..].starts_with(word.as_bytes());
        if found {
            self.at += word.len();
        }
        found
    }

    /// The error that something else comes next.
    pub fn unexpected(&mut self, what: &'static str) -> JsonError {
        let problem = if self.peek().is_none() { Problem::End } else { Problem::Expected(what) };
        self.error(problem)
    }

    /// A string, its escapes undone.
    pub fn string(&mut self, what: &'static str) -> Result<Cow<'a, [u8]>, JsonError> {
        self.expect(b'"', what)?;
        let plain = self.plain();
        if self.take_here(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut owned = plain.to_vec();
        loop {
            owned.extend_from_slice(self.plain());
            if self.take_here(b'"') {
                return Ok(Cow::Owned(owned));
            }
            if !self.take_here(b'\\') {
                let problem = if self.remaining() == 0 { Problem::End } else { Problem::String };
                return Err(self.error(problem));
            }
            let letter = self.escape()?;
            owned.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }

    /// Bytes of a string up to one that is not itself.
    fn plain(&mut self) -> &'a [u8] {
        let rest = &self.text[self.at..];
        let length = rest.iter().position(|b| matches!(b, b'"' | b'\\' | ..0x20)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn take_here(&mut self, byte: u8) -> bool {
        let found = self.text.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Result<char, JsonError> {
        let Some(letter) = self.text.get(self.at).copied() else { return Err(self.error(Problem::End)) };
        self.at += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.error(Problem::String)),
        })
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let first = self.hex4()?;
        let code = match first {
            0xd800..0xdc00 if self.take_here(b'\\') && self.take_here(b'u') => {
                let second = self.hex4()?;
                if !(0xdc00..0xe000).contains(&second) {
                    return Err(self.error(Problem::String));
                }
                0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(|| self.error(Problem::String))
    }

    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at..self.at + 4).ok_or_else(|| self.error(Problem::End))?;
        let mut code = 0;
        for digit in digits {
            let value = char::from(*digit).to_digit(16).ok_or_else(|| self.error(Problem::String))?;
            code = code << 4 | value;
        }
        self.at += 4;
        Ok(code)
    }

    /// The characters of a number, if one comes next.
    pub fn number(&mut self) -> Option<&'a [u8]> {
        self.peek();
        let rest = &self.text[self.at..];
        let length = number_length(rest)?;
        self.at += length;
        Some(&rest[..length])
    }

    /// Passes over any value, at most [`SKIPPED_DEPTH_MAX`] arrays and objects inside each other.
    pub fn skip(&mut self) -> Result<(), JsonError> {
        // How each array and object that is open closes. No recursion: this goes deeper than the stack may.
        let mut open: Vec<u8> = Vec::new();
        loop {
            let close = match self.peek() {
                Some(b'"') => self.string("a string").map(|_| None)?,
                Some(b'{') => Some(b'}'),
                Some(b'[') => Some(b']'),
                _ if self.take_word("null") || self.take_word("true") || self.take_word("false") => None,
                _ if self.number().is_some() => None,
                _ => return Err(self.unexpected("a value")),
            };
            if let Some(close) = close {
                if open.len() == SKIPPED_DEPTH_MAX {
                    return Err(self.error(Problem::Nesting { limit: SKIPPED_DEPTH_MAX }));
                }
                self.at += 1;
                if !self.take(close) {
                    open.push(close);
                    self.name_before_value(close)?;
                    continue;
                }
            }
            while open.last().is_some_and(|close| self.take(*close)) {
                open.pop();
            }
            let Some(&close) = open.last() else { return Ok(()) };
            self.expect(b',', "a comma or the end of the array or object")?;
            self.name_before_value(close)?;
        }
    }

    /// What stands before a value in what ends by `close`: in an object its name.
    fn name_before_value(&mut self, close: u8) -> Result<(), JsonError> {
        if close == b'}' {
            self.string("a name")?;
            self.expect(b':', "a colon")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_come_out_as_they_were_meant() {
        for (text, meant) in [
            (r#""""#, ""),
            (r#""plain é""#, "plain é"),
            (r#""\"\\\/\b\f\n\r\t""#, "\"\\/\u{8}\u{c}\n\r\t"),
            (r#""a\u00e9b\uD83D\uDE00c""#, "aéb😀c"),
        ] {
            assert_eq!(Cursor::new(text).string("a string").unwrap(), meant.as_bytes(), "{text}");
        }
    }

    #[test]
    fn broken_strings_are_refused() {
        for text in [
            "\"",
            "\"a",
            "\"\\",
            "\"\\u",
            "\"\\u12",
            "\"\\u12\"",
            "\"\\u12zz\"",
            "\"\\x\"",
            "\"\n\"",
            "\"\u{1}\"",
            r#""\uD800""#,
            r#""\uD800\n""#,
            r#""\uD800A""#,
            r#""\uDC00""#,
            r#""\uD800\uD800""#,
            "a",
            "",
        ] {
            assert!(Cursor::new(text).string("a string").is_err(), "{text}");
        }
    }

    #[test]
    fn whole_values_are_skipped_and_broken_ones_are_not() {
        for text in ["{}", "[]", " [1, -2.5e+3, {\"a\" : [ ]}, null , true,false] ", "{\"a\":{\"a\":\"}\"}}", "0"] {
            let mut cursor = Cursor::new(text);
            cursor.skip().unwrap();
            assert_eq!(cursor.peek(), None, "{text}");
        }
        for text in
            ["{", "[", "[1", "[1,", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{1:2}", "nul", "-", "[1 2]", "]"]
        {
            assert!(Cursor::new(text).skip().is_err(), "{text}");
        }
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(Cursor::new(&nested(SKIPPED_DEPTH_MAX)).skip().is_ok());
        let error = Cursor::new(&nested(SKIPPED_DEPTH_MAX + 1)).skip().unwrap_err();
        assert_eq!(error.problem, Problem::Nesting { limit: SKIPPED_DEPTH_MAX });
    }
}
