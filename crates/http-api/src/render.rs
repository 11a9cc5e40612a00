//! Query results as JSON: the part of an answer whose cost grows with the number of points.

use crate::json::{Chunks, PointStart, write_histogram};
use mytsdb_histogram::FloatHistogram;
use mytsdb_promql::{EvalError, QueryValue, SampleValue, Series, SeriesSink, SeriesView, VectorSample};
use mytsdb_promql_syntax::format_fixed;
use std::sync::Arc;

/// `"resultType":"…","result":…`. Series are freed as soon as they are written.
pub(crate) fn write_value(out: &mut Chunks, value: QueryValue) {
    out.raw("\"resultType\":\"");
    match value {
        QueryValue::Scalar(timestamp_ms, number) => {
            out.raw("scalar\",\"result\":[");
            out.timestamp(timestamp_ms);
            out.raw(",");
            // Unlike the values of samples, never with an exponent.
            out.string(&format_fixed(number));
            out.raw("]");
        }
        QueryValue::String(timestamp_ms, text) => {
            out.raw("string\",\"result\":[");
            out.timestamp(timestamp_ms);
            out.raw(",");
            out.string(&text);
            out.raw("]");
        }
        QueryValue::Vector(samples) => {
            out.raw("vector\",\"result\":");
            let mut start = (i64::MIN, PointStart::new(i64::MIN));
            out.list(samples, |out, sample| write_sample(out, &sample, &mut start));
        }
        QueryValue::Matrix(series) => {
            out.raw("matrix\",\"result\":");
            let mut starts = PointStarts::of_longest(&series);
            out.list(series, |out, series| write_series(out, series.view(), &mut starts));
        }
    }
}

/// Writes a matrix, series by series as they are computed.
pub(crate) struct MatrixWriter<'o, 'c> {
    out: &'o mut Chunks<'c>,
    /// First step, last one at the latest, and what is between two.
    times_ms: (i64, i64, i64),
    /// Most series that are written.
    limit: usize,
    /// Series seen.
    count: usize,
    starts: PointStarts,
}

impl<'o, 'c> MatrixWriter<'o, 'c> {
    /// The matrix of a range query over `times_ms`; no more than `limit` series (0 = all) are written.
    pub(crate) fn new(out: &'o mut Chunks<'c>, times_ms: (i64, i64, i64), limit: usize) -> Self {
        out.raw("\"resultType\":\"matrix\",\"result\":[");
        let limit = if limit == 0 { usize::MAX } else { limit };
        Self { out, times_ms, limit, count: 0, starts: PointStarts::of_times([]) }
    }

    /// Ends the matrix, and says whether the limit kept anything out.
    pub(crate) fn end(self) -> bool {
        self.out.raw("]");
        self.count > self.limit
    }
}

impl SeriesSink for MatrixWriter<'_, '_> {
    fn series(&mut self, series: SeriesView<'_>) -> Result<(), EvalError> {
        if !self.out.is_wanted() {
            return Err(EvalError::Canceled);
        }
        self.count += 1;
        if self.count > self.limit {
            return Ok(());
        }
        match self.count {
            1 => {}
            2 => {
                let (start_ms, end_ms, step_ms) = self.times_ms;
                let times = (0..).map(|i| start_ms + i * step_ms).take_while(|&t| t <= end_ms);
                self.starts = PointStarts::of_times(times);
                self.out.raw(",");
            }
            _ => self.out.raw(","),
        }
        write_series(self.out, series, &mut self.starts);
        Ok(())
    }
}

/// Cuts a vector or matrix to `limit` series (0 = all) and says whether anything was cut.
pub(crate) fn truncate(value: &mut QueryValue, limit: usize) -> bool {
    let len = match value {
        QueryValue::Vector(samples) => samples.len(),
        QueryValue::Matrix(series) => series.len(),
        QueryValue::Scalar(..) | QueryValue::String(..) => 0,
    };
    if limit == 0 || len <= limit {
        return false;
    }
    match value {
        QueryValue::Vector(samples) => samples.truncate(limit),
        QueryValue::Matrix(series) => series.truncate(limit),
        QueryValue::Scalar(..) | QueryValue::String(..) => {}
    }
    true
}

fn write_sample(out: &mut Chunks, sample: &VectorSample, start: &mut (i64, PointStart)) {
    out.raw("{\"metric\":");
    out.labels(&sample.labels);
    match &sample.value {
        SampleValue::Float(value) => {
            // Samples of a vector share their time, but for the ends of a `topk` over raw ranges.
            if start.0 != sample.timestamp_ms {
                *start = (sample.timestamp_ms, PointStart::new(sample.timestamp_ms));
            }
            out.raw(",\"value\":");
            out.point(&start.1, *value);
        }
        SampleValue::Histogram(histogram) => {
            out.raw(",\"histogram\":");
            write_histogram_point(out, sample.timestamp_ms, histogram);
        }
    }
    out.raw("}");
}

