//! At the start: completes or undoes a merge that was under way when the server stopped.

use crate::EngineError;
use crate::blocks::remove::remove_block_files;
use mytsdb_blocks::{Block, BlockError, CompactionRecord, CompactionState, block_file_name};
use mytsdb_io::Disk;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Settles every record in the folder of blocks; those that are damaged are moved to `quarantine` and returned with the
/// reason. Before any block is opened.
pub(crate) fn settle(
    disk: &dyn Disk,
    blocks_dir: &Path,
    quarantine: &Path,
) -> Result<Vec<(PathBuf, String)>, EngineError> {
    let mut aside = Vec::new();
    for (path, record) in CompactionRecord::read_all(disk, blocks_dir)? {
        let doubt = match &record {
            Ok(record) => settle_one(disk, blocks_dir, record)?,
            Err(reason) => Some(format!("compaction record: {reason}")),
        };
        match (doubt, record) {
            (Some(reason), _) => aside.push((set_aside(disk, &path, quarantine)?, reason)),
            (None, Ok(record)) => record.remove(disk, blocks_dir)?,
            (None, Err(_)) => {}
        }
    }
    Ok(aside)
}

/// Removes the blocks that do not count; why that cannot be done, if so.
fn settle_one(disk: &dyn Disk, dir: &Path, record: &CompactionRecord) -> Result<Option<String>, EngineError> {
    let gone = match record.state {
        CompactionState::Pending => &record.outputs,
        CompactionState::Done => {
            for &id in &record.outputs {
                match Block::open(disk, &dir.join(block_file_name(id))).and_then(|block| block.verify()) {
                    Ok(()) => {}
                    Err(BlockError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                        return Ok(Some(format!("compaction record: block {id}, an output, is missing")));
                    }
                    Err(error @ (BlockError::Io { .. } | BlockError::UnknownVersion { .. })) => {
                        return Err(error.into());
                    }
                    Err(error) => return Ok(Some(format!("compaction record: an output is damaged: {error}"))),
                }
            }
            &record.inputs
        }
    };
    remove_block_files(disk, dir, gone)?;
    Ok(None)
}

/// Moves a file to the folder of damaged ones, which is created if missing; tells where it is now.
pub(crate) fn set_aside(disk: &dyn Disk, path: &Path, quarantine: &Path) -> Result<PathBuf, EngineError> {
    disk.create_dir_all(quarantine).map_err(|e| EngineError::io("create folder", quarantine, e))?;
    let to = quarantine.join(path.file_name().unwrap_or_default());
    disk.rename(path, &to).map_err(|e| EngineError::io("quarantine", path, e))?;
    for changed in [Some(quarantine), path.parent()].into_iter().flatten() {
        disk.sync_dir(changed).map_err(|e| EngineError::io("sync folder", changed, e))?;
    }
    Ok(to)
}
