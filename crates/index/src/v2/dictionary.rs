//! The values of one name: sorted, in groups of eight, each text but a group's first as its difference to the one before.

use super::{corrupt, u32_at};
use crate::IndexError;
use mytsdb_varint::{put_uvarint, take_uvarint};

/// Texts of a group.
const GROUP: usize = 8;

/// Appends the dictionary of `texts`, which ascend strictly; `None` if they exceed 4 GiB.
pub(super) fn put(out: &mut Vec<u8>, texts: &[&str]) -> Option<()> {
    let starts_at = out.len();
    out.resize(starts_at + 4 * texts.len().div_ceil(GROUP), 0);
    let groups_at = out.len();
    for (number, group) in texts.chunks(GROUP).enumerate() {
        let start = u32::try_from(out.len() - groups_at).ok()?;
        out[starts_at + 4 * number..][..4].copy_from_slice(&start.to_le_bytes());
        let mut before = group[0].as_bytes();
        put_uvarint(out, before.len() as u64);
        out.extend_from_slice(before);
        for text in &group[1..] {
            let text = text.as_bytes();
            let shared = before.iter().zip(text).take_while(|(a, b)| a == b).count();
            put_uvarint(out, shared as u64);
            put_uvarint(out, (text.len() - shared) as u64);
            out.extend_from_slice(&text[shared..]);
            before = text;
        }
    }
    Some(())
}

#[inline]
fn take_usize(rest: &mut &[u8]) -> Option<usize> {
    usize::try_from(take_uvarint(rest).ok()?).ok()
}

/// A dictionary, read in place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dictionary<'a> {
    /// Offset in the section, for errors.
    offset: usize,
    count: usize,
    starts: &'a [[u8; 4]],
    groups: &'a [u8],
}

impl<'a> Dictionary<'a> {
    /// Splits the bytes; `None` if they are too few.
    #[inline]
    pub(super) fn new(offset: usize, bytes: &'a [u8], count: usize) -> Option<Self> {
        let (starts, groups) = bytes.split_at_checked(4 * count.div_ceil(GROUP))?;
        Some(Self { offset, count, starts: starts.as_chunks().0, groups })
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Stands before the text `number`, which may be `len()`.
    pub(super) fn walk_from(&self, number: usize) -> Result<Walk<'a>, IndexError> {
        let group = number / GROUP;
        let mut walk = Walk { dictionary: *self, number: group * GROUP, rest: &[], text: Vec::new() };
        if walk.number < self.count {
            walk.rest = self.group(group)?;
            for _ in 0..number % GROUP {
                walk.advance()?;
            }
        }
        Ok(walk)
    }

    /// Puts the text `number` into `text`. Cost: some 50 ns.
    pub(super) fn get_into(&self, number: usize, text: &mut Vec<u8>) -> Result<(), IndexError> {
        if number >= self.count {
            return Err(corrupt(self.offset, "value number out of range"));
        }
        let fault = || corrupt(self.offset, "value leaves the dictionary");
        let mut rest = self.group(number / GROUP)?;
        // What each text shares with the one before, and what is its own.
        let mut parts: [(usize, &[u8]); GROUP] = [(0, &[]); GROUP];
        let parts = &mut parts[..=number % GROUP];
        let mut len = 0;
        for (at, part) in parts.iter_mut().enumerate() {
            let shared = if at == 0 { Some(0) } else { take_usize(&mut rest).filter(|&shared| shared <= len) };
            let own = take_usize(&mut rest).and_then(|len| rest.split_at_checked(len));
            let (shared, (own, behind)) = shared.zip(own).ok_or_else(fault)?;
            *part = (shared, own);
            len = shared + own.len();
            rest = behind;
        }
        text.clear();
        text.resize(len, 0);
        // From the back, so that only bytes that stay are copied.
        for &(shared, own) in parts.iter().rev() {
            if shared < len {
                text[shared..len].copy_from_slice(&own[..len - shared]);
                len = shared;
            }
        }
        Ok(())
    }

