//! Which blocks are merged next; the rules are those of `docs/compaction.md`.

use super::grid::{Grid, cell};
use mytsdb_model::TimeRange;
use std::collections::{BTreeSet, HashSet};

/// A cell with more blocks has all of them merged.
const STACK_MAX: usize = 4;

/// Blocks that overlap in a day that is not complete are merged if so many lie over each other.
const OVERLAPPING_MIN: usize = 4;

/// An older block is merged with younger ones if it has at most this many times their bytes.
const OLDER_BYTES_RATIO: u64 = 4;

/// Most cells that a block is divided into.
const CELLS_MAX: usize = 1_024;

/// What the plan needs to know of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) id: u64,
    pub(super) range: TimeRange,
    /// The first and the last of its series, as places in an order of labels that all blocks share.
    pub(super) labels: [u32; 2],
    pub(super) bytes: u64,
    /// It is to be written anew, merged or not.
    pub(super) is_outdated: bool,
}

/// Blocks to merge, and the ranges for which there is to be one new block each.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Ids, ascending.
    pub(super) inputs: Vec<u64>,
    /// Ascending; together they have every sample of the inputs.
    pub(super) ranges: Vec<TimeRange>,
}

/// What there is, and what has been seen of it.
pub(super) struct Situation<'a> {
    /// All blocks, ascending by id, each with samples.
    pub(super) blocks: &'a [Facts],
    pub(super) grid: Grid,
    /// A flush has passed this time.
    pub(super) flushed_until_ms: i64,
    /// Blocks that are to be left alone.
    pub(super) failed: &'a HashSet<u64>,
}

