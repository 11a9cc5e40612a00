//! A Parquet file in the store: its footer, and the pages that are asked for.

use crate::error::{Result, TierError};
use crate::schema::{VERSION, VERSION_KEY};
use crate::sink::{Digest, FileDigest};
use crate::store::Store;
use bytes::{Buf, Bytes};
use parquet::DecodeResult;
use parquet::basic::Type as Physical;
use parquet::column::reader::{ColumnReaderImpl, get_column_reader, get_typed_column_reader};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMask, ParquetMetaData, ParquetMetaDataPushDecoder};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;
use std::ops::Range;
use std::sync::Arc;

/// A file, with its footer read and checked.
#[derive(Debug)]
pub(crate) struct RemoteFile {
    store: Arc<Store>,
    path: String,
    footer: ParquetMetaData,
    /// First row of each row group, and behind the last the number of rows.
    first_rows: Vec<u64>,
}

impl RemoteFile {
    /// Reads the footer, and where the pages of `columns` are, by one request.
    pub async fn open(store: Arc<Store>, path: String, digest: FileDigest, columns: &[&str]) -> Result<Self> {
        let failed = |reason: String| TierError::corrupt(&path, "footer", reason);
        let bytes = digest.whole.bytes;
        let range = bytes.saturating_sub(digest.tail.bytes)..bytes;
        let tail = store.read_ranges(&path, std::slice::from_ref(&range)).await?.swap_remove(0);
        let mut found = Digest::EMPTY;
        found.update(&tail);
        if found != digest.tail {
            return Err(failed(format!("{found}, expected {}", digest.tail)));
        }
        // The schema, which tells the places of columns, is in the same footer as the places of pages: it is read twice.
        let footer = decode_footer(bytes, &tail, ColumnChunkMask::none()).map_err(failed)?;
        let schema = footer.file_metadata().schema_descr();
        let wanted: Vec<usize> = (0..schema.num_columns())
            .filter(|place| columns.contains(&schema.column(*place).path().parts()[0].as_str()))
            .collect();
        let footer = decode_footer(bytes, &tail, ColumnChunkMask::columns(wanted)).map_err(failed)?;
        let first_rows = check_footer(&path, bytes, &footer).map_err(failed)?;
        Ok(Self { store, path, footer, first_rows })
    }

    /// The path, for errors.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The footer.
    pub fn footer(&self) -> &ParquetMetaData {
        &self.footer
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.first_rows.last().copied().unwrap_or(0)
    }

    /// The rows of a row group, counted over all.
    pub fn group_rows(&self, group: usize) -> Range<u64> {
        self.first_rows[group]..self.first_rows[group + 1]
    }

    /// The row group of a row.
    pub fn group_of(&self, row: u64) -> usize {
        self.first_rows.partition_point(|first| *first <= row).saturating_sub(1)
    }

    /// The column of a name, which must have a type and levels: the readers of the library rely on that.
    pub fn column(&self, name: &str, physical: Physical, levels: (i16, i16)) -> Result<usize> {
        let schema = self.footer.file_metadata().schema_descr();
        let place = (0..schema.num_columns()).find(|place| schema.column(*place).path().parts()[0] == name);
        let place = place.ok_or_else(|| TierError::corrupt(&self.path, "schema", format!("no column {name:?}")))?;
        let found = schema.column(place);
        if found.physical_type() != physical || (found.max_def_level(), found.max_rep_level()) != levels {
            return Err(TierError::corrupt(&self.path, "schema", format!("column {name:?} has another type")));
        }
        Ok(place)
    }

    /// Bytes of the file that hold rows of columns of a row group; `rows` ascend and count within the group.
    fn ranges(&self, group: usize, columns: &[usize], rows: &[Range<u64>]) -> Vec<Range<u64>> {
        let index = self.footer.page_index_for_row_group(group);
        let group_rows = self.group_rows(group);
        let mut ranges = Vec::new();
        for column in columns {
            let (start, length) = self.footer.row_group(group).column(*column).byte_range();
            let Some(pages) = index.page_locations(*column).filter(|pages| !pages.is_empty()) else {
                ranges.push(start..start + length);
                continue;
            };
            let first = pages[0].offset as u64;
            if first > start {
                ranges.push(start..first);
            }
            let mut wanted = rows.iter().peekable();
            for (place, page) in pages.iter().enumerate() {
                let begin = page.first_row_index as u64;
                let next = pages.get(place + 1).map(|next| next.first_row_index as u64);
                let end = next.unwrap_or(group_rows.end - group_rows.start);
                while wanted.peek().is_some_and(|rows| rows.end <= begin) {
                    wanted.next();
                }
                if wanted.peek().is_some_and(|rows| rows.start < end) {
                    ranges.push(page_bytes(page));
                }
            }
        }
        ranges
    }

