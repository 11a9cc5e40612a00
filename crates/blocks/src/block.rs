//! A published block of any version.

use crate::BlockError;
use crate::chunk::{ChunkData, ChunkMeta, ChunkStats, is_plain};
use crate::layout::{checked_version, claimed_version};
use crate::v1::{self, BlockV1};
use crate::v2::{self, BlockV2};
use mytsdb_codec::{ChunkEncoding, CodecError};
use mytsdb_columns::{Columns, HistogramTable};
use mytsdb_index::{IndexError, TextList};
use mytsdb_io::Disk;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use std::path::Path;

/// What a block says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockMeta {
    /// The id, as in the file's name.
    pub id: u64,
    /// From the first to the last sample; empty without samples.
    pub range: TimeRange,
    /// Series, each with at least one chunk.
    pub series_count: u32,
    /// Chunks of all series.
    pub chunk_count: u64,
    /// Samples of all chunks.
    pub sample_count: u64,
    /// Size of the file.
    pub bytes: u64,
}

/// A published block. Everything is read from the mapped file; on the heap there is only its path.
///
/// Series are known by their ordinals, which ascend with their labels.
#[derive(Debug)]
pub struct Block(Version);

#[derive(Debug)]
enum Version {
    V1(BlockV1),
    V2(BlockV2),
}

/// The same call on whichever version it is.
macro_rules! either {
    ($block:expr, $inner:ident => $call:expr) => {
        match &$block.0 {
            Version::V1($inner) => $call,
            Version::V2($inner) => $call,
        }
    };
}

