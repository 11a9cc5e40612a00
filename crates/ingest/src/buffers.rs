//! Memory for the bytes of requests, used again: fresh memory is zeroed page by page and is in no cache.

use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;

/// Buffers that are kept while nobody uses them, and the bytes of each. More and larger ones go back to the allocator.
const KEPT_MAX: usize = 16;
const KEPT_BYTES_MAX: usize = 1 << 20;

/// Buffers that nobody uses. A clone is the same.
#[derive(Debug, Default, Clone)]
pub struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// Bytes of a request on their way in; the memory goes back when these, or what they were frozen to, are dropped.
#[derive(Debug)]
pub struct Buffer {
    /// All that is initialised, of which the first `len` bytes count. What is behind them is of earlier requests.
    bytes: Vec<u8>,
    len: usize,
    home: Buffers,
}

impl Buffers {
    /// A buffer without bytes, with room for as many at least.
    pub fn take(&self, capacity: usize) -> Buffer {
        let mut bytes = self.0.lock().pop().unwrap_or_default();
        if bytes.capacity() < capacity {
            // What is in it is not worth a copy.
            bytes.clear();
            bytes.reserve_exact(capacity);
        }
        Buffer { bytes, len: 0, home: self.clone() }
    }
}

impl Buffer {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds bytes at the end.
    pub fn extend_from_slice(&mut self, piece: &[u8]) {
        let (over, behind) = piece.split_at(piece.len().min(self.bytes.len() - self.len));
        self.bytes[self.len..][..over.len()].copy_from_slice(over);
        self.bytes.extend_from_slice(behind);
        self.len += piece.len();
    }

    /// Makes it as long as `len` says, with any bytes in it, for who writes all of them.
    pub(crate) fn set_len(&mut self, len: usize) -> &mut [u8] {
        if self.bytes.len() < len {
            self.bytes.resize(len, 0);
        }
        self.len = len;
        &mut self.bytes[..len]
    }

    /// The same bytes, to be shared.
    pub fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.capacity() <= KEPT_BYTES_MAX {
            let mut free = self.home.0.lock();
            if free.len() < KEPT_MAX {
                free.push(std::mem::take(&mut self.bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_what_was_in_it_is_not_seen() {
        let buffers = Buffers::default();
        let mut first = buffers.take(100);
        first.extend_from_slice(&[1; 70]);
        let frozen = first.freeze();
        let (address, other) = (frozen.as_ptr(), frozen.clone());
        drop(frozen);
        assert_ne!(buffers.take(0).as_ref().as_ptr(), address, "somebody still has it");
        drop(other);
        let mut second = buffers.take(50);
        assert!(second.is_empty());
        for piece in [&[2u8; 60][..], &[3; 30], &[4; 200]] {
            second.extend_from_slice(piece);
        }
        let expected = [vec![2; 60], vec![3; 30], vec![4; 200]].concat();
        assert_eq!((second.as_ref(), second.len()), (&expected[..], 290));
        drop(second);
        let mut third = buffers.take(10);
        third.set_len(20).fill(9);
        assert_eq!(third.freeze(), [9; 20][..]);
    }

    #[test]
    fn few_small_buffers_are_kept() {
        let buffers = Buffers::default();
        drop(buffers.take(KEPT_BYTES_MAX + 1));
        assert_eq!(buffers.0.lock().len(), 0);
        let many: Vec<Buffer> = (0..3 * KEPT_MAX).map(|_| buffers.take(10)).collect();
        drop(many);
        assert_eq!(buffers.0.lock().len(), KEPT_MAX);
    }
}
