//! A segment of L2 as bytes: entries, and a table that says what they are copies of.
//!
//! ```text
//!  header   0 magic | 8 version u32 | 12 zero u32 | 16 number u64 | 24 zero u32 | 28 crc u32
//!  entries  one behind the other
//!  table    row: 0 key (file u128, checksum u64, row u64) | 32 offset u32 | 36 size u32 | 40 crc u32 | 44 zero u32
//!  footer   0 table offset u64 | 8 entries u32 | 12 crc of the table u32 | 16 zero u32 | 20 crc u32 | 24 magic
//! ```

use crate::error::CacheError;
use crate::key::ChunkKey;

const MAGIC: [u8; 8] = *b"mytscch\0";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 32;
const ROW_BYTES: usize = ChunkKey::BYTES + 16;
const FOOTER_BYTES: usize = 32;

/// The largest file.
pub(crate) const SEGMENT_BYTES_MAX: usize = 64 << 20;

const _: () = assert!(ROW_BYTES == 48 && HEADER_BYTES == FOOTER_BYTES);
const _: () = assert!(SEGMENT_BYTES_MAX <= u32::MAX as usize);

/// Where an entry is in a segment, and its checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryRow {
    /// What it is a copy of.
    pub key: ChunkKey,
    /// Where it begins.
    pub offset: u32,
    /// Its size in bytes.
    pub size: u32,
    /// CRC-32C of the key and the entry.
    pub crc32c: u32,
}

impl EntryRow {
    /// The bytes of the entry in a segment, if the checksum holds.
    ///
    /// # Errors
    /// [`CacheError::Damaged`].
    pub fn verify<'a>(&self, segment: &'a [u8]) -> Result<&'a [u8], CacheError> {
        let (from, size) = (self.offset as usize, self.size as usize);
        let damaged = |reason| CacheError::damaged("entry", from, reason);
        let bytes = segment.get(from..).and_then(|rest| rest.get(..size)).ok_or_else(|| damaged("it is cut off"))?;
        if checksum(&self.key, bytes) != self.crc32c {
            return Err(damaged("its checksum does not hold"));
        }
        Ok(bytes)
    }

    fn to_bytes(self) -> [u8; ROW_BYTES] {
        let mut bytes = [0; ROW_BYTES];
        bytes[..32].copy_from_slice(&self.key.to_bytes());
        bytes[32..36].copy_from_slice(&self.offset.to_le_bytes());
        bytes[36..40].copy_from_slice(&self.size.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.crc32c.to_le_bytes());
        bytes
    }
}

fn checksum(key: &ChunkKey, entry: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&key.to_bytes()), entry)
}

/// A segment that is being filled.
#[derive(Debug)]
pub struct SegmentWriter {
    number: u64,
    bytes: Vec<u8>,
    rows: Vec<EntryRow>,
}

impl SegmentWriter {
    /// An empty segment with a number.
    pub fn new(number: u64) -> Self {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        Self { number, bytes, rows: Vec::new() }
    }

    /// Its number.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Appends an entry of at least one byte; `None` if the file would be larger than it may be.
    pub fn push(&mut self, key: ChunkKey, entry: &[u8]) -> Option<EntryRow> {
        if entry.is_empty() || self.file_bytes() + entry.len() + ROW_BYTES > SEGMENT_BYTES_MAX {
            return None;
        }
        let row =
            EntryRow { key, offset: self.bytes.len() as u32, size: entry.len() as u32, crc32c: checksum(&key, entry) };
        self.bytes.extend_from_slice(entry);
        self.rows.push(row);
        Some(row)
    }

    /// Header and entries so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The entries so far.
    pub fn rows(&self) -> &[EntryRow] {
        &self.rows
    }

    /// Size of the file if it were finished now.
    pub fn file_bytes(&self) -> usize {
        self.bytes.len() + self.rows.len() * ROW_BYTES + FOOTER_BYTES
    }

