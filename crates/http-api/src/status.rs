//! `status/…`: what runs here, how it is set up, and how many series it holds.

use crate::answer::{Answer, Outcome};
use crate::api::Shared;
use crate::encoding::Encoding;
use crate::error::ApiError;
use crate::job::{self, Run};
use crate::json::Chunks;
use crate::params::Params;
use crate::time::{format_rfc3339, now_ms};
use axum::body::Body;
use axum::extract::{Request, State};
use http::Response;
use mytsdb_model::TimeRange;
use mytsdb_promql::{LabelStorage, SelectHints};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The Prometheus release whose API this is; clients choose features by it.
const API_VERSION: &str = "3.16.0";
/// How far back `status/tsdb` looks for series.
const TSDB_WINDOW_MS: i64 = 3_600_000;
/// Series between two looks at the clock.
const SERIES_PER_CHECK: usize = 1024;

fn write_fields(out: &mut Chunks, fields: &[(&str, &str)]) {
    let mut separator = "{";
    for (name, value) in fields {
        out.raw(separator);
        out.string(name);
        out.raw(":");
        out.string(value);
        separator = ",";
    }
    out.raw("}");
}

pub(crate) fn build_info(shared: &Shared, out: &mut Chunks) {
    // No `features`: clients take a server that lists any for another product.
    let fields = [
        ("version", API_VERSION),
        ("revision", shared.options.revision.as_str()),
        ("branch", concat!("mytsdb-", env!("CARGO_PKG_VERSION"))),
        ("buildUser", ""),
        ("buildDate", ""),
        ("goVersion", ""),
    ];
    write_fields(out, &fields);
}

pub(crate) fn runtime_info(shared: &Shared, out: &mut Chunks) {
    let started = format_rfc3339(shared.started_ms);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    out.raw("{\"startTime\":");
    out.string(&started);
    out.raw(",\"CWD\":");
    out.string(&std::env::current_dir().map_or_else(|_| String::new(), |dir| dir.display().to_string()));
    out.raw(",\"serverTime\":");
    out.string(&format_rfc3339(now_ms()));
    out.raw(",\"reloadConfigSuccess\":true,\"lastConfigTime\":");
    out.string(&started);
    out.raw(",\"corruptionCount\":");
    out.integer(corruption_count(shared));
    out.raw(",\"GOMAXPROCS\":");
    out.integer(threads as u64);
    out.raw(",\"storageRetention\":");
    out.string(&shared.options.retention);
    out.raw("}");
}

fn corruption_count(shared: &Shared) -> u64 {
    let families = shared.registry.gather();
    let corruptions = families.iter().filter(|f| f.name == "mytsdb_corruptions_total");
    corruptions.flat_map(|f| &f.samples).map(|s| s.value).sum::<f64>() as u64
}

pub(crate) fn flags(shared: &Shared, out: &mut Chunks) {
    let fields: Vec<(&str, &str)> =
        shared.options.flags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    if fields.is_empty() { out.raw("{}") } else { write_fields(out, &fields) }
}

pub(crate) fn config(shared: &Shared, out: &mut Chunks) {
    write_fields(out, &[("yaml", &shared.options.config_yaml)]);
}

/// Counts over the series of the last hour. Costs a look at each of them.
pub(crate) async fn tsdb(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    const LIMIT_DEFAULT: i64 = 10;
    const LIMIT_MAX: i64 = 10_000;
    let encoding = Encoding::negotiate(request.headers());
    let limit =
        Params::read(request).await.and_then(|params| match params.integer("limit")?.unwrap_or(LIMIT_DEFAULT) {
            limit @ 1..=LIMIT_MAX => Ok(limit as usize),
            limit if limit < 1 => Err(ApiError::parameter("limit", "limit must be a positive number")),
            _ => Err(ApiError::parameter("limit", format!("limit must not exceed {LIMIT_MAX}"))),
        });
    let limit = match limit {
        Ok(limit) => limit,
        Err(error) => return Answer::error(&error).into_response(),
    };
    let storage = Arc::clone(&shared.storage);
    let work = move |run: &Run, out: &mut Chunks| {
        write_tsdb(out, &count_series(&*storage, run)?, limit);
        Ok(Outcome::data())
    };
    job::run(&shared.lookups, &shared.options.query, shared.options.query_timeout, encoding, work).await
}

