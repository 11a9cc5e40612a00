//! Answers where samples are there as buckets, against answers over the samples: random series with resets, gaps, markers and numbers
//! that are none.
//!
//! `MYTSDB_CASES` sets the number of cases, `MYTSDB_SEED` the seed.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use mytsdb_columns::{Columns, HistogramTable, Outline, Outlining};
use mytsdb_downsample::{Buckets, Resolution, Stored};
use mytsdb_model::{Labels, Matcher, TimeRange, stale_nan};
use mytsdb_promql::{
    Cancel, DownsampledSet, Finding, QueryOptions, QueryResult, QueryValue, SelectHints, SeriesSet, Storage,
    StorageError, range,
};
use mytsdb_promql_syntax::parse;
use mytsdb_promql_testkit::TestStorage;
use mytsdb_testkit::{Random, seed, setting};
use std::collections::BTreeMap;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The series of another storage, of which all before some time are buckets, cut at days.
struct Coarse<'a> {
    inner: &'a TestStorage,
    resolution: Resolution,
    exact_from_ms: i64,
}

struct CoarseSet<'a> {
    inner: Box<dyn SeriesSet + 'a>,
    storage: &'a Coarse<'a>,
}

impl Storage for Coarse<'_> {
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        let hints = SelectHints { range: TimeRange::ALL, ..hints.clone() };
        let inner = self.inner.select(&hints, matchers)?;
        Ok(Box::new(CoarseSet { inner, storage: self }))
    }

    fn is_plain(&self) -> bool {
        self.inner.is_plain()
    }
}

impl SeriesSet for CoarseSet<'_> {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn downsampled(&self) -> Option<&dyn DownsampledSet> {
        Some(self)
    }

    fn may_have_label(&self, name: &str) -> bool {
        self.inner.may_have_label(name)
    }

    fn labels(&self, index: usize) -> &Labels {
        self.inner.labels(index)
    }

    fn recall(&self, key: &[u8]) -> Option<Finding> {
        self.inner.recall(key)
    }

    fn remember(&self, key: &[u8], finding: Finding, bytes: usize) {
        self.inner.remember(key, finding, bytes);
    }

    fn read(&self, index: usize, range: TimeRange, out: &mut Columns) -> Result<(), StorageError> {
        let mut buckets = Buckets::default();
        match self.read_buckets(index, range, &mut buckets)? {
            Stored::Samples => self.inner.read(index, range, out)?,
            _ => buckets.append_lasts(out),
        }
        Ok(())
    }

    fn read_table(&self, _: usize, _: TimeRange, _: bool, _: &mut HistogramTable) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn read_outline(&self, _: usize, _: TimeRange, _: &Outlining<'_>, _: &mut Outline) -> Result<bool, StorageError> {
        Ok(false)
    }
}

impl DownsampledSet for CoarseSet<'_> {
    fn read_buckets(&self, index: usize, range: TimeRange, out: &mut Buckets) -> Result<Stored, StorageError> {
        let mut all = Columns::default();
        self.inner.read(index, TimeRange::ALL, &mut all)?;
        let (mut coarse, from) = (Buckets::default(), self.storage.exact_from_ms);
        for day in 0..=from.div_euclid(DAY) {
            let mut part = Columns::default();
            part.extend_from(&all, TimeRange::new(day * DAY, ((day + 1) * DAY).min(from) - 1));
            coarse.append_floats(&part.timestamps_ms, &part.values, self.storage.resolution);
        }
        out.extend_from(&coarse, coarse.places_in(range));
        if out.is_empty() {
            return Ok(Stored::Samples);
        }
        let mut exact = Columns::default();
        exact.extend_from(&all, TimeRange::new(range.mint.max(from), range.maxt));
        out.append_exact(&exact);
        Ok(Stored::Buckets)
    }
}

/// Series over two days and a bit: counters that are reset, gauges, with gaps, markers and numbers that are none.
fn random_storage(random: &mut Random) -> TestStorage {
    let mut storage = TestStorage::new();
    for series in 0..4 {
        let labels = Labels::from_pairs([("__name__", "m_total"), ("series", &format!("{series}"))]);
        let scrape = random.pick(&[15_000, 60_000, 7 * MINUTE, 100 * MINUTE]);
        let (counter, odd) = (random.one_in(2), random.one_in(3));
        let unit = random.pick(&[1.0, 0.1, 1e9]);
        let (mut value, mut time) = (0.0_f64, random.below(2 * HOUR as u64) as i64);
        while time < 2 * DAY + 3 * HOUR {
            value = match random.below(40) {
                0 => 0.0,
                1 if counter => value / 2.0,
                _ if counter => value + unit * random.below(20) as f64,
                _ => unit * (random.below(2_000) as f64 - 1_000.0),
            };
            let kept = if odd && random.one_in(30) { random.pick(&[f64::NAN, stale_nan()]) } else { value };
            storage.append(&labels, time, kept, 0).unwrap();
            // Gaps, and samples at the very edges of buckets.
            time += match random.below(60) {
                0 => random.below(3 * HOUR as u64) as i64 + 1,
                1 => HOUR - time % HOUR,
                2 => 1,
                _ => scrape + random.below(500) as i64,
            };
        }
    }
    storage
}

