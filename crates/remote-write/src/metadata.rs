//! Type, help and unit of metrics, as both versions send them.

use crate::symbols::Symbols;
use crate::tags::{bytes, varint};
use mytsdb_intake::Metadata;
use mytsdb_model::FamilyKind;
use mytsdb_protobuf::{ProtobufError, Reader};

const KIND: u32 = varint(1);

/// Records a `prometheus.MetricMetadata`; what is not UTF-8 is passed over.
pub(crate) fn record_v1(message: &[u8], metadata: &Metadata) -> Result<(), ProtobufError> {
    const FAMILY: u32 = bytes(2);
    const HELP: u32 = bytes(4);
    const UNIT: u32 = bytes(5);
    let mut reader = Reader::new(message);
    let (mut kind, mut family, mut help, mut unit) = (0, &[][..], &[][..], &[][..]);
    while let Some(tag) = reader.tag()? {
        match tag {
            KIND => kind = reader.varint()?,
            FAMILY => family = reader.bytes()?,
            HELP => help = reader.bytes()?,
            UNIT => unit = reader.bytes()?,
            _ => reader.skip(tag, 0b11_0110)?,
        }
    }
    record(metadata, family, kind, help, unit);
    Ok(())
}

/// Records an `io.prometheus.write.v2.Metadata` of the series with that metric name.
pub(crate) fn record_v2(
    message: &[u8],
    metric_name: &str,
    symbols: &Symbols<'_>,
    metadata: &Metadata,
) -> Result<(), ProtobufError> {
    const HELP_REF: u32 = varint(3);
    const UNIT_REF: u32 = varint(4);
    let mut reader = Reader::new(message);
    let (mut kind, mut help, mut unit) = (0, 0, 0);
    while let Some(tag) = reader.tag()? {
        match tag {
            KIND => kind = reader.varint()?,
            HELP_REF => help = reader.varint()? as u32,
            UNIT_REF => unit = reader.varint()? as u32,
            _ => reader.skip(tag, 0b1_1010)?,
        }
    }
    let text = |number| symbols.get(number).unwrap_or_default();
    record(metadata, family_of(metric_name, kind).as_bytes(), kind, text(help), text(unit));
    Ok(())
}

fn record(metadata: &Metadata, family: &[u8], kind: u64, help: &[u8], unit: &[u8]) {
    let texts = (std::str::from_utf8(family), std::str::from_utf8(help), std::str::from_utf8(unit));
    if let (Ok(family), Ok(help), Ok(unit)) = texts
        // Prometheus sends empty ones for series of which it knows nothing, which must not hide what others said.
        && !(family.is_empty() || kind_of(kind) == FamilyKind::Unknown && help.is_empty() && unit.is_empty())
        && family.len() <= FAMILY_BYTES_MAX
        && unit.len() <= FAMILY_BYTES_MAX
    {
        metadata.record(family, kind_of(kind), help, unit);
    }
}

/// Bytes of a family's name, and of a unit.
const FAMILY_BYTES_MAX: usize = 1 << 10;

fn kind_of(number: u64) -> FamilyKind {
    FamilyKind::from_number(number).unwrap_or(FamilyKind::Unknown)
}

/// The family of a series: version 2.0 describes each series, the store remembers families.
fn family_of(metric_name: &str, kind: u64) -> &str {
    kind_of(kind).family_of(metric_name)
}
