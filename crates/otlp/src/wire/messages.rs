//! Views of the messages around data points: resource, scope, metric, attributes.

use super::reader::{
    BYTES_1, BYTES_2, BYTES_3, BYTES_5, BYTES_7, BYTES_9, BYTES_10, BYTES_11, BYTES_12, Reader, VARINT_2, VARINT_3,
    VARINT_4, bytes_tag,
};
use crate::OtlpError;
use std::borrow::Cow;

/// The contents of one repeated length-prefixed field, in order; all other fields of the message are passed over.
#[derive(Debug, Clone)]
pub struct Repeated<'a> {
    reader: Reader<'a>,
    tag: u32,
}

impl<'a> Repeated<'a> {
    /// Field `field` of the message `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8], field: u32) -> Self {
        Self { reader: Reader::new(bytes), tag: bytes_tag(field) }
    }

    #[inline]
    fn advance(&mut self) -> Result<Option<&'a [u8]>, OtlpError> {
        while let Some(tag) = self.reader.tag()? {
            if tag == self.tag {
                return self.reader.bytes().map(Some);
            }
            self.reader.skip(tag, 1 << (self.tag >> 3))?;
        }
        Ok(None)
    }
}

impl<'a> Iterator for Repeated<'a> {
    type Item = Result<&'a [u8], OtlpError>;

    /// Callers stop at the first error; going on would yield it again or the end.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}

/// The `ResourceMetrics` of an `ExportMetricsServiceRequest`, each still encoded.
pub fn resource_metrics(request: &[u8]) -> Repeated<'_> {
    Repeated::new(request, 1)
}

/// Adds another occurrence of an embedded message of singular kind: protobuf merges them.
#[inline]
fn merge<'a>(message: &mut Cow<'a, [u8]>, next: &'a [u8]) {
    if message.is_empty() {
        *message = Cow::Borrowed(next);
    } else {
        message.to_mut().extend_from_slice(next);
    }
}

/// `ResourceMetrics`: a resource and what its scopes report.
#[derive(Debug, Clone)]
pub struct ResourceMetrics<'a> {
    bytes: &'a [u8],
    /// The encoded [`Resource`]; empty if absent.
    pub resource: Cow<'a, [u8]>,
}

impl<'a> ResourceMetrics<'a> {
    /// Finds the resource, which may stand behind the scopes.
    ///
    /// # Errors
    /// If the message is malformed at this level.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OtlpError> {
        let mut reader = Reader::new(bytes);
        let mut resource = Cow::Borrowed(&[][..]);
        while let Some(tag) = reader.tag()? {
            match tag {
                BYTES_1 => merge(&mut resource, reader.bytes()?),
                BYTES_2 | BYTES_3 => drop(reader.bytes()?),
                _ => reader.skip(tag, 0b1110)?,
            }
        }
        Ok(Self { bytes, resource })
    }

    /// The `ScopeMetrics`, each still encoded.
    #[inline]
    pub fn scope_metrics(&self) -> Repeated<'a> {
        Repeated::new(self.bytes, 2)
    }
}

/// `Resource`: who reports.
#[derive(Debug, Clone, Copy)]
pub struct Resource<'a>(pub &'a [u8]);

impl<'a> Resource<'a> {
    /// The attributes in the order they were sent.
    pub fn attributes(self) -> Attributes<'a> {
        Attributes::new(self.0, 1)
    }
}

/// `ScopeMetrics`: an instrumentation scope and its metrics.
#[derive(Debug, Clone)]
pub struct ScopeMetrics<'a> {
    bytes: &'a [u8],
    /// The encoded [`Scope`]; empty if absent.
    pub scope: Cow<'a, [u8]>,
    /// The schema of the scope's data, as sent.
    pub schema_url: &'a [u8],
}

impl<'a> ScopeMetrics<'a> {
    /// Finds the scope, which may stand behind the metrics.
    ///
    /// # Errors
    /// If the message is malformed at this level.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OtlpError> {
        let mut reader = Reader::new(bytes);
        let mut scope = Cow::Borrowed(&[][..]);
        let mut schema_url = &[][..];
        while let Some(tag) = reader.tag()? {
            match tag {
                BYTES_1 => merge(&mut scope, reader.bytes()?),
                BYTES_2 => {
                    reader.bytes()?;
                    reader.skip_run(BYTES_2);
                }
                BYTES_3 => schema_url = reader.bytes()?,
                _ => reader.skip(tag, 0b1110)?,
            }
        }
        Ok(Self { bytes, scope, schema_url })
    }

    /// The `Metric`s, each still encoded.
    #[inline]
    pub fn metrics(&self) -> Repeated<'a> {
        Repeated::new(self.bytes, 2)
    }
}

/// `InstrumentationScope`: the library that reports.
#[derive(Debug, Clone, Copy, Default)]
pub struct Scope<'a> {
    bytes: &'a [u8],
    /// As sent; text is not checked.
    pub name: &'a [u8],
    /// As sent; text is not checked.
    pub version: &'a [u8],
}

impl<'a> Scope<'a> {
    /// Reads name and version.
    ///
    /// # Errors
    /// If the message is malformed.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OtlpError> {
        let mut reader = Reader::new(bytes);
        let mut scope = Self { bytes, ..Self::default() };
        while let Some(tag) = reader.tag()? {
            match tag {
                BYTES_1 => scope.name = reader.bytes()?,
                BYTES_2 => scope.version = reader.bytes()?,
                BYTES_3 => drop(reader.bytes()?),
                VARINT_4 => drop(reader.varint()?),
                _ => reader.skip(tag, 0b11110)?,
            }
        }
        Ok(scope)
    }

    /// The attributes in the order they were sent.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.bytes, 3)
    }
}

