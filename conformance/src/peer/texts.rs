//! Texts that may or may not be queries: those of the suites and of the grammar, broken in small ways.

use super::data::VOCABULARY;
use super::own_texts::OWN_TEXTS;
use mytsdb_promql_testkit::QueryWriter;
use mytsdb_testkit::Random;
use serde_json::Value;
use std::path::Path;

/// What mutations insert.
const WORDS: [&str; 119] = [
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "=",
    "==",
    "!=",
    "=~",
    "!~",
    "<",
    ">",
    "<=",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "@",
    "\"",
    "'",
    "`",
    "\\",
    "#",
    " ",
    "\n",
    "sum",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "offset",
    "and",
    "or",
    "unless",
    "atan2",
    "start()",
    "end()",
    "start",
    "step()",
    "range()",
    "min_of",
    "max_of(",
    "fill",
    "fill(",
    "fill_left(1)",
    "fill_right",
    "anchored",
    "smoothed",
    "topk",
    "quantile",
    "count_values",
    "limitk",
    "limit_ratio",
    "1",
    "0",
    "-1",
    "1e",
    "0x",
    "0x1F",
    "1_0",
    "1__0",
    "5m",
    "1h30m",
    "30m1h",
    "5",
    ".5",
    "1.",
    "1.5m",
    "Inf",
    "NaN",
    "inf",
    "nan",
    "+Inf",
    "foo",
    "bar",
    "foo:bar",
    ":x",
    "\"a\"",
    "'b'",
    "`c`",
    "\"\\x\"",
    "\"\\u00e9\"",
    "é",
    "$",
    "!",
    "~",
    ";",
    "|",
    "&",
    "?",
    "a=\"b\"",
    "{a=\"b\"}",
    "{\"a\"}",
    "{\"a\",b=\"c\"}",
    "[5m]",
    "[5m:]",
    "[5m:1m]",
    "[1m+1m]",
    "rate(",
    "info(",
    "label_replace(",
    "histogram_quantile(",
    "</",
    ">/",
    "<-",
    "9223372036854775808",
    "1e400",
    "1y2w3d",
    "__name__=\"x\"",
    "stale",
];

/// Texts of our own and, if there is a folder of the suites' data, all queries in it, without repetition.
pub fn corpus(folder: Option<&Path>) -> anyhow::Result<Vec<String>> {
    let mut out = OWN_TEXTS.map(str::to_owned).to_vec();
    let Some(folder) = folder else { return Ok(out) };
    for table in ["promql_parse_ok", "promql_parse_fail", "promql_prettier", "promql_printer"] {
        let path = folder.join("promql-tables").join(format!("{table}.json"));
        let table: Value =
            serde_json::from_str(&crate::parser_suite::escape_lone_surrogates(&crate::score::read(&path)?))?;
        for case in table["cases"].as_array().into_iter().flatten() {
            // One table nests too deep to be mutated in reasonable time.
            out.extend(case["input"].as_str().or(case["in"].as_str()).filter(|t| t.len() < 2_000).map(str::to_owned));
        }
    }
    let options = crate::score::Options::default();
    for (_, path) in crate::score::files(&folder.join("promqltest"), "test", &options)? {
        for line in crate::score::read(&path)?.lines() {
            let line = line.trim();
            if !line.starts_with("eval") {
                continue;
            }
            // What follows the time or the step is the query.
            let words: Vec<&str> = line.split_whitespace().collect();
            let skip = match words.get(1) {
                Some(&"range") => words.iter().position(|w| *w == "step").map(|i| i + 2),
                _ if words.get(2) == Some(&"at") => Some(4),
                _ => Some(2),
            };
            out.extend(skip.and_then(|skip| words.get(skip..)).map(|words| words.join(" ")));
        }
    }
    out.sort();
    out.dedup();
    Ok(out)
}

/// A text with 0 to 3 mutations.
pub fn text(random: &mut Random, corpus: &[String]) -> String {
    let mut text = if random.one_in(3) {
        QueryWriter::new(random, &VOCABULARY).query()
    } else {
        corpus[random.below(corpus.len() as u64) as usize].clone()
    };
    for _ in 0..random.pick(&[0, 1, 1, 1, 2, 3]) {
        text = mutated(random, &text);
    }
    text
}

/// Splits where the kind of character changes; single punctuation.
fn pieces(text: &str) -> Vec<String> {
    let kind = |c: char| match c {
        c if c.is_alphanumeric() || c == '_' || c == '.' => 0,
        c if c.is_whitespace() => 1,
        _ => 2,
    };
    let mut out: Vec<String> = Vec::new();
    let mut last = 2;
    for c in text.chars() {
        match out.last_mut() {
            Some(piece) if kind(c) == last && last != 2 => piece.push(c),
            _ => out.push(c.to_string()),
        }
        last = kind(c);
    }
    out
}

fn mutated(random: &mut Random, text: &str) -> String {
    let mut list = pieces(text);
    let at = random.below(list.len() as u64 + 1) as usize;
    let inside = at.min(list.len().saturating_sub(1));
    let word = random.pick(&WORDS).to_owned();
    match random.below(8) {
        _ if list.is_empty() => return word,
        0 | 1 => drop(list.remove(inside)),
        2 | 3 => list.insert(at, word),
        4 => list[inside] = word,
        5 => list.insert(at, list[inside].clone()),
        6 => {
            let other = random.below(list.len() as u64) as usize;
            list.swap(inside, other);
        }
        _ => {
            let mut chars: Vec<char> = text.chars().collect();
            let at = random.below(chars.len() as u64) as usize;
            if random.one_in(2) {
                chars.remove(at);
            } else {
                chars.truncate(at);
            }
            return chars.into_iter().collect();
        }
    }
    list.concat()
}