    /// Fetches what holds rows of columns of a row group.
    pub async fn fetch(&self, group: usize, columns: &[usize], rows: &[Range<u64>]) -> Result<Fetched<'_>> {
        let mut ranges = self.ranges(group, columns, rows);
        ranges.sort_unstable_by_key(|range| range.start);
        let parts = self.store.read_ranges(&self.path, &ranges).await?;
        let parts = ranges.into_iter().map(|range| range.start).zip(parts).collect();
        Ok(Fetched { file: self, group, parts: Arc::new(Parts { parts }) })
    }

    /// Makes an error about damage to this file.
    pub fn damaged(&self, part: &'static str) -> impl Fn(ParquetError) -> TierError + '_ {
        move |error| TierError::corrupt(&self.path, part, error)
    }
}

fn page_bytes(page: &PageLocation) -> Range<u64> {
    page.offset as u64..page.offset as u64 + page.compressed_page_size as u64
}

/// Reads the footer of a file of `bytes` bytes from its end.
pub(crate) fn decode_footer(bytes: u64, tail: &Bytes, pages_of: ColumnChunkMask) -> Result<ParquetMetaData, String> {
    let failed = |error: ParquetError| error.to_string();
    let mut decoder = ParquetMetaDataPushDecoder::try_new(bytes)
        .map_err(failed)?
        .with_column_index_mask(ColumnChunkMask::none())
        .with_offset_index_mask(pages_of);
    decoder.push_range(bytes - tail.len() as u64..bytes, tail.clone()).map_err(failed)?;
    match decoder.try_decode().map_err(failed)? {
        DecodeResult::Data(footer) => Ok(footer),
        DecodeResult::NeedsData(ranges) => Err(format!("it refers to bytes {ranges:?}, which are not in the tail")),
        DecodeResult::Finished => Err("not complete".into()),
    }
}

/// Checks what later code relies on; gives the first row of each row group and the number of rows.
pub(crate) fn check_footer(path: &str, bytes: u64, footer: &ParquetMetaData) -> Result<Vec<u64>, String> {
    let file = footer.file_metadata();
    let pairs = file.key_value_metadata().map(Vec::as_slice).unwrap_or_default();
    let version = pairs.iter().find(|pair| pair.key == VERSION_KEY).and_then(|pair| pair.value.as_deref());
    if version != Some(&*VERSION.to_string()) {
        return Err(format!("{path} has version {version:?} of the format, this release reads {VERSION}"));
    }
    let mut first_rows = vec![0u64];
    for (number, group) in footer.row_groups().iter().enumerate() {
        let rows =
            u64::try_from(group.num_rows()).map_err(|_| format!("row group {number} has a negative number of rows"))?;
        let before = first_rows.last().copied().unwrap_or(0);
        first_rows.push(before.checked_add(rows).filter(|sum| i64::try_from(*sum).is_ok()).ok_or("too many rows")?);
        let index = footer.page_index_for_row_group(number);
        for (place, column) in group.columns().iter().enumerate() {
            let fault = |what: &str| format!("row group {number}, column {place}: {what}");
            let starts = [Some(column.data_page_offset()), column.dictionary_page_offset()];
            if starts.iter().flatten().any(|start| *start < 0)
                || column.compressed_size() < 0
                || column.num_values() < 0
            {
                return Err(fault("negative place or length"));
            }
            let (start, length) = column.byte_range();
            let end =
                start.checked_add(length).filter(|end| *end <= bytes).ok_or_else(|| fault("outside of the file"))?;
            let mut at = (start, 0);
            for page in index.page_locations(place).into_iter().flatten() {
                let inside = page.offset >= 0
                    && page.compressed_page_size >= 0
                    && page.first_row_index >= 0
                    && page.offset as u64 >= at.0
                    && page.first_row_index as u64 >= at.1
                    && page_bytes(page).end <= end
                    && page.first_row_index as u64 <= rows;
                if !inside {
                    return Err(fault("a page outside of its column, or out of order"));
                }
                at = (page_bytes(page).end, page.first_row_index as u64);
            }
            let first_page = index.page_locations(place).and_then(|pages| pages.first());
            if first_page.is_some_and(|page| page.first_row_index != 0 || page.offset as u64 - start > i32::MAX as u64)
            {
                return Err(fault("its first page does not begin with the first row"));
            }
        }
    }
    if file.num_rows() as u64 != first_rows.last().copied().unwrap_or(0) {
        return Err("the rows of the row groups are not those of the file".into());
    }
    Ok(first_rows)
}

