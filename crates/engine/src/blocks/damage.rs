//! The known damage of blocks. Damaged parts are left out of answers, and answers over their times say so: they are a source that has
//! no series, and warnings.

use crate::EngineError;
use crate::changes::MetricChanges;
use crate::metrics::Metrics;
use crate::source::{Ask, Asked, Found, Known, Lookup, Moment, Source, SourceId, SourceSeries};
use mytsdb_blocks::BlockError;
use mytsdb_index::TextList;
use mytsdb_model::{Labels, TimeRange};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most damages that are told apart; what is found beyond is told in one sentence.
const DAMAGES_MAX: usize = 1_000;

/// Most warnings of one answer.
const WARNINGS_MAX: usize = 10;

/// Something that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Damage {
    /// The samples that are missing are within it.
    range: TimeRange,
    what: String,
}

/// The damages found since the start, and those that earlier starts set aside.
#[derive(Debug)]
pub(crate) struct Damages {
    known: Mutex<Vec<Damage>>,
    /// Lets answers from sound blocks take no lock.
    any: AtomicBool,
    changes: Arc<MetricChanges>,
    metrics: Metrics,
}

impl Damages {
    pub(super) fn new(metrics: Metrics, changes: Arc<MetricChanges>) -> Self {
        Self { known: Mutex::default(), any: AtomicBool::new(false), changes, metrics }
    }

    /// Notes a damage, once.
    pub(super) fn note(&self, range: TimeRange, what: String) {
        let mut known = self.known.lock();
        if known.iter().any(|damage| damage.what == what) {
            return;
        }
        self.metrics.corrupt_blocks.inc();
        if known.len() == DAMAGES_MAX {
            let what = "more parts of blocks are damaged than are told apart".to_owned();
            known.push(Damage { range, what });
        } else if let Some(last) = known.get_mut(DAMAGES_MAX) {
            last.range = last.range.cover(range);
        } else {
            known.push(Damage { range, what });
        }
        // Release pairs with the Acquire in `warnings`.
        self.any.store(true, Ordering::Release);
        self.changes.note_range(range);
    }

    /// Whether an error is a damage, which is noted then, of something that has samples in a range. Other errors are the
    /// caller's to report.
    pub(super) fn confine(&self, error: &BlockError, range: TimeRange) -> bool {
        let is_damage = matches!(error, BlockError::Corrupt { .. } | BlockError::DamagedChunk { .. });
        if is_damage {
            self.note(range, error.to_string());
        }
        is_damage
    }
}

impl Source for Damages {
    fn id(&self) -> SourceId {
        SourceId::Damage
    }

    fn range(&self) -> TimeRange {
        TimeRange::EMPTY
    }

    fn version(&self) -> Option<u64> {
        Some(0)
    }

    fn is_plain(&self) -> bool {
        true
    }

    fn select(self: Arc<Self>, _: &Ask<'_>) -> Result<Found, EngineError> {
        Ok(Found::nothing())
    }

    fn find(self: Arc<Self>, _: &Labels) -> Result<Option<Arc<dyn SourceSeries>>, EngineError> {
        Ok(None)
    }

    fn texts(
        &self,
        _: Asked<'_>,
        _: &Lookup<'_>,
        _: Option<&Known>,
    ) -> Result<(TextList, Option<Moment>), EngineError> {
        Ok((TextList::default(), None))
    }

    fn has_label_name(&self, _: &str) -> Result<bool, EngineError> {
        Ok(false)
    }

    fn warnings(&self, range: TimeRange) -> Vec<String> {
        if !self.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let known = self.known.lock();
        let mut found = known.iter().filter(|damage| damage.range.overlaps(range));
        let mut warnings: Vec<String> = found
            .by_ref()
            .take(WARNINGS_MAX)
            .map(|damage| format!("samples may be missing: {}", damage.what))
            .collect();
        let more = found.count();
        if more > 0 {
            warnings.push(format!("samples may be missing: {more} other parts of blocks are damaged"));
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn damages() -> Damages {
        Damages::new(Metrics::new(&mytsdb_telemetry::Registry::new()), Arc::new(MetricChanges::new()))
    }

    #[test]
    fn a_damage_is_told_once_and_over_its_time_only() {
        let damages = damages();
        assert_eq!(damages.warnings(TimeRange::ALL), [""; 0]);
        for _ in 0..3 {
            damages.note(TimeRange::new(10, 20), "a".to_owned());
            damages.note(TimeRange::new(15, 30), "b".to_owned());
        }
        assert_eq!(damages.warnings(TimeRange::new(0, 9)), [""; 0]);
        assert_eq!(damages.warnings(TimeRange::new(12, 12)), ["samples may be missing: a"]);
        assert_eq!(damages.warnings(TimeRange::new(20, 90)).len(), 2);
    }

    #[test]
    fn many_damages_take_bounded_memory_and_none_is_hushed_up() {
        let damages = damages();
        for at in 0..3_000 {
            damages.note(TimeRange::new(at, at), at.to_string());
        }
        assert_eq!(damages.known.lock().len(), DAMAGES_MAX + 1);
        assert_eq!(damages.warnings(TimeRange::new(2_500, 2_500)).len(), 1);
        let all = damages.warnings(TimeRange::ALL);
        assert_eq!(all.len(), WARNINGS_MAX + 1);
        assert!(all[WARNINGS_MAX].contains("991 other"), "{}", all[WARNINGS_MAX]);
    }
}
