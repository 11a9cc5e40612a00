//! DX chunks: two columns of 64-bit integers, bit-packed in blocks of 128 samples.
//!
//! Layout: `docs/format/dx-chunk.md`. `chunk` reads what `encode` writes; `integers` and `values` are the two kinds of
//! column; `plan` chooses and `block` writes a block; `starts` puts a column of start times between; `decimal` maps numbers to integers and back; `kernels` does the
//! work on a block with the instructions at hand.

mod block;
mod chunk;
mod decimal;
mod encode;
mod integers;
#[expect(unsafe_code, reason = "vector instructions, argued in the folder")]
mod kernels;
mod plan;
mod read_columns;
mod starts;
mod values;

pub use chunk::DxChunk;
pub(crate) use encode::ColumnWriter;
pub use encode::DxEncoder;
pub(crate) use integers::take_count;
pub(crate) use read_columns::{take_counts, take_integers, take_values};
pub use starts::DxStartsEncoder;
pub(crate) use starts::decode_with_starts;

/// The largest number of samples in a DX chunk.
pub const DX_SAMPLES_MAX: usize = 65_536;

/// Samples in a block.
const BLOCK_SAMPLES: usize = 128;

/// Bits of an entry; 58 to 63 do not occur, since 8 bytes from any bit of a byte on hold 57.
const WIDTH_MAX: usize = 64;

/// The largest width below 64.
const NARROW_WIDTH_MAX: u32 = 57;

/// The instructions that decode DX chunks on this CPU: `"avx2"` or `"scalar"`.
pub fn dx_kernel() -> &'static str {
    kernels::Kernel::best().name()
}

/// Modes of an integer column.
mod mode {
    pub(super) const PLAIN: u8 = 0;
    pub(super) const DELTAS: u8 = 1;
    pub(super) const DELTAS_OF_DELTAS: u8 = 2;
    pub(super) const LINE: u8 = 3;
    pub(super) const CONSTANT: u8 = 4;
    pub(super) const EXACT_LINE: u8 = 5;
}

/// Kinds of a value column; the exponent is added to the first three.
mod kind {
    pub(super) const DECIMAL: u8 = 0;
    pub(super) const DECIMAL_WITH_BITS: u8 = 32;
    pub(super) const DECIMAL_WITH_STALE: u8 = 64;
    pub(super) const ORDERED_BITS: u8 = 96;
    pub(super) const SAME_BITS: u8 = 97;
}

/// The two bytes in front of a block.
mod header {
    pub(super) const WIDTH_BITS: u8 = 0x7f;
    pub(super) const SPARSE: u8 = 0x80;
    pub(super) const BASE: u8 = 1;
    pub(super) const PATCHES: u8 = 2;
}
