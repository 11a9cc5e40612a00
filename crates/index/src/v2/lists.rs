//! The postings of one value, packed: a run, blocks of 64 ordinals of equal width, or a bitmap.

use super::{ONLY, bits, u32_at};
use crate::postings::{List, gallop};
use std::ops::Range;

const RUN: u8 = 1;
const PACKED: u8 = 2;
const BITMAP: u8 = 3;

/// Ordinals of a block of packed ones.
const BLOCK: usize = 64;

/// Ordinals of a group of a bitmap.
const GROUP: usize = 512;
const GROUP_BYTES: usize = GROUP / 8;

/// Appends a list of at least two ordinals, which ascend strictly.
pub(super) fn put(out: &mut Vec<u8>, ordinals: &[u32]) {
    let (first, last) = (ordinals[0], ordinals[ordinals.len() - 1]);
    let count = ordinals.len() as u32;
    if last - first == count - 1 {
        out.push(RUN);
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&first.to_le_bytes());
        return;
    }
    let width = |block: &[u32]| bits::width_of(block[block.len() - 1] - block[0]);
    let packed_bytes: usize =
        ordinals.chunks(BLOCK).map(|block| 9 + bits::packed_bytes(block.len(), width(block))).sum();
    let base = first - first % GROUP as u32;
    let groups = ((last - base) as usize / GROUP) + 1;
    if 12 + groups * (4 + GROUP_BYTES) < packed_bytes {
        out.push(BITMAP);
        out.extend_from_slice(&count.to_le_bytes());
        out.extend_from_slice(&base.to_le_bytes());
        out.extend_from_slice(&(groups as u32).to_le_bytes());
        let ranks_at = out.len();
        out.resize(ranks_at + groups * (4 + GROUP_BYTES), 0);
        let (ranks, all_bits) = out[ranks_at..].split_at_mut(4 * groups);
        let mut before = ordinals.iter().map(|&ordinal| (ordinal - base) as usize / GROUP).enumerate().peekable();
        let mut seen = 0u32;
        for (group, rank) in ranks.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            while before.next_if(|&(_, of)| of < group).is_some() {
                seen += 1;
            }
            *rank = seen.to_le_bytes();
        }
        for &ordinal in ordinals {
            let at = (ordinal - base) as usize;
            all_bits[at / 8] |= 1 << (at % 8);
        }
        return;
    }
    out.push(PACKED);
    out.extend_from_slice(&count.to_le_bytes());
    let mut start = 0u32;
    for block in ordinals.chunks(BLOCK) {
        out.extend_from_slice(&block[0].to_le_bytes());
        out.extend_from_slice(&start.to_le_bytes());
        start += 1 + bits::packed_bytes(block.len(), width(block)) as u32;
    }
    for block in ordinals.chunks(BLOCK) {
        let width = width(block);
        out.push(width as u8);
        let at = out.len();
        out.resize(at + bits::packed_bytes(block.len(), width), 0);
        for (index, ordinal) in block.iter().enumerate() {
            bits::put(&mut out[at..], index, width, ordinal - block[0]);
        }
    }
}

/// A list, read in place. Ordinals of damaged bytes are arbitrary.
#[derive(Debug, Clone, Copy)]
pub(crate) enum PackedList<'a> {
    /// Some that were unpacked.
    Slice(&'a [u32]),
    One(u32),
    Run {
        first: u32,
        count: u32,
    },
    Packed {
        count: u32,
        heads: &'a [[u8; 8]],
        blocks: &'a [u8],
    },
    Bitmap {
        count: u32,
        base: u32,
        ranks: &'a [[u8; 4]],
        bits: &'a [[u8; GROUP_BYTES]],
    },
}

impl<'a> PackedList<'a> {
    /// The list whose entry in the array of postings is `entry`; `lists` is what follows that array. Also the bytes it
    /// takes there. Every list is bounded by the number of series. `None` if the bytes cannot be right.
    pub(super) fn new(entry: u32, lists: &'a [u8], series_count: u32) -> Option<(Self, usize)> {
        if entry & ONLY != 0 {
            return (entry & !ONLY < series_count).then_some((PackedList::One(entry & !ONLY), 0));
        }
        let bytes = lists.get(entry as usize..)?;
        let (&[kind, c0, c1, c2, c3], rest) = bytes.split_first_chunk::<5>()?;
        let count = u32::from_le_bytes([c0, c1, c2, c3]);
        if count < 2 || count > series_count {
            return None;
        }
        let (list, behind) = match kind {
            RUN => {
                let (first, behind) = take_u32(rest)?;
                (first.checked_add(count)? <= series_count).then_some((PackedList::Run { first, count }, behind))?
            }
            PACKED => {
                let (heads, blocks) = rest.split_at_checked(8 * (count as usize).div_ceil(BLOCK))?;
                let heads = heads.as_chunks::<8>().0;
                let last = blocks.get(u32_of(heads.last()?, 4) as usize..)?;
                let in_last = count as usize - (heads.len() - 1) * BLOCK;
                let last_bytes = 1 + bits::packed_bytes(in_last, width(last)?);
                let len = u32_of(heads.last()?, 4) as usize + last_bytes;
                let (blocks, behind) = blocks.split_at_checked(len)?;
                (PackedList::Packed { count, heads, blocks }, behind)
            }
            BITMAP => {
                let (base, rest) = take_u32(rest)?;
                let (groups, rest) = take_u32(rest)?;
                let (ranks, rest) = rest.split_at_checked(4usize.checked_mul(groups as usize)?)?;
                let (bits, behind) = rest.split_at_checked(GROUP_BYTES.checked_mul(groups as usize)?)?;
                let (ranks, bits) = (ranks.as_chunks::<4>().0, bits.as_chunks::<GROUP_BYTES>().0);
                let counted = u32_at(ranks, ranks.len().checked_sub(1)?)?.checked_add(ones(bits.last()?))?;
                let in_range =
                    base.is_multiple_of(GROUP as u32) && u64::from(base) + (GROUP * ranks.len()) as u64 <= 1 << 32;
                (counted == count && in_range).then_some((PackedList::Bitmap { count, base, ranks, bits }, behind))?
            }
            _ => return None,
        };
        Some((list, bytes.len() - behind.len()))
    }

