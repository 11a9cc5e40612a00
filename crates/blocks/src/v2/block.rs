//! Reads a block of version 2 from its mapped bytes. What the calls mean is said at [`Block`](crate::Block).

use super::footer::Footer;
use super::series_entry::{take_chunks, take_labels};
use super::stats;
use super::times::{TimeColumn, TimeColumns};
use crate::bytes::Take;
use crate::chunk::{ChunkData, ChunkMeta, ChunkStats, StatsPlace};
use crate::layout::Section;
use crate::{BlockError, BlockMeta};
use mytsdb_codec::ChunkEncoding;
use mytsdb_columns::Columns;
use mytsdb_index::{IndexError, PackedIndex};
use mytsdb_io::Mapped;
use mytsdb_model::{Labels, TimeRange};
use mytsdb_varint::put_uvarint;
use std::path::{Path, PathBuf};

/// Little-endian u32s of the file.
type Numbers<'a> = &'a [[u8; 4]];

#[derive(Debug)]
pub(crate) struct BlockV2 {
    path: PathBuf,
    file: Mapped,
    footer: Footer,
}

impl BlockV2 {
    pub(crate) fn open(path: &Path, file: Mapped) -> Result<Self, BlockError> {
        if let Some(version) = Footer::unknown_version(&file) {
            return Err(BlockError::UnknownVersion { path: path.to_owned(), version });
        }
        let footer = Footer::read(&file).map_err(|(offset, reason)| BlockError::Corrupt {
            path: path.to_owned(),
            section: if offset == 0 { "header" } else { "footer" },
            offset: offset as u64,
            reason,
        })?;
        let block = Self { path: path.to_owned(), file, footer };
        block.check_sections()?;
        Ok(block)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn meta(&self) -> BlockMeta {
        let Footer { id, range, series_count, chunk_count, sample_count, .. } = self.footer;
        BlockMeta { id, range, series_count, chunk_count, sample_count, bytes: self.file.len() as u64 }
    }

    /// Sizes of the sections by name, header and footer left out.
    pub(crate) fn sections(&self) -> Vec<(&'static str, u64)> {
        self.footer.sections().iter().map(|(name, section)| (*name, section.len)).collect()
    }

    pub(crate) fn labels(&self, ordinal: u32) -> Result<Labels, BlockError> {
        let (offset, entry) = self.entry(ordinal)?;
        let index = self.index()?;
        let (mut bytes, mut value) = (Vec::with_capacity(160), Vec::with_capacity(64));
        let mut put = |text: &[u8]| {
            put_uvarint(&mut bytes, text.len() as u64);
            bytes.extend_from_slice(text);
        };
        let mut result = Ok(());
        take_labels(&mut Take::new(entry), |name_number, value_number| {
            if result.is_ok() {
                result = index.name(name_number).and_then(|name| {
                    index.value_into(name_number, value_number, &mut value)?;
                    put(name.as_bytes());
                    put(&value);
                    Ok(())
                });
            }
        })
        .ok_or_else(|| self.corrupt(offset, "series entry"))?;
        result.map_err(|error| self.index_error(&error))?;
        Labels::from_bytes(&bytes).map_err(|_| self.corrupt(offset, "labels of a series"))
    }

    pub(crate) fn find(&self, labels: &Labels) -> Result<Option<u32>, BlockError> {
        let (parts, ordinals) = self.hashes()?;
        let wanted = hash_part(labels);
        let part = |at: usize| u32::from_le_bytes(parts[at]);
        // Hashes are spread evenly, so the search starts at the expected place. It goes on in doubling steps, then halves.
        let guess = ((u64::from(wanted) * parts.len() as u64) >> 32) as usize;
        let (mut low, mut high, mut step) = (guess, guess, 1);
        while low > 0 && part(low - 1) >= wanted {
            low = low.saturating_sub(step);
            step *= 2;
        }
        step = 1;
        while high < parts.len() && part(high) < wanted {
            high = (high + step).min(parts.len());
            step *= 2;
        }
        let mut at = low + parts[low..high].partition_point(|part| u32::from_le_bytes(*part) < wanted);
        while at < parts.len() && part(at) == wanted {
            let ordinal = u32::from_le_bytes(ordinals[at]);
            if self.labels(ordinal)? == *labels {
                return Ok(Some(ordinal));
            }
            at += 1;
        }
        Ok(None)
    }

    pub(crate) fn chunks_into(
        &self,
        ordinal: u32,
        range: TimeRange,
        out: &mut Vec<ChunkMeta>,
    ) -> Result<(), BlockError> {
        let entry = self.entry(ordinal)?;
        self.visit_chunks(entry, |chunk| {
            if chunk.range.overlaps(range) {
                out.push(chunk);
            }
        })
    }

    pub(super) fn visit_chunks(
        &self,
        (offset, entry): (u64, &[u8]),
        each: impl FnMut(ChunkMeta),
    ) -> Result<(), BlockError> {
        let mut take = Take::new(entry);
        let times = self.times()?;
        take_labels(&mut take, |_, _| ())
            .and_then(|()| take_chunks(&mut take, (offset, entry), times, each))
            .ok_or_else(|| self.corrupt(offset, "series entry"))
    }

    pub(crate) fn read_chunk(&self, chunk: &ChunkMeta) -> Result<ChunkData<'_>, BlockError> {
        let damaged = |reason: &str| self.damaged_chunk(chunk, reason.to_owned());
        let bytes = self.in_chunk_area(chunk.offset, chunk.bytes).ok_or_else(|| damaged("outside the chunk area"))?;
        if crc32c::crc32c(bytes) != chunk.crc32c {
            return Err(damaged("checksum"));
        }
        let times = chunk.shared_times.map(|number| self.shared_times(chunk, number)).transpose()?;
        Ok(ChunkData { encoding: chunk.encoding, times, bytes })
    }

