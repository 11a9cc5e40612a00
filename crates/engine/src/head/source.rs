//! The head as a source.

use super::{CatalogState, Head, MemSeries, TURN_SERIES, chunk_error};
use crate::EngineError;
use crate::source::{Ask, Asked, Found, Known, Lookup, Moment, Source, SourceId, SourceSeries};
use mytsdb_columns::{Columns, HistogramTable, Mark};
use mytsdb_index::TextList;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_sync::prefetch;
use std::sync::{Arc, OnceLock};

impl Source for Head {
    fn id(&self) -> SourceId {
        SourceId::Head
    }

    fn range(&self) -> TimeRange {
        TimeRange::ALL
    }

    fn version(&self) -> Option<u64> {
        None
    }

    fn is_plain(&self) -> bool {
        Head::is_plain(self)
    }

    fn select(self: Arc<Self>, ask: &Ask<'_>) -> Result<Found, EngineError> {
        let known = ask.known.and_then(|known| known.what.clone().downcast::<HeadSeries>().ok());
        let series = HeadSeries::find(&self, ask.lookup.matchers, known.as_ref(), ask.lookup.stop)?;
        let same_series = known.is_some_and(|known| Arc::ptr_eq(&known.series, &series.series));
        Ok(Found { known: Known { what: series.clone(), bytes: series.bytes() }, series, same_series })
    }

    fn find(self: Arc<Self>, labels: &Labels) -> Result<Option<Arc<dyn SourceSeries>>, EngineError> {
        let series = self.catalog().find(labels).cloned();
        Ok(series.map(|series| {
            Arc::new(HeadSeries { series: Arc::new(vec![series]), ..HeadSeries::default() }) as Arc<dyn SourceSeries>
        }))
    }

    fn texts(
        &self,
        asked: Asked<'_>,
        lookup: &Lookup<'_>,
        _: Option<&Known>,
    ) -> Result<(TextList, Option<Moment>), EngineError> {
        self.list_texts(asked, lookup)
    }

    fn texts_since(
        &self,
        moment: Moment,
        asked: Asked<'_>,
        lookup: &Lookup<'_>,
        is_new: &dyn Fn(&str) -> bool,
    ) -> Result<Option<(TextList, Moment)>, EngineError> {
        self.new_texts(moment, asked, lookup, is_new)
    }

    fn has_label_name(&self, name: &str) -> Result<bool, EngineError> {
        Ok(self.catalog().index().has_label_name(name))
    }

    fn moved_out(&self) -> u64 {
        self.drops()
    }

    fn share(&self, labels: &mut [Labels]) -> usize {
        let mut bytes = 0;
        for some in labels.chunks_mut(TURN_SERIES) {
            let catalog = self.catalog();
            for labels in some {
                match catalog.find(labels) {
                    Some(known) => *labels = known.labels.clone(),
                    None => bytes += labels.as_bytes().len() + 2 * size_of::<usize>(),
                }
            }
        }
        bytes
    }
}

/// Series of the head, in the order of their references, which is about the order in which they lie in memory.
#[derive(Debug, Default)]
struct HeadSeries {
    /// Shared by the lists of later states, as long as no series are added.
    series: Arc<Vec<Arc<MemSeries>>>,
    /// The catalog's when the list was made.
    state: CatalogState,
    /// Indices of `series` in the order of labels, once somebody needs it.
    by_labels: OnceLock<Arc<Vec<u32>>>,
}

impl HeadSeries {
    /// The series that satisfy all matchers; what `known` found before is used where the catalog allows it.
    fn find(
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
                Self { series: known.series.clone(), state, by_labels: known.by_labels.clone() }
            } else {
                let series = looks.collect(known.series.iter().cloned().chain(added))?;
                Self { series: series.into(), state, ..Self::default() }
            }))
        })
    }

    fn bytes(&self) -> usize {
        self.series.len() * (size_of::<Arc<MemSeries>>() + size_of::<u32>()) + size_of::<Self>()
    }
}

impl SourceSeries for HeadSeries {
    fn len(&self) -> usize {
        self.series.len()
    }

    /// The first call sorts: some 1 us a series for a million of them.
    fn by_labels(&self, stop: StopSign<'_>) -> Result<Option<&Arc<Vec<u32>>>, EngineError> {
        if let Some(order) = self.by_labels.get() {
            return Ok(Some(order));
        }
        let labels = |&at: &u32| &self.series[at as usize].labels;
        let looks = &mut stop.looks();
        let order = looks.collect(0..self.series.len() as u32)?;
        let order = looks.sort_by(order, |a, b| labels(a).cmp(labels(b)))?;
        Ok(Some(self.by_labels.get_or_init(|| order.into())))
    }

    #[inline]
    fn labels(&self, place: u32, [soon, later]: [u32; 2]) -> &Labels {
        // First the place that says where they are, then the labels.
        if let Some(later) = self.series.get(later as usize) {
            prefetch(&later.labels);
        }
        if let Some(soon) = self.series.get(soon as usize) {
            prefetch(soon.labels.as_bytes());
        }
        &self.series[place as usize].labels
    }

    fn has(&self, place: u32, range: TimeRange) -> Result<bool, EngineError> {
        Ok(self.series[place as usize].range().overlaps(range))
    }

    #[inline]
    fn read(
        &self,
        place: u32,
        ahead: u32,
        range: TimeRange,
        out: &mut Columns,
        from: Mark,
    ) -> Result<bool, EngineError> {
        if let Some(ahead) = self.series.get(ahead as usize) {
            prefetch(&**ahead);
        }
        let series = &self.series[place as usize];
        let at = out.mark();
        let ordered = series.read(range, out).map_err(|source| chunk_error(series, source))?;
        Ok(ordered && out.continues_at(at, from))
    }

    fn read_table(&self, place: u32, range: TimeRange, out: &mut HistogramTable) -> Result<bool, EngineError> {
        let series = &self.series[place as usize];
        series.read_table(range, out).map_err(|source| chunk_error(series, source))
    }
}
