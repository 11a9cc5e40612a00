//! Where exemplars come from.

use mytsdb_model::{Exemplar, Labels, Matcher, TimeRange};
use mytsdb_promql::Cancel;
use std::sync::Arc;

/// Exemplars of one series, ascending by time.
pub type SeriesExemplars = (Labels, Vec<Exemplar>);

/// Somebody who has exemplars. Asked on threads that may block.
pub trait ExemplarSource: Send + Sync {
    /// Those in a range of the series that satisfy all matchers of one of the selectors, ascending by labels.
    ///
    /// # Errors
    /// Why not, as a sentence; whatever it is if the query was cancelled.
    fn exemplars(
        &self,
        range: TimeRange,
        selectors: &[Vec<Matcher>],
        cancel: &Cancel,
    ) -> Result<Vec<SeriesExemplars>, String>;
}

/// Where exemplars come from; by default there are none.
#[derive(Clone, Default)]
pub struct Exemplars(Option<Arc<dyn ExemplarSource>>);

impl Exemplars {
    /// Those of `source`.
    pub fn of(source: Arc<dyn ExemplarSource>) -> Self {
        Self(Some(source))
    }

    pub(crate) fn source(&self) -> Option<&dyn ExemplarSource> {
        self.0.as_deref()
    }
}

impl std::fmt::Debug for Exemplars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Exemplars").field(&self.0.is_some()).finish()
    }
}
