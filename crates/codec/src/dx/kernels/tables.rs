//! Where the bits of packed entries lie, by width.

use super::super::WIDTH_MAX;

/// By how much the 8 bytes that hold entry j of 8 must be shifted.
pub(super) static SHIFTS: [[i64; 8]; WIDTH_MAX + 1] = shifts();

/// For entries 2k and 2k + 1: the bytes that hold them, counted from the byte in which entry 2k begins.
#[cfg(target_arch = "x86_64")]
pub(super) static PAIR_BYTES: [[[u8; 16]; 4]; WIDTH_MAX + 1] = pair_bytes();

/// For four bits: which of four entries goes to each place, as the numbers of its two halves of 32 bits.
#[cfg(target_arch = "x86_64")]
pub(super) static EXPAND_FROM: [[i64; 4]; 16] = expansions(false);

/// For four bits: all bits of the places that are set.
#[cfg(target_arch = "x86_64")]
pub(super) static EXPAND_MASKS: [[i64; 4]; 16] = expansions(true);

/// The low `width` bits.
#[inline]
pub(super) fn mask(width: u32) -> u64 {
    if width == 0 { 0 } else { u64::MAX >> (64 - width) }
}

const fn shifts() -> [[i64; 8]; WIDTH_MAX + 1] {
    let mut table = [[0; 8]; WIDTH_MAX + 1];
    let mut width = 0;
    while width <= WIDTH_MAX {
        let mut entry = 0;
        while entry < 8 {
            table[width][entry] = (entry * width % 8) as i64;
            entry += 1;
        }
        width += 1;
    }
    table
}

#[cfg(target_arch = "x86_64")]
const fn pair_bytes() -> [[[u8; 16]; 4]; WIDTH_MAX + 1] {
    let mut table = [[[0; 16]; 4]; WIDTH_MAX + 1];
    let mut width = 0;
    while width <= WIDTH_MAX {
        let mut entry = 0;
        while entry < 8 {
            let first = (entry & !1) * width / 8;
            let begin = entry * width / 8 - first;
            let mut byte = 0;
            while byte < 8 {
                // Widths 58 to 63 do not occur; theirs would run over.
                let at = begin + byte;
                table[width][entry / 2][entry % 2 * 8 + byte] = if at < 16 { at as u8 } else { 15 };
                byte += 1;
            }
            entry += 1;
        }
        width += 1;
    }
    table
}

#[cfg(target_arch = "x86_64")]
const fn expansions(masks: bool) -> [[i64; 4]; 16] {
    let mut table = [[0; 4]; 16];
    let mut bits = 0;
    while bits < 16 {
        let (mut place, mut next) = (0, 0);
        while place < 4 {
            if bits >> place & 1 == 1 {
                table[bits][place] = if masks { -1 } else { (2 * next) | ((2 * next + 1) << 32) };
                next += 1;
            }
            place += 1;
        }
        bits += 1;
    }
    table
}
