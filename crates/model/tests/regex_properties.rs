//! Patterns from outside: any text compiles or is refused, and what the planner is told about it is true.

use mytsdb_model::LabelRegex;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn any_pattern_compiles_or_is_refused(pattern in r"[ab01\\\[\]\(\)\{\}\*\+\?\|\^\$\.,:\-dwsbBQEpPix<>=&~\PC]{0,24}") {
        match LabelRegex::new(&pattern) {
            Ok(regex) => {
                regex.is_match("ab01");
                regex.expand("ab01", &pattern);
            }
            Err(error) => prop_assert!(error.to_string().starts_with("error parsing regexp: ")),
        }
    }

    #[test]
    fn literals_agree_with_matching(pattern in r"(\.\*|\.\+)?[abc]{0,3}(\([abc]{1,2}(\|[abc]{0,2}){0,3}\)|\[[abc]{1,3}\]){0,2}[abc]{0,2}(\.\*[abc]{0,2})?", value in r"[abc\n]{0,6}") {
        let regex = LabelRegex::new(&pattern).expect("a pattern of plain parts");
        // The same language without the shortcuts: a group that cannot be listed.
        let plain = LabelRegex::new(&format!("(?:{pattern}|x*y)")).expect("a pattern of plain parts");
        prop_assert_eq!(regex.is_match(&value), plain.is_match(&value));
        if let Some(literals) = regex.literals() {
            for literal in literals {
                prop_assert!(plain.is_match(literal), "{} is listed", literal);
            }
        }
        if regex.is_match(&value) {
            prop_assert!(value.starts_with(regex.prefix()));
        }
    }
}
