//! Character classes of Go's regular expressions: Perl, POSIX and Unicode ones.

use crate::script::SCRIPTS;
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

pub(crate) fn class(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|&(a, b)| ClassUnicodeRange::new(a, b)))
}

/// From one code point to another; surrogates are no characters and left out.
pub(crate) fn code_points(low: u32, high: u32) -> ClassUnicode {
    let low = if is_surrogate(low) { 0xE000 } else { low };
    let high = if is_surrogate(high) { 0xD7FF } else { high };
    match (char::from_u32(low), char::from_u32(high)) {
        (Some(low), Some(high)) if low <= high => class(&[(low, high)]),
        _ => ClassUnicode::empty(),
    }
}

fn is_surrogate(code_point: u32) -> bool {
    (0xD800..=0xDFFF).contains(&code_point)
}

/// `\d`, `\s`, `\w` in either case, ASCII only, and whether it is negated. `\s` has no vertical tab.
pub(crate) fn perl(letter: char) -> Option<(ClassUnicode, bool)> {
    let set = match letter.to_ascii_lowercase() {
        'd' => class(&[('0', '9')]),
        's' => class(&[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')]),
        'w' => class(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        _ => return None,
    };
    Some((set, letter.is_ascii_uppercase()))
}

/// The name between `[:` and `:]`, `^` for negation included; also tells whether it is negated.
pub(crate) fn posix(name: &str) -> Option<(ClassUnicode, bool)> {
    let (negated, name) = name.strip_prefix('^').map_or((false, name), |rest| (true, rest));
    let set = match name {
        "alnum" => class(&[('0', '9'), ('A', 'Z'), ('a', 'z')]),
        "alpha" => class(&[('A', 'Z'), ('a', 'z')]),
        "ascii" => class(&[('\0', '\x7f')]),
        "blank" => class(&[('\t', '\t'), (' ', ' ')]),
        "cntrl" => class(&[('\0', '\x1f'), ('\x7f', '\x7f')]),
        "digit" => class(&[('0', '9')]),
        "graph" => class(&[('!', '~')]),
        "lower" => class(&[('a', 'z')]),
        "print" => class(&[(' ', '~')]),
        "punct" => class(&[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
        "space" => class(&[('\t', '\r'), (' ', ' ')]),
        "upper" => class(&[('A', 'Z')]),
        "word" => class(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        "xdigit" => class(&[('0', '9'), ('A', 'F'), ('a', 'f')]),
        _ => return None,
    };
    Some((set, negated))
}

/// A Unicode general category or script, such as `L`, `Letter` or `Greek`. Case, blanks, `_` and `-` do not matter.
pub(crate) fn unicode(name: &str) -> Option<ClassUnicode> {
    let name: String = name.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).map(|c| c.to_ascii_lowercase()).collect();
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase()) {
        return None;
    }
    match name.as_str() {
        "any" => return Some(class(&[('\0', char::MAX)])),
        "ascii" => return Some(class(&[('\0', '\x7f')])),
        "assigned" => {
            let mut set = property("gc", "cn")?;
            set.negate();
            return Some(set);
        }
        "cs" | "surrogate" => return Some(ClassUnicode::empty()),
        _ => {}
    }
    // A library's lookup ignores a leading "is", Go's does not.
    if name.starts_with("is") {
        return None;
    }
    if let Some(set) = property("gc", &name) {
        return Some(set);
    }
    SCRIPTS.binary_search(&name.as_str()).ok()?;
    property("sc", &name)
}

fn property(property: &str, value: &str) -> Option<ClassUnicode> {
    match regex_syntax::parse(&format!("\\p{{{property}={value}}}")).ok()?.into_kind() {
        HirKind::Class(Class::Unicode(set)) => Some(set),
        _ => None,
    }
}
