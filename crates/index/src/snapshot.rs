//! The index of the head as it was at one time, read in short turns while it grows.
//!
//! Whoever guards a [`MemIndex`] with a lock cannot hold it for as long as a pattern is tried on many values: nobody
//! could add a series meanwhile. So a lookup borrows the index in *turns* ([`Lend`]) of some ten microseconds, in which
//! it copies texts and members of lists; patterns run, and lists are sorted, between them. The answer is nevertheless
//! that of the moment in which its [`Version`] was taken:
//!
//! - Invariant S: without a removal, numbers of names and values and ordinals of series stay what they are, and a list
//!   only grows at its end, by ordinals that were not there before. So the ordinals of a list below
//!   [`Version::series_count`] are its first ones, and the same ones in every turn; a lookup reads those and no others.
//!   A value that came later has none of them and counts as absent.
//! - A removal numbers everything anew. It also counts up `removals`, which every turn compares before it looks; a lookup
//!   that a removal overtakes ends with [`IndexError::Outdated`] and never mixes numbers of two generations. Its caller
//!   begins anew, and what it finds then are references, which are handed out once.
//!
//! So a series that was there when the lookup began and has not been removed is found; one that came later is not.

use crate::postings::{Postings, parts};
use crate::select::{Lookup, Members, Wanted, select};
use crate::{IndexError, MemIndex, TextList};
use mytsdb_model::{Matcher, SeriesRef};
use mytsdb_stop::{Canceled, Looks, StopSign};
use std::ops::ControlFlow;

/// Lends the index for a moment, again and again.
pub trait Lend {
    /// Calls `look` with the index as it is now. Between two calls others may change it.
    fn lend<T>(&self, look: impl FnOnce(&MemIndex) -> T) -> T;
}

impl Lend for &MemIndex {
    fn lend<T>(&self, look: impl FnOnce(&MemIndex) -> T) -> T {
        look(self)
    }
}

impl<L: Lend> Lend for &L {
    fn lend<T>(&self, look: impl FnOnce(&MemIndex) -> T) -> T {
        (**self).lend(look)
    }
}

/// Tells states of an index apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    pub(crate) removals: u64,
    pub(crate) series_count: u32,
}

impl Version {
    /// How many times series had been removed.
    pub fn removals(self) -> u64 {
        self.removals
    }
}

/// What a turn may cost, in members of a list that are read one after the other: some ten microseconds.
const TURN: usize = 8_192;

/// The same, as steps.
const TURN_STEPS: usize = TURN / 16;

/// Cost of a list before its first member: a cache miss.
const PLACE: usize = 8;

/// Values, or names, that are copied in a turn.
const TURN_VALUES: usize = 1_024;

/// Lists up to this length are met within a turn for many of them.
const MET_AT_ONCE: usize = 1_024;

/// Answers questions about the index as it was when a [`Version`] was taken; see the module for how.
///
/// All lookups end with [`IndexError::Outdated`] once series have been removed.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot<L> {
    index: L,
    version: Version,
}

/// The postings of a value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    /// Its only series, which is of the version.
    Only(u32),
    /// The numbers of its name and its own, and the length of its list when it was found.
    List { name: u32, value: u32, len: u32 },
}

impl<L: Lend> Snapshot<L> {
    /// The index as it was when its [`version`](MemIndex::version) was this.
    pub fn new(index: L, version: Version) -> Self {
        Self { index, version }
    }

    /// The series that satisfy every matcher, ascending; no matchers: all series.
    ///
    /// # Errors
    /// [`IndexError::Canceled`], [`IndexError::Outdated`].
    pub fn select(&self, matchers: &[Matcher], stop: StopSign<'_>) -> Result<Vec<SeriesRef>, IndexError> {
        let looks = &mut stop.looks();
        let ordinals = select(self, matchers, looks)?;
        let mut out: Vec<SeriesRef> = Vec::with_capacity(ordinals.len());
        let mut ascend = true;
        // Copies into memory that is already mapped: page faults should not happen under the lock.
        let mut some = Vec::new();
        for part in parts(ordinals.len()) {
            looks.before(part.len().div_ceil(8))?;
            self.turn(|index| {
                let (refs, ascending) = index.refs();
                ascend &= ascending;
                some.extend(ordinals[part].iter().map(|&ordinal| refs[ordinal as usize]));
            })?;
            out.append(&mut some);
        }
        Ok(if ascend { out } else { looks.sort_by(out, Ord::cmp)? })
    }

