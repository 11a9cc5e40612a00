//! Memory maps of published files: the one unsafe call of this crate.
//!
//! Invariant M: only files that are published (written, synced, renamed into place) are mapped, and a
//! published file is never written or truncated again, only renamed or removed. Files whose readers
//! verify every byte, such as those of caches, need not be synced. Writers hold [`DiskFile`](crate::DiskFile)s of unpublished
//! files alone.

use crate::Mapped;
use std::fs::File;
use std::io;

/// Maps the whole of `file`, which must satisfy Invariant M.
pub(super) fn map(file: &File) -> io::Result<Mapped> {
    if file.metadata()?.len() == 0 {
        return Ok(Mapped::from(Vec::new()));
    }
    // SAFETY: by Invariant M nobody changes or shortens the file while it is mapped; the map is
    // private to this process and read-only, and stays valid when the file is renamed or removed.
    let map = unsafe { memmap2::Mmap::map(file) }?;
    Ok(Mapped::from_map(map))
}
