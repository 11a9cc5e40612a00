//! `status/…`: what runs here, how it is set up, and how many series it holds.

use crate::answer::{Answer, Outcome};
use crate::api::Shared;
use crate::encoding::Encoding;
use crate::error::ApiError;
use crate::job::{self, Run};
use crate::json::Chunks;
use crate::params::{Forms, Params};
use crate::time::{format_rfc3339, now_ms};
use axum::body::Body;
use axum::extract::{Request, State};
use http::Response;
use mytsdb_model::TimeRange;
use mytsdb_promql::{LabelStorage, MemoryHold, SelectHints};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
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

/// `/version`: the same without an envelope.
pub(crate) async fn version(State(shared): State<Arc<Shared>>) -> Response<Body> {
    let mut out = Chunks::new();
    build_info(&shared, &mut out);
    Answer::success(Encoding::Identity, out.finish()).into_response()
}

/// The log was replayed before anybody could ask.
pub(crate) fn wal_replay(_: &Shared, out: &mut Chunks) {
    out.raw("{\"min\":0,\"max\":0,\"current\":0}");
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
    const LIMIT_DEFAULT: usize = 10;
    const LIMIT_MAX: i64 = 10_000;
    let encoding = Encoding::negotiate(request.headers());
    let limit = Params::read(&shared, request, Forms::All).await.and_then(|params| match params.integer("limit") {
        Ok(None) => Ok(LIMIT_DEFAULT),
        Ok(Some(limit @ 1..=LIMIT_MAX)) => Ok(limit as usize),
        Ok(Some(limit)) if limit > LIMIT_MAX => Err(ApiError::bad_data(format!("limit must not exceed {LIMIT_MAX}"))),
        Ok(Some(_)) | Err(_) => Err(ApiError::bad_data("limit must be a positive number")),
    });
    let limit = match limit {
        Ok(limit) => limit,
        Err(error) => return Answer::error(&error).into_response(),
    };
    let storage = Arc::clone(&shared.storage);
    let options = shared.options.query.clone();
    let work = move |run: &Run, out: &mut Chunks| {
        let counts = count_series(&*storage, run, MemoryHold::new(&options))?;
        write_tsdb(out, &counts, limit, run)?;
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
    /// What all this takes, about; the hold has it while the counts live.
    bytes: u64,
    hold: Option<MemoryHold>,
}

/// What an entry takes beside its text, about.
const ENTRY_BYTES: usize = 64;

fn count_series(storage: &dyn LabelStorage, run: &Run, mut hold: MemoryHold) -> Result<SeriesCounts, ApiError> {
    let now = now_ms();
    let range = TimeRange::new(now - TSDB_WINDOW_MS, now);
    let hints = SelectHints { func: Some("series"), ..SelectHints::new(range, &run.cancel) };
    let set = storage.select(&hints, &[]).map_err(|error| run.failure(error))?;
    let selected_bytes = set.len() as u64 * 16;
    hold.grow_to(selected_bytes)?;
    let mut counts = SeriesCounts { series: set.len() as u64, range: Some(range), ..SeriesCounts::default() };
    for index in 0..set.len() {
        if index % SERIES_PER_CHECK == 0 {
            run.cancel.check()?;
            hold.grow_to(selected_bytes + counts.bytes)?;
        }
        let labels = set.labels(index);
        counts.bytes += add(&mut counts.by_name, labels.metric_name(), 1);
        for (name, value) in labels {
            if !counts.by_label.contains_key(name) {
                counts.by_label.insert(name.to_owned(), (0, BTreeMap::new()));
                counts.bytes += (name.len() + ENTRY_BYTES) as u64;
            }
            let (bytes, values) = counts.by_label.get_mut(name).expect("inserted above");
            *bytes += value.len() as u64;
            counts.bytes += add(values, value, 1);
        }
    }
    hold.grow_to(selected_bytes + counts.bytes)?;
    counts.hold = Some(hold);
    Ok(counts)
}

/// Counts, and says how many bytes more the table takes.
fn add(counts: &mut BTreeMap<String, u64>, key: &str, n: u64) -> u64 {
    if let Some(count) = counts.get_mut(key) {
        *count += n;
        return 0;
    }
    counts.insert(key.to_owned(), n);
    (key.len() + ENTRY_BYTES) as u64
}

fn write_tsdb(out: &mut Chunks, counts: &SeriesCounts, limit: usize, run: &Run) -> Result<(), ApiError> {
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
    write_top(out, counts.by_name.iter().map(|(name, n)| (*n, name.as_str(), "")), limit, run)?;
    out.raw(",\"labelValueCountByLabelName\":");
    let labels = || counts.by_label.iter();
    write_top(out, labels().map(|(name, (_, values))| (values.len() as u64, name.as_str(), "")), limit, run)?;
    out.raw(",\"memoryInBytesByLabelName\":");
    write_top(out, labels().map(|(name, (bytes, _))| (*bytes, name.as_str(), "")), limit, run)?;
    out.raw(",\"seriesCountByLabelValuePair\":");
    let pairs =
        labels().flat_map(|(name, (_, values))| values.iter().map(move |(v, n)| (*n, name.as_str(), v.as_str())));
    write_top(out, pairs, limit, run)?;
    out.raw("}");
    Ok(())
}

/// The `limit` largest, as `[{"name":…,"value":…}]`; a name and a value of a label are joined by `=`. Holds no more than
/// those.
fn write_top<'a>(
    out: &mut Chunks,
    all: impl Iterator<Item = (u64, &'a str, &'a str)>,
    limit: usize,
    run: &Run,
) -> Result<(), ApiError> {
    // The least of those kept comes first, to be thrown out; of equal counts that is the last by name.
    let mut top = BinaryHeap::new();
    for (i, (n, name, value)) in all.enumerate() {
        if i % SERIES_PER_CHECK == 0 {
            run.cancel.check()?;
        }
        top.push((Reverse(n), name, value));
        if top.len() > limit {
            top.pop();
        }
    }
    out.list(top.into_sorted_vec(), |out, (Reverse(n), name, value)| {
        out.raw("{\"name\":");
        if value.is_empty() {
            out.string(name);
        } else {
            out.string(&format!("{name}={value}"));
        }
        out.raw(",\"value\":");
        out.integer(n);
        out.raw("}");
    });
    Ok(())
}
