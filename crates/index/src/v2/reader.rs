//! Answers from an index section.

use super::lists::PackedList;
use super::names::{Name, Names};
use crate::bitset::Bitset;
use crate::postings::{List, parts};
use crate::select::{Lookup, Members, Wanted, select};
use crate::{IndexError, TextList};
use mytsdb_model::Matcher;
use mytsdb_stop::{Canceled, Looks, StopSign};
use std::ops::ControlFlow;

/// An index of the second form over bytes, usually those of a mapped file. Copying it is cheap.
#[derive(Debug, Clone, Copy)]
pub struct PackedIndex<'a> {
    pub(super) names: Names<'a>,
}

impl<'a> PackedIndex<'a> {
    /// Splits the section; constant cost. [`verify`](Self::verify) reads it through.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] if the count of names does not agree with the length.
    #[inline]
    pub fn new(section: &'a [u8]) -> Result<Self, IndexError> {
        Ok(Self { names: Names::new(section)? })
    }

    /// The number of series.
    pub fn series_count(&self) -> u32 {
        self.names.series_count
    }

    /// The number of names.
    pub fn name_count(&self) -> usize {
        self.names.len()
    }

    /// The text of a name by its number.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] if there is no such name, or its bytes are damaged.
    #[inline]
    pub fn name(&self, name: u32) -> Result<&'a str, IndexError> {
        self.names.text(name as usize)
    }

    /// Puts the text of a value, by the numbers of its name and its own, into `text`; the caller checks that it is UTF-8.
    /// Cost: some 50 ns.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] if there is no such value, or its bytes are damaged.
    #[inline]
    pub fn value_into(&self, name: u32, value: u32, text: &mut Vec<u8>) -> Result<(), IndexError> {
        self.names.values(name as usize)?.get_into(value as usize, text)
    }

    /// Whether a series is among the postings of a value, by the numbers of the name and the value.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] if there is no such value, or its bytes are damaged.
    pub fn has_posting(&self, name: u32, value: u32, ordinal: u32) -> Result<bool, IndexError> {
        let list = self.names.get(name as usize)?.list(value as usize)?;
        let at = list.seek(0, ordinal);
        Ok(at < list.len() && list.get(at) == ordinal)
    }

    /// The ordinals of the series that satisfy every matcher, ascending; no matchers: all series.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`]; [`IndexError::Canceled`], as all that take a stop sign.
    pub fn select(&self, matchers: &[Matcher], stop: StopSign<'_>) -> Result<Vec<u32>, IndexError> {
        select(self, matchers, &mut stop.looks())
    }

    /// Whether any series has a label of this name. Cost: a binary search among the names.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn has_label_name(&self, name: &str) -> Result<bool, IndexError> {
        Ok(self.names.find(name)?.is_some())
    }

    /// Every label name, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_names(&self, stop: StopSign<'_>) -> Result<TextList, IndexError> {
        let looks = &mut stop.looks();
        let mut out = TextList::default();
        for number in 0..self.names.len() {
            looks.before(1)?;
            out.push(self.names.text(number)?);
        }
        Ok(out)
    }

    /// The label names of the series in `among`, which ascend, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_names_of(&self, among: &[u32], stop: StopSign<'_>) -> Result<TextList, IndexError> {
        let looks = &mut stop.looks();
        let members = Members::new(self.series_count(), among, looks)?;
        let mut out = TextList::default();
        for number in 0..self.names.len() {
            looks.before(1)?;
            if self.have_name(&self.names.get(number)?, among, &members, looks)? {
                out.push(self.names.text(number)?);
            }
        }
        Ok(out)
    }

    fn have_name(
        &self,
        name: &Name<'a>,
        among: &[u32],
        members: &Members<'_>,
        looks: &mut Looks<'_>,
    ) -> Result<bool, IndexError> {
        if let Some(forward) = &name.forward {
            for part in parts(among.len()) {
                looks.before(part.len().div_ceil(8))?;
                for &ordinal in &among[part] {
                    if forward.get(ordinal)? != 0 {
                        return Ok(true);
                    }
                }
            }
            return Ok(false);
        }
        for value in 0..name.values.len() {
            looks.before(1)?;
            if members.meet_in(self, name.list(value)?, looks)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Every value of `name`, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_values(&self, name: &str, stop: StopSign<'_>) -> Result<TextList, IndexError> {
        self.texts(&Wanted::all(name), &mut stop.looks())
    }

    /// The values of `name` among the series in `among`, which ascend, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_values_of(&self, name: &str, among: &[u32], stop: StopSign<'_>) -> Result<TextList, IndexError> {
        let looks = &mut stop.looks();
        let found = self.names.find(name)?.map(|number| self.names.get(number)).transpose()?;
        let Some((own, forward)) = found.and_then(|own| Some((own, own.forward?))) else {
            let members = Members::new(self.series_count(), among, looks)?;
            return self.texts(&Wanted::of(name, &members), looks);
        };
        let mut met = Bitset::new(own.values.len() as u32);
        for part in parts(among.len()) {
            looks.before(part.len().div_ceil(8))?;
            for &ordinal in &among[part] {
                if let Some(value) = forward.get(ordinal)?.checked_sub(1) {
                    met.insert(value);
                }
            }
        }
        let mut out = TextList::default();
        let mut text = Vec::new();
        for value in met.to_vec(looks)? {
            looks.before(1)?;
            own.values.get_into(value as usize, &mut text)?;
            out.push(utf8(&own, &text)?);
        }
        Ok(out)
    }

    /// The values that are wanted, ascending.
    fn texts(&self, wanted: &Wanted<'_>, looks: &mut Looks<'_>) -> Result<TextList, IndexError> {
        let mut out = TextList::default();
        let take = |text: &str, _| {
            out.push(text);
            ControlFlow::Continue(())
        };
        self.each_value(wanted, looks, |_, _| Ok(true), take)?;
        Ok(out)
    }
}

