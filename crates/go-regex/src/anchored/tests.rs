//! Which patterns are lists of literals, what the planner may rely on, and limits. The dialect is compared in `tests/`.

use super::*;

fn new(pattern: &str) -> AnchoredRegex {
    AnchoredRegex::new(pattern, &Limits::default()).expect(pattern)
}

#[track_caller]
fn check(pattern: &str, value: &str, expected: bool) {
    assert_eq!(new(pattern).is_match(value), expected, "{pattern:?} on {value:?}");
}

fn listed(pattern: &str) -> Option<Vec<String>> {
    new(pattern).literals().map(<[String]>::to_vec)
}

#[test]
fn alternations_of_literals_are_listed() {
    let list = |texts: &[&str]| Some(texts.iter().map(|&t| t.to_owned()).collect::<Vec<_>>());
    assert_eq!(listed("a|b|cd"), list(&["a", "b", "cd"]));
    assert_eq!(listed("b|a|b"), list(&["a", "b"]));
    assert_eq!(listed("x(1|2)[ab]"), list(&["x1a", "x1b", "x2a", "x2b"]));
    assert_eq!(listed("(?:a|b|c)x"), list(&["ax", "bx", "cx"]));
    assert_eq!(listed("foo(a|b)?"), list(&["foo", "fooa", "foob"]));
    assert_eq!(listed(r"10\.0[.]0\.1:80|{gid}"), list(&["10.0.0.1:80", "{gid}"]));
    assert_eq!(listed(r"(?P<n>a|\Qb.\E)"), list(&["a", "b."]));
    assert_eq!(listed("(?i)1|2"), list(&["1", "2"]));
    assert_eq!(listed("(?i)a"), list(&["A", "a"]));
    assert_eq!(listed(""), list(&[""]));
    for open in ["a.*", "a+", "^a", r"a\b", "[a-z]", "a{2,}"] {
        assert_eq!(listed(open), None, "{open}");
    }
    assert_eq!(new("ab(c|d).*").prefix(), "ab");
    assert_eq!(new(".*").prefix(), "");
}

#[test]
fn long_alternations_are_listed_and_short_products_are_not_blown_up() {
    let values: Vec<String> = (0..60_000).map(|i| format!("10\\.{}\\.{}\\.7", i / 250, i % 250)).collect();
    for pattern in [values.join("|"), format!("({})", values.join("|")), format!("(?:{}):9100", values.join("|"))] {
        // Some are longer than what is accepted by default.
        let limits = Limits { pattern_bytes_max: 4 << 20, ..Limits::default() };
        let regex = AnchoredRegex::new(&pattern, &limits).unwrap();
        assert_eq!(regex.literals().map(<[String]>::len), Some(60_000));
        assert!(regex.is_match(if pattern.ends_with('0') { "10.3.249.7:9100" } else { "10.3.249.7" }));
        assert!(!regex.is_match("10x3x249x7"));
    }
    assert_eq!(listed(&"(a|b)".repeat(30)), None, "that would be a billion");
    assert!(new(&"(a|b)".repeat(30)).is_match(&"ab".repeat(15)));
    assert_eq!(listed(&"(?:|a)".repeat(500)), None);
}

#[test]
fn lists_without_case_are_no_automata() {
    let values: Vec<String> = (0..20_000).map(|i| format!("Pod-{i:05}-kſé")).collect();
    let pattern = format!("(?i)({})", values.join("|"));
    let regex = new(&pattern);
    assert!(matches!(&regex.program, Program::Listed(Literals::Folded(all)) if all.len() == 20_000));
    assert_eq!(regex.literals(), None, "there would be too many");
    assert!(regex.is_match("pOD-00017-\u{212a}sÉ") && regex.is_match("POD-19999-KSé"));
    assert!(!regex.is_match("pod-20000-kſé") && !regex.is_match("pod-00017-kſe"));
    // A pattern that ignores case in a part becomes an automaton, and its answers are right too.
    let mixed = new("(?i:abcdefghijklmnop)|xyz");
    assert!(mixed.is_match("ABCDEFGHIJKLMNOp") && mixed.is_match("xyz") && !mixed.is_match("XYZ"));
    let part = new("(?:[Aa][Bb]|cD){16}");
    assert!(part.is_match(&"aBcD".repeat(8)) && !part.is_match(&"aBcd".repeat(8)));
}

