//! What a cached chunk is a copy of.

/// The samples of one series in one immutable file. Two that are not the same samples have different keys, for ever: files are never
/// changed, their names are never used again, and the checksum tells files apart whose names somebody has used again all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkKey {
    /// The name of the file.
    pub file: u128,
    /// What is known of its content, such as checksums.
    pub checksum: u64,
    /// Where the samples are in it.
    pub row: u64,
}

impl ChunkKey {
    /// Size on disk.
    pub(crate) const BYTES: usize = 32;

    /// As it is on disk.
    pub(crate) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..16].copy_from_slice(&self.file.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.checksum.to_le_bytes());
        bytes[24..].copy_from_slice(&self.row.to_le_bytes());
        bytes
    }

    /// From the disk.
    pub(crate) fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| bytes[at + i]));
        let file = u128::from_le_bytes(std::array::from_fn(|i| bytes[i]));
        Self { file, checksum: word(16), row: word(24) }
    }
}