#[derive(Default)]
struct SeriesCounts {
    series: u64,
    by_name: BTreeMap<String, u64>,
    /// For each label name: bytes of its values, and its values with the number of series of each.
    by_label: BTreeMap<String, (u64, BTreeMap<String, u64>)>,
    range: Option<TimeRange>,
}

fn count_series(storage: &dyn LabelStorage, run: &Run) -> Result<SeriesCounts, ApiError> {
    let now = now_ms();
    let range = TimeRange::new(now - TSDB_WINDOW_MS, now);
    let hints = SelectHints { func: Some("series"), ..SelectHints::new(range, &run.cancel) };
    let set = storage.select(&hints, &[]).map_err(|error| run.failure(error))?;
    let mut counts = SeriesCounts { series: set.len() as u64, range: Some(range), ..SeriesCounts::default() };
    for index in 0..set.len() {
        if index % SERIES_PER_CHECK == 0 {
            run.cancel.check()?;
        }
        let labels = set.labels(index);
        add(&mut counts.by_name, labels.metric_name(), 1);
        for (name, value) in labels {
            if !counts.by_label.contains_key(name) {
                counts.by_label.insert(name.to_owned(), (0, BTreeMap::new()));
            }
            let (bytes, values) = counts.by_label.get_mut(name).expect("inserted above");
            *bytes += value.len() as u64;
            add(values, value, 1);
        }
    }
    Ok(counts)
}

fn add(counts: &mut BTreeMap<String, u64>, key: &str, n: u64) {
    match counts.get_mut(key) {
        Some(count) => *count += n,
        None => {
            counts.insert(key.to_owned(), n);
        }
    }
}

fn write_tsdb(out: &mut Chunks, counts: &SeriesCounts, limit: usize) {
    let pairs: u64 = counts.by_label.values().map(|(_, values)| values.len() as u64).sum();
    out.raw("{\"headStats\":{\"numSeries\":");
    out.integer(counts.series);
    out.raw(",\"numLabelPairs\":");
    out.integer(pairs);
    if let Some(range) = counts.range {
        out.raw(",\"minTime\":");
        out.integer(range.mint.unsigned_abs());
        out.raw(",\"maxTime\":");
        out.integer(range.maxt.unsigned_abs());
    }
    out.raw("},\"seriesCountByMetricName\":");
    write_top(out, counts.by_name.iter().map(|(name, n)| (name.clone(), *n)).collect(), limit);
    let of_labels = |figure: fn(&(u64, BTreeMap<String, u64>)) -> u64| {
        counts.by_label.iter().map(|(name, label)| (name.clone(), figure(label))).collect()
    };
    out.raw(",\"labelValueCountByLabelName\":");
    write_top(out, of_labels(|(_, values)| values.len() as u64), limit);
    out.raw(",\"memoryInBytesByLabelName\":");
    write_top(out, of_labels(|(bytes, _)| *bytes), limit);
    out.raw(",\"seriesCountByLabelValuePair\":");
    let pair_counts = counts
        .by_label
        .iter()
        .flat_map(|(name, (_, values))| values.iter().map(move |(value, n)| (format!("{name}={value}"), *n)));
    write_top(out, pair_counts.collect(), limit);
    out.raw("}");
}

/// The `limit` largest, as `[{"name":…,"value":…}]`.
fn write_top(out: &mut Chunks, mut all: Vec<(String, u64)>, limit: usize) {
    all.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    out.list(all.iter().take(limit), |out, (name, value)| {
        out.raw("{\"name\":");
        out.string(name);
        out.raw(",\"value\":");
        out.integer(*value);
        out.raw("}");
    });
}
