//! Groups of rows with equal keys, found by several threads if there are many rows.

use super::reference::groups::groups_by_labels;
use crate::error::EvalError;
use crate::kernels::cells::Row;
use crate::options::Kernels;
use crate::rows::context::{Context, Hold};
use crate::rows::label_key::{LabelKey, hash_all, schema};
use crate::rows::numbers::Numbers;
use crate::rows::vector::Vector;
use crate::rows::workers::in_parts;
use hashbrown::HashTable;
use mytsdb_model::Labels;
use std::ops::Deref;
use std::sync::Arc;

/// By which labels rows are grouped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GroupBy {
    pub labels: Vec<String>,
    /// By all labels but those.
    pub without: bool,
}

/// Numbers for keys that are kept as bytes: a row's labels are walked once and compared with no other row's.
#[derive(Default)]
struct KeptKeys {
    numbers: Numbers,
    bytes: Vec<u8>,
    /// Where each key ends.
    ends: Vec<usize>,
}

impl KeptKeys {
    fn of(&mut self, hash: u64, row: u32, key: &[u8]) -> u32 {
        let Self { numbers: Numbers { table, hashes, first_rows }, bytes, ends } = self;
        let kept = |number: usize| &bytes[number.checked_sub(1).map_or(0, |before| ends[before])..ends[number]];
        let equal = |&number: &u32| hashes[number as usize] == hash && kept(number as usize) == key;
        if let Some(&number) = table.find(hash, equal) {
            return number;
        }
        let number = hashes.len() as u32;
        hashes.push(hash);
        first_rows.push(row);
        table.insert_unique(hash, number, |&number| hashes[number as usize]);
        bytes.extend_from_slice(key);
        ends.push(bytes.len());
        number
    }
}

/// Which of the rows have equal keys.
pub(crate) struct Keyed {
    pub numbers: Numbers,
    /// The number of each row's key.
    pub of_row: Vec<u32>,
}

impl Keyed {
    /// Numbers the keys of rows in memory.
    pub fn of_rows(context: &Context<'_>, rows: &[Row], key: &LabelKey<'_>) -> Result<Self, EvalError> {
        let mut numbers = Numbers::with_capacity(rows.len());
        let mut of_row = Vec::with_capacity(rows.len());
        context.stoppable(|looks| {
            for (at, row) in rows.iter().enumerate() {
                looks.before(2)?;
                let same = |other: u32| key.equals(&row.labels, key, &rows[other as usize].labels);
                of_row.push(numbers.of(key.hash(&row.labels), at as u32, same));
            }
            Ok(())
        })?;
        Ok(Keyed { numbers, of_row })
    }

    /// Numbers the keys of all rows, in the order of the rows.
    pub fn new(context: &Context<'_>, vector: &Vector<'_>, key: &LabelKey<'_>) -> Result<Self, EvalError> {
        let same = |a: u32, b: u32| key.equals(vector.source_labels(a as usize), key, vector.source_labels(b as usize));
        let mut parts = in_parts(context, vector.len(), |rows| {
            if key.is_listed() {
                let (mut kept, mut bytes) = (KeptKeys::default(), Vec::new());
                let of_row = rows
                    .map(|row| {
                        bytes.clear();
                        let hash = key.write(vector.source_labels(row), &mut bytes);
                        kept.of(hash, row as u32, &bytes)
                    })
                    .collect();
                return Keyed { numbers: kept.numbers, of_row };
            }
            let mut numbers = Numbers::default();
            let of_row = rows
                .map(|row| {
                    let row = row as u32;
                    numbers.of(key.hash(vector.source_labels(row as usize)), row, |other| same(row, other))
                })
                .collect();
            Keyed { numbers, of_row }
        })?
        .into_iter();
        if parts.len() < 2 {
            return Ok(parts.next().unwrap_or_else(|| Keyed { numbers: Numbers::default(), of_row: Vec::new() }));
        }
        let keys = parts.as_slice().iter().map(|part| part.numbers.len()).sum();
        let mut all = Keyed { numbers: Numbers::with_capacity(keys), of_row: Vec::with_capacity(vector.len()) };
        context.stoppable(|looks| {
            for part in parts {
                let mut renumbered = Vec::with_capacity(part.numbers.len());
                for (&row, &hash) in part.numbers.first_rows.iter().zip(&part.numbers.hashes) {
                    looks.before(2)?;
                    renumbered.push(all.numbers.of(hash, row, |other| same(row, other)));
                }
                looks.before(part.of_row.len() / 64)?;
                all.of_row.extend(part.of_row.iter().map(|&number| renumbered[number as usize]));
            }
            Ok(())
        })?;
        Ok(all)
    }
}

/// What a group takes beside the text of its labels, about: places in tables, and the head of the label set.
const GROUP_BYTES: usize = 64;

/// Which row belongs to which group: follows from the labels of the rows and their order alone.
pub(crate) struct Grouping {
    /// The group of each row.
    pub of_row: Vec<u32>,
    /// Labels of each group.
    pub labels: Vec<Labels>,
    /// Memory it takes, about.
    bytes: usize,
}

impl Grouping {
    pub fn new(of_row: Vec<u32>) -> Self {
        let bytes = size_of_val(&of_row[..]);
        Self { of_row, labels: Vec::new(), bytes }
    }

    /// Adds a group.
    pub fn push(&mut self, labels: Labels) {
        self.bytes += labels.as_bytes().len() + GROUP_BYTES;
        self.labels.push(labels);
    }

