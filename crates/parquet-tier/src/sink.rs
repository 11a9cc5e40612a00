//! Where a file goes: any writer, with its length and checksum.

use crate::error::Result;
use crate::numbers::file_properties;
use crate::runs::Chunk;
use crate::schema::{FileKind, VERSION, VERSION_KEY};
use crate::{Day, TierError};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{SchemaDescPtr, TypePtr};
use std::io::{self, Write};
use std::sync::Arc;

/// Length and CRC-32C of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    /// Its length.
    pub bytes: u64,
    /// CRC-32C of all of it.
    pub crc32c: u32,
}

impl Digest {
    /// That of nothing.
    pub(crate) const EMPTY: Self = Self { bytes: 0, crc32c: 0 };

    /// Takes more bytes of the file.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes with CRC-32C {:08x}", self.bytes, self.crc32c)
    }
}

/// What is known of a file: all of it, and its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileDigest {
    /// The whole file.
    pub whole: Digest,
    /// Its last bytes, from the end of the last row group on: indexes of pages and footer. Whoever opens the file reads
    /// them by one request and knows that they are right.
    pub tail: Digest,
}

/// A writer that knows what went through it.
#[derive(Debug)]
pub(crate) struct Summed<W> {
    inner: W,
    whole: Digest,
    tail: Digest,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.whole.update(&bytes[..written]);
        self.tail.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A file of the tier that is being written, a row group at a time.
pub(crate) struct FileWriter<W: Write + Send> {
    file: SerializedFileWriter<Summed<W>>,
}

impl<W: Write + Send> FileWriter<W> {
    /// Begins a file. `sorting` names the columns by which its rows ascend, `footer` what stands in the footer beside the
    /// version and the day.
    pub fn new(
        inner: W,
        schema: TypePtr,
        kind: FileKind,
        day: Day,
        sorting: &[usize],
        footer: Vec<(&str, String)>,
    ) -> Result<Self> {
        let own =
            [(VERSION_KEY, VERSION.to_string()), ("mytsdb.file", kind.name().into()), ("mytsdb.day", day.to_string())];
        let pairs = own.into_iter().chain(footer).map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect();
        let sorting: Vec<SortingColumn> = sorting
            .iter()
            .map(|column| SortingColumn { column_idx: *column as i32, descending: false, nulls_first: false })
            .collect();
        let properties = file_properties()
            .set_key_value_metadata(Some(pairs))
            .set_sorting_columns((!sorting.is_empty()).then_some(sorting))
            .build();
        let sink = Summed { inner, whole: Digest::EMPTY, tail: Digest::EMPTY };
        Ok(Self { file: SerializedFileWriter::new(sink, schema, Arc::new(properties))? })
    }

    /// The columns of a schema.
    pub fn columns(schema: &TypePtr) -> SchemaDescPtr {
        Arc::new(parquet::schema::types::SchemaDescriptor::new(schema.clone()))
    }

    /// Appends a row group of all columns, in the order of the schema.
    pub fn append(&mut self, chunks: Vec<Chunk>) -> Result<()> {
        let mut group = self.file.next_row_group()?;
        for (bytes, result) in chunks {
            group.append_column(&bytes, result)?;
        }
        group.close()?;
        Ok(())
    }

    /// Writes the footer; gives back the writer, and what went through it.
    pub fn finish(mut self) -> Result<(W, FileDigest)> {
        self.file.flush().map_err(TierError::io("flush a file"))?;
        self.file.inner_mut().tail = Digest::EMPTY;
        let mut sink = self.file.into_inner()?;
        sink.flush().map_err(TierError::io("flush a file"))?;
        Ok((sink.inner, FileDigest { whole: sink.whole, tail: sink.tail }))
    }
}
