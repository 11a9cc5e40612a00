//! What the tests share: random series, and a plain reference for what is read.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![allow(dead_code, clippy::allow_attributes, reason = "every test takes some of it")]

use mytsdb_columns::{Columns, Mark};
use mytsdb_histogram::{CUSTOM_SCHEMA, CounterResetHint, FloatHistogram, Span};
use mytsdb_model::{FamilyKind, FamilyMetadata, Labels, Matcher, STALE_NAN_BITS, TimeRange};
use mytsdb_parquet_tier::{DAY_MS, Day, DayWriter, FileId, Tier, WriteOptions, compare_series};
use mytsdb_testkit::Random;
use std::collections::BTreeSet;
use std::future::Future;
use std::io::Cursor;
use std::sync::Arc;

/// Runs a future to its end.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A writer into memory.
pub fn memory_writer<'a>(
    day: Day,
    names: impl IntoIterator<Item = &'a str>,
    options: WriteOptions,
) -> DayWriter<Cursor<Vec<u8>>> {
    DayWriter::new(day, names, options, |_| Ok(Cursor::new(Vec::new()))).unwrap()
}

/// Series with samples of some days.
pub struct Case {
    /// In the order of files.
    pub series: Vec<(Labels, Columns)>,
    /// First ms, and length.
    pub begin_ms: i64,
    pub length_ms: i64,
}

impl Case {
    /// A time in or near the case.
    pub fn time(&self, random: &mut Random) -> i64 {
        self.begin_ms - 1_000 + random.below(self.length_ms as u64 + 2_000) as i64
    }
}

pub fn random_case(random: &mut Random) -> Case {
    let begin_ms = random.pick(&[0, 1_700_000_000_000, -3 * DAY_MS]) - 7_000;
    let step = 1_000 + random.below(60_000) as i64;
    let length = 1 + random.below(60) as i64 * random.pick(&[1, 1, 5]);
    let mut labels = BTreeSet::new();
    for _ in 0..=random.below(16) {
        let mut pairs: Vec<(&str, String)> = Vec::new();
        if !random.one_in(12) {
            pairs.push(("__name__", format!("m{}", random.below(5))));
        }
        for name in ["job", "value", "l_value", "Env", "instance", "é.label", "timestamp"] {
            if random.one_in(2) {
                pairs.push((name, format!("{}{}", random.pick(&["a", "b", "i", "ü"]), random.below(3))));
            }
        }
        labels.insert(Labels::from_pairs(pairs));
    }
    let mut series: Vec<(Labels, Columns)> =
        labels.into_iter().map(|labels| (labels, random_columns(random, begin_ms, step, length))).collect();
    series.retain(|(_, columns)| !columns.is_empty());
    series.sort_by(|a, b| compare_series(&a.0, &b.0));
    Case { series, begin_ms, length_ms: step * length }
}

fn random_columns(random: &mut Random, begin_ms: i64, step: i64, length: i64) -> Columns {
    let mut columns = Columns::default();
    let kind = random.below(5);
    let with_starts = random.one_in(3);
    let phase = random.below(step as u64) as i64;
    let mut value = 0.0;
    for at in 0..length {
        if random.one_in(9) {
            continue;
        }
        let jitter = if kind == 1 { random.below(20) as i64 } else { 0 };
        let time = begin_ms + phase + at * step + jitter;
        let start = if with_starts && !random.one_in(5) { begin_ms - random.below(2) as i64 } else { 0 };
        if kind == 4 || (kind == 3 && random.one_in(3)) {
            columns.push_histogram_since(time, start, Arc::new(random_histogram(random)));
        } else {
            value = match kind {
                0 => value + random.below(5) as f64,
                1 => random.unit() * 100.0,
                2 => {
                    let any = random.bits();
                    f64::from_bits(random.pick(&[STALE_NAN_BITS, 0x7ff8_0000_0000_0001, 0x8000_0000_0000_0000, 0, any]))
                }
                _ => 3.5,
            };
            columns.push_float_since(time, start, value);
        }
    }
    columns
}

