//! Queries with random damage: nothing panics, and what parses prints as a text that means the same.
//!
//! `MYTSDB_MUTATIONS` sets their number, `MYTSDB_SEED` another seed than 1.

use mytsdb_promql_syntax::{DurationExpr, Expr, QUERY_BYTES_MAX, parse, prettify};
use mytsdb_testkit::{Random, seed, setting};
use std::path::Path;

const SEEDS: [&str; 24] = [
    "sum by (job, instance) (rate(http_requests_total{code=~\"5..\"}[5m])) / on (job) group_left (team) up",
    "histogram_quantile(0.99, sum by (le) (rate(latency_bucket{job!=\"api\"}[5m] offset -1m)))",
    "max_over_time(rate(cpu_total[5m])[1h:1m] @ end() offset 1d) > bool 0.5",
    "topk(10, sum without (instance) (errors_total{severity!~\"info|debug\"})) or vector(0)",
    "label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\") and ignoring (a) group_right",
    "-a ^ -2 ^ 3 * +b % 0x1F - .5e-3 atan2 Inf",
    "{\"a.b\", __name__=~\"x|y\", 'l'=`raw`} @ 1603774568.5",
    "a + on (x) group_left (y) fill_left (1) fill_right (-2) b",
    "sum(a[5m] anchored) unless smoothed smoothed",
    "rate(a[5m + step() * 2:min_of(10s, range())] offset (1h - 5m))",
    "count_values without () (\"v\\xff\\u00e9\", a) == NaN",
    "quantile_over_time(scalar(b), a[1d2h3m4s5ms]) < +Inf",
    "absent(sum_over_time(x{y=\"\"}[30s])) != bool 1_000",
    "sort_by_label_desc(info(a, {data=~\".+\"}), \"x\", 'y')",
    "a </ 3 >/ -0755",
    "start() + end() - step() / max_of(1, pi())",
    "((a or b) unless on () c) # why\n and d",
    "offset offset 5m + by",
    "sum by (\"weird label\", by, on) (a) limitk",
    "limit_ratio(-0.5, a) + limitk by (x) (2, b)",
    "a{} or {}",
    "\"text\"",
    "start @ start()",
    "a[1y1w1d] @ -1 offset 300",
];

/// The queries of Prometheus' own tests, where they lie beside the repository.
fn foreign_seeds() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance/prometheus-3.16/promqltest");
    let mut out = Vec::new();
    for name in ["functions", "operators", "aggregators", "at_modifier", "subquery", "duration_expression", "literals"]
    {
        #[expect(clippy::disallowed_methods, reason = "texts for a test, not stored data")]
        let Ok(text) = std::fs::read_to_string(dir.join(format!("{name}.test"))) else { continue };
        let query = |line: &str| Some(line.strip_prefix("eval instant at ")?.split_once(' ')?.1.to_owned());
        out.extend(text.lines().filter_map(query));
    }
    out
}

/// Pieces that the language is made of.
const PIECES: [&str; 40] = [
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    "@",
    "-",
    "+",
    "*",
    "^",
    "==",
    "=~",
    "!~",
    "!=",
    "=",
    "\"",
    "'",
    "`",
    "\\",
    "#",
    "\n",
    " ",
    "5m",
    "1e9",
    "NaN",
    " offset ",
    " by ",
    " on ",
    " bool ",
    "sum",
    "rate",
    "__name__",
    "[5m:1m]",
    " group_left ",
    " fill(",
    "\u{e9}",
    "\u{2028}",
];

