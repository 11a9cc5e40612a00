//! Writes `fuzz/seeds`: a few small inputs for each target, made from golden files, the cases in docs, and our own encoders.
//!
//! `cargo xtask fuzz --seeds` runs it. The files are committed, so that fuzzing begins behind the first checks.

use mytsdb_codec::XorAppender;
use mytsdb_index::IndexWriter;
use mytsdb_model::Labels;
use mytsdb_otlp_json::transcode;
use mytsdb_varint::put_uvarint;
use std::error::Error;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

type Made = Result<Vec<(String, Vec<u8>)>, Box<dyn Error>>;

/// Requests in OTLP/JSON: every kind of point, and what only JSON can say.
const OTLP_JSON: [(&str, &str); 6] = [
    (
        "gauge",
        r#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}]},"scopeMetrics":[{"scope":{"name":"n","version":"1"},"metrics":[{"name":"temp","unit":"Cel","gauge":{"dataPoints":[{"timeUnixNano":"1000000000","asDouble":1.5,"attributes":[{"key":"k","value":{"boolValue":true}}]}]}}]}]}]}"#,
    ),
    (
        "sum",
        r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"c","sum":{"isMonotonic":true,"aggregationTemporality":2,"dataPoints":[{"startTimeUnixNano":"1","timeUnixNano":"2000000000","asInt":"7"}]}}]}]}]}"#,
    ),
    (
        "histogram",
        r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"h","histogram":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_CUMULATIVE","dataPoints":[{"timeUnixNano":"3000000000","count":"3","sum":1.25,"bucketCounts":["1","2","0"],"explicitBounds":[0.5,1]}]}}]}]}]}"#,
    ),
    (
        "exponential",
        r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"e","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":"4000000000","count":"5","sum":9,"scale":3,"zeroCount":"1","positive":{"offset":-2,"bucketCounts":["1","0","2"]},"negative":{"offset":0,"bucketCounts":["1"]}}]}}]}]}]}"#,
    ),
    (
        "summary",
        r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"s","summary":{"dataPoints":[{"timeUnixNano":"5000000000","count":"2","sum":3,"quantileValues":[{"quantile":0.5,"value":1},{"quantile":1,"value":"NaN"}]}]}}]}]}]}"#,
    ),
    (
        "values",
        r#"{"resourceMetrics":[{"resource":{"attributes":[{"key":"a","value":{"arrayValue":{"values":[{"intValue":1},{"stringValue":"\u00e9"}]}}},{"key":"m","value":{"kvlistValue":{"values":[{"key":"x","value":{"bytesValue":"AAE="}}]}}}]}}],"unknown":[{}]}"#,
    ),
];

/// Queries that reach all parts of the parser; the suites add their own when they are there.
const QUERIES: [&str; 14] = [
    r#"sum by (job) (rate(http_requests_total{code=~"5..",job!="x"}[5m]))"#,
    r#"histogram_quantile(0.99, sum without (instance) (rate(h_bucket[1m] offset 5m)))"#,
    r#"{"a.b", "c d"="e", __name__!=""}"#,
    r#"a and on (x, "y.z") b or ignoring () c unless d"#,
    r#"a / on (x) group_left (y) b * bool_free >= bool 1"#,
    r#"a + fill_left(0) fill_right(1) b"#,
    r#"max_over_time(rate(a[5m])[1h:30s] @ end())"#,
    r#"a[5m + 2 * step()] offset -(1h)"#,
    r#"increase(a[5m] anchored) - increase(a[5m] smoothed)"#,
    r#"topk(3, -2 ^ -x) - +Inf + NaN + 0x1F + 1e-3 + 1h30m"#,
    r#"label_replace(a, "d", "$1-\n\u00e9", 's', `(\w+)`)"#,
    r#"count_values("v", limit_ratio(-0.5, a)) # remark"#,
    r#"quantile_over_time(scalar(q), a[5m:]) @ 1.5"#,
    r#"((((((a))))))"#,
];

fn main() -> Result<(), Box<dyn Error>> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"));
    let crates = fuzz.join("../crates");
    let all = [
        ("block_read", files(&crates.join("blocks/tests/golden"), "blk")?),
        ("cache_segment", files(&crates.join("cache/tests/golden"), "seg")?),
        ("dx_decode", hex_files(&crates.join("codec/tests/golden"), "dx-")?),
        ("histogram_decode", hex_files(&crates.join("codec/tests/golden"), "histogram-")?),
        ("index_read", indexes()?),
        ("otlp_exponential", exponential_points()),
        ("otlp_inflate", compressed()?),
        ("otlp_json", OTLP_JSON.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())).to_vec()),
        ("otlp_walk", requests()?),
        ("promql_parse", queries()),
        ("remote_write", remote_writes()),
        ("text_import", texts()),
        ("tier_manifest", manifests(&crates.join("parquet-tier/tests/golden"))?),
        ("varint", varints()),
        ("wal_replay", logs(&crates.join("wal/tests/golden"))?),
        ("xor_decode", xor_chunks()?),
    ];
    for (target, seeds) in all {
        let dir = fuzz.join("seeds").join(target);
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        for (name, bytes) in &seeds {
            fs::write(dir.join(name), bytes)?;
        }
        println!(
            "{target}: {} seeds, {} bytes",
            seeds.len(),
            seeds.iter().map(|(_, bytes)| bytes.len()).sum::<usize>()
        );
    }
    Ok(())
}