    /// Whether the storage should remember it: finding it anew takes long, and there are few groups to keep.
    fn is_worth_keeping(&self) -> bool {
        self.of_row.len() >= KEPT_ROWS_MIN && self.labels.len() <= self.of_row.len() / KEPT_GROUP_ROWS
    }
}

/// Groupings of fewer rows, or with fewer rows to a group on average, are found anew each time.
const KEPT_ROWS_MIN: usize = 1 << 10;
const KEPT_GROUP_ROWS: usize = 16;

/// The groups of a vector's rows.
pub(crate) struct Groups<'c> {
    grouping: Arc<Grouping>,
    /// What all this counts for.
    _held: Hold<'c>,
}

impl Deref for Groups<'_> {
    type Target = Grouping;

    fn deref(&self) -> &Grouping {
        &self.grouping
    }
}

impl<'c> Groups<'c> {
    pub fn new(context: &'c Context<'_>, vector: &Vector<'_>, by: &GroupBy) -> Result<Self, EvalError> {
        let grouping = if context.kernels == Kernels::Columnar {
            Self::find(context, vector, by)?
        } else {
            Arc::new(groups_by_labels(vector, by))
        };
        let held = context.hold_table(grouping.bytes as u64)?;
        Ok(Self { grouping, _held: held })
    }

    /// The groups, remembered from an earlier query if there was one like this.
    fn find(context: &Context<'_>, vector: &Vector<'_>, by: &GroupBy) -> Result<Arc<Grouping>, EvalError> {
        let key =
            if by.without { LabelKey::without(&by.labels) } else { LabelKey::only(&by.labels, vector.nameless()) };
        if key.is_empty() {
            let mut grouping = Grouping::new(vec![0; vector.len()]);
            if vector.len() > 0 {
                grouping.push(Labels::empty());
            }
            return Ok(Arc::new(grouping));
        }
        let place = vector.series_set().map(|set| (set, key.to_bytes()));
        let known = place.as_ref().and_then(|(set, place)| set.recall(place)?.downcast::<Grouping>().ok());
        if let Some(known) = known {
            return Ok(known);
        }
        let Keyed { numbers, of_row } = Keyed::new(context, vector, &key)?;
        let mut grouping = Grouping::new(of_row);
        context.stoppable(|looks| {
            grouping.labels.reserve_exact(numbers.len());
            for &row in &numbers.first_rows {
                looks.before(3)?;
                grouping.push(key.labels(vector.source_labels(row as usize)));
            }
            Ok(())
        })?;
        let grouping = Arc::new(grouping);
        if let Some((set, place)) = place.filter(|_| grouping.is_worth_keeping()) {
            set.remember(&place, grouping.clone(), grouping.bytes);
        }
        Ok(grouping)
    }

    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The labels of all groups, each to be taken once.
    pub fn into_labels(self) -> Vec<Option<Labels>> {
        let labels = Arc::try_unwrap(self.grouping).map_or_else(|shared| shared.labels.clone(), |owned| owned.labels);
        labels.into_iter().map(Some).collect()
    }

    pub fn members(&self) -> Members {
        let mut ends = vec![0u32; self.len() + 1];
        self.of_row.iter().for_each(|&group| ends[group as usize + 1] += 1);
        for group in 0..self.len() {
            ends[group + 1] += ends[group];
        }
        // Until all are in place, `ends[group]` is where the group's next row goes.
        let mut rows = vec![0u32; self.of_row.len()];
        for (row, &group) in self.of_row.iter().enumerate() {
            let next = &mut ends[group as usize];
            rows[*next as usize] = row as u32;
            *next += 1;
        }
        ends.pop();
        Members { rows, ends }
    }
}

/// The rows of each group.
pub(crate) struct Members {
    /// Those of group 0 in order, then those of group 1, and so on.
    rows: Vec<u32>,
    /// Where each group ends.
    ends: Vec<u32>,
}

impl Members {
    /// Groups.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The rows of `group`, in order.
    pub fn of(&self, group: usize) -> &[u32] {
        let start = group.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.rows[start as usize..self.ends[group] as usize]
    }
}

/// Whether the rows of `vector`, whose source labels are unique, can be told apart without their metric names.
pub(crate) fn unique_without_names(context: &Context<'_>, vector: &Vector<'_>) -> Result<bool, EvalError> {
    if vector.len() < 2 || vector.same_schema() {
        return Ok(true);
    }
    // Mostly there is one name. Then the rest differs, and nothing needs to be hashed.
    let (name, _) = schema(vector.source_labels(0));
    let one_name =
        in_parts(context, vector.len(), |mut rows| rows.all(|row| schema(vector.source_labels(row)) == (name, false)))?;
    if one_name.into_iter().all(|one| one) {
        return Ok(true);
    }
    let keyed = Keyed::new(context, vector, &LabelKey::without(&[]))?;
    Ok(keyed.numbers.len() == vector.len())
}

/// Whether all of `labels` differ.
pub(crate) fn all_unique<'l>(
    context: &Context<'_>,
    labels: impl ExactSizeIterator<Item = &'l Labels>,
) -> Result<bool, EvalError> {
    let mut table: HashTable<(u64, &Labels)> = HashTable::with_capacity(labels.len());
    context.stoppable(|looks| {
        for labels in labels {
            looks.before(2)?;
            let hash = hash_all(labels);
            if table.find(hash, |(h, known)| *h == hash && *known == labels).is_some() {
                return Ok(false);
            }
            table.insert_unique(hash, (hash, labels), |(hash, _)| *hash);
        }
        Ok(true)
    })
}
