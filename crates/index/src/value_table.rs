//! The values of one label name: each text once, its postings beside it.

use crate::TextList;
use crate::postings::Postings;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Values are numbered in order of arrival. Texts lie end to end, so that a scan for a pattern reads memory in order (a
/// few ns per value) and no sorted dictionary needs upkeep under the head's lock.
#[derive(Debug, Default)]
pub(crate) struct ValueTable {
    texts: TextList,
    postings: Vec<Postings>,
    by_text: HashTable<u32>,
    hasher: RandomState,
}

impl ValueTable {
    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn texts(&self) -> &TextList {
        &self.texts
    }

    pub(crate) fn postings(&self, id: u32) -> &[u32] {
        self.postings[id as usize].as_slice()
    }

    /// The postings of all values, by their numbers.
    pub(crate) fn all_postings(&self) -> &[Postings] {
        &self.postings
    }

    pub(crate) fn find(&self, value: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(value);
        self.by_text.find(hash, |&id| text(&self.texts, id) == value).copied()
    }

    /// Texts and postings in order of arrival.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u32])> {
        self.texts.iter().zip(self.postings.iter().map(Postings::as_slice))
    }

    /// Appends `ordinal`, larger than all before it, to the postings of `value`; returns the value's number.
    pub(crate) fn push(&mut self, value: &str, ordinal: u32) -> u32 {
        if let Some(id) = self.find(value) {
            self.postings[id as usize].push(ordinal);
            return id;
        }
        self.insert(value, Postings::One(ordinal))
    }

    /// `value` is not in the table.
    fn insert(&mut self, value: &str, postings: Postings) -> u32 {
        let id = self.texts.len() as u32;
        self.texts.push(value);
        self.postings.push(postings);
        let Self { texts, by_text, hasher, .. } = self;
        by_text.insert_unique(hasher.hash_one(value), id, |&id| hasher.hash_one(text(texts, id)));
        id
    }

    /// Renames ordinals as [`Postings::rename`]; values without series disappear. False if no value is left.
    pub(crate) fn rename(&mut self, renamed: &dyn Fn(u32) -> Option<u32>) -> bool {
        let keep: Vec<bool> = self.postings.iter_mut().map(|postings| postings.rename(renamed)).collect();
        if keep.contains(&false) {
            let old = std::mem::take(self);
            for (id, postings) in old.postings.into_iter().enumerate().filter(|(id, _)| keep[*id]) {
                self.insert(text(&old.texts, id as u32), postings);
            }
        }
        !self.texts.is_empty()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.texts.heap_bytes()
            + self.postings.capacity() * size_of::<Postings>()
            + self.postings.iter().map(Postings::heap_bytes).sum::<usize>()
            + self.by_text.allocation_size()
    }
}

fn text(texts: &TextList, id: u32) -> &str {
    texts.get(id as usize).expect("values are numbered as their texts are")
}