fn write_series(out: &mut Chunks, series: SeriesView<'_>, starts: &mut PointStarts) {
    out.raw("{\"metric\":");
    out.labels(series.labels);
    if !series.values.is_empty() {
        out.raw(",\"values\":");
        write_points(out, series.timestamps_ms, series.values, starts);
    }
    if !series.histograms.is_empty() {
        out.raw(",\"histograms\":");
        let points = series.histogram_timestamps_ms.iter().zip(series.histograms);
        out.list(points, |out, (timestamp_ms, histogram)| write_histogram_point(out, *timestamp_ms, histogram));
    }
    out.raw("}");
}

fn write_histogram_point(out: &mut Chunks, timestamp_ms: i64, histogram: &Arc<FloatHistogram>) {
    out.raw("[");
    out.timestamp(timestamp_ms);
    out.raw(",");
    write_histogram(out, histogram);
    out.raw("]");
}

/// `[[t,"v"],…]` of at least one point.
fn write_points(out: &mut Chunks, timestamps_ms: &[i64], values: &[f64], starts: &mut PointStarts) {
    let mut at = 0;
    out.raw("[");
    for (timestamps_ms, values) in timestamps_ms.chunks(BLOCK_POINTS).zip(values.chunks(BLOCK_POINTS)) {
        out.points_and_commas(starts.get(timestamps_ms, &mut at), values);
    }
    out.end_points();
}

/// Points whose beginnings are looked for together.
const BLOCK_POINTS: usize = 64;

/// The beginnings of points, rendered once for the times that series share.
struct PointStarts {
    timestamps_ms: Vec<i64>,
    starts: Vec<PointStart>,
    /// Those of a block that has times of its own.
    own: Vec<PointStart>,
}

impl PointStarts {
    /// Those of the series with most points: scraped together, series have the same times, some of them gaps.
    fn of_longest(series: &[Series]) -> Self {
        let longest = if series.len() > 1 { series.iter().max_by_key(|s| s.timestamps_ms.len()) } else { None };
        Self::of_times(longest.into_iter().flat_map(|s| s.timestamps_ms.iter().copied()))
    }

    /// Those of `times_ms`, which ascend.
    fn of_times(times_ms: impl IntoIterator<Item = i64>) -> Self {
        let timestamps_ms: Vec<i64> = times_ms.into_iter().collect();
        let starts = timestamps_ms.iter().map(|&t| PointStart::new(t)).collect();
        Self { timestamps_ms, starts, own: Vec::new() }
    }