/// The manifests of all golden folders.
fn manifests(golden: &Path) -> Made {
    let mut made = files(&golden.join("v1/manifest"), "json")?;
    for (name, bytes) in files(&golden.join("v1-buckets/manifest"), "json")? {
        made.push((format!("{name}-buckets"), bytes));
    }
    Ok(made)
}

/// The files of a folder with an extension, by name.
fn files(dir: &Path, extension: &str) -> Made {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    paths.retain(|path| path.extension().is_some_and(|e| e == extension));
    paths.sort();
    let stem = |path: &PathBuf| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    paths.iter().map(|path| Ok((stem(path), fs::read(path)?))).collect()
}

/// Golden files in hexadecimal digits.
fn hex_files(dir: &Path, prefix: &str) -> Made {
    let mut made = Vec::new();
    for (name, text) in files(dir, "hex")? {
        if name.starts_with(prefix) {
            let digits: Vec<u8> = text.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
            let byte = |pair: &[u8]| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?);
            made.push((name, digits.chunks(2).map(byte).collect::<Result<_, Box<dyn Error>>>()?));
        }
    }
    Ok(made)
}

/// Ten series with three labels each, and an index of none, in both forms.
fn indexes() -> Made {
    let series = |count: u32| {
        let mut writer = IndexWriter::new();
        for i in 0..count {
            let instance = i.to_string();
            let job = if i % 3 == 0 { "api" } else { "db" };
            writer.add(&Labels::from_pairs([("__name__", "up"), ("instance", &*instance), ("job", job)]))?;
        }
        Ok::<_, Box<dyn Error>>(writer)
    };
    let mut made = Vec::new();
    for (name, count) in [("none", 0), ("ten", 10)] {
        let sections = series(count)?.finish()?;
        let length = u16::try_from(sections.symbols.len())?.to_le_bytes();
        made.push((format!("v1-{name}"), [&[0][..], &length, &sections.symbols, &sections.postings].concat()));
        made.push((format!("v2-{name}"), [&[1][..], &series(count)?.finish_packed()?.section].concat()));
    }
    Ok(made)
}

fn requests() -> Made {
    let mut made = Vec::new();
    for (name, text) in OTLP_JSON {
        let bytes = transcode(text.as_bytes(), 1 << 20).map_err(|error| format!("{name}: {error:?}"))?;
        made.push((name.to_owned(), bytes.to_vec()));
    }
    Ok(made)
}

/// A request in every compression; the first byte is the place in the target's list.
fn compressed() -> Made {
    let request = transcode(OTLP_JSON[0].1.as_bytes(), 1 << 20).map_err(|error| format!("{error:?}"))?.to_vec();
    let mut gzip = flate2::write::GzEncoder::new(vec![0], flate2::Compression::fast());
    gzip.write_all(&request)?;
    let mut members = gzip.finish()?;
    let once = ("gzip".to_owned(), members.clone());
    members.extend_from_within(1..);
    let mut zlib = flate2::write::ZlibEncoder::new(vec![1], flate2::Compression::fast());
    zlib.write_all(&request)?;
    let mut bare = flate2::write::DeflateEncoder::new(vec![1], flate2::Compression::fast());
    bare.write_all(&request)?;
    let mut frames = snap::write::FrameEncoder::new(vec![3]);
    frames.write_all(&request)?;
    let frames = frames.into_inner().map_err(|error| error.to_string())?;
    Ok(vec![
        once,
        ("gzip-members".to_owned(), members),
        ("zlib".to_owned(), zlib.finish()?),
        ("deflate".to_owned(), bare.finish()?),
        ("zstd".to_owned(), [&[2][..], &zstd::encode_all(&*request, 1)?].concat()),
        ("snappy".to_owned(), [&[3][..], &snap::raw::Encoder::new().compress_vec(&request)?].concat()),
        ("snappy-block".to_owned(), [&[5][..], &snap::raw::Encoder::new().compress_vec(&request)?].concat()),
        ("snappy-frames".to_owned(), frames),
        ("plain".to_owned(), [&[4][..], &request].concat()),
    ])
}

fn queries() -> Vec<(String, Vec<u8>)> {
    QUERIES.iter().enumerate().map(|(i, text)| (format!("query-{i:02}"), text.as_bytes().to_vec())).collect()
}