    /// Every label name, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_names(&self, stop: StopSign<'_>) -> Result<TextList, IndexError> {
        self.names(None, &mut stop.looks())
    }

    /// The label names of the series in `among`, which is sorted; the result is sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_names_of(&self, among: &[SeriesRef], stop: StopSign<'_>) -> Result<TextList, IndexError> {
        let looks = &mut stop.looks();
        let ordinals = self.ordinals(among, looks)?;
        self.names(Some(&Members::new(self.version.series_count, &ordinals, looks)?), looks)
    }

    /// Every value of `name`, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_values(&self, name: &str, stop: StopSign<'_>) -> Result<TextList, IndexError> {
        self.values(&Wanted::all(name), &mut stop.looks())
    }

    /// The values of `name` among the series in `among`, which is sorted; the result is sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_values_of(&self, name: &str, among: &[SeriesRef], stop: StopSign<'_>) -> Result<TextList, IndexError> {
        let looks = &mut stop.looks();
        let ordinals = self.ordinals(among, looks)?;
        self.values(&Wanted::of(name, &Members::new(self.version.series_count, &ordinals, looks)?), looks)
    }

    /// One turn: a look at the index, if it is still the one of the version.
    fn turn<T>(&self, look: impl FnOnce(&MemIndex) -> T) -> Result<T, IndexError> {
        let version = self.version;
        let seen = self.index.lend(|index| (index.version().removals == version.removals).then(|| look(index)));
        seen.ok_or(IndexError::Outdated)
    }

    /// The series of a list that the version has.
    fn seen<'i>(&self, list: &'i [u32]) -> &'i [u32] {
        let series_count = self.version.series_count;
        let all = list.last().is_none_or(|&last| last < series_count);
        if all { list } else { &list[..list.partition_point(|&ordinal| ordinal < series_count)] }
    }

    /// The members of a list that the version has.
    fn list<'i>(&self, index: &'i MemIndex, place: &'i Place) -> &'i [u32] {
        match place {
            Place::Only(only) => std::slice::from_ref(only),
            Place::List { name, value, .. } => self.seen(index.inverted().values(*name).postings(*value)),
        }
    }

    /// The number of a name, and that of its values that the version has: the first ones, and each has a series in it.
    fn name(&self, index: &MemIndex, name: &str) -> Option<(u32, u32)> {
        let name = index.inverted().find(name)?;
        let values = index.inverted().values(name);
        let seen = |value: u32| values.postings(value)[0] < self.version.series_count;
        let (mut low, mut high) = (0, values.len() as u32);
        if high > 0 && seen(high - 1) {
            return Some((name, high));
        }
        while low < high {
            let middle = low.midpoint(high);
            (low, high) = if seen(middle) { (middle + 1, high) } else { (low, middle) };
        }
        Some((name, low))
    }

    fn values(&self, wanted: &Wanted<'_>, looks: &mut Looks<'_>) -> Result<TextList, IndexError> {
        let mut out = TextList::default();
        self.each_value(
            wanted,
            looks,
            |_, _| Ok(true),
            |text, _| {
                out.push(text);
                ControlFlow::Continue(())
            },
        )?;
        Ok(out.sorted(looks)?)
    }

    /// The names that the members, or any series, have.
    fn names(&self, members: Option<&Members<'_>>, looks: &mut Looks<'_>) -> Result<TextList, IndexError> {
        let mut names = TextList::default();
        let mut next = 0;
        let mut more = true;
        while more {
            looks.before(TURN_STEPS)?;
            more = self.turn(|index| {
                let all = index.inverted().names();
                let some = &all[next..all.len().min(next + TURN_VALUES)];
                // A name that the version has, has its first value there.
                let seen = some.iter().filter(|name| !self.seen(name.values.postings(0)).is_empty());
                seen.for_each(|name| names.push(&name.text));
                next += some.len();
                next < all.len()
            })?;
        }
        let Some(members) = members else { return Ok(names.sorted(looks)?) };
        let mut met = TextList::default();
        for name in names.iter() {
            self.each_value(
                &Wanted::of(name, members),
                looks,
                |_, _| Ok(true),
                |_, _| {
                    met.push(name);
                    ControlFlow::Break(())
                },
            )?;
        }
        Ok(met.sorted(looks)?)
    }

    /// The ordinals of the series in `among`, ascending.
    fn ordinals(&self, among: &[SeriesRef], looks: &mut Looks<'_>) -> Result<Vec<u32>, IndexError> {
        debug_assert!(among.is_sorted(), "references to look among are sorted");
        let series_count = self.version.series_count as usize;
        let mut out = Vec::with_capacity(among.len());
        if !self.turn(|index| index.refs().1)? {
            for part in parts(series_count) {
                looks.before(part.len())?;
                self.turn(|index| {
                    let refs = &index.refs().0[part.clone()];
                    let found = part.zip(refs).filter(|(_, series)| among.binary_search(series).is_ok());
                    out.extend(found.map(|(ordinal, _)| ordinal as u32));
                })?;
            }
            return Ok(out);
        }
        let mut from = 0;
        for part in parts(among.len()) {
            looks.before(part.len())?;
            self.turn(|index| {
                let refs = &index.refs().0[..series_count];
                for series in &among[part] {
                    // Mostly the next one, or one soon after.
                    let near = refs[from..].iter().take(8).position(|r| r >= series);
                    from += near.unwrap_or_else(|| refs[from..].partition_point(|r| r < series));
                    if refs.get(from) == Some(series) {
                        out.push(from as u32);
                    }
                }
            })?;
        }
        Ok(out)
    }
}

