//! Literals that every match of a pattern has.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Looking for them costs a few ns, running the automaton some 200.
#[derive(Debug, Clone, Default)]
pub(crate) struct Required {
    pub prefix: String,
    pub suffix: String,
    /// Between the two, or overlapping them; empty if nothing is known.
    inner: String,
    /// Every text that contains `inner` matches: the pattern is `.*inner.*`.
    pub is_all: bool,
}

impl Required {
    pub(crate) fn of(hir: &Hir) -> Self {
        let (mut inner, mut is_all) = ("", false);
        if let HirKind::Concat(parts) = hir.kind() {
            inner = parts.iter().filter_map(literal).max_by_key(|text| text.len()).unwrap_or_default();
            is_all = matches!(&parts[..], [a, b, c] if is_anything(a) && literal(b).is_some() && is_anything(c));
        }
        Self { prefix: edge(hir, Edge::First), suffix: edge(hir, Edge::Last), inner: inner.to_owned(), is_all }
    }

    pub(crate) fn are_in(&self, value: &str) -> bool {
        value.starts_with(&self.prefix)
            && value.ends_with(&self.suffix)
            && (self.prefix == self.inner || self.suffix == self.inner || value.contains(&self.inner))
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
fn edge(mut hir: &Hir, which: Edge) -> String {
    loop {
        hir = match hir.kind() {
            HirKind::Capture(capture) => &capture.sub,
            // Literals that follow each other are one in this form.
            HirKind::Concat(parts) => match (which, parts.first(), parts.last()) {
                (Edge::First, Some(part), _) | (Edge::Last, _, Some(part)) => part,
                _ => return String::new(),
            },
            _ => return literal(hir).unwrap_or_default().to_owned(),
        };
    }
}
