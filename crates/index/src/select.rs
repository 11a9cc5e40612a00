//! From matchers to series ordinals: one algorithm for the index of the head and that of a block.
//!
//! A matcher that does not match the empty string names a set of values and keeps their series. One that does match it
//! keeps series without the label too, so it is turned round: it names the values it does *not* match and takes their
//! series away. Without a matcher of the first kind the start is every series.

use crate::bitset::Bitset;
use crate::postings::{List, parts, retain, retain_present, seek};
use mytsdb_model::{Canceled, Looks, MatchOp, Matcher};

/// What selection needs to know of an index.
pub(crate) trait Lookup {
    type List<'a>: List
    where
        Self: 'a;
    type Error: From<Canceled>;

    fn series_count(&self) -> u32;
    /// The postings of one value.
    fn find<'a>(&'a self, name: &str, value: &str) -> Result<Option<Self::List<'a>>, Self::Error>;
    /// Visits the values of `name` that start with `prefix`, each once, in any order. A step for each value it looks at.
    fn scan<'a>(
        &'a self,
        name: &str,
        prefix: &str,
        looks: &mut Looks<'_>,
        visit: impl FnMut(&'a str, Self::List<'a>, &mut Looks<'_>) -> Result<(), Canceled>,
    ) -> Result<(), Self::Error>;
}

/// Which values of a label a matcher is about; they are never empty.
enum Values<'m> {
    One(&'m str),
    Listed(&'m [String]),
    All,
    /// Values with this prefix for which the matcher says so.
    Scan {
        prefix: &'m str,
        matches: bool,
    },
}

/// A matcher, turned into values to keep or to take away.
struct Step<'m> {
    matcher: &'m Matcher,
    values: Values<'m>,
    keep: bool,
}

/// `None`: the matcher matches every value, the empty one too.
fn plan(matcher: &Matcher) -> Option<Step<'_>> {
    let keep = !matcher.matches_empty();
    let positive = matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex);
    let values = match matcher.op() {
        MatchOp::Equal | MatchOp::NotEqual if matcher.value().is_empty() => Values::All,
        MatchOp::Equal | MatchOp::NotEqual => Values::One(matcher.value()),
        MatchOp::Regex | MatchOp::NotRegex => match (matcher.value(), matcher.regex()) {
            (".*", _) if positive => return None,
            (".*", _) => Values::Scan { prefix: "", matches: true },
            (".+", _) => Values::All,
            // The values that the pattern itself matches are wanted: its literals and its prefix name them.
            (_, Some(regex)) if keep == positive => match regex.literals() {
                Some(literals) => Values::Listed(literals),
                None => Values::Scan { prefix: regex.prefix(), matches: keep },
            },
            _ => Values::Scan { prefix: "", matches: keep },
        },
    };
    Some(Step { matcher, values, keep })
}

/// The ordinals of the series that satisfy every matcher, ascending. No matchers: all series.
pub(crate) fn select<I: Lookup>(index: &I, matchers: &[Matcher], looks: &mut Looks<'_>) -> Result<Vec<u32>, I::Error> {
    let series_count = index.series_count();
    let mut named = Vec::new();
    let mut scans = Vec::new();
    for step in matchers.iter().filter_map(plan) {
        match lists(index, &step, looks)? {
            Some(lists) => {
                let total: usize = lists.iter().map(|list| list.len()).sum();
                if step.keep && total == 0 {
                    return Ok(Vec::new());
                }
                named.push((step.keep, total, lists));
            }
            None => scans.push(step),
        }
    }
    // The smallest set to keep first; what is taken away last, when little is left to take it from.
    named.sort_by_key(|(keep, total, _)| (!keep, *total));
    scans.sort_by_key(|step| !step.keep);

    let mut base: Option<Vec<u32>> = None;
    for (_, _, lists) in named.iter().filter(|(keep, ..)| *keep) {
        base = Some(match base {
            None => union(series_count, lists, looks)?,
            Some(base) => narrow(series_count, base, lists, true, looks)?,
        });
    }
    for step in scans.iter().filter(|step| step.keep) {
        base = Some(match base {
            None => union(series_count, &scan_all(index, step, looks)?, looks)?,
            Some(base) => narrow_by_scan(index, base, step, looks)?,
        });
    }
    let mut base = match base {
        Some(base) => base,
        None => all(series_count, looks)?,
    };
    for (_, _, lists) in named.iter().filter(|(keep, ..)| !*keep) {
        base = narrow(series_count, base, lists, false, looks)?;
    }
    for step in scans.iter().filter(|step| !step.keep) {
        base = narrow_by_scan(index, base, step, looks)?;
    }
    Ok(base)
}

/// The postings of a step whose values need no pattern; `None` if they do.
fn lists<'a, I: Lookup>(
    index: &'a I,
    step: &Step<'_>,
    looks: &mut Looks<'_>,
) -> Result<Option<Vec<I::List<'a>>>, I::Error> {
    let name = step.matcher.name();
    let mut out = Vec::new();
    match step.values {
        Values::One(value) => out.extend(index.find(name, value)?),
        Values::Listed(values) => {
            for value in values.iter().filter(|value| !value.is_empty()) {
                out.extend(index.find(name, value)?);
            }
        }
        Values::All => index.scan(name, "", looks, |_, list, _| {
            out.push(list);
            Ok(())
        })?,
        Values::Scan { .. } => return Ok(None),
    }
    Ok(Some(out))
}

