//! Writes a block as planned.
#![expect(clippy::inline_always, reason = "compiled anew for each instruction set, which only inlined code is")]

use super::plan::{high_part, plan_block};
use super::{BLOCK_SAMPLES, header};
use crate::varint::put_varint;

/// Appends a block of 1 to 128 integers; `nonzero` is scratch.
#[inline(always)]
pub(super) fn put_block(entries: &[i64], nonzero: &mut Vec<i64>, out: &mut Vec<u8>) {
    let plan = plan_block(entries, nonzero);
    let sparse = if plan.is_sparse { header::SPARSE } else { 0 };
    let base = if plan.base == 0 { 0 } else { header::BASE };
    let patches = if plan.has_patches { header::PATCHES } else { 0 };
    out.extend_from_slice(&[plan.width as u8 | sparse, base | patches]);
    if plan.is_sparse {
        for eight in entries.chunks(8) {
            let bits = eight.iter().rev().fold(0, |bits, &entry| bits << 1 | u8::from(entry != 0));
            out.push(bits);
        }
    }
    if plan.base != 0 {
        put_varint(out, plan.base);
    }
    let stored = if plan.is_sparse { nonzero } else { entries };
    pack(stored, plan.base, plan.width, out);
    if plan.has_patches {
        let count_at = out.len();
        out.push(0);
        for (position, &entry) in stored.iter().enumerate() {
            let high = high_part(entry, plan.base, plan.width);
            if high != 0 {
                out[count_at] += 1;
                out.push(position as u8);
                put_varint(out, high);
            }
        }
    }
}

/// Appends the low `width` bits of every entry less the base.
#[inline(always)]
fn pack(entries: &[i64], base: i64, width: u32, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let mask = u64::MAX >> (64 - width);
    let mut packed = [0u8; BLOCK_SAMPLES * 8];
    let (mut word, mut filled, mut words) = (0u64, 0u32, 0usize);
    for &entry in entries {
        let low = entry.wrapping_sub(base) as u64 & mask;
        word |= low << filled;
        filled += width;
        if filled >= 64 {
            packed[words * 8..][..8].copy_from_slice(&word.to_le_bytes());
            words += 1;
            filled -= 64;
            word = if filled == 0 { 0 } else { low >> (width - filled) };
        }
    }
    if filled > 0 {
        packed[words * 8..][..8].copy_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(&packed[..(entries.len() * width as usize).div_ceil(8)]);
}
