//! Collects a request's samples into one batch, and leads refused rows back to the points they came from.

use crate::Appender;
use mytsdb_engine::{Batch, EngineError, Outcome};
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_otlp::{RefusalReason, Refusals, Refused, Sink};
use std::ops::Range;

/// The sink of one request.
pub(crate) struct BatchSink<'a, A> {
    appender: &'a A,
    batch: Batch,
    rows: PointRows,
    /// The first error that is no refusal: the request fails with it.
    fatal: Option<EngineError>,
}

/// Which rows of a batch belong to which point.
#[derive(Debug, Default)]
pub(crate) struct PointRows {
    /// Row behind the last of each point, ascending.
    ends: Vec<u32>,
    /// Rows of no point, ascending.
    target_info: Vec<Range<u32>>,
    /// Row behind the last that has been ended.
    ended: u32,
}

impl<'a, A: Appender> BatchSink<'a, A> {
    pub fn new(appender: &'a A) -> Self {
        Self { appender, batch: Batch::default(), rows: PointRows::default(), fatal: None }
    }

    /// The batch, or the error that fails the request.
    pub fn finish(self) -> Result<(Batch, PointRows), EngineError> {
        match self.fatal {
            Some(error) => Err(error),
            None => Ok((self.batch, self.rows)),
        }
    }
}

impl<A: Appender> Sink for BatchSink<'_, A> {
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, Refused> {
        if self.fatal.is_some() {
            return Err(Refused::new(RefusalReason::SeriesLimit, "the request has failed"));
        }
        self.appender.resolve(labels).map_err(|error| {
            let refused = Refused::new(RefusalReason::SeriesLimit, error.to_string());
            if !matches!(error, EngineError::SeriesLimit { .. }) {
                self.fatal = Some(error);
            }
            refused
        })
    }

    fn touch(&mut self, series: SeriesRef) -> bool {
        self.appender.touch(series)
    }

    #[inline]
    fn append(&mut self, series: SeriesRef, timestamp_ms: i64, value: f64) {
        self.batch.push(series, timestamp_ms, value);
    }

    #[inline]
    fn end_point(&mut self) {
        self.rows.ended = self.batch.len() as u32;
        self.rows.ends.push(self.rows.ended);
    }

    fn end_target_info(&mut self) {
        let end = self.batch.len() as u32;
        self.rows.target_info.push(self.rows.ended..end);
        self.rows.ended = end;
    }
}

impl PointRows {
    /// Counts each point of which a row was refused, once, under the first row's reason. Returns how many there are.
    pub fn count_refused(&self, outcome: &Outcome, refusals: &mut Refusals) -> u64 {
        let before = refusals.total();
        let mut last_point = None;
        for (row, refusal) in &outcome.refused {
            let info = self.target_info.partition_point(|range| range.end <= *row);
            if self.target_info.get(info).is_some_and(|range| range.contains(row)) {
                continue;
            }
            let point = self.ends.partition_point(|end| end <= row);
            if last_point != Some(point) {
                last_point = Some(point);
                refusals.add(RefusalReason::Sample, 1, &refusal.to_string());
            }
        }
        refusals.total() - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_engine::{Done, Refusal};

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
        fn submit(&self, _: Batch, _: Done) {}
    }

    #[test]
    fn refused_rows_count_once_per_point_and_target_info_not_at_all() {
        let mut sink = BatchSink::new(&Nothing);
        // Rows: point 0 = 0, point 1 = 1..4, target_info = 4..6, point 2 = 6.
        for (rows, is_info) in [(1, false), (3, false), (2, true), (1, false)] {
            for _ in 0..rows {
                sink.append(SeriesRef(1), 0, 0.0);
            }
            if is_info { sink.end_target_info() } else { sink.end_point() }
        }
        let (_, rows) = sink.finish().unwrap();
        let refused = |rows: &[u32]| Outcome {
            refused: rows.iter().map(|r| (*r, Refusal::TooOld)).collect(),
            ..Outcome::default()
        };
        for (refused_rows, points) in
            [(&[][..], 0), (&[0], 1), (&[1, 2, 3], 1), (&[4, 5], 0), (&[0, 3, 4, 6], 3), (&[6], 1)]
        {
            let mut refusals = Refusals::default();
            assert_eq!(rows.count_refused(&refused(refused_rows), &mut refusals), points, "{refused_rows:?}");
            assert_eq!(refusals.count(RefusalReason::Sample), points);
        }
    }

    #[test]
    fn an_error_that_is_no_refusal_fails_the_request() {
        let mut sink = BatchSink::new(&Nothing);
        assert!(sink.resolve(&Labels::empty()).is_err());
        assert!(matches!(sink.finish(), Err(EngineError::Stopped)));
    }
}