#[test]
fn literals_within_a_pattern_decide_as_the_pattern_does() {
    check(".*foo.*", "a\nfoo", true);
    check(".*foo.*", "afo", false);
    check(".+foo.*", "foo", false);
    check("(?-s).*foo.*", "a\nfoo", false);
    check("a.*b.*a", "aba", true);
    check("a.*aba", "aba", false);
    check(".*-[0-9]+-end", "x-1-end", true);
    check(".*-[0-9]+-end", "x--end", false);
    check("(?i).*foo.*", "aFOO", true);
}

#[test]
fn limits_hold_and_are_named() {
    let limits = Limits { pattern_bytes_max: 10, setting: "--some-flag" };
    assert!(AnchoredRegex::new("aaaaaaaaaa", &limits).is_ok());
    assert_eq!(
        AnchoredRegex::new("aaaaaaaaaaa", &limits).unwrap_err().to_string(),
        "error parsing regexp: pattern of 11 bytes exceeds the limit of 10 bytes (--some-flag)"
    );
    let large = AnchoredRegex::new(r"(\pL{1000})(\pL{1000})", &Limits::default());
    assert_eq!(large.unwrap_err(), RegexError::TooLarge);
}

#[test]
fn hostile_patterns_take_linear_time() {
    let size = 32 << 10;
    for part in [
        "[:", "(", "[[:", "a|", "(?i)", "a*(?i)", "\\Q\\E", "[a", "{", "a{", "(?:a|b)", "[^a]", "\\pL", "(?P<a>", "|",
        "[a-b", "k",
    ] {
        for before in ["", "[", "(?i)", "(?U:"] {
            let pattern = before.to_owned() + &part.repeat((size - before.len()) / part.len());
            let _refused_or_not = AnchoredRegex::new(&pattern, &Limits::default()).is_ok();
        }
    }
}

#[test]
fn long_alternations_of_open_texts_are_trees() {
    let values: Vec<String> = (0..20_000).map(|i| format!("10.0.{}.{}:9100", i / 250, i % 250)).collect();
    for pattern in [format!("1|{}", values.join("|")), format!("(?i)(node-)?({})", values.join("|"))] {
        let regex = new(&pattern);
        assert!(matches!(regex.program, Program::Tree(_)));
        assert!(regex.heap_bytes() < 40 << 20, "{}", regex.heap_bytes());
        assert!(regex.is_match("10.0.79.249:9100") && regex.is_match("10x0é7\n9:9100"));
        assert!(!regex.is_match("10.0.79.250:9100") && !regex.is_match("10..0.1.1:9100") && !regex.is_match("10"));
        assert_eq!(regex.is_match("1"), !pattern.starts_with('('));
        assert_eq!(regex.is_match("NODE-10.0.0.0:9100"), pattern.starts_with('('));
    }
    // A pattern that cannot be a tree becomes an automaton.
    let open = new(&format!("{}|x.*", values[..50].join("|")));
    assert!(
        matches!(open.program, Program::Automaton { .. }) && open.is_match("xyz") && open.is_match("10.0.0.7:9100")
    );
}

#[test]
fn trees_decide_as_automata_do() {
    let parts = ["a", ".", "[a-c]", "[^b]", "(?:a|b.)", "(?:x|.y)?", "[ab]{1,2}", "(?-s:.)", "é", "(?i:k)", ""];
    // Far from random, and different for each length.
    let branch = |i: usize| (0..=i % 5).map(|at| parts[(i * 7 + at * (3 + i % 4)) % parts.len()]).collect::<String>();
    let branches: Vec<String> = (0..400).map(branch).collect();
    let tree = new(&branches.join("|"));
    assert!(matches!(tree.program, Program::Tree(_)));
    let automata: Vec<AnchoredRegex> = branches.iter().map(|branch| new(branch)).collect();
    let chars = ['a', 'b', 'c', 'x', 'y', 'k', 'K', '\u{212a}', 'é', '\n'];
    let mut matched = 0;
    for i in 0..10_000_usize {
        let text: String = (0..i % 7).map(|at| chars[(i / 7 + i * at / 3 + at) % chars.len()]).collect();
        let expected = automata.iter().any(|regex| regex.is_match(&text));
        assert_eq!(tree.is_match(&text), expected, "{text:?}");
        matched += usize::from(expected);
    }
    assert!((1_000..9_900).contains(&matched), "{matched}");
}