fn random_histogram(random: &mut Random) -> FloatHistogram {
    let spans = |random: &mut Random| -> Vec<Span> {
        (0..random.below(3))
            .map(|_| Span { offset: random.below(5) as i32 - 2, length: random.below(4) as u32 })
            .collect()
    };
    let buckets = |random: &mut Random, spans: &[Span]| -> Vec<f64> {
        (0..spans.iter().map(|span| span.length).sum()).map(|_| random.below(9) as f64).collect()
    };
    let (positive_spans, negative_spans) = (spans(random), spans(random));
    FloatHistogram {
        counter_reset_hint: random.pick(&[
            CounterResetHint::Unknown,
            CounterResetHint::CounterReset,
            CounterResetHint::NotCounterReset,
            CounterResetHint::Gauge,
        ]),
        schema: random.pick(&[-4, 0, 8, CUSTOM_SCHEMA]),
        zero_threshold: random.unit(),
        zero_count: random.below(4) as f64,
        count: random.below(99) as f64,
        sum: random.pick(&[1.5, f64::from_bits(STALE_NAN_BITS), -0.0]),
        positive_buckets: buckets(random, &positive_spans),
        negative_buckets: buckets(random, &negative_spans),
        positive_spans,
        negative_spans,
        custom_values: (0..random.below(3)).map(|n| n as f64).collect(),
    }
}

/// Writes and commits a case, a file a day; sometimes two commits.
pub async fn days(tier: &Tier, case: &Case, row_group_rows: usize) {
    let range = case.series.iter().fold(TimeRange::EMPTY, |range, (_, c)| range.cover(c.range(Mark::default())));
    if range.is_empty() {
        return;
    }
    let mut at = range.mint;
    let mut number = 0;
    while at <= range.maxt {
        let day = Day::of(at).unwrap();
        let names: BTreeSet<&str> = case.series.iter().flat_map(|(l, _)| l.iter()).map(|(name, _)| name).collect();
        let mut options = WriteOptions::default();
        options.row_group_rows = row_group_rows;
        let mut writer = memory_writer(day, names, options);
        for (place, (labels, columns)) in case.series.iter().enumerate() {
            let mut part = Columns::default();
            part.extend_from(columns, day.range());
            let family = FamilyMetadata { kind: FamilyKind::Counter, help: String::new(), unit: "bytes".into() };
            writer.push(labels, &part, (place % 2 == 0).then_some(&family)).unwrap();
        }
        let written = writer.finish().unwrap();
        if written.samples + written.histograms > 0 {
            number += 1;
            let uploaded = tier.upload(written, FileId::new(number, 5)).await.unwrap();
            tier.commit(vec![uploaded], &[], number).await.unwrap();
        }
        at = day.range().maxt + 1;
    }
}

/// What reading must give.
pub fn reference(case: &Case, matchers: &[Matcher], range: TimeRange) -> Vec<(Labels, Columns)> {
    let mut expected = Vec::new();
    for (labels, columns) in &case.series {
        // Selecting looks at the times of the first and the last sample of each day.
        let has = |times: &[i64]| {
            times
                .chunk_by(|a, b| Day::of(*a) == Day::of(*b))
                .any(|day| TimeRange::new(day[0], day[day.len() - 1]).overlaps(range))
        };
        let in_range = has(&columns.timestamps_ms) || has(&columns.histogram_timestamps_ms);
        if in_range && matchers.iter().all(|matcher| matcher.matches_labels(labels)) {
            let mut part = Columns::default();
            part.extend_from(columns, range);
            expected.push((labels.clone(), part));
        }
    }
    expected
}

/// Everything in columns, floats as bits; start times that are not known as zeros.
pub fn bits(columns: &Columns) -> impl PartialEq + std::fmt::Debug + use<> {
    let starts = |starts: &[i64], count: usize| if starts.is_empty() { vec![0; count] } else { starts.to_vec() };
    let float = |value: &f64| value.to_bits();
    let all = |values: &[f64]| values.iter().map(float).collect::<Vec<u64>>();
    let histograms: Vec<_> = columns
        .histograms
        .iter()
        .map(|h| {
            let singles = all(&[h.zero_threshold, h.zero_count, h.count, h.sum]);
            let lists = [all(&h.positive_buckets), all(&h.negative_buckets), all(&h.custom_values)];
            (h.counter_reset_hint, h.schema, singles, lists, h.positive_spans.clone(), h.negative_spans.clone())
        })
        .collect();
    (
        columns.timestamps_ms.clone(),
        all(&columns.values),
        starts(&columns.start_timestamps_ms, columns.timestamps_ms.len()),
        columns.histogram_timestamps_ms.clone(),
        starts(&columns.histogram_start_timestamps_ms, columns.histogram_timestamps_ms.len()),
        histograms,
    )
}