/// The postings of a step, its pattern tried on every value.
fn scan_all<'a, I: Lookup>(index: &'a I, step: &Step<'_>, looks: &mut Looks<'_>) -> Result<Vec<I::List<'a>>, I::Error> {
    let mut out = Vec::new();
    let Values::Scan { prefix, matches } = step.values else { return Ok(out) };
    index.scan(step.matcher.name(), prefix, looks, |value, list, looks| {
        looks.before(value.len() / PATTERN_BYTES_PER_STEP)?;
        if step.matcher.matches(value) == matches {
            out.push(list);
        }
        Ok(())
    })?;
    Ok(out)
}

/// Bytes of a value that a pattern reads in a step's time.
const PATTERN_BYTES_PER_STEP: usize = 32;

/// Every ordinal.
fn all(series_count: u32, looks: &mut Looks<'_>) -> Result<Vec<u32>, Canceled> {
    let mut out = Vec::with_capacity(series_count as usize);
    for part in parts(series_count as usize) {
        looks.before(part.len().div_ceil(32))?;
        out.extend(part.start as u32..part.end as u32);
    }
    Ok(out)
}

/// All members of the lists, which are disjoint: a series has one value per name.
fn union<L: List>(series_count: u32, lists: &[L], looks: &mut Looks<'_>) -> Result<Vec<u32>, Canceled> {
    let total: usize = lists.iter().map(|list| list.len()).sum();
    if lists.len() == 1 || total < SORTED_MEMBERS_MAX.min(series_count as usize / 64) {
        let mut out: Vec<u32> = Vec::with_capacity(total);
        for &list in lists {
            for part in parts(list.len()) {
                looks.before(part.len().div_ceil(16))?;
                out.extend(part.map(|at| list.get(at)));
            }
        }
        if lists.len() > 1 {
            out.sort_unstable();
        }
        return Ok(out);
    }
    let mut set = Bitset::new(series_count);
    for &list in lists {
        set.insert_all(list, looks)?;
    }
    set.to_vec(looks)
}

/// Sorting more would take longer than a few hundred microseconds.
const SORTED_MEMBERS_MAX: usize = 16_384;

/// Keeps the members of `base` that are in one of the lists (`keep`), or in none.
fn narrow<L: List>(
    series_count: u32,
    mut base: Vec<u32>,
    lists: &[L],
    keep: bool,
    looks: &mut Looks<'_>,
) -> Result<Vec<u32>, Canceled> {
    if let [list] = lists {
        retain_present(&mut base, *list, keep, looks)?;
        return Ok(base);
    }
    let member = Bitset::of(series_count, &base, looks)?;
    let mut hits = Bitset::new(series_count);
    for &list in lists {
        mark_hits(&base, &member, list, &mut || true, &mut hits, looks)?;
    }
    retain(&mut base, looks, |ordinal| hits.contains(ordinal) == keep)?;
    Ok(base)
}

/// As [`narrow`], but runs the pattern only on values that have a series in `base`.
fn narrow_by_scan<I: Lookup>(
    index: &I,
    mut base: Vec<u32>,
    step: &Step<'_>,
    looks: &mut Looks<'_>,
) -> Result<Vec<u32>, I::Error> {
    let Values::Scan { prefix, matches } = step.values else { return Ok(base) };
    if base.is_empty() {
        return Ok(base);
    }
    let member = Bitset::of(index.series_count(), &base, looks)?;
    let mut hits = Bitset::new(index.series_count());
    index.scan(step.matcher.name(), prefix, looks, |value, list, looks| {
        looks.before(value.len() / PATTERN_BYTES_PER_STEP)?;
        mark_hits(&base, &member, list, &mut || step.matcher.matches(value) == matches, &mut hits, looks)
    })?;
    retain(&mut base, looks, |ordinal| hits.contains(ordinal) == step.keep)?;
    Ok(base)
}

/// Marks the members of `list` that are in `base`, if `wanted` says so; it is asked once, at the first of them.
fn mark_hits<L: List>(
    base: &[u32],
    member: &Bitset,
    list: L,
    wanted: &mut dyn FnMut() -> bool,
    hits: &mut Bitset,
    looks: &mut Looks<'_>,
) -> Result<(), Canceled> {
    let mut asked = false;
    let mut mark = |ordinal| {
        asked = asked || wanted();
        if asked {
            hits.insert(ordinal);
        }
        asked
    };
    if base.len() < list.len() / 8 {
        let mut at = 0;
        for part in parts(base.len()) {
            looks.before(part.len())?;
            for &ordinal in &base[part] {
                at = seek(list, at, ordinal);
                if at < list.len() && list.get(at) == ordinal && !mark(ordinal) {
                    return Ok(());
                }
            }
        }
        return Ok(());
    }
    for part in parts(list.len()) {
        looks.before(part.len().div_ceil(16))?;
        for ordinal in part.map(|at| list.get(at)) {
            if member.contains(ordinal) && !mark(ordinal) {
                return Ok(());
            }
        }
    }
    Ok(())
}
