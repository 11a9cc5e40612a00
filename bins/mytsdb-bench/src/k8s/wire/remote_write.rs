//! Prometheus remote write, versions 1.0 and 2.0.

use super::super::metrics::{BOUND_TEXTS, NATIVE_BUCKETS, NATIVE_FIRST, NATIVE_SCHEMA};
use super::protobuf::{bytes, double, message, sint, uint, varint, zigzag};
use super::{Datum, Described, Kind};
use std::collections::HashMap;

/// Series of a classic histogram: a bucket per bound, then sum and count.
const SERIES_PER_CLASSIC: usize = BOUND_TEXTS.len() + 2;

/// The label sets of a described series, sorted, with their names: one, or those of a classic histogram.
fn label_sets(series: &Described) -> Vec<Vec<(String, String)>> {
    let set = |name: String, le: Option<&str>| {
        let mut labels = series.labels.clone();
        labels.push(("__name__".to_owned(), name));
        labels.extend(le.map(|le| ("le".to_owned(), le.to_owned())));
        labels.sort_unstable();
        labels
    };
    if series.kind != Kind::Classic {
        return vec![set(series.name.clone(), None)];
    }
    let base = series.name.strip_suffix("_bucket").unwrap_or(&series.name);
    let buckets = BOUND_TEXTS.iter().map(|le| set(format!("{base}_bucket"), Some(le)));
    buckets.chain([set(format!("{base}_sum"), None), set(format!("{base}_count"), None)]).collect()
}

/// Calls `write` with each series of a row: its number among the label sets and its value at each time.
fn each_series(
    kind: Kind,
    row: usize,
    times: usize,
    data: &dyn Fn(usize, usize) -> Option<Datum>,
    mut write: impl FnMut(usize, &[(usize, Datum)]),
) {
    let values: Vec<(usize, Datum)> = (0..times).filter_map(|time| Some((time, data(row, time)?))).collect();
    if values.is_empty() {
        return;
    }
    if kind != Kind::Classic {
        return write(0, &values);
    }
    for number in 0..SERIES_PER_CLASSIC {
        let part = |datum: &Datum| match datum {
            Datum::Classic { counts, sum } => Datum::Number(match number.checked_sub(counts.len()) {
                None => counts[..=number].iter().sum::<u64>() as f64,
                Some(0) => *sum,
                Some(_) => counts.iter().sum::<u64>() as f64,
            }),
            other => *other,
        };
        let values: Vec<(usize, Datum)> = values.iter().map(|(time, datum)| (*time, part(datum))).collect();
        write(number, &values);
    }
}

/// Samples of one series; `histograms` is the number of that field, which the versions differ in.
fn samples(out: &mut Vec<u8>, histograms: u64, times_ms: &[i64], values: &[(usize, Datum)], scratch: &mut Vec<u8>) {
    for (time, datum) in values {
        let time_ms = times_ms[*time].cast_unsigned();
        match datum {
            Datum::Number(value) => message(out, 2, scratch, |out| {
                double(out, 1, *value);
                uint(out, 2, time_ms);
            }),
            Datum::Native { counts, sum } => {
                message(out, histograms, scratch, |out| histogram(out, counts, *sum, time_ms));
            }
            Datum::Classic { .. } => {}
        }
    }
}

fn histogram(out: &mut Vec<u8>, counts: &[u64; NATIVE_BUCKETS], sum: f64, time_ms: u64) {
    uint(out, 1, counts.iter().sum());
    double(out, 3, sum);
    sint(out, 4, i64::from(NATIVE_SCHEMA));
    uint(out, 6, 0);
    let (mut span, mut deltas) = (Vec::with_capacity(8), Vec::with_capacity(48));
    sint(&mut span, 1, i64::from(NATIVE_FIRST));
    uint(&mut span, 2, counts.len() as u64);
    bytes(out, 11, &span);
    let mut before = 0;
    for &count in counts {
        varint(&mut deltas, zigzag(count.cast_signed() - before));
        before = count.cast_signed();
    }
    bytes(out, 12, &deltas);
    uint(out, 15, time_ms);
}

