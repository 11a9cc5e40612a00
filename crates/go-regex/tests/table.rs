//! What Go's regexp answers, by the table that `table/generate.go` writes: the same patterns, texts, groups and templates.

use mytsdb_go_regex::{AnchoredRegex, Limits, Replacer};

const TABLE: &str = include_str!("table/go.tsv");

/// A text as Go quotes it in ASCII.
fn unquoted(field: &str) -> String {
    let inner = field.strip_prefix('"').and_then(|f| f.strip_suffix('"')).expect("fields are quoted");
    let mut out = String::new();
    let mut rest = inner;
    while let Some(c) = rest.chars().next() {
        rest = &rest[1..];
        if c != '\\' {
            out.push(c);
            continue;
        }
        let escape = rest.chars().next().expect("something is escaped");
        rest = &rest[1..];
        let digits = match escape {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        let (code, after) = rest.split_at(digits);
        rest = after;
        out.push(match escape {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '\\' | '"' => escape,
            _ => u32::from_str_radix(code, 16).ok().and_then(char::from_u32).expect("a code point"),
        });
    }
    out
}

/// The fields of all lines of a kind.
fn lines() -> impl Iterator<Item = Vec<&'static str>> {
    TABLE.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

#[test]
fn patterns_are_accepted_and_refused_with_gos_words() {
    let limits = Limits::default();
    let mut wrong = Vec::new();
    let mut count = 0;
    for line in lines() {
        let expected = match line[0] {
            "accepted" => Ok(()),
            "refused" => Err(unquoted(line[2])),
            _ => continue,
        };
        count += 1;
        let pattern = unquoted(line[1]);
        let anchored = AnchoredRegex::new(&pattern, &limits).map(|_| ()).map_err(|e| e.to_string());
        let replacer = Replacer::new(&pattern, &limits).map(|_| ()).map_err(|e| e.to_string());
        if anchored != expected || replacer != expected {
            wrong.push(format!("{pattern:?}: {anchored:?}, {replacer:?}, Go says {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 350, "{count}");
}

#[test]
fn texts_match_with_gos_groups() {
    let mut pattern = String::new();
    let mut wrong = Vec::new();
    for line in lines() {
        match line[0] {
            "accepted" => pattern = unquoted(line[1]),
            "text" => {
                let text = unquoted(line[1]);
                let groups: Vec<Option<String>> =
                    line[2..].iter().filter(|f| !f.is_empty()).map(|f| (*f != "-").then(|| unquoted(f))).collect();
                let expected = (!groups.is_empty()).then_some(groups);
                let anchored = AnchoredRegex::new(&pattern, &Limits::default()).expect("Go accepts it");
                let replacer = Replacer::new(&pattern, &Limits::default()).expect("Go accepts it");
                let found = replacer.captures(&text);
                let found: Option<Vec<Option<String>>> =
                    found.map(|all| all.into_iter().map(|group| group.map(str::to_owned)).collect());
                if found != expected || anchored.is_match(&text) != expected.is_some() {
                    let matches = anchored.is_match(&text);
                    wrong.push(format!("{pattern:?} on {text:?}: {matches} {found:?}, Go says {expected:?}"));
                }
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn templates_expand_to_gos_texts() {
    let mut asked: Option<(Replacer, String)> = None;
    let mut count = 0;
    for line in lines() {
        match line[0] {
            "expands" => {
                let replacer = Replacer::new(&unquoted(line[1]), &Limits::default()).expect("Go accepts it");
                asked = Some((replacer, unquoted(line[2])));
            }
            "template" => {
                let (replacer, text) = asked.as_ref().expect("a pattern stands before its templates");
                let template = unquoted(line[1]);
                assert_eq!(replacer.expand(text, &template, 100), Ok(Some(unquoted(line[2]))), "{template:?}");
                count += 1;
            }
            _ => {}
        }
    }
    assert!(count > 50, "{count}");
}

#[test]
fn groups_nest_as_deep_as_in_go() {
    for line in lines().filter(|line| line[0] == "nested") {
        let depth: usize = line[1].parse().expect("a number");
        let pattern = "(".repeat(depth) + "a" + &")".repeat(depth);
        let regex = AnchoredRegex::new(&pattern, &Limits::default());
        assert_eq!(regex.is_ok(), line[2] == "true", "{depth}");
        if regex.is_ok() {
            assert_eq!(Replacer::new(&pattern, &Limits::default()).unwrap().captures("a").unwrap().len(), depth + 1);
        }
    }
}

#[test]
fn classes_have_gos_members() {
    for line in lines().filter(|line| line[0] == "members") {
        let (class, count): (String, usize) = (unquoted(line[1]), line[2].parse().expect("a number"));
        let regex = AnchoredRegex::new(&class, &Limits::default()).expect("Go accepts it");
        // Later characters depend on the version of Unicode.
        let found = ('\0'..'\u{180}').filter(|c| regex.is_match(&c.to_string())).count();
        assert_eq!(found, count, "{class}");
    }
}