    /// The file, and its entries.
    pub fn finish(mut self) -> (Vec<u8>, Vec<EntryRow>) {
        let table_at = self.bytes.len();
        for row in &self.rows {
            self.bytes.extend_from_slice(&row.to_bytes());
        }
        let table_crc = crc32c::crc32c(&self.bytes[table_at..]);
        let footer_at = self.bytes.len();
        self.bytes.extend_from_slice(&(table_at as u64).to_le_bytes());
        self.bytes.extend_from_slice(&(self.rows.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&table_crc.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        let crc = crc32c::crc32c(&self.bytes[footer_at..]);
        self.bytes.extend_from_slice(&crc.to_le_bytes());
        self.bytes.extend_from_slice(&MAGIC);
        (self.bytes, self.rows)
    }
}

/// What a segment says it has.
#[derive(Debug)]
pub struct SegmentTable {
    /// Its entries, in the order of their offsets.
    pub rows: Vec<EntryRow>,
}

impl SegmentTable {
    /// Reads header, footer and table of a file, which must be those of this number. Entries are checked by [`EntryRow::verify`].
    ///
    /// # Errors
    /// [`CacheError::Damaged`] unless every checksum and every range holds.
    pub fn read(file: &[u8], number: u64) -> Result<Self, CacheError> {
        check_header(file, number)?;
        let footer_at = file.len().checked_sub(FOOTER_BYTES).filter(|at| *at >= HEADER_BYTES);
        let footer_at = footer_at.ok_or_else(|| CacheError::damaged("footer", 0, "the file is too short for one"))?;
        let footer = &file[footer_at..];
        let damaged = |reason| CacheError::damaged("footer", footer_at, reason);
        if footer[24..] != MAGIC || crc32c::crc32c(&footer[..20]) != word(footer, 20) {
            return Err(damaged("its checksum does not hold"));
        }
        let table_at = u64::from(word(footer, 0)) | u64::from(word(footer, 4)) << 32;
        let table_at = usize::try_from(table_at).map_err(|_| damaged("the table is outside of the file"))?;
        let table = file.get(table_at..footer_at).filter(|_| table_at >= HEADER_BYTES);
        let table = table.ok_or_else(|| damaged("the table is outside of the file"))?;
        let (rows, rest) = table.as_chunks::<ROW_BYTES>();
        if !rest.is_empty() || rows.is_empty() || rows.len() != word(footer, 8) as usize || word(footer, 16) != 0 {
            return Err(damaged("its counts do not hold"));
        }
        let damaged = |reason| CacheError::damaged("table", table_at, reason);
        if crc32c::crc32c(table) != word(footer, 12) {
            return Err(damaged("its checksum does not hold"));
        }
        let mut end = HEADER_BYTES as u64;
        let mut read = Vec::with_capacity(rows.len());
        for row in rows {
            let key = ChunkKey::from_bytes(&std::array::from_fn(|i| row[i]));
            let (offset, size) = (word(row, 32), word(row, 36));
            if u64::from(offset) != end || size == 0 || word(row, 44) != 0 {
                return Err(damaged("an entry is not behind the one before it"));
            }
            end += u64::from(size);
            read.push(EntryRow { key, offset, size, crc32c: word(row, 40) });
        }
        if end != table_at as u64 {
            return Err(damaged("the entries do not end where it begins"));
        }
        Ok(Self { rows: read })
    }
}

fn check_header(file: &[u8], number: u64) -> Result<(), CacheError> {
    let damaged = |reason| CacheError::damaged("header", 0, reason);
    if file.len() > SEGMENT_BYTES_MAX {
        return Err(damaged("the file is larger than any of this format"));
    }
    let header = file.get(..HEADER_BYTES).ok_or_else(|| damaged("it is cut off"))?;
    if header[..8] != MAGIC || crc32c::crc32c(&header[..28]) != word(header, 28) {
        return Err(damaged("its checksum does not hold"));
    }
    if word(header, 8) != VERSION {
        return Err(damaged("another version"));
    }
    let found = u64::from(word(header, 16)) | u64::from(word(header, 20)) << 32;
    if found != number || word(header, 12) != 0 || word(header, 24) != 0 {
        return Err(damaged("another number than the file's name has"));
    }
    Ok(())
}

/// A number of 32 bits in bytes that have it.
fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|i| bytes[at + i]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(row: u64) -> ChunkKey {
        ChunkKey { file: 0x0123_4567_89ab_cdef_0011_2233_4455_6677, checksum: 99, row }
    }

    fn segment() -> (Vec<u8>, Vec<EntryRow>) {
        let mut writer = SegmentWriter::new(7);
        for (row, entry) in [(0, &b"first"[..]), (1, b"second"), (7, b"3")] {
            writer.push(key(row), entry).unwrap();
        }
        let bytes = writer.file_bytes();
        let (file, rows) = writer.finish();
        assert_eq!(file.len(), bytes);
        (file, rows)
    }

    /// What can be had of a file.
    fn read(file: &[u8]) -> Vec<(ChunkKey, Vec<u8>)> {
        let Ok(table) = SegmentTable::read(file, 7) else { return Vec::new() };
        table.rows.iter().filter_map(|row| Some((row.key, row.verify(file).ok()?.to_vec()))).collect()
    }

    #[test]
    fn a_segment_is_read_as_it_was_written() {
        let (file, rows) = segment();
        assert_eq!(SegmentTable::read(&file, 7).unwrap().rows, rows);
        let expected = [(key(0), b"first".to_vec()), (key(1), b"second".to_vec()), (key(7), b"3".to_vec())];
        assert_eq!(read(&file), expected);
        assert!(SegmentTable::read(&file, 8).is_err(), "the name of another segment");
    }

    #[test]
    fn whatever_is_flipped_or_cut_off_nothing_wrong_is_read() {
        let (file, _) = segment();
        let sound = read(&file);
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut damaged = file.clone();
                damaged[at] ^= 1 << bit;
                let found = read(&damaged);
                assert!(found.len() < sound.len(), "bit {bit} of byte {at} changed nothing");
                assert!(found.iter().all(|entry| sound.contains(entry)), "bit {bit} of byte {at} changed an entry");
            }
            assert!(read(&file[..at]).is_empty(), "the first {at} bytes");
        }
    }

    #[test]
    fn an_entry_is_not_taken_for_another() {
        let (file, rows) = segment();
        let wrong = EntryRow { key: key(8), ..rows[0] };
        assert!(wrong.verify(&file).is_err());
        assert!(EntryRow { offset: u32::MAX, ..rows[0] }.verify(&file).is_err());
    }

    #[test]
    fn a_segment_takes_no_more_than_it_may_and_no_entry_of_nothing() {
        let mut writer = SegmentWriter::new(1);
        assert_eq!(writer.push(key(1), &[]), None);
        assert_eq!(writer.push(key(1), &vec![0; SEGMENT_BYTES_MAX]), None);
        assert!(writer.rows().is_empty());
    }
}
