//! Reads a column of integers; checks every length before it is used.

use super::kernels::{Kernel, Lanes};
use super::{BLOCK_SAMPLES, NARROW_WIDTH_MAX, header, mode};
use crate::CodecError;
use crate::varint::{take_uvarint, take_varint};
use std::ops::Range;

/// A block of no entries is two bytes.
const BLOCK_BYTES_MIN: usize = 2;

pub(super) const BYTES_BEHIND: CodecError = CodecError::Damaged { reason: "bytes behind a column" };

/// A column whose front was read and checked.
#[derive(Debug, Clone, Copy)]
pub(super) struct IntegerColumn<'a> {
    mode: u8,
    start: i64,
    /// Slope or step; 0 where there is none.
    slope: i64,
    count: usize,
    blocks: &'a [u8],
}

impl<'a> IntegerColumn<'a> {
    /// `bytes` is the whole column, of `count >= 1` integers.
    #[inline]
    pub(super) fn parse(bytes: &'a [u8], count: usize) -> Result<Self, CodecError> {
        let column = Self::parse_front(bytes, count)?;
        if column.exact_line().is_some() && !column.blocks.is_empty() {
            return Err(BYTES_BEHIND);
        }
        Ok(column)
    }

    /// The same if more may follow behind the column, of `count >= 1` integers.
    #[inline]
    pub(super) fn parse_front(bytes: &'a [u8], count: usize) -> Result<Self, CodecError> {
        let Some((&mode, mut rest)) = bytes.split_first() else {
            return Err(CodecError::Truncated { field: "mode", bytes: 0 });
        };
        if mode > mode::EXACT_LINE {
            return Err(CodecError::Damaged { reason: "unknown mode of integers" });
        }
        let start = if mode == mode::PLAIN { 0 } else { take_varint(&mut rest, "start")? };
        let has_slope = matches!(mode, mode::DELTAS_OF_DELTAS | mode::LINE | mode::EXACT_LINE);
        let slope = if has_slope { take_varint(&mut rest, "slope")? } else { 0 };
        let has_blocks = !matches!(mode, mode::CONSTANT | mode::EXACT_LINE);
        if has_blocks && rest.len() < count.div_ceil(BLOCK_SAMPLES) * BLOCK_BYTES_MIN {
            return Err(CodecError::Truncated { field: "blocks", bytes: bytes.len() });
        }
        Ok(Self { mode, start, slope, count, blocks: rest })
    }

    /// Start and step, if the integers are exactly a line.
    pub(super) fn exact_line(&self) -> Option<(i64, i64)> {
        matches!(self.mode, mode::CONSTANT | mode::EXACT_LINE).then_some((self.start, self.slope))
    }

    /// Calls `sink` with each block's integers in turn; nothing may be left behind the last.
    #[inline]
    pub(super) fn for_each_block(
        &self,
        kernel: Kernel,
        sink: impl FnMut(&mut Lanes, usize) -> Result<(), CodecError>,
    ) -> Result<(), CodecError> {
        let rest = self.walk_blocks(kernel, sink)?;
        if rest.is_empty() { Ok(()) } else { Err(BYTES_BEHIND) }
    }

