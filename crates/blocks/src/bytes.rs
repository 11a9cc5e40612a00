//! Reads integers from the front of a slice, believing nothing.

/// A position in a slice. Every read advances it, or returns `None` because the slice or 64 bits are used up.
pub(crate) struct Take<'a> {
    rest: &'a [u8],
}

impl<'a> Take<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    #[inline]
    pub(crate) fn skip(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*array)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    #[inline]
    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    #[inline]
    pub(crate) fn uvarint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            if shift == 63 && byte > 1 {
                return None;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    #[inline]
    pub(crate) fn uvarint32(&mut self) -> Option<u32> {
        self.uvarint()?.try_into().ok()
    }

    #[inline]
    pub(crate) fn varint(&mut self) -> Option<i64> {
        let folded = self.uvarint()?;
        Some((folded >> 1) as i64 ^ -((folded & 1) as i64))
    }
}

pub(crate) fn put_uvarint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_varint(out: &mut Vec<u8>, value: i64) {
    put_uvarint(out, ((value as u64) << 1) ^ ((value >> 63) as u64));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_survive_and_overlong_varints_are_refused() {
        for value in [0, -1, 63, -65, i64::MAX, i64::MIN] {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            assert_eq!(Take::new(&bytes).varint(), Some(value));
            assert_eq!(Take::new(&bytes[..bytes.len() - 1]).varint(), None);
        }
        let mut bytes = vec![0xff; 9];
        bytes.push(2);
        assert_eq!(Take::new(&bytes).uvarint(), None);
        assert_eq!(Take::new(&[0x80; 11]).uvarint(), None);
    }
}
