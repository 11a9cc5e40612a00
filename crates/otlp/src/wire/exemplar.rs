//! Views of exemplars.

use super::Attributes;
use super::points::NumberValue;
use super::reader::{BYTES_4, BYTES_5, BYTES_7, FIXED_2, FIXED_3, FIXED_6, Reader};
use crate::OtlpError;

/// `Exemplar`: one observation with what is known of it.
#[derive(Debug, Clone, Copy)]
pub struct ExemplarView<'a> {
    bytes: &'a [u8],
    /// Nanoseconds since the Unix epoch; 0 if that is not known.
    pub time_unix_nano: u64,
    /// The observed value, if there is one.
    pub value: Option<NumberValue>,
    /// As sent; empty or all zero if there is none.
    pub span_id: &'a [u8],
    /// As sent; empty or all zero if there is none.
    pub trace_id: &'a [u8],
}

impl<'a> ExemplarView<'a> {
    /// Number of the attributes field.
    pub const ATTRIBUTES: u32 = 7;

    /// Reads one exemplar.
    ///
    /// # Errors
    /// If the message is malformed at this level.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OtlpError> {
        let mut reader = Reader::new(bytes);
        let mut exemplar = Self { bytes, time_unix_nano: 0, value: None, span_id: &[], trace_id: &[] };
        while let Some(tag) = reader.tag()? {
            match tag {
                FIXED_2 => exemplar.time_unix_nano = reader.fixed64()?,
                FIXED_3 => exemplar.value = Some(NumberValue::Double(reader.double()?)),
                FIXED_6 => exemplar.value = Some(NumberValue::Int(reader.fixed64()? as i64)),
                BYTES_4 => exemplar.span_id = reader.bytes()?,
                BYTES_5 => exemplar.trace_id = reader.bytes()?,
                BYTES_7 => drop(reader.bytes()?),
                _ => reader.skip(tag, 0b1111_1100)?,
            }
        }
        Ok(exemplar)
    }

    /// The attributes that the series does not have, in the order they were sent.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.bytes, Self::ATTRIBUTES)
    }
}