    fn shared_times(&self, chunk: &ChunkMeta, number: u32) -> Result<&[u8], BlockError> {
        let damaged = |reason: &str| self.damaged_chunk(chunk, reason.to_owned());
        let column = self.times()?.get(number).ok_or_else(|| damaged("entry of its time column"))?;
        let bytes = self.in_chunk_area(column.offset, column.bytes);
        let bytes = bytes.ok_or_else(|| damaged("its time column is outside the chunk area"))?;
        if crc32c::crc32c(bytes) != column.crc32c {
            return Err(damaged("checksum of its time column"));
        }
        Ok(bytes)
    }

    pub(crate) fn chunk_stats(&self, chunk: &ChunkMeta) -> Result<Option<ChunkStats>, BlockError> {
        match chunk.stats {
            StatsPlace::Nowhere => Ok(None),
            StatsPlace::Stored { offset, bytes } => {
                let at = offset as usize;
                let stats = self.file.get(at..at + usize::from(bytes));
                let stats = stats.and_then(|stats| stats::take(stats, chunk.sample_count));
                stats.map(Some).ok_or_else(|| self.corrupt(offset, "statistics of a chunk"))
            }
            StatsPlace::OneValue => {
                let value = self.one_value(chunk)?;
                let value = value.filter(|value| !value.is_nan());
                let value = value.ok_or_else(|| self.damaged_chunk(chunk, "not of one value".to_owned()))?;
                Ok(Some(ChunkStats { first: value, last: value, min: value, max: value, resets: 0 }))
            }
        }
    }

    /// The value of a chunk that has one.
    fn one_value(&self, chunk: &ChunkMeta) -> Result<Option<f64>, BlockError> {
        let data = self.read_chunk(chunk)?;
        let fault = |error: mytsdb_codec::CodecError| self.damaged_chunk(chunk, error.to_string());
        if chunk.encoding == ChunkEncoding::Dx.number()
            && let Some(value) = data.dx().and_then(|dx| dx.same_value()).map_err(fault)?
        {
            return Ok(Some(value));
        }
        let mut columns = Columns::default();
        data.decode(&mut columns).map_err(fault)?;
        let values = columns.values;
        let same = values.iter().all(|value| value.to_bits() == values[0].to_bits());
        Ok(values.first().copied().filter(|_| same))
    }

