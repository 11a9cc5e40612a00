//! `index`, version 2: symbols, series with the places of their chunks, and which series have which label.
//!
//! | part | content |
//! |---|---|
//! | magic `ba aa d7 00`, version 2 | 5 bytes |
//! | symbols | all names and values of labels, ascending; later parts name them by their number |
//! | series | each at a multiple of 16, by which it is known: labels, chunks |
//! | label indices | for each name the symbols of its values |
//! | postings | for each name and value, and for all, the series that have it, ascending |
//! | label offset table, postings offset table | where these are |
//! | contents | where each part begins, 6 x u64, and a CRC-32C |
//!
//! Numbers are big-endian or uvarints; parts have their length in front and a CRC-32C behind. `docs/format/tsdb-block.md`.

use crate::error::{Result, TsdbBlockError};
use crate::file::File;
use mytsdb_io::Disk;
use mytsdb_model::{Labels, TimeRange};
use mytsdb_varint::{put_uvarint, put_varint};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

const HEAD: [u8; 5] = [0xba, 0xaa, 0xd7, 0x00, 2];

/// Series begin at multiples of this.
const SERIES_STEP: u64 = 16;
/// Lists begin at multiples of this.
const LIST_STEP: u64 = 4;

/// A series of the block.
pub(crate) struct SeriesEntry {
    pub labels: Labels,
    /// Times of each chunk, and its place.
    pub chunks: Vec<(TimeRange, u64)>,
}

/// Where the parts begin.
#[derive(Default)]
struct Contents {
    symbols: u64,
    series: u64,
    label_indices: u64,
    label_offsets: u64,
    postings: u64,
    posting_offsets: u64,
}

/// Writes the index of series, which ascend by their labels; gives its length.
pub(crate) fn write(disk: &dyn Disk, path: &Path, series: &[SeriesEntry]) -> Result<u64> {
    let mut file = File::create(disk, path)?;
    file.put(&HEAD)?;
    let texts: BTreeSet<&str> =
        series.iter().flat_map(|entry| entry.labels.iter()).flat_map(|(name, value)| [name, value]).collect();
    let symbols: HashMap<&str, u32> = texts.iter().copied().zip(0..).collect();
    let mut contents = Contents { symbols: file.position(), ..Contents::default() };
    put_symbols(&mut file, &texts)?;
    contents.series = file.position();
    let mut lists: BTreeMap<(&str, &str), Vec<u32>> = BTreeMap::new();
    let mut body = Vec::new();
    for entry in series {
        file.align(SERIES_STEP)?;
        let number = number_of(file.position())?;
        lists.entry(("", "")).or_default().push(number);
        for label in &entry.labels {
            lists.entry(label).or_default().push(number);
        }
        body.clear();
        put_series(entry, &symbols, &mut body);
        let mut length = Vec::new();
        put_uvarint(&mut length, body.len() as u64);
        file.put(&length)?;
        file.put(&body)?;
        file.put(&crc32c::crc32c(&body).to_be_bytes())?;
    }
    contents.label_indices = file.position();
    let label_offsets = put_label_indices(&mut file, &lists, &symbols)?;
    contents.postings = file.position();
    let posting_offsets = put_postings(&mut file, &lists)?;
    contents.label_offsets = file.position();
    put_table(&mut file, label_offsets.iter().map(|(name, at)| (vec![*name], *at)))?;
    contents.posting_offsets = file.position();
    put_table(&mut file, posting_offsets.iter().map(|((name, value), at)| (vec![*name, *value], *at)))?;
    put_contents(&mut file, &contents)?;
    file.finish()
}

/// The number by which a series is known.
fn number_of(position: u64) -> Result<u32> {
    let number = position / SERIES_STEP;
    let limit = u64::from(u32::MAX);
    u32::try_from(number).map_err(|_| TsdbBlockError::TooMuch {
        what: "bytes of series in the index, in sixteens",
        found: number,
        limit,
    })
}