    /// Appends the ordinals at some indices.
    pub(super) fn unpack(self, indices: Range<usize>, out: &mut Vec<u32>) {
        self.walk(indices, |ordinal| {
            out.push(ordinal);
            true
        });
    }
}

impl List for PackedList<'_> {
    fn len(self) -> usize {
        match self {
            PackedList::Slice(all) => all.len(),
            PackedList::One(_) => 1,
            PackedList::Run { count, .. } | PackedList::Packed { count, .. } | PackedList::Bitmap { count, .. } => {
                count as usize
            }
        }
    }

    #[inline]
    fn get(self, index: usize) -> u32 {
        match self {
            PackedList::Slice(all) => all[index],
            PackedList::One(only) => only,
            PackedList::Run { first, .. } => first + index as u32,
            PackedList::Packed { heads, blocks, .. } => {
                let Some(head) = heads.get(index / BLOCK) else { return u32::MAX };
                let block = blocks.get(u32_of(head, 4) as usize..).unwrap_or_default();
                let Some(width) = width(block) else { return u32::MAX };
                u32_of(head, 0).wrapping_add(bits::get(&block[1..], index % BLOCK, width))
            }
            PackedList::Bitmap { base, ranks, bits, .. } => {
                let group = ranks.partition_point(|rank| u32::from_le_bytes(*rank) as usize <= index).saturating_sub(1);
                let mut left = (index as u32).saturating_sub(u32_at(ranks, group).unwrap_or(0));
                let Some(group_bits) = bits.get(group) else { return u32::MAX };
                for (number, word) in group_bits.as_chunks::<8>().0.iter().enumerate() {
                    let mut word = u64::from_le_bytes(*word);
                    if left < word.count_ones() {
                        for _ in 0..left {
                            word &= word - 1;
                        }
                        return base + (group * GROUP + number * 64) as u32 + word.trailing_zeros();
                    }
                    left -= word.count_ones();
                }
                u32::MAX
            }
        }
    }

    fn seek(self, from: usize, wanted: u32) -> usize {
        match self {
            PackedList::Run { first, count } => from.max(wanted.saturating_sub(first).min(count) as usize),
            PackedList::Bitmap { count, base, ranks, bits } => {
                let at = wanted.saturating_sub(base) as usize;
                let Some((rank, group_bits)) = u32_at(ranks, at / GROUP).zip(bits.get(at / GROUP)) else {
                    return from.max(count as usize);
                };
                let words = group_bits.as_chunks::<8>().0;
                let (word, bit) = (at % GROUP / 64, at % 64);
                let before: u32 = words[..word].iter().map(|word| u64::from_le_bytes(*word).count_ones()).sum();
                let own = u64::from_le_bytes(words[word]) & ((1u64 << bit) - 1);
                from.max(((rank + before + own.count_ones()) as usize).min(count as usize))
            }
            PackedList::Packed { count, heads, .. } => {
                // Finds the block first: the heads of blocks lie together. Mostly it is the block in which the last search ended.
                let block = heads.len().min(from / BLOCK + 1);
                let above = gallop(Firsts(&heads[block..]), 0, wanted.saturating_add(1)) + block;
                let end = (above * BLOCK).min(count as usize);
                let start = from.max(above.saturating_sub(1) * BLOCK).min(end);
                let (mut low, mut step) = (start, 1);
                while low + step <= end && self.get(low + step - 1) < wanted {
                    low += step;
                    step *= 2;
                }
                let mut high = (low + step).min(end);
                while low < high {
                    let middle = low.midpoint(high);
                    if self.get(middle) < wanted {
                        low = middle + 1;
                    } else {
                        high = middle;
                    }
                }
                low.max(from)
            }
            PackedList::Slice(_) | PackedList::One(_) => gallop(self, from, wanted),
        }
    }

    #[inline]
    fn walk(self, indices: Range<usize>, mut each: impl FnMut(u32) -> bool) -> bool {
        match self {
            PackedList::Slice(all) => all[indices].iter().all(|&ordinal| each(ordinal)),
            PackedList::Packed { heads, blocks, .. } => {
                let mut index = indices.start;
                while index < indices.end {
                    let end = indices.end.min((index / BLOCK + 1) * BLOCK);
                    let head = heads.get(index / BLOCK);
                    let block = head.and_then(|head| blocks.get(u32_of(head, 4) as usize..)).unwrap_or_default();
                    let Some((head, width)) = head.zip(width(block)) else { return true };
                    let first = u32_of(head, 0);
                    for at in index % BLOCK..index % BLOCK + (end - index) {
                        if !each(first.wrapping_add(bits::get(&block[1..], at, width))) {
                            return false;
                        }
                    }
                    index = end;
                }
                true
            }
            PackedList::Bitmap { base, bits, .. } => {
                if indices.is_empty() {
                    return true;
                }
                let mut left = indices.len();
                let start = self.get(indices.start).wrapping_sub(base) as usize;
                let words = bits.iter().flat_map(|group| group.as_chunks::<8>().0).enumerate().skip(start / 64);
                for (number, word) in words {
                    let mut word = u64::from_le_bytes(*word);
                    if number == start / 64 {
                        word &= u64::MAX << (start % 64);
                    }
                    while word != 0 {
                        if left == 0 {
                            return true;
                        }
                        if !each(base + number as u32 * 64 + word.trailing_zeros()) {
                            return false;
                        }
                        left -= 1;
                        word &= word - 1;
                    }
                }
                true
            }
            PackedList::Run { first, .. } => {
                (first.wrapping_add(indices.start as u32)..first.wrapping_add(indices.end as u32)).all(each)
            }
            PackedList::One(only) => indices.is_empty() || each(only),
        }
    }
}