    /// The beginnings of a block of points. `at` is the place in the list that the series has come to.
    #[inline]
    fn get(&mut self, block_ms: &[i64], at: &mut usize) -> &[PointStart] {
        let shared = *at..*at + block_ms.len();
        if self.timestamps_ms.get(shared.clone()) == Some(block_ms) {
            *at = shared.end;
            return &self.starts[shared];
        }
        self.own.clear();
        for &timestamp_ms in block_ms {
            while self.timestamps_ms.get(*at).is_some_and(|&t| t < timestamp_ms) {
                *at += 1;
            }
            self.own.push(match self.timestamps_ms.get(*at) {
                Some(&t) if t == timestamp_ms => {
                    *at += 1;
                    self.starts[*at - 1]
                }
                _ => PointStart::new(timestamp_ms),
            });
        }
        &self.own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_model::Labels;
    use mytsdb_promql::{Cancel, QueryOptions, range, range_into};
    use mytsdb_promql_testkit::TestStorage;

    fn text(value: QueryValue) -> String {
        let mut out = Chunks::new();
        write_value(&mut out, value);
        String::from_utf8(out.finish().concat()).unwrap()
    }

    fn series(name: &str, timestamps_ms: &[i64]) -> Series {
        Series {
            labels: Labels::from_pairs([("__name__", name)]),
            timestamps_ms: timestamps_ms.to_vec(),
            values: timestamps_ms.iter().map(|&t| t as f64 / 2.0).collect(),
            ..Series::default()
        }
    }

    #[test]
    fn series_with_gaps_and_other_times_keep_their_own_times() {
        let matrix = vec![series("a", &[0, 2000]), series("b", &[0, 1000, 2000]), series("c", &[500, 1000, 9000])];
        assert_eq!(
            text(QueryValue::Matrix(matrix)),
            concat!(
                r#""resultType":"matrix","result":["#,
                r#"{"metric":{"__name__":"a"},"values":[[0,"0"],[2,"1000"]]},"#,
                r#"{"metric":{"__name__":"b"},"values":[[0,"0"],[1,"500"],[2,"1000"]]},"#,
                r#"{"metric":{"__name__":"c"},"values":[[0.500,"250"],[1,"500"],[9,"4500"]]}]"#
            )
        );
    }

    #[test]
    fn every_type_has_its_shape() {
        assert_eq!(text(QueryValue::Scalar(1500, 0.5)), r#""resultType":"scalar","result":[1.500,"0.5"]"#);
        assert_eq!(text(QueryValue::Scalar(0, 1e-7)), r#""resultType":"scalar","result":[0,"0.0000001"]"#);
        assert_eq!(text(QueryValue::Scalar(0, 1e21)), r#""resultType":"scalar","result":[0,"1000000000000000000000"]"#);
        assert_eq!(text(QueryValue::String(0, "<x>".into())), r#""resultType":"string","result":[0,"\u003cx\u003e"]"#);
        assert_eq!(text(QueryValue::Vector(Vec::new())), r#""resultType":"vector","result":[]"#);
        assert_eq!(text(QueryValue::Matrix(Vec::new())), r#""resultType":"matrix","result":[]"#);
        let histogram = Arc::new(FloatHistogram { count: 1.0, sum: 2.5, zero_count: 1.0, ..FloatHistogram::default() });
        let samples = vec![
            VectorSample { labels: Labels::empty(), timestamp_ms: 1000, value: SampleValue::Float(f64::NAN) },
            VectorSample {
                labels: Labels::empty(),
                timestamp_ms: 1000,
                value: SampleValue::Histogram(histogram.clone()),
            },
        ];
        assert_eq!(
            text(QueryValue::Vector(samples)),
            concat!(
                r#""resultType":"vector","result":[{"metric":{},"value":[1,"NaN"]},"#,
                r#"{"metric":{},"histogram":[1,{"count":"1","sum":"2.5","buckets":[[3,"-0","0","1"]]}]}]"#
            )
        );
        let both = Series { histogram_timestamps_ms: vec![3000], histograms: vec![histogram], ..series("a", &[0]) };
        assert_eq!(
            text(QueryValue::Matrix(vec![both])),
            concat!(
                r#""resultType":"matrix","result":[{"metric":{"__name__":"a"},"values":[[0,"0"]],"#,
                r#""histograms":[[3,{"count":"1","sum":"2.5","buckets":[[3,"-0","0","1"]]}]]}]"#
            )
        );
    }

    #[test]
    fn a_matrix_is_the_same_whether_it_streams_or_is_collected() {
        let mut storage = TestStorage::new();
        let load = [
            "load 10s\n a{x=\"1\"} 0+1x30\n a{x=\"2\"} 1 _x4 2 3\n b{x=\"1\"} 0.5+0.25x9\n b{x=\"3\"} _x29 7\n",
            " h{x=\"1\"} {{schema:0 sum:5 count:4 buckets:[1 2 1]}}x4 7 8 {{count:1 sum:1}}x3\n",
        ];
        storage.load(&load.concat(), 0).unwrap();
        let options = QueryOptions { lookback_ms: 15_000, ..QueryOptions::default() };
        for query in
            ["a", "{x=~\".+\"}", "{x=\"2\"}", "a * 2", "rate(a[30s])", "h", "-b", "sum(a)", "time()", "topk(1, a)", "c"]
        {
            for (limit, times) in [(0, (0, 310_000, 5_000)), (1, (0, 60_000, 15_000)), (2, (3, 290_001, 70_000))] {
                let expr = mytsdb_promql_syntax::parse(query).unwrap();
                let mut out = Chunks::new();
                let mut writer = MatrixWriter::new(&mut out, times, limit);
                range_into(&storage, &expr, times, &options, &Cancel::new(), &mut writer).unwrap();
                let cut = writer.end();
                let streamed = String::from_utf8(out.finish().concat()).unwrap();
                let (start_ms, end_ms, step_ms) = times;
                let mut value =
                    range(&storage, &expr, start_ms, end_ms, step_ms, &options, &Cancel::new()).unwrap().value;
                assert_eq!(truncate(&mut value, limit), cut, "{query}");
                assert_eq!(text(value), streamed, "{query}");
            }
        }
    }

    #[test]
    fn a_limit_cuts_series_and_not_scalars() {
        let mut matrix = QueryValue::Matrix(vec![series("a", &[0]), series("b", &[0])]);
        assert!(!truncate(&mut matrix, 0) && !truncate(&mut matrix, 2));
        assert!(truncate(&mut matrix, 1));
        assert!(matches!(matrix, QueryValue::Matrix(series) if series.len() == 1));
        assert!(!truncate(&mut QueryValue::Scalar(0, 1.0), 1));
    }
}
