//! The kernels in plain Rust: the reference for the others, and what runs on CPUs without their instructions.

use super::super::decimal::to_f64;
use super::Lanes;
use super::tables::{SHIFTS, mask};

/// Bytes from an entry's first byte on that are read.
const WINDOW_BYTES: usize = 8;

pub(super) fn unpack(packed: &[u8], width: u32, count: usize, base: i64, out: &mut Lanes) {
    let (width, mask) = (width as usize, mask(width));
    let groups = count.div_ceil(8);
    // The last entry of a group reads up to here, counted from the group's first byte.
    let reach = 7 * width / 8 + WINDOW_BYTES;
    let whole = whole_groups(packed.len(), width, reach).min(groups);
    let mut tail = [0u8; 128];
    let rest = &packed[whole * width..];
    let rest = &rest[..rest.len().min((groups - whole) * width)];
    tail[..rest.len()].copy_from_slice(rest);
    let (fast, slow) = out.0.split_at_mut(whole * 8);
    for (bytes, first, lanes) in [(packed, whole, fast), (&tail, groups - whole, slow)] {
        for (group, lanes) in lanes.as_chunks_mut::<8>().0.iter_mut().take(first).enumerate() {
            let bytes = &bytes[group * width..][..reach];
            for (entry, lane) in lanes.iter_mut().enumerate() {
                let at = entry * width / 8;
                let window = bytes[at..].first_chunk().map_or(0, |window| u64::from_le_bytes(*window));
                let low = window >> SHIFTS[width][entry] & mask;
                *lane = (low as i64).wrapping_add(base);
            }
        }
    }
}

/// How many groups of `width` bytes can be read with windows that end `reach` bytes behind their start.
///
/// The bytes of the others, but for those behind the last group, are fewer than `reach + width` <= 128.
pub(super) fn whole_groups(bytes: usize, width: usize, reach: usize) -> usize {
    match bytes.checked_sub(reach) {
        Some(slack) if width > 0 => slack / width + 1,
        Some(_) => usize::MAX,
        None => 0,
    }
}

pub(super) fn expand(bitmap: &[u8], stored: &Lanes, out: &mut Lanes) {
    let mut next = 0;
    for (byte, places) in bitmap.iter().zip(out.0.as_chunks_mut::<8>().0) {
        for (bit, place) in places.iter_mut().enumerate() {
            let is_set = byte >> bit & 1 == 1;
            *place = if is_set { stored.0[next] } else { 0 };
            next += usize::from(is_set);
        }
    }
}

pub(super) fn sum(start: i64, count: usize, lanes: &mut Lanes) {
    let mut sum = start;
    for lane in &mut lanes.0[..count.next_multiple_of(8)] {
        sum = sum.wrapping_add(*lane);
        *lane = sum;
    }
}

pub(super) fn line(start: i64, step: i64, lanes: &mut Lanes) {
    let mut on_line = start;
    for lane in &mut lanes.0 {
        *lane = lane.wrapping_add(on_line);
        on_line = on_line.wrapping_add(step);
    }
}

pub(super) fn quotients(count: usize, divisor: f64, lanes: &mut Lanes) {
    for lane in &mut lanes.0[..count.next_multiple_of(8)] {
        *lane = (to_f64(*lane) / divisor).to_bits() as i64;
    }
}
