//! Pages as bytes, each with a checksum in its header.
//!
//! The `parquet` library checks the CRC-32 of a page, and writes none. The header is Thrift's compact protocol.
//!
//! | field of `PageHeader` | |
//! |---|---|
//! | 1 type | 0 data, 2 dictionary |
//! | 2, 3 bytes | before and after compression, without the header |
//! | 4 crc | CRC-32 (that of gzip) of the page as it is stored |
//! | 5 data page | 1 values, 2 encoding, 3 and 4 encoding of levels |
//! | 7 dictionary page | 1 values, 2 encoding, 3 sorted |

use parquet::basic::{Encoding, PageType};
use parquet::column::page::{CompressedPage, Page, PageWriteSpec, PageWriter};
use parquet::errors::{ParquetError, Result};

/// Appends pages to bytes.
pub(crate) struct Pages<'a> {
    into: &'a mut Vec<u8>,
}

impl<'a> Pages<'a> {
    /// Offsets count from the first of these bytes.
    pub fn new(into: &'a mut Vec<u8>) -> Self {
        Self { into }
    }
}

impl PageWriter for Pages<'_> {
    fn write_page(&mut self, page: CompressedPage) -> Result<PageWriteSpec> {
        let start = self.into.len();
        put_header(self.into, &page)?;
        let header = self.into.len() - start;
        self.into.extend_from_slice(page.data());
        let mut spec = PageWriteSpec::new();
        spec.page_type = page.page_type();
        spec.uncompressed_size = page.uncompressed_size() + header;
        spec.compressed_size = page.compressed_size() + header;
        spec.offset = start as u64;
        spec.bytes_written = (self.into.len() - start) as u64;
        spec.num_values = page.num_values();
        Ok(spec)
    }

    fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

fn put_header(into: &mut Vec<u8>, page: &CompressedPage) -> Result<()> {
    let size = |bytes: usize| {
        i32::try_from(bytes)
            .map_err(|_| ParquetError::General(format!("a page of {bytes} bytes, of which it has at most 2^31")))
    };
    let number = |encoding: Encoding| {
        Ok(match encoding {
            Encoding::PLAIN => 0,
            Encoding::RLE => 3,
            Encoding::DELTA_BINARY_PACKED => 5,
            Encoding::RLE_DICTIONARY => 8,
            Encoding::BYTE_STREAM_SPLIT => 9,
            other => return Err(ParquetError::General(format!("pages are not encoded by {other}"))),
        })
    };
    let kind = if page.page_type() == PageType::DICTIONARY_PAGE { 2 } else { 0 };
    put_i32(into, 1, kind);
    put_i32(into, 1, size(page.uncompressed_size())?);
    put_i32(into, 1, size(page.compressed_size())?);
    put_i32(into, 1, crc32fast::hash(page.data()) as i32);
    match page.compressed_page() {
        Page::DataPage { num_values, encoding, def_level_encoding, rep_level_encoding, .. } => {
            into.push((1 << 4) | STRUCT);
            put_i32(into, 1, size(*num_values as usize)?);
            put_i32(into, 1, number(*encoding)?);
            put_i32(into, 1, number(*def_level_encoding)?);
            put_i32(into, 1, number(*rep_level_encoding)?);
        }
        Page::DictionaryPage { num_values, encoding, is_sorted, .. } => {
            into.push((3 << 4) | STRUCT);
            put_i32(into, 1, size(*num_values as usize)?);
            put_i32(into, 1, number(*encoding)?);
            into.push((1 << 4) | if *is_sorted { TRUE } else { FALSE });
        }
        Page::DataPageV2 { .. } => return Err(ParquetError::General("pages are of version 1".into())),
    }
    into.push(STOP); // of the page's kind
    into.push(STOP); // of the header
    Ok(())
}

/// Thrift's numbers of types.
const STOP: u8 = 0;
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const I32: u8 = 5;
const STRUCT: u8 = 12;

/// A field, `step` behind the one before it.
fn put_i32(into: &mut Vec<u8>, step: u8, value: i32) {
    into.push((step << 4) | I32);
    let mut zigzag = ((value << 1) ^ (value >> 31)) as u32;
    while zigzag >= 0x80 {
        into.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    into.push(zigzag as u8);
}
