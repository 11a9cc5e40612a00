//! The fast way through gzip: one member, inflated whole.

use crate::Buffers;
use bytes::Bytes;
use libdeflater::{DecompressionError, Decompressor};
use std::cell::RefCell;

/// Bytes of a gzip header without optional fields, and of the trailer.
const GZIP_HEADER_BYTES: usize = 10;
const GZIP_TRAILER_BYTES: usize = 8;

/// Inflates what senders send: a single member with a plain header. `None` sends everything else, damage included, to
/// the general reader, whose word is final.
pub(crate) fn gunzip_plain(message: &[u8], bytes_max: usize, buffers: &Buffers) -> Option<Bytes> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Decompressor> = RefCell::new(Decompressor::new());
    }
    let body = message.strip_prefix(&[0x1f, 0x8b, 8, 0])?.get(GZIP_HEADER_BYTES - 4..)?;
    let (deflated, trailer) = body.split_at_checked(body.len().checked_sub(GZIP_TRAILER_BYTES)?)?;
    let (crc, size) = trailer.split_first_chunk::<4>()?;
    let size = u32::from_le_bytes(*size.first_chunk::<4>()?) as usize;
    if size > bytes_max || may_hold_a_member(deflated) {
        return None;
    }
    let mut buffer = buffers.take(size);
    let out = buffer.set_len(size);
    let inflated = DECOMPRESSOR.with_borrow_mut(|decompressor| decompressor.deflate_decompress(deflated, out));
    match inflated {
        Ok(written) if written == size && libdeflater::crc32(out) == u32::from_le_bytes(*crc) => Some(buffer.freeze()),
        Ok(_) | Err(DecompressionError::BadData | DecompressionError::InsufficientSpace) => None,
    }
}

/// Whether another gzip member may start in `bytes`: the inflater would stop in front of it without an error, and if it
/// holds the same data even the checksum at the end would fit. Compressed data looks like that once in 16 MiB.
fn may_hold_a_member(bytes: &[u8]) -> bool {
    const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
    bytes.chunks(32).enumerate().any(|(i, chunk)| {
        // Without a branch per byte, so that the compiler compares 32 at a time.
        let candidate = chunk.iter().fold(0, |any, byte| any | u8::from(*byte == MAGIC[0])) != 0;
        candidate && (32 * i..32 * i + chunk.len()).any(|at| bytes[at..].starts_with(&MAGIC))
    })
}
