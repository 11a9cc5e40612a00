//! What one source, the head or a block, has for some matchers.

use super::findings::Findings;
use crate::EngineError;
use crate::blocks::Served;
use crate::head::{CatalogState, Head, MemSeries, TURN_SERIES};
use mytsdb_model::{Labels, Matcher};
use mytsdb_stop::StopSign;
use std::sync::{Arc, OnceLock};

/// Steps that the labels of a series of a block take to read and to find in the head.
const LABELS_STEPS: usize = 8;

/// Series of the head, in the order of their references, which is about the order in which they lie in memory.
#[derive(Debug, Default)]
pub(crate) struct HeadSeries {
    /// Shared by the lists of later states, as long as no series are added.
    pub(super) series: Arc<Vec<Arc<MemSeries>>>,
    /// The catalog's when the list was made.
    state: CatalogState,
    /// Indices of `series` in the order of labels, once somebody needs it.
    by_labels: OnceLock<Arc<Vec<u32>>>,
    /// What others found out about these series; goes on to the next list if that has the same ones.
    pub(super) findings: Arc<Findings>,
}

impl HeadSeries {
    /// The series that satisfy all matchers; what `known` found before is used where the catalog allows it.
    pub(super) fn find(
        head: &Head,
        matchers: &[Matcher],
        known: Option<&Arc<Self>>,
        stop: StopSign<'_>,
    ) -> Result<Arc<Self>, EngineError> {
        head.ask(|view| {
            let (state, looks) = (view.state(), &mut stop.looks());
            let Some((known, references)) = known.and_then(|known| Some((known, state.added_since(known.state)?)))
            else {
                let series = view.select(matchers, stop)?;
                return Ok(Arc::new(Self { series: series.into(), state, ..Self::default() }));
            };
            if references.is_empty() {
                return Ok(known.clone());
            }
            let mut added = Vec::new();
            for series in view.added(references, looks)? {
                looks.before(1 + matchers.len())?;
                if matchers.iter().all(|m| m.matches_labels(&series.labels)) {
                    added.push(series);
                }
            }
            Ok(Arc::new(if added.is_empty() {
                let (series, by_labels) = (known.series.clone(), known.by_labels.clone());
                Self { series, state, by_labels, findings: known.findings.clone() }
            } else {
                let series = looks.collect(known.series.iter().cloned().chain(added))?;
                Self { series: series.into(), state, ..Self::default() }
            }))
        })
    }

    /// The indices in the order of labels. The first call sorts: some 1 us a series for a million of them.
    pub(super) fn by_labels(&self, stop: StopSign<'_>) -> Result<&Arc<Vec<u32>>, EngineError> {
        if let Some(order) = self.by_labels.get() {
            return Ok(order);
        }
        let labels = |&at: &u32| &self.series[at as usize].labels;
        let looks = &mut stop.looks();
        let order = looks.collect(0..self.series.len() as u32)?;
        let order = looks.sort_by(order, |a, b| labels(a).cmp(labels(b)))?;
        Ok(self.by_labels.get_or_init(|| order.into()))
    }

    /// Bytes of the list itself.
    pub(super) fn list_bytes(&self) -> usize {
        self.series.len() * (size_of::<Arc<MemSeries>>() + size_of::<u32>()) + size_of::<Self>()
    }

    /// Bytes that a cache holds on to with it.
    pub(super) fn bytes(&self) -> usize {
        self.list_bytes() + self.findings.bytes()
    }
}

/// Series of a block, in the order of labels.
#[derive(Debug)]
pub(crate) struct BlockSeries {
    pub(super) labels: Box<[Labels]>,
    pub(super) ordinals: Box<[u32]>,
    /// Bytes of labels that nobody else holds.
    own_bytes: usize,
}

impl BlockSeries {
    pub(super) fn find(
        head: &Head,
        block: &Served,
        matchers: &[Matcher],
        stop: StopSign<'_>,
    ) -> Result<Self, EngineError> {
        let mut ordinals = block.select(matchers, stop)?;
        let mut looks = stop.looks();
        let mut labels = Vec::with_capacity(ordinals.len());
        let mut own_bytes = 0;
        let mut damaged = Vec::new();
        for part in ordinals.chunks(TURN_SERIES) {
            looks.before(part.len() * LABELS_STEPS)?;
            let from = labels.len();
            for &ordinal in part {
                match block.labels(ordinal)? {
                    Some(read) => labels.push(read),
                    None => damaged.push(ordinal),
                }
            }
            // One allocation for a series' labels wherever it lives, so that merging compares pointers.
            let catalog = head.catalog();
            for read in &mut labels[from..] {
                match catalog.find(read) {
                    Some(known) => *read = known.labels.clone(),
                    None => own_bytes += read.as_bytes().len() + 2 * size_of::<usize>(),
                }
            }
        }
        if !damaged.is_empty() {
            ordinals.retain(|ordinal| damaged.binary_search(ordinal).is_err());
        }
        Ok(Self { labels: labels.into(), ordinals: ordinals.into(), own_bytes })
    }

    /// Bytes that a cache holds on to with it.
    pub(super) fn bytes(&self) -> usize {
        self.ordinals.len() * (size_of::<Labels>() + size_of::<u32>()) + self.own_bytes + size_of::<Self>()
    }
}
