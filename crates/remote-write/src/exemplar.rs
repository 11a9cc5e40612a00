//! An exemplar's message of either version.

use crate::Version;
use crate::labels::{SentLabels, sorted_pairs};
use crate::series::read_refs;
use crate::symbols::Symbols;
use crate::tags::{bytes, fixed64, varint};
use mytsdb_model::{Exemplar, Labels};
use mytsdb_protobuf::{ProtobufError, Reader};

/// Labels of an exemplar, and bytes of all their names and values: those with more are no exemplars that anybody keeps.
const LABEL_COUNT_MAX: usize = 64;
const LABELS_BYTES_MAX: usize = 4 * Exemplar::CHARACTERS_MAX + 64;

/// Reads an exemplar. `None` if its labels are none: a name twice or empty, text that is not UTF-8, or far too much of it.
///
/// # Errors
/// If the message is malformed.
pub(crate) fn parse(
    message: &[u8],
    version: Version,
    symbols: Option<&Symbols<'_>>,
) -> Result<Option<Exemplar>, ProtobufError> {
    const LABELS: u32 = bytes(1);
    const LABEL_REF: u32 = varint(1);
    const VALUE: u32 = fixed64(2);
    const TIMESTAMP: u32 = varint(3);
    let mut reader = Reader::new(message);
    let (mut fields, mut refs) = (Vec::new(), Vec::new());
    let (mut value, mut timestamp_ms) = (0.0, 0);
    while let Some(tag) = reader.tag()? {
        match tag {
            VALUE => value = reader.double()?,
            TIMESTAMP => timestamp_ms = reader.varint()? as i64,
            LABELS if version == Version::V2 => read_refs(reader.bytes()?, &mut refs, 2 * LABEL_COUNT_MAX)?,
            LABEL_REF if version == Version::V2 => {
                let number = reader.varint()? as u32;
                if refs.len() <= 2 * LABEL_COUNT_MAX {
                    refs.push(number);
                }
            }
            LABELS => {
                let label = reader.bytes()?;
                if fields.len() <= 2 * LABELS_BYTES_MAX {
                    fields.push(LABELS as u8);
                    mytsdb_varint::put_uvarint(&mut fields, label.len() as u64);
                    fields.extend_from_slice(label);
                }
            }
            _ => reader.skip(tag, 0b1110)?,
        }
    }
    let sent = match symbols {
        Some(symbols) => {
            let known = refs.iter().all(|number| symbols.get(*number).is_some());
            if refs.len() % 2 == 1 || refs.len() > 2 * LABEL_COUNT_MAX || !known {
                return Ok(None);
            }
            SentLabels::Refs(&refs, symbols)
        }
        None => SentLabels::Fields(&fields),
    };
    Ok(labels(sent)?.map(|labels| Exemplar { timestamp_ms, value, labels }))
}

fn labels(sent: SentLabels<'_>) -> Result<Option<Labels>, ProtobufError> {
    let pairs = sent.pairs()?;
    let bytes = pairs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
    if pairs.len() > LABEL_COUNT_MAX || bytes > LABELS_BYTES_MAX {
        return Ok(None);
    }
    Ok(sorted_pairs(&pairs).map(Labels::from_sorted))
}
