//! OTLP metrics requests.

use super::super::metrics::{BOUNDS, NATIVE_FIRST, NATIVE_SCHEMA};
use super::protobuf::{bytes, double, fixed64, message, sint, uint, varint};
use super::{Datum, Described, Kind};

const CUMULATIVE: u64 = 2;

/// Series as metrics: neighbours of one name and kind.
#[derive(Debug)]
pub(crate) struct Prepared {
    metrics: Vec<Metric>,
}

#[derive(Debug)]
struct Metric {
    name: String,
    kind: Kind,
    first_row: usize,
    /// Attributes of each point, encoded.
    points: Vec<Box<[u8]>>,
}

impl Prepared {
    pub(super) fn new(series: &[Described]) -> Self {
        let mut metrics: Vec<Metric> = Vec::new();
        for (row, series) in series.iter().enumerate() {
            let name = match series.kind {
                Kind::Classic => series.name.strip_suffix("_bucket").unwrap_or(&series.name),
                _ => &series.name,
            };
            if metrics.last().is_none_or(|last| last.name != name || last.kind != series.kind) {
                metrics.push(Metric { name: name.to_owned(), kind: series.kind, first_row: row, points: Vec::new() });
            }
            if let Some(metric) = metrics.last_mut() {
                metric.points.push(attributes(series));
            }
        }
        Self { metrics }
    }

    /// Appends one `ResourceMetrics` of a request.
    pub(super) fn encode(&self, times_ms: &[i64], data: &dyn Fn(usize, usize) -> Option<Datum>, out: &mut Vec<u8>) {
        let (mut scope, mut metric_bytes, mut points, mut point) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for metric in &self.metrics {
            for (number, prefix) in metric.points.iter().enumerate() {
                for (time, &time_ms) in times_ms.iter().enumerate() {
                    if let Some(datum) = data(metric.first_row + number, time) {
                        message(&mut points, 1, &mut point, |out| encode_point(out, prefix, time_ms, &datum));
                    }
                }
            }
            if points.is_empty() {
                continue;
            }
            let field = match metric.kind {
                Kind::Gauge => 5,
                Kind::Counter => 7,
                Kind::Classic => 9,
                Kind::Native => 10,
            };
            if metric.kind != Kind::Gauge {
                uint(&mut points, 2, CUMULATIVE);
            }
            if metric.kind == Kind::Counter {
                uint(&mut points, 3, 1);
            }
            message(&mut scope, 2, &mut metric_bytes, |out| {
                bytes(out, 1, metric.name.as_bytes());
                bytes(out, field, &points);
            });
            points.clear();
        }
        message(out, 1, &mut metric_bytes, |out| bytes(out, 2, &scope));
    }
}

fn attributes(series: &Described) -> Box<[u8]> {
    let field = match series.kind {
        Kind::Gauge | Kind::Counter => 7,
        Kind::Classic => 9,
        Kind::Native => 1,
    };
    let (mut out, mut pair, mut any) = (Vec::new(), Vec::new(), Vec::new());
    for (name, value) in &series.labels {
        message(&mut out, field, &mut pair, |pair| {
            bytes(pair, 1, name.as_bytes());
            message(pair, 2, &mut any, |any| bytes(any, 1, value.as_bytes()));
        });
    }
    out.into_boxed_slice()
}

fn encode_point(out: &mut Vec<u8>, attributes: &[u8], time_ms: i64, datum: &Datum) {
    out.extend_from_slice(attributes);
    fixed64(out, 3, time_ms.cast_unsigned() * 1_000_000);
    match datum {
        Datum::Number(value) => double(out, 4, *value),
        Datum::Classic { counts, sum } => {
            fixed64(out, 4, counts.iter().sum());
            double(out, 5, *sum);
            varint(out, 6 << 3 | 2);
            fixed(out, counts.map(u64::to_le_bytes));
            varint(out, 7 << 3 | 2);
            fixed(out, BOUNDS.map(f64::to_le_bytes));
        }
        Datum::Native { counts, sum } => {
            fixed64(out, 4, counts.iter().sum());
            double(out, 5, *sum);
            sint(out, 6, i64::from(NATIVE_SCHEMA));
            let (mut buckets, mut packed) = (Vec::with_capacity(64), Vec::with_capacity(48));
            // OTLP counts from a bucket's lower bound.
            sint(&mut buckets, 1, i64::from(NATIVE_FIRST) - 1);
            for &count in counts {
                varint(&mut packed, count);
            }
            bytes(&mut buckets, 2, &packed);
            bytes(out, 8, &buckets);
        }
    }
}

/// Numbers of eight bytes, as a packed field has them.
fn fixed<const N: usize>(out: &mut Vec<u8>, numbers: [[u8; 8]; N]) {
    varint(out, N as u64 * 8);
    out.extend_from_slice(numbers.as_flattened());
}
