//! Names of block files, and what an interrupted writer leaves.

use crate::BlockError;
use mytsdb_io::Disk;
use std::io::ErrorKind;
use std::path::Path;

/// What a block's file is called until it is published: its name and this.
pub(crate) const UNPUBLISHED_SUFFIX: &str = ".tmp";

/// `b-<id>.blk`, the id as 16 hexadecimal digits, so that names sort as ids do.
pub fn block_file_name(id: u64) -> String {
    format!("b-{id:016x}.blk")
}

/// The id in a name that [`block_file_name`] made.
pub fn parse_block_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("b-")?.strip_suffix(".blk")?;
    let id = u64::from_str_radix(digits, 16).ok()?;
    // Only the one spelling: no sign, no upper case, no missing zeros.
    (block_file_name(id) == name).then_some(id)
}

/// The ids of the published blocks in `dir`, ascending.
///
/// # Errors
/// [`BlockError::Io`].
pub fn list_blocks(disk: &dyn Disk, dir: &Path) -> Result<Vec<u64>, BlockError> {
    let mut ids: Vec<u64> = list(disk, dir)?.iter().filter_map(|name| parse_block_file_name(name)).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// Removes block files in `dir` that were never published (`b-<id>.blk.tmp`); returns their names. For startup, before
/// any writer runs. Everything else in `dir` is left alone.
///
/// # Errors
/// [`BlockError::Io`].
pub fn sweep_unpublished(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>, BlockError> {
    let mut swept = list(disk, dir)?;
    swept
        .retain(|name| name.strip_suffix(UNPUBLISHED_SUFFIX).is_some_and(|name| parse_block_file_name(name).is_some()));
    for name in &swept {
        let path = dir.join(name);
        match disk.remove(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(BlockError::Io { path, op: "remove", source });
            }
            _ => {}
        }
    }
    if !swept.is_empty() {
        disk.sync_dir(dir).map_err(|source| BlockError::Io { path: dir.to_owned(), op: "sync directory", source })?;
    }
    Ok(swept)
}

fn list(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>, BlockError> {
    disk.list(dir).map_err(|source| BlockError::Io { path: dir.to_owned(), op: "list", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_spelling_is_a_block() {
        assert_eq!(block_file_name(0x2a), "b-000000000000002a.blk");
        assert_eq!(parse_block_file_name("b-000000000000002a.blk"), Some(42));
        for name in ["b-2a.blk", "b-000000000000002A.blk", "b-+00000000000002a.blk", "b-000000000000002a.blk.tmp", "x"]
        {
            assert_eq!(parse_block_file_name(name), None, "{name}");
        }
    }
}
