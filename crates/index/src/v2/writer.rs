//! Builds the second frozen form of an index: one section.

use super::names::Fields;
use super::{FORWARD_SHARE, HEADER_BYTES, NAME_BYTES, ONLY, bits, dictionary, lists};
use crate::IndexError;
use crate::inverted::{Inverted, Name};
use crate::writer::{IndexWriter, Pairs};

/// What [`IndexWriter::finish_packed`] leaves: a section, and the series' labels in terms of its numbers.
#[derive(Debug)]
pub struct PackedSection {
    /// The index section.
    pub section: Vec<u8>,
    pairs: Pairs,
}

impl PackedSection {
    /// Numbers of the names and values of the series' labels, in the labels' order; empty for an unknown ordinal.
    pub fn series_numbers(&self, ordinal: u32) -> &[(u32, u32)] {
        self.pairs.of(ordinal)
    }
}

impl IndexWriter {
    /// Sorts names and values and serialises them in the second form, for a [`PackedIndex`](crate::PackedIndex).
    ///
    /// # Errors
    /// [`IndexError::TooLarge`] if there are 2^31 series or the section exceeds 4 GiB.
    pub fn finish_packed(self) -> Result<PackedSection, IndexError> {
        let (inverted, mut pairs) = self.into_parts();
        let series_count = inverted.series_count();
        if series_count >= ONLY {
            return Err(IndexError::TooLarge { what: "series" });
        }
        let ranks = Ranks::new(&inverted);
        for (name, value) in pairs.all_mut() {
            *value = ranks.values[*name as usize][*value as usize];
            *name = ranks.names[*name as usize];
        }
        let mut columns: Vec<Option<Column>> = ranks.in_order.iter().map(|n| Column::new(n, series_count)).collect();
        for ordinal in 0..series_count {
            for &(name, value) in pairs.of(ordinal) {
                if let Some(column) = &mut columns[name as usize] {
                    column.put(ordinal, value + 1);
                }
            }
        }
        let section = put_section(&ranks, series_count, &columns)?;
        Ok(PackedSection { section, pairs })
    }
}

fn put_section(ranks: &Ranks<'_>, series_count: u32, columns: &[Option<Column>]) -> Result<Vec<u8>, IndexError> {
    let too_large = || IndexError::TooLarge { what: "the labels' index" };
    let mut out = Vec::new();
    out.extend_from_slice(&(ranks.in_order.len() as u32).to_le_bytes());
    out.extend_from_slice(&series_count.to_le_bytes());
    out.resize(HEADER_BYTES + NAME_BYTES * ranks.in_order.len(), 0);
    let mut text_ends = Vec::with_capacity(ranks.in_order.len());
    let mut text_end = 0;
    for name in &ranks.in_order {
        out.extend_from_slice(name.text.as_bytes());
        text_end += name.text.len();
        text_ends.push(u32::try_from(text_end).map_err(|_| too_large())?);
    }
    for (number, ((name, column), text_end)) in ranks.in_order.iter().zip(columns).zip(text_ends).enumerate() {
        let offset = |at: usize| u32::try_from(at).map_err(|_| too_large());
        let mut values: Vec<(&str, &[u32])> = name.values.iter().collect();
        values.sort_unstable_by_key(|(text, _)| *text);
        let dictionary = offset(out.len())?;
        let texts: Vec<&str> = values.iter().map(|(text, _)| *text).collect();
        dictionary::put(&mut out, &texts).ok_or_else(too_large)?;
        let postings = offset(out.len())?;
        put_postings(&mut out, &values).ok_or_else(too_large)?;
        let mut forward = 0;
        if let Some(column) = column {
            forward = offset(out.len())?;
            out.push(column.width as u8);
            out.extend_from_slice(&column.bits);
        }
        let fields = Fields {
            text_end,
            value_count: values.len() as u32,
            posting_count: posting_count(name) as u32,
            dictionary,
            postings,
            forward,
        };
        out[HEADER_BYTES + NAME_BYTES * number..][..NAME_BYTES].copy_from_slice(&fields.write());
    }
    u32::try_from(out.len()).map_err(|_| too_large())?;
    Ok(out)
}

/// `None` if the lists exceed 2 GiB.
fn put_postings(out: &mut Vec<u8>, values: &[(&str, &[u32])]) -> Option<()> {
    let entries_at = out.len();
    out.resize(entries_at + 4 * values.len(), 0);
    let lists_at = out.len();
    for (number, (_, ordinals)) in values.iter().enumerate() {
        let entry = if let [only] = ordinals {
            only | ONLY
        } else {
            let start = u32::try_from(out.len() - lists_at).ok().filter(|&start| start < ONLY)?;
            lists::put(out, ordinals);
            start
        };
        out[entries_at + 4 * number..][..4].copy_from_slice(&entry.to_le_bytes());
    }
    Some(())
}

fn posting_count(name: &Name) -> u64 {
    name.values.iter().map(|(_, ordinals)| ordinals.len() as u64).sum()
}

/// A forward column under way.
struct Column {
    width: u32,
    bits: Vec<u8>,
}

impl Column {
    /// `None` if the label is not worth one.
    fn new(name: &Name, series_count: u32) -> Option<Self> {
        let values = name.values.len() as u32;
        if values < 2 || posting_count(name) * FORWARD_SHARE < u64::from(series_count) {
            return None;
        }
        let width = bits::width_of(values);
        Some(Self { width, bits: vec![0; bits::packed_bytes(series_count as usize, width)] })
    }

    fn put(&mut self, ordinal: u32, number: u32) {
        bits::put(&mut self.bits, ordinal as usize, self.width, number);
    }
}

/// Final numbers of names and values, by their numbers in order of arrival.
struct Ranks<'a> {
    in_order: Vec<&'a Name>,
    names: Vec<u32>,
    values: Vec<Vec<u32>>,
}

impl<'a> Ranks<'a> {
    fn new(inverted: &'a Inverted) -> Self {
        let all = inverted.names();
        let texts: Vec<&str> = all.iter().map(|name| &*name.text).collect();
        let values = all.iter().map(|name| ranks(&name.values.iter().map(|(text, _)| text).collect::<Vec<_>>()));
        let values = values.collect();
        let mut in_order: Vec<&Name> = all.iter().collect();
        in_order.sort_unstable_by(|a, b| a.text.cmp(&b.text));
        Self { in_order, names: ranks(&texts), values }
    }
}

/// The place of each text among all when they are sorted.
fn ranks(texts: &[&str]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..texts.len() as u32).collect();
    order.sort_unstable_by_key(|&at| texts[at as usize]);
    let mut ranks = vec![0; texts.len()];
    for (rank, at) in order.into_iter().enumerate() {
        ranks[at as usize] = rank as u32;
    }
    ranks
}
