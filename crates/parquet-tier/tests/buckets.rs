//! Folders with buckets: read as they were written, by this release and by others, whole or damaged.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "golden files are read as they are")]

mod common;

use bytes::Bytes;
use common::{block_on, memory_writer, random_case};
use mytsdb_columns::Columns;
use mytsdb_downsample::{Bucket, Buckets, Resolution};
use mytsdb_model::{FamilyKind, FamilyMetadata, Labels, Matcher, TimeRange, stale_nan};
use mytsdb_parquet_tier::{
    DAY_MS, Day, DayReader, FileId, FileKind, Store, StoreOptions, Tier, TierError, WriteOptions, compare_series,
};
use mytsdb_testkit::{Random, seed, setting};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::file::metadata::ParquetMetaDataReader;
use std::path::Path;
use std::sync::Arc;

const START_MS: i64 = 1_795_824_000_000;

/// Everything in buckets, numbers as bits.
fn bits(buckets: &Buckets) -> Vec<([i64; 3], u32, [u64; 6])> {
    let row = |b: Bucket| {
        let numbers = [b.sum, b.min, b.max, b.first, b.last, b.resets].map(f64::to_bits);
        ([b.first_ms, b.last_ms, b.width_ms], b.count, numbers)
    };
    buckets.iter().map(row).collect()
}

/// Series of one day, in the order of files; some have no floats.
fn random_day(random: &mut Random, resolution: Resolution) -> (Day, Vec<(Labels, Buckets)>) {
    let case = random_case(random);
    let day = Day::of(case.begin_ms + 7_000).unwrap();
    let of_day = |(labels, columns): (Labels, Columns)| {
        let mut part = Columns::default();
        part.extend_from(&columns, day.range());
        let mut buckets = Buckets::default();
        buckets.append_floats(&part.timestamps_ms, &part.values, resolution);
        (labels, buckets)
    };
    (day, case.series.into_iter().map(of_day).collect())
}

async fn put(
    tier: &Tier,
    (day, series): (Day, &[(Labels, Buckets)]),
    resolution: Resolution,
    row_group_rows: usize,
    id: FileId,
) -> bool {
    let mut options = WriteOptions::default();
    options.row_group_rows = row_group_rows;
    let names = series.iter().flat_map(|(labels, _)| labels.iter()).map(|(name, _)| name);
    let mut writer = memory_writer(day, names, options);
    let family = FamilyMetadata { kind: FamilyKind::Counter, help: String::new(), unit: "bytes".into() };
    for (labels, buckets) in series {
        writer.push_buckets(labels, (resolution, buckets), Some(&family)).unwrap();
    }
    let written = writer.finish().unwrap();
    if written.is_empty() {
        return false;
    }
    let uploaded = tier.upload(written, id).await.unwrap().made_from(vec![FileId::new(1, 2)]).numbered(9);
    tier.commit(vec![uploaded], &[], 1).await.unwrap();
    true
}

async fn read(tier: &Tier, number: usize) -> Result<Vec<(Labels, Buckets)>, TierError> {
    let manifest = tier.manifest();
    let reader = DayReader::open(tier.store().clone(), &manifest.days[number]).await?;
    let series = reader.select(&[], TimeRange::ALL).await?;
    let buckets = reader.read_buckets(&series).await?;
    Ok(series.iter().map(|series| series.labels().clone()).zip(buckets).collect())
}

fn memory() -> (Arc<InMemory>, Arc<Store>) {
    let inner = Arc::new(InMemory::new());
    let store: Arc<dyn ObjectStore> = inner.clone();
    let mut options = StoreOptions::default();
    options.retries = 0;
    (inner, Arc::new(Store::new(store, "", options).unwrap()))
}

