//! The bytes of one simulated file: what programs see, what is durable, and the writes in between.

use super::rng::Rng;

/// The unit that a disk writes as a whole, in bytes.
const SECTOR_BYTES: u64 = 512;

#[derive(Clone)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    SetLen { len: u64 },
}

/// Invariant C: `durable` with all of `unsynced` applied in order equals `now`.
#[derive(Clone, Default)]
pub(super) struct Content {
    now: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

impl Content {
    pub(super) fn from_durable(bytes: Vec<u8>) -> Self {
        Self { now: bytes.clone(), durable: bytes, unsynced: Vec::new() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.now
    }

    pub(super) fn durable(&self) -> &[u8] {
        &self.durable
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        put(&mut self.now, offset, bytes);
        self.unsynced.push(Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.now.resize(len as usize, 0);
        self.unsynced.push(Change::SetLen { len });
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            match change {
                Change::Write { offset, bytes } => put(&mut self.durable, offset, &bytes),
                Change::SetLen { len } => self.durable.resize(len as usize, 0),
            }
        }
        debug_assert!(self.durable == self.now, "Invariant C");
    }

    /// Flips bits in the durable bytes and in the page cache.
    pub(super) fn corrupt(&mut self, offset: usize, xor: u8) {
        for bytes in [&mut self.now, &mut self.durable] {
            if let Some(byte) = bytes.get_mut(offset) {
                *byte ^= xor;
            }
        }
    }

    /// What a power cut leaves: each unsynced sector and length change survives or not.
    pub(super) fn crash_image(&self, rng: &mut Rng) -> Vec<u8> {
        let mut image = self.durable.clone();
        let percent = rng.survival_percent();
        for change in &self.unsynced {
            match change {
                Change::SetLen { len } => {
                    if rng.chance(percent) {
                        image.resize(*len as usize, 0);
                    }
                }
                Change::Write { offset, bytes } => put_some_sectors(&mut image, *offset, bytes, rng, percent),
            }
        }
        // The length is written apart from the data: ahead of it (zeros) or behind it (bytes cut off).
        if image.len() < self.now.len() && !self.unsynced.is_empty() && rng.chance(25) {
            image.resize(self.now.len(), 0);
        } else if image.len() > self.durable.len() && rng.chance(25) {
            let cut = rng.below((image.len() - self.durable.len()) as u64 + 1) as usize;
            image.truncate(image.len() - cut);
        }
        image
    }
}

fn put(image: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let start = offset as usize;
    let end = start + bytes.len();
    if image.len() < end {
        image.resize(end, 0);
    }
    image[start..end].copy_from_slice(bytes);
}

fn put_some_sectors(image: &mut Vec<u8>, offset: u64, bytes: &[u8], rng: &mut Rng, percent: u64) {
    let mut done = 0;
    while done < bytes.len() {
        let at = offset + done as u64;
        let room = (SECTOR_BYTES - at % SECTOR_BYTES) as usize;
        let piece = &bytes[done..bytes.len().min(done + room)];
        if rng.chance(percent) {
            put(image, at, piece);
        }
        done += piece.len();
    }
}
