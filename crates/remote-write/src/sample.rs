//! A float sample's message, the same in both versions.

use crate::tags::{fixed64, varint};
use mytsdb_protobuf::{ProtobufError, Reader};

/// A float at a time. What is not on the wire is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Sample {
    pub timestamp_ms: i64,
    /// When that which is counted began; only version 2.0 has it.
    pub start_ms: i64,
    pub value: f64,
}

const VALUE: u32 = fixed64(1);
const TIMESTAMP: u32 = varint(2);
const START_TIMESTAMP: u32 = varint(3);

impl Sample {
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<Self, ProtobufError> {
        let mut reader = Reader::new(bytes);
        let mut sample = Self::default();
        while let Some(tag) = reader.tag()? {
            match tag {
                VALUE => sample.value = reader.double()?,
                TIMESTAMP => sample.timestamp_ms = reader.varint()? as i64,
                START_TIMESTAMP => sample.start_ms = reader.varint()? as i64,
                _ => reader.skip(tag, 0b1110)?,
            }
        }
        Ok(sample)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_zero_and_the_last_of_a_field_wins() {
        assert_eq!(Sample::parse(b""), Ok(Sample::default()));
        let twice = Sample::parse(b"\x10\x05\x09\0\0\0\0\0\0\xf0\x3f\x10\x06\x18\x01\x22\0");
        assert_eq!(twice, Ok(Sample { timestamp_ms: 6, start_ms: 1, value: 1.0 }));
        let negative = b"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(Sample::parse(negative), Ok(Sample { timestamp_ms: -1, ..Sample::default() }));
        assert_eq!(Sample::parse(b"\x08\x01"), Err(ProtobufError::WireType { field: 1, wire_type: 0 }));
        assert_eq!(Sample::parse(b"\x09\0"), Err(ProtobufError::CutShort));
    }
}
