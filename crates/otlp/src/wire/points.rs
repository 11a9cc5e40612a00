//! Views of data points; attributes stay encoded.

use super::reader::{
    BYTES_5, BYTES_6, BYTES_7, BYTES_8, BYTES_9, FIXED_1, FIXED_2, FIXED_3, FIXED_4, FIXED_5, FIXED_6, FIXED_7,
    FIXED_11, FIXED_12, Reader, VARINT_8, VARINT_10, bytes_tag,
};
use super::{Attributes, Repeated};
use crate::OtlpError;
use std::borrow::Cow;

/// Flag of a point that says "there is no value any more".
pub const NO_RECORDED_VALUE: u32 = 1;

/// The encoded attribute fields of a point, tags included.
#[derive(Debug, Clone, Copy, Default)]
pub struct AttributeRun<'a> {
    /// From the first attribute to the last one that follows without a gap.
    pub bytes: &'a [u8],
    /// Whether other fields stand between attributes, so that `bytes` lacks some: see [`gather_attributes`].
    pub scattered: bool,
    /// The number of the attributes field.
    pub field: u32,
}

impl<'a> AttributeRun<'a> {
    /// The attributes in order, if they are not scattered.
    pub fn decode(&self) -> Attributes<'a> {
        Attributes::new(self.bytes, self.field)
    }
}

/// Collects a run of attributes while the fields of a point are read.
pub(super) struct RunBuilder {
    start: usize,
    end: usize,
    scattered: bool,
}

impl RunBuilder {
    #[inline]
    pub(super) fn new() -> Self {
        Self { start: usize::MAX, end: 0, scattered: false }
    }

    #[inline]
    pub(super) fn add(&mut self, start: usize, end: usize) {
        if self.start == usize::MAX {
            self.start = start;
        } else if self.end != start {
            self.scattered = true;
            return;
        }
        self.end = end;
    }

    /// Takes the attributes that the reader stands before, if they are short.
    #[inline]
    fn read(&mut self, reader: &mut Reader<'_>, tag: u32) {
        let start = reader.position();
        reader.skip_run(tag);
        if reader.position() > start {
            self.add(start, reader.position());
        }
    }

    #[inline]
    pub(super) fn finish(self, point: &[u8], field: u32) -> AttributeRun<'_> {
        AttributeRun { bytes: point.get(self.start..self.end).unwrap_or(&[]), scattered: self.scattered, field }
    }
}

/// Appends the attribute fields of `point` to `out` in their plain encoding, in order, for points whose run is scattered.
///
/// # Errors
/// If the point is malformed.
pub fn gather_attributes(point: &[u8], field: u32, out: &mut Vec<u8>) -> Result<(), OtlpError> {
    for attribute in Repeated::new(point, field) {
        let attribute = attribute?;
        out.push(bytes_tag(field) as u8);
        let mut length = attribute.len();
        while length >= 0x80 {
            out.push(length as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend_from_slice(attribute);
    }
    Ok(())
}

/// The value of a number point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NumberValue {
    /// A double, bit for bit.
    Double(f64),
    /// A signed integer.
    Int(i64),
}

impl NumberValue {
    /// As a float; integers beyond 2^53 are rounded.
    #[inline]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Double(value) => value,
            Self::Int(value) => value as f64,
        }
    }
}

/// Start, time and value of a number point side by side, in the order of their numbers or, as a Collector writes them, in the
/// opposite one.
struct UsualNumber {
    start: u64,
    time: u64,
    value: NumberValue,
}

impl UsualNumber {
    /// A tag of one byte and eight bytes, three times.
    const BYTES: usize = 27;

    #[inline]
    fn read(fields: &[u8]) -> Option<Self> {
        let (&[first, time, last], []) = fields.first_chunk::<{ Self::BYTES }>()?.as_chunks::<9>() else { return None };
        let (start, value) = if u32::from(first[0]) == FIXED_2 { (first, last) } else { (last, first) };
        let number = |[_, bytes @ ..]: [u8; 9]| u64::from_le_bytes(bytes);
        let value = match u32::from(value[0]) {
            FIXED_4 => NumberValue::Double(f64::from_bits(number(value))),
            FIXED_6 => NumberValue::Int(number(value) as i64),
            _ => return None,
        };
        let is_usual = u32::from(start[0]) == FIXED_2 && u32::from(time[0]) == FIXED_3;
        is_usual.then(|| Self { start: number(start), time: number(time), value })
    }
}