impl<L: Lend> Lookup for Snapshot<L> {
    type Postings = Place;
    type List<'a> = &'a [u32];

    fn series_count(&self) -> u32 {
        self.version.series_count
    }

    fn find(&self, name: &str, value: &str) -> Result<Option<Place>, IndexError> {
        self.turn(|index| {
            let name = index.inverted().find(name)?;
            let values = index.inverted().values(name);
            let value = values.find(value)?;
            let len = self.seen(values.postings(value)).len() as u32;
            (len > 0).then_some(Place::List { name, value, len })
        })
    }

    fn len(&self, postings: Place) -> usize {
        match postings {
            Place::Only(_) => 1,
            Place::List { len, .. } => len as usize,
        }
    }

    fn with<T>(&self, postings: Place, look: impl FnOnce(&[u32]) -> T) -> Result<T, IndexError> {
        self.turn(|index| look(self.list(index, &postings)))
    }

    fn each_list(
        &self,
        postings: &[Place],
        looks: &mut Looks<'_>,
        mut visit: impl FnMut(&[u32]),
    ) -> Result<(), IndexError> {
        // The list that is next, and how much of it has been visited.
        let (mut next, mut visited) = (0, 0);
        while let Some(place) = postings.get(next) {
            if let Place::Only(only) = place {
                looks.before(1)?;
                visit(std::slice::from_ref(only));
                next += 1;
                continue;
            }
            looks.before(TURN_STEPS)?;
            self.turn(|index| {
                let mut left = TURN;
                while let Some(place) = postings.get(next).filter(|_| left > PLACE) {
                    left -= PLACE;
                    let rest = &self.list(index, place)[visited..];
                    let some = &rest[..rest.len().min(left)];
                    visit(some);
                    left -= some.len();
                    (next, visited) =
                        if some.len() == rest.len() { (next + 1, 0) } else { (next, visited + some.len()) };
                }
            })?;
        }
        Ok(())
    }

    fn each_value(
        &self,
        &Wanted { name, prefix, members }: &Wanted<'_>,
        looks: &mut Looks<'_>,
        mut matches: impl FnMut(&str, &mut Looks<'_>) -> Result<bool, Canceled>,
        mut take: impl FnMut(&str, Place) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        let Some((name, value_count)) = self.turn(|index| self.name(index, name))? else { return Ok(()) };
        let (mut texts, mut places) = (TextList::default(), Vec::new());
        for from in (0..value_count).step_by(TURN_VALUES) {
            looks.before(TURN_STEPS)?;
            let some = from as usize..value_count.min(from + TURN_VALUES as u32) as usize;
            texts.clear();
            places.clear();
            self.turn(|index| {
                // Reads the list sequentially and copies it. Accesses that may miss the cache come later, outside the turn.
                let values = index.inverted().values(name);
                let all =
                    values.all_postings()[some.clone()].iter().zip(from..).map(|(postings, value)| match postings {
                        Postings::One(only) => Place::Only(*only),
                        Postings::Many(all) => Place::List { name, value, len: all.len() as u32 },
                    });
                if prefix.is_empty() {
                    places.extend(all);
                    return texts.extend_from(values.texts(), some);
                }
                for (at, place) in some.zip(all) {
                    if let Some(text) = values.texts().get(at).filter(|text| text.starts_with(prefix)) {
                        texts.push(text);
                        places.push(place);
                    }
                }
            })?;
            let mut met = vec![true; places.len()];
            if let Some(members) = members {
                self.meet_all(members, &places, &mut met, looks)?;
            }
            for ((text, &place), _) in texts.iter().zip(&places).zip(&met).filter(|(_, met)| **met) {
                looks.before(1)?;
                if matches(text, looks)? && take(text, place).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

impl<L: Lend> Snapshot<L> {
    /// Leaves `met` set only where a list has any of the members.
    fn meet_all(
        &self,
        members: &Members<'_>,
        places: &[Place],
        met: &mut [bool],
        looks: &mut Looks<'_>,
    ) -> Result<(), IndexError> {
        let mut next = 0;
        while next < places.len() {
            let place = places[next];
            match place {
                _ if !met[next] => {}
                Place::Only(only) => met[next] = members.contain(only),
                Place::List { len, .. } if len as usize > MET_AT_ONCE => {
                    met[next] = members.meet_in(self, place, looks)?;
                }
                Place::List { .. } => {
                    looks.before(TURN_STEPS)?;
                    self.turn(|index| {
                        let mut left = TURN;
                        while next < places.len() && left > 0 {
                            let len = self.len(places[next]);
                            if len > MET_AT_ONCE {
                                break;
                            }
                            if met[next] {
                                left = left.saturating_sub(PLACE + len);
                                met[next] = members.meet(self.list(index, &places[next]));
                            }
                            next += 1;
                        }
                    })?;
                    continue;
                }
            }
            next += 1;
        }
        Ok(())
    }
}
