//! Asks the processor to load memory that is needed soon.

/// Bytes that the processor loads at once.
const CACHE_LINE_BYTES: usize = 64;

/// Starts to load all of `place` into the caches and does not wait for it; changes nothing but the time that reading
/// it takes. For values of a few cache lines that are read some 100 ns later. Does nothing on processors that it does
/// not know.
#[inline]
pub fn prefetch<T: ?Sized>(place: &T) {
    let first: *const u8 = std::ptr::from_ref(place).cast();
    for offset in (0..size_of_val(place)).step_by(CACHE_LINE_BYTES) {
        prefetch_line(first.wrapping_add(offset));
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
fn prefetch_line(address: *const u8) {
    use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
    // SAFETY: a prefetch is a hint. It reads no memory that the program could notice and faults for no address; the
    // instruction is part of SSE, which every x86-64 processor has.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
}

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
#[inline]
fn prefetch_line(_address: *const u8) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_any_size_can_be_asked_for() {
        prefetch(&());
        prefetch(&[0u8; 1_000]);
        prefetch::<[u64]>(&[]);
        let all = vec![1u64; 100];
        prefetch(&all[..]);
        assert_eq!(all.iter().sum::<u64>(), 100);
    }
}
