//! Character classes of Go's regular expressions: Perl, POSIX and Unicode ones.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange, HirKind};

pub(super) fn class(ranges: &[(char, char)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|&(a, b)| ClassUnicodeRange::new(a, b)))
}

/// `\d`, `\s`, `\w` and their negations, ASCII only. `\s` has no vertical tab.
pub(super) fn perl(letter: char) -> Option<ClassUnicode> {
    let mut set = match letter.to_ascii_lowercase() {
        'd' => class(&[('0', '9')]),
        's' => class(&[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')]),
        'w' => class(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        _ => return None,
    };
    if letter.is_ascii_uppercase() {
        set.negate();
    }
    Some(set)
}

/// The name between `[:` and `:]`, `^` for negation included.
pub(super) fn posix(name: &str) -> Option<ClassUnicode> {
    let (negated, name) = name.strip_prefix('^').map_or((false, name), |rest| (true, rest));
    let mut set = match name {
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
    if negated {
        set.negate();
    }
    Some(set)
}

/// A Unicode general category or script, such as `L`, `Lu` or `Greek`.
pub(super) fn unicode(name: &str) -> Option<ClassUnicode> {
    if name == "Any" {
        return Some(class(&[('\0', char::MAX)]));
    }
    // Go knows categories by their short names and scripts by their full ones, both in exact case.
    let plain = name.chars().next()?.is_ascii_uppercase() && name.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
    if !plain {
        return None;
    }
    match regex_syntax::parse(&format!("\\p{{{name}}}")).ok()?.into_kind() {
        HirKind::Class(regex_syntax::hir::Class::Unicode(set)) => Some(set),
        _ => None,
    }
}
