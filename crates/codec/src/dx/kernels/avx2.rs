//! The kernels with vectors of 256 bits.

use super::scalar::whole_groups;
use super::tables::{EXPAND_FROM, EXPAND_MASKS, PAIR_BYTES, SHIFTS, mask};
use super::{Lanes, Work};
use std::arch::x86_64::{
    __m128i, __m256i, _mm_loadu_si128, _mm256_add_epi64, _mm256_add_pd, _mm256_and_si256, _mm256_blend_epi32,
    _mm256_castpd_si256, _mm256_castsi128_si256, _mm256_castsi256_pd, _mm256_div_pd, _mm256_inserti128_si256,
    _mm256_loadu_si256, _mm256_permute4x64_epi64, _mm256_permutevar8x32_epi32, _mm256_set1_epi64x, _mm256_set1_pd,
    _mm256_setr_epi64x, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_si256, _mm256_srli_epi64,
    _mm256_srlv_epi64, _mm256_storeu_si256, _mm256_sub_pd, _mm256_xor_si256,
};

/// Bytes from an even entry's first byte on that are read for it and the next.
const WINDOW_BYTES: usize = 16;

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn run<W: Work>(work: W) -> W::Output {
    work.run()
}

#[target_feature(enable = "avx2")]
pub(super) fn unpack(packed: &[u8], width: u32, count: usize, base: i64, out: &mut Lanes) {
    let groups = count.div_ceil(8);
    let reach = 6 * width as usize / 8 + WINDOW_BYTES;
    let whole = whole_groups(packed.len(), width as usize, reach).min(groups);
    let (fast, slow) = out.0.split_at_mut(whole * 8);
    unpack_groups(packed, width, base, fast);
    if whole < groups {
        // Copies the rest and pads it with zeros: the windows of the last groups end behind the input.
        let mut tail = [0u8; 160];
        let rest = &packed[whole * width as usize..];
        let rest = &rest[..rest.len().min((groups - whole) * width as usize)];
        tail[..rest.len()].copy_from_slice(rest);
        unpack_groups(&tail, width, base, &mut slow[..(groups - whole) * 8]);
    }
}

/// Fills `lanes`, whose number is a multiple of 8; panics if a window ends behind `bytes`.
#[target_feature(enable = "avx2")]
#[inline]
fn unpack_groups(bytes: &[u8], width: u32, base: i64, lanes: &mut [i64]) {
    let width_bytes = width as usize;
    let shuffles = &PAIR_BYTES[width_bytes];
    let shuffle_low = two_halves(&shuffles[0], &shuffles[1]);
    let shuffle_high = two_halves(&shuffles[2], &shuffles[3]);
    let [shift_low, shift_high] = SHIFTS[width_bytes].as_chunks::<4>().0 else { return };
    let (shift_low, shift_high) = (load(shift_low), load(shift_high));
    let mask = _mm256_set1_epi64x(mask(width) as i64);
    let base = _mm256_set1_epi64x(base);
    let starts = [2 * width_bytes / 8, 4 * width_bytes / 8, 6 * width_bytes / 8];
    let reach = starts[2] + WINDOW_BYTES;
    for (group, lanes) in lanes.as_chunks_mut::<8>().0.iter_mut().enumerate() {
        let bytes = &bytes[group * width_bytes..][..reach];
        let window = |start: usize| bytes[start..].first_chunk::<WINDOW_BYTES>().expect("within reach");
        let low = _mm256_shuffle_epi8(two_halves(window(0), window(starts[0])), shuffle_low);
        let high = _mm256_shuffle_epi8(two_halves(window(starts[1]), window(starts[2])), shuffle_high);
        let low = _mm256_and_si256(_mm256_srlv_epi64(low, shift_low), mask);
        let high = _mm256_and_si256(_mm256_srlv_epi64(high, shift_high), mask);
        let [to_low, to_high] = lanes.as_chunks_mut::<4>().0 else { return };
        store(to_low, _mm256_add_epi64(low, base));
        store(to_high, _mm256_add_epi64(high, base));
    }
}