fn floor_char(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn mutate(random: &mut Random, seeds: &[String], text: &mut String) {
    let at = floor_char(text, random.index(text.len() + 1));
    let to = floor_char(text, (at + random.index(12)).min(text.len()));
    let (at, to) = (at.min(to), at.max(to));
    match random.below(7) {
        0 => text.replace_range(at..to, ""),
        1 | 2 => text.insert_str(at, PIECES[random.index(PIECES.len())]),
        3 => text.replace_range(at..to, PIECES[random.index(PIECES.len())]),
        4 => {
            let other = &seeds[random.index(seeds.len())];
            let (from, until) = (floor_char(other, random.index(other.len() + 1)), other.len());
            text.replace_range(at..to, &other[from..until]);
        }
        5 => {
            let piece = text[at..to].to_owned();
            text.insert_str(to, &piece);
        }
        _ => {
            let byte = char::from(random.below(128) as u8);
            text.replace_range(at..to, byte.encode_utf8(&mut [0; 4]));
        }
    }
}

/// Whether an offset is computed without parentheses, which takes two signs before it. They are not printed, and without
/// them less belongs to the offset; this too is as in Prometheus. So is what becomes of an offset of NaN: a number that as
/// a float is not exact.
fn has_open_offset(expr: &Expr) -> bool {
    let mut found = false;
    expr.walk(&mut |part| {
        let (offset, offset_ms) = match part {
            Expr::Vector(selector) => (&selector.offset_expr, selector.offset_ms),
            Expr::Matrix(matrix) => (&matrix.selector.offset_expr, matrix.selector.offset_ms),
            Expr::Subquery(subquery) => (&subquery.offset_expr, subquery.offset_ms),
            _ => (&None, 0),
        };
        found |= offset_ms == i64::MIN / 1_000_000;
        found |= matches!(offset, Some(DurationExpr::Operation(o)) if !o.wrapped && o.rhs.is_some());
        !found
    });
    found
}

/// Whether a literal range is above zero and below half a millisecond. It is legal and prints as `0s`, which is not; this
/// too is as in Prometheus.
fn has_vanishing_range(expr: &Expr) -> bool {
    let mut found = false;
    expr.walk(&mut |part| {
        found |= match part {
            Expr::Matrix(matrix) => matrix.range_expr.is_none() && matrix.range_ms == 0,
            Expr::Subquery(subquery) => subquery.range_expr.is_none() && subquery.range_ms == 0,
            _ => false,
        };
        !found
    });
    found
}

fn check(text: &str) -> bool {
    let Ok(expr) = parse(text) else { return false };
    let printed = expr.to_string();
    // A plus before the parentheses of an offset is not printed, and without it more belongs to the offset.
    // Infinity is printed with its sign, which stands outside of a power. Prometheus prints both so.
    if printed.len() > QUERY_BYTES_MAX || printed.contains(" offset (") || printed.contains("Inf ^") {
        return true;
    }
    if has_open_offset(&expr) || has_vanishing_range(&expr) {
        return true;
    }
    let again = parse(&printed).unwrap_or_else(|e| panic!("{text:?} prints as {printed:?}: {e}"));
    assert_eq!(again.to_string(), printed, "{text:?}");
    let pretty = prettify(&expr);
    if pretty.len() <= QUERY_BYTES_MAX {
        let again = parse(&pretty).unwrap_or_else(|e| panic!("{text:?} is pretty as {pretty:?}: {e}"));
        assert_eq!(again.to_string(), printed, "{text:?}");
    }
    true
}

#[test]
fn damaged_queries_are_refused_or_printed_as_they_are_meant() {
    let (seed, count) = (seed(1), setting("MYTSDB_MUTATIONS", 100_000));
    let mut random = Random::new(seed);
    let mut seeds: Vec<String> = SEEDS.iter().map(|&s| s.to_owned()).collect();
    seeds.extend(foreign_seeds());
    let mut legal = seeds.iter().filter(|seed| check(seed)).count() as u64;
    for _ in 0..count {
        let mut text = seeds[random.index(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut random, &seeds, &mut text);
        }
        legal += u64::from(check(&text));
    }
    println!("{} seeds, {legal} of {count} texts were legal", seeds.len());
    assert!(legal * 50 > count, "{legal}: too few to tell anything");
}
