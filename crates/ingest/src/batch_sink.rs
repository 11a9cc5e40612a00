//! Collects a request's samples into one batch, and leads refused rows back to the points they came from.

use crate::pace::Pace;
use crate::{Appender, Refusal};
use mytsdb_engine::{Batch, Companion, EngineError, Outcome};
use mytsdb_histogram::FloatHistogram;
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_otlp::{PointLimit, RefusalReason, Refusals, Refused, Sink, TargetInfo};
use std::ops::Range;

/// The sink of one request: gathers its samples into a batch. Samples come in by its [`Sink`], or by remote write's.
pub struct BatchSink<'a, A> {
    appender: &'a A,
    pace: &'a Pace,
    batch: Batch,
    /// The first row of the current point, and of the current resource.
    point_start: u32,
    resource_start: u32,
    keeps_exemplars: bool,
    /// The first error that is no refusal: the request fails with it.
    fatal: Option<Refusal>,
}

/// Which rows of a batch belong to which point: those of points of several, ascending; the others are points themselves.
#[derive(Debug, Default)]
pub(crate) struct PointRows(Vec<Range<u32>>);

impl<'a, A: Appender> BatchSink<'a, A> {
    pub(crate) fn new(appender: &'a A, pace: &'a Pace) -> Self {
        Self {
            appender,
            pace,
            batch: Batch::default(),
            point_start: 0,
            resource_start: 0,
            keeps_exemplars: appender.keeps_exemplars(),
            fatal: None,
        }
    }

    /// Adds an exemplar of the last row, which is a point by itself.
    pub(crate) fn append_exemplar_of_last(&mut self, series: SeriesRef, exemplar: mytsdb_model::Exemplar) {
        if self.keeps_exemplars {
            self.batch.push_exemplar_of_last(series, exemplar);
        }
    }

    /// Something was said of metrics, which is to be durable with the batch.
    pub(crate) fn describe(&mut self) {
        self.batch.describes = true;
    }

    /// The batch, or what fails the request.
    pub(crate) fn finish(self) -> Result<(Batch, PointRows), Refusal> {
        if let Some(refusal) = self.fatal {
            return Err(refusal);
        }
        let rows = PointRows(self.batch.points.clone());
        Ok((self.batch, rows))
    }

    /// The reference of a series, which is made if it may begin now.
    fn reference(&mut self, labels: &Labels) -> Result<SeriesRef, Refused> {
        let failed = || Refused::new(RefusalReason::SeriesLimit, "the request has failed");
        if self.fatal.is_some() {
            return Err(failed());
        }
        if let Some(series) = self.appender.find(labels) {
            return Ok(series);
        }
        if let Err(refusal) = self.pace.begin_series() {
            self.fatal = Some(refusal);
            return Err(failed());
        }
        self.appender.resolve(labels).map_err(|error| {
            if !matches!(error, EngineError::SeriesLimit { .. }) {
                self.fatal = Some(Refusal::from(&error));
            }
            Refused::new(RefusalReason::SeriesLimit, error.to_string())
        })
    }

    /// Adds a histogram of integers, whose counts must add up.
    fn push_histogram(
        &mut self,
        series: SeriesRef,
        timestamp_ms: i64,
        start_ms: i64,
        histogram: &FloatHistogram,
    ) -> Result<(), Refused> {
        let invalid = |message: String| Refused::new(RefusalReason::Invalid, message);
        histogram.validate_integers().map_err(|error| invalid(error.to_string()))?;
        let pushed = self.batch.push_histogram(series, timestamp_ms, start_ms, histogram);
        pushed.map_err(|error| invalid(error.to_string()))
    }
}

impl<A: Appender> mytsdb_remote_write::Sink for BatchSink<'_, A> {
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, Refused> {
        self.reference(labels)
    }

    fn touch(&mut self, series: SeriesRef) -> bool {
        self.appender.touch(series)
    }

    #[inline]
    fn append(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64, value: f64) {
        self.batch.push_since(series, timestamp_ms, start_ms, value);
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        timestamp_ms: i64,
        start_ms: i64,
        histogram: FloatHistogram,
    ) -> Result<(), Refused> {
        let pushed = self.batch.push_histogram(series, timestamp_ms, start_ms, &histogram);
        // Translations hand on valid histograms only, so that what is left is size.
        pushed.map_err(|error| Refused::new(RefusalReason::Limit(PointLimit::Buckets), error.to_string()))
    }

    fn append_exemplar(&mut self, series: SeriesRef, exemplar: mytsdb_model::Exemplar) {
        if self.keeps_exemplars {
            self.batch.push_exemplar(series, exemplar);
        }
    }
}