/// Four places at a time: the next stored entries are moved to the places that their four bits mark.
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn expand(bitmap: &[u8], stored: &Lanes, out: &mut Lanes) {
    let mut next = 0;
    for (byte, places) in bitmap.iter().zip(out.0.as_chunks_mut::<8>().0) {
        for (half, places) in places.as_chunks_mut::<4>().0.iter_mut().enumerate() {
            let bits = usize::from(byte >> (4 * half) & 15);
            // Behind the last entries there may not be four, of which none is taken then.
            let own = stored.0.get(next..).and_then(|rest| rest.first_chunk::<4>());
            let own = own.copied().unwrap_or_else(|| {
                let mut padded = [0; 4];
                let rest = &stored.0[next.min(stored.0.len())..];
                padded[..rest.len()].copy_from_slice(rest);
                padded
            });
            let moved = _mm256_permutevar8x32_epi32(load(&own), load(&EXPAND_FROM[bits]));
            store(places, _mm256_and_si256(moved, load(&EXPAND_MASKS[bits])));
            next += bits.count_ones() as usize;
        }
    }
}

#[target_feature(enable = "avx2")]
pub(super) fn sum(start: i64, count: usize, lanes: &mut Lanes) {
    let mut carry = _mm256_set1_epi64x(start);
    for lanes in lanes.0[..count.next_multiple_of(8)].as_chunks_mut::<4>().0 {
        let values = load(lanes);
        // Sums within each half, then adds the total of the low half to the high half.
        let sums = _mm256_add_epi64(values, _mm256_slli_si256::<8>(values));
        let low_total = _mm256_permute4x64_epi64::<0b01_01_01_01>(sums);
        let low_total = _mm256_blend_epi32::<0b1111_0000>(_mm256_setzero_si256(), low_total);
        let sums = _mm256_add_epi64(sums, low_total);
        store(lanes, _mm256_add_epi64(sums, carry));
        carry = _mm256_add_epi64(carry, _mm256_permute4x64_epi64::<0b11_11_11_11>(sums));
    }
}

#[target_feature(enable = "avx2")]
pub(super) fn line(start: i64, step: i64, lanes: &mut Lanes) {
    let at = |i: i64| start.wrapping_add(step.wrapping_mul(i));
    let mut on_line = _mm256_setr_epi64x(at(0), at(1), at(2), at(3));
    let stride = _mm256_set1_epi64x(step.wrapping_mul(4));
    for lanes in lanes.0.as_chunks_mut::<4>().0 {
        store(lanes, _mm256_add_epi64(load(lanes), on_line));
        on_line = _mm256_add_epi64(on_line, stride);
    }
}

/// As `decimal::to_f64`, four at a time: each half exactly, one rounding in their sum.
#[target_feature(enable = "avx2")]
pub(super) fn quotients(count: usize, divisor: f64, lanes: &mut Lanes) {
    let low_exponent = _mm256_set1_epi64x(0x4330_0000_0000_0000);
    let high_exponent = _mm256_set1_epi64x(0x4530_0000_8000_0000);
    let offset = _mm256_set1_pd(f64::from_bits(0x4530_0000_8010_0000));
    let divide_by = _mm256_set1_pd(divisor);
    for lanes in lanes.0[..count.next_multiple_of(8)].as_chunks_mut::<4>().0 {
        let integers = load(lanes);
        let low = _mm256_blend_epi32::<0b1010_1010>(integers, low_exponent);
        let high = _mm256_xor_si256(_mm256_srli_epi64::<32>(integers), high_exponent);
        let high = _mm256_sub_pd(_mm256_castsi256_pd(high), offset);
        let mut value = _mm256_add_pd(high, _mm256_castsi256_pd(low));
        if divisor != 1.0 {
            value = _mm256_div_pd(value, divide_by);
        }
        store(lanes, _mm256_castpd_si256(value));
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(lanes: &[i64; 4]) -> __m256i {
    // SAFETY: reads 32 bytes, the size of what is referred to; alignment is not asked for.
    unsafe { _mm256_loadu_si256(lanes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn store(lanes: &mut [i64; 4], vector: __m256i) {
    // SAFETY: writes 32 bytes, the size of what is referred to; alignment is not asked for.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), vector) };
}

#[target_feature(enable = "avx2")]
#[inline]
fn two_halves(low: &[u8; 16], high: &[u8; 16]) -> __m256i {
    _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(half(low)), half(high))
}

#[target_feature(enable = "avx2")]
#[inline]
fn half(bytes: &[u8; 16]) -> __m128i {
    // SAFETY: reads 16 bytes, the size of what is referred to; alignment is not asked for.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}