/// Parts of a row group, fetched.
pub(crate) struct Fetched<'a> {
    file: &'a RemoteFile,
    group: usize,
    parts: Arc<Parts>,
}

impl Fetched<'_> {
    /// A reader of a column, from its first row on. The column's type was checked by [`RemoteFile::column`].
    pub fn reader<T: DataType>(&self, column: usize) -> Result<Rows<T>> {
        let failed = self.file.damaged("pages");
        let group = self.file.footer.row_group(self.group);
        let index = self.file.footer.page_index_for_row_group(self.group);
        let locations = index.page_locations(column).filter(|pages| !pages.is_empty()).cloned();
        let rows = group.num_rows() as usize;
        let chunk = group.column(column);
        let pages = SerializedPageReader::new(self.parts.clone(), chunk, rows, locations).map_err(failed)?;
        let reader = get_column_reader(chunk.column_descr_ptr(), Box::new(pages));
        Ok(Rows { reader: get_typed_column_reader(reader), at: 0, path: self.file.path.clone() })
    }
}

/// The rows of a column, read forwards.
pub(crate) struct Rows<T: DataType> {
    reader: ColumnReaderImpl<T>,
    at: u64,
    path: String,
}

impl<T: DataType> Rows<T> {
    fn go_to(&mut self, row: u64) -> Result<()> {
        let damaged = |reason: String| TierError::corrupt(&self.path, "pages", reason);
        let skip = row.checked_sub(self.at).ok_or_else(|| damaged("rows are asked for backwards".into()))?;
        let skipped = self.reader.skip_records(skip as usize).map_err(|error| damaged(error.to_string()))?;
        if skipped as u64 != skip {
            return Err(damaged("fewer rows than the footer says".into()));
        }
        self.at = row;
        Ok(())
    }

    /// Appends rows of a column whose values are all there.
    pub fn read(&mut self, rows: Range<u64>, values: &mut Vec<T::T>) -> Result<()> {
        self.read_levels(rows, None, None, values)
    }

    /// Appends rows with their levels.
    pub fn read_levels(
        &mut self,
        rows: Range<u64>,
        present: Option<&mut Vec<i16>>,
        repeats: Option<&mut Vec<i16>>,
        values: &mut Vec<T::T>,
    ) -> Result<()> {
        self.go_to(rows.start)?;
        let wanted = (rows.end - rows.start) as usize;
        let (records, _, _) = self
            .reader
            .read_records(wanted, present, repeats, values)
            .map_err(|error| TierError::corrupt(&self.path, "pages", error))?;
        if records != wanted {
            return Err(TierError::corrupt(&self.path, "pages", "fewer rows than the footer says"));
        }
        self.at = rows.end;
        Ok(())
    }
}

/// Parts of a file that were fetched, ascending.
struct Parts {
    parts: Vec<(u64, Bytes)>,
}

impl Parts {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let place = self.parts.partition_point(|(first, _)| *first <= start);
        let part = place.checked_sub(1).and_then(|place| {
            let (first, bytes) = &self.parts[place];
            let skip = usize::try_from(start - first).ok().filter(|skip| *skip < bytes.len())?;
            Some(bytes.slice(skip..))
        });
        part.ok_or_else(|| ParquetError::EOF(format!("byte {start} was not fetched")))
    }
}

impl Length for Parts {
    fn len(&self) -> u64 {
        self.parts.last().map_or(0, |(start, bytes)| start + bytes.len() as u64)
    }
}

impl ChunkReader for Parts {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} were not fetched")));
        }
        Ok(bytes.slice(..length))
    }
}