impl Situation<'_> {
    /// What to do next, if anything is worth it.
    pub(super) fn plan(&self) -> Option<Plan> {
        self.divide()
            .or_else(|| self.complete_cells())
            .or_else(|| self.overlapping())
            .or_else(|| self.outdated())
            .or_else(|| self.crowded())
    }

    fn divide(&self) -> Option<Plan> {
        self.blocks.iter().find_map(|block| {
            if self.grid.longest(block.range.mint).contains(block.range.maxt) {
                return None;
            }
            let inputs = self.with_those_above(vec![*block]);
            let mut ranges = Vec::new();
            let hull = inputs.iter().fold(TimeRange::EMPTY, |hull, input| hull.cover(input.range));
            let mut from_ms = hull.mint;
            while ranges.len() < CELLS_MAX {
                let cell = self.grid.longest(from_ms);
                if inputs.iter().any(|input| input.range.overlaps(cell)) {
                    ranges.push(cell);
                }
                if cell.maxt >= hull.maxt {
                    return self.checked(&inputs, ranges);
                }
                from_ms = cell.maxt + 1;
            }
            None
        })
    }

    fn complete_cells(&self) -> Option<Plan> {
        self.complete().find_map(|cell| self.upper_part(&self.within(cell), cell))
    }

    /// Cells with blocks that a flush has passed, the shortest first.
    fn complete(&self) -> impl Iterator<Item = TimeRange> {
        self.grid.levels().flat_map(|length_ms| {
            let mints = self.blocks.iter().map(|block| cell(length_ms, block.range.mint).mint);
            let mints: BTreeSet<i64> = mints.collect();
            mints.into_iter().map(move |mint| cell(length_ms, mint)).filter(|cell| cell.maxt < self.flushed_until_ms)
        })
    }

    fn within(&self, cell: TimeRange) -> Vec<Facts> {
        self.blocks.iter().copied().filter(|block| cell.encloses(block.range)).collect()
    }

    /// There are too many: all of a cell that has several, where that is least to write.
    fn crowded(&self) -> Option<Plan> {
        if self.blocks.len() <= self.grid.blocks_max() {
            return None;
        }
        let plans = self.complete().filter_map(|cell| {
            let within = self.within(cell);
            let bytes = within.iter().map(|b| b.bytes).fold(0, u64::saturating_add);
            self.checked(&within, vec![cell]).map(|plan| (bytes, plan))
        });
        plans.min_by_key(|(bytes, _)| *bytes).map(|(_, plan)| plan)
    }

    /// The newest of some blocks, as many as are worth it.
    fn upper_part(&self, within: &[Facts], cell: TimeRange) -> Option<Plan> {
        let mut from = within.len().checked_sub(1)?;
        let mut bytes = within[from].bytes;
        while from > 0 && (within.len() > STACK_MAX || within[from - 1].bytes / OLDER_BYTES_RATIO <= bytes) {
            from -= 1;
            bytes = bytes.saturating_add(within[from].bytes);
        }
        (from..within.len() - 1).find_map(|from| self.checked(&within[from..], vec![cell]))
    }

    fn overlapping(&self) -> Option<Plan> {
        let mut by_time: Vec<Facts> = self.blocks.to_vec();
        by_time.sort_by_key(|block| (block.range.mint, block.id));
        let mut group: Vec<Facts> = Vec::new();
        let mut end_ms = i64::MIN;
        // One more at the end, which closes the last group.
        for next in by_time.into_iter().map(Some).chain([None]) {
            if let Some(next) = next.filter(|next| !group.is_empty() && next.range.mint <= end_ms) {
                group.push(next);
                end_ms = end_ms.max(next.range.maxt);
                continue;
            }
            let mut overlapping = std::mem::take(&mut group);
            overlapping.sort_by_key(|block| block.id);
            let first = overlapping.first().map_or(i64::MIN, |block| block.range.mint);
            let day = self.grid.day(first);
            let is_open = day.maxt >= self.flushed_until_ms && overlapping.iter().all(|b| day.encloses(b.range));
            if is_open && depth(&overlapping) >= OVERLAPPING_MIN {
                let plan = self.checked(&overlapping, vec![day]);
                if plan.is_some() {
                    return plan;
                }
            }
            if let Some(next) = next {
                end_ms = next.range.maxt;
                group.push(next);
            }
        }
        None
    }

    pub(super) fn outdated(&self) -> Option<Plan> {
        self.blocks.iter().filter(|block| block.is_outdated).find_map(|block| {
            let inputs = self.with_those_above(vec![*block]);
            self.checked(&inputs, vec![TimeRange::ALL])
        })
    }

    /// Some blocks, and those that Rule S asks for beside them, ascending by id.
    fn with_those_above(&self, mut members: Vec<Facts>) -> Vec<Facts> {
        let mut at = 0;
        while let Some(member) = members.get(at).copied() {
            for other in self.blocks {
                if other.id > member.id && other.range.overlaps(member.range) && !members.contains(other) {
                    members.push(*other);
                }
            }
            at += 1;
        }
        members.sort_by_key(|member| member.id);
        members
    }

    /// The plan, if Rule S holds, nothing of it is to be left alone, and it changes anything.
    fn checked(&self, inputs: &[Facts], ranges: Vec<TimeRange>) -> Option<Plan> {
        let obeys = |input: &Facts| {
            let above = |other: &&Facts| other.id > input.id && other.range.overlaps(input.range);
            !self.failed.contains(&input.id) && self.blocks.iter().filter(above).all(|other| inputs.contains(other))
        };
        let changes = inputs.len() > 1 || ranges.len() > 1 || inputs.iter().any(|input| input.is_outdated);
        let inputs_obey = changes && inputs.iter().all(obeys);
        inputs_obey.then(|| Plan { inputs: inputs.iter().map(|input| input.id).collect(), ranges })
    }
}

/// How many of some blocks have series of the same labels, or between the same ones: the parts of one flush lie beside each other.
fn depth(blocks: &[Facts]) -> usize {
    let over = |place: u32| blocks.iter().filter(|b| (b.labels[0]..=b.labels[1]).contains(&place)).count();
    blocks.iter().map(|block| over(block.labels[0])).max().unwrap_or(0)
}
