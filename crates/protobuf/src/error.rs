//! Why bytes cannot be read as a message.

/// Errors of this crate: the bytes are not the message they are read as. Sending them again changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProtobufError {
    /// A length or a fixed-width value leaves its message.
    #[error("protobuf: message cut short")]
    CutShort,
    /// A variable-length integer is longer than 64 bits.
    #[error("protobuf: varint over 64 bits")]
    VarintTooLong,
    /// A field number is 0 or above 2^29 - 1, or a wire type is unknown.
    #[error("protobuf: invalid tag {tag}")]
    Tag {
        /// The tag as read.
        tag: u64,
    },
    /// A known field has another type on the wire than its definition says.
    #[error("protobuf: field {field} has wire type {wire_type}")]
    WireType {
        /// The field's number.
        field: u32,
        /// The wire type found.
        wire_type: u32,
    },
    /// A packed array of 8-byte values has a length that is no multiple of 8.
    #[error("protobuf: packed 8-byte values in {bytes} bytes")]
    Packed {
        /// The array's length.
        bytes: usize,
    },
    /// Groups or values are nested deeper than the reader follows.
    #[error("protobuf: nested deeper than {limit} levels")]
    Nesting {
        /// The limit.
        limit: usize,
    },
}
