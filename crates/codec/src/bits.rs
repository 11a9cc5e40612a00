//! Bits, most significant first: appended to a byte vector, read through a 64-bit buffer.
#![expect(clippy::inline_always, reason = "decoding is a third faster when its state stays in registers")]

/// Appends the low `count` bits of `value`; `free_bits` is the number of unused low bits of the last byte.
///
/// `count` is 1 to 64. Unused bits of the last byte stay zero.
#[inline]
pub(crate) fn put_bits(out: &mut Vec<u8>, free_bits: &mut u8, value: u64, count: u32) {
    debug_assert!((1..=64).contains(&count));
    let mut aligned = value << (64 - count);
    let mut left = count;
    let free = u32::from(*free_bits);
    if free > 0 {
        if let Some(last) = out.last_mut() {
            *last |= (aligned >> (64 - free)) as u8;
        }
        if left <= free {
            *free_bits = (free - left) as u8;
            return;
        }
        left -= free;
        aligned <<= free;
    }
    let whole = left.div_ceil(8);
    // Appending eight bytes and truncating compiles to one store. A copy of variable length compiles to a call.
    let len = out.len() + whole as usize;
    out.extend_from_slice(&aligned.to_be_bytes());
    out.truncate(len);
    *free_bits = (whole * 8 - left) as u8;
}

/// The bytes ended before the bits that were asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutOfBits;

/// Reads bits from the front of a slice.
///
/// Invariant B: the top `available` bits of `buffer` are the next bits of the input; `available <= 63`. Bits below
/// them are either zero or the true bits that follow, so filling again with an OR changes nothing.
#[derive(Clone, Copy)]
pub(crate) struct BitReader<'a> {
    rest: &'a [u8],
    buffer: u64,
    available: u32,
}

impl<'a> BitReader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, buffer: 0, available: 0 }
    }

    /// The next bits, left-aligned; those past the end of the input read as zero.
    #[inline]
    pub(crate) fn peek(&self) -> u64 {
        self.buffer
    }

    /// Makes at least 56 bits available, or all that are left.
    #[inline(always)]
    pub(crate) fn refill(&mut self) {
        if let Some(word) = self.rest.first_chunk::<8>() {
            self.buffer |= u64::from_be_bytes(*word) >> self.available;
            self.rest = &self.rest[((63 - self.available) >> 3) as usize & 7..];
            self.available |= 0b11_1000;
        } else {
            // The reader is copied: the compiler cannot keep it in registers once its address is taken.
            *self = self.refilled_tail();
        }
    }

    #[cold]
    fn refilled_tail(mut self) -> Self {
        while self.available <= 55 {
            let Some((&byte, rest)) = self.rest.split_first() else { break };
            self.buffer |= u64::from(byte) << (56 - self.available);
            self.available += 8;
            self.rest = rest;
        }
        self
    }

    /// Drops `count <= 63` bits that [`refill`](Self::refill) has made available.
    #[inline(always)]
    pub(crate) fn consume(&mut self, count: u32) -> Result<(), OutOfBits> {
        if count > self.available {
            return Err(OutOfBits);
        }
        self.buffer <<= count;
        self.available -= count;
        Ok(())
    }

    /// Takes 1 to 64 bits.
    #[inline(always)]
    pub(crate) fn take(&mut self, count: u32) -> Result<u64, OutOfBits> {
        if count <= self.available {
            return self.take_available(count);
        }
        self.refill();
        if count <= self.available {
            return self.take_available(count);
        }
        if count <= 32 {
            return Err(OutOfBits);
        }
        let high = self.take_available(count - 32)?;
        self.refill();
        Ok(high << 32 | self.take_available(32)?)
    }

    #[inline(always)]
    fn take_available(&mut self, count: u32) -> Result<u64, OutOfBits> {
        let value = self.buffer >> (64 - count);
        self.consume(count)?;
        Ok(value)
    }

    /// The number of bits not yet taken.
    pub(crate) fn bits_left(&self) -> usize {
        self.rest.len() * 8 + self.available as usize
    }

    /// Whether every bit not yet taken is zero.
    pub(crate) fn rest_is_zero(&self) -> bool {
        let buffered = if self.available == 0 { 0 } else { self.buffer >> (64 - self.available) };
        buffered == 0 && self.rest.iter().all(|&byte| byte == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_come_back_in_order(fields in prop::collection::vec((any::<u64>(), 1u32..=64), 0..200)) {
            let (mut bytes, mut free_bits) = (Vec::new(), 0);
            for &(value, count) in &fields {
                put_bits(&mut bytes, &mut free_bits, value, count);
            }
            let total: usize = fields.iter().map(|f| f.1 as usize).sum();
            prop_assert_eq!(bytes.len(), total.div_ceil(8));
            let mut reader = BitReader::new(&bytes);
            for &(value, count) in &fields {
                prop_assert_eq!(reader.take(count).unwrap(), value & (u64::MAX >> (64 - count)));
            }
            prop_assert!(reader.bits_left() < 8 && reader.rest_is_zero());
            prop_assert!(reader.take(8).is_err());
        }
    }
}
