//! The files against their page: what other readers rely on, and files of earlier releases.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "golden files are read as they are")]

mod common;

use bytes::Bytes;
use common::{bits, block_on, memory_writer};
use mytsdb_columns::Columns;
use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};
use mytsdb_model::{FamilyKind, FamilyMetadata, Labels, STALE_NAN_BITS, TimeRange};
use mytsdb_parquet_tier::{
    Day, DayWriter, FileId, FileKind, Manifest, Store, StoreOptions, Tier, TierError, WriteOptions, compare_series,
};
use parquet::basic::{Compression, Encoding};
use parquet::column::page::Page;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaDataReader};
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::{ReadOptionsBuilder, SerializedFileReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the golden files hold.
fn golden() -> Vec<(Labels, Columns, FamilyMetadata)> {
    let family = |kind, unit: &str| FamilyMetadata { kind, help: String::new(), unit: unit.into() };
    let at = |n: i64| 1_795_824_000_000 + n * 15_000;
    let mut counter = Columns::default();
    let mut gauge = Columns::default();
    let mut latency = Columns::default();
    for n in 0..40 {
        counter.push_float_since(at(n), at(0) - 5, n as f64 * 3.0);
        let odd = if n == 20 { f64::from_bits(STALE_NAN_BITS) } else { -0.0 };
        gauge.push_float(at(n) + n % 3, if n % 10 == 0 { odd } else { 21.5 });
        let histogram = FloatHistogram {
            counter_reset_hint: if n == 0 { CounterResetHint::Unknown } else { CounterResetHint::NotCounterReset },
            schema: 1,
            zero_threshold: 1e-128,
            zero_count: n as f64,
            count: 4.0 * n as f64,
            sum: 1.25 * n as f64,
            positive_spans: vec![Span { offset: -2, length: 2 }, Span { offset: 3, length: 1 }],
            positive_buckets: vec![n as f64, n as f64, n as f64],
            ..FloatHistogram::default()
        };
        latency.push_histogram(at(n), Arc::new(histogram));
    }
    let pairs = |name: &'static str, host: &'static str| {
        Labels::from_pairs([("__name__", name), ("Env", "prod"), ("instance", host), ("value", "ü")])
    };
    let mut all = vec![
        (pairs("requests_total", "a"), counter.clone(), family(FamilyKind::Counter, "")),
        (pairs("requests_total", "b"), counter, family(FamilyKind::Counter, "")),
        (pairs("temperature", "a"), gauge, family(FamilyKind::Gauge, "celsius")),
        (pairs("latency", "a"), latency, family(FamilyKind::Histogram, "seconds")),
    ];
    all.sort_by(|a, b| compare_series(&a.0, &b.0));
    all
}

fn write(row_group_rows: usize) -> Vec<(FileKind, Bytes)> {
    let mut options = WriteOptions::default();
    options.row_group_rows = row_group_rows;
    let names = ["__name__", "Env", "instance", "value"];
    let mut writer = memory_writer(Day::of(1_795_824_000_000).unwrap(), names, options);
    for (labels, columns, family) in golden() {
        writer.push(&labels, &columns, Some(&family)).unwrap();
    }
    writer.finish().unwrap().files.into_iter().map(|(kind, file, _)| (kind, file.into_inner().into())).collect()
}

fn file(kind: FileKind) -> Bytes {
    write(60).into_iter().find(|(other, _)| *other == kind).unwrap().1
}

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1")
}

#[test]
fn files_of_version_1_are_read_as_they_were_written() {
    block_on(async {
        let folder = golden_folder();
        if std::env::var_os("MYTSDB_WRITE_GOLDEN").is_some() {
            write_golden(&folder).await;
        }
        let tier = Tier::open(Arc::new(Store::local(&folder, StoreOptions::default()).unwrap()), 1).await.unwrap();
        tier.verify().await.unwrap();
        let manifest = tier.manifest();
        let stored = std::fs::read(folder.join("manifest/00000000000000000001.json")).unwrap();
        assert_eq!(manifest.encode(), stored, "the manifest is written as it was");
        let selection = tier.select(&[], TimeRange::ALL).await.unwrap();
        let expected = golden();
        assert!(selection.labels().eq(expected.iter().map(|(labels, ..)| labels)));
        let mut read = 0;
        let each = |place: usize, columns: &mut Columns| {
            assert_eq!(bits(columns), bits(&expected[place].1), "{}", expected[place].0);
            read += 1;
            Ok::<(), TierError>(())
        };
        selection.read(TimeRange::ALL, each).await.unwrap();
        assert_eq!(read, expected.len());
        let day = mytsdb_parquet_tier::DayReader::open(tier.store().clone(), &manifest.days[0]).await.unwrap();
        for (series, (_, _, family)) in day.select(&[], TimeRange::ALL).await.unwrap().iter().zip(&expected) {
            assert_eq!((series.kind(), series.unit()), (Some(family.kind), &*family.unit));
        }
        // Today's files have the columns of version 1.
        for (kind, bytes) in write(60) {
            let stored = folder.join(manifest.days[0].folder()).join(kind.name());
            let schema = |bytes: Bytes| {
                let footer = ParquetMetaDataReader::new().parse_and_finish(&bytes).unwrap();
                format!("{:?}", footer.file_metadata().schema())
            };
            assert_eq!(schema(bytes), schema(std::fs::read(stored).unwrap().into()));
        }
    });
}

