//! Columns that keep their value over many rows, as labels do: a dictionary, and pages of runs.
//!
//! The `parquet` library takes such a column value by value. A label costs nothing a row here: each series appends one
//! run to each of its labels, and a label that no series of a row group has costs one page of a few bytes, however many
//! rows there are. What comes out is plain Parquet: a PLAIN dictionary page, and data pages (version 1) with levels and
//! dictionary numbers in runs of the RLE encoding.

use crate::error::Result;
use crate::pages::Pages;
use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression, Encoding, PageType, Type as Physical, ZstdLevel};
use parquet::bloom_filter::Sbbf;
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::file::metadata::{ColumnChunkMetaData, ColumnIndexBuilder, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnDescPtr;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// A column chunk as bytes, and what a row group says of it.
pub(crate) type Chunk = (Bytes, ColumnCloseResult);

/// Rows in a row: their value's number in the dictionary, or none.
#[derive(Debug, Clone, Copy)]
struct Run {
    value: Option<u32>,
    rows: u32,
}

/// A column of a row group that is being filled.
#[derive(Debug)]
pub(crate) struct RunColumn {
    descr: ColumnDescPtr,
    runs: Vec<Run>,
    rows: u64,
    numbers: HashMap<Box<[u8]>, u32>,
    values: Vec<Box<[u8]>>,
}

impl RunColumn {
    /// An empty column of type `BYTE_ARRAY`, `INT32` or `INT64`, optional or required.
    pub fn new(descr: ColumnDescPtr) -> Self {
        Self { descr, runs: Vec::new(), rows: 0, numbers: HashMap::new(), values: Vec::new() }
    }

    /// Appends `rows` rows of a value behind row `at`; those between the end of the column and `at` have none.
    ///
    /// A value is what stands in a dictionary: the bytes of a text, or a number in little-endian.
    pub fn push(&mut self, at: u64, rows: u32, value: &[u8]) {
        self.fill(at);
        let number = match self.numbers.get(value) {
            Some(number) => *number,
            None => self.add(value),
        };
        self.append(Some(number), u64::from(rows));
    }

    fn add(&mut self, value: &[u8]) -> u32 {
        let number = self.values.len() as u32;
        if let Entry::Vacant(entry) = self.numbers.entry(value.into()) {
            entry.insert(number);
        }
        self.values.push(value.into());
        number
    }

    /// Lets the rows up to `at` have no value.
    fn fill(&mut self, at: u64) {
        let missing = at.saturating_sub(self.rows);
        self.append(None, missing);
    }

    fn append(&mut self, value: Option<u32>, mut rows: u64) {
        self.rows += rows;
        while rows > 0 {
            match self.runs.last_mut() {
                Some(last) if last.value == value && last.rows < u32::MAX => {
                    let more = rows.min(u64::from(u32::MAX - last.rows));
                    last.rows += more as u32;
                    rows -= more;
                }
                _ => self.runs.push(Run { value, rows: 0 }),
            }
        }
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        let values: usize = self.values.iter().map(|value| 2 * value.len() + 64).sum();
        self.runs.capacity() * size_of::<Run>() + values
    }

    /// Encodes the column with `rows` rows and empties it. A page holds at most `page_rows` rows.
    pub fn encode(&mut self, rows: u64, page_rows: u64, bloom: bool) -> Result<Chunk> {
        self.fill(rows);
        let runs = std::mem::take(&mut self.runs);
        let values = std::mem::take(&mut self.values);
        self.numbers.clear();
        self.rows = 0;
        encode(&self.descr, &runs, &values, page_rows, bloom)
    }
}

/// What a page of the column holds.
struct PageDraft {
    body: Vec<u8>,
    rows: u32,
    nulls: u32,
    /// Places in the order of values.
    least_and_greatest: Option<(u32, u32)>,
}

fn encode(descr: &ColumnDescPtr, runs: &[Run], values: &[Box<[u8]>], page_rows: u64, bloom: bool) -> Result<Chunk> {
    let physical = descr.physical_type();
    let (order, rank) = ranks(physical, values);
    let optional = descr.max_def_level() == 1;
    let width = bits(values.len());
    let pages = drafts(runs, page_rows, optional, width, &rank);
    let dictionary = dictionary(physical, values);
    let packed = pack(&dictionary, &pages)?;
    let (packed_dictionary, packed_pages, codec) = match packed {
        Some((dictionary, pages)) => (dictionary, pages, Compression::ZSTD(ZstdLevel::default())),
        None => (
            Bytes::from(dictionary.clone()),
            pages.iter().map(|page| Bytes::copy_from_slice(&page.body)).collect(),
            Compression::UNCOMPRESSED,
        ),
    };

    let mut bytes = Vec::new();
    let mut writer = Pages::new(&mut bytes);
    let (mut plain_bytes, mut data_at) = (0, 0);
    let value_encoding = if values.is_empty() { Encoding::PLAIN } else { Encoding::RLE_DICTIONARY };
    if !values.is_empty() {
        let page = Page::DictionaryPage {
            buf: packed_dictionary,
            num_values: values.len() as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let spec = writer.write_page(CompressedPage::new(page, dictionary.len()))?;
        plain_bytes += spec.uncompressed_size;
        data_at = spec.bytes_written;
    }
    let mut column_index = ColumnIndexBuilder::new(physical);
    let mut offset_index = OffsetIndexBuilder::new();
    let bytes_of = |place: u32| values[order[place as usize] as usize].to_vec();
    for (page, buf) in pages.iter().zip(packed_pages) {
        let data = Page::DataPage {
            buf,
            num_values: page.rows,
            encoding: value_encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        let spec = writer.write_page(CompressedPage::new(data, page.body.len()))?;
        plain_bytes += spec.uncompressed_size;
        offset_index.append_row_count(i64::from(page.rows));
        offset_index.append_offset_and_size(spec.offset as i64, spec.compressed_size as i32);
        let (least, greatest) =
            page.least_and_greatest.map_or((Vec::new(), Vec::new()), |(l, g)| (bytes_of(l), bytes_of(g)));
        column_index.append(page.least_and_greatest.is_none(), least, greatest, i64::from(page.nulls), None);
    }
    writer.close()?;
    column_index.set_boundary_order(if ascends(&pages) { BoundaryOrder::ASCENDING } else { BoundaryOrder::UNORDERED });
    let bytes = Bytes::from(bytes);

    let rows: u64 = pages.iter().map(|page| u64::from(page.rows)).sum();
    let nulls: u64 = pages.iter().map(|page| u64::from(page.nulls)).sum();
    let mut kinds =
        vec![PageEncodingStats { page_type: PageType::DATA_PAGE, encoding: value_encoding, count: pages.len() as i32 }];
    if !values.is_empty() {
        kinds
            .insert(0, PageEncodingStats { page_type: PageType::DICTIONARY_PAGE, encoding: Encoding::PLAIN, count: 1 });
    }
    let metadata = ColumnChunkMetaData::builder(descr.clone())
        .set_compression(codec)
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
        .set_page_encoding_stats(kinds)
        .set_num_values(rows as i64)
        .set_total_compressed_size(bytes.len() as i64)
        .set_total_uncompressed_size(plain_bytes as i64)
        .set_dictionary_page_offset((!values.is_empty()).then_some(0))
        .set_data_page_offset(data_at as i64)
        .set_statistics(statistics(
            physical,
            order.first().zip(order.last()).map(|(l, g)| (&*values[*l as usize], &*values[*g as usize])),
            nulls,
        ))
        .build()?;
    let bloom_filter = if bloom { Some(bloom_filter(values)?) } else { None };
    let result = ColumnCloseResult {
        bytes_written: bytes.len() as u64,
        rows_written: rows,
        metadata,
        bloom_filter,
        column_index: Some(column_index.build()?),
        offset_index: Some(offset_index.build()),
    };
    Ok((bytes, result))
}

/// The numbers of the values in ascending order of the values, and the place of each in it.
fn ranks(physical: Physical, values: &[Box<[u8]>]) -> (Vec<u32>, Vec<u32>) {
    let mut order: Vec<u32> = (0..values.len() as u32).collect();
    match physical {
        Physical::BYTE_ARRAY => order.sort_unstable_by_key(|number| &values[*number as usize]),
        _ => order.sort_unstable_by_key(|number| signed(&values[*number as usize])),
    }
    let mut rank = vec![0; values.len()];
    for (place, number) in order.iter().enumerate() {
        rank[*number as usize] = place as u32;
    }
    (order, rank)
}

/// A little-endian number of four or eight bytes.
fn signed(bytes: &[u8]) -> i64 {
    match bytes.len() {
        4 => i64::from(i32::from_le_bytes(bytes.try_into().expect("four bytes"))),
        _ => i64::from_le_bytes(bytes.try_into().expect("dictionaries of numbers hold four or eight bytes")),
    }
}

/// Bits of a number in a dictionary of `count` values; at least one, since not every reader takes none.
fn bits(count: usize) -> u8 {
    (usize::BITS - count.saturating_sub(1).leading_zeros()).max(1) as u8
}

/// Cuts the column into pages.
fn drafts(runs: &[Run], page_rows: u64, optional: bool, width: u8, rank: &[u32]) -> Vec<PageDraft> {
    let mut pages = Vec::new();
    let mut page: Vec<Run> = Vec::new();
    let mut room = page_rows;
    for run in runs {
        let mut left = u64::from(run.rows);
        while left > 0 {
            let taken = left.min(room);
            page.push(Run { value: run.value, rows: taken as u32 });
            left -= taken;
            room -= taken;
            if room == 0 {
                pages.push(draft(&page, optional, width, rank));
                page.clear();
                room = page_rows;
            }
        }
    }
    if !page.is_empty() {
        pages.push(draft(&page, optional, width, rank));
    }
    pages
}

fn draft(runs: &[Run], optional: bool, width: u8, rank: &[u32]) -> PageDraft {
    let mut body = Vec::new();
    let (mut rows, mut nulls) = (0, 0);
    let mut places: Option<(u32, u32)> = None;
    for run in runs {
        rows += run.rows;
        match run.value {
            None => nulls += run.rows,
            Some(number) => {
                let place = rank[number as usize];
                places = Some(places.map_or((place, place), |(l, g)| (l.min(place), g.max(place))));
            }
        }
    }
    if optional {
        let mut levels = Vec::new();
        put_runs(&mut levels, 1, runs.iter().map(|run| (u32::from(run.value.is_some()), run.rows)));
        body.extend_from_slice(&(levels.len() as u32).to_le_bytes());
        body.extend_from_slice(&levels);
    }
    if places.is_some() {
        body.push(width);
        put_runs(&mut body, width, runs.iter().filter_map(|run| Some((run.value?, run.rows))));
    }
    PageDraft { body, rows, nulls, least_and_greatest: places }
}

/// Appends numbers of `width` bits as runs: a varint of twice the length, the number in as few bytes as hold the width.
fn put_runs(into: &mut Vec<u8>, width: u8, runs: impl Iterator<Item = (u32, u32)>) {
    let mut put = |value: u32, rows: u64| {
        let mut header = rows << 1;
        while header >= 0x80 {
            into.push(header as u8 | 0x80);
            header >>= 7;
        }
        into.push(header as u8);
        into.extend_from_slice(&value.to_le_bytes()[..usize::from(width).div_ceil(8)]);
    };
    let mut open: Option<(u32, u64)> = None;
    for (value, rows) in runs {
        match &mut open {
            Some((same, count)) if *same == value => *count += u64::from(rows),
            _ => {
                if let Some((value, rows)) = open.replace((value, u64::from(rows))) {
                    put(value, rows);
                }
            }
        }
    }
    if let Some((value, rows)) = open {
        put(value, rows);
    }
}

/// The dictionary as the PLAIN encoding writes it.
fn dictionary(physical: Physical, values: &[Box<[u8]>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for value in values {
        if physical == Physical::BYTE_ARRAY {
            bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        }
        bytes.extend_from_slice(value);
    }
    bytes
}

/// Compresses dictionary and pages; `None` if that does not save a tenth.
fn pack(dictionary: &[u8], pages: &[PageDraft]) -> Result<Option<(Bytes, Vec<Bytes>)>> {
    let zstd = |bytes: &[u8]| zstd::bulk::compress(bytes, 3).map(Bytes::from).map_err(super::TierError::io("zstd"));
    let plain = dictionary.len() + pages.iter().map(|page| page.body.len()).sum::<usize>();
    if plain < 64 {
        return Ok(None);
    }
    let packed_dictionary = zstd(dictionary)?;
    let packed = pages.iter().map(|page| zstd(&page.body)).collect::<Result<Vec<_>>>()?;
    let small = packed_dictionary.len() + packed.iter().map(Bytes::len).sum::<usize>();
    Ok((small < plain / 10 * 9).then_some((packed_dictionary, packed)))
}

/// Whether the least and greatest values of pages ascend, pages without values left out.
fn ascends(pages: &[PageDraft]) -> bool {
    let bounds: Vec<(u32, u32)> = pages.iter().filter_map(|page| page.least_and_greatest).collect();
    bounds.windows(2).all(|pair| pair[0].0 <= pair[1].0 && pair[0].1 <= pair[1].1)
}

fn statistics(physical: Physical, bounds: Option<(&[u8], &[u8])>, nulls: u64) -> Statistics {
    let nulls = Some(nulls);
    let number = |bytes: &[u8]| signed(bytes);
    match physical {
        Physical::INT32 => {
            let bound = |pick: fn((&'_ [u8], &'_ [u8])) -> i64| bounds.map(|both| pick(both) as i32);
            Statistics::int32(bound(|b| signed(b.0)), bound(|b| signed(b.1)), None, nulls, false)
        }
        Physical::INT64 => {
            Statistics::int64(bounds.map(|b| number(b.0)), bounds.map(|b| number(b.1)), None, nulls, false)
        }
        _ => {
            let text = |bytes: &[u8]| ByteArray::from(bytes.to_vec());
            Statistics::byte_array(bounds.map(|b| text(b.0)), bounds.map(|b| text(b.1)), None, nulls, false)
        }
    }
}

fn bloom_filter(values: &[Box<[u8]>]) -> Result<Sbbf> {
    let mut filter = Sbbf::new_with_ndv_fpp(values.len().max(1) as u64, 0.01)?;
    for value in values {
        filter.insert(&**value);
    }
    Ok(filter)
}
