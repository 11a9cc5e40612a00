//! A cursor over one message's bytes.

use crate::ProtobufError;

/// Groups inside groups that are skipped before giving up; protobuf libraries commonly stop at 100.
const GROUP_NESTING_MAX: usize = 100;

/// Reads tags and values of one message in the order they were written.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A cursor before the first field.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Offset of the next unread byte.
    #[inline]
    pub fn position(&self) -> usize {
        self.at
    }

    /// The next tag (`field << 3 | wire type`), or `None` at the end.
    ///
    /// # Errors
    /// As for [`varint`](Self::varint), and [`ProtobufError::Tag`] for field number 0 or one of more than 29 bits.
    #[inline]
    pub fn tag(&mut self) -> Result<Option<u32>, ProtobufError> {
        let Some(&byte) = self.bytes.get(self.at) else { return Ok(None) };
        if (8..0x80).contains(&byte) {
            self.at += 1;
            return Ok(Some(u32::from(byte)));
        }
        let tag = self.varint()?;
        match u32::try_from(tag) {
            Ok(small) if small >= 8 => Ok(Some(small)),
            _ => Err(ProtobufError::Tag { tag }),
        }
    }

    /// A variable-length integer of at most 64 bits.
    ///
    /// # Errors
    /// [`ProtobufError::CutShort`], [`ProtobufError::VarintTooLong`].
    #[inline]
    pub fn varint(&mut self) -> Result<u64, ProtobufError> {
        // Most are numbers of fields, lengths of texts and of points: one byte or two.
        match *self.bytes.get(self.at..).unwrap_or_default() {
            [byte @ ..0x80, ..] => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            [low, high @ ..0x80, ..] => {
                self.at += 2;
                Ok(u64::from(low & 0x7f) | u64::from(high) << 7)
            }
            _ => self.long_varint(),
        }
    }

    /// Times and counts have five bytes or six: those of eight at most are put together without a loop.
    #[inline(never)]
    fn long_varint(&mut self) -> Result<u64, ProtobufError> {
        const LAST_BITS: u64 = 0x8080_8080_8080_8080;
        let Some(eight) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) else {
            return self.varint_by_bytes();
        };
        let eight = u64::from_le_bytes(*eight);
        // The first byte whose highest bit is not set is the last one.
        let end_bits = (!eight & LAST_BITS).trailing_zeros();
        if end_bits == u64::BITS {
            return self.varint_by_bytes();
        }
        self.at += end_bits as usize / 8 + 1;
        let sevens = eight & (u64::MAX >> (u64::BITS - 1 - end_bits)) & !LAST_BITS;
        let fourteens = sevens & 0x007f_007f_007f_007f | (sevens & 0x7f00_7f00_7f00_7f00) >> 1;
        let twenty_eights = fourteens & 0x0000_3fff_0000_3fff | (fourteens & 0x3fff_0000_3fff_0000) >> 2;
        Ok(twenty_eights & 0x0fff_ffff | (twenty_eights & 0x0fff_ffff_0000_0000) >> 4)
    }

    fn varint_by_bytes(&mut self) -> Result<u64, ProtobufError> {
        let mut value = 0;
        for shift in (0..=63).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(ProtobufError::CutShort)?;
            self.at += 1;
            if shift == 63 && byte > 1 {
                return Err(ProtobufError::VarintTooLong);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ProtobufError::VarintTooLong)
    }

    /// A signed integer of 32 bits in zigzag form; higher bits are cut off, as protobuf has it.
    ///
    /// # Errors
    /// As for [`varint`](Self::varint).
    #[inline]
    pub fn sint32(&mut self) -> Result<i32, ProtobufError> {
        let raw = self.varint()? as u32;
        Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }

    /// Eight bytes, little-endian.
    ///
    /// # Errors
    /// [`ProtobufError::CutShort`].
    #[inline]
    pub fn fixed64(&mut self) -> Result<u64, ProtobufError> {
        let bytes =
            self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()).ok_or(ProtobufError::CutShort)?;
        self.at += 8;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// A double, bit for bit.
    ///
    /// # Errors
    /// [`ProtobufError::CutShort`].
    #[inline]
    pub fn double(&mut self) -> Result<f64, ProtobufError> {
        Ok(f64::from_bits(self.fixed64()?))
    }

    /// The content of a length-prefixed field.
    ///
    /// # Errors
    /// As for [`varint`](Self::varint); [`ProtobufError::CutShort`] if the length leaves the message.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], ProtobufError> {
        let length = self.varint()?;
        let end = usize::try_from(length).ok().and_then(|n| self.at.checked_add(n)).ok_or(ProtobufError::CutShort)?;
        let content = self.bytes.get(self.at..end).ok_or(ProtobufError::CutShort)?;
        self.at = end;
        Ok(content)
    }

    /// Passes over length-prefixed fields of one tag, as long as the tag is of a byte, the length of two at most, and the content
    /// there. What stands behind them, be it malformed, is for the next call.
    #[inline]
    pub fn skip_run(&mut self, tag: u32) {
        loop {
            let rest = &self.bytes[self.at..];
            let length = match *rest {
                [next, length @ ..0x80, ..] if next < 0x80 && u32::from(next) == tag => 2 + usize::from(length),
                [next, low, high @ ..0x80, ..] if next < 0x80 && u32::from(next) == tag => {
                    3 + (usize::from(low & 0x7f) | usize::from(high) << 7)
                }
                _ => return,
            };
            if length > rest.len() {
                return;
            }
            self.at += length;
        }
    }

    /// Passes over the value behind `tag`, which the caller does not know. `known` has bit `n` set for each field
    /// number `n` < 32 that the message defines: such a field arrives here only with a wrong wire type.
    ///
    /// # Errors
    /// [`ProtobufError::WireType`] for a known field, [`ProtobufError::Tag`] for an unknown wire type, and all of reading.
    pub fn skip(&mut self, tag: u32, known: u32) -> Result<(), ProtobufError> {
        let (field, wire_type) = (tag >> 3, tag & 7);
        if field < 32 && known >> field & 1 == 1 {
            return Err(ProtobufError::WireType { field, wire_type });
        }
        self.skip_value(tag)
    }

    fn skip_value(&mut self, tag: u32) -> Result<(), ProtobufError> {
        match tag & 7 {
            0 => self.varint().map(drop),
            1 => self.advance(8),
            2 => self.bytes().map(drop),
            3 => self.skip_group(tag >> 3),
            5 => self.advance(4),
            _ => Err(ProtobufError::Tag { tag: u64::from(tag) }),
        }
    }

    /// Passes over bytes that the caller has read by itself.
    ///
    /// # Errors
    /// [`ProtobufError::CutShort`].
    #[inline]
    pub fn advance(&mut self, count: usize) -> Result<(), ProtobufError> {
        if self.bytes.len() - self.at < count {
            return Err(ProtobufError::CutShort);
        }
        self.at += count;
        Ok(())
    }

    fn skip_group(&mut self, field: u32) -> Result<(), ProtobufError> {
        let mut open = vec![field];
        while let Some(&innermost) = open.last() {
            let tag = self.tag()?.ok_or(ProtobufError::CutShort)?;
            match tag & 7 {
                3 if open.len() == GROUP_NESTING_MAX => {
                    return Err(ProtobufError::Nesting { limit: GROUP_NESTING_MAX });
                }
                3 => open.push(tag >> 3),
                4 if tag >> 3 == innermost => {
                    open.pop();
                }
                4 => return Err(ProtobufError::Tag { tag: u64::from(tag) }),
                _ => self.skip_value(tag)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_end_at_64_bits() {
        let read = |bytes: &[u8]| Reader::new(bytes).varint();
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]), Ok(u64::MAX));
        assert_eq!(read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), Err(ProtobufError::VarintTooLong));
        assert_eq!(read(&[0x80; 11]), Err(ProtobufError::VarintTooLong));
        assert_eq!(read(&[0x80, 0x80]), Err(ProtobufError::CutShort));
        assert_eq!(read(&[0x80, 0x00]), Ok(0), "over-long forms of small numbers are legal");
    }

    #[test]
    fn varints_of_every_length_are_read_wherever_the_message_ends() {
        for bits in 0..64 {
            for value in [1u64 << bits, (1 << bits) - 1, u64::MAX >> bits, 0xa5a5_a5a5_a5a5_a5a5 >> bits] {
                let mut bytes = Vec::new();
                let mut rest = value;
                while rest >= 0x80 {
                    bytes.push(rest as u8 | 0x80);
                    rest >>= 7;
                }
                bytes.push(rest as u8);
                for length in 0..bytes.len() {
                    assert_eq!(Reader::new(&bytes[..length]).varint(), Err(ProtobufError::CutShort), "{value} cut");
                }
                let length = bytes.len();
                for behind in [0, 1, 7, 20] {
                    bytes.resize(length + behind, 0xff);
                    let mut reader = Reader::new(&bytes);
                    assert_eq!((reader.varint(), reader.position()), (Ok(value), length), "{behind} bytes behind it");
                }
            }
        }
    }

    #[test]
    fn a_run_of_fields_ends_at_the_first_that_is_not_one() {
        let end = |bytes: &[u8], tag| {
            let mut reader = Reader::new(bytes);
            reader.skip_run(tag);
            reader.position()
        };
        for (bytes, at) in [
            (&[0x3a, 1, 0, 0x3a, 0, 0x3a, 2, 7, 7][..], 9),
            (&[0x3a, 1, 0, 0x42, 1, 0], 3),
            (&[0x3a, 1, 0, 0x3a, 0x81, 0, 9], 7),
            (&[0x3a, 1, 0, 0x3a, 0x81, 0x80, 0, 9], 3),
            (&[0x3a, 1, 0, 0x3a, 0x81, 1, 9], 3),
            (&[0x3a, 1, 0, 0x3a, 2, 7], 3),
            (&[0x3a, 1, 0, 0x3a], 3),
            (&[], 0),
        ] {
            assert_eq!(end(bytes, 0x3a), at, "{bytes:x?}");
        }
        assert_eq!(end(&[&[0x3a, 0xac, 2][..], &[0; 300], &[0x3a]].concat(), 0x3a), 303);
        assert_eq!(end(&[0xba, 0x00], 0xba), 0, "0xba is no tag of one byte");
    }

    #[test]
    fn lengths_that_leave_the_message_are_refused() {
        assert_eq!(Reader::new(&[3, 1, 2]).bytes(), Err(ProtobufError::CutShort));
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0];
        assert_eq!(Reader::new(&huge).bytes(), Err(ProtobufError::CutShort));
    }

    #[test]
    fn groups_are_skipped_and_must_match() {
        let skip = |bytes: &[u8]| {
            let mut reader = Reader::new(bytes);
            let tag = reader.tag()?.unwrap();
            reader.skip(tag, 0).map(|()| reader.position())
        };
        assert_eq!(skip(&[0x0b, 0x10, 5, 0x1b, 0x1c, 0x0c, 9]), Ok(6));
        assert_eq!(skip(&[0x0b, 0x14]), Err(ProtobufError::Tag { tag: 0x14 }));
        assert_eq!(skip(&[0x0b, 0x10, 5]), Err(ProtobufError::CutShort));
        assert_eq!(skip(&[0x0b; 300]), Err(ProtobufError::Nesting { limit: GROUP_NESTING_MAX }));
        assert_eq!(skip(&[0x0c]), Err(ProtobufError::Tag { tag: 0x0c }), "an end without a start");
    }

    #[test]
    fn tags_need_a_field_number() {
        assert_eq!(Reader::new(&[0x00]).tag(), Err(ProtobufError::Tag { tag: 0 }));
        assert_eq!(Reader::new(&[0x07]).tag(), Err(ProtobufError::Tag { tag: 7 }));
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).tag(), Err(ProtobufError::Tag { tag: 0x1_ffff_ffff }));
        assert_eq!(Reader::new(&[0xba, 0x00]).tag(), Ok(Some(0x3a)), "an over-long tag is the same tag");
    }
}