    /// Calls `sink` with each block's integers in turn; the second argument says how many of the lanes count. Returns the
    /// bytes behind the last block.
    ///
    /// What lies behind them is arbitrary, and `sink` may leave anything in the lanes. Only for columns that are not an [`exact_line`](Self::exact_line).
    #[inline]
    pub(super) fn walk_blocks(
        &self,
        kernel: Kernel,
        mut sink: impl FnMut(&mut Lanes, usize) -> Result<(), CodecError>,
    ) -> Result<&'a [u8], CodecError> {
        self.walk_blocks_with(0..self.count, kernel, |lanes, _, count| sink(lanes, count))
    }

    /// The same for the blocks that have integers of some numbers, and for those that have to be added up before; `sink` also hears the
    /// number of the first integer of a block. Of the others only the length is looked at.
    #[inline]
    pub(super) fn walk_blocks_with(
        &self,
        numbers: Range<usize>,
        kernel: Kernel,
        mut sink: impl FnMut(&mut Lanes, usize, usize) -> Result<(), CodecError>,
    ) -> Result<&'a [u8], CodecError> {
        let mut rest = self.blocks;
        let (mut start, mut slope) = (self.start, self.slope);
        let mut lanes = Lanes([0; BLOCK_SAMPLES]);
        let mut left = self.count;
        while left > 0 {
            let (first, count) = (self.count - left, left.min(BLOCK_SAMPLES));
            left -= count;
            let is_before = first + count <= numbers.start && matches!(self.mode, mode::PLAIN | mode::LINE);
            if first >= numbers.end || is_before {
                pass_block(&mut rest, count)?;
                start = start.wrapping_add(slope.wrapping_mul(count as i64));
                continue;
            }
            take_block(&mut rest, count, kernel, &mut lanes)?;
            match self.mode {
                mode::DELTAS => {
                    kernel.sum(start, count, &mut lanes);
                    start = lanes.0[count - 1];
                }
                mode::DELTAS_OF_DELTAS => {
                    kernel.sum(slope, count, &mut lanes);
                    slope = lanes.0[count - 1];
                    kernel.sum(start, count, &mut lanes);
                    start = lanes.0[count - 1];
                }
                mode::LINE => {
                    kernel.line(start, slope, &mut lanes);
                    start = start.wrapping_add(slope.wrapping_mul(BLOCK_SAMPLES as i64));
                }
                _ => {}
            }
            sink(&mut lanes, first, count)?;
        }
        Ok(rest)
    }

    /// The bytes behind the front: blocks, or what follows the column if it has none.
    pub(super) fn behind_front(&self) -> &'a [u8] {
        self.blocks
    }
}

/// The two bytes in front of a block: its width, whether it has a bitmap, and its flags.
#[inline]
fn take_header(rest: &mut &[u8]) -> Result<(u32, bool, u8), CodecError> {
    let [width_byte, flags] = *take_array::<2>(rest, "block")?;
    let width = u32::from(width_byte & header::WIDTH_BITS);
    if width > NARROW_WIDTH_MAX && width != 64 {
        return Err(CodecError::Damaged { reason: "impossible bit width" });
    }
    if flags & !(header::BASE | header::PATCHES) != 0 {
        return Err(CodecError::Damaged { reason: "unknown block flag" });
    }
    Ok((width, width_byte & header::SPARSE != 0, flags))
}

/// Reads a block of `count` integers from the front of `rest`.
#[inline]
fn take_block(rest: &mut &[u8], count: usize, kernel: Kernel, lanes: &mut Lanes) -> Result<(), CodecError> {
    match take_header(rest)? {
        (width, false, flags) => take_stored(rest, width, flags, count, kernel, lanes),
        (width, true, flags) => take_sparse(rest, width, flags, count, kernel, lanes),
    }
}

/// Passes a block of `count` integers.
fn pass_block(rest: &mut &[u8], count: usize) -> Result<(), CodecError> {
    let (width, is_sparse, flags) = take_header(rest)?;
    let stored = if is_sparse { ones_of(take_bitmap(rest, count)?) } else { count };
    if flags & header::BASE != 0 {
        take_varint(rest, "base")?;
    }
    let packed_bytes = (stored * width as usize).div_ceil(8);
    let Some((_, behind)) = rest.split_at_checked(packed_bytes) else {
        return Err(CodecError::Truncated { field: "packed integers", bytes: rest.len() });
    };
    *rest = behind;
    if flags & header::PATCHES != 0 {
        let [patch_count] = *take_array::<1>(rest, "patch count")?;
        for _ in 0..patch_count {
            take_array::<1>(rest, "patch position")?;
            take_varint(rest, "patch")?;
        }
    }
    Ok(())
}

fn ones_of(bitmap: &[u8]) -> usize {
    bitmap.iter().map(|byte| byte.count_ones() as usize).sum()
}