/// `NumberDataPoint`.
#[derive(Debug, Clone, Copy)]
pub struct NumberPoint<'a> {
    /// The encoded attributes.
    pub attributes: AttributeRun<'a>,
    /// When what is counted began, in nanoseconds since the Unix epoch; 0 if that is not known.
    pub start_time_unix_nano: u64,
    /// Nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// The value, if there is one.
    pub value: Option<NumberValue>,
    /// See [`NO_RECORDED_VALUE`].
    pub flags: u32,
    /// Whether there are exemplars, in field [`Self::EXEMPLARS`].
    pub has_exemplars: bool,
}

impl<'a> NumberPoint<'a> {
    /// Number of the attributes field.
    pub const ATTRIBUTES: u32 = 7;
    /// Number of the exemplars field.
    pub const EXEMPLARS: u32 = 5;

    /// Reads one point.
    ///
    /// # Errors
    /// If the message is malformed at this level.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OtlpError> {
        let mut reader = Reader::new(bytes);
        let mut run = RunBuilder::new();
        let (mut start_time_unix_nano, mut time_unix_nano, mut value, mut flags) = (0, 0, None, 0);
        let mut has_exemplars = false;
        // Senders have times and value side by side, and the attributes before them or behind them.
        run.read(&mut reader, BYTES_7);
        if let Some(usual) = UsualNumber::read(&bytes[reader.position()..]) {
            (start_time_unix_nano, time_unix_nano, value) = (usual.start, usual.time, Some(usual.value));
            reader.advance(UsualNumber::BYTES)?;
            run.read(&mut reader, BYTES_7);
        }
        let mut at = reader.position();
        while let Some(tag) = reader.tag()? {
            match tag {
                BYTES_7 => {
                    reader.bytes()?;
                    run.add(at, reader.position());
                }
                FIXED_2 => start_time_unix_nano = reader.fixed64()?,
                FIXED_3 => time_unix_nano = reader.fixed64()?,
                FIXED_4 => value = Some(NumberValue::Double(reader.double()?)),
                FIXED_6 => value = Some(NumberValue::Int(reader.fixed64()? as i64)),
                VARINT_8 => flags = reader.varint()? as u32,
                BYTES_5 => {
                    reader.bytes()?;
                    has_exemplars = true;
                }
                _ => reader.skip(tag, 0b1_1111_1100)?,
            }
            at = reader.position();
        }
        let attributes = run.finish(bytes, Self::ATTRIBUTES);
        Ok(Self { attributes, start_time_unix_nano, time_unix_nano, value, flags, has_exemplars })
    }
}

/// A repeated 8-byte field, as its little-endian bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fixed64s<'a>(Cow<'a, [u8]>);

impl<'a> Fixed64s<'a> {
    fn add_packed(&mut self, bytes: &'a [u8]) -> Result<(), OtlpError> {
        if !bytes.len().is_multiple_of(8) {
            return Err(OtlpError::Packed { bytes: bytes.len() });
        }
        if self.0.is_empty() {
            self.0 = Cow::Borrowed(bytes);
        } else {
            self.0.to_mut().extend_from_slice(bytes);
        }
        Ok(())
    }

    fn add(&mut self, value: u64) {
        self.0.to_mut().extend_from_slice(&value.to_le_bytes());
    }

    /// The number of values.
    pub fn len(&self) -> usize {
        self.0.len() / 8
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The values, little-endian, back to back.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The values as integers.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u64> + '_ {
        self.0.as_chunks::<8>().0.iter().map(|chunk| u64::from_le_bytes(*chunk))
    }

    /// The values as doubles.
    pub fn doubles(&self) -> impl DoubleEndedIterator<Item = f64> + '_ {
        self.iter().map(f64::from_bits)
    }
}

/// `HistogramDataPoint` with explicit bounds.
#[derive(Debug, Clone, Default)]
pub struct HistogramPoint<'a> {
    /// The encoded attributes.
    pub attributes: AttributeRun<'a>,
    /// When what is counted began, in nanoseconds since the Unix epoch; 0 if that is not known.
    pub start_time_unix_nano: u64,
    /// Nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// All observations.
    pub count: u64,
    /// Their sum, if it is known.
    pub sum: Option<f64>,
    /// Observations per bucket, not cumulative.
    pub bucket_counts: Fixed64s<'a>,
    /// Upper bounds of all buckets but the last.
    pub explicit_bounds: Fixed64s<'a>,
    /// See [`NO_RECORDED_VALUE`].
    pub flags: u32,
    /// Whether there are exemplars, in field [`Self::EXEMPLARS`].
    pub has_exemplars: bool,
}

