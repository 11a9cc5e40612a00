//! Names and values of labels: one sorted list from all sources.

use super::Reader;
use super::cache::Question;
use crate::EngineError;
use crate::source::{Asked, Lookup, Moment, Source};
use mytsdb_index::TextList;
use mytsdb_stop::{Canceled, StopSign};
use std::sync::Arc;

/// Names or values that all series of the live source and some fixed ones had, or those that satisfy some matchers.
#[derive(Debug)]
pub(crate) struct Texts {
    /// Shared by what is remembered of later moments, which mostly has the same texts.
    list: Arc<TextList>,
    /// When the live source was asked.
    moment: Moment,
}

impl Texts {
    /// Bytes that a cache holds on to with it.
    pub(super) fn bytes(&self) -> usize {
        size_of::<Self>() + self.list.heap_bytes()
    }

    fn to_vec(&self, stop: StopSign<'_>) -> Result<Vec<String>, Canceled> {
        stop.looks().collect(self.list.iter().map(String::from))
    }
}

impl Reader {
    /// Names of labels of series that satisfy the matchers, sorted.
    ///
    /// # Errors
    /// As [`candidates`](Reader::candidates).
    pub(crate) fn label_names(&self, lookup: &Lookup<'_>) -> Result<Vec<String>, EngineError> {
        self.texts(Asked::Names, lookup)
    }

    /// Values of one label over series that satisfy the matchers, sorted.
    ///
    /// # Errors
    /// As [`candidates`](Reader::candidates).
    pub(crate) fn label_values(&self, name: &str, lookup: &Lookup<'_>) -> Result<Vec<String>, EngineError> {
        self.texts(Asked::Values(name), lookup)
    }

    /// Whether any series, of any source, may have a label of this name; `false` only if none has.
    ///
    /// # Errors
    /// Those of the sources.
    pub(crate) fn has_label_name(&self, name: &str) -> Result<bool, EngineError> {
        // Invariant M: the live source first.
        if self.live.has_label_name(name)? {
            return Ok(true);
        }
        for source in self.manifest.list().iter() {
            if source.has_label_name(name)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn texts(&self, asked: Asked<'_>, lookup: &Lookup<'_>) -> Result<Vec<String>, EngineError> {
        let in_range = |source: &&Arc<dyn Source>| source.range().overlaps(lookup.range);
        let question = |sources: &[Arc<dyn Source>]| {
            Question::of_texts(asked, lookup.matchers, sources.iter().filter(in_range).map(|source| &**source))
        };
        // The list is taken before the live source is looked at: no series has left that since the texts were remembered, so a source
        // that has been added meanwhile knows nothing that it does not.
        if let Some(question) = question(&self.manifest.list())
            && let Some(known) = self.cache.texts(&question)
            && let Some(now) = self.bring_up_to_date(&known, asked, lookup)?
        {
            if !Arc::ptr_eq(&known, &now) {
                self.cache.put_texts(&question, &now);
            }
            return Ok(now.to_vec(lookup.stop)?);
        }
        // Invariant M: the live source first.
        let (mut list, moment) = self.live.texts(asked, lookup, None)?;
        let sources = self.manifest.list();
        // The versions before the texts, so that what is remembered for them is at least as young.
        let question = question(&sources);
        sources.iter().filter(in_range).for_each(|source| source.prepare(lookup));
        let series = Question::new(lookup.matchers);
        let mut complete = true;
        for source in sources.iter().filter(in_range) {
            lookup.stop.check()?;
            let known = self.cache.listed(&series, source.id());
            let more = source.texts(asked, lookup, known.as_ref().map(|listed| &listed.known));
            let Some((more, _)) = self.remarks.confine(&**source, more)? else {
                complete = false;
                continue;
            };
            let looks = &mut lookup.stop.looks();
            let more = looks.collect(more.iter())?;
            if let Some(all) = list.united(&more, looks)? {
                list = all;
            }
        }
        let Some(moment) = moment.filter(|_| complete) else {
            return Ok(lookup.stop.looks().collect(list.iter().map(String::from))?);
        };
        let now = Arc::new(Texts { list: list.into(), moment });
        if let Some(question) = question {
            self.cache.put_texts(&question, &now);
        }
        Ok(now.to_vec(lookup.stop)?)
    }

    /// What is known, with what has come since then; `None` if that cannot be told.
    fn bring_up_to_date(
        &self,
        known: &Arc<Texts>,
        asked: Asked<'_>,
        lookup: &Lookup<'_>,
    ) -> Result<Option<Arc<Texts>>, EngineError> {
        let is_new = |text: &str| !known.list.has(text);
        let Some((new, moment)) = self.live.texts_since(known.moment, asked, lookup, &is_new)? else { return Ok(None) };
        if moment == known.moment {
            return Ok(Some(known.clone()));
        }
        let new: Vec<&str> = new.iter().collect();
        let united = known.list.united(&new, &mut lookup.stop.looks())?;
        let list = united.map_or_else(|| known.list.clone(), Arc::new);
        Ok(Some(Arc::new(Texts { list, moment })))
    }
}