async fn write_golden(folder: &Path) {
    let tier = Tier::open(Arc::new(Store::local(folder, StoreOptions::default()).unwrap()), 0).await.unwrap();
    let mut options = WriteOptions::default();
    options.row_group_rows = 60;
    let day = Day::of(1_795_824_000_000).unwrap();
    let names = ["__name__", "Env", "instance", "value"];
    let mut writer: DayWriter<_> = memory_writer(day, names, options);
    for (labels, columns, family) in golden() {
        writer.push(&labels, &columns, Some(&family)).unwrap();
    }
    let uploaded = tier.upload(writer.finish().unwrap(), FileId::new(1_795_910_400_000, 7)).await.unwrap();
    tier.commit(vec![uploaded], &[], 1_795_910_400_001).await.unwrap();
}

#[test]
fn the_manifest_of_the_page_is_one() {
    let page = include_str!("../../../docs/format/parquet-tier.md");
    let text = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let manifest = Manifest::decode("page", 2, text.as_bytes()).unwrap();
    assert_eq!(Manifest::decode("page", 2, &manifest.encode()).unwrap(), manifest);
}

#[test]
fn the_labels_file_keeps_the_rules_of_parquet_common() {
    let bytes = file(FileKind::Labels);
    let footer = ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Required)
        .parse_and_finish(&bytes)
        .unwrap();
    let reader = SerializedFileReader::new(bytes).unwrap();
    let key = |key: &str| {
        let pairs = footer.file_metadata().key_value_metadata().unwrap();
        pairs.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone()).unwrap()
    };
    assert_eq!(key("minT"), "1795824000000");
    assert_eq!(key("maxT"), "1795910399999");
    assert_eq!(key("data_col_duration_ms"), "28800000");
    let schema = footer.file_metadata().schema_descr();
    let names: Vec<&str> = schema.columns().iter().map(|column| column.name()).collect();
    assert_eq!(names[..6], ["l___name__", "l_Env", "l_instance", "l_value", "s_col_indexes", "s_series_hash"]);
    assert!(!names[4..].iter().any(|name| name.starts_with("l_") || name.starts_with("s_data")));
    for group in 0..footer.num_row_groups() {
        assert_eq!(footer.row_group(group).sorting_columns(), None);
        for (place, name) in
            names.iter().enumerate().filter(|(_, name)| name.starts_with("l_") || name.starts_with("s_"))
        {
            let index = footer.page_index_for_row_group(group);
            assert!(index.column_index(place).is_some() && index.offset_index(place).is_some(), "{name}");
            let row_group = reader.get_row_group(group).unwrap();
            for page in row_group.get_column_page_reader(place).unwrap() {
                let expected = match page.unwrap() {
                    Page::DictionaryPage { .. } => name.starts_with("l_"),
                    data => (data.encoding() == Encoding::RLE_DICTIONARY) == name.starts_with("l_"),
                };
                assert!(expected, "{name} is encoded in another way");
            }
        }
    }
}

