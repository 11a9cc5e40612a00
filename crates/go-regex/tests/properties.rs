//! Patterns from outside: any text compiles or is refused, and what the planner is told about it is true.

use mytsdb_go_regex::{AnchoredRegex, Limits, Replacer};
use proptest::prelude::*;

fn anchored(pattern: &str) -> AnchoredRegex {
    AnchoredRegex::new(pattern, &Limits::default()).expect("a pattern of plain parts")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_pattern_compiles_or_is_refused(pattern in r"[ab01\\\[\]\(\)\{\}\*\+\?\|\^\$\.,:\-dwsbBQEpPix<>=&~\PC]{0,24}", text in r"[ab01\PC]{0,6}") {
        match (AnchoredRegex::new(&pattern, &Limits::default()), Replacer::new(&pattern, &Limits::default())) {
            (Ok(regex), Ok(replacer)) => {
                for text in ["ab01", &text] {
                    prop_assert_eq!(regex.is_match(text), replacer.captures(text).is_some());
                    prop_assert_eq!(regex.is_match(text), replacer.expand(text, &pattern, 100).unwrap().is_some());
                }
                for literal in regex.literals().unwrap_or_default() {
                    prop_assert!(replacer.captures(literal).is_some(), "{} is listed", literal);
                }
            }
            (Err(error), Err(other)) => {
                prop_assert!(error.to_string().starts_with("error parsing regexp: "));
                prop_assert_eq!(error, other);
            }
            (a, b) => prop_assert!(false, "{:?} {:?}", a, b),
        }
    }

    #[test]
    fn literals_agree_with_matching(pattern in r"(\(\?i\))?(\.\*|\.\+)?[abcK]{0,3}(\([abc]{1,2}(\|[abck]{0,2}){0,3}\)\??|\[[abc]{1,3}\]){0,2}[abc]{0,2}(\.\*[abc]{0,2})?", value in r"[abcABCkK\n\u{212a}]{0,6}") {
        let regex = anchored(&pattern);
        // The same language without the shortcuts: a group that cannot be listed.
        let plain = anchored(&format!("(?:{pattern}|x*y)"));
        prop_assert_eq!(regex.is_match(&value), plain.is_match(&value));
        if let Some(literals) = regex.literals() {
            for literal in literals {
                prop_assert!(plain.is_match(literal), "{} is listed", literal);
            }
            prop_assert_eq!(literals.contains(&value), plain.is_match(&value));
        }
        if regex.is_match(&value) {
            prop_assert!(value.starts_with(regex.prefix()));
        }
    }
}
