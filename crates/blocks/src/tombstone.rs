//! A deletion that is durable: which samples of which series are hidden, `docs/format/tombstone.md`.

use crate::BlockError;
use crate::block_file::UNPUBLISHED_SUFFIX;
use crate::bytes::Take;
use mytsdb_io::Disk;
use mytsdb_model::{Labels, MatchOp, Matcher, TimeRange};
use std::io::{self, ErrorKind};
use std::path::Path;

const MAGIC: [u8; 8] = *b"mytstmb\0";
const VERSION: u32 = 1;
const CRC_BYTES: usize = 4;
/// Bytes of a matcher at least: operator and two lengths.
const MATCHER_BYTES_MIN: usize = 9;

/// Hides samples of the series that satisfy all matchers of one of the selectors.
#[derive(Debug, Clone)]
pub struct Tombstone {
    /// Its own id, after which its file is named.
    pub id: u64,
    /// It hides what is in blocks of lower ids.
    pub blocks_below: u64,
    /// It hides what is in segments of the log of lower ids, and in checkpoints of ids up to this.
    pub segments_below: u64,
    /// Times of the samples that are hidden.
    pub range: TimeRange,
    /// At least one.
    pub selectors: Vec<Vec<Matcher>>,
}

impl Tombstone {
    /// Largest file, in bytes.
    pub const BYTES_MAX: usize = 16 << 20;

