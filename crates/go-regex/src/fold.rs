//! Simple case folding: which characters are the same but for their case.

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

/// The characters that are `c` but for the case, `c` among them, ascending.
pub(crate) fn orbit(c: char) -> ClassUnicode {
    let mut class = ClassUnicode::new([ClassUnicodeRange::new(c, c)]);
    class.case_fold_simple();
    class
}

/// The smallest character that is `c` but for the case.
pub(crate) fn canonical(c: char) -> char {
    if c.is_ascii() {
        // No smaller character folds to an ASCII letter.
        return c.to_ascii_uppercase();
    }
    if !may_have_case(c) {
        return c;
    }
    orbit(c).ranges().first().map_or(c, ClassUnicodeRange::start)
}

/// Whether other characters are `c` but for the case.
pub(crate) fn has_case(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphabetic();
    }
    may_have_case(c) && !is_single(&orbit(c))
}

/// `false` only if no other character is `c` but for the case. There are tens of thousands of Han and Hangul characters.
fn may_have_case(c: char) -> bool {
    !matches!(u32::from(c), 0x3000..=0xA63F | 0xAC00..=0xD7FF)
}

fn is_single(class: &ClassUnicode) -> bool {
    matches!(class.ranges(), [one] if one.start() == one.end())
}

/// `text` with each character replaced by its canonical one.
pub(crate) fn folded(text: &str) -> String {
    text.chars().map(canonical).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_characters_are_the_smallest_of_their_orbits() {
        for c in ('\0'..='\u{3100}').chain('\u{a600}'..='\u{ac10}').chain('\u{fb00}'..='\u{1f000}') {
            let orbit = orbit(c);
            assert_eq!(canonical(c), orbit.ranges()[0].start(), "{c:?}");
            assert_eq!(has_case(c), !is_single(&orbit), "{c:?}");
        }
    }
}