fn ask(storage: &dyn Storage, query: &str, start: i64, end: i64, step: i64) -> QueryResult {
    let expr = parse(query).unwrap();
    range(storage, &expr, start, end, step, &QueryOptions::default(), &Cancel::default()).unwrap()
}

/// Values by series and time.
fn values(result: &QueryResult) -> BTreeMap<(String, i64), f64> {
    let QueryValue::Matrix(all) = &result.value else { panic!("{:?}", result.value) };
    let each = |series: &mytsdb_promql::Series| {
        let labels = series.labels.get("series").unwrap_or_default().to_owned();
        let times = series.timestamps_ms.clone();
        let values = series.values.clone();
        times.into_iter().zip(values).map(move |(time, value)| ((labels.clone(), time), value)).collect::<Vec<_>>()
    };
    all.iter().flat_map(each).collect()
}

fn same(a: f64, b: f64, tolerance: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= tolerance
}

/// All that the values of a series add up to, for bounds of rounding.
fn weights(storage: &TestStorage) -> BTreeMap<String, f64> {
    let all = ask(storage, "sum_over_time(abs(m_total > -Inf)[3d:7s])", 3 * DAY, 3 * DAY, HOUR);
    values(&all).into_iter().map(|((series, _), weight)| (series, weight)).collect()
}

const EXACT: [&str; 9] = ["count", "present", "min", "max", "first", "last", "ts_of_first", "ts_of_last", "absent"];
const ROUNDED: [&str; 2] = ["sum", "avg"];

#[test]
fn whole_buckets_answer_as_their_samples_do() {
    let (seed, cases) = (seed(41), setting("MYTSDB_CASES", 25));
    let (mut compared, mut remarked) = (0, 0);
    for case in 0..cases {
        let mut random = Random::of_case(seed, case);
        let storage = random_storage(&mut random);
        let resolution = random.pick(&Resolution::ALL);
        let exact_from_ms = random.pick(&[DAY, 2 * DAY, 3 * DAY]);
        let coarse = Coarse { inner: &storage, resolution, exact_from_ms };
        let weights = weights(&storage);
        let width = resolution.ms();
        let step = width * (1 + random.below(4) as i64);
        let range_ms = width * (1 + random.below(30) as i64);
        let start = width * random.below(24) as i64;
        let window = format!("m_total[{}s]", range_ms / 1_000);
        let over_time = |name: &str| format!("{name}_over_time({window})");
        let mut queries: Vec<(String, bool)> = EXACT.iter().map(|name| (over_time(name), true)).collect();
        queries.extend(ROUNDED.iter().map(|name| (over_time(name), false)));
        queries.extend(["increase", "rate", "delta"].iter().map(|name| (format!("{name}({window})"), false)));
        queries.push(("m_total".into(), true));
        queries.push(("timestamp(m_total)".into(), true));
        queries.push((format!("last_over_time({window} @ {})", DAY / 1_000), true));
        queries.push((format!("sum_over_time({window} offset {}s)", width / 1_000), false));
        for (query, is_exact) in queries {
            let end = 2 * DAY + 3 * HOUR;
            let expected = ask(&storage, &query, start, end, step);
            let found = ask(&coarse, &query, start, end, step);
            let context = format!("seed {seed} case {case} {resolution} {query} step {step} from {start}");
            let (wanted, got) = (values(&expected), values(&found));
            assert!(wanted.keys().eq(got.keys()), "{context}");
            for ((key, wanted), got) in wanted.iter().zip(got.values()) {
                // Averages and rates are of the same size or less.
                let weight = weights.get(&key.0).copied().unwrap_or(0.0);
                let tolerance = if is_exact { 0.0 } else { 1e-12 * (wanted.abs() + weight) };
                assert!(same(*wanted, *got, tolerance), "{context}: {key:?} {wanted} {got}");
                compared += 1;
            }
            let infos = found.annotations.infos("", 0);
            let about: Vec<&String> = infos.iter().filter(|text| text.contains("downsampled")).collect();
            assert!(
                about.iter().all(|text| !text.contains("whole") && !text.contains("within")),
                "{context}: {infos:?}"
            );
            assert!(about.iter().all(|text| text.contains(&resolution.to_string())), "{context}: {infos:?}");
            assert!(expected.annotations.infos("", 0).iter().all(|text| !text.contains("downsampled")));
            remarked += about.len();
        }
    }
    println!("{compared} values compared, {remarked} remarks");
    assert!(
        compared > 1_000 * cases as usize && remarked > 10 * cases as usize,
        "{compared} values, {remarked} remarks"
    );
}

