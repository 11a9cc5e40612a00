//! Packing what is full: a task that may wait, so that whoever commits need not do it.
//!
//! Series that began together fill their chunks together. Packed by whoever commits, those of 100,000 series would keep everybody waiting for
//! some 300 ms.

use super::{MemSeries, State};
use crate::head::chunk::{SealedChunk, Sealer};
use mytsdb_codec::{ChunkEncoding, CodecError};
use std::sync::Arc;

impl MemSeries {
    /// Packs what waits for it. It stays readable, and appends go on meanwhile.
    pub(in crate::head) fn pack_waiting(&self, sealer: &mut Sealer) -> Result<(), CodecError> {
        self.seal_full_runs(sealer)?;
        loop {
            let waiting = self.state.lock().sealed.iter().find(|chunk| chunk.waits()).cloned();
            let Some(waiting) = waiting else { return Ok(()) };
            let packed = sealer.pack(&waiting)?;
            let mut state = self.state.lock();
            // A flush or a deletion may have taken it meanwhile. What is frozen is counted, and the count stays.
            let is_this = |chunk: &SealedChunk| Arc::ptr_eq(&chunk.bytes, &waiting.bytes);
            if let Some(at) = state.sealed.iter().position(is_this) {
                state.sealed[at] = packed;
            }
        }
    }

    /// Makes chunks of the runs that are full.
    fn seal_full_runs(&self, sealer: &mut Sealer) -> Result<(), CodecError> {
        loop {
            let first = self.state.lock().more.as_ref().and_then(|more| more.first_full().cloned());
            let Some(first) = first else { return Ok(()) };
            let chunks = sealer.seal_run(&first.run)?;
            let mut state = self.state.lock();
            // A flush, a deletion or a float may have closed it meanwhile.
            if state.more.as_mut().is_some_and(|more| more.take_first_full(&first)) {
                state.sealed.extend(chunks);
            }
        }
    }
}

impl State {
    /// Closes the open chunk, which is not empty: it waits to be packed, or is.
    pub(super) fn close_open(&mut self, sealer: &mut Sealer) -> Result<(), CodecError> {
        let is_plain = self.starts_ms().is_empty();
        let put_off = if is_plain { sealer.put_off_floats(&mut self.open)? } else { None };
        match put_off {
            Some(waiting) => self.replace_open(waiting),
            None => self.seal_open(sealer)?,
        }
        Ok(())
    }

    /// Packs those of the first `count` chunks that wait for it.
    pub(super) fn pack_chunks(&mut self, count: usize, sealer: &mut Sealer) -> Result<(), CodecError> {
        for chunk in self.sealed[..count].iter_mut().filter(|chunk| chunk.waits()) {
            *chunk = sealer.pack(chunk)?;
        }
        Ok(())
    }
}

impl SealedChunk {
    /// Whether it is one of floats that waits to be packed.
    fn waits(&self) -> bool {
        self.encoding == ChunkEncoding::Xor
    }
}