impl<A: Appender> Sink for BatchSink<'_, A> {
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, Refused> {
        self.reference(labels)
    }

    fn touch(&mut self, series: SeriesRef) -> bool {
        self.appender.touch(series)
    }

    #[inline]
    fn append(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64, value: f64) {
        self.batch.push_since(series, timestamp_ms, start_ms, value);
    }

    fn append_delta(&mut self, series: SeriesRef, timestamp_ms: i64, _: i64, value: f64) {
        self.batch.push(series, timestamp_ms, value);
        self.batch.add_up_last();
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        timestamp_ms: i64,
        start_ms: i64,
        histogram: FloatHistogram,
        delta: bool,
    ) -> Result<(), Refused> {
        self.push_histogram(series, timestamp_ms, start_ms, &histogram)?;
        if delta {
            self.batch.add_up_last();
        }
        Ok(())
    }

    fn wants_exemplars(&self) -> bool {
        self.keeps_exemplars
    }

    fn append_exemplar(&mut self, exemplar: mytsdb_otlp::Exemplar) {
        let mytsdb_otlp::Exemplar { series, timestamp_ms, value, labels } = exemplar;
        // The time of its point, if it has none.
        let timestamp_ms = timestamp_ms.or(self.batch.timestamps_ms.last().copied()).unwrap_or_default();
        self.batch.push_exemplar_of_last(series, mytsdb_model::Exemplar { timestamp_ms, value, labels });
    }

    #[inline]
    fn end_point(&mut self) {
        self.batch.end_point_of(self.point_start);
        self.point_start = self.batch.len() as u32;
    }

    fn end_resource(&mut self, target_info: Option<TargetInfo>) {
        let rows = self.resource_start..self.point_start;
        self.resource_start = self.point_start;
        if let Some(TargetInfo { series, step_ms }) = target_info {
            self.batch.companions.push(Companion { series, value: 1.0, step_ms, rows });
        }
    }
}

/// Refused rows whose metrics messages name.
const NAMED_MAX: usize = 64;

/// The rows of a batch that the store refused for good, and the points that they are of.
#[derive(Debug, Default)]
pub struct RefusedRows {
    points: PointRows,
    rows: Vec<(u32, mytsdb_engine::Refusal)>,
    /// Metrics of the first rows; empty where they are not known.
    metrics: Vec<String>,
    exemplars: u32,
}

impl RefusedRows {
    /// `metric` tells the name of the metric that a series is of.
    pub(crate) fn new(points: PointRows, outcome: Outcome, metric: impl Fn(SeriesRef) -> String) -> Self {
        let metrics = outcome.refused_series.iter().take(NAMED_MAX).map(|series| metric(*series)).collect();
        Self { points, rows: outcome.refused, metrics, exemplars: outcome.exemplars }
    }

    /// How many exemplars are stored.
    pub fn exemplars_stored(&self) -> u32 {
        self.exemplars
    }

    /// The rows, ascending, each with its reason.
    pub fn rows(&self) -> impl Iterator<Item = (u32, mytsdb_engine::Refusal)> {
        self.rows.iter().copied()
    }

