//! Numbers for keys.

use hashbrown::HashTable;

/// Numbers for keys, in the order in which they come up.
#[derive(Default)]
pub(crate) struct Numbers {
    pub(crate) table: HashTable<u32>,
    pub(crate) hashes: Vec<u64>,
    /// The first row of each key.
    pub first_rows: Vec<u32>,
}

impl Numbers {
    /// None yet; room for `keys`, so that the table need not be built anew when it grows.
    pub fn with_capacity(keys: usize) -> Self {
        let (table, hashes) = (HashTable::with_capacity(keys), Vec::with_capacity(keys));
        Self { table, hashes, first_rows: Vec::with_capacity(keys) }
    }

    /// The number of the key of `row`; `same` tells whether the key of another row is equal to it.
    #[inline]
    pub fn of(&mut self, hash: u64, row: u32, same: impl Fn(u32) -> bool) -> u32 {
        let (hashes, first_rows) = (&mut self.hashes, &mut self.first_rows);
        let equal = |&number: &u32| hashes[number as usize] == hash && same(first_rows[number as usize]);
        if let Some(&number) = self.table.find(hash, equal) {
            return number;
        }
        let number = hashes.len() as u32;
        hashes.push(hash);
        first_rows.push(row);
        self.table.insert_unique(hash, number, |&number| hashes[number as usize]);
        number
    }

    /// The number of a known key.
    #[inline]
    pub fn find(&self, hash: u64, same: impl Fn(u32) -> bool) -> Option<u32> {
        let equal = |&number: &u32| self.hashes[number as usize] == hash && same(self.first_rows[number as usize]);
        self.table.find(hash, equal).copied()
    }

    pub fn len(&self) -> usize {
        self.hashes.len()
    }
}
