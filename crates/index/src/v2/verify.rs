//! Reads an index section through and checks what lookups rely on.

use super::lists::PackedList;
use super::names::{Name, Names};
use super::{PackedIndex, corrupt};
use crate::IndexError;
use crate::postings::List;

impl PackedIndex<'_> {
    /// Reads everything and checks it: order, ranges, UTF-8, and that forward columns say what the postings say.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn verify(&self) -> Result<(), IndexError> {
        let names = &self.names;
        let mut end = names.texts_end()?;
        for number in 0..names.len() {
            let (text, fields) = (names.text(number)?, names.fields(number)?);
            if text.is_empty() || number > 0 && names.text(number - 1)? >= text {
                return Err(corrupt(Names::offset(number), "names out of order"));
            }
            if fields.dictionary as usize != end || fields.value_count == 0 {
                return Err(corrupt(Names::offset(number), "parts of names do not follow each other"));
            }
            end = if number + 1 == names.len() {
                names.section_len()
            } else {
                names.fields(number + 1)?.dictionary as usize
            };
            let name = names.get(number)?;
            name.values.verify()?;
            self.verify_postings(&name)?;
        }
        if end == names.section_len() { Ok(()) } else { Err(corrupt(end, "bytes that belong to no name")) }
    }

    /// The number of postings: that of labels, summed over the series.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`].
    pub fn posting_count(&self) -> Result<u64, IndexError> {
        (0..self.names.len()).map(|number| Ok(u64::from(self.names.fields(number)?.posting_count))).sum()
    }

    fn verify_postings(&self, name: &Name<'_>) -> Result<(), IndexError> {
        let fault = |reason| corrupt(name.offset, reason);
        let (mut total, mut end) = (0u64, 0);
        for value in 0..name.values.len() {
            let (list, size, entry) = name.list_and_size(value)?;
            if !matches!(list, PackedList::One(_)) {
                if entry as usize != end {
                    return Err(fault("lists of postings do not follow each other"));
                }
                end += size;
            }
            let (mut seen, mut next) = (0, 0u64);
            let mut agrees = Ok(true);
            let ascends = list.walk(0..list.len(), |ordinal| {
                let sound = u64::from(ordinal) >= next && ordinal < self.series_count();
                if let Some(forward) = name.forward.filter(|_| sound) {
                    agrees = forward.get(ordinal).map(|number| number as usize == value + 1);
                }
                seen += 1;
                next = u64::from(ordinal) + 1;
                sound && agrees == Ok(true)
            });
            if !agrees? {
                return Err(fault("a forward column differs from the postings"));
            }
            if !ascends || seen != list.len() {
                return Err(fault("postings out of order"));
            }
            total += list.len() as u64;
        }
        if end != name.lists.len() {
            return Err(fault("bytes that belong to no list of postings"));
        }
        if let Some(forward) = &name.forward {
            let mut with_label = 0u64;
            for ordinal in 0..self.series_count() {
                with_label += u64::from(forward.get(ordinal)? != 0);
            }
            if with_label != total {
                return Err(fault("a forward column differs from the postings"));
            }
        }
        if total == u64::from(name.posting_count) { Ok(()) } else { Err(fault("count of postings")) }
    }
}