    /// Whether it is about a series. Cost: that of its matchers.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.selectors.iter().any(|matchers| matchers.iter().all(|matcher| matcher.matches_labels(labels)))
    }

    /// Makes it durable in the existing directory `dir`.
    ///
    /// # Errors
    /// [`BlockError::TooLarge`]; [`BlockError::Io`], then it may or may not be there after a power cut.
    pub fn publish(&self, disk: &dyn Disk, dir: &Path) -> Result<(), BlockError> {
        let bytes = self.encode();
        if bytes.len() > Self::BYTES_MAX {
            return Err(BlockError::TooLarge { what: "the selectors of a deletion" });
        }
        let path = dir.join(file_name(self.id));
        let unpublished = dir.join(file_name(self.id) + UNPUBLISHED_SUFFIX);
        let write = || -> io::Result<()> {
            let mut file = disk.create(&unpublished)?;
            file.append(&bytes)?;
            file.sync_data()?;
            disk.rename(&unpublished, &path)?;
            disk.sync_dir(dir)
        };
        write().map_err(|source| {
            // Best effort: the caller hears an error, so the deletion should not take effect later.
            disk.remove(&unpublished).ok();
            disk.remove(&path).ok();
            BlockError::Io { path, op: "write", source }
        })
    }

    /// Removes its file, durably.
    ///
    /// # Errors
    /// [`BlockError::Io`].
    pub fn remove(&self, disk: &dyn Disk, dir: &Path) -> Result<(), BlockError> {
        let path = dir.join(file_name(self.id));
        match disk.remove(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(BlockError::Io { path, op: "remove", source });
            }
            _ => {}
        }
        let dir = dir.to_owned();
        disk.sync_dir(&dir).map_err(|source| BlockError::Io { path: dir, op: "sync directory", source })
    }

    /// Reads all of a directory, ascending by id. Removes those that were never published.
    ///
    /// # Errors
    /// [`BlockError::Io`]; [`BlockError::UnknownVersion`] of one that a later release wrote; [`BlockError::Corrupt`] for one
    /// that cannot be believed: what is hidden cannot be told then.
    pub fn read_all(disk: &dyn Disk, dir: &Path) -> Result<Vec<Self>, BlockError> {
        let io = |op, path: &Path| {
            let path = path.to_owned();
            move |source| BlockError::Io { path, op, source }
        };
        let mut all = Vec::new();
        for name in disk.list(dir).map_err(io("list", dir))? {
            let path = dir.join(&name);
            if let Some(id) = parse_file_name(&name) {
                let bytes = disk.map(&path).map_err(io("read", &path))?;
                if let Some(version) = version_of(&bytes).filter(|&version| version != VERSION) {
                    return Err(BlockError::UnknownVersion { path, version });
                }
                let tombstone = Self::decode(id, &bytes);
                all.push(tombstone.map_err(|(offset, reason)| BlockError::Corrupt {
                    path,
                    section: "tombstone",
                    offset: offset as u64,
                    reason,
                })?);
            } else if name.strip_suffix(UNPUBLISHED_SUFFIX).is_some_and(|name| parse_file_name(name).is_some()) {
                disk.remove(&path).map_err(io("remove", &path))?;
            }
        }
        Ok(all)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(self.selectors.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.id.to_le_bytes());
        out.extend_from_slice(&self.blocks_below.to_le_bytes());
        out.extend_from_slice(&self.segments_below.to_le_bytes());
        out.extend_from_slice(&self.range.mint.to_le_bytes());
        out.extend_from_slice(&self.range.maxt.to_le_bytes());
        for selector in &self.selectors {
            out.extend_from_slice(&(selector.len() as u32).to_le_bytes());
            for matcher in selector {
                out.push(number_of(matcher.op()));
                for text in [matcher.name(), matcher.value()] {
                    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
                    out.extend_from_slice(text.as_bytes());
                }
            }
        }
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(id: u64, bytes: &[u8]) -> Result<Self, (usize, &'static str)> {
        let (fields, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or((0, "too short"))?;
        if crc32c::crc32c(fields).to_le_bytes() != *crc {
            return Err((fields.len(), "checksum"));
        }
        let mut take = Take::new(fields);
        let at = |take: &Take<'_>| fields.len() - take.rest().len();
        if take.array() != Some(MAGIC) {
            return Err((0, "not a tombstone"));
        }
        if take.u32() != Some(VERSION) {
            return Err((8, "version not supported"));
        }
        let count = take.u32().filter(|&count| count > 0).ok_or((12, "number of selectors"))?;
        if take.u64() != Some(id) {
            return Err((16, "id other than that of the file"));
        }
        let head = (|| Some((take.u64()?, take.u64()?, TimeRange::new(take.i64()?, take.i64()?))))();
        let (blocks_below, segments_below, range) = head.ok_or((24, "too short"))?;
        let mut selectors = Vec::new();
        for _ in 0..count {
            let selector = Self::take_selector(&mut take).map_err(|reason| (at(&take), reason))?;
            selectors.push(selector);
        }
        if !take.is_empty() {
            return Err((at(&take), "bytes behind the selectors"));
        }
        Ok(Self { id, blocks_below, segments_below, range, selectors })
    }

    fn take_selector(take: &mut Take<'_>) -> Result<Vec<Matcher>, &'static str> {
        let count = take.u32().ok_or("too short")? as usize;
        if count > take.rest().len() / MATCHER_BYTES_MIN {
            return Err("number of matchers");
        }
        let mut matchers = Vec::with_capacity(count);
        for _ in 0..count {
            let op = take.u8().and_then(op_of).ok_or("operator of a matcher")?;
            let mut text = || {
                let len = take.u32().ok_or("too short")? as usize;
                let text = take.rest().get(..len).ok_or("length of a text")?;
                take.skip(len).ok_or("length of a text")?;
                String::from_utf8(text.to_vec()).map_err(|_| "text of a matcher")
            };
            let (name, value) = (text()?, text()?);
            matchers.push(Matcher::new(op, name, value).map_err(|_| "pattern of a matcher")?);
        }
        Ok(matchers)
    }
}

/// The version of a tombstone whose checksum holds.
fn version_of(bytes: &[u8]) -> Option<u32> {
    let (fields, crc) = bytes.split_last_chunk::<CRC_BYTES>()?;
    let holds = crc32c::crc32c(fields).to_le_bytes() == *crc;
    let rest = fields.strip_prefix(&MAGIC).filter(|_| holds)?;
    Take::new(rest).u32()
}

fn number_of(op: MatchOp) -> u8 {
    match op {
        MatchOp::Equal => 0,
        MatchOp::NotEqual => 1,
        MatchOp::Regex => 2,
        MatchOp::NotRegex => 3,
    }
}

fn op_of(number: u8) -> Option<MatchOp> {
    [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex].get(usize::from(number)).copied()
}

fn file_name(id: u64) -> String {
    format!("t-{id:016x}.tomb")
}

fn parse_file_name(name: &str) -> Option<u64> {
    let id = u64::from_str_radix(name.strip_prefix("t-")?.strip_suffix(".tomb")?, 16).ok()?;
    (file_name(id) == name).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_io::SimDisk;

    fn tombstone() -> Tombstone {
        let matcher = |op, name: &str, value: &str| Matcher::new(op, name, value).unwrap();
        Tombstone {
            id: 3,
            blocks_below: 17,
            segments_below: 5,
            range: TimeRange::new(-1_000, 1_700_000_000_000),
            selectors: vec![
                vec![matcher(MatchOp::Equal, "__name__", "up"), matcher(MatchOp::Regex, "job", "a|b.*")],
                vec![matcher(MatchOp::NotEqual, "ü", ""), matcher(MatchOp::NotRegex, "x", ".+")],
            ],
        }
    }

    fn text(tombstone: &Tombstone) -> String {
        format!("{tombstone:?}")
    }

    #[test]
    fn a_tombstone_is_read_back_or_refused_whatever_byte_is_changed_or_missing() {
        let bytes = tombstone().encode();
        assert_eq!(text(&Tombstone::decode(3, &bytes).unwrap()), text(&tombstone()));
        assert!(Tombstone::decode(4, &bytes).is_err());
        for at in 0..bytes.len() {
            assert!(Tombstone::decode(3, &bytes[..at]).is_err());
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            assert!(Tombstone::decode(3, &damaged).is_err(), "byte {at}");
        }
    }

    #[test]
    fn lengths_and_numbers_that_make_no_sense_are_refused_with_a_valid_checksum() {
        let sound = tombstone().encode();
        let fields = sound.len() - CRC_BYTES;
        for at in 12..fields {
            for value in [0, 1, 0x7f, 0xff] {
                let mut changed = sound[..fields].to_vec();
                changed[at] = value;
                let crc = crc32c::crc32c(&changed);
                changed.extend_from_slice(&crc.to_le_bytes());
                // Read or refused, but never more than the file has.
                if let Ok(read) = Tombstone::decode(3, &changed) {
                    assert!(read.selectors.len() <= 2);
                }
            }
        }
    }

    #[test]
    fn it_is_there_from_its_publication_to_its_removal() {
        let (disk, dir) = (SimDisk::new(), Path::new("/tombstones"));
        disk.create_dir_all(dir).unwrap();
        let count = |disk: &SimDisk| Tombstone::read_all(disk, dir).unwrap().len();
        tombstone().publish(&disk, dir).unwrap();
        let crashed = disk.crash_losing_everything_unsynced();
        assert_eq!(text(&Tombstone::read_all(&crashed, dir).unwrap()[0]), text(&tombstone()));
        tombstone().remove(&disk, dir).unwrap();
        assert_eq!(count(&disk.crash_losing_everything_unsynced()), 0);
        disk.create(&dir.join("t-0000000000000003.tomb.tmp")).unwrap();
        assert_eq!(count(&disk), 0);
        disk.create(&dir.join("t-0000000000000003.tomb")).unwrap();
        assert!(matches!(Tombstone::read_all(&disk, dir), Err(BlockError::Corrupt { .. })));
    }
}
