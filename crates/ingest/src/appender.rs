//! What this edge needs of a store.

use mytsdb_engine::{Batch, Done, Engine, EngineError};
use mytsdb_model::{Labels, SeriesRef};

/// The calls of [`Engine`] that the edge makes; a trait, so that tests can refuse, fail and panic on purpose.
pub trait Appender: Send + Sync + 'static {
    /// The reference of a series, made if it is new.
    ///
    /// # Errors
    /// [`EngineError::SeriesLimit`] refuses the series; any other error fails the request.
    fn resolve(&self, labels: &Labels) -> Result<SeriesRef, EngineError>;

    /// The reference of a series that is there already. `None` stands for every series that it would be dear to look for.
    fn find(&self, _labels: &Labels) -> Option<SeriesRef> {
        None
    }

    /// The labels of a series, for messages about it; `None` if they are not known any more.
    fn labels_of(&self, _series: SeriesRef) -> Option<Labels> {
        None
    }

    /// Changes when references handed out before may have been dropped.
    fn epoch(&self) -> u64;

    /// Whether `series` is still known; if so it stays so through this epoch.
    fn touch(&self, series: SeriesRef) -> bool;

    /// Whether exemplars are kept; those of requests are read only then.
    fn keeps_exemplars(&self) -> bool;

    /// Takes a batch; `done` hears once what became of it.
    fn submit(&self, batch: Batch, done: Done);
}

impl Appender for Engine {
    fn resolve(&self, labels: &Labels) -> Result<SeriesRef, EngineError> {
        Engine::resolve(self, labels)
    }

    fn find(&self, labels: &Labels) -> Option<SeriesRef> {
        Engine::find(self, labels)
    }

    fn labels_of(&self, series: SeriesRef) -> Option<Labels> {
        Engine::labels_of(self, series)
    }

    fn epoch(&self) -> u64 {
        Engine::epoch(self)
    }

    fn touch(&self, series: SeriesRef) -> bool {
        Engine::touch(self, series)
    }

    fn keeps_exemplars(&self) -> bool {
        Engine::keeps_exemplars(self)
    }

    fn submit(&self, batch: Batch, done: Done) {
        Engine::submit(self, batch, done);
    }
}
