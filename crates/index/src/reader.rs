//! Reads the frozen form of an index in place.
//!
//! The layout is in `writer.rs`. Nothing is loaded: every answer is read from the bytes, every length checked when it
//! is used, so that bytes that change under a running process give an error or a wrong answer, never a panic. Checksums
//! are the block's business.

use crate::IndexError;
use crate::bitset::Bitset;
use crate::postings::parts;
use crate::select::{Lookup, Members, Wanted, select};
use crate::symbols::Symbols;
use mytsdb_model::Matcher;
use mytsdb_stop::{Canceled, Looks, StopSign};
use std::cmp::Ordering;
use std::ops::{ControlFlow, Range};

const HEADER_BYTES: usize = 16;

/// An index over bytes, usually those of a mapped file. Copying it is cheap.
#[derive(Debug, Clone, Copy)]
pub struct IndexReader<'a> {
    symbols: Symbols<'a>,
    names: &'a [[u8; 8]],
    values: &'a [[u8; 8]],
    postings: &'a [[u8; 4]],
    series_count: u32,
}

impl<'a> IndexReader<'a> {
    /// Splits the two sections; constant cost. [`verify`](Self::verify) reads them through.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] if the counts do not agree with the lengths.
    pub fn new(symbols: &'a [u8], postings: &'a [u8]) -> Result<Self, IndexError> {
        let symbols = Symbols::new(symbols)?;
        let short = || corrupt(0, "section too short");
        let (header, rest) = postings.split_first_chunk::<HEADER_BYTES>().ok_or_else(short)?;
        let (header, _) = header.as_chunks::<4>();
        let count = |index: usize| u32::from_le_bytes(header[index]) as usize;
        let (names, rest) = split(rest, count(0), 8).ok_or_else(short)?;
        let (values, rest) = split(rest, count(1), 8).ok_or_else(short)?;
        let (postings, rest) = split(rest, count(2), 4).ok_or_else(short)?;
        if !rest.is_empty() {
            return Err(corrupt(0, "bytes behind the last posting"));
        }
        Ok(Self {
            symbols,
            names: names.as_chunks().0,
            values: values.as_chunks().0,
            postings: postings.as_chunks().0,
            series_count: count(3) as u32,
        })
    }

    /// The number of series.
    pub fn series_count(&self) -> u32 {
        self.series_count
    }

    /// The number of postings: that of labels, summed over the series.
    pub fn posting_count(&self) -> usize {
        self.postings.len()
    }