#[test]
fn windows_that_cut_buckets_are_a_bucket_off_at_most_and_say_so() {
    let (seed, cases) = (seed(42), setting("MYTSDB_CASES", 15));
    for case in 0..cases {
        let mut random = Random::of_case(seed, case);
        let storage = random_storage(&mut random);
        let resolution = random.pick(&Resolution::ALL);
        let coarse = Coarse { inner: &storage, resolution, exact_from_ms: 3 * DAY };
        let width = resolution.ms() / 1_000;
        let (start, step) = (3 * HOUR + 7_000, 90 * MINUTE);
        let wide = 5 * width + 13;
        let context = format!("seed {seed} case {case} {resolution}");
        let end = 2 * DAY;
        let count = |storage: &dyn Storage, range: i64, offset: i64| {
            ask(storage, &format!("count_over_time(m_total[{range}s] offset {offset}s)"), start, end, step)
        };
        let found = count(&coarse, wide, 0);
        let infos = found.annotations.infos("", 0);
        assert!(infos.iter().any(|text| text.contains("are not whole buckets")), "{context}: {infos:?}");
        let (most, least) = (count(&storage, wide + 2 * width, -width), count(&storage, wide - 2 * width, width));
        let (most, found) = (values(&most), values(&found));
        for (key, least) in values(&least) {
            assert!(found.get(&key).is_some_and(|found| *found >= least), "{context}: {key:?}");
        }
        for (key, found) in &found {
            assert!(most.get(key).is_some_and(|most| found <= most), "{context}: {key:?}");
        }
        // A selector shows what is there, or what was there when the bucket began.
        let shown = ask(&coarse, "m_total", start, end, step);
        let infos = shown.annotations.infos("", 0);
        assert!(infos.iter().any(|text| text.contains("within a bucket")), "{context}: {infos:?}");
        let now = values(&ask(&storage, "m_total", start, end, step));
        for ((series, time), shown) in values(&shown) {
            let began = time.div_euclid(resolution.ms()) * resolution.ms();
            let then = values(&ask(&storage, "m_total", began, began, HOUR));
            let known = [now.get(&(series.clone(), time)), then.get(&(series.clone(), began))];
            let is_known = known.iter().flatten().any(|known| same(**known, shown, 0.0));
            assert!(is_known, "{context}: {series} at {time}: {shown}, known {known:?}");
        }
    }
}

#[test]
fn what_cannot_be_computed_with_buckets_says_what_it_used() {
    let mut random = Random::new(seed(43));
    let storage = random_storage(&mut random);
    let coarse = Coarse { inner: &storage, resolution: Resolution::Hour, exact_from_ms: DAY };
    let queries = [
        "irate(m_total[6h])",
        "quantile_over_time(0.5, m_total[6h])",
        "changes(m_total[6h])",
        "rate(m_total[6h] anchored)",
        "absent_over_time(m_total[1h])",
        "stddev_over_time(m_total[6h])",
    ];
    for query in queries {
        let found = ask(&coarse, query, 8 * HOUR, DAY, HOUR);
        let infos = found.annotations.infos("", 0);
        let says = |text: &&String| text.contains("only the last sample of each bucket of 1h");
        assert_eq!(infos.iter().filter(says).count(), 1, "{query}: {infos:?}");
        // Where the samples are, nothing is said, and answers are theirs.
        let (exact, same) =
            (ask(&storage, query, DAY + 7 * HOUR, 2 * DAY, HOUR), ask(&coarse, query, DAY + 7 * HOUR, 2 * DAY, HOUR));
        let bits =
            |result: &QueryResult| -> Vec<_> { values(result).into_iter().map(|(k, v)| (k, v.to_bits())).collect() };
        assert_eq!(bits(&exact), bits(&same), "{query}");
        assert!(same.annotations.infos("", 0).iter().all(|text| !text.contains("downsampled")), "{query}");
    }
}
