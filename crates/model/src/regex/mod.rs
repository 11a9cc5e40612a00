//! Anchored regular expressions in Go's RE2 syntax, as label matchers and `label_replace` use them.

mod go_class;
mod go_syntax;

use crate::ModelError;
use regex_automata::meta::Regex;
use regex_automata::util::captures::Captures;
use regex_syntax::hir::{Class, Hir, HirKind};

/// A compiled pattern that matches a whole label value: `^(?s:pattern)$`.
///
/// The dialect is Go's (its `regexp/syntax` page), not Rust's: `\d`, `\w`, `\s` and `\b` are ASCII, `[a&&b]` is a
/// plain class, `{` may be a literal, `\Q..\E` quotes. Patterns are at most [`LabelRegex::PATTERN_BYTES_MAX`] bytes and
/// compile to at most [`LabelRegex::COMPILED_BYTES_MAX`] bytes. Matching is linear in the value.
#[derive(Debug, Clone)]
pub struct LabelRegex {
    regex: Regex,
    literals: Option<Vec<String>>,
    required: Required,
}

/// Literals that every match has. Looking for them costs a few ns, running the automaton some 200.
#[derive(Debug, Clone, Default)]
struct Required {
    prefix: String,
    suffix: String,
    /// Somewhere between the two, or overlapping them; empty if nothing is known.
    inner: String,
    /// Whatever has `inner` matches: the pattern is `.*inner.*`.
    is_all: bool,
}

impl Required {
    fn of(hir: &Hir) -> Self {
        let (mut inner, mut is_all) = ("", false);
        if let HirKind::Concat(parts) = hir.kind() {
            inner = parts.iter().filter_map(literal).max_by_key(|text| text.len()).unwrap_or_default();
            is_all = matches!(&parts[..], [a, b, c] if is_anything(a) && literal(b).is_some() && is_anything(c));
        }
        Self { prefix: edge(hir, Edge::First), suffix: edge(hir, Edge::Last), inner: inner.to_owned(), is_all }
    }

    fn are_in(&self, value: &str) -> bool {
        value.starts_with(&self.prefix)
            && value.ends_with(&self.suffix)
            && (self.prefix == self.inner || self.suffix == self.inner || value.contains(&self.inner))
    }
}

impl LabelRegex {
    /// Longest accepted pattern, in bytes.
    pub const PATTERN_BYTES_MAX: usize = 4 << 10;
    /// Largest accepted compiled size, in bytes.
    pub const COMPILED_BYTES_MAX: usize = 1 << 20;
    /// Most values that [`LabelRegex::literals`] lists.
    pub const LITERALS_MAX: usize = 256;

    /// Compiles `pattern`.
    ///
    /// # Errors
    /// [`ModelError::Regex`] if the syntax is not RE2's or a limit is exceeded.
    pub fn new(pattern: &str) -> Result<Self, ModelError> {
        let error = |message: String| ModelError::Regex { message: format!("error parsing regexp: {message}") };
        if pattern.len() > Self::PATTERN_BYTES_MAX {
            return Err(error(format!(
                "pattern of {} bytes exceeds the limit of {} bytes",
                pattern.len(),
                Self::PATTERN_BYTES_MAX
            )));
        }
        let hir = go_syntax::parse(pattern).map_err(error)?;
        let literals = literals(&hir).map(|mut all| {
            all.sort_unstable();
            all.dedup();
            all
        });
        let required = Required::of(&hir);
        let anchored =
            Hir::concat(vec![Hir::look(regex_syntax::hir::Look::Start), hir, Hir::look(regex_syntax::hir::Look::End)]);
        let regex = Regex::builder()
            .configure(Regex::config().nfa_size_limit(Some(Self::COMPILED_BYTES_MAX)))
            .build_from_hir(&anchored)
            .map_err(|_| error("expression too large".to_owned()))?;
        Ok(Self { regex, literals, required })
    }

    /// Whether the whole of `value` matches. Linear in `value`.
    pub fn is_match(&self, value: &str) -> bool {
        match &self.literals {
            Some(all) => all.binary_search_by(|l| l.as_str().cmp(value)).is_ok(),
            None => self.required.are_in(value) && (self.required.is_all || self.regex.is_match(value)),
        }
    }

