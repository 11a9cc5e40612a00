//! Templates that are expanded with the groups of a match, as `label_replace` does it.

use crate::anchored::compiled;
use crate::{Limits, RegexError, class, parser};
use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::captures::Captures;
use regex_syntax::hir::ClassUnicode;
use std::sync::LazyLock;

/// A compiled pattern whose groups go into templates. It matches what [`AnchoredRegex`](crate::AnchoredRegex) matches.
#[derive(Debug, Clone)]
pub struct Replacer {
    regex: Regex,
    /// Names of the groups, from group 1.
    names: Vec<Option<String>>,
}

impl Replacer {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// See [`RegexError`].
    pub fn new(pattern: &str, limits: &Limits) -> Result<Self, RegexError> {
        limits.check(pattern)?;
        let parsed = parser::parse(pattern)?;
        let regex = compiled(parsed.hir, pattern.len(), WhichCaptures::All)?;
        Ok(Self { regex, names: parsed.names })
    }

    /// The groups of a match of the whole `text`, group 0 first; `None` if there is no match.
    pub fn captures<'t>(&self, text: &'t str) -> Option<Vec<Option<&'t str>>> {
        let mut captures = self.regex.create_captures();
        self.regex.captures(text, &mut captures);
        let group = |index: usize| captures.get_group(index).map(|span| &text[span.range()]);
        captures.is_match().then(|| (0..=self.names.len()).map(group).collect())
    }

    /// Expands `template` with the groups of a match of the whole `text`; `None` if there is no match.
    ///
    /// As Go's `Regexp.Expand`: `$1`, `${1}`, `$name`, `${name}`, `$$`; the longest run of letters, digits and `_` is
    /// the name, so `$1x` is the group "1x"; an unknown group is empty; a `$` that starts none of these stays.
    ///
    /// # Errors
    /// [`RegexError::ExpansionTooLong`] if the result has more than `bytes_max` bytes.
    pub fn expand(&self, text: &str, template: &str, bytes_max: usize) -> Result<Option<String>, RegexError> {
        let mut captures = self.regex.create_captures();
        self.regex.captures(text, &mut captures);
        if !captures.is_match() {
            return Ok(None);
        }
        let too_long =
            |out: &String| (out.len() > bytes_max).then_some(RegexError::ExpansionTooLong { limit_bytes: bytes_max });
        let mut out = String::new();
        let mut rest = template;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.push('$');
                rest = after;
            } else if let Some((name, after)) = reference(rest) {
                out.push_str(self.group(name, &captures, text));
                rest = after;
            } else {
                out.push('$');
            }
            if let Some(error) = too_long(&out) {
                return Err(error);
            }
        }
        out.push_str(rest);
        too_long(&out).map_or(Ok(Some(out)), Err)
    }

    /// What the group of this name or number has matched. Of groups with the same name, the first one that has matched.
    fn group<'t>(&self, name: &str, captures: &Captures, text: &'t str) -> &'t str {
        let span = if let Some(index) = number(name) {
            captures.get_group(index)
        } else {
            let named = self.names.iter().enumerate().filter(|(_, known)| known.as_deref() == Some(name));
            named.map(|(at, _)| captures.get_group(at + 1)).find(Option::is_some).flatten()
        };
        span.map_or("", |span| &text[span.range()])
    }
}

/// A name made of digits alone is a number, unless it begins with a zero that is not all of it. Numbers beyond all groups
/// find none.
fn number(name: &str) -> Option<usize> {
    let decimal = name.bytes().all(|b| b.is_ascii_digit()) && (name.len() == 1 || !name.starts_with('0'));
    decimal.then(|| name.parse().unwrap_or(usize::MAX))
}

/// `name` or `{name}` behind a `$`, and what follows.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (braced, body) = text.strip_prefix('{').map_or((false, text), |body| (true, body));
    let end = body.find(|c: char| !is_word(c)).unwrap_or(body.len());
    let (name, rest) = body.split_at(end);
    if name.is_empty() {
        return None;
    }
    if braced { rest.strip_prefix('}').map(|rest| (name, rest)) } else { Some((name, rest)) }
}

/// A letter, a decimal digit or `_`. Marks and other numbers are none.
fn is_word(c: char) -> bool {
    static LETTERS_AND_DIGITS: LazyLock<ClassUnicode> = LazyLock::new(|| {
        let known = |name| class::unicode(name).expect("Unicode has had this category since its first version");
        let mut all = known("L");
        all.union(&known("Nd"));
        all
    });
    if c.is_ascii() {
        return c == '_' || c.is_ascii_alphanumeric();
    }
    let ranges = LETTERS_AND_DIGITS.ranges();
    let at = ranges.partition_point(|range| range.end() < c);
    ranges.get(at).is_some_and(|range| range.start() <= c)
}
