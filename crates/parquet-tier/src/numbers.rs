//! Columns of numbers: encoded by the `parquet` library, with the encoding that a trial finds smallest.

use crate::error::Result;
use crate::pages::Pages;
use crate::runs::Chunk;
use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::{get_column_writer, get_typed_column_writer};
use parquet::data_type::{ByteArray, ByteArrayType, DataType};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use parquet::schema::types::ColumnDescPtr;
use std::sync::Arc;

/// Bytes of a page before it is compressed.
const PAGE_BYTES: usize = 1 << 20;
/// Rows of a page. Times that are packed well would otherwise all be in one page, which reading one series unpacks.
pub(crate) const PAGE_ROWS: usize = 1 << 17;
/// Columns longer than this are tried on parts.
const TRIAL_ROWS: usize = 1 << 16;
/// Parts of a trial.
const TRIAL_PARTS: usize = 8;

/// The ways in which columns are encoded.
#[derive(Debug)]
pub(crate) struct Encodings {
    delta: WriterPropertiesPtr,
    split: WriterPropertiesPtr,
    plain: WriterPropertiesPtr,
    dictionary: WriterPropertiesPtr,
    text: WriterPropertiesPtr,
    blobs: WriterPropertiesPtr,
}

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Candidates {
    /// Times: differences, split bytes, plain.
    Times,
    /// Values: plain, split bytes, dictionary.
    Values,
    /// Numbers that repeat or are small: a dictionary, differences.
    Integers,
}

/// What a file is written with, beside what is set for each column.
pub(crate) fn file_properties() -> parquet::file::properties::WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_created_by(format!("mytsdb version {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3).expect("3 is a level of zstd")))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_data_page_size_limit(PAGE_BYTES)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(8192)
}

impl Encodings {
    pub fn new() -> Self {
        Self::with_pages_of(PAGE_ROWS)
    }

    /// Pages of numbers end after so many rows.
    pub fn with_pages_of(rows: usize) -> Self {
        let file_properties =
            || file_properties().set_data_page_row_count_limit(rows).set_write_batch_size(rows.min(8192));
        let with = |encoding: Encoding| {
            Arc::new(file_properties().set_dictionary_enabled(false).set_encoding(encoding).build())
        };
        // Blobs are large: after each few the page is looked at.
        let blobs =
            file_properties().set_dictionary_enabled(false).set_encoding(Encoding::PLAIN).set_write_batch_size(16);
        Self {
            blobs: Arc::new(blobs.build()),
            delta: with(Encoding::DELTA_BINARY_PACKED),
            split: with(Encoding::BYTE_STREAM_SPLIT),
            plain: with(Encoding::PLAIN),
            dictionary: Arc::new(file_properties().set_dictionary_enabled(true).build()),
            text: Arc::new(
                // Every page of a column of labels is encoded by dictionary: other readers rely on it.
                file_properties().set_dictionary_enabled(true).set_dictionary_page_size_limit(usize::MAX).build(),
            ),
        }
    }

    /// Encodes an optional column of texts, all by dictionary.
    pub fn texts<'a>(&self, descr: &ColumnDescPtr, rows: impl Iterator<Item = Option<&'a str>>) -> Result<Chunk> {
        let mut levels = Vec::new();
        let mut values = Vec::new();
        for row in rows {
            levels.push(i16::from(row.is_some()));
            values.extend(row.map(ByteArray::from));
        }
        encode::<ByteArrayType>(descr, &self.text, &values, Some((&levels, None)))
    }

    /// Encodes a column of bytes without a dictionary.
    pub fn bytes(&self, descr: &ColumnDescPtr, values: &[ByteArray]) -> Result<Chunk> {
        encode::<ByteArrayType>(descr, &self.plain, values, None)
    }

    /// Encodes a column of bytes, kilobytes each, without a dictionary.
    pub fn blobs(&self, descr: &ColumnDescPtr, values: &[ByteArray]) -> Result<Chunk> {
        encode::<ByteArrayType>(descr, &self.blobs, values, None)
    }

    /// Encodes a column of values that are all there, in the way in which a sample of it is smallest.
    pub fn smallest<T: DataType>(
        &self,
        descr: &ColumnDescPtr,
        values: &[T::T],
        candidates: Candidates,
    ) -> Result<Chunk> {
        let tried: &[&WriterPropertiesPtr] = match candidates {
            Candidates::Times => &[&self.delta, &self.split, &self.plain],
            Candidates::Values => &[&self.plain, &self.split, &self.dictionary],
            Candidates::Integers => &[&self.dictionary, &self.delta],
        };
        if values.len() <= TRIAL_ROWS {
            let mut best: Option<Chunk> = None;
            for properties in tried {
                let chunk = encode::<T>(descr, properties, values, None)?;
                if best.as_ref().is_none_or(|best| chunk.0.len() < best.0.len()) {
                    best = Some(chunk);
                }
            }
            return Ok(best.expect("there are candidates"));
        }
        let part = TRIAL_ROWS / TRIAL_PARTS;
        let step = (values.len() - part) / (TRIAL_PARTS - 1);
        let sample: Vec<T::T> =
            (0..TRIAL_PARTS).flat_map(|n| values[n * step..n * step + part].iter().cloned()).collect();
        let mut best = (usize::MAX, tried[0]);
        for properties in tried {
            let bytes = encode::<T>(descr, properties, &sample, None)?.0.len();
            if bytes < best.0 {
                best = (bytes, properties);
            }
        }
        encode::<T>(descr, best.1, values, None)
    }

    /// Encodes a column with levels, in the way in which it is smallest; `values` are those that are there.
    pub fn smallest_with_levels<T: DataType>(
        &self,
        descr: &ColumnDescPtr,
        values: &[T::T],
        levels: (&[i16], Option<&[i16]>),
    ) -> Result<Chunk> {
        let by_dictionary = encode::<T>(descr, &self.dictionary, values, Some(levels))?;
        let plain = encode::<T>(descr, &self.plain, values, Some(levels))?;
        Ok(if plain.0.len() < by_dictionary.0.len() { plain } else { by_dictionary })
    }
}

fn encode<T: DataType>(
    descr: &ColumnDescPtr,
    properties: &WriterPropertiesPtr,
    values: &[T::T],
    levels: Option<(&[i16], Option<&[i16]>)>,
) -> Result<Chunk> {
    let mut bytes = Vec::new();
    let pages = Box::new(Pages::new(&mut bytes));
    let mut writer = get_typed_column_writer::<T>(get_column_writer(descr.clone(), properties.clone(), pages));
    writer.write_batch(values, levels.map(|levels| levels.0), levels.and_then(|levels| levels.1))?;
    let result = writer.close()?;
    Ok((Bytes::from(bytes), result))
}