/// The first ordinals of blocks.
#[derive(Clone, Copy)]
struct Firsts<'a>(&'a [[u8; 8]]);

impl List for Firsts<'_> {
    fn len(self) -> usize {
        self.0.len()
    }

    fn get(self, index: usize) -> u32 {
        u32_of(&self.0[index], 0)
    }
}

/// The width of a block's entries.
fn width(block: &[u8]) -> Option<u32> {
    block.first().map(|&width| width.into()).filter(|&width| width <= 32)
}

#[inline]
#[expect(clippy::trivially_copy_pass_by_ref, reason = "the callers hold references into the section")]
fn u32_of(head: &[u8; 8], at: usize) -> u32 {
    u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (value, rest) = bytes.split_first_chunk()?;
    Some((u32::from_le_bytes(*value), rest))
}

fn ones(group: &[u8; GROUP_BYTES]) -> u32 {
    group.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word).count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(ordinals: &[u32]) -> u8 {
        let mut bytes = vec![0xff; 3];
        put(&mut bytes, ordinals);
        let len = bytes.len();
        bytes.push(7);
        let series_count = ordinals.last().unwrap() + 1;
        let (list, size) = PackedList::new(3, &bytes, series_count).unwrap();
        assert_eq!((list.len(), size), (ordinals.len(), len - 3));
        let mut unpacked = Vec::new();
        list.unpack(0..list.len(), &mut unpacked);
        assert_eq!(unpacked, ordinals);
        for index in (0..ordinals.len()).step_by(7) {
            assert_eq!(list.get(index), ordinals[index]);
            for wanted in [ordinals[index].saturating_sub(1), ordinals[index], ordinals[index] + 1] {
                for from in [0, index / 2, ordinals.len()] {
                    let expected = from.max(ordinals.partition_point(|&x| x < wanted));
                    assert_eq!(list.seek(from, wanted), expected, "{wanted} from {from}");
                }
            }
            unpacked.clear();
            list.unpack(index / 2..index, &mut unpacked);
            assert_eq!(unpacked, ordinals[index / 2..index]);
        }
        assert_eq!(list.seek(0, u32::MAX), ordinals.len());
        assert!(
            PackedList::new(3, &bytes, series_count - 1)
                .is_none_or(|(list, _)| !matches!(list, PackedList::Run { .. }))
        );
        bytes[3]
    }

    #[test]
    fn the_kind_follows_from_the_density() {
        let every = |step: u32| (0..1_000).map(|i| 600 + i * step).collect::<Vec<u32>>();
        assert_eq!([check(&every(1)), check(&every(2)), check(&every(40))], [RUN, BITMAP, PACKED]);
        assert_eq!(check(&[5, 2_000_000_000]), PACKED);
    }

    proptest! {
        #[test]
        fn lists_come_back(gaps in prop::collection::vec(1u32..200, 2..400), dense in any::<bool>(), first in 0u32..5_000) {
            let mut next = first;
            let ordinals: Vec<u32> = gaps.iter().map(|gap| {
                next += if dense { 1 + gap / 100 } else { *gap };
                next
            }).collect();
            check(&ordinals);
        }
    }
}
