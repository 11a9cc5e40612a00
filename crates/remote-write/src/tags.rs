//! Tags of fields: the field's number and its type on the wire.

/// A variable-length integer.
#[inline]
pub(crate) const fn varint(field: u32) -> u32 {
    field << 3
}

/// Eight bytes.
#[inline]
pub(crate) const fn fixed64(field: u32) -> u32 {
    field << 3 | 1
}

/// Bytes with their length before them.
#[inline]
pub(crate) const fn bytes(field: u32) -> u32 {
    field << 3 | 2
}
