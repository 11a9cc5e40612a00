//! Texts end to end.

use mytsdb_stop::{Canceled, Looks};
use std::cmp::Ordering;
use std::ops::Range;

/// A list of texts that lie end to end, so that a million of them are two allocations and a walk reads memory in order.
#[derive(Debug, Default)]
pub struct TextList {
    text: String,
    ends: Vec<usize>,
}

impl TextList {
    /// An empty list with room for so many texts of so many bytes together.
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), ends: Vec::with_capacity(count) }
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The text at `index`, if there are more than that.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        Some(&self.text[index.checked_sub(1).map_or(0, |before| self.ends[before])..end])
    }

    /// The texts in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| &self.text[std::mem::replace(&mut start, end)..end])
    }

    /// Appends a text.
    pub fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    /// Appends some texts of another list, all at once.
    ///
    /// # Panics
    /// If `from` ends behind the other list.
    pub(crate) fn extend_from(&mut self, other: &Self, from: Range<usize>) {
        let start = from.start.checked_sub(1).map_or(0, |before| other.ends[before]);
        let ends = &other.ends[from];
        let moved = self.text.len();
        self.text.push_str(&other.text[start..ends.last().copied().unwrap_or(start)]);
        self.ends.extend(ends.iter().map(|end| end - start + moved));
    }

    /// Removes the texts and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Bytes held on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<usize>()
    }

    /// The same texts, ascending.
    ///
    /// # Errors
    /// [`Canceled`].
    pub fn sorted(&self, looks: &mut Looks<'_>) -> Result<Self, Canceled> {
        let texts = looks.collect(self.iter())?;
        let mut out = Self::with_capacity(self.len(), self.text.len());
        for text in looks.sort_by(texts, Ord::cmp)? {
            looks.before(1)?;
            out.push(text);
        }
        Ok(out)
    }

    /// Whether a list that ascends has a text. A binary search.
    pub fn has(&self, text: &str) -> bool {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.get(middle).map_or(Ordering::Greater, |known| known.cmp(text)) {
                Ordering::Less => low = middle + 1,
                Ordering::Greater => high = middle,
                Ordering::Equal => return true,
            }
        }
        false
    }

    /// This list and `more`, both ascending and each text once; `None` if all of them are here, as mostly they are.
    ///
    /// # Errors
    /// [`Canceled`].
    pub fn united(&self, more: &[&str], looks: &mut Looks<'_>) -> Result<Option<Self>, Canceled> {
        // Where the texts that are not here belong.
        let mut missing = Vec::new();
        let mut at = 0;
        for &text in more {
            looks.before(1)?;
            let found = loop {
                match self.get(at).map(|known| known.cmp(text)) {
                    Some(Ordering::Less) => {
                        looks.before(1)?;
                        at += 1;
                    }
                    order => break order == Some(Ordering::Equal),
                }
            };
            if !found {
                missing.push((at, text));
            }
        }
        if missing.is_empty() {
            return Ok(None);
        }
        let more_bytes: usize = missing.iter().map(|(_, text)| text.len()).sum();
        let mut all = Self::with_capacity(self.len() + missing.len(), self.text.len() + more_bytes);
        let mut missing = missing.into_iter().peekable();
        for index in 0..=self.len() {
            looks.before(1)?;
            while let Some((_, text)) = missing.next_if(|&(at, _)| at == index) {
                looks.before(1)?;
                all.push(text);
            }
            self.get(index).into_iter().for_each(|text| all.push(text));
        }
        Ok(Some(all))
    }
}

impl<'t> FromIterator<&'t str> for TextList {
    fn from_iter<I: IntoIterator<Item = &'t str>>(texts: I) -> Self {
        let mut list = Self::default();
        texts.into_iter().for_each(|text| list.push(text));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_stop::StopSign;

    fn list(texts: &[&str]) -> TextList {
        let mut list = TextList::default();
        for text in texts {
            list.push(text);
        }
        assert_eq!(list.iter().collect::<Vec<_>>(), texts);
        list
    }

    #[track_caller]
    fn check(all: &[&str], more: &[&str], expected: &[&str]) {
        let looks = &mut StopSign::NEVER.looks();
        let list = list(all);
        let united = list.united(more, looks).unwrap();
        assert_eq!(united.is_none(), all == expected);
        let united = united.unwrap_or(list);
        assert_eq!(united.iter().collect::<Vec<_>>(), expected);
        assert!(united.united(expected, looks).unwrap().is_none());
        for text in ["", "a", "b", "bb", "c", "d", "e", "f"] {
            assert_eq!(united.has(text), expected.contains(&text), "{text}");
        }
    }

    #[test]
    fn united_lists_are_sorted_and_have_each_text_once() {
        check(&[], &[], &[]);
        check(&[], &["a", "bb"], &["a", "bb"]);
        check(&["a", "b"], &[], &["a", "b"]);
        check(&["b", "d"], &["b", "d"], &["b", "d"]);
        check(&["b", "d"], &["a", "b", "c", "e"], &["a", "b", "c", "d", "e"]);
        check(&["c"], &["a", "b"], &["a", "b", "c"]);
        check(&["a"], &["b", "bb"], &["a", "b", "bb"]);
    }

    #[test]
    fn some_texts_of_a_list_come_behind_those_of_another() {
        let all = list(&["a", "", "bc", "d"]);
        for (from, expected) in [(0..4, &["x", "a", "", "bc", "d"][..]), (1..3, &["x", "", "bc"]), (4..4, &["x"])] {
            let mut some = list(&["x"]);
            some.extend_from(&all, from);
            assert_eq!(some.iter().collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn sorting_keeps_every_text() {
        let sorted = list(&["ü", "b", "", "ab", "a"]).sorted(&mut StopSign::NEVER.looks()).unwrap();
        assert_eq!(sorted.iter().collect::<Vec<_>>(), ["", "a", "ab", "b", "ü"]);
    }
}