/// A field of a message: its number, and bytes behind their length.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    put_uvarint(&mut out, bytes.len() as u64);
    out.extend_from_slice(bytes);
    out
}

/// One series with a sample, as each version writes it.
fn remote_writes() -> Vec<(String, Vec<u8>)> {
    let label = |name: &str, value: &str| field(1, &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat());
    // A value of 1.5 at 1000 ms.
    let sample = [&[0x09][..], &1.5_f64.to_le_bytes(), &[0x10, 0xe8, 0x07]].concat();
    let first = field(1, &[label("__name__", "up"), label("job", "x"), field(2, &sample)].concat());
    let symbols: Vec<u8> =
        ["", "__name__", "up", "job", "x"].iter().flat_map(|text| field(4, text.as_bytes())).collect();
    let second = [symbols, field(5, &[field(1, &[1, 2, 3, 4]), field(2, &sample)].concat())].concat();
    vec![("v1".to_owned(), first), ("v2".to_owned(), second)]
}

/// Every kind of line, right and wrong.
fn texts() -> Vec<(String, Vec<u8>)> {
    let open_metrics = "# TYPE a counter\n# UNIT a_seconds seconds\n# HELP a What \\\"it\\\" is.\n\
        a_total{x=\"1\\n\"} 7 1700000000.123 # {trace_id=\"ab\"} 0.5 1700000000\n{\"b.c\",\"d.e\"=\"f\"} NaN\n# EOF\n";
    let prometheus = b"# a comment\nup 1\nup{job=\"a\",} +Inf -5\n\nup{ 1\nup x\nup 1 2 3\n\xff 1\n";
    // In an exemplar the name is a label.
    let name = b"s 0.123 # {__name__=\"ab\"} 0 1700000000\n# EOF\n";
    [("openmetrics", open_metrics.as_bytes()), ("prometheus", prometheus), ("exemplar_name", name)]
        .map(|(name, text)| (name.to_owned(), text.to_vec()))
        .to_vec()
}

/// Points of an exponential histogram, each field of it as the target wraps them: two sides, and one without buckets.
fn exponential_points() -> Vec<(String, Vec<u8>)> {
    let fixed = |number: u8, bits: u64| [&[number << 3 | 1][..], &bits.to_le_bytes()].concat();
    let buckets =
        |number: u8, offset: u8, counts: &[u8]| field(number, &[&[0x08, offset][..], &field(2, counts)].concat());
    let head = |count: u64, scale: u8| {
        let times = [fixed(2, 1_000_000_000), fixed(3, 2_000_000_000)].concat();
        [times, fixed(4, count), fixed(5, 1.5_f64.to_bits()), vec![0x30, scale]].concat()
    };
    let sides = [head(9, 4), fixed(7, 2), buckets(8, 3, &[1, 0, 2]), buckets(9, 6, &[4])].concat();
    let flat = [head(2, 40), fixed(7, 2)].concat();
    vec![("sides".to_owned(), sides), ("flat".to_owned(), flat)]
}

fn varints() -> Vec<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    for shift in 0..64 {
        put_uvarint(&mut bytes, 1 << shift);
        put_uvarint(&mut bytes, u64::MAX >> shift);
    }
    vec![("powers".to_owned(), bytes)]
}

/// The golden log as the target takes it: as it is and to be repaired.
fn logs(golden: &Path) -> Made {
    let mut versions: Vec<PathBuf> =
        fs::read_dir(golden)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
    versions.sort();
    let mut made = Vec::new();
    for dir in versions {
        let version = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut input = Vec::new();
        for file in files(&dir, "checkpoint")?.iter().chain(&files(&dir, "wal")?) {
            input.extend_from_slice(&u16::try_from(file.1.len())?.to_le_bytes());
            input.extend_from_slice(&file.1);
        }
        made.push((format!("{version}-as-is"), [&[0][..], &input].concat()));
        made.push((format!("{version}-repaired"), [&[1][..], &input].concat()));
    }
    Ok(made)
}

/// Steps that are regular, late and long; values that repeat, count up and are not numbers.
fn xor_chunks() -> Made {
    let samples: [(&str, fn(i64) -> (i64, f64)); 3] = [
        ("constant", |i| (i * 15_000, 42.5)),
        ("counter", |i| (i * 15_000 + i % 7, (i * 100 + i % 13) as f64)),
        ("odd", |i| (i * i * 1_000_003, if i % 5 == 0 { f64::NAN } else { (i as f64).sin() })),
    ];
    let mut made = Vec::new();
    for (name, sample) in samples {
        let mut appender = XorAppender::new();
        for (time, value) in (0..30).map(sample) {
            appender.push(time, value)?;
        }
        made.push((name.to_owned(), appender.bytes().to_vec()));
    }
    Ok(made)
}
