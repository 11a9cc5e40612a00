//! Views of exponential histogram points and their buckets.

use super::AttributeRun;
use super::points::RunBuilder;
use super::reader::{
    BYTES_1, BYTES_2, BYTES_8, BYTES_9, BYTES_11, FIXED_2, FIXED_3, FIXED_4, FIXED_5, FIXED_7, FIXED_12, FIXED_13,
    FIXED_14, Reader, VARINT_1, VARINT_2, VARINT_6, VARINT_10,
};
use crate::OtlpError;
use std::borrow::Cow;

/// `ExponentialHistogramDataPoint`.
#[derive(Debug, Clone, Default)]
pub struct ExponentialPoint<'a> {
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
    /// Bucket bounds are powers of `2^(2^-scale)`.
    pub scale: i32,
    /// Observations within the zero threshold.
    pub zero_count: u64,
    /// Half the width of the zero bucket, if it was sent.
    pub zero_threshold: Option<f64>,
    /// Buckets above zero.
    pub positive: ExponentialBuckets<'a>,
    /// Buckets below zero.
    pub negative: ExponentialBuckets<'a>,
    /// See [`NO_RECORDED_VALUE`](super::NO_RECORDED_VALUE).
    pub flags: u32,
    /// Whether there are exemplars, in field [`Self::EXEMPLARS`].
    pub has_exemplars: bool,
}

/// One side's buckets: bucket `offset + i` holds the `i`-th count. The counts stay encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExponentialBuckets<'a> {
    /// Index of the first bucket.
    pub offset: i32,
    /// Whole variable-length integers, back to back.
    packed: Cow<'a, [u8]>,
    len: usize,
}

impl<'a> ExponentialBuckets<'a> {
    /// Adds what a message says; repeated messages merge, as protobuf has it.
    fn merge(&mut self, bytes: &'a [u8]) -> Result<(), OtlpError> {
        let mut reader = Reader::new(bytes);
        while let Some(tag) = reader.tag()? {
            let run = match tag {
                VARINT_1 => {
                    self.offset = reader.sint32()?;
                    continue;
                }
                BYTES_2 => {
                    let run = reader.bytes()?;
                    self.len += varint_count(run)?;
                    run
                }
                VARINT_2 => {
                    let start = reader.position();
                    reader.varint()?;
                    self.len += 1;
                    &bytes[start..reader.position()]
                }
                _ => {
                    reader.skip(tag, 0b110)?;
                    continue;
                }
            };
            if self.packed.is_empty() {
                self.packed = Cow::Borrowed(run);
            } else {
                self.packed.to_mut().extend_from_slice(run);
            }
        }
        Ok(())
    }

    /// The number of buckets.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Observations per bucket.
    pub fn counts(&self) -> impl Iterator<Item = u64> + '_ {
        let mut reader = Reader::new(&self.packed);
        // Every integer was read once when it was added, so none fails here before the end.
        std::iter::from_fn(move || reader.varint().ok()).take(self.len)
    }
}

/// How many variable-length integers there are back to back.
fn varint_count(run: &[u8]) -> Result<usize, OtlpError> {
    // Without a branch per byte, so that the compiler looks at 32 at a time. Most counts are small.
    if run.iter().fold(0, |any, byte| any | byte) < 0x80 {
        return Ok(run.len());
    }
    let (mut counts, mut count) = (Reader::new(run), 0);
    while counts.position() < run.len() {
        counts.varint()?;
        count += 1;
    }
    Ok(count)
}

impl<'a> ExponentialPoint<'a> {
    /// Number of the attributes field.
    pub const ATTRIBUTES: u32 = 1;
    /// Number of the exemplars field.
    pub const EXEMPLARS: u32 = 11;

    /// Reads one point.
    ///
    /// # Errors
    /// If the message is malformed at this level or at that of its buckets.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OtlpError> {
        let mut reader = Reader::new(bytes);
        let mut run = RunBuilder::new();
        let mut point = Self::default();
        let mut at = 0;
        while let Some(tag) = reader.tag()? {
            match tag {
                BYTES_1 => {
                    reader.bytes()?;
                    run.add(at, reader.position());
                }
                FIXED_2 => point.start_time_unix_nano = reader.fixed64()?,
                FIXED_3 => point.time_unix_nano = reader.fixed64()?,
                FIXED_4 => point.count = reader.fixed64()?,
                FIXED_5 => point.sum = Some(reader.double()?),
                VARINT_6 => point.scale = reader.sint32()?,
                FIXED_7 => point.zero_count = reader.fixed64()?,
                BYTES_8 => point.positive.merge(reader.bytes()?)?,
                BYTES_9 => point.negative.merge(reader.bytes()?)?,
                VARINT_10 => point.flags = reader.varint()? as u32,
                BYTES_11 => {
                    reader.bytes()?;
                    point.has_exemplars = true;
                }
                FIXED_12 | FIXED_13 => drop(reader.fixed64()?),
                FIXED_14 => point.zero_threshold = Some(reader.double()?),
                _ => reader.skip(tag, 0b111_1111_1111_1110)?,
            }
            at = reader.position();
        }
        point.attributes = run.finish(bytes, Self::ATTRIBUTES);
        Ok(point)
    }
}
