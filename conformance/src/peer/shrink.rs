//! Makes a query that is answered differently smaller while it still is.

use mytsdb_promql_syntax::{Expr, parse};

/// Most questions that are asked to shrink one case.
const ASKED_MAX: usize = 250;

/// Puts parts of the expression in the place of the whole or of larger parts.
pub fn expression(query: &str, differs: &mut dyn FnMut(&str) -> bool) -> String {
    let mut best = query.to_owned();
    let mut asked = 0;
    'smaller: loop {
        let mut tried: Vec<String> = candidates(&best).into_iter().filter(|c| c.len() < best.len()).collect();
        tried.sort_by_key(String::len);
        tried.dedup();
        for candidate in tried {
            asked += 1;
            if asked > ASKED_MAX {
                return best;
            }
            if differs(&candidate) {
                best = candidate;
                continue 'smaller;
            }
        }
        return best;
    }
}

fn candidates(query: &str) -> Vec<String> {
    let Ok(expr) = parse(query) else { return Vec::new() };
    let mut parts = Vec::new();
    expr.walk(&mut |e: &Expr| {
        let pos = e.pos();
        parts.push((pos.start, pos.end));
        true
    });
    let mut out = Vec::new();
    for &(start, end) in &parts {
        for &(from, to) in parts.iter().filter(|&&(from, to)| from >= start && to <= end && to - from < end - start) {
            if let (Some(a), Some(b), Some(c)) = (query.get(..start), query.get(from..to), query.get(end..)) {
                out.push([a, b, c].concat());
            }
        }
    }
    out
}

/// Leaves out runs of characters.
pub fn text(text: &str, differs: &mut dyn FnMut(&str) -> bool) -> String {
    let mut best: Vec<char> = text.chars().collect();
    let mut asked = 0;
    let mut run = best.len() / 2;
    while run > 0 {
        let mut at = 0;
        while at + run <= best.len() && asked < ASKED_MAX {
            let shorter: Vec<char> = best[..at].iter().chain(&best[at + run..]).copied().collect();
            asked += 1;
            if differs(&shorter.iter().collect::<String>()) {
                best = shorter;
            } else {
                at += run;
            }
        }
        run /= 2;
    }
    best.into_iter().collect()
}
