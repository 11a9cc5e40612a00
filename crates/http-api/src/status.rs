//! `status/…`: what runs here, how it is set up, and how many series it holds.

use crate::answer::{Answer, Outcome};
use crate::asked::Asked;
use crate::encoding::Encoding;
use crate::error::ApiError;
use crate::job::Run;
use crate::json::Chunks;
use crate::options::ApiOptions;
use crate::queries::Queries;
use crate::time::{format_rfc3339, now_ms};
use axum::body::Body;
use axum::extract::State;
use http::Response;
use mytsdb_model::TimeRange;
use mytsdb_promql::{LabelStorage, MemoryHold, SelectHints};
use mytsdb_telemetry::Registry;
use serde::Serialize;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;

/// The Prometheus release whose API this is; clients choose features by it.
const API_VERSION: &str = "3.16.0";
/// How far back `status/tsdb` looks for series.
const TSDB_WINDOW_MS: i64 = 3_600_000;
/// Series between two looks at the clock.
const SERIES_PER_CHECK: usize = 1024;

/// What does not change while the server runs, and where corruptions are counted.
pub(crate) struct Facts {
    started_ms: i64,
    flags: BTreeMap<String, String>,
    config_yaml: String,
    retention: String,
    revision: String,
    registry: Registry,
}

impl Facts {
    pub(crate) fn new(options: &ApiOptions, registry: Registry) -> Self {
        Self {
            started_ms: now_ms(),
            flags: options.flags.clone(),
            config_yaml: options.config_yaml.clone(),
            retention: options.retention.clone(),
            revision: options.revision.clone(),
            registry,
        }
    }

    // No `features`: clients take a server that lists any for another product.
    fn build_info(&self) -> BuildInfo<'_> {
        BuildInfo {
            version: API_VERSION,
            revision: &self.revision,
            branch: concat!("mytsdb-", env!("CARGO_PKG_VERSION")),
            build_user: "",
            build_date: "",
            go_version: "",
        }
    }

    fn runtime_info(&self) -> RuntimeInfo<'_> {
        let started = format_rfc3339(self.started_ms);
        RuntimeInfo {
            start_time: started.clone(),
            cwd: std::env::current_dir().map_or_else(|_| String::new(), |dir| dir.display().to_string()),
            server_time: format_rfc3339(now_ms()),
            reload_config_success: true,
            last_config_time: started,
            corruption_count: self.corruption_count(),
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            storage_retention: &self.retention,
        }
    }

    fn corruption_count(&self) -> u64 {
        let families = self.registry.gather();
        let corruptions = families.iter().filter(|f| f.name == "mytsdb_corruptions_total");
        corruptions.flat_map(|f| &f.samples).map(|s| s.value).sum::<f64>() as u64
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BuildInfo<'a> {
    version: &'static str,
    revision: &'a str,
    branch: &'static str,
    build_user: &'static str,
    build_date: &'static str,
    go_version: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeInfo<'a> {
    start_time: String,
    #[serde(rename = "CWD")]
    cwd: String,
    server_time: String,
    reload_config_success: bool,
    last_config_time: String,
    corruption_count: u64,
    #[serde(rename = "GOMAXPROCS")]
    threads: usize,
    storage_retention: &'a str,
}

#[derive(Serialize)]
struct WalReplay {
    min: u64,
    max: u64,
    current: u64,
}

#[derive(Serialize)]
struct Config<'a> {
    yaml: &'a str,
}

pub(crate) async fn build_info(State(facts): State<Arc<Facts>>, encoding: Encoding) -> Answer {
    Answer::data(encoding, &facts.build_info())
}

/// `/version`: the same without an envelope.
pub(crate) async fn version(State(facts): State<Arc<Facts>>) -> Answer {
    let mut out = Chunks::new();
    out.data(&facts.build_info());
    Answer::success(Encoding::Identity, out.finish())
}

/// The log was replayed before anybody could ask.
pub(crate) async fn wal_replay(encoding: Encoding) -> Answer {
    Answer::data(encoding, &WalReplay { min: 0, max: 0, current: 0 })
}

pub(crate) async fn runtime_info(State(facts): State<Arc<Facts>>, encoding: Encoding) -> Answer {
    Answer::data(encoding, &facts.runtime_info())
}

pub(crate) async fn flags(State(facts): State<Arc<Facts>>, encoding: Encoding) -> Answer {
    Answer::data(encoding, &facts.flags)
}

pub(crate) async fn config(State(facts): State<Arc<Facts>>, encoding: Encoding) -> Answer {
    Answer::data(encoding, &Config { yaml: &facts.config_yaml })
}

