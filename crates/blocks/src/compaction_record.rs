//! The file that says which blocks replace which, `docs/format/compaction-record.md`.

use crate::BlockError;
use crate::block_file::UNPUBLISHED_SUFFIX;
use crate::bytes::Take;
use mytsdb_io::Disk;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

const MAGIC: [u8; 8] = *b"mytscmp\0";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 24;
const CRC_BYTES: usize = 4;

/// Whether what a record says has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum CompactionState {
    /// The outputs do not count: they may be missing or cut off.
    Pending = 1,
    /// All outputs are whole and durable, and the inputs do not count.
    Done = 2,
}

/// Blocks that are going to replace others, or have done so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionRecord {
    /// The record's own id, after which its file is named.
    pub id: u64,
    /// Which of the two.
    pub state: CompactionState,
    /// Ids of the new blocks, ascending; none if nothing is left of the old ones.
    pub outputs: Vec<u64>,
    /// Ids of the blocks that they replace, ascending.
    pub inputs: Vec<u64>,
}

impl CompactionRecord {
    /// Most blocks on either side.
    pub const BLOCKS_MAX: usize = 1 << 16;

    /// The path of the record in the folder of blocks.
    pub fn path(&self, dir: &Path) -> PathBuf {
        dir.join(file_name(self.id))
    }

    /// Makes the record durable in `dir`; one of the same id that is there is replaced in one step.
    ///
    /// # Errors
    /// [`BlockError::Io`]; then the record may or may not be there after a power cut.
    ///
    /// # Panics
    /// If the ids do not ascend, are too many, or are both output and input.
    pub fn publish(&self, disk: &dyn Disk, dir: &Path) -> Result<(), BlockError> {
        let bytes = self.encode();
        assert_eq!(decode(self.id, &bytes).as_ref(), Ok(self), "a record that can be read");
        let path = self.path(dir);
        let unpublished = dir.join(file_name(self.id) + UNPUBLISHED_SUFFIX);
        let write = || -> io::Result<()> {
            let mut file = disk.create(&unpublished)?;
            file.append(&bytes)?;
            file.sync_data()?;
            disk.rename(&unpublished, &path)?;
            disk.sync_dir(dir)
        };
        write().map_err(|error| {
            // This only frees space: a file with this name is ignored.
            disk.remove(&unpublished).ok();
            io_error(&path, "write")(error)
        })
    }

    /// Removes the record, durably; that it is gone already is no error.
    ///
    /// # Errors
    /// [`BlockError::Io`].
    pub fn remove(&self, disk: &dyn Disk, dir: &Path) -> Result<(), BlockError> {
        remove(disk, &self.path(dir))?;
        disk.sync_dir(dir).map_err(io_error(dir, "sync directory"))
    }

    /// Reads the records of `dir`, ascending by id: each with its path, or why it cannot be trusted. Removes those that
    /// were never published. For startup, before any writer runs.
    ///
    /// # Errors
    /// [`BlockError::Io`]; [`BlockError::UnknownVersion`] of one that a later release wrote.
    #[expect(clippy::type_complexity, reason = "a path and a result")]
    pub fn read_all(disk: &dyn Disk, dir: &Path) -> Result<Vec<(PathBuf, Result<Self, &'static str>)>, BlockError> {
        let mut records = Vec::new();
        for name in disk.list(dir).map_err(io_error(dir, "list"))? {
            let path = dir.join(&name);
            if let Some(id) = parse_file_name(&name) {
                let bytes = disk.map(&path).map_err(io_error(&path, "read"))?;
                if let Some(version) = version_of(&bytes).filter(|&version| version != VERSION) {
                    return Err(BlockError::UnknownVersion { path, version });
                }
                records.push((path, decode(id, &bytes)));
            } else if name.strip_suffix(UNPUBLISHED_SUFFIX).is_some_and(|name| parse_file_name(name).is_some()) {
                remove(disk, &path)?;
            }
        }
        Ok(records)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + 8 * (self.outputs.len() + self.inputs.len()) + CRC_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(self.outputs.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.inputs.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.state as u32).to_le_bytes());
        for id in self.outputs.iter().chain(&self.inputs) {
            out.extend_from_slice(&id.to_le_bytes());
        }
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }
}

/// The version of a record whose checksum holds.
fn version_of(bytes: &[u8]) -> Option<u32> {
    let (fields, crc) = bytes.split_last_chunk::<CRC_BYTES>()?;
    let holds = crc32c::crc32c(fields).to_le_bytes() == *crc;
    let rest = fields.strip_prefix(&MAGIC).filter(|_| holds)?;
    Take::new(rest).u32()
}

