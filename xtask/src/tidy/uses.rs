//! Reads which paths a source file names: trees of `use`, and paths behind `crate::` and `super::` in code.

/// A path that a file names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Use {
    /// As written, first part first: `["crate", "a", "X"]`.
    pub(super) path: Vec<String>,
    /// The name that it has here.
    pub(super) name: Option<String>,
    /// Others can name it through this file.
    pub(super) exported: bool,
}

/// The paths of a file, without those of its tests.
pub(super) fn uses(text: &str) -> Vec<Use> {
    let tokens = tokens(without_tests(text));
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at] == "use" {
            let exported = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
            at = tree(&tokens, at + 1, &[], exported, &mut found);
        } else if ["crate", "super"].contains(&tokens[at].as_str()) && is(&tokens, at + 1, "::") {
            at = tree(&tokens, at, &[], false, &mut found);
        } else {
            at += 1;
        }
    }
    found
}

fn is(tokens: &[String], at: usize, expected: &str) -> bool {
    tokens.get(at).is_some_and(|token| token == expected)
}

/// Reads one tree, such as `crate::a::{B, c::D as E}`, behind what leads to it; gives the place behind it.
fn tree(tokens: &[String], mut at: usize, before: &[String], exported: bool, found: &mut Vec<Use>) -> usize {
    let mut path = before.to_vec();
    while let Some(token) = tokens.get(at) {
        if token == "{" {
            at += 1;
            while at < tokens.len() && !is(tokens, at, "}") {
                let next = tree(tokens, at, &path, exported, found);
                at = if is(tokens, next, ",") { next + 1 } else { next.max(at + 1) };
            }
            return at + 1;
        }
        if !token.starts_with(|c: char| c.is_alphabetic() || c == '_') && token != "*" {
            break;
        }
        // `a::{self, B}` names `a`.
        if token != "self" || path.is_empty() {
            path.push(token.clone());
        }
        at += 1;
        if !is(tokens, at, "::") {
            break;
        }
        at += 1;
    }
    let mut name = path.last().cloned();
    if is(tokens, at, "as") {
        name = tokens.get(at + 1).cloned();
        at += 2;
    }
    if !path.is_empty() {
        found.push(Use { path, name, exported });
    }
    at
}

/// The text up to its tests, which stand last.
fn without_tests(text: &str) -> &str {
    let tests = text.match_indices("#[cfg(test)]\nmod ").find(|(at, _)| {
        let line = text[*at..].lines().nth(1).unwrap_or_default();
        line.ends_with('{')
    });
    tests.map_or(text, |(at, _)| &text[..at])
}

/// Words and the signs that matter here; comments and texts are left out.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '"' {
            text_length(rest)
        } else if rest.starts_with("'\"'") || rest.starts_with("'\\\"'") {
            // A quote as a character, which begins no text.
            rest[1..].find('\'').map_or(rest.len(), |end| end + 2).max(3)
        } else if first.is_alphanumeric() || first == '_' {
            let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// Bytes of a text in quotes, both included.
fn text_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        uses(text).iter().map(|found| found.path.join("::")).collect()
    }

    #[test]
    fn trees_are_read_to_their_leaves() {
        assert_eq!(
            paths("use crate::a::{self, B, c::{D, E as F}};\n"),
            ["crate::a", "crate::a::B", "crate::a::c::D", "crate::a::c::E"]
        );
        assert_eq!(paths("use super::super::x::*;"), ["super::super::x::*"]);
        assert_eq!(
            paths("fn f(a: crate::b::C) { super::d::e(\"crate::no\"); '\"'; crate::y() }"),
            ["crate::b::C", "super::d::e", "crate::y"]
        );
        assert_eq!(paths("// use crate::a;\nlet user = 1;"), [""; 0]);
    }

    #[test]
    fn what_is_exported_keeps_its_new_name() {
        let found = uses("pub(crate) use a::{B, C as D};\nuse e::F;\n");
        let names: Vec<_> = found.iter().map(|found| (found.name.as_deref().unwrap(), found.exported)).collect();
        assert_eq!(names, [("B", true), ("D", true), ("F", false)]);
    }

    #[test]
    fn tests_at_the_end_are_left_out() {
        assert_eq!(paths("use crate::a;\n#[cfg(test)]\nmod tests {\n use crate::b;\n}\n"), ["crate::a"]);
        assert_eq!(paths("#[cfg(test)]\nmod tests;\nuse crate::a;\n"), ["crate::a"]);
    }
}
