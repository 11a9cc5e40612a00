//! A block as a source.

use super::served::Served;
use crate::EngineError;
use crate::source::{Ask, Asked, Found, Known, Lookup, Moment, Source, SourceId, SourceSeries};
use mytsdb_columns::{Columns, HistogramTable, Mark, Outline, Outlining};
use mytsdb_index::TextList;
use mytsdb_model::{Labels, TimeRange};
use std::sync::Arc;

/// Series whose labels are read between two looks at the stop sign.
const TURN_SERIES: usize = 256;

/// Steps that the labels of a series of a block take to read and to find elsewhere.
const LABELS_STEPS: usize = 8;

impl Source for Served {
    fn id(&self) -> SourceId {
        SourceId::Block(self.meta().id)
    }

    fn range(&self) -> TimeRange {
        self.meta().range
    }

    fn version(&self) -> Option<u64> {
        Some(self.hidden_count())
    }

    fn is_plain(&self) -> bool {
        self.block().is_plain()
    }

    fn select(self: Arc<Self>, ask: &Ask<'_>) -> Result<Found, EngineError> {
        // A block never changes, and what is hidden of it hides no series from a list.
        let known = ask.known.and_then(|known| known.what.clone().downcast::<Listed>().ok());
        let same_series = known.is_some();
        let list = match known {
            Some(known) => known,
            None => Arc::new(Listed::find(&self, ask)?),
        };
        let known = Known { what: list.clone(), bytes: list.bytes() };
        Ok(Found { series: Arc::new(BlockSeries { block: self, list }), known, same_series })
    }

    fn find(self: Arc<Self>, labels: &Labels) -> Result<Option<Arc<dyn SourceSeries>>, EngineError> {
        Ok(Served::find(&self, labels)?.map(|ordinal| {
            let list = Listed { labels: [labels.clone()].into(), ordinals: [ordinal].into(), own_bytes: 0 };
            Arc::new(BlockSeries { block: self, list: Arc::new(list) }) as Arc<dyn SourceSeries>
        }))
    }

    fn texts(
        &self,
        asked: Asked<'_>,
        lookup: &Lookup<'_>,
        known: Option<&Known>,
    ) -> Result<(TextList, Option<Moment>), EngineError> {
        let list = |among: Option<&[u32]>| match asked {
            Asked::Names => self.label_names(among, lookup.stop),
            Asked::Values(name) => self.label_values(name, among, lookup.stop),
        };
        let known = known.and_then(|known| known.what.downcast_ref::<Listed>()).filter(|_| !self.hides());
        let list = if let Some(known) = known {
            list(Some(&known.ordinals))
        } else if lookup.matchers.is_empty() && !self.hides() {
            list(None)
        } else {
            let mut ordinals = self.select_ordinals(lookup.matchers, lookup.stop)?;
            ordinals.retain(|&ordinal| !self.is_hidden_whole(ordinal));
            list(Some(&ordinals))
        };
        Ok((list?, None))
    }

    fn has_label_name(&self, name: &str) -> Result<bool, EngineError> {
        self.has_name(name)
    }
}

/// Series that satisfy some matchers, in the order of labels.
#[derive(Debug)]
struct Listed {
    labels: Box<[Labels]>,
    ordinals: Box<[u32]>,
    /// Bytes of labels that nobody else holds.
    own_bytes: usize,
}

impl Listed {
    fn find(block: &Served, ask: &Ask<'_>) -> Result<Self, EngineError> {
        let stop = ask.lookup.stop;
        let mut ordinals = block.select_ordinals(ask.lookup.matchers, stop)?;
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
            own_bytes += (ask.share)(&mut labels[from..]);
        }
        if !damaged.is_empty() {
            ordinals.retain(|ordinal| damaged.binary_search(ordinal).is_err());
        }
        Ok(Self { labels: labels.into(), ordinals: ordinals.into(), own_bytes })
    }

    fn bytes(&self) -> usize {
        self.ordinals.len() * (size_of::<Labels>() + size_of::<u32>()) + self.own_bytes + size_of::<Self>()
    }
}

/// The same, readable. Only this keeps the block: what is remembered does not.
struct BlockSeries {
    block: Arc<Served>,
    list: Arc<Listed>,
}

impl SourceSeries for BlockSeries {
    fn len(&self) -> usize {
        self.list.ordinals.len()
    }

    #[inline]
    fn labels(&self, place: u32, _: [u32; 2]) -> &Labels {
        &self.list.labels[place as usize]
    }

    fn has(&self, place: u32, range: TimeRange) -> Result<bool, EngineError> {
        self.block.has(self.list.ordinals[place as usize], range, &mut Vec::new())
    }

    fn read(&self, place: u32, _: u32, range: TimeRange, out: &mut Columns, from: Mark) -> Result<bool, EngineError> {
        self.block.read(self.list.ordinals[place as usize], range, out, from)
    }

    fn read_table(&self, place: u32, range: TimeRange, out: &mut HistogramTable) -> Result<bool, EngineError> {
        Ok(self.block.read_table(self.list.ordinals[place as usize], range, out))
    }

    fn read_outline(
        &self,
        place: u32,
        _: u32,
        range: TimeRange,
        outlining: &Outlining<'_>,
        out: &mut Outline,
    ) -> Result<bool, EngineError> {
        self.block.read_outline(self.list.ordinals[place as usize], range, outlining, out)
    }
}
