//! Fields of protobuf messages, appended to bytes.

pub(super) fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field of text, bytes, or an encoded message.
pub(super) fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// A message that `write` makes; `scratch` is used for it and holds nothing before and after.
pub(super) fn message(out: &mut Vec<u8>, field: u64, scratch: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    write(scratch);
    bytes(out, field, scratch);
    scratch.clear();
}

pub(super) fn fixed64(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3 | 1);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(super) fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    fixed64(out, field, value.to_bits());
}

pub(super) fn uint(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

pub(super) fn sint(out: &mut Vec<u8>, field: u64, value: i64) {
    uint(out, field, zigzag(value));
}

pub(super) fn zigzag(value: i64) -> u64 {
    (value << 1 ^ value >> 63).cast_unsigned()
}
