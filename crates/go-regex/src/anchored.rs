//! Patterns that match whole texts, as label matchers use them.

use crate::literals::Literals;
use crate::parser;
use crate::required::Required;
use crate::trie::Trie;
use crate::{Limits, RegexError};
use regex_automata::meta::Regex;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_syntax::hir::{Hir, Look};

/// A compiled pattern that matches a whole text: `^(?s:pattern)$`.
///
/// The dialect is Go's (its `regexp/syntax` page), not Rust's: `\d`, `\w`, `\s` and `\b` are ASCII, `[a&&b]` is a
/// plain class, `{` may be a literal, `\Q..\E` quotes. Matching is linear in the text. A pattern that is an alternation
/// of literals is a sorted list: no automaton is built, and a match is a binary search.
#[derive(Debug, Clone)]
pub struct AnchoredRegex {
    program: Program,
}

#[derive(Debug, Clone)]
enum Program {
    Listed(Literals),
    Tree(Trie),
    Automaton { regex: Regex, required: Required },
}

impl AnchoredRegex {
    /// Compiles `pattern`. Cost: some 100 us for a short one, 0.1-0.2 us a byte for a list of literals.
    ///
    /// # Errors
    /// See [`RegexError`].
    pub fn new(pattern: &str, limits: &Limits) -> Result<Self, RegexError> {
        limits.check(pattern)?;
        let hir = parser::parse(pattern)?.hir;
        let program = if let Some(literals) = Literals::of(&hir, pattern.len()) {
            Program::Listed(literals)
        } else if let Some(trie) = Trie::of(&hir, pattern.len()) {
            Program::Tree(trie)
        } else {
            let required = Required::of(&hir);
            Program::Automaton { required, regex: compiled(hir, pattern.len(), WhichCaptures::Implicit)? }
        };
        Ok(Self { program })
    }

    /// Whether the whole of `text` matches. Linear in `text`.
    pub fn is_match(&self, text: &str) -> bool {
        match &self.program {
            Program::Listed(literals) => literals.contain(text),
            Program::Tree(trie) => trie.is_match(text),
            Program::Automaton { regex, required } => {
                required.are_in(text) && (required.is_all || regex.is_match(text))
            }
        }
    }

    /// The texts that match, sorted, each once, where the pattern is an alternation of literals or expands to one that
    /// is not much longer. `None` also if the pattern ignores case.
    pub fn literals(&self) -> Option<&[String]> {
        match &self.program {
            Program::Listed(Literals::Exact(all)) => Some(all),
            _ => None,
        }
    }

    /// Memory that the pattern takes, about. More is needed while texts are matched.
    pub fn heap_bytes(&self) -> usize {
        match &self.program {
            Program::Listed(Literals::Exact(all) | Literals::Folded(all)) => {
                all.iter().map(|text| text.capacity() + size_of::<String>()).sum()
            }
            Program::Tree(trie) => trie.heap_bytes(),
            Program::Automaton { regex, .. } => regex.memory_usage(),
        }
    }

    /// A literal that every matching text starts with; may be empty.
    pub fn prefix(&self) -> &str {
        match &self.program {
            Program::Listed(_) | Program::Tree(_) => "",
            Program::Automaton { required, .. } => &required.prefix,
        }
    }
}

/// The anchored automaton of an expression.
pub(crate) fn compiled(hir: Hir, pattern_bytes: usize, captures: WhichCaptures) -> Result<Regex, RegexError> {
    let anchored = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
    let config =
        Regex::config().nfa_size_limit(Some(Limits::compiled_bytes_max(pattern_bytes))).which_captures(captures);
    Regex::builder().configure(config).build_from_hir(&anchored).map_err(|_| RegexError::TooLarge)
}

#[cfg(test)]
mod tests;