fn decode(id: u64, bytes: &[u8]) -> Result<CompactionRecord, &'static str> {
    let (fields, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or("too short")?;
    if crc32c::crc32c(fields).to_le_bytes() != *crc {
        return Err("checksum");
    }
    let (magic, rest) = fields.split_first_chunk().ok_or("too short")?;
    if *magic != MAGIC {
        return Err("not a compaction record");
    }
    let mut take = Take::new(rest);
    if take.u32().ok_or("too short")? != VERSION {
        return Err("version not supported");
    }
    let outputs = take.u32().ok_or("too short")? as usize;
    let inputs = take.u32().ok_or("too short")? as usize;
    let state = match take.u32().ok_or("too short")? {
        1 => CompactionState::Pending,
        2 => CompactionState::Done,
        _ => return Err("state"),
    };
    if outputs > CompactionRecord::BLOCKS_MAX || !(1..=CompactionRecord::BLOCKS_MAX).contains(&inputs) {
        return Err("counts");
    }
    let mut ids = |count: usize| (0..count).map(|_| take.u64()).collect::<Option<Vec<u64>>>();
    let outputs = ids(outputs).ok_or("size")?;
    let inputs = ids(inputs).ok_or("size")?;
    if !take.is_empty() {
        return Err("size");
    }
    let ascend = |ids: &[u64]| ids.is_sorted_by(|a, b| a < b);
    if !ascend(&outputs) || !ascend(&inputs) || outputs.iter().any(|id| inputs.binary_search(id).is_ok()) {
        return Err("ids");
    }
    Ok(CompactionRecord { id, state, outputs, inputs })
}

fn file_name(id: u64) -> String {
    format!("c-{id:016x}.rec")
}

fn parse_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("c-")?.strip_suffix(".rec")?;
    let id = u64::from_str_radix(digits, 16).ok()?;
    (file_name(id) == name).then_some(id)
}

fn remove(disk: &dyn Disk, path: &Path) -> Result<(), BlockError> {
    match disk.remove(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io_error(path, "remove")(error)),
        _ => Ok(()),
    }
}

fn io_error(path: &Path, op: &'static str) -> impl FnOnce(io::Error) -> BlockError {
    move |source| BlockError::Io { path: path.to_owned(), op, source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_io::SimDisk;

    fn record() -> CompactionRecord {
        CompactionRecord { id: 9, state: CompactionState::Pending, outputs: vec![9, 10], inputs: vec![1, 4, 7] }
    }

    #[test]
    fn a_record_is_read_back_or_refused_whatever_byte_is_changed_or_missing() {
        let bytes = record().encode();
        assert_eq!(decode(9, &bytes), Ok(record()));
        for at in 0..bytes.len() {
            assert!(decode(9, &bytes[..at]).is_err());
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(decode(9, &damaged).is_err(), "byte {at}");
            }
        }
    }

    #[test]
    fn what_is_valid_but_makes_no_sense_is_refused() {
        for (outputs, inputs) in [(vec![2, 1], vec![3]), (vec![1], vec![]), (vec![1], vec![1]), (vec![], vec![2, 2])] {
            let record = CompactionRecord { id: 0, state: CompactionState::Done, outputs, inputs };
            assert!(decode(0, &record.encode()).is_err(), "{record:?}");
        }
        let none = CompactionRecord { id: 0, state: CompactionState::Done, outputs: vec![], inputs: vec![2] };
        assert_eq!(decode(0, &none.encode()), Ok(none));
    }

    #[test]
    fn a_record_is_there_from_its_publication_to_its_removal() {
        let (disk, dir) = (SimDisk::new(), Path::new("/blocks"));
        disk.create_dir_all(dir).unwrap();
        let read = |disk: &SimDisk| {
            let all = CompactionRecord::read_all(disk, dir).unwrap();
            all.into_iter().map(|(_, record)| record.unwrap()).collect::<Vec<_>>()
        };
        record().publish(&disk, dir).unwrap();
        assert_eq!(read(&disk.crash_losing_everything_unsynced()), [record()]);
        let done = CompactionRecord { state: CompactionState::Done, outputs: vec![10], ..record() };
        done.publish(&disk, dir).unwrap();
        assert_eq!(read(&disk.crash_losing_everything_unsynced()), [done]);
        record().remove(&disk, dir).unwrap();
        record().remove(&disk, dir).unwrap();
        assert_eq!(read(&disk.crash_losing_everything_unsynced()), []);
        disk.create(&dir.join("c-0000000000000009.rec.tmp")).unwrap();
        assert_eq!(read(&disk), []);
        assert!(disk.list(dir).unwrap().is_empty(), "what was not published is removed");
    }
}
