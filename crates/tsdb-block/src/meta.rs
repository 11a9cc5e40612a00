//! `meta.json`: what the block is, for Prometheus and, in a part of its own, for Thanos.

use mytsdb_model::TimeRange;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a block is to say of its origin.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// Labels that all of its series have beside their own; Thanos and Mimir tell producers apart by them.
    pub external_labels: BTreeMap<String, String>,
    /// What wrote it.
    pub source: String,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    pub series: u64,
    pub chunks: u64,
    pub floats: u64,
    pub histograms: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Meta<'a> {
    ulid: &'a str,
    min_time: i64,
    /// The first time behind the block.
    max_time: i64,
    stats: Stats,
    compaction: Compaction<'a>,
    version: u32,
    thanos: Thanos<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are those of the file")]
struct Stats {
    num_samples: u64,
    num_float_samples: u64,
    num_histogram_samples: u64,
    num_series: u64,
    num_chunks: u64,
}

#[derive(Serialize)]
struct Compaction<'a> {
    level: u32,
    sources: [&'a str; 1],
}

#[derive(Serialize)]
struct Thanos<'a> {
    version: u32,
    labels: &'a BTreeMap<String, String>,
    downsample: Downsample,
    source: &'a str,
    segment_files: Vec<String>,
    files: Vec<FileEntry>,
}

#[derive(Serialize)]
struct Downsample {
    resolution: u32,
}

#[derive(Serialize)]
struct FileEntry {
    rel_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
}

/// The bytes of the file. `files` are those beside it, with their lengths.
pub(crate) fn encode(
    ulid: &str,
    range: TimeRange,
    counts: Counts,
    details: &Details,
    files: &[(String, u64)],
) -> Vec<u8> {
    let segments = files.iter().filter_map(|(name, _)| name.strip_prefix("chunks/")).map(str::to_owned);
    let own = FileEntry { rel_path: "meta.json".to_owned(), size_bytes: None };
    let beside = files.iter().map(|(name, bytes)| FileEntry { rel_path: name.clone(), size_bytes: Some(*bytes) });
    let meta = Meta {
        ulid,
        min_time: range.mint,
        max_time: range.maxt.saturating_add(1),
        stats: Stats {
            num_samples: counts.floats + counts.histograms,
            num_float_samples: counts.floats,
            num_histogram_samples: counts.histograms,
            num_series: counts.series,
            num_chunks: counts.chunks,
        },
        compaction: Compaction { level: 1, sources: [ulid] },
        version: 1,
        thanos: Thanos {
            version: 1,
            labels: &details.external_labels,
            downsample: Downsample { resolution: 0 },
            source: &details.source,
            segment_files: segments.collect(),
            files: beside.chain([own]).collect(),
        },
    };
    let mut bytes = serde_json::to_vec_pretty(&meta).expect("numbers and text are JSON");
    bytes.push(b'\n');
    bytes
}