    /// The number of the first text that is not below `wanted`, `len()` if all are; and whether it is that text.
    pub(super) fn lower_bound(&self, wanted: &str) -> Result<(usize, bool), IndexError> {
        let wanted = wanted.as_bytes();
        let (mut low, mut high) = (0, self.starts.len());
        while low < high {
            let middle = low.midpoint(high);
            if self.first_of(middle)? <= wanted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        // The text is in the last group whose first one is not above it, or nowhere.
        let Some(group) = low.checked_sub(1) else { return Ok((0, false)) };
        let mut walk =
            Walk { dictionary: *self, number: group * GROUP, rest: self.group(group)?, text: Vec::with_capacity(64) };
        for number in group * GROUP..self.count.min((group + 1) * GROUP) {
            walk.advance()?;
            if *walk.text >= *wanted {
                return Ok((number, *walk.text == *wanted));
            }
        }
        Ok((self.count.min((group + 1) * GROUP), false))
    }

    fn first_of(&self, group: usize) -> Result<&'a [u8], IndexError> {
        let mut rest = self.group(group)?;
        let first = take_usize(&mut rest).and_then(|len| rest.get(..len));
        first.ok_or_else(|| corrupt(self.offset, "first value of a group"))
    }

    #[inline]
    fn group(&self, group: usize) -> Result<&'a [u8], IndexError> {
        let rest = u32_at(self.starts, group).and_then(|start| self.groups.get(start as usize..));
        rest.ok_or_else(|| corrupt(self.offset, "group of values leaves the dictionary"))
    }

    /// Reads all texts and checks their order, their encoding, and that groups lie end to end and fill the bytes.
    pub(super) fn verify(&self) -> Result<(), IndexError> {
        let mut walk = self.walk_from(0)?;
        let mut previous: Option<String> = None;
        for number in 0..self.count {
            if number % GROUP == 0 && number > 0 && walk.rest.as_ptr() != self.group(number / GROUP)?.as_ptr()
                || number == 0 && u32_at(self.starts, 0) != Some(0)
            {
                return Err(corrupt(self.offset, "groups of values do not follow each other"));
            }
            let text = walk.next()?.ok_or_else(|| corrupt(self.offset, "values missing"))?;
            if text.is_empty() || previous.as_deref().is_some_and(|previous| previous >= text) {
                return Err(corrupt(self.offset, "values out of order"));
            }
            previous = Some(text.to_owned());
        }
        if walk.rest.is_empty() { Ok(()) } else { Err(corrupt(self.offset, "bytes behind the last value")) }
    }
}

/// Goes from text to text.
pub(super) struct Walk<'a> {
    dictionary: Dictionary<'a>,
    /// Of the text that comes next.
    number: usize,
    rest: &'a [u8],
    text: Vec<u8>,
}

impl Walk<'_> {
    /// The next text, until there are no more.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<&str>, IndexError> {
        if self.number >= self.dictionary.count {
            return Ok(None);
        }
        self.advance()?;
        let text = std::str::from_utf8(&self.text);
        text.map(Some).map_err(|_| corrupt(self.dictionary.offset, "value is not UTF-8"))
    }

    /// The number is below the count.
    #[inline]
    fn advance(&mut self) -> Result<(), IndexError> {
        if self.number.is_multiple_of(GROUP) {
            self.rest = self.dictionary.group(self.number / GROUP)?;
            self.text.clear();
        } else {
            let shared = take_usize(&mut self.rest).filter(|&shared| shared <= self.text.len());
            self.text.truncate(shared.ok_or_else(|| corrupt(self.dictionary.offset, "value"))?);
        }
        let own = take_usize(&mut self.rest).and_then(|len| self.rest.split_at_checked(len));
        let (own, behind) = own.ok_or_else(|| corrupt(self.dictionary.offset, "value leaves the dictionary"))?;
        self.text.extend_from_slice(own);
        self.rest = behind;
        self.number += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_and_are_found() {
        for count in [1usize, 7, 8, 9, 100] {
            let texts: Vec<String> = (0..count).map(|i| format!("ü{:03}{}", i * 3, "x".repeat(i % 5))).collect();
            let refs: Vec<&str> = texts.iter().map(String::as_str).collect();
            let mut bytes = Vec::new();
            put(&mut bytes, &refs).unwrap();
            let dictionary = Dictionary::new(0, &bytes, count).unwrap();
            dictionary.verify().unwrap();
            let mut text = Vec::new();
            for (number, known) in refs.iter().enumerate() {
                dictionary.get_into(number, &mut text).unwrap();
                assert_eq!(text, known.as_bytes());
                assert_eq!(dictionary.lower_bound(known).unwrap(), (number, true));
                assert_eq!(dictionary.lower_bound(&format!("{known}~")).unwrap(), (number + 1, false));
                assert_eq!(dictionary.walk_from(number).unwrap().next().unwrap(), Some(*known));
            }
            assert_eq!(dictionary.lower_bound("").unwrap(), (0, false));
            assert_eq!(dictionary.walk_from(count).unwrap().next().unwrap(), None);
            assert!(dictionary.get_into(count, &mut text).is_err());
        }
    }
}