fn utf8<'t>(name: &Name<'_>, text: &'t [u8]) -> Result<&'t str, IndexError> {
    std::str::from_utf8(text).map_err(|_| super::corrupt(name.offset, "value is not UTF-8"))
}

impl<'r> Lookup for PackedIndex<'r> {
    type Postings = PackedList<'r>;
    type List<'a> = PackedList<'a>;

    fn series_count(&self) -> u32 {
        self.names.series_count
    }

    fn find(&self, name: &str, value: &str) -> Result<Option<Self::Postings>, IndexError> {
        let Some(number) = self.names.find(name)? else { return Ok(None) };
        let name = self.names.get(number)?;
        match name.values.lower_bound(value)? {
            (number, true) => name.list(number).map(Some),
            (_, false) => Ok(None),
        }
    }

    fn len(&self, postings: Self::Postings) -> usize {
        postings.len()
    }

    fn with<T>(&self, postings: Self::Postings, look: impl FnOnce(Self::List<'_>) -> T) -> Result<T, IndexError> {
        Ok(look(postings))
    }

    fn each_list(
        &self,
        postings: &[Self::Postings],
        looks: &mut Looks<'_>,
        mut visit: impl FnMut(Self::List<'_>),
    ) -> Result<(), IndexError> {
        let mut unpacked = Vec::new();
        for list in postings {
            for part in parts(list.len()) {
                looks.before(part.len().div_ceil(16))?;
                if part.len() == list.len() {
                    visit(*list);
                } else {
                    unpacked.clear();
                    list.unpack(part, &mut unpacked);
                    visit(PackedList::Slice(&unpacked));
                }
            }
        }
        Ok(())
    }

    fn each_value(
        &self,
        &Wanted { name, prefix, members }: &Wanted<'_>,
        looks: &mut Looks<'_>,
        mut matches: impl FnMut(&str, &mut Looks<'_>) -> Result<bool, Canceled>,
        mut take: impl FnMut(&str, Self::Postings) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        let Some(number) = self.names.find(name)? else { return Ok(()) };
        let name = self.names.get(number)?;
        let mut value = if prefix.is_empty() { 0 } else { name.values.lower_bound(prefix)?.0 };
        let mut walk = name.values.walk_from(value)?;
        while let Some(text) = walk.next()? {
            looks.before(1)?;
            if !text.starts_with(prefix) {
                break;
            }
            value += 1;
            let met = match members {
                Some(members) => members.meet_in(self, name.list(value - 1)?, looks)?,
                None => true,
            };
            if met && matches(text, looks)? && take(text, name.list(value - 1)?).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn hits_by_column(
        &self,
        wanted: &Wanted<'_>,
        members: &[u32],
        looks: &mut Looks<'_>,
        mut matches: impl FnMut(&str, &mut Looks<'_>) -> Result<bool, Canceled>,
    ) -> Result<Option<Bitset>, IndexError> {
        let Some(number) = self.names.find(wanted.name)? else { return Ok(None) };
        let name = self.names.get(number)?;
        let Some(forward) = name.forward else { return Ok(None) };
        let values = name.values.len() as u32;
        let (mut tried, mut good) = (Bitset::new(values), Bitset::new(values));
        let mut hits = Bitset::new(self.series_count());
        let mut text = Vec::new();
        for part in parts(members.len()) {
            looks.before(part.len().div_ceil(8))?;
            for &ordinal in &members[part] {
                let Some(value) = forward.get(ordinal)?.checked_sub(1) else { continue };
                if !tried.contains(value) {
                    looks.before(2)?;
                    tried.insert(value);
                    name.values.get_into(value as usize, &mut text)?;
                    let text = utf8(&name, &text)?;
                    if text.starts_with(wanted.prefix) && matches(text, looks)? {
                        good.insert(value);
                    }
                }
                if good.contains(value) {
                    hits.insert(ordinal);
                }
            }
        }
        Ok(Some(hits))
    }
}
