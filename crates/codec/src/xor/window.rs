//! The XOR of two values in as few bits as its window of significant bits needs.

use crate::bits::put_bits;

/// Most zero bits in front of a window that are counted.
const LEADING_MAX: u32 = 31;

/// The window that was written last: how many bits before and behind it are zero.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    leading: u8,
    trailing: u8,
}

impl Window {
    /// No window has been written yet: no value has so many zero bits in front.
    pub(super) const NONE: Self = Self { leading: u8::MAX, trailing: 0 };

    /// A window behind `leading` zero bits and before `trailing` ones, at most 64 together.
    pub(super) fn of(leading: u32, trailing: u32) -> Self {
        Self { leading: leading as u8, trailing: trailing as u8 }
    }

    /// Appends `xor`, in the last window if it fits, else in one of its own, which is the last from then on.
    #[inline]
    pub(super) fn put(&mut self, out: &mut Vec<u8>, free_bits: &mut u8, xor: u64) {
        if xor == 0 {
            return put_bits(out, free_bits, 0, 1);
        }
        let leading = xor.leading_zeros().min(LEADING_MAX);
        let trailing = xor.trailing_zeros();
        if leading >= u32::from(self.leading) && trailing >= u32::from(self.trailing) {
            let significant = 64 - u32::from(self.leading) - u32::from(self.trailing);
            put_bits(out, free_bits, 0b10, 2);
            return put_bits(out, free_bits, xor >> self.trailing, significant);
        }
        let significant = 64 - leading - trailing;
        *self = Self::of(leading, trailing);
        put_bits(out, free_bits, 0b11 << 11 | u64::from(leading) << 6 | u64::from(significant & 63), 13);
        put_bits(out, free_bits, xor >> trailing, significant);
    }
}