#[test]
fn buckets_are_read_as_they_were_written() {
    let seed = seed(31);
    block_on(async {
        let mut compared = 0;
        for case in 0..setting("MYTSDB_CASES", 40) {
            let mut random = Random::of_case(seed, case);
            let resolution = random.pick(&Resolution::ALL);
            let (day, series) = random_day(&mut random, resolution);
            let tier = Tier::open(memory().1, 0).await.unwrap();
            let rows = random.pick(&[1, 7, 100, 100_000]);
            let id = FileId::new(1, 7);
            let is_written = put(&tier, (day, &series), resolution, rows, id).await;
            let expected: Vec<_> = series.iter().filter(|(_, buckets)| !buckets.is_empty()).collect();
            assert_eq!(is_written, !expected.is_empty());
            if !is_written {
                continue;
            }
            let live = &tier.manifest().days[0];
            assert_eq!((live.resolution, live.samples, live.number), (Some(resolution), 0, 9));
            assert_eq!(live.buckets, expected.iter().map(|(_, buckets)| buckets.len() as u64).sum::<u64>());
            let found = read(&tier, 0).await.unwrap();
            assert_eq!(found.len(), expected.len(), "seed {seed} case {case}");
            for ((labels, buckets), (expected_labels, expected)) in found.iter().zip(&expected) {
                assert_eq!(labels, expected_labels, "seed {seed} case {case}");
                assert_eq!(bits(buckets), bits(expected), "seed {seed} case {case}: {labels}");
                compared += buckets.len();
            }
            // Some of the series, far from each other.
            let reader = DayReader::open(tier.store().clone(), live).await.unwrap();
            let some: Vec<_> = reader.select(&[], TimeRange::ALL).await.unwrap().into_iter().step_by(3).collect();
            for (series, buckets) in some.iter().zip(reader.read_buckets(&some).await.unwrap()) {
                let (_, expected) = expected.iter().find(|(labels, _)| labels == series.labels()).unwrap();
                assert_eq!(bits(&buckets), bits(expected));
                assert_eq!((series.sample_count(), series.unit()), (expected.len() as u64, "bytes"));
            }
            // Who wants samples does not get something else.
            assert!(tier.select(&[], TimeRange::ALL).await.unwrap().is_empty());
            tier.verify().await.unwrap();
        }
        assert!(compared > 500, "{compared} buckets compared");
    });
}