    /// The finite list of values that match, sorted, where the pattern is an alternation of at most
    /// [`LabelRegex::LITERALS_MAX`] literals.
    pub fn literals(&self) -> Option<&[String]> {
        self.literals.as_deref()
    }

    /// A literal that every matching value starts with; may be empty.
    pub fn prefix(&self) -> &str {
        &self.required.prefix
    }

    /// Expands `template` with the groups of a match of the whole `value`; `None` if there is no match.
    ///
    /// As Go's `Regexp.Expand`: `$1`, `${1}`, `$name`, `${name}`, `$$`; the longest run of `[0-9A-Za-z_]` is the name,
    /// so `$1x` is the group "1x"; an unknown group is empty; a `$` that starts none of these stays.
    pub fn expand(&self, value: &str, template: &str) -> Option<String> {
        let mut captures = self.regex.create_captures();
        self.regex.captures(value, &mut captures);
        captures.is_match().then(|| expand_template(&self.regex, &captures, value, template))
    }
}

fn expand_template(regex: &Regex, captures: &Captures, value: &str, template: &str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let word = |text: &str| text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
        let (name, after) = match rest.strip_prefix('{') {
            Some(braced) => {
                let end = word(braced);
                match braced[end..].strip_prefix('}') {
                    Some(after) if end > 0 => (&braced[..end], after),
                    _ => {
                        out.push('$');
                        continue;
                    }
                }
            }
            None => rest.split_at(word(rest)),
        };
        if name.is_empty() {
            out.push('$');
            continue;
        }
        let numbered = name.bytes().all(|b| b.is_ascii_digit()) && (name.len() == 1 || !name.starts_with('0'));
        let index = if numbered {
            name.parse().ok()
        } else {
            regex.group_info().to_index(regex_automata::PatternID::ZERO, name)
        };
        if let Some(span) = index.and_then(|i| captures.get_group(i)) {
            out.push_str(&value[span.range()]);
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// All strings the expression can match, if they are few and it has no assertions.
fn literals(hir: &Hir) -> Option<Vec<String>> {
    let max = LabelRegex::LITERALS_MAX;
    match hir.kind() {
        HirKind::Empty => Some(vec![String::new()]),
        HirKind::Literal(l) => Some(vec![std::str::from_utf8(&l.0).ok()?.to_owned()]),
        HirKind::Class(Class::Unicode(class)) => {
            let mut all = Vec::new();
            for range in class.iter() {
                for c in range.start()..=range.end() {
                    all.push(c.to_string());
                    if all.len() > 16 {
                        return None;
                    }
                }
            }
            Some(all)
        }
        HirKind::Capture(capture) => literals(&capture.sub),
        HirKind::Concat(parts) => {
            let mut all = vec![String::new()];
            for part in parts {
                let tails = literals(part)?;
                if all.len() * tails.len() > max {
                    return None;
                }
                all = all.iter().flat_map(|head| tails.iter().map(move |tail| format!("{head}{tail}"))).collect();
            }
            Some(all)
        }
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.extend(literals(part)?);
                if all.len() > max {
                    return None;
                }
            }
            Some(all)
        }
        HirKind::Class(Class::Bytes(_)) | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

fn literal(hir: &Hir) -> Option<&str> {
    match hir.kind() {
        HirKind::Literal(l) => std::str::from_utf8(&l.0).ok(),
        _ => None,
    }
}

/// Whether this matches every text: `.*`, where a dot matches line breaks too.
fn is_anything(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Repetition(repeated) => {
            let class = match repeated.sub.kind() {
                HirKind::Class(Class::Unicode(class)) => class.ranges(),
                _ => return false,
            };
            let whole = matches!(class, [all] if all.start() == '\0' && all.end() == char::MAX);
            whole && repeated.min == 0 && repeated.max.is_none()
        }
        _ => false,
    }
}

#[derive(Clone, Copy)]
enum Edge {
    First,
    Last,
}

/// What every match starts or ends with.
fn edge(hir: &Hir, which: Edge) -> String {
    match hir.kind() {
        HirKind::Literal(_) => literal(hir).unwrap_or_default().to_owned(),
        HirKind::Capture(capture) => edge(&capture.sub, which),
        // Literals that follow each other are one in this form.
        HirKind::Concat(parts) => {
            let part = match which {
                Edge::First => parts.first(),
                Edge::Last => parts.last(),
            };
            part.map_or_else(String::new, |part| edge(part, which))
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests;
