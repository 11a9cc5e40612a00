//! What has changed since a moment, as others may ask for it.

use super::Engine;
use crate::EngineStamp;
use mytsdb_model::TimeRange;

impl Engine {
    /// A stamp for what is read from here on, for [`changed_since`](Engine::changed_since). Cost: an atomic operation and a fence.
    pub fn stamp(&self) -> EngineStamp {
        self.changes.stamp()
    }

    /// A time before which samples of the metric are, in a range, as they were for who read after taking the stamp: what was acknowledged or
    /// returned before this call is taken into account. `i64::MAX` if all are, `i64::MIN` if it is not known: of a stamp
    /// of another engine, and where sources outside of the engine or damages reach into the range.
    ///
    /// Changes are told by metric names, several of which may be taken for one, and too early rather than too late. Cost: two locks that
    /// are hardly ever taken, and a look at the list of sources.
    pub fn changed_since(&self, stamp: EngineStamp, metric: &str, range: TimeRange) -> i64 {
        if self.reader.has_outside(range) || !self.warnings(range).is_empty() {
            return i64::MIN;
        }
        self.changes.earliest_since(stamp, metric, range)
    }
}
