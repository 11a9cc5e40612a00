//! Fields of protobuf messages, written.

use mytsdb_model::Labels;
use mytsdb_varint::put_uvarint;

/// A number; 0 is left out.
pub(crate) fn varint(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        put_uvarint(out, u64::from(field << 3));
        put_uvarint(out, value);
    }
}

/// A float; one whose bits are 0 is left out.
pub(crate) fn double(out: &mut Vec<u8>, field: u32, value: f64) {
    if value.to_bits() != 0 {
        always_double(out, field, value);
    }
}

/// A float of a choice between fields, where 0 says which one it is.
pub(crate) fn always_double(out: &mut Vec<u8>, field: u32, value: f64) {
    put_uvarint(out, u64::from(field << 3 | 1));
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

/// Bytes, a text or a message.
pub(crate) fn bytes(out: &mut Vec<u8>, field: u32, content: &[u8]) {
    put_uvarint(out, u64::from(field << 3 | 2));
    put_uvarint(out, content.len() as u64);
    out.extend_from_slice(content);
}

/// All labels, each a message in field 1.
pub(crate) fn labels(out: &mut Vec<u8>, labels: &Labels) {
    let mut label = Vec::new();
    for (name, value) in labels {
        label.clear();
        bytes(&mut label, 1, name.as_bytes());
        bytes(&mut label, 2, value.as_bytes());
        bytes(out, 1, &label);
    }
}
