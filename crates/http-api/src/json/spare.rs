//! Buffers that were sent, kept for the next answer: they need neither to be zeroed nor to be mapped again.

use bytes::Bytes;
use std::sync::{Mutex, PoisonError};

/// Size of each buffer.
pub(crate) const BUFFER_BYTES: usize = 128 << 10;
/// Most that are kept: 4 MiB, about what two answers have in flight.
const SPARE_MAX: usize = 32;

static SPARE: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

/// A buffer of [`BUFFER_BYTES`] with any content.
pub(crate) fn take() -> Box<[u8]> {
    let spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    spare.unwrap_or_else(|| vec![0; BUFFER_BYTES].into_boxed_slice())
}

/// The first `len` bytes of a buffer; it is kept once they were sent.
pub(crate) fn lend(buffer: Box<[u8]>, len: usize) -> Bytes {
    Bytes::from_owner(Lent { buffer, len })
}

struct Lent {
    buffer: Box<[u8]>,
    len: usize,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.len]
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.len() == BUFFER_BYTES && spare.len() < SPARE_MAX {
            spare.push(buffer);
        }
    }
}
