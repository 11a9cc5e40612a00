//! The values of one label name: each text once, its postings beside it.

use crate::postings::Postings;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Values are numbered in order of arrival. Texts lie end to end in one string, so that a scan for a pattern reads
/// memory in order (a few ns per value) and no sorted dictionary needs upkeep under the head's lock.
#[derive(Debug, Default)]
pub(crate) struct ValueTable {
    text: String,
    ends: Vec<usize>,
    postings: Vec<Postings>,
    by_text: HashTable<u32>,
    hasher: RandomState,
}

impl ValueTable {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn text(&self, id: u32) -> &str {
        text(&self.text, &self.ends, id)
    }

    pub(crate) fn postings(&self, id: u32) -> &[u32] {
        self.postings[id as usize].as_slice()
    }

    pub(crate) fn find(&self, value: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(value);
        self.by_text.find(hash, |&id| self.text(id) == value).copied()
    }

    /// Texts and postings in order of arrival.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u32])> {
        (0..self.len() as u32).map(|id| (self.text(id), self.postings(id)))
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
        let id = self.ends.len() as u32;
        self.text.push_str(value);
        self.ends.push(self.text.len());
        self.postings.push(postings);
        let Self { text: all, ends, by_text, hasher, .. } = self;
        by_text.insert_unique(hasher.hash_one(value), id, |&id| hasher.hash_one(text(all, ends, id)));
        id
    }

    /// Renames ordinals as [`Postings::rename`]; values without series disappear. False if no value is left.
    pub(crate) fn rename(&mut self, renamed: &dyn Fn(u32) -> Option<u32>) -> bool {
        let mut emptied = false;
        let keep: Vec<bool> = self.postings.iter_mut().map(|postings| postings.rename(renamed)).collect();
        emptied |= keep.contains(&false);
        if emptied {
            let old = std::mem::take(self);
            for (id, postings) in old.postings.into_iter().enumerate().filter(|(id, _)| keep[*id]) {
                self.insert(text(&old.text, &old.ends, id as u32), postings);
            }
        }
        !self.ends.is_empty()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.text.capacity()
            + self.ends.capacity() * size_of::<usize>()
            + self.postings.capacity() * size_of::<Postings>()
            + self.postings.iter().map(Postings::heap_bytes).sum::<usize>()
            + self.by_text.allocation_size()
    }
}

fn text<'a>(all: &'a str, ends: &[usize], id: u32) -> &'a str {
    let start = if id == 0 { 0 } else { ends[id as usize - 1] };
    &all[start..ends[id as usize]]
}