/// Counts over the series of the last hour. Costs a look at each of them.
pub(crate) async fn tsdb(State(queries): State<Arc<Queries>>, asked: Asked) -> Result<Response<Body>, ApiError> {
    const LIMIT_DEFAULT: usize = 10;
    const LIMIT_MAX: i64 = 10_000;
    let limit = match asked.params.integer("limit") {
        Ok(None) => LIMIT_DEFAULT,
        Ok(Some(limit @ 1..=LIMIT_MAX)) => limit as usize,
        Ok(Some(limit)) if limit > LIMIT_MAX => {
            return Err(ApiError::bad_data(format!("limit must not exceed {LIMIT_MAX}")));
        }
        Ok(Some(_)) | Err(_) => return Err(ApiError::bad_data("limit must be a positive number")),
    };
    let (storage, options) = (Arc::clone(&queries.storage), queries.options.clone());
    let work = move |run: &Run, out: &mut Chunks| {
        let counts = count_series(&*storage, run, MemoryHold::new(&options))?;
        out.data(&TsdbStatus::new(&counts, limit, run)?);
        Ok(Outcome::data())
    };
    Ok(queries.lookup(asked.encoding, work).await)
}

struct SeriesCounts {
    series: u64,
    by_name: BTreeMap<String, u64>,
    /// For each label name: bytes of its values, and its values with the number of series of each.
    by_label: BTreeMap<String, (u64, BTreeMap<String, u64>)>,
    range: TimeRange,
    /// What all this takes, about; the hold has it while the counts live.
    bytes: u64,
    hold: MemoryHold,
}

/// What an entry takes beside its text, about.
const ENTRY_BYTES: usize = 64;

fn count_series(storage: &dyn LabelStorage, run: &Run, hold: MemoryHold) -> Result<SeriesCounts, ApiError> {
    let now = now_ms();
    let range = TimeRange::new(now - TSDB_WINDOW_MS, now);
    let hints = SelectHints { stored: true, ..SelectHints::new(range, &run.cancel) };
    let set = storage.select(&hints, &[]).map_err(|error| run.failure(error))?;
    let selected_bytes = set.len() as u64 * 16;
    let mut counts = SeriesCounts {
        series: set.len() as u64,
        by_name: BTreeMap::new(),
        by_label: BTreeMap::new(),
        range,
        bytes: 0,
        hold,
    };
    for index in 0..set.len() {
        if index % SERIES_PER_CHECK == 0 {
            run.cancel.check()?;
            counts.hold.grow_to(selected_bytes + counts.bytes)?;
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
    counts.hold.grow_to(selected_bytes + counts.bytes)?;
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

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TsdbStatus<'a> {
    head_stats: HeadStats,
    series_count_by_metric_name: Vec<Count<'a>>,
    label_value_count_by_label_name: Vec<Count<'a>>,
    memory_in_bytes_by_label_name: Vec<Count<'a>>,
    series_count_by_label_value_pair: Vec<Count<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeadStats {
    num_series: u64,
    num_label_pairs: u64,
    min_time: i64,
    max_time: i64,
}

#[derive(Serialize)]
struct Count<'a> {
    name: Cow<'a, str>,
    value: u64,
}

impl<'a> TsdbStatus<'a> {
    fn new(counts: &'a SeriesCounts, limit: usize, run: &Run) -> Result<Self, ApiError> {
        let labels = || counts.by_label.iter();
        let values = |(name, (_, values)): (&'a String, &'a (u64, BTreeMap<String, u64>))| {
            values.iter().map(move |(value, n)| (*n, name.as_str(), value.as_str()))
        };
        Ok(Self {
            head_stats: HeadStats {
                num_series: counts.series,
                num_label_pairs: labels().map(|(_, (_, values))| values.len() as u64).sum(),
                min_time: counts.range.mint,
                max_time: counts.range.maxt,
            },
            series_count_by_metric_name: top(
                counts.by_name.iter().map(|(name, n)| (*n, name.as_str(), "")),
                limit,
                run,
            )?,
            label_value_count_by_label_name: top(
                labels().map(|(name, (_, values))| (values.len() as u64, name.as_str(), "")),
                limit,
                run,
            )?,
            memory_in_bytes_by_label_name: top(
                labels().map(|(name, (bytes, _))| (*bytes, name.as_str(), "")),
                limit,
                run,
            )?,
            series_count_by_label_value_pair: top(labels().flat_map(values), limit, run)?,
        })
    }
}

/// The `limit` largest; a name and a value of a label are joined by `=`. Holds no more than those.
fn top<'a>(
    all: impl Iterator<Item = (u64, &'a str, &'a str)>,
    limit: usize,
    run: &Run,
) -> Result<Vec<Count<'a>>, ApiError> {
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
    let count = |(Reverse(value), name, of): (Reverse<u64>, &'a str, &str)| {
        let name = if of.is_empty() { Cow::Borrowed(name) } else { Cow::Owned(format!("{name}={of}")) };
        Count { name, value }
    };
    Ok(top.into_sorted_vec().into_iter().map(count).collect())
}
