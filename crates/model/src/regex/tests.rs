//! Where Go's dialect differs from Rust's, and what the planner may rely on.

use super::*;

#[track_caller]
fn check(pattern: &str, value: &str, expected: bool) {
    let regex = LabelRegex::new(pattern).unwrap();
    assert_eq!(regex.is_match(value), expected, "{pattern:?} on {value:?}");
}

#[track_caller]
fn refused(pattern: &str, message: &str) {
    let error = LabelRegex::new(pattern).expect_err(pattern).to_string();
    assert_eq!(error, format!("error parsing regexp: {message}"), "{pattern:?}");
}

#[test]
fn perl_classes_are_ascii() {
    check(r"\d", "5", true);
    check(r"\d", "\u{0665}", false);
    check(r"\w", "é", false);
    check(r"\W", "é", true);
    check(r"\s", "\u{b}", false);
    check(r"\S", "\u{a0}", true);
    check(r"a\b.c", "a-c", true);
    check(r"a\Bbc", "abc", true);
    check(r"[\d_]+", "1_2", true);
    check(r"[^\d]", "x", true);
}

#[test]
fn class_syntax_is_gos() {
    check("[a&&b]+", "a&b", true);
    check("[[a]+", "[a", true);
    check("[]a]+", "]a", true);
    check("[a-]+", "-a", true);
    check("[[:alpha:]x-z1]+", "aBz1", true);
    check("[^[:digit:]]", "5", false);
    check(r"\pL+", "éa", true);
    check(r"\p{Greek}", "λ", true);
    check(r"\p{^Greek}", "λ", false);
    check(r"\PN", "a", true);
    refused("[b-a]", "invalid character class range: `b-a`");
    refused("[a", "missing closing ]: `[a`");
    refused("[[:foo:]]", "invalid character class range: `[:foo:]`");
    refused(r"\p{foo}", r"invalid character class range: `\p{foo}`");
}

#[test]
fn braces_that_count_nothing_are_literals() {
    check("a{", "a{", true);
    check("a{2", "a{2", true);
    check("a{,3}", "a{,3}", true);
    check("{", "{", true);
    check("a{2}", "aa", true);
    check("a{2,}", "aaaa", true);
    check("a{1,2}", "aaa", false);
    refused("a{1001}", "invalid repeat count: `{1001}`");
    refused("a{3,2}", "invalid repeat count: `{3,2}`");
    refused("(a{100}){100}", "invalid repeat count");
}

#[test]
fn operators_need_an_operand_and_do_not_stack() {
    refused("*", "missing argument to repetition operator: `*`");
    refused("a**", "invalid nested repetition operator: `**`");
    refused("a*+", "invalid nested repetition operator: `*+`");
    refused("a|*", "missing argument to repetition operator: `*`");
    check("a*?b", "aab", true);
    check("(?:a*)*", "aa", true);
}

#[test]
fn groups_and_flags() {
    check("(?i)AbC", "aBc", true);
    check("(?i:a)b", "Ab", true);
    check("(?i:a)b", "AB", false);
    check("(?-s)a.c", "a\nc", false);
    check("a.c", "a\nc", true);
    check("(a|b)(?P<x>c)(?<y>d)", "bcd", true);
    check("(?m)a$\n^b", "a\nb", true);
    refused("(a", "missing closing ): `(a`");
    refused("a)", "unexpected ): `a)`");
    refused("(?x)a", "invalid or unsupported Perl syntax: `(?x`");
    refused("(?P<n>a)(?P<n>b)", "duplicate capture group name: `n`");
    refused("(?<>a)", "invalid named capture: `(?<>`");
    refused(&"(".repeat(400), &format!("expression nests too deeply: `{}`", "(".repeat(400)));
}

#[test]
fn escapes() {
    check(r"\Qa.b*\E+", "a.b**", true);
    check(r"\x41\x{1F600}\101\0", "A😀A\0", true);
    check(r"\.\-\_", ".-_", true);
    check(r"\Aab\z", "ab", true);
    refused(r"\8", r"invalid escape sequence: `\8`");
    refused(r"\u0041", r"invalid escape sequence: `\u`");
    refused(r"\1", r"invalid escape sequence: `\1`");
    refused("\\", "trailing backslash at end of expression: ``");
}

#[test]
fn short_alternations_are_listed() {
    let literals = |p: &str| LabelRegex::new(p).unwrap().literals().map(<[String]>::to_vec);
    assert_eq!(literals("a|b|cd"), Some(vec!["a".into(), "b".into(), "cd".into()]));
    assert_eq!(literals("x(1|2)[ab]"), Some(vec!["x1a".into(), "x1b".into(), "x2a".into(), "x2b".into()]));
    assert_eq!(literals(""), Some(vec![String::new()]));
    assert_eq!(literals("a.*"), None);
    assert_eq!(LabelRegex::new("ab(c|d).*").unwrap().prefix(), "ab");
    assert_eq!(LabelRegex::new(".*").unwrap().prefix(), "");
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
fn limits_hold() {
    assert!(LabelRegex::new(&"a".repeat(LabelRegex::PATTERN_BYTES_MAX + 1)).is_err());
    refused(r"(\pL{1000})(\pL{1000})", "expression too large");
}

#[test]
fn templates_expand_as_in_go() {
    let regex = LabelRegex::new(r"(?P<host>[a-z]+)-(\d+)").unwrap();
    let expand = |t: &str| regex.expand("web-12", t).unwrap();
    assert_eq!(expand("$1/$2"), "web/12");
    assert_eq!(expand("$1x$2"), "12");
    assert_eq!(expand("${1}x${host}"), "webxweb");
    assert_eq!(expand("$$1 $ ${ ${9} $nope."), "$1 $ ${  .");
    assert_eq!(regex.expand("web", "$1"), None);
}