/// Temporality: what each point counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporality {
    /// Not given, or a number that this version does not know.
    Unspecified,
    /// Each point counts from the one before.
    Delta,
    /// Each point counts from a fixed start.
    Cumulative,
}

/// The kind of a metric's points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricData {
    /// No data, or of a kind this version does not know.
    None,
    /// Number points that stand for themselves.
    Gauge,
    /// Number points that count.
    Sum {
        /// What each point counts from.
        temporality: Temporality,
        /// Whether the count never falls.
        monotonic: bool,
    },
    /// Histogram points with explicit bounds.
    Histogram {
        /// What each point counts from.
        temporality: Temporality,
    },
    /// Histogram points with exponential buckets.
    ExponentialHistogram {
        /// What each point counts from.
        temporality: Temporality,
    },
    /// Summary points.
    Summary,
}

/// `Metric`: name, unit, kind, and points that are still encoded.
#[derive(Debug, Clone)]
pub struct Metric<'a> {
    /// As sent; text is not checked.
    pub name: &'a [u8],
    /// As sent; text is not checked.
    pub description: &'a [u8],
    /// As sent; text is not checked.
    pub unit: &'a [u8],
    /// The kind of the points.
    pub data: MetricData,
    points: Cow<'a, [u8]>,
}

impl<'a> Metric<'a> {
    /// Reads all but the points. Temporality often stands behind them, so their lengths are passed over once.
    ///
    /// # Errors
    /// If the message is malformed at this level or at that of its data.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OtlpError> {
        let mut reader = Reader::new(bytes);
        let (mut name, mut description, mut unit) = (&[][..], &[][..], &[][..]);
        let mut points = Cow::Borrowed(&[][..]);
        let mut kind = 0;
        while let Some(tag) = reader.tag()? {
            match tag {
                BYTES_1 => name = reader.bytes()?,
                BYTES_2 => description = reader.bytes()?,
                BYTES_3 => unit = reader.bytes()?,
                BYTES_5 | BYTES_7 | BYTES_9 | BYTES_10 | BYTES_11 => {
                    // One of a kind: another kind replaces what was there, the same kind adds to it.
                    if kind != tag >> 3 {
                        kind = tag >> 3;
                        points = Cow::Borrowed(&[]);
                    }
                    merge(&mut points, reader.bytes()?);
                }
                BYTES_12 => drop(reader.bytes()?),
                _ => reader.skip(tag, 0b1_1110_1010_1110)?,
            }
        }
        let data = match kind {
            5 => MetricData::Gauge,
            7 | 9 | 10 => {
                let (temporality, monotonic) = data_header(&points, kind == 7)?;
                match kind {
                    7 => MetricData::Sum { temporality, monotonic },
                    9 => MetricData::Histogram { temporality },
                    _ => MetricData::ExponentialHistogram { temporality },
                }
            }
            11 => MetricData::Summary,
            _ => MetricData::None,
        };
        Ok(Self { name, description, unit, data, points })
    }

    /// The data points, each still encoded.
    #[inline]
    pub fn points(&self) -> Repeated<'_> {
        Repeated::new(&self.points, 1)
    }
}

/// Reads `aggregation_temporality` and, for a sum, `is_monotonic`.
#[inline]
fn data_header(bytes: &[u8], is_sum: bool) -> Result<(Temporality, bool), OtlpError> {
    let mut reader = Reader::new(bytes);
    let (mut temporality, mut monotonic) = (Temporality::Unspecified, false);
    while let Some(tag) = reader.tag()? {
        match tag {
            BYTES_1 => {
                reader.bytes()?;
                reader.skip_run(BYTES_1);
            }
            VARINT_2 => {
                // An enum is an int32 on the wire: higher bits are cut off.
                temporality = match reader.varint()? as i32 {
                    1 => Temporality::Delta,
                    2 => Temporality::Cumulative,
                    _ => Temporality::Unspecified,
                }
            }
            VARINT_3 if is_sum => monotonic = reader.varint()? != 0,
            _ => reader.skip(tag, if is_sum { 0b1110 } else { 0b110 })?,
        }
    }
    Ok((temporality, monotonic))
}

/// The attributes of a message, in order; all its other fields are passed over.
#[derive(Debug, Clone)]
pub struct Attributes<'a>(Repeated<'a>);

impl<'a> Attributes<'a> {
    /// The `KeyValue`s in field `field` of the message (or of the run of fields) `bytes`.
    pub fn new(bytes: &'a [u8], field: u32) -> Self {
        Self(Repeated::new(bytes, field))
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<KeyValue<'a>, OtlpError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.and_then(KeyValue::parse))
    }
}

/// `KeyValue`: one attribute.
#[derive(Debug, Clone, Default)]
pub struct KeyValue<'a> {
    /// As sent; text is not checked.
    pub key: &'a [u8],
    /// The encoded [`AnyValue`](super::AnyValue); empty if absent.
    pub value: Cow<'a, [u8]>,
}

impl<'a> KeyValue<'a> {
    /// Reads one attribute.
    ///
    /// # Errors
    /// If the message is malformed at this level.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OtlpError> {
        let mut reader = Reader::new(bytes);
        let mut pair = Self::default();
        while let Some(tag) = reader.tag()? {
            match tag {
                BYTES_1 => pair.key = reader.bytes()?,
                BYTES_2 => merge(&mut pair.value, reader.bytes()?),
                VARINT_3 => drop(reader.varint()?),
                _ => reader.skip(tag, 0b1110)?,
            }
        }
        Ok(pair)
    }
}
