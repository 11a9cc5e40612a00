//! Sorted lists of series ordinals, in memory or in a block, and their intersection.

use mytsdb_stop::{Canceled, Looks};
use std::ops::Range;

/// Invariant P: a list ascends strictly. Damaged bytes may break it; then results are wrong but nothing panics.
pub(crate) trait List: Copy {
    fn len(self) -> usize;
    /// The element at `index`; `index < len()`.
    fn get(self, index: usize) -> u32;

    /// First index at or behind `from` whose element is at least `wanted`.
    #[inline]
    fn seek(self, from: usize, wanted: u32) -> usize {
        gallop(self, from, wanted)
    }

    /// Hands on the elements at some indices, which are in range, until one is answered with `false`; tells whether none was.
    #[inline]
    fn walk(self, indices: Range<usize>, mut each: impl FnMut(u32) -> bool) -> bool {
        indices.into_iter().all(|index| each(self.get(index)))
    }
}

impl List for &[u32] {
    fn len(self) -> usize {
        <[u32]>::len(self)
    }
    #[inline]
    fn get(self, index: usize) -> u32 {
        self[index]
    }
}

/// Little-endian u32s of a block.
impl List for &[[u8; 4]] {
    fn len(self) -> usize {
        <[[u8; 4]]>::len(self)
    }
    #[inline]
    fn get(self, index: usize) -> u32 {
        u32::from_le_bytes(self[index])
    }
}

/// First index at or behind `from` whose element is at least `wanted`: doubling steps, then halving.
#[inline]
pub(crate) fn gallop<L: List>(list: L, from: usize, wanted: u32) -> usize {
    let len = list.len();
    let (mut low, mut step) = (from, 1);
    while low + step <= len && list.get(low + step - 1) < wanted {
        low += step;
        step *= 2;
    }
    let mut high = (low + step).min(len);
    while low < high {
        let middle = low.midpoint(high);
        if list.get(middle) < wanted {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Elements of a long list that are worked on between two counts of steps.
const PART: usize = 1_024;

/// The indices of a list, in parts.
pub(crate) fn parts(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(PART).map(move |from| from..len.min(from + PART))
}

/// Keeps the elements of `base` that `keep` puts in front; it is handed some at a time, costs a few ns each, and tells how
/// many those are.
pub(crate) fn retain_parts<E: From<Canceled>>(
    base: &mut Vec<u32>,
    looks: &mut Looks<'_>,
    mut keep: impl FnMut(&mut [u32]) -> Result<usize, E>,
) -> Result<(), E> {
    let mut kept = 0;
    for part in parts(base.len()) {
        looks.before(part.len().div_ceil(8))?;
        let stay = keep(&mut base[part.clone()])?;
        base.copy_within(part.start..part.start + stay, kept);
        kept += stay;
    }
    base.truncate(kept);
    Ok(())
}

/// Puts the elements for which `keep` holds in front, in their order; tells how many those are.
pub(crate) fn keep_in_front(some: &mut [u32], mut keep: impl FnMut(u32) -> bool) -> usize {
    let mut kept = 0;
    for at in 0..some.len() {
        let member = some[at];
        some[kept] = member;
        kept += usize::from(keep(member));
    }
    kept
}

/// The postings of one value. Most values of a label with many values have one series.
#[derive(Debug)]
pub(crate) enum Postings {
    One(u32),
    Many(Vec<u32>),
}

impl Postings {
    pub(crate) fn as_slice(&self) -> &[u32] {
        match self {
            Postings::One(only) => std::slice::from_ref(only),
            Postings::Many(all) => all,
        }
    }

    /// `ordinal` is larger than all before it.
    pub(crate) fn push(&mut self, ordinal: u32) {
        match self {
            Postings::One(only) => *self = Postings::Many(vec![*only, ordinal]),
            Postings::Many(all) => all.push(ordinal),
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Postings::One(_) => 0,
            Postings::Many(all) => all.capacity() * size_of::<u32>(),
        }
    }

    /// Renames every ordinal by `renamed`, dropping those renamed to `None`; false if none is left.
    pub(crate) fn rename(&mut self, renamed: &dyn Fn(u32) -> Option<u32>) -> bool {
        match self {
            Postings::One(only) => match renamed(*only) {
                Some(new) => *only = new,
                None => return false,
            },
            Postings::Many(all) => {
                all.retain_mut(|ordinal| {
                    renamed(*ordinal).is_some_and(|new| {
                        *ordinal = new;
                        true
                    })
                });
                match all.as_slice() {
                    [] => return false,
                    [only] => *self = Postings::One(*only),
                    _ if all.capacity() > 2 * all.len() => all.shrink_to_fit(),
                    _ => {}
                }
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn seek_finds_the_partition_point(list in prop::collection::btree_set(0u32..300, 0..100), from in 0usize..100, wanted in 0u32..310) {
            let list: Vec<u32> = list.into_iter().collect();
            let from = from.min(list.len());
            let expected = from.max(list.partition_point(|&x| x < wanted));
            prop_assert_eq!(list.as_slice().seek(from, wanted), expected);
        }
    }
}
