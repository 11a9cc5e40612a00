//! From label names to value tables to postings, in an index that grows.

use crate::value_table::ValueTable;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use mytsdb_model::Labels;

/// One label name and its values.
#[derive(Debug)]
pub(crate) struct Name {
    pub(crate) text: Box<str>,
    pub(crate) values: ValueTable,
}

/// The growing inverted index over series ordinals, which are handed in ascending.
#[derive(Debug, Default)]
pub(crate) struct Inverted {
    names: Vec<Name>,
    by_text: HashMap<Box<str>, u32, RandomState>,
    series_count: u32,
}

impl Inverted {
    pub(crate) fn series_count(&self) -> u32 {
        self.series_count
    }

    pub(crate) fn names(&self) -> &[Name] {
        &self.names
    }

    /// The number of a name.
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        self.by_text.get(name).copied()
    }

    /// The values of a name by its number.
    pub(crate) fn values(&self, name: u32) -> &ValueTable {
        &self.names[name as usize].values
    }

    /// Adds the next series; `each` is told the numbers of its names and values.
    ///
    /// The caller has made sure that `series_count()` is below `u32::MAX`.
    pub(crate) fn add(&mut self, labels: &Labels, mut each: impl FnMut(u32, u32)) {
        let ordinal = self.series_count;
        self.series_count += 1;
        for (name, value) in labels {
            let name_id = if let Some(&id) = self.by_text.get(name) {
                id
            } else {
                let id = self.names.len() as u32;
                self.names.push(Name { text: name.into(), values: ValueTable::default() });
                self.by_text.insert(name.into(), id);
                id
            };
            let value_id = self.names[name_id as usize].values.push(value, ordinal);
            each(name_id, value_id);
        }
    }

    /// Gives ordinals new names, ascending as the old ones; `None` drops. `series_count` is the number that stays.
    pub(crate) fn rename(&mut self, series_count: u32, renamed: &dyn Fn(u32) -> Option<u32>) {
        self.series_count = series_count;
        self.names.retain_mut(|name| name.values.rename(renamed));
        self.by_text = self.names.iter().enumerate().map(|(id, name)| (name.text.clone(), id as u32)).collect();
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let names: usize =
            self.names.iter().map(|n| size_of::<Name>() + 2 * n.text.len() + n.values.heap_bytes()).sum();
        names + self.by_text.allocation_size()
    }
}