#[test]
fn what_would_be_read_wrongly_is_not_written() {
    let day = Day::of(START_MS).unwrap();
    let labels = Labels::from_pairs([("__name__", "m")]);
    let mut samples = Columns::default();
    samples.push_float(START_MS, 1.0);
    let sound = Bucket { width_ms: Resolution::Hour.ms(), ..Bucket::sample(START_MS + 5, 1.0) };
    let of = |all: &[Bucket]| {
        let mut buckets = Buckets::default();
        for bucket in all {
            buckets.push(bucket);
        }
        buckets
    };
    let refused = |buckets: &Buckets, resolution, part: &str| {
        let mut writer = memory_writer(day, ["__name__"], WriteOptions::default());
        let error = writer.push_buckets(&labels, (resolution, buckets), None).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    refused(&of(&[sound, sound]), Resolution::Hour, "do not ascend");
    refused(&of(&[Bucket { first_ms: START_MS + 6, ..sound }]), Resolution::Hour, "before it begins");
    refused(&of(&[Bucket { first_ms: START_MS - 1, ..sound }]), Resolution::Hour, "not of the day");
    refused(&of(&[Bucket { last_ms: START_MS + DAY_MS, ..sound }]), Resolution::Hour, "not of the day");
    refused(&of(&[sound]), Resolution::FiveMinutes, "another width");
    let mut writer = memory_writer(day, ["__name__"], WriteOptions::default());
    writer.push(&labels, &samples, None).unwrap();
    let next = Labels::from_pairs([("__name__", "n")]);
    assert!(writer.push_buckets(&next, (Resolution::Hour, &of(&[sound])), None).is_err(), "samples, then buckets");
    let mut writer = memory_writer(day, ["__name__"], WriteOptions::default());
    writer.push_buckets(&labels, (Resolution::Hour, &of(&[sound])), None).unwrap();
    assert!(writer.push(&next, &samples, None).is_err(), "buckets, then samples");
    assert!(writer.push_buckets(&labels, (Resolution::Hour, &of(&[sound])), None).is_err(), "a series twice");
}

#[test]
fn a_flipped_bit_or_a_cut_file_of_buckets_is_an_error_or_harmless() {
    let seed = seed(78);
    block_on(async {
        let mut random = Random::new(seed);
        let (inner, store) = memory();
        let tier = Tier::open(store, 0).await.unwrap();
        let (day, series) = loop {
            let (day, series) = random_day(&mut random, Resolution::FiveMinutes);
            if series.iter().map(|(_, buckets)| buckets.len()).sum::<usize>() > 100 {
                break (day, series);
            }
        };
        assert!(put(&tier, (day, &series), Resolution::FiveMinutes, 50, FileId::new(1, 7)).await);
        let sums = |read: &[(Labels, Buckets)]| -> Vec<_> { read.iter().map(|(l, b)| (l.clone(), bits(b))).collect() };
        let expected = sums(&read(&tier, 0).await.unwrap());
        let live = &tier.manifest().days[0];
        let path = object_store::path::Path::from(live.path(FileKind::Buckets));
        let sound = inner.get(&path).await.unwrap().bytes().await.unwrap();
        let (mut noticed, mut harmless) = (0, 0);
        for _ in 0..setting("MYTSDB_FLIPS", 200) {
            let mut damaged = sound.to_vec();
            let at = random.index(damaged.len());
            if random.one_in(10) {
                damaged.truncate(at);
            } else {
                damaged[at] ^= 1 << random.below(8);
            }
            inner.put(&path, Bytes::from(damaged).into()).await.unwrap();
            match read(&tier, 0).await {
                Ok(read) => {
                    assert!(sums(&read) == expected, "a wrong answer, seed {seed} byte {at}");
                    harmless += 1;
                }
                Err(_) => noticed += 1,
            }
            assert!(matches!(tier.verify().await, Err(TierError::Unverified { .. })));
        }
        // Labels beside buckets are for other engines.
        assert!(noticed > harmless, "{noticed} noticed, {harmless} harmless");
    });
}

/// What the golden files hold: a counter that is reset, a gauge that ends.
fn golden() -> Vec<(Labels, Buckets)> {
    let at = |n: i64| START_MS + n * 15_000;
    let (times, counter): (Vec<i64>, Vec<f64>) = (0..400).map(|n| (at(n), (n % 90) as f64 * 3.0)).unzip();
    let gauge: Vec<f64> = (0..400).map(|n| if n == 399 { stale_nan() } else { 21.5 - f64::from(n) }).collect();
    let pairs = |name: &str, host: &str| {
        Labels::from_pairs([("__name__", name), ("Env", "prod"), ("instance", host), ("first", "ü")])
    };
    let of = |values: &[f64]| {
        let mut buckets = Buckets::default();
        buckets.append_floats(&times, values, Resolution::Hour);
        buckets
    };
    let mut all = vec![
        (pairs("requests_total", "a"), of(&counter)),
        (pairs("requests_total", "b"), of(&counter)),
        (pairs("temperature", "a"), of(&gauge)),
    ];
    all.sort_by(|a, b| compare_series(&a.0, &b.0));
    all
}

#[test]
fn buckets_of_version_1_are_read_as_they_were_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1-buckets");
    block_on(async {
        let day = Day::of(START_MS).unwrap();
        let write = |tier: Tier| async move {
            put(&tier, (day, &golden()), Resolution::Hour, 60, FileId::new(1_795_910_400_000, 8)).await;
            tier
        };
        if std::env::var_os("MYTSDB_WRITE_GOLDEN").is_some() {
            let store = Store::local(&folder, StoreOptions::default()).unwrap();
            write(Tier::open(Arc::new(store), 0).await.unwrap()).await;
        }
        let store = Store::local(&folder, StoreOptions::default()).unwrap();
        let tier = Tier::open(Arc::new(store), 1).await.unwrap();
        tier.verify().await.unwrap();
        let manifest = tier.manifest();
        let stored = std::fs::read(folder.join("manifest/00000000000000000001.json")).unwrap();
        assert_eq!(manifest.encode(), stored, "the manifest is written as it was");
        let expected: Vec<_> = golden().iter().map(|(labels, buckets)| (labels.clone(), bits(buckets))).collect();
        let found: Vec<_> =
            read(&tier, 0).await.unwrap().iter().map(|(l, buckets)| (l.clone(), bits(buckets))).collect();
        assert_eq!(found, expected);
        let reader = DayReader::open(tier.store().clone(), &manifest.days[0]).await.unwrap();
        let one = reader.select(&[Matcher::metric("temperature")], TimeRange::ALL).await.unwrap();
        assert_eq!((one.len(), one[0].kind()), (1, Some(FamilyKind::Counter)));
        // Today's files have the columns of version 1.
        let (inner, store) = memory();
        let today = write(Tier::open(store, 0).await.unwrap()).await;
        let live = &today.manifest().days[0];
        for (kind, _) in &live.files {
            let path = object_store::path::Path::from(live.path(*kind));
            let bytes = inner.get(&path).await.unwrap().bytes().await.unwrap();
            let schema = |bytes: Bytes| {
                let footer = ParquetMetaDataReader::new().parse_and_finish(&bytes).unwrap();
                format!("{:?}", footer.file_metadata().schema())
            };
            let stored = std::fs::read(folder.join(manifest.days[0].path(*kind))).unwrap();
            assert_eq!(schema(bytes), schema(stored.into()), "{kind:?}");
        }
    });
}