/// Series of version 1.0.
#[derive(Debug)]
pub(crate) struct PreparedV1 {
    /// Kind, and the encoded labels of each of its label sets.
    rows: Vec<(Kind, Vec<Box<[u8]>>)>,
}

impl PreparedV1 {
    pub(super) fn new(series: &[Described]) -> Self {
        let encode = |labels: Vec<(String, String)>| {
            let (mut out, mut label) = (Vec::new(), Vec::new());
            for (name, value) in labels {
                message(&mut out, 1, &mut label, |out| {
                    bytes(out, 1, name.as_bytes());
                    bytes(out, 2, value.as_bytes());
                });
            }
            out.into_boxed_slice()
        };
        let rows = series.iter().map(|s| (s.kind, label_sets(s).into_iter().map(encode).collect()));
        Self { rows: rows.collect() }
    }

    pub(super) fn encode(&self, times_ms: &[i64], data: &dyn Fn(usize, usize) -> Option<Datum>, out: &mut Vec<u8>) {
        let (mut series, mut scratch) = (Vec::new(), Vec::new());
        for (row, (kind, sets)) in self.rows.iter().enumerate() {
            each_series(*kind, row, times_ms.len(), data, |set, values| {
                message(out, 1, &mut series, |series| {
                    series.extend_from_slice(&sets[set]);
                    samples(series, 4, times_ms, values, &mut scratch);
                });
            });
        }
    }
}

/// Series of version 2.0, with the texts that they have.
#[derive(Debug)]
pub(crate) struct PreparedV2 {
    symbols: Vec<String>,
    /// Kind, and of each label set the numbers of its names and values among the symbols.
    rows: Vec<(Kind, Vec<Box<[u32]>>)>,
}

/// The texts of a request.
pub(super) struct Symbols {
    encoded: Vec<u8>,
    count: u32,
}

impl Default for Symbols {
    fn default() -> Self {
        let mut encoded = Vec::new();
        // The first symbol is the empty one.
        bytes(&mut encoded, 4, b"");
        Self { encoded, count: 1 }
    }
}

impl Symbols {
    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.encoded);
    }
}

impl PreparedV2 {
    pub(super) fn new(series: &[Described]) -> Self {
        let (mut symbols, mut numbers) = (Vec::new(), HashMap::new());
        let mut number = |text: String| {
            *numbers.entry(text).or_insert_with_key(|text| {
                symbols.push(text.clone());
                symbols.len() as u32 - 1
            })
        };
        let mut rows = Vec::new();
        for described in series {
            let mut sets = Vec::new();
            for labels in label_sets(described) {
                let references: Vec<u32> = labels.into_iter().flat_map(|(n, v)| [number(n), number(v)]).collect();
                sets.push(references.into_boxed_slice());
            }
            rows.push((described.kind, sets));
        }
        Self { symbols, rows }
    }

    pub(super) fn encode(
        &self,
        times_ms: &[i64],
        data: &dyn Fn(usize, usize) -> Option<Datum>,
        symbols: &mut Symbols,
        out: &mut Vec<u8>,
    ) {
        let first = symbols.count;
        self.symbols.iter().for_each(|symbol| bytes(&mut symbols.encoded, 4, symbol.as_bytes()));
        symbols.count += self.symbols.len() as u32;
        let (mut series, mut references, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        for (row, (kind, sets)) in self.rows.iter().enumerate() {
            each_series(*kind, row, times_ms.len(), data, |set, values| {
                message(out, 5, &mut series, |series| {
                    message(series, 1, &mut references, |out| {
                        sets[set].iter().for_each(|&symbol| varint(out, u64::from(first + symbol)));
                    });
                    samples(series, 3, times_ms, values, &mut scratch);
                });
            });
        }
    }
}

/// Snappy, as remote write wants it.
pub(super) fn compress(bytes: &[u8]) -> Vec<u8> {
    // It fails for more than 4 GiB only, which no request has.
    snap::raw::Encoder::new().compress_vec(bytes).unwrap_or_default()
}
