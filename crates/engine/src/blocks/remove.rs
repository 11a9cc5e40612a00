//! How block files leave the disk: the one place that removes them.

use crate::EngineError;
use mytsdb_blocks::block_file_name;
use mytsdb_io::Disk;
use std::io::ErrorKind;
use std::path::Path;

/// Removes the files of blocks, those that are there, durably.
///
/// # Errors
/// [`EngineError::Io`]; some may be gone then, and the next call removes the others.
pub(super) fn remove_block_files(disk: &dyn Disk, dir: &Path, ids: &[u64]) -> Result<(), EngineError> {
    for &id in ids {
        let path = dir.join(block_file_name(id));
        match disk.remove(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(EngineError::io("remove", path, error)),
            _ => {}
        }
    }
    disk.sync_dir(dir).map_err(|e| EngineError::io("sync folder", dir, e))
}
