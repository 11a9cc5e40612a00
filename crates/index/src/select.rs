//! From matchers to series ordinals: one algorithm for the index of the head and that of a block.
//!
//! A matcher that does not match the empty string names a set of values and keeps their series. One that does match it
//! keeps series without the label too, so it is turned round: it names the values it does *not* match and takes their
//! series away. Without a matcher of the first kind the start is every series.

use crate::IndexError;
use crate::bitset::Bitset;
use crate::postings::{List, keep_in_front, parts, retain_parts};
use mytsdb_model::{MatchOp, Matcher};
use mytsdb_stop::{Canceled, Looks};
use std::ops::ControlFlow;

/// What selection needs to know of an index.
pub(crate) trait Lookup {
    /// Stands for the postings of one value for as long as the lookup takes.
    type Postings: Copy;
    type List<'a>: List;

    fn series_count(&self) -> u32;

    /// The postings of one value.
    fn find(&self, name: &str, value: &str) -> Result<Option<Self::Postings>, IndexError>;

    /// The number of series in a list, or a few more.
    fn len(&self, postings: Self::Postings) -> usize;

    /// Passes a part of a list to a closure.
    fn with<T>(&self, postings: Self::Postings, look: impl FnOnce(Self::List<'_>) -> T) -> Result<T, IndexError>;

    /// Lends all lists, one after the other, each in as many parts as need be.
    fn each_list(
        &self,
        postings: &[Self::Postings],
        looks: &mut Looks<'_>,
        visit: impl FnMut(Self::List<'_>),
    ) -> Result<(), IndexError>;

    /// Takes the values that are wanted, each once, in any order, until `take` breaks. A step for each value looked at,
    /// beside what `matches` counts.
    fn each_value(
        &self,
        wanted: &Wanted<'_>,
        looks: &mut Looks<'_>,
        matches: impl FnMut(&str, &mut Looks<'_>) -> Result<bool, Canceled>,
        take: impl FnMut(&str, Self::Postings) -> ControlFlow<()>,
    ) -> Result<(), IndexError>;

    /// Which of some series have a value that is wanted, by a column of value numbers; `None` if there is none for the name. The
    /// pattern is tried once on each value that a member has.
    fn hits_by_column(
        &self,
        _wanted: &Wanted<'_>,
        _members: &[u32],
        _looks: &mut Looks<'_>,
        _matches: impl FnMut(&str, &mut Looks<'_>) -> Result<bool, Canceled>,
    ) -> Result<Option<Bitset>, IndexError> {
        Ok(None)
    }
}

/// Which values of a label are wanted, as far as it is known without running a pattern.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'w> {
    pub(crate) name: &'w str,
    pub(crate) prefix: &'w str,
    /// Only values that any of them has.
    pub(crate) members: Option<&'w Members<'w>>,
}

impl<'w> Wanted<'w> {
    /// All values of a label.
    pub(crate) fn all(name: &'w str) -> Self {
        Self { name, prefix: "", members: None }
    }

    /// Values that any of the members has.
    pub(crate) fn of(name: &'w str, members: &'w Members<'w>) -> Self {
        Self { name, prefix: "", members: Some(members) }
    }
}

/// Some series, to meet lists with.
pub(crate) struct Members<'m> {
    ascending: &'m [u32],
    set: Bitset,
}

impl<'m> Members<'m> {
    pub(crate) fn new(series_count: u32, ascending: &'m [u32], looks: &mut Looks<'_>) -> Result<Self, Canceled> {
        Ok(Self { ascending, set: Bitset::of(series_count, ascending, looks)? })
    }

    pub(crate) fn contain(&self, ordinal: u32) -> bool {
        self.set.contains(ordinal)
    }

    /// True if the members are so few that a search for each costs less than a walk over a list of this length.
    fn are_few(&self, len: usize) -> bool {
        self.ascending.len() < len / 8
    }

    /// Whether a list has any of them; for short lists, which are worked on in one go.
    pub(crate) fn meet(&self, list: impl List) -> bool {
        if self.are_few(list.len()) {
            let mut at = 0;
            return self.ascending.iter().any(|&member| seek_past(list, &mut at, member));
        }
        !list.walk(0..list.len(), |ordinal| !self.set.contains(ordinal))
    }

    /// The same for a list of any length.
    pub(crate) fn meet_in<I: Lookup>(
        &self,
        index: &I,
        list: I::Postings,
        looks: &mut Looks<'_>,
    ) -> Result<bool, IndexError> {
        let len = index.len(list);
        if self.are_few(len) {
            let mut at = 0;
            for part in parts(self.ascending.len()) {
                looks.before(part.len())?;
                let some = &self.ascending[part];
                if index.with(list, |list| some.iter().any(|&member| seek_past(list, &mut at, member)))? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        for part in parts(len) {
            looks.before(part.len().div_ceil(16))?;
            let met = index.with(list, |list| {
                let part = part.start..part.end.min(list.len());
                !list.walk(part, |ordinal| !self.set.contains(ordinal))
            })?;
            if met {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether `list` has `member`, which is larger than those sought in it before; `at` is where it was or would be.
fn seek_past<L: List>(list: L, at: &mut usize, member: u32) -> bool {
    *at = list.seek(*at, member);
    *at < list.len() && list.get(*at) == member
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
pub(crate) fn select<I: Lookup>(
    index: &I,
    matchers: &[Matcher],
    looks: &mut Looks<'_>,
) -> Result<Vec<u32>, IndexError> {
    let mut named = Vec::new();
    let mut scans = Vec::new();
    for step in matchers.iter().filter_map(plan) {
        match lists(index, &step, looks)? {
            Some(lists) => {
                let total: usize = lists.iter().map(|&list| index.len(list)).sum();
                if step.keep && total == 0 {
                    return Ok(Vec::new());
                }
                named.push((step.keep, total, lists));
            }
            None => scans.push(step),
        }
    }
    // Keeps the smallest set first and removes series last, when few are left.
    named.sort_by_key(|(keep, total, _)| (!keep, *total));
    scans.sort_by_key(|step| !step.keep);

    let mut base: Option<Vec<u32>> = None;
    for (_, _, lists) in named.iter().filter(|(keep, ..)| *keep) {
        base = Some(match base {
            None => union(index, lists, looks)?,
            Some(base) => narrow(index, base, lists, true, looks)?,
        });
    }
    for step in scans.iter().filter(|step| step.keep) {
        base = Some(match base {
            None => union(index, &scan(index, step, None, looks)?, looks)?,
            Some(base) => narrow_by_scan(index, base, step, looks)?,
        });
    }
    let mut base = match base {
        Some(base) => base,
        None => all(index.series_count(), looks)?,
    };
    for (_, _, lists) in named.iter().filter(|(keep, ..)| !*keep) {
        base = narrow(index, base, lists, false, looks)?;
    }
    for step in scans.iter().filter(|step| !step.keep) {
        base = narrow_by_scan(index, base, step, looks)?;
    }
    Ok(base)
}

/// The postings of a step whose values need no pattern; `None` if they do.
fn lists<I: Lookup>(index: &I, step: &Step<'_>, looks: &mut Looks<'_>) -> Result<Option<Vec<I::Postings>>, IndexError> {
    let name = step.matcher.name();
    let mut out = Vec::new();
    match step.values {
        Values::One(value) => out.extend(index.find(name, value)?),
        Values::Listed(values) => {
            for value in values.iter().filter(|value| !value.is_empty()) {
                looks.before(1)?;
                out.extend(index.find(name, value)?);
            }
        }
        Values::All => index.each_value(
            &Wanted::all(name),
            looks,
            |_, _| Ok(true),
            |_, list| {
                out.push(list);
                ControlFlow::Continue(())
            },
        )?,
        Values::Scan { .. } => return Ok(None),
    }
    Ok(Some(out))
}

/// Bytes of a value that a pattern reads in the time of one step.
const PATTERN_BYTES_PER_STEP: usize = 32;

/// The postings of a step, its pattern tried on every value, or on those that one of some members has.
fn scan<I: Lookup>(
    index: &I,
    step: &Step<'_>,
    members: Option<&Members<'_>>,
    looks: &mut Looks<'_>,
) -> Result<Vec<I::Postings>, IndexError> {
    let mut out = Vec::new();
    let Values::Scan { prefix, matches } = step.values else { return Ok(out) };
    let wanted = Wanted { name: step.matcher.name(), prefix, members };
    index.each_value(&wanted, looks, pattern(step.matcher, matches), |_, list| {
        out.push(list);
        ControlFlow::Continue(())
    })?;
    Ok(out)
}

/// Whether the pattern of a matcher says `matches` of a value.
fn pattern(matcher: &Matcher, matches: bool) -> impl FnMut(&str, &mut Looks<'_>) -> Result<bool, Canceled> {
    move |value, looks| {
        looks.before(value.len() / PATTERN_BYTES_PER_STEP)?;
        Ok(matcher.matches(value) == matches)
    }
}

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
fn union<I: Lookup>(index: &I, lists: &[I::Postings], looks: &mut Looks<'_>) -> Result<Vec<u32>, IndexError> {
    let total: usize = lists.iter().map(|&list| index.len(list)).sum();
    if lists.len() == 1 || total < SORTED_MEMBERS_MAX.min(index.series_count() as usize / 64) {
        let mut out: Vec<u32> = Vec::with_capacity(total);
        index.each_list(lists, looks, |list| each(list, |ordinal| out.push(ordinal)))?;
        if lists.len() > 1 {
            out.sort_unstable();
        }
        return Ok(out);
    }
    let mut set = Bitset::new(index.series_count());
    index.each_list(lists, looks, |list| each(list, |ordinal| set.insert(ordinal)))?;
    Ok(set.to_vec(looks)?)
}

fn each(list: impl List, mut take: impl FnMut(u32)) {
    list.walk(0..list.len(), |ordinal| {
        take(ordinal);
        true
    });
}

/// Sorting more would take longer than a few hundred microseconds.
const SORTED_MEMBERS_MAX: usize = 16_384;

/// Keeps the members of `base` that are in one of the lists (`keep`), or in none.
fn narrow<I: Lookup>(
    index: &I,
    mut base: Vec<u32>,
    lists: &[I::Postings],
    keep: bool,
    looks: &mut Looks<'_>,
) -> Result<Vec<u32>, IndexError> {
    if let [list] = *lists {
        let mut at = 0;
        retain_parts(&mut base, looks, |some| {
            index.with(list, |list| keep_in_front(some, |member| seek_past(list, &mut at, member) == keep))
        })?;
        return Ok(base);
    }
    let hits = hits(index, &Members::new(index.series_count(), &base, looks)?, lists, looks)?;
    retain(base, &hits, keep, looks)
}

/// As [`narrow`], but runs the pattern only on values that have a series in `base`.
fn narrow_by_scan<I: Lookup>(
    index: &I,
    base: Vec<u32>,
    step: &Step<'_>,
    looks: &mut Looks<'_>,
) -> Result<Vec<u32>, IndexError> {
    if base.is_empty() {
        return Ok(base);
    }
    if let Values::Scan { prefix, matches } = step.values {
        let wanted = Wanted { name: step.matcher.name(), prefix, members: None };
        if let Some(hits) = index.hits_by_column(&wanted, &base, looks, pattern(step.matcher, matches))? {
            return retain(base, &hits, step.keep, looks);
        }
    }
    let members = Members::new(index.series_count(), &base, looks)?;
    let lists = scan(index, step, Some(&members), looks)?;
    let hits = hits(index, &members, &lists, looks)?;
    retain(base, &hits, step.keep, looks)
}

fn retain(mut base: Vec<u32>, hits: &Bitset, keep: bool, looks: &mut Looks<'_>) -> Result<Vec<u32>, IndexError> {
    retain_parts(&mut base, looks, |some| Ok::<_, Canceled>(keep_in_front(some, |m| hits.contains(m) == keep)))?;
    Ok(base)
}

/// The members that are in any of the lists.
fn hits<I: Lookup>(
    index: &I,
    members: &Members<'_>,
    lists: &[I::Postings],
    looks: &mut Looks<'_>,
) -> Result<Bitset, IndexError> {
    let mut hits = Bitset::new(index.series_count());
    let sought = |list: I::Postings| members.are_few(index.len(list));
    for alike in lists.chunk_by(|&a, &b| sought(a) == sought(b)) {
        if !sought(alike[0]) {
            index.each_list(alike, looks, |list| {
                each(list, |ordinal| {
                    if members.set.contains(ordinal) {
                        hits.insert(ordinal);
                    }
                });
            })?;
            continue;
        }
        for &list in alike {
            let mut at = 0;
            for part in parts(members.ascending.len()) {
                looks.before(part.len())?;
                index.with(list, |list| {
                    let both = members.ascending[part].iter().filter(|&&member| seek_past(list, &mut at, member));
                    both.for_each(|&member| hits.insert(member));
                })?;
            }
        }
    }
    Ok(hits)
}
