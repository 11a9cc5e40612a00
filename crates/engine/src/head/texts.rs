//! Names and values of the labels of the head's series.

use super::{CatalogState, Head, HeadView, TURN_SERIES};
use crate::EngineError;
use crate::source::{Asked, Lookup, Moment};
use mytsdb_index::{IndexError, TextList};
use mytsdb_model::SeriesRef;
use std::collections::BTreeSet;

impl Head {
    /// The names or values of series that count: all if the range reaches beyond what was flushed, otherwise those that have samples
    /// in it. What is listed of the latter changes with every flush, so it is of no moment.
    pub(super) fn list_texts(
        &self,
        asked: Asked<'_>,
        lookup: &Lookup<'_>,
    ) -> Result<(TextList, Option<Moment>), EngineError> {
        let old = self.is_old(lookup);
        self.ask(|view| {
            let among = if old || !lookup.matchers.is_empty() { Some(series_of(view, lookup, old)?) } else { None };
            let (index, stop) = (view.index(), lookup.stop);
            let list = match (asked, among.as_deref()) {
                (Asked::Names, None) => index.label_names(stop),
                (Asked::Names, Some(among)) => index.label_names_of(among, stop),
                (Asked::Values(name), None) => index.label_values(name, stop),
                (Asked::Values(name), Some(among)) => index.label_values_of(name, among, stop),
            }?;
            Ok((list, (!old).then(|| view.state().into())))
        })
    }

    /// Those of series that came since a moment.
    pub(super) fn new_texts(
        &self,
        moment: Moment,
        asked: Asked<'_>,
        lookup: &Lookup<'_>,
        is_new: &dyn Fn(&str) -> bool,
    ) -> Result<Option<(TextList, Moment)>, EngineError> {
        if self.is_old(lookup) {
            return Ok(None);
        }
        self.ask(|view| {
            let (state, looks) = (view.state(), &mut lookup.stop.looks());
            let Some(references) = state.added_since(moment.into()) else { return Ok(None) };
            let mut list = TextList::default();
            if references.is_empty() {
                return Ok(Some((list, moment)));
            }
            let added = view.added(references, looks)?;
            let mut missing = BTreeSet::new();
            for series in &added {
                looks.before(1 + lookup.matchers.len())?;
                if lookup.matchers.iter().all(|m| m.matches_labels(&series.labels)) {
                    match asked {
                        Asked::Names => {
                            missing.extend(series.labels.iter().map(|(name, _)| name).filter(|name| is_new(name)));
                        }
                        Asked::Values(name) => missing.extend(series.labels.get(name).filter(|value| is_new(value))),
                    }
                }
            }
            for text in missing {
                list.push(text);
            }
            Ok(Some((list, state.into())))
        })
    }

    /// Only a matter of cost: either way is right.
    fn is_old(&self, lookup: &Lookup<'_>) -> bool {
        lookup.range.maxt < self.flushed_until_ms()
    }
}

fn series_of(view: &HeadView<'_>, lookup: &Lookup<'_>, old: bool) -> Result<Vec<SeriesRef>, IndexError> {
    let found = view.index().select(lookup.matchers, lookup.stop)?;
    if !old {
        return Ok(found);
    }
    let mut looks = lookup.stop.looks();
    let mut kept = Vec::new();
    for some in found.chunks(TURN_SERIES) {
        looks.before(2 * some.len())?;
        view.turn(|catalog| {
            let stored = |&series: &SeriesRef| catalog.get(series).is_some_and(|s| s.range().overlaps(lookup.range));
            kept.extend(some.iter().copied().filter(stored));
        });
    }
    Ok(kept)
}

impl From<CatalogState> for Moment {
    fn from(CatalogState { removals, next_ref }: CatalogState) -> Self {
        Self([removals, next_ref])
    }
}

impl From<Moment> for CatalogState {
    fn from(Moment([removals, next_ref]): Moment) -> Self {
        Self { removals, next_ref }
    }
}