    /// Counts each point of which a row was refused, once, under the first row's reason. Returns how many there are.
    pub fn count(&self, refusals: &mut Refusals) -> u64 {
        let before = refusals.total();
        let mut last_point = None;
        for (at, (row, refusal)) in self.rows.iter().enumerate() {
            let points = &self.points.0;
            let several = points.get(points.partition_point(|point| point.end <= *row));
            let first_row = several.filter(|point| point.contains(row)).map_or(*row, |point| point.start);
            if last_point != Some(first_row) {
                last_point = Some(first_row);
                refusals.add_with(RefusalReason::Sample, 1, || match self.metrics.get(at).map(String::as_str) {
                    None | Some("") => refusal.to_string(),
                    Some(metric) => format!("metric {metric:?}: {refusal}"),
                });
            }
        }
        refusals.total() - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_engine::Done;

    struct Nothing;

    impl Appender for Nothing {
        fn resolve(&self, _: &Labels) -> Result<SeriesRef, EngineError> {
            Err(EngineError::Stopped)
        }
        fn epoch(&self) -> u64 {
            0
        }
        fn touch(&self, _: SeriesRef) -> bool {
            false
        }
        fn keeps_exemplars(&self) -> bool {
            false
        }
        fn submit(&self, _: Batch, _: Done) {}
    }

    #[test]
    fn refused_rows_count_once_per_point_and_resources_describe_their_own() {
        let pace = Pace::new(0, 0);
        let mut sink = BatchSink::new(&Nothing, &pace);
        // Points: rows 0, 1..4, 4..6, 6; the third is of a resource that nothing is said of.
        let info = |series| Some(TargetInfo { series: SeriesRef(series), step_ms: 7 });
        for (rows, resource) in [(1, None), (3, Some(info(8))), (2, Some(None)), (1, Some(info(9)))] {
            for _ in 0..rows {
                sink.append(SeriesRef(1), 0, 0, 0.0);
            }
            sink.end_point();
            if let Some(target_info) = resource {
                sink.end_resource(target_info);
            }
        }
        let (batch, rows) = sink.finish().unwrap();
        let described: Vec<_> = batch.companions.iter().map(|c| (c.series.0, c.rows.clone(), c.step_ms)).collect();
        assert_eq!(described, [(8, 0..4, 7), (9, 6..7, 7)]);
        assert_eq!(batch.points, [1..4, 4..6]);
        let refused = |rows: &[u32]| Outcome {
            refused: rows.iter().map(|r| (*r, mytsdb_engine::Refusal::TooOld)).collect(),
            refused_series: rows.iter().map(|r| SeriesRef(u64::from(*r))).collect(),
            ..Outcome::default()
        };
        for (refused_rows, points) in
            [(&[][..], 0), (&[0], 1), (&[1, 2, 3], 1), (&[4, 5], 1), (&[0, 3, 4, 6], 4), (&[6], 1)]
        {
            let mut refusals = Refusals::default();
            let metric = |series: SeriesRef| if series.0 == 0 { String::new() } else { format!("m{}", series.0) };
            let rows = RefusedRows::new(PointRows(rows.0.clone()), refused(refused_rows), metric);
            assert_eq!(rows.count(&mut refusals), points, "{refused_rows:?}");
            assert_eq!(refusals.count(RefusalReason::Sample), points);
            let named = refused_rows.iter().find(|row| **row != 0).map(|row| format!("metric \"m{row}\": timestamp"));
            let said = |start: &str| refusals.messages().iter().any(|message| message.starts_with(start));
            assert!(named.is_none_or(|named| said(&named)), "{:?}", refusals.messages());
            assert_eq!(refused_rows.contains(&0), said("timestamp"), "one whose metric is not known");
        }
    }

    #[test]
    fn an_error_that_is_no_refusal_fails_the_request() {
        let pace = Pace::new(0, 0);
        let mut sink = BatchSink::new(&Nothing, &pace);
        assert!(sink.resolve(&Labels::empty()).is_err());
        assert!(matches!(sink.finish(), Err(Refusal::Unavailable { cause: crate::Unavailable::Stopping, .. })));
    }

    #[test]
    fn series_that_begin_too_fast_fail_the_request_for_now() {
        let pace = Pace::new(1, 1);
        let mut sink = BatchSink::new(&Nothing, &pace);
        assert!(sink.resolve(&Labels::empty()).is_err());
        let mut sink = BatchSink::new(&Nothing, &pace);
        assert!(sink.resolve(&Labels::empty()).is_err());
        let refusal = sink.finish().unwrap_err();
        assert_eq!(refusal.flag(), Some("--max-new-series-per-second"));
        assert!(refusal.retry_after().is_some());
    }
}
