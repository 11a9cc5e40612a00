//! The tags of the fields that OTLP's messages have, and the reader of fields.

pub use mytsdb_protobuf::Reader;

/// Tag of a length-prefixed field.
pub(super) const fn bytes_tag(field: u32) -> u32 {
    field << 3 | 2
}

/// Declares tags as constants, since patterns take no calls: `BYTES_5` is field 5, length-prefixed.
macro_rules! tags {
    ($wire_type:literal: $($name:ident = $field:literal),*) => {
        $(pub(super) const $name: u32 = $field << 3 | $wire_type;)*
    };
}

tags!(0: VARINT_1 = 1, VARINT_2 = 2, VARINT_3 = 3, VARINT_4 = 4, VARINT_6 = 6, VARINT_8 = 8, VARINT_10 = 10);
tags!(1: FIXED_1 = 1, FIXED_2 = 2, FIXED_3 = 3, FIXED_4 = 4, FIXED_5 = 5, FIXED_6 = 6, FIXED_7 = 7, FIXED_11 = 11, FIXED_12 = 12, FIXED_13 = 13, FIXED_14 = 14);
tags!(2: BYTES_1 = 1, BYTES_2 = 2, BYTES_3 = 3, BYTES_4 = 4, BYTES_5 = 5, BYTES_6 = 6, BYTES_7 = 7, BYTES_8 = 8, BYTES_9 = 9, BYTES_10 = 10, BYTES_11 = 11, BYTES_12 = 12);
