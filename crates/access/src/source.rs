//! The file and those it names, read at one time: their bytes, and whether anything changed.

use crate::AccessError;
use ring::digest::{Context, SHA256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Longest file that is read: certificates with all that sign them are some ten thousand bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads files and keeps a fingerprint of all of them.
pub(crate) struct Source {
    fingerprint: Context,
}

impl Source {
    pub(crate) fn new() -> Self {
        Self { fingerprint: Context::new(&SHA256) }
    }

    pub(crate) fn read(&mut self, path: &Path) -> Result<Vec<u8>, AccessError> {
        let result = read(path);
        match &result {
            Ok(bytes) => {
                self.fingerprint.update(&(bytes.len() as u64).to_le_bytes());
                self.fingerprint.update(bytes);
            }
            // A file that comes to be, or goes, is a change too.
            Err(_) => self.fingerprint.update(&u64::MAX.to_le_bytes()),
        }
        result
    }

    /// Differs if any of the files differs.
    pub(crate) fn fingerprint(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.fingerprint.finish().as_ref());
        bytes
    }
}

fn read(path: &Path) -> Result<Vec<u8>, AccessError> {
    let failed = |source| AccessError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    open(path).map_err(failed)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(AccessError::TooLong { path: path.to_owned(), bytes_max: FILE_BYTES_MAX });
    }
    Ok(bytes)
}

#[expect(clippy::disallowed_methods, reason = "files of a person, which are not stored data")]
fn open(path: &Path) -> std::io::Result<File> {
    File::open(path)
}
