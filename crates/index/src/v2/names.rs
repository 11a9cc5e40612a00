//! The names of an index section, and what belongs to each.

use super::dictionary::Dictionary;
use super::lists::PackedList;
use super::{HEADER_BYTES, NAME_BYTES, bits, corrupt, u32_at};
use crate::IndexError;

/// The section, its names split off.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names<'a> {
    section: &'a [u8],
    entries: &'a [[u8; NAME_BYTES]],
    pub(super) series_count: u32,
}

/// Fields of a name's entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) text_end: u32,
    pub(super) value_count: u32,
    pub(super) posting_count: u32,
    pub(super) dictionary: u32,
    pub(super) postings: u32,
    /// 0: none.
    pub(super) forward: u32,
}

impl Fields {
    pub(super) fn write(&self) -> [u8; NAME_BYTES] {
        let fields =
            [self.text_end, self.value_count, self.posting_count, self.dictionary, self.postings, self.forward];
        let mut out = [0; NAME_BYTES];
        for (bytes, field) in out.as_chunks_mut::<4>().0.iter_mut().zip(fields) {
            *bytes = field.to_le_bytes();
        }
        out
    }

    #[inline]
    fn read(entry: &[u8; NAME_BYTES]) -> Self {
        let field = |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
        let [text_end, value_count, posting_count, dictionary, postings, forward] = [0, 4, 8, 12, 16, 20].map(field);
        Self { text_end, value_count, posting_count, dictionary, postings, forward }
    }
}

/// One name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    /// Where its entry is in the section, for errors.
    pub(super) offset: usize,
    pub(super) posting_count: u32,
    pub(super) values: Dictionary<'a>,
    entries: &'a [[u8; 4]],
    /// What follows the array of postings.
    pub(super) lists: &'a [u8],
    pub(super) forward: Option<Forward<'a>>,
    series_count: u32,
}

impl<'a> Name<'a> {
    /// The series of a value.
    pub(super) fn list(&self, value: usize) -> Result<PackedList<'a>, IndexError> {
        Ok(self.list_and_size(value)?.0)
    }

    /// The same, with the bytes the list takes and the entry that names it.
    pub(super) fn list_and_size(&self, value: usize) -> Result<(PackedList<'a>, usize, u32), IndexError> {
        let entry = u32_at(self.entries, value).ok_or_else(|| corrupt(self.offset, "value number out of range"))?;
        let list = PackedList::new(entry, self.lists, self.series_count);
        let (list, size) = list.ok_or_else(|| corrupt(self.offset, "postings of a value"))?;
        Ok((list, size, entry))
    }
}

/// For each series its value number plus 1, or 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Forward<'a> {
    offset: usize,
    width: u32,
    bits: &'a [u8],
    value_count: u32,
}

impl Forward<'_> {
    /// The value number plus 1 of a series, 0 if it lacks the label.
    #[inline]
    pub(super) fn get(&self, ordinal: u32) -> Result<u32, IndexError> {
        let number = bits::get(self.bits, ordinal as usize, self.width);
        if number > self.value_count {
            return Err(corrupt(self.offset, "value number in a forward column"));
        }
        Ok(number)
    }
}

impl<'a> Names<'a> {
    pub(super) fn new(section: &'a [u8]) -> Result<Self, IndexError> {
        let short = || corrupt(0, "section too short");
        let (header, rest) = section.split_first_chunk::<HEADER_BYTES>().ok_or_else(short)?;
        let count = u32_at(header.as_chunks().0, 0).unwrap_or(0) as usize;
        let series_count = u32_at(header.as_chunks().0, 1).unwrap_or(0);
        let entries = count.checked_mul(NAME_BYTES).and_then(|bytes| rest.get(..bytes)).ok_or_else(short)?;
        Ok(Self { section, entries: entries.as_chunks().0, series_count })
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn section_len(&self) -> usize {
        self.section.len()
    }

    #[inline]
    fn texts_at(&self) -> usize {
        HEADER_BYTES + NAME_BYTES * self.entries.len()
    }

    pub(super) fn offset(number: usize) -> usize {
        HEADER_BYTES + NAME_BYTES * number
    }

    #[inline]
    pub(super) fn fields(&self, number: usize) -> Result<Fields, IndexError> {
        self.entries.get(number).map(Fields::read).ok_or_else(|| corrupt(0, "name number out of range"))
    }

    #[inline]
    pub(super) fn text(&self, number: usize) -> Result<&'a str, IndexError> {
        let end = self.fields(number)?.text_end as usize;
        let start = number.checked_sub(1).map_or(Ok(0), |before| self.fields(before).map(|f| f.text_end as usize))?;
        let text = self.section.get(self.texts_at()..).and_then(|texts| texts.get(start..end));
        let text = text.and_then(|text| std::str::from_utf8(text).ok());
        text.ok_or_else(|| corrupt(Self::offset(number), "text of a name"))
    }

    /// Where the dictionary of a name starts, or the section ends.
    fn start(&self, number: usize) -> Result<usize, IndexError> {
        if number == self.len() { Ok(self.section.len()) } else { Ok(self.fields(number)?.dictionary as usize) }
    }

    /// Where the texts end, which is where the first dictionary starts.
    pub(super) fn texts_end(&self) -> Result<usize, IndexError> {
        let last = self.len().checked_sub(1).map_or(Ok(0), |last| self.fields(last).map(|f| f.text_end as usize))?;
        Ok(self.texts_at() + last)
    }

    pub(super) fn get(&self, number: usize) -> Result<Name<'a>, IndexError> {
        let fields = self.fields(number)?;
        let offset = Self::offset(number);
        let fault = || corrupt(offset, "parts of a name");
        let end = self.start(number + 1)?;
        let lists_end = if fields.forward == 0 { end } else { fields.forward as usize };
        let part = |from: usize, to: usize| self.section.get(from..to).ok_or_else(fault);
        let (dictionary, postings) = (fields.dictionary as usize, fields.postings as usize);
        let value_count = fields.value_count as usize;
        let values = Dictionary::new(dictionary, part(dictionary, postings)?, value_count).ok_or_else(fault)?;
        let (entries, lists) = part(postings, lists_end)?.split_at_checked(4 * value_count).ok_or_else(fault)?;
        let forward = match part(lists_end, end)? {
            [] => None,
            [width, bits @ ..] if *width <= 32 => {
                let (width, value_count) = (u32::from(*width), fields.value_count);
                if bits.len() != bits::packed_bytes(self.series_count as usize, width) {
                    return Err(fault());
                }
                Some(Forward { offset: lists_end, width, bits, value_count })
            }
            _ => return Err(fault()),
        };
        let (posting_count, series_count) = (fields.posting_count, self.series_count);
        Ok(Name { offset, posting_count, values, entries: entries.as_chunks().0, lists, forward, series_count })
    }

    /// The values of a name alone.
    #[inline]
    pub(super) fn values(&self, number: usize) -> Result<Dictionary<'a>, IndexError> {
        let fields = self.fields(number)?;
        let (from, to) = (fields.dictionary as usize, fields.postings as usize);
        let values =
            self.section.get(from..to).and_then(|bytes| Dictionary::new(from, bytes, fields.value_count as usize));
        values.ok_or_else(|| corrupt(Self::offset(number), "parts of a name"))
    }

    /// The number of a name. Cost: a binary search.
    pub(super) fn find(&self, name: &str) -> Result<Option<usize>, IndexError> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.text(middle)?.cmp(name) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(Some(middle)),
            }
        }
        Ok(None)
    }
}