    /// The text of a symbol.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] if there is no such symbol, or its bytes are damaged.
    pub fn symbol(&self, symbol: u32) -> Result<&'a str, IndexError> {
        self.symbols.get(symbol)
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
        Ok(self.find_name(name)?.is_some())
    }

    /// Every label name, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_names(&self, stop: StopSign<'_>) -> Result<Vec<&'a str>, IndexError> {
        let looks = &mut stop.looks();
        let name = |entry| {
            looks.before(1)?;
            self.symbols.get(first(entry))
        };
        self.names.iter().map(name).collect()
    }

    /// The label names of the series in `among`, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_names_of(&self, among: &[u32], stop: StopSign<'_>) -> Result<Vec<&'a str>, IndexError> {
        let looks = &mut stop.looks();
        let members = Bitset::of(self.series_count, among, looks)?;
        let mut out = Vec::new();
        for (at, entry) in self.names.iter().enumerate() {
            // The postings of all values of a name lie end to end, so together they do not ascend.
            let values = self.value_range(at)?;
            let start = if values.is_empty() { 0..0 } else { self.posting_range(values.start)? };
            let end = if values.is_empty() { 0..0 } else { self.posting_range(values.end - 1)? };
            let list = self.postings.get(start.start..end.end).ok_or_else(|| corrupt(0, "postings out of order"))?;
            looks.before(1)?;
            for part in parts(list.len()) {
                looks.before(part.len().div_ceil(16))?;
                if list[part].iter().any(|&ordinal| members.contains(u32::from_le_bytes(ordinal))) {
                    out.push(self.symbols.get(first(entry))?);
                    break;
                }
            }
        }
        Ok(out)
    }

    /// Every value of `name`, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_values(&self, name: &str, stop: StopSign<'_>) -> Result<Vec<&'a str>, IndexError> {
        self.texts(&Wanted::all(name), &mut stop.looks())
    }

    /// The values of `name` among the series in `among`, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_values_of(&self, name: &str, among: &[u32], stop: StopSign<'_>) -> Result<Vec<&'a str>, IndexError> {
        let looks = &mut stop.looks();
        let members = Members::new(self.series_count, among, looks)?;
        self.texts(&Wanted::of(name, &members), looks)
    }

    /// Reads everything and checks what the other calls rely on: order, ranges, UTF-8.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn verify(&self) -> Result<(), IndexError> {
        self.symbols.verify()?;
        let symbol_count = self.symbols.len() as u32;
        let symbols = |entries: &[[u8; 8]]| {
            entries.is_sorted_by(|a, b| first(a) < first(b)) && entries.iter().all(|e| first(e) < symbol_count)
        };
        if !symbols(self.names) {
            return Err(corrupt(HEADER_BYTES as u64, "names out of order"));
        }
        let mut next_value = 0;
        for at in 0..self.names.len() {
            let range = self.value_range(at)?;
            if range.start != next_value || range.is_empty() || !symbols(&self.values[range.clone()]) {
                return Err(corrupt((HEADER_BYTES + 8 * at) as u64, "values out of order"));
            }
            next_value = range.end;
        }
        if next_value != self.values.len() {
            return Err(corrupt(HEADER_BYTES as u64, "values that belong to no name"));
        }
        let mut next_posting = 0;
        for at in 0..self.values.len() {
            let range = self.posting_range(at)?;
            let list = &self.postings[range.clone()];
            let in_range = list.last().is_some_and(|last| u32::from_le_bytes(*last) < self.series_count);
            let sorted = list.is_sorted_by(|a, b| u32::from_le_bytes(*a) < u32::from_le_bytes(*b));
            if range.start != next_posting || !in_range || !sorted {
                return Err(corrupt(self.value_offset(at), "postings out of order"));
            }
            next_posting = range.end;
        }
        if next_posting != self.postings.len() {
            return Err(corrupt(HEADER_BYTES as u64, "postings that belong to no value"));
        }
        Ok(())
    }

    /// The indices of a name's values; `at` is in range.
    fn value_range(&self, at: usize) -> Result<Range<usize>, IndexError> {
        range(self.names, at, self.values.len())
            .ok_or_else(|| corrupt((HEADER_BYTES + 8 * at) as u64, "values out of range"))
    }

    /// The indices of a value's postings; `at` is in range.
    fn posting_range(&self, at: usize) -> Result<Range<usize>, IndexError> {
        range(self.values, at, self.postings.len())
            .ok_or_else(|| corrupt(self.value_offset(at), "postings out of range"))
    }

    fn value_offset(&self, at: usize) -> u64 {
        (HEADER_BYTES + 8 * (self.names.len() + at)) as u64
    }

    /// The indices of the values of `name`; empty if there is no such name.
    fn values_of(&self, name: &str) -> Result<Range<usize>, IndexError> {
        self.find_name(name)?.map_or(Ok(0..0), |at| self.value_range(at))
    }

    /// The index of a name. The names are few beside the symbols, and their texts ascend with them.
    fn find_name(&self, name: &str) -> Result<Option<usize>, IndexError> {
        let (mut low, mut high) = (0, self.names.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.symbols.get(first(&self.names[middle]))?.cmp(name) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return Ok(Some(middle)),
            }
        }
        Ok(None)
    }

    /// The values that are wanted, ascending.
    fn texts(&self, wanted: &Wanted<'_>, looks: &mut Looks<'_>) -> Result<Vec<&'a str>, IndexError> {
        let mut out = Vec::new();
        self.visit(
            wanted,
            looks,
            |_, _| Ok(true),
            |text, _| {
                out.push(text);
                ControlFlow::Continue(())
            },
        )?;
        Ok(out)
    }

    /// [`Lookup::each_value`] in ascending order, with texts that outlive it.
    fn visit(
        &self,
        &Wanted { name, prefix, members }: &Wanted<'_>,
        looks: &mut Looks<'_>,
        mut matches: impl FnMut(&str, &mut Looks<'_>) -> Result<bool, Canceled>,
        mut take: impl FnMut(&'a str, &'a [[u8; 4]]) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        let range = self.values_of(name)?;
        let lowest = if prefix.is_empty() { 0 } else { self.symbols.lower_bound(prefix)? };
        let skipped = self.values[range.clone()].partition_point(|entry| first(entry) < lowest);
        for at in range.start + skipped..range.end {
            looks.before(1)?;
            let text = self.symbols.get(first(&self.values[at]))?;
            if !text.starts_with(prefix) {
                break;
            }
            let list = &self.postings[self.posting_range(at)?];
            let met = members.map_or(Ok(true), |members| members.meet_in(self, list, looks))?;
            if met && matches(text, looks)? && take(text, list).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl<'r> Lookup for IndexReader<'r> {
    type Postings = &'r [[u8; 4]];
    type List<'a> = &'a [[u8; 4]];

    fn series_count(&self) -> u32 {
        self.series_count
    }

    fn find(&self, name: &str, value: &str) -> Result<Option<Self::Postings>, IndexError> {
        let range = self.values_of(name)?;
        let Some(symbol) = self.symbols.find(value)? else { return Ok(None) };
        match self.values[range.clone()].binary_search_by_key(&symbol, first) {
            Ok(at) => Ok(Some(&self.postings[self.posting_range(range.start + at)?])),
            Err(_) => Ok(None),
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
        for list in postings {
            for part in parts(list.len()) {
                looks.before(part.len().div_ceil(16))?;
                visit(&list[part]);
            }
        }
        Ok(())
    }

    fn each_value(
        &self,
        wanted: &Wanted<'_>,
        looks: &mut Looks<'_>,
        matches: impl FnMut(&str, &mut Looks<'_>) -> Result<bool, Canceled>,
        take: impl FnMut(&str, Self::Postings) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        self.visit(wanted, looks, matches, take)
    }
}

/// The symbol of an entry.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the callers hold references into the section")]
fn first(entry: &[u8; 8]) -> u32 {
    u32::from_le_bytes([entry[0], entry[1], entry[2], entry[3]])
}

/// From this entry's start to the next one's; `None` if that leaves `0..count`.
fn range(entries: &[[u8; 8]], at: usize, count: usize) -> Option<Range<usize>> {
    let start = |entry: &[u8; 8]| u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]) as usize;
    let from = start(entries.get(at)?);
    let to = entries.get(at + 1).map_or(count, start);
    (from <= to && to <= count).then_some(from..to)
}

fn split(bytes: &[u8], count: usize, size: usize) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(count.checked_mul(size)?)
}

fn corrupt(offset: u64, reason: &'static str) -> IndexError {
    IndexError::Corrupt { section: "postings", offset, reason }
}
