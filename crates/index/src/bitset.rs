//! A set of small integers, one bit each.

use crate::postings::parts;
use mytsdb_stop::{Canceled, Looks};

/// A set over `0..len`. Inserting a number outside does nothing; it is never contained.
pub(crate) struct Bitset {
    words: Vec<u64>,
    len: u32,
}

impl Bitset {
    pub(crate) fn new(len: u32) -> Self {
        Self { words: vec![0; len.div_ceil(64) as usize], len }
    }

    pub(crate) fn of(len: u32, members: &[u32], looks: &mut Looks<'_>) -> Result<Self, Canceled> {
        let mut set = Self::new(len);
        for part in parts(members.len()) {
            looks.before(part.len().div_ceil(16))?;
            members[part].iter().for_each(|&member| set.insert(member));
        }
        Ok(set)
    }

    #[inline]
    pub(crate) fn insert(&mut self, member: u32) {
        if member < self.len
            && let Some(word) = self.words.get_mut((member / 64) as usize)
        {
            *word |= 1 << (member % 64);
        }
    }

    #[inline]
    pub(crate) fn contains(&self, member: u32) -> bool {
        self.words.get((member / 64) as usize).is_some_and(|word| word >> (member % 64) & 1 == 1)
    }

    /// The members in ascending order.
    pub(crate) fn to_vec(&self, looks: &mut Looks<'_>) -> Result<Vec<u32>, Canceled> {
        let count = self.words.iter().map(|word| word.count_ones() as usize).sum();
        let mut out = Vec::with_capacity(count);
        for part in parts(self.words.len()) {
            looks.before(part.len())?;
            for index in part {
                let mut left = self.words[index];
                while left != 0 {
                    out.push(index as u32 * 64 + left.trailing_zeros());
                    left &= left - 1;
                }
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_come_back_sorted_and_strangers_are_ignored() {
        let looks = &mut mytsdb_stop::StopSign::NEVER.looks();
        let set = Bitset::of(130, &[129, 0, 64, 63, 130, 4_000_000_000], looks).unwrap();
        assert_eq!(set.to_vec(looks).unwrap(), [0, 63, 64, 129]);
        assert!(set.contains(64) && !set.contains(65) && !set.contains(130) && !set.contains(u32::MAX));
    }
}