#[test]
fn the_samples_file_lets_readers_prune() {
    let bytes = file(FileKind::Samples);
    let footer = ParquetMetaDataReader::new()
        .with_page_index_policy(PageIndexPolicy::Required)
        .parse_and_finish(&bytes)
        .unwrap();
    let options = ReadOptionsBuilder::new()
        .with_reader_properties(
            parquet::file::properties::ReaderProperties::builder().set_read_bloom_filter(true).build(),
        )
        .build();
    let reader = SerializedFileReader::new_with_options(bytes, options).unwrap();
    assert_eq!(
        footer.num_row_groups(),
        3,
        "a series of 40 samples is not cut, and a group of 40 is more than half full"
    );
    let names: Vec<&str> = footer.file_metadata().schema_descr().columns().iter().map(|column| column.name()).collect();
    assert_eq!(names, ["__name__", "Env", "instance", "l_value", "series_id", "timestamp", "start_timestamp", "value"]);
    for group in 0..footer.num_row_groups() {
        let row_group = footer.row_group(group);
        let sorting: Vec<i32> = row_group.sorting_columns().unwrap().iter().map(|column| column.column_idx).collect();
        assert_eq!(sorting, [4, 5]);
        for (place, name) in names.iter().enumerate() {
            let column = row_group.column(place);
            assert!(column.statistics().is_some(), "{name}");
            assert!(matches!(column.compression(), Compression::ZSTD(_) | Compression::UNCOMPRESSED));

            let dictionary = column.dictionary_page_offset().is_some();
            // Nobody knows start times in the last group: no dictionary, and its nulls are a few bytes.
            let wanted = place <= 4 || (*name == "start_timestamp" && group < 2);
            assert!(dictionary == wanted || *name == "value", "{name}");
        }
        let filters = reader.get_row_group(group).unwrap();
        let filter = filters.get_column_bloom_filter(0).unwrap();
        assert!(filter.check("requests_total") || filter.check("temperature"));
        assert!(!filter.check("no such metric"));
        assert!(filters.get_column_bloom_filter(1).is_none());
    }
}

#[test]
fn pages_of_samples_are_bounded_and_an_unused_label_costs_nothing_a_row() {
    let mut columns = Columns::default();
    let mut random = mytsdb_testkit::Random::new(3);
    for time in 0..400_000 {
        columns.push_float(time, random.unit());
    }
    let bytes_with = |labels: usize| {
        let names: Vec<String> = (0..labels).map(|n| format!("label_{n}")).chain(["__name__".into()]).collect();
        let names = names.iter().map(String::as_str);
        let mut writer = memory_writer(Day::of(0).unwrap(), names, WriteOptions::default());
        writer.push(&Labels::from_pairs([("__name__", "up")]), &columns, None).unwrap();
        let written = writer.finish().unwrap();
        written.files.into_iter().find(|(kind, ..)| *kind == FileKind::Samples).unwrap().1.into_inner()
    };
    let (narrow, wide) = (bytes_with(1), bytes_with(301));
    assert!(wide.len() - narrow.len() < 300 * 400, "300 columns without a value took {}", wide.len() - narrow.len());
    let reader = SerializedFileReader::new(Bytes::from(wide)).unwrap();
    let row_group = reader.get_row_group(0).unwrap();
    for place in 302..306 {
        for page in row_group.get_column_page_reader(place).unwrap() {
            let page = page.unwrap();
            assert!(page.num_values() <= 131_072 && page.buffer().len() <= (1 << 20) + (1 << 17), "{page:?}");
        }
    }
}

#[test]
fn what_would_be_read_wrongly_is_not_written() {
    let mut writer = memory_writer(Day::of(0).unwrap(), ["__name__", "job"], WriteOptions::default());
    let of = |samples: &[(i64, f64)]| {
        let mut columns = Columns::default();
        for (time, value) in samples {
            columns.push_float(*time, *value);
        }
        columns
    };
    let name = |name: &str| Labels::from_pairs([("__name__", name)]);
    writer.push(&name("b"), &of(&[(1, 1.0)]), None).unwrap();
    let refused =
        |writer: &mut DayWriter<_>, labels: &Labels, samples: &Columns| writer.push(labels, samples, None).unwrap_err();
    for labels in [name("b"), name("a"), Labels::empty()] {
        let error = refused(&mut writer, &labels, &of(&[(1, 1.0)]));
        assert!(matches!(error, TierError::OutOfOrder { .. }), "{error}");
    }
    for samples in
        [of(&[(2, 1.0), (2, 1.0)]), of(&[(2, 1.0), (1, 1.0)]), of(&[(-1, 1.0)]), of(&[(1, 1.0), (86_400_000, 1.0)])]
    {
        let error = refused(&mut writer, &name("c"), &samples);
        assert!(matches!(error, TierError::BadSample { .. }), "{error}");
    }
    let mut short = of(&[(1, 1.0), (2, 2.0)]);
    short.values.pop();
    assert!(matches!(refused(&mut writer, &name("c"), &short), TierError::BadSample { .. }));
    let error = refused(&mut writer, &Labels::from_pairs([("__name__", "c"), ("x", "y")]), &of(&[(1, 1.0)]));
    assert!(matches!(error, TierError::BadLabel { .. }), "{error}");
    // None of it spoilt the file.
    writer.push(&name("c"), &of(&[(1, 1.0)]), None).unwrap();
    assert_eq!(writer.finish().unwrap().samples, 2);
}
