//! Patterns that match some texts and no others: alternations of literals, with what may be around and in them.

use crate::fold;
use regex_syntax::hir::{Class, Hir, HirKind};

/// The texts that a pattern matches.
#[derive(Debug, Clone)]
pub(crate) enum Literals {
    /// Exactly these, sorted.
    Exact(Vec<String>),
    /// These texts and those that differ from them only in case; written in canonical characters, sorted.
    Folded(Vec<String>),
}

impl Literals {
    /// `None` if there are assertions or repetitions, or too many texts. `pattern_bytes` is the length of the pattern:
    /// what it lists itself is never too many.
    pub(crate) fn of(hir: &Hir, pattern_bytes: usize) -> Option<Self> {
        if let Some(exact) = Search::new(false, pattern_bytes).texts(hir) {
            return Some(Literals::Exact(sorted(exact)));
        }
        Search::new(true, pattern_bytes).texts(hir).map(|folded| Literals::Folded(sorted(folded)))
    }

    pub(crate) fn contain(&self, text: &str) -> bool {
        match self {
            Literals::Exact(all) => has(all, text),
            Literals::Folded(all) => has(all, &fold::folded(text)),
        }
    }
}

fn has(all: &[String], text: &str) -> bool {
    all.binary_search_by(|literal| literal.as_str().cmp(text)).is_ok()
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// Bytes that any pattern may be expanded to, and the bytes that each byte of the pattern adds.
const EXPANDED_BYTES_MIN: usize = 16 << 10;
const EXPANDED_BYTES_PER_BYTE: usize = 4;

/// Characters of a class that are tried one by one.
const CLASS_CHARS_MAX: usize = 16;

struct Search {
    folded: bool,
    /// Bytes that may still be written.
    left: usize,
}

impl Search {
    fn new(folded: bool, pattern_bytes: usize) -> Self {
        Self { folded, left: pattern_bytes.saturating_mul(EXPANDED_BYTES_PER_BYTE).saturating_add(EXPANDED_BYTES_MIN) }
    }

    /// Accounts for texts that are written.
    fn spend(&mut self, bytes: usize) -> Option<()> {
        self.left = self.left.checked_sub(bytes)?;
        Some(())
    }

    /// Recursion is bounded by the height that the parser allows.
    fn texts(&mut self, hir: &Hir) -> Option<Vec<String>> {
        match hir.kind() {
            HirKind::Empty => Some(vec![String::new()]),
            HirKind::Literal(literal) => {
                let text = std::str::from_utf8(&literal.0).ok()?;
                self.spend(text.len() + 1)?;
                (!self.folded || !text.chars().any(fold::has_case)).then(|| vec![text.to_owned()])
            }
            HirKind::Class(Class::Unicode(class)) => {
                let chars = class.iter().flat_map(|range| range.start()..=range.end());
                let chars: Vec<char> = chars.take(CLASS_CHARS_MAX + 1).collect();
                if chars.len() > CLASS_CHARS_MAX {
                    return None;
                }
                self.spend(2 * chars.len())?;
                if !self.folded {
                    return Some(chars.iter().map(char::to_string).collect());
                }
                // Each character has to be there in all its cases.
                let whole =
                    |c: &char| fold::orbit(*c).iter().all(|r| (r.start()..=r.end()).all(|c| chars.contains(&c)));
                let canonical = chars.iter().filter(|&&c| fold::canonical(c) == c);
                chars.iter().all(whole).then(|| canonical.map(char::to_string).collect())
            }
            HirKind::Capture(capture) => self.texts(&capture.sub),
            HirKind::Concat(parts) => {
                let mut all = vec![String::new()];
                for part in parts {
                    let tails = self.texts(part)?;
                    all = self.joined(all, &tails)?;
                }
                Some(all)
            }
            HirKind::Alternation(parts) => {
                let mut all = Vec::new();
                for part in parts {
                    all.append(&mut self.texts(part)?);
                }
                Some(all)
            }
            HirKind::Repetition(repeated) if repeated.max == Some(1) && repeated.min == 0 => {
                let mut all = self.texts(&repeated.sub)?;
                all.push(String::new());
                Some(all)
            }
            HirKind::Class(Class::Bytes(_)) | HirKind::Look(_) | HirKind::Repetition(_) => None,
        }
    }

    /// Each head with each tail behind it.
    fn joined(&mut self, mut heads: Vec<String>, tails: &[String]) -> Option<Vec<String>> {
        if let [tail] = tails {
            self.spend(tail.len().checked_mul(heads.len())?)?;
            for head in &mut heads {
                head.push_str(tail);
            }
            return Some(heads);
        }
        let bytes = |texts: &[String]| texts.iter().map(|text| text.len() + 1).sum::<usize>();
        let product = bytes(&heads).checked_mul(tails.len())?.checked_add(bytes(tails).checked_mul(heads.len())?)?;
        self.spend(product)?;
        Some(heads.iter().flat_map(|head| tails.iter().map(move |tail| format!("{head}{tail}"))).collect())
    }
}