impl Block {
    /// Maps a block and checks the checksums of everything but the chunks: some 0.1 ms per MB of it; version 1 also
    /// the order, about 1 ms per 2 MB.
    ///
    /// # Errors
    /// [`BlockError::Io`]; [`BlockError::Corrupt`]; [`BlockError::UnknownVersion`] if the header holds and has another version.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<Self, BlockError> {
        let file = disk.map(path).map_err(|source| BlockError::Io { path: path.to_owned(), op: "map", source })?;
        if let Some(version) = checked_version(&file).filter(|version| ![v1::VERSION, v2::VERSION].contains(version)) {
            return Err(BlockError::UnknownVersion { path: path.to_owned(), version });
        }
        Ok(Self(if claimed_version(&file) == Some(v2::VERSION) {
            Version::V2(BlockV2::open(path, file)?)
        } else {
            Version::V1(BlockV1::open(path, file)?)
        }))
    }

    /// The times of a block that may be damaged, if its header and footer hold.
    pub fn claimed_range(disk: &dyn Disk, path: &Path) -> Option<TimeRange> {
        let file = disk.map(path).ok()?;
        match claimed_version(&file)? {
            v2::VERSION => v2::Footer::read(&file).ok().map(|footer| footer.range),
            _ => v1::Footer::read(&file).ok().map(|footer| footer.range),
        }
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        either!(self, block => block.path())
    }

    /// Id, time range and counts.
    pub fn meta(&self) -> BlockMeta {
        either!(self, block => block.meta())
    }

    /// Whether a block written now would be of a later version.
    pub fn is_outdated(&self) -> bool {
        matches!(self.0, Version::V1(_))
    }

    /// Sizes of the parts of the file by name, header and footer left out.
    pub fn sections(&self) -> Vec<(&'static str, u64)> {
        either!(self, block => block.sections())
    }

    /// Reads the whole file and checks it: every checksum, the order of series and postings, the sums in the footer.
    ///
    /// Cost: the file is read once, about 1 us per series on top.
    ///
    /// # Errors
    /// [`BlockError::Corrupt`] or [`BlockError::DamagedChunk`], naming the first damage found.
    pub fn verify(&self) -> Result<(), BlockError> {
        either!(self, block => block.verify())
    }

    /// The ordinals of the series that satisfy every matcher, ascending; no matchers: all series.
    ///
    /// # Errors
    /// [`BlockError::Corrupt`]; [`BlockError::Canceled`], as all that take a stop sign.
    pub fn select(&self, matchers: &[Matcher], stop: StopSign<'_>) -> Result<Vec<u32>, BlockError> {
        either!(self, block => self.indexed(block.index()?.select(matchers, stop)))
    }

    /// The labels of a series. Cost: one allocation, some 50 ns per label.
    ///
    /// # Errors
    /// [`BlockError::UnknownSeries`], [`BlockError::Corrupt`].
    pub fn labels(&self, ordinal: u32) -> Result<Labels, BlockError> {
        either!(self, block => block.labels(ordinal))
    }

    /// The ordinal of the series with exactly these labels. Cost: a look into a table of hashes, and a comparison of the
    /// labels if it is there; in version 1 a binary search that builds a label set a step.
    ///
    /// # Errors
    /// [`BlockError::Corrupt`].
    pub fn find(&self, labels: &Labels) -> Result<Option<u32>, BlockError> {
        either!(self, block => block.find(labels))
    }

    /// The chunks of a series that overlap `range`, in the writer's order.
    ///
    /// # Errors
    /// [`BlockError::UnknownSeries`], [`BlockError::Corrupt`].
    pub fn chunks(&self, ordinal: u32, range: TimeRange) -> Result<Vec<ChunkMeta>, BlockError> {
        let mut out = Vec::new();
        self.chunks_into(ordinal, range, &mut out)?;
        Ok(out)
    }

    /// The same, behind what `out` holds: for a reader that visits many series.
    ///
    /// # Errors
    /// As [`chunks`](Self::chunks); then `out` may hold chunks that are not to be used.
    pub fn chunks_into(&self, ordinal: u32, range: TimeRange, out: &mut Vec<ChunkMeta>) -> Result<(), BlockError> {
        either!(self, block => block.chunks_into(ordinal, range, out))
    }

    /// The bytes of a chunk of this block, their checksums verified.
    ///
    /// # Errors
    /// [`BlockError::DamagedChunk`]: other chunks may be sound. [`BlockError::Corrupt`].
    pub fn read_chunk(&self, chunk: &ChunkMeta) -> Result<ChunkData<'_>, BlockError> {
        either!(self, block => block.read_chunk(chunk))
    }

    /// Whether every sample that can be read is a float without a start time. Cost: none.
    pub fn is_plain(&self) -> bool {
        match &self.0 {
            Version::V1(_) => true,
            Version::V2(block) => block.footer().is_plain,
        }
    }

    /// Appends the samples of a chunk of this block, each kind in strictly ascending time.
    ///
    /// # Errors
    /// As [`read_chunk`](Self::read_chunk), also if the samples are not those that the block says the chunk has;
    /// [`BlockError::UnknownEncoding`]. Then `out` has the samples that it had.
    pub fn read_samples(&self, chunk: &ChunkMeta, out: &mut Columns) -> Result<(), BlockError> {
        self.read_samples_within(chunk, TimeRange::ALL, out)
    }

    /// Appends at least the samples of a chunk of this block in a range, each kind in strictly ascending time. Samples outside come with it only
    /// where leaving them out would save nothing.
    ///
    /// # Errors
    /// As [`read_samples`](Self::read_samples), but that of samples outside of the range only their number and times are looked at.
    pub fn read_samples_within(
        &self,
        chunk: &ChunkMeta,
        range: TimeRange,
        out: &mut Columns,
    ) -> Result<(), BlockError> {
        let data = self.read_chunk(chunk)?;
        let (path, offset) = (|| self.path().to_owned(), chunk.offset);
        let damaged = |reason: String| BlockError::DamagedChunk { path: path(), offset, reason };
        if self.is_plain() && !is_plain(chunk.encoding) {
            return Err(BlockError::UnknownEncoding { path: path(), offset, encoding: chunk.encoding });
        }
        let mark = out.mark();
        let found = if range.encloses(chunk.range) { data.decode(out) } else { data.decode_within(range, out) };
        let found = found.map_err(|error| match error {
            CodecError::UnknownEncoding { number } => {
                BlockError::UnknownEncoding { path: path(), offset, encoding: number }
            }
            error => damaged(error.to_string()),
        })?;
        if found != (chunk.range, chunk.sample_count as usize) {
            out.truncate(mark);
            return Err(damaged("other samples than the block says".to_owned()));
        }
        Ok(())
    }

    /// Appends the samples of a chunk of this block that are in a range as rows of a table; tells whether it did. It does so for chunks of
    /// histograms.
    ///
    /// # Errors
    /// As [`read_samples`](Self::read_samples); then the table has no meaning.
    pub fn read_table(
        &self,
        chunk: &ChunkMeta,
        range: TimeRange,
        out: &mut HistogramTable,
    ) -> Result<bool, BlockError> {
        if !matches!(ChunkEncoding::from_number(chunk.encoding), Ok(ChunkEncoding::Histogram)) || self.is_plain() {
            return Ok(false);
        }
        let data = self.read_chunk(chunk)?;
        let damaged =
            |reason: String| BlockError::DamagedChunk { path: self.path().to_owned(), offset: chunk.offset, reason };
        let before = out.len();
        let histograms = data.histograms().map_err(|error| damaged(error.to_string()))?;
        histograms.decode_table(range, out).map_err(|error| damaged(error.to_string()))?;
        let times = &out.timestamps_ms()[before..];
        let read = times.first().zip(times.last()).map(|(first, last)| TimeRange::new(*first, *last));
        let is_whole = range.encloses(chunk.range);
        let fits =
            if is_whole { read == Some(chunk.range) } else { read.is_none_or(|read| chunk.range.encloses(read)) };
        if !fits || histograms.sample_count() != chunk.sample_count as usize {
            return Err(damaged("other samples than the block says".to_owned()));
        }
        Ok(true)
    }

    /// Appends the times of a chunk of this block, ascending, without decoding its values; tells whether it did. It does not
    /// for XOR chunks, which have no column of times, and for unknown encodings.
    ///
    /// # Errors
    /// As [`read_samples`](Self::read_samples); then `out` has the times that it had.
    pub fn read_times(&self, chunk: &ChunkMeta, out: &mut Vec<i64>) -> Result<bool, BlockError> {
        let encoding = ChunkEncoding::from_number(chunk.encoding);
        if matches!(encoding, Err(_) | Ok(ChunkEncoding::Xor)) {
            return Ok(false);
        }
        let data = self.read_chunk(chunk)?;
        let (path, offset) = (|| self.path().to_owned(), chunk.offset);
        let damaged = |reason: String| BlockError::DamagedChunk { path: path(), offset, reason };
        let before = out.len();
        data.dx().and_then(|dx| dx.decode_times(out)).map_err(|error| damaged(error.to_string()))?;
        let times = &out[before..];
        let ends = times.first().zip(times.last());
        if ends != Some((&chunk.range.mint, &chunk.range.maxt)) || times.len() != chunk.sample_count as usize {
            out.truncate(before);
            return Err(damaged("other times than the block says".to_owned()));
        }
        Ok(true)
    }

    /// Statistics of the values of a chunk of this block, if they are known without decoding it: for chunks of 16
    /// samples or more without a NaN, and for chunks of one value. Version 1 has none.
    ///
    /// # Errors
    /// [`BlockError::Corrupt`], [`BlockError::DamagedChunk`].
    pub fn chunk_stats(&self, chunk: &ChunkMeta) -> Result<Option<ChunkStats>, BlockError> {
        match &self.0 {
            Version::V1(_) => Ok(None),
            Version::V2(block) => block.chunk_stats(chunk),
        }
    }

    /// Whether any series has a label of this name. Cost: a binary search among the names.
    ///
    /// # Errors
    /// [`BlockError::Corrupt`].
    pub fn has_label_name(&self, name: &str) -> Result<bool, BlockError> {
        either!(self, block => self.indexed(block.index()?.has_label_name(name)))
    }

    /// Every label name, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_names(&self, stop: StopSign<'_>) -> Result<TextList, BlockError> {
        match &self.0 {
            Version::V1(block) => self.indexed(block.index()?.label_names(stop).map(TextList::from_iter)),
            Version::V2(block) => self.indexed(block.index()?.label_names(stop)),
        }
    }

    /// The label names of the series in `among`, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_names_of(&self, among: &[u32], stop: StopSign<'_>) -> Result<TextList, BlockError> {
        match &self.0 {
            Version::V1(block) => self.indexed(block.index()?.label_names_of(among, stop).map(TextList::from_iter)),
            Version::V2(block) => self.indexed(block.index()?.label_names_of(among, stop)),
        }
    }

    /// Every value of `name`, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_values(&self, name: &str, stop: StopSign<'_>) -> Result<TextList, BlockError> {
        match &self.0 {
            Version::V1(block) => self.indexed(block.index()?.label_values(name, stop).map(TextList::from_iter)),
            Version::V2(block) => self.indexed(block.index()?.label_values(name, stop)),
        }
    }

    /// The values of `name` among the series in `among`, sorted.
    ///
    /// # Errors
    /// As [`select`](Self::select).
    pub fn label_values_of(&self, name: &str, among: &[u32], stop: StopSign<'_>) -> Result<TextList, BlockError> {
        match &self.0 {
            Version::V1(block) => {
                self.indexed(block.index()?.label_values_of(name, among, stop).map(TextList::from_iter))
            }
            Version::V2(block) => self.indexed(block.index()?.label_values_of(name, among, stop)),
        }
    }

    fn indexed<T>(&self, answer: Result<T, IndexError>) -> Result<T, BlockError> {
        answer.map_err(|error| either!(self, block => block.index_error(&error)))
    }

    /// Checks that what was opened is what was written.
    pub(crate) fn expect_footer(&self, written: &v2::Footer) -> Result<(), BlockError> {
        match &self.0 {
            Version::V2(block) if block.footer() == written => Ok(()),
            _ => Err(either!(self, block => block.corrupt(0, "read back other than written"))),
        }
    }
}