impl<'a> HistogramPoint<'a> {
    /// Number of the attributes field.
    pub const ATTRIBUTES: u32 = 9;
    /// Number of the exemplars field.
    pub const EXEMPLARS: u32 = 8;

    /// Reads one point.
    ///
    /// # Errors
    /// If the message is malformed at this level.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OtlpError> {
        let mut reader = Reader::new(bytes);
        let mut run = RunBuilder::new();
        let mut point = Self::default();
        let mut at = 0;
        while let Some(tag) = reader.tag()? {
            match tag {
                BYTES_9 => {
                    reader.bytes()?;
                    run.add(at, reader.position());
                }
                FIXED_2 => point.start_time_unix_nano = reader.fixed64()?,
                FIXED_11 | FIXED_12 => {
                    reader.fixed64()?;
                }
                FIXED_3 => point.time_unix_nano = reader.fixed64()?,
                FIXED_4 => point.count = reader.fixed64()?,
                FIXED_5 => point.sum = Some(reader.double()?),
                BYTES_6 => point.bucket_counts.add_packed(reader.bytes()?)?,
                FIXED_6 => point.bucket_counts.add(reader.fixed64()?),
                BYTES_7 => point.explicit_bounds.add_packed(reader.bytes()?)?,
                FIXED_7 => point.explicit_bounds.add(reader.fixed64()?),
                BYTES_8 => {
                    reader.bytes()?;
                    point.has_exemplars = true;
                }
                VARINT_10 => point.flags = reader.varint()? as u32,
                _ => reader.skip(tag, 0b1_1111_1111_1100)?,
            }
            at = reader.position();
        }
        point.attributes = run.finish(bytes, Self::ATTRIBUTES);
        Ok(point)
    }
}

/// `SummaryDataPoint`.
#[derive(Debug, Clone, Copy)]
pub struct SummaryPoint<'a> {
    bytes: &'a [u8],
    /// The encoded attributes.
    pub attributes: AttributeRun<'a>,
    /// When what is counted began, in nanoseconds since the Unix epoch; 0 if that is not known.
    pub start_time_unix_nano: u64,
    /// Nanoseconds since the Unix epoch.
    pub time_unix_nano: u64,
    /// All observations.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// See [`NO_RECORDED_VALUE`].
    pub flags: u32,
}

impl<'a> SummaryPoint<'a> {
    /// Number of the attributes field.
    pub const ATTRIBUTES: u32 = 7;

    /// Reads one point.
    ///
    /// # Errors
    /// If the message is malformed at this level.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OtlpError> {
        let mut reader = Reader::new(bytes);
        let mut run = RunBuilder::new();
        let mut point = Self {
            bytes,
            attributes: AttributeRun::default(),
            start_time_unix_nano: 0,
            time_unix_nano: 0,
            count: 0,
            sum: 0.0,
            flags: 0,
        };
        let mut at = 0;
        while let Some(tag) = reader.tag()? {
            match tag {
                BYTES_7 => {
                    reader.bytes()?;
                    run.add(at, reader.position());
                }
                FIXED_2 => point.start_time_unix_nano = reader.fixed64()?,
                FIXED_3 => point.time_unix_nano = reader.fixed64()?,
                FIXED_4 => point.count = reader.fixed64()?,
                FIXED_5 => point.sum = reader.double()?,
                BYTES_6 => drop(reader.bytes()?),
                VARINT_8 => point.flags = reader.varint()? as u32,
                _ => reader.skip(tag, 0b1_1111_1100)?,
            }
            at = reader.position();
        }
        point.attributes = run.finish(bytes, Self::ATTRIBUTES);
        Ok(point)
    }

    /// `(quantile, value)` in the order they were sent.
    pub fn quantiles(&self) -> impl Iterator<Item = Result<(f64, f64), OtlpError>> + 'a {
        Repeated::new(self.bytes, 6).map(|message| {
            let mut reader = Reader::new(message?);
            let (mut quantile, mut value) = (0.0, 0.0);
            while let Some(tag) = reader.tag()? {
                match tag {
                    FIXED_1 => quantile = reader.double()?,
                    FIXED_2 => value = reader.double()?,
                    _ => reader.skip(tag, 0b110)?,
                }
            }
            Ok((quantile, value))
        })
    }
}
