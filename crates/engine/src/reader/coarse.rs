//! Parts of a selection that have buckets in place of samples, and which of them is read where there are several of one day.

use super::selection::Part;
use mytsdb_downsample::Resolution;
use std::collections::BTreeMap;

/// Which parts give way to others, if these have the series that is read. Nothing at all if no part has buckets.
#[derive(Debug, Default)]
pub(super) struct Rivals(Vec<Vec<usize>>);

impl Rivals {
    /// Of the parts of one day those of the wanted width are read before others.
    pub(super) fn of_parts(parts: &[Part], wanted: Resolution) -> Self {
        let coarse: Vec<_> = parts.iter().map(|part| part.source.coarse()).collect();
        if coarse.iter().all(Option::is_none) {
            return Self::default();
        }
        let mut preferred: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        for (at, coarse) in coarse.iter().enumerate() {
            if let Some(coarse) = coarse.filter(|coarse| coarse.resolution == wanted) {
                preferred.entry(coarse.day.mint).or_default().push(at);
            }
        }
        let rivals = coarse.iter().map(|coarse| match coarse {
            Some(coarse) if coarse.resolution != wanted => preferred.get(&coarse.day.mint).cloned().unwrap_or_default(),
            _ => Vec::new(),
        });
        Self(rivals.collect())
    }

    /// Whether any part has buckets.
    pub(super) fn are_coarse(&self) -> bool {
        !self.0.is_empty()
    }

    /// The parts that a part gives way to.
    #[inline]
    pub(super) fn of(&self, part: usize) -> &[usize] {
        self.0.get(part).map(Vec::as_slice).unwrap_or_default()
    }
}