fn put_symbols(file: &mut File, texts: &BTreeSet<&str>) -> Result<()> {
    let mut body = (texts.len() as u32).to_be_bytes().to_vec();
    for text in texts {
        put_text(text, &mut body);
    }
    file.put_section(&body)
}

fn put_text(text: &str, out: &mut Vec<u8>) {
    put_uvarint(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn put_series(entry: &SeriesEntry, symbols: &HashMap<&str, u32>, out: &mut Vec<u8>) {
    put_uvarint(out, entry.labels.iter().count() as u64);
    for (name, value) in &entry.labels {
        put_uvarint(out, u64::from(symbols[name]));
        put_uvarint(out, u64::from(symbols[value]));
    }
    put_uvarint(out, entry.chunks.len() as u64);
    let mut before: Option<&(TimeRange, u64)> = None;
    for chunk @ (range, place) in &entry.chunks {
        match before {
            None => {
                put_varint(out, range.mint);
                put_uvarint(out, range.maxt.abs_diff(range.mint));
                put_uvarint(out, *place);
            }
            Some((last, last_place)) => {
                put_uvarint(out, range.mint.abs_diff(last.maxt));
                put_uvarint(out, range.maxt.abs_diff(range.mint));
                put_varint(out, place.wrapping_sub(*last_place) as i64);
            }
        }
        before = Some(chunk);
    }
}

/// Lists the values of each name; gives where.
fn put_label_indices<'a>(
    file: &mut File,
    lists: &BTreeMap<(&'a str, &'a str), Vec<u32>>,
    symbols: &HashMap<&str, u32>,
) -> Result<Vec<(&'a str, u64)>> {
    let mut values: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    for (name, value) in lists.keys().filter(|(name, _)| !name.is_empty()) {
        values.entry(name).or_default().push(symbols[value]);
    }
    let mut offsets = Vec::new();
    for (name, values) in values {
        file.align(LIST_STEP)?;
        offsets.push((name, file.position()));
        let mut body = 1u32.to_be_bytes().to_vec();
        body.extend_from_slice(&(values.len() as u32).to_be_bytes());
        body.extend(values.iter().flat_map(|value| value.to_be_bytes()));
        file.put_section(&body)?;
    }
    Ok(offsets)
}

/// Lists the series of each label; gives where.
fn put_postings<'a>(
    file: &mut File,
    lists: &BTreeMap<(&'a str, &'a str), Vec<u32>>,
) -> Result<Vec<((&'a str, &'a str), u64)>> {
    let mut offsets = Vec::new();
    let mut body = Vec::new();
    for (label, series) in lists {
        file.align(LIST_STEP)?;
        offsets.push((*label, file.position()));
        body.clear();
        body.extend_from_slice(&(series.len() as u32).to_be_bytes());
        body.extend(series.iter().flat_map(|number| number.to_be_bytes()));
        file.put_section(&body)?;
    }
    Ok(offsets)
}

/// Writes a table of texts and places.
fn put_table<'a>(file: &mut File, entries: impl ExactSizeIterator<Item = (Vec<&'a str>, u64)>) -> Result<()> {
    let mut body = (entries.len() as u32).to_be_bytes().to_vec();
    for (texts, place) in entries {
        body.push(texts.len() as u8);
        for text in &texts {
            put_text(text, &mut body);
        }
        put_uvarint(&mut body, place);
    }
    file.put_section(&body)
}

fn put_contents(file: &mut File, contents: &Contents) -> Result<()> {
    let Contents { symbols, series, label_indices, label_offsets, postings, posting_offsets } = contents;
    let places = [symbols, series, label_indices, label_offsets, postings, posting_offsets];
    let body: Vec<u8> = places.iter().flat_map(|place| place.to_be_bytes()).collect();
    file.put(&body)?;
    file.put(&crc32c::crc32c(&body).to_be_bytes())
}
