//! What the data folder remembers of the cold tier: one small file, written whole, with a checksum.
//!
//! ```text
//! mytsdb-cold 1 0a1b2c3d          CRC-32C of what follows the line, in hexadecimal digits
//! {"node":"...","seq":7,...}      JSON, one line
//! ```

use crate::error::{ColdError, Result};
use mytsdb_io::Disk;
use mytsdb_model::TimeRange;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

const HEAD: &str = "mytsdb-cold 1 ";
const BYTES_MAX: usize = 64 << 20;

/// What must be known before the store is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// Name of this node's prefix in the store.
    pub node: String,
    /// Number of the newest manifest that is known to have been written.
    pub seq: u64,
    /// The highest number that was ever given to files.
    pub number: u64,
    /// Times of all samples of that manifest; `None` if there are none.
    pub range: Option<(i64, i64)>,
    /// A demotion that is not finished.
    pub pending: Option<Pending>,
}

/// A demotion between the moment before its manifest was written and the one when the last of its blocks was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pending {
    /// Number of the manifest that makes it count.
    pub seq: u64,
    /// Blocks whose samples it has.
    pub blocks: Vec<u64>,
    /// Names of the folders that it makes live.
    pub files: Vec<String>,
}

impl State {
    /// Times of which there are samples in the tier.
    pub fn range(&self) -> TimeRange {
        self.range.map_or(TimeRange::EMPTY, |(mint, maxt)| TimeRange::new(mint, maxt))
    }

    /// Says what a manifest has.
    pub fn set_range(&mut self, range: TimeRange) {
        self.range = (!range.is_empty()).then_some((range.mint, range.maxt));
    }

    fn encode(&self) -> Vec<u8> {
        let json = serde_json::to_string(self).expect("numbers and text are JSON") + "\n";
        format!("{HEAD}{:08x}\n{json}", crc32c::crc32c(json.as_bytes())).into_bytes()
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "not text".to_owned())?;
        let (first, json) = text.split_once('\n').ok_or("no first line")?;
        let sum = first
            .strip_prefix(HEAD)
            .ok_or("another release wrote it, or it is damaged: its first line is not known")?;
        if sum != format!("{:08x}", crc32c::crc32c(json.as_bytes())) {
            return Err("its checksum does not hold".into());
        }
        let state: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let is_name = state.node.len() == 16 && state.node.bytes().all(|b| b.is_ascii_hexdigit());
        if is_name { Ok(state) } else { Err(format!("{:?} is no name of a node", state.node)) }
    }
}

/// What a data folder knows of its cold tier.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Whereabouts {
    /// Name of the node, which its prefix in the store has.
    pub node: String,
    /// Number of the newest manifest that is known to have been written, 0 for none.
    pub seq: u64,
    /// Times of all samples of it.
    pub range: TimeRange,
    /// Blocks of a demotion that is not finished: after a crash their samples may be in both tiers until the next start.
    pub pending_blocks: Vec<u64>,
}

/// What a data folder knows of its cold tier; `None` if it never had one. Reads one small file.
///
/// # Errors
/// [`ColdError::State`] if the file is damaged, [`ColdError::Io`] if it cannot be read.
pub fn whereabouts(disk: &dyn Disk, data_dir: &Path) -> Result<Option<Whereabouts>> {
    let Some(state) = StateFile::new(data_dir).read(disk)? else { return Ok(None) };
    let range = state.range();
    let pending_blocks = state.pending.map(|pending| pending.blocks).unwrap_or_default();
    Ok(Some(Whereabouts { node: state.node, seq: state.seq, range, pending_blocks }))
}

/// Where the file is.
#[derive(Debug)]
pub(crate) struct StateFile {
    dir: PathBuf,
}

impl StateFile {
    /// That of a data folder.
    pub fn new(data_dir: &Path) -> Self {
        Self { dir: data_dir.join("cold-state") }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("state")
    }

    /// The state, if there is one.
    pub fn read(&self, disk: &dyn Disk) -> Result<Option<State>> {
        let path = self.path();
        let mapped = match disk.map(&path) {
            Ok(mapped) => mapped,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ColdError::io("read", path)(error)),
        };
        if mapped.len() > BYTES_MAX {
            let reason = format!("{} bytes, of which it has at most {BYTES_MAX}", mapped.len());
            return Err(ColdError::State { path, reason });
        }
        State::decode(&mapped).map(Some).map_err(|reason| ColdError::State { path, reason })
    }

    /// Writes the state: after a crash there is the one before or this one.
    pub fn write(&self, disk: &dyn Disk, state: &State) -> Result<()> {
        disk.create_dir_all(&self.dir).map_err(ColdError::io("create folder", &self.dir))?;
        let (path, aside) = (self.path(), self.dir.join("state.tmp"));
        let write = || -> io::Result<()> {
            let mut file = disk.create(&aside)?;
            file.append(&state.encode())?;
            file.sync_data()?;
            disk.rename(&aside, &path)?;
            disk.sync_dir(&self.dir)
        };
        write().map_err(ColdError::io("write", &path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_io::SimDisk;

    fn state() -> State {
        let pending = Some(Pending { seq: 8, blocks: vec![3, 5], files: vec!["x".into()] });
        State { node: "0123456789abcdef".into(), seq: 7, number: 11, range: Some((-5, 9)), pending }
    }

    #[test]
    fn a_state_is_read_as_it_was_written_and_the_next_replaces_it() {
        let (disk, file) = (SimDisk::new(), StateFile::new(Path::new("/data")));
        disk.create_dir_all(Path::new("/data")).unwrap();
        assert_eq!(file.read(&disk).unwrap(), None);
        let next = State { pending: None, range: None, seq: 8, ..state() };
        for state in [state(), next] {
            file.write(&disk, &state).unwrap();
            assert_eq!(file.read(&disk.crash_losing_everything_unsynced()).unwrap(), Some(state));
        }
    }

    #[test]
    fn a_state_that_is_cut_or_changed_anywhere_is_refused() {
        let sound = state().encode();
        assert_eq!(State::decode(&sound).unwrap(), state());
        for at in 0..sound.len() {
            assert!(State::decode(&sound[..at]).is_err(), "cut at {at}");
            let mut changed = sound.clone();
            changed[at] ^= 1;
            assert!(State::decode(&changed).is_err(), "changed at {at}");
        }
    }
}