    pub(crate) fn damaged_chunk(&self, chunk: &ChunkMeta, reason: String) -> BlockError {
        BlockError::DamagedChunk { path: self.path.clone(), offset: chunk.offset, reason }
    }

    pub(super) fn in_chunk_area(&self, offset: u64, bytes: u32) -> Option<&[u8]> {
        let area = self.footer.chunks;
        let end = offset.checked_add(bytes.into())?;
        (offset >= area.offset && end <= area.end()).then(|| &self.file[offset as usize..end as usize])
    }

    pub(crate) fn footer(&self) -> &Footer {
        &self.footer
    }

    pub(super) fn file(&self) -> &[u8] {
        &self.file
    }

    pub(super) fn section(&self, section: Section) -> &[u8] {
        &self.file[section.range()]
    }

    pub(crate) fn index(&self) -> Result<PackedIndex<'_>, BlockError> {
        PackedIndex::new(self.section(self.footer.index)).map_err(|error| self.index_error(&error))
    }

    pub(super) fn times(&self) -> Result<TimeColumns<'_>, BlockError> {
        let times = self.footer.times;
        TimeColumns::new(self.section(times)).ok_or_else(|| self.corrupt(times.offset, "size of the section"))
    }

    /// Parts of hashes, ascending, and the ordinals they belong to; as many as there are series.
    pub(super) fn hashes(&self) -> Result<(Numbers<'_>, Numbers<'_>), BlockError> {
        let hashes = self.footer.hashes;
        let (all, rest) = self.section(hashes).as_chunks::<4>();
        let series_count = self.footer.series_count as usize;
        if !rest.is_empty() || all.len() != 2 * series_count {
            return Err(self.corrupt(hashes.offset, "size of the section"));
        }
        Ok(all.split_at(series_count))
    }

    /// Offset in the file and bytes of a series' entry.
    pub(super) fn entry(&self, ordinal: u32) -> Result<(u64, &[u8]), BlockError> {
        let series_count = self.footer.series_count;
        if ordinal >= series_count {
            return Err(BlockError::UnknownSeries { ordinal, series_count });
        }
        let section = self.section(self.footer.series);
        let starts_bytes = 4 * (series_count as usize + 1);
        let split = section.len().checked_sub(starts_bytes).map(|at| section.split_at(at));
        let damage = || self.corrupt(self.footer.series.offset, "series entries");
        let (entries, starts) = split.ok_or_else(damage)?;
        let (starts, _) = starts.as_chunks::<4>();
        let start = |index: usize| starts.get(index).map(|start| u32::from_le_bytes(*start) as usize);
        let bounds = start(ordinal as usize).zip(start(ordinal as usize + 1));
        let (from, to) = bounds.ok_or_else(damage)?;
        let entry = entries.get(from..to).ok_or_else(damage)?;
        Ok((self.footer.series.offset + from as u64, entry))
    }

    pub(super) fn column(&self, number: u32) -> Result<TimeColumn, BlockError> {
        let offset = self.footer.times.offset + (super::times::COLUMN_BYTES as u64) * u64::from(number);
        self.times()?.get(number).ok_or_else(|| self.corrupt(offset, "entry of a time column"))
    }

    pub(crate) fn corrupt(&self, offset: u64, reason: &'static str) -> BlockError {
        let sections = self.footer.sections();
        let section = sections.iter().find(|(_, section)| (section.offset..section.end()).contains(&offset));
        let outside = if offset < self.footer.chunks.offset { "header" } else { "footer" };
        let section = section.map_or(outside, |(name, _)| name);
        BlockError::Corrupt { path: self.path.clone(), section, offset, reason }
    }

    pub(crate) fn index_error(&self, error: &IndexError) -> BlockError {
        match *error {
            IndexError::Corrupt { offset, reason, .. } => self.corrupt(self.footer.index.offset + offset, reason),
            IndexError::Canceled(canceled) => canceled.into(),
            _ => self.corrupt(self.footer.index.offset, "index"),
        }
    }
}

/// What the hash section keeps of a series.
pub(super) fn hash_part(labels: &Labels) -> u32 {
    (labels.hash64() >> 32) as u32
}