/// A function of its own: blocks without a bitmap then do not pay for the second buffer.
#[inline(never)]
fn take_sparse(
    rest: &mut &[u8],
    width: u32,
    flags: u8,
    count: usize,
    kernel: Kernel,
    lanes: &mut Lanes,
) -> Result<(), CodecError> {
    let bitmap = take_bitmap(rest, count)?;
    let mut stored = Lanes([0; BLOCK_SAMPLES]);
    take_stored(rest, width, flags, ones_of(bitmap), kernel, &mut stored)?;
    kernel.expand(bitmap, &stored, lanes);
    Ok(())
}

/// Reads base, packed bits and patches of `count` stored entries.
#[inline]
fn take_stored(
    rest: &mut &[u8],
    width: u32,
    flags: u8,
    count: usize,
    kernel: Kernel,
    lanes: &mut Lanes,
) -> Result<(), CodecError> {
    let base = if flags & header::BASE != 0 { take_varint(rest, "base")? } else { 0 };
    let packed_bits = count * width as usize;
    // The bytes behind the packed bits are passed too, so that kernels rarely reach the end of the input.
    let packed = *rest;
    let Some((own, behind)) = rest.split_at_checked(packed_bits.div_ceil(8)) else {
        return Err(CodecError::Truncated { field: "packed integers", bytes: rest.len() });
    };
    *rest = behind;
    if !packed_bits.is_multiple_of(8) && own.last().is_some_and(|last| last >> (packed_bits % 8) != 0) {
        return Err(CodecError::Damaged { reason: "bits behind the last packed integer" });
    }
    kernel.unpack(packed, width, count, base, lanes);
    if flags & header::PATCHES != 0 {
        patch(rest, width, &mut lanes.0[..count])?;
    }
    Ok(())
}

#[inline]
fn take_bitmap<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], CodecError> {
    let Some((bitmap, behind)) = rest.split_at_checked(count.div_ceil(8)) else {
        return Err(CodecError::Truncated { field: "bitmap", bytes: rest.len() });
    };
    *rest = behind;
    if !count.is_multiple_of(8) && bitmap.last().is_some_and(|last| last >> (count % 8) != 0) {
        return Err(CodecError::Damaged { reason: "bitmap bits behind the block" });
    }
    Ok(bitmap)
}

/// Adds the high parts of integers that did not fit into the width.
fn patch(rest: &mut &[u8], width: u32, stored: &mut [i64]) -> Result<(), CodecError> {
    let [patch_count] = *take_array::<1>(rest, "patch count")?;
    if width > NARROW_WIDTH_MAX || patch_count == 0 || usize::from(patch_count) > stored.len() {
        return Err(CodecError::Damaged { reason: "impossible number of patches" });
    }
    let mut least = 0;
    for _ in 0..patch_count {
        let [position] = *take_array::<1>(rest, "patch position")?;
        let high = take_varint(rest, "patch")?;
        let position = usize::from(position);
        let entry = stored.get_mut(position).filter(|_| position >= least);
        let Some(entry) = entry else {
            return Err(CodecError::Damaged { reason: "impossible patch position" });
        };
        *entry = entry.wrapping_add(high << width);
        least = position + 1;
    }
    Ok(())
}

#[inline]
fn take_array<'a, const N: usize>(rest: &mut &'a [u8], field: &'static str) -> Result<&'a [u8; N], CodecError> {
    let Some((array, behind)) = rest.split_first_chunk::<N>() else {
        return Err(CodecError::Truncated { field, bytes: rest.len() });
    };
    *rest = behind;
    Ok(array)
}

/// A number that cannot exceed `max`.
#[inline]
pub(crate) fn take_count(rest: &mut &[u8], max: usize, field: &'static str) -> Result<usize, CodecError> {
    let count = take_uvarint(rest, field)?;
    usize::try_from(count)
        .ok()
        .filter(|&count| count <= max)
        .ok_or(CodecError::Damaged { reason: "count beyond what is possible" })
}
