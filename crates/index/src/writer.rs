//! Builds the frozen form of an index: the symbols and the postings section.
//!
//! | offset | size | field of the postings section |
//! |---|---|---|
//! | 0 | 4 | name count |
//! | 4 | 4 | value count |
//! | 8 | 4 | posting count |
//! | 12 | 4 | series count |
//! | 16 | 8 per name | symbol u32, index of its first value u32; ascending symbols |
//! | | 8 per value | symbol u32, index of its first posting u32; ascending symbols within a name |
//! | | 4 per posting | series ordinal u32; ascending within a value |

use crate::IndexError;
use crate::inverted::Inverted;
use crate::symbols::write_symbols;
use mytsdb_model::Labels;

/// Collects series and serialises their index.
///
/// Holds the texts once and 12 bytes per label of a series.
#[derive(Debug, Default)]
pub struct IndexWriter {
    inverted: Inverted,
    pairs: Pairs,
}

/// (name, value) numbers of all series, one series behind the other.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    all: Vec<(u32, u32)>,
    /// Where each series' pairs end.
    ends: Vec<usize>,
}

impl Pairs {
    /// Those of a series; empty for an unknown ordinal.
    pub(crate) fn of(&self, ordinal: u32) -> &[(u32, u32)] {
        let at = ordinal as usize;
        let start = if at == 0 { 0 } else { self.ends.get(at - 1).copied().unwrap_or(self.all.len()) };
        let end = self.ends.get(at).copied().unwrap_or(start);
        &self.all[start..end]
    }

    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut (u32, u32)> {
        self.all.iter_mut()
    }
}

/// What [`IndexWriter::finish`] leaves: two sections, and the series' labels in terms of their symbols.
#[derive(Debug)]
pub struct IndexSections {
    /// The symbols section.
    pub symbols: Vec<u8>,
    /// The postings section.
    pub postings: Vec<u8>,
    pairs: Pairs,
}

impl IndexSections {
    /// (name, value) symbols of the series' labels, in the labels' order; empty for an unknown ordinal.
    pub fn series_symbols(&self, ordinal: u32) -> &[(u32, u32)] {
        self.pairs.of(ordinal)
    }
}

impl IndexWriter {
    /// A writer without series.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a series; returns its ordinal: 0, 1, 2...
    ///
    /// # Errors
    /// [`IndexError::TooLarge`] if the ordinals or the postings have used up their 32 bits.
    pub fn add(&mut self, labels: &Labels) -> Result<u32, IndexError> {
        let ordinal = self.inverted.series_count();
        if ordinal == u32::MAX {
            return Err(IndexError::TooLarge { what: "series" });
        }
        if self.pairs.all.len() + labels.len() > u32::MAX as usize {
            return Err(IndexError::TooLarge { what: "postings" });
        }
        let pairs = &mut self.pairs;
        self.inverted.add(labels, |name, value| pairs.all.push((name, value)));
        pairs.ends.push(pairs.all.len());
        Ok(ordinal)
    }

    /// The number of series added.
    pub fn series_count(&self) -> u32 {
        self.inverted.series_count()
    }

    pub(crate) fn into_parts(self) -> (Inverted, Pairs) {
        (self.inverted, self.pairs)
    }

    /// Sorts the symbols and serialises.
    ///
    /// # Errors
    /// [`IndexError::TooLarge`] if the texts exceed 4 GiB.
    pub fn finish(mut self) -> Result<IndexSections, IndexError> {
        let symbols = Numbering::new(&self.inverted)?;
        let postings = self.postings(&symbols);
        for (name, value) in self.pairs.all_mut() {
            *value = symbols.values[*name as usize][*value as usize];
            *name = symbols.names[*name as usize];
        }
        Ok(IndexSections { symbols: symbols.section, postings, pairs: self.pairs })
    }

    fn postings(&self, symbols: &Numbering) -> Vec<u8> {
        let names = self.inverted.names();
        let value_count: usize = names.iter().map(|name| name.values.len()).sum();
        let mut out = Vec::with_capacity(16 + 8 * (names.len() + value_count) + 4 * self.pairs.all.len());
        let mut put = |value: u32| out.extend_from_slice(&value.to_le_bytes());
        for count in [names.len(), value_count, self.pairs.all.len(), self.pairs.ends.len()] {
            put(count as u32);
        }

        let mut by_symbol: Vec<usize> = (0..names.len()).collect();
        by_symbol.sort_unstable_by_key(|&name| symbols.names[name]);
        let mut first_value = 0;
        for &name in &by_symbol {
            put(symbols.names[name]);
            put(first_value);
            first_value += names[name].values.len() as u32;
        }
        // (name, value) numbers in the order of their symbols: that of both the values and the postings.
        let mut values = Vec::with_capacity(value_count);
        for &name in &by_symbol {
            let start = values.len();
            values.extend((0..names[name].values.len() as u32).map(|value| (name, value)));
            values[start..].sort_unstable_by_key(|&(_, value)| symbols.values[name][value as usize]);
        }
        let mut first_posting = 0;
        for &(name, value) in &values {
            put(symbols.values[name][value as usize]);
            put(first_posting);
            first_posting += names[name].values.postings(value).len() as u32;
        }
        for &(name, value) in &values {
            names[name].values.postings(value).iter().for_each(|&ordinal| put(ordinal));
        }
        out
    }
}

/// Final symbols of the names and values, by their numbers in order of arrival.
struct Numbering {
    section: Vec<u8>,
    names: Vec<u32>,
    values: Vec<Vec<u32>>,
}

impl Numbering {
    fn new(inverted: &Inverted) -> Result<Self, IndexError> {
        let all = inverted.names();
        let mut slots: Vec<(&str, usize, Option<usize>)> = Vec::new();
        for (id, name) in all.iter().enumerate() {
            slots.push((&name.text, id, None));
            slots.extend(name.values.iter().enumerate().map(|(value, (text, _))| (text, id, Some(value))));
        }
        slots.sort_unstable();
        let mut names = vec![0; all.len()];
        let mut values: Vec<Vec<u32>> = all.iter().map(|name| vec![0; name.values.len()]).collect();
        let mut texts: Vec<&str> = Vec::with_capacity(slots.len());
        for (text, name, value) in slots {
            if texts.last() != Some(&text) {
                texts.push(text);
            }
            let symbol = (texts.len() - 1) as u32;
            match value {
                None => names[name] = symbol,
                Some(value) => values[name][value] = symbol,
            }
        }
        Ok(Self { section: write_symbols(&texts)?, names, values })
    }
}
