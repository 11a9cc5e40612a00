//! What the engine keeps beside samples: what is known of metrics, and exemplars.

use super::Engine;
use crate::EngineError;
use crate::exemplars::{Evicted, SeriesExemplars};
use crate::families::Described;
use mytsdb_model::{FamilyKind, FamilyMetadata, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use std::sync::Arc;

impl Engine {
    /// Notes what is known of a metric from now on; of a long help as much as `help_bytes_max` of the options allows. It is
    /// durable when a batch that is submitted afterwards is done; see [`Batch::describes`](crate::Batch::describes) for one
    /// without samples.
    ///
    /// Cost: a hash and a comparison of what is known.
    pub fn describe(&self, family: &str, kind: FamilyKind, help: &str, unit: &str) -> Described {
        let described = self.families.describe(family, kind, help, unit);
        match described {
            Described::Known => {}
            Described::Noted => self.metrics.metadata_families.set(self.families.len() as f64),
            Described::Refused => self.metrics.metadata_refused.inc(),
        }
        described
    }

    /// What is known of a metric.
    pub fn metadata(&self, family: &str) -> Option<FamilyMetadata> {
        self.families.get(family)
    }

    /// What is known of all metrics, in no order. Copies all.
    pub fn all_metadata(&self) -> Vec<(Arc<str>, FamilyMetadata)> {
        self.families.all()
    }

    /// Why metadata of further metrics is not kept, if that is so.
    pub fn metadata_full(&self) -> Option<String> {
        let limit = self.families.count_max;
        (self.families.len() >= limit).then(|| {
            format!(
                "metadata of {limit} metrics is kept, the limit (--max-metadata-metrics): further metrics have none"
            )
        })
    }

    /// Whether exemplars are kept.
    pub fn keeps_exemplars(&self) -> bool {
        self.exemplars.are_kept()
    }

    /// The exemplars in a range, and within the retention, of series that satisfy all matchers of one of the selectors;
    /// ascending by labels, those of a series by time.
    ///
    /// Cost: a look at every series that has exemplars, of which there are as many as their bytes allow.
    ///
    /// # Errors
    /// [`EngineError::Canceled`].
    pub fn exemplars(
        &self,
        range: TimeRange,
        selectors: &[Vec<Matcher>],
        stop: StopSign<'_>,
    ) -> Result<Vec<SeriesExemplars>, EngineError> {
        let oldest_ms = self.clock.now_ms().saturating_sub(self.options.retention_ms);
        self.exemplars.select(TimeRange::new(range.mint.max(oldest_ms), range.maxt), selectors, stop)
    }

    pub(super) fn report_exemplars(&self, evicted: Evicted) {
        let (count, bytes) = self.exemplars.size();
        self.metrics.exemplars.set(count as f64);
        self.metrics.exemplar_bytes.set(bytes as f64);
        self.metrics.exemplars_evicted_series.add(evicted.of_series);
        self.metrics.exemplars_evicted_bytes.add(evicted.of_all);
    }
}
