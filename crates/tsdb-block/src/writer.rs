//! Writes a block, series by series, into a folder that gets the block's name when it is whole.

use crate::chunk_files::ChunkFiles;
use crate::error::{Result, TsdbBlockError};
use crate::file::File;
use crate::index::{self, SeriesEntry};
use crate::meta::{self, Counts, Details};
use mytsdb_codec::{PrometheusEncoding, encode_prometheus};
use mytsdb_columns::Columns;
use mytsdb_io::Disk;
use mytsdb_model::{Labels, TimeRange};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Behind the name of a block that is not whole; Prometheus removes what is called so.
const UNFINISHED: &str = ".tmp-for-creation";

/// A block that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Its folder.
    pub path: PathBuf,
    /// Times of its first and last sample.
    pub range: TimeRange,
    /// Its series.
    pub series: u64,
    /// Its samples, histograms included.
    pub samples: u64,
    /// Native histograms among them.
    pub histograms: u64,
    /// Bytes of all files.
    pub bytes: u64,
}

/// A block that is being written. Dropped before its end it leaves a folder whose name ends in `.tmp-for-creation`.
pub struct BlockWriter {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    ulid: String,
    chunks: ChunkFiles,
    series: Vec<SeriesEntry>,
    counts: Counts,
    range: TimeRange,
}

impl BlockWriter {
    /// Begins a block below a folder, which is made if need be.
    ///
    /// # Errors
    /// [`TsdbBlockError::BadName`], [`TsdbBlockError::Exists`], [`TsdbBlockError::Io`].
    pub fn create(disk: Arc<dyn Disk>, dir: &Path, ulid: &str) -> Result<Self> {
        let is_digit = |b: u8| b.is_ascii_digit() || (b.is_ascii_uppercase() && !b"ILOU".contains(&b));
        if ulid.len() != 26 || !ulid.bytes().all(is_digit) || ulid.as_bytes()[0] > b'7' {
            return Err(TsdbBlockError::BadName { name: ulid.to_owned() });
        }
        for path in [dir.join(ulid), dir.join(format!("{ulid}{UNFINISHED}"))] {
            if disk.exists(&path).map_err(TsdbBlockError::io("look for", &path))? {
                return Err(TsdbBlockError::Exists { path });
            }
        }
        let chunks = ChunkFiles::create(disk.clone(), &dir.join(format!("{ulid}{UNFINISHED}")))?;
        let (series, counts) = (Vec::new(), Counts::default());
        Ok(Self { disk, dir: dir.to_owned(), ulid: ulid.to_owned(), chunks, series, counts, range: TimeRange::EMPTY })
    }

    fn unfinished(&self) -> PathBuf {
        self.dir.join(format!("{}{UNFINISHED}", self.ulid))
    }

    /// Adds a series, whose labels come after those of the one before; one without samples is left out. Start times are not
    /// kept. Holds its labels, and some 24 bytes a chunk, until the end.
    ///
    /// # Errors
    /// [`TsdbBlockError::SeriesOutOfOrder`], [`TsdbBlockError::Samples`], [`TsdbBlockError::Io`].
    pub fn push(&mut self, labels: &Labels, columns: &Columns) -> Result<()> {
        if columns.is_empty() {
            return Ok(());
        }
        if let Some(last) = self.series.last()
            && last.labels >= *labels
        {
            let (before, labels) = (last.labels.to_string(), labels.to_string());
            return Err(TsdbBlockError::SeriesOutOfOrder { before, labels });
        }
        let mut entry = SeriesEntry { labels: labels.clone(), chunks: Vec::new() };
        encode_prometheus(columns, |chunk| {
            entry.chunks.push((chunk.range, self.chunks.push(&chunk)?));
            self.range = self.range.cover(chunk.range);
            let kind = if chunk.encoding == PrometheusEncoding::Xor {
                &mut self.counts.floats
            } else {
                &mut self.counts.histograms
            };
            *kind += u64::from(chunk.samples);
            Ok::<_, TsdbBlockError>(())
        })?;
        self.counts.chunks += entry.chunks.len() as u64;
        self.counts.series += 1;
        self.series.push(entry);
        Ok(())
    }

    /// Writes the index and what the block is, and gives the folder its name: after a crash it is there whole or not at
    /// all. `None` for a block without samples, of which nothing is left.
    ///
    /// # Errors
    /// [`TsdbBlockError::Io`], [`TsdbBlockError::TooMuch`].
    pub fn finish(self, details: &Details) -> Result<Option<Written>> {
        let (unfinished, target) = (self.unfinished(), self.dir.join(&self.ulid));
        let Self { disk, dir, ulid, chunks, series, counts, range } = self;
        if series.is_empty() {
            for path in [unfinished.join("chunks"), unfinished] {
                disk.remove(&path).map_err(TsdbBlockError::io("remove", &path))?;
            }
            return Ok(None);
        }
        let lengths = chunks.finish()?;
        let mut files: Vec<(String, u64)> =
            lengths.into_iter().enumerate().map(|(number, bytes)| (ChunkFiles::name(number), bytes)).collect();
        files.push(("index".to_owned(), index::write(&*disk, &unfinished.join("index"), &series)?));
        let mut meta = File::create(&*disk, &unfinished.join("meta.json"))?;
        meta.put(&meta::encode(&ulid, range, counts, details, &files))?;
        let bytes = files.iter().map(|(_, bytes)| bytes).sum::<u64>() + meta.finish()?;
        disk.sync_dir(&unfinished).map_err(TsdbBlockError::io("sync folder", &unfinished))?;
        disk.rename(&unfinished, &target).map_err(TsdbBlockError::io("rename", &unfinished))?;
        disk.sync_dir(&dir).map_err(TsdbBlockError::io("sync folder", &dir))?;
        let samples = counts.floats + counts.histograms;
        let (series, histograms) = (counts.series, counts.histograms);
        Ok(Some(Written { path: target, range, series, samples, histograms, bytes }))
    }
}

impl std::fmt::Debug for BlockWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockWriter").field("path", &self.dir.join(&self.ulid)).finish_non_exhaustive()
    }
}
