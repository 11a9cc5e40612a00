//! Stands for the cold tier while it is not known what is in it: it says that samples are missing, and keeps deletions in force.

use crate::options::Unreachable;
use mytsdb_engine::{Ask, Asked, EngineError, Found, Known, Lookup, Moment, Source, SourceId, SourceSeries};
use mytsdb_index::TextList;
use mytsdb_model::{Labels, TimeRange};
use parking_lot::Mutex;
use std::sync::Arc;

/// Its number: no tier has it, because blocks begin with 1.
pub(crate) const UNKNOWN: u64 = 0;

/// The tier while its manifest has not been read.
#[derive(Debug)]
pub(crate) struct Unknown {
    range: TimeRange,
    unreachable: Unreachable,
    /// Why that is so.
    reason: Mutex<String>,
}

impl Unknown {
    pub fn new(range: TimeRange, unreachable: Unreachable, reason: &str) -> Self {
        Self { range, unreachable, reason: Mutex::new(reason.to_owned()) }
    }

    /// Notes why the last attempt has failed.
    pub fn note(&self, reason: String) {
        *self.reason.lock() = reason;
    }

    /// Why that is so, as far as that is known.
    pub fn reason(&self) -> String {
        self.reason.lock().clone()
    }

    fn unavailable<T>(&self) -> Result<T, EngineError> {
        let (what, reason) = ("the cold tier".to_owned(), self.reason.lock().clone());
        Err(match self.unreachable {
            Unreachable::Warn => EngineError::Unavailable { what, reason },
            Unreachable::Error => EngineError::Incomplete { what, reason },
        })
    }
}

impl Source for Unknown {
    fn id(&self) -> SourceId {
        SourceId::Outside(UNKNOWN)
    }

    fn range(&self) -> TimeRange {
        self.range
    }

    fn version(&self) -> Option<u64> {
        // Nothing is remembered of what it cannot answer.
        None
    }

    fn is_plain(&self) -> bool {
        false
    }

    fn select(self: Arc<Self>, _: &Ask<'_>) -> Result<Found, EngineError> {
        self.unavailable()
    }

    fn find(self: Arc<Self>, _: &Labels) -> Result<Option<Arc<dyn SourceSeries>>, EngineError> {
        self.unavailable()
    }

    fn texts(
        &self,
        _: Asked<'_>,
        _: &Lookup<'_>,
        _: Option<&Known>,
    ) -> Result<(TextList, Option<Moment>), EngineError> {
        self.unavailable()
    }

    fn has_label_name(&self, _: &str) -> Result<bool, EngineError> {
        Ok(true)
    }

    fn is_hit_by(&self, _: u64) -> bool {
        true
    }
}
