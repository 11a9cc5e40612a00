//! Range queries whose answers a real Prometheus gave: loaded through the engine, asked over HTTP.

use crate::score::{Options, Score, read_gzip};
use anyhow::{Context, bail, ensure};
use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock};
use mytsdb_http_api::{Api, ApiOptions};
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_promql_testkit::parse_series_description;
use mytsdb_query::EngineStorage;
use mytsdb_telemetry::Registry;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Relative difference that the suite allows.
const TOLERANCE: f64 = 1e-5;

/// Samples appended at once.
const BATCH_SAMPLES: usize = 10_000;

/// Loads `data.om.txt.gz`, asks every query of `golden.json.gz`, compares.
pub fn run(dir: &Path, options: &Options) -> anyhow::Result<Score> {
    let golden: Value = serde_json::from_str(&read_gzip(&dir.join("golden.json.gz"))?)?;
    let data = read_gzip(&dir.join("data.om.txt.gz"))?;
    let engine = Arc::new(load(&data)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let address = serve(&runtime, engine)?;
    let times: Vec<f64> = ["start", "end", "step"].iter().filter_map(|key| golden[*key].as_f64()).collect();
    let [start, end, step] = times[..] else { bail!("golden.json.gz names no start, end and step") };
    let mut file = Score::default();
    for case in golden["cases"].as_array().context("cases")? {
        let query = case["query"].as_str().context("a query")?;
        if query.contains(&options.filter) {
            let outcome = ask(address, query, (start, end, step)).and_then(|answer| compare(case, &answer));
            file.check(options, query, &outcome.map_err(|e| format!("{e:#}")));
        }
    }
    let mut score = Score::default();
    score.file("golden.json.gz", file);
    Ok(score)
}

/// An engine on a disk in memory that holds the data.
fn load(data: &str) -> anyhow::Result<Engine> {
    let newest = data.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).fold(0.0, f64::max);
    let clock = Arc::new(ManualClock::new((newest * 1e3) as i64));
    let disk = Arc::new(mytsdb_io::SimDisk::new());
    let (engine, _) = Engine::open(disk, clock, EngineOptions::new("/data"), &Registry::new())?;
    let mut batch = Batch::default();
    let mut series: (&str, Option<SeriesRef>) = ("", None);
    for line in data.lines().filter(|line| !line.starts_with('#')) {
        let mut parts = line.rsplitn(3, ' ');
        let (Some(time), Some(value), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
            bail!("not a sample: {line}");
        };
        if series.0 != name {
            let labels: Labels =
                parse_series_description(&format!("{name} 1")).map_err(|e| anyhow::anyhow!("{e}"))?.labels;
            series = (name, Some(engine.resolve(&labels)?));
        }
        let reference = series.1.context("a series was named")?;
        batch.push(reference, (time.parse::<f64>()? * 1e3).round() as i64, value.parse()?);
        if batch.len() >= BATCH_SAMPLES {
            append(&engine, std::mem::take(&mut batch))?;
        }
    }
    append(&engine, batch)?;
    Ok(engine)
}

fn append(engine: &Engine, batch: Batch) -> anyhow::Result<()> {
    let outcome = engine.append(batch)?;
    ensure!(outcome.refused.is_empty(), "samples were refused: {:?}", outcome.refused.first());
    engine.maintain()?;
    Ok(())
}

fn serve(runtime: &tokio::runtime::Runtime, engine: Arc<Engine>) -> anyhow::Result<SocketAddr> {
    let storage = Arc::new(EngineStorage::new(engine));
    let ready = Arc::new(AtomicBool::new(true));
    let api = Api::new(storage, Vec::new(), Registry::new(), ready, ApiOptions::default())?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    runtime.spawn(mytsdb_http_api::serve(listener, api, std::future::pending()));
    Ok(address)
}

fn ask(address: SocketAddr, query: &str, (start, end, step): (f64, f64, f64)) -> anyhow::Result<Value> {
    let config = ureq::Agent::config_builder().http_status_as_error(false).build();
    let mut response = ureq::Agent::new_with_config(config)
        .get(format!("http://{address}/api/v1/query_range"))
        .query("query", query)
        .query("start", start.to_string())
        .query("end", end.to_string())
        .query("step", step.to_string())
        .call()?;
    Ok(response.body_mut().with_config().limit(1 << 30).read_json()?)
}

/// Labels as text to points.
type Series = BTreeMap<String, Vec<(f64, f64)>>;

fn compare(case: &Value, answer: &Value) -> anyhow::Result<()> {
    let failed = answer["status"] != "success";
    if case["should_fail"] == true {
        ensure!(failed, "should fail and does not");
        return Ok(());
    }
    ensure!(!failed, "{}", answer["error"]);
    let mut expected = Series::new();
    for pair in case["series"].as_array().context("series")? {
        expected.insert(pair[0].to_string(), points(&pair[1])?);
    }
    let mut found = Series::new();
    for series in answer["data"]["result"].as_array().context("a matrix")? {
        found.insert(series["metric"].to_string(), points(&series["values"])?);
    }
    ensure!(found.keys().eq(expected.keys()), "series {:?}, not {:?}", found.keys(), expected.keys());
    for (labels, expected) in &expected {
        let found = &found[labels];
        ensure!(found.len() == expected.len(), "{labels}: {} points, not {}", found.len(), expected.len());
        for (&(t, v), &(time, value)) in found.iter().zip(expected) {
            let near = (v - value).abs() <= TOLERANCE * v.abs().min(value.abs());
            let same = v == value || (v.is_nan() && value.is_nan()) || near;
            ensure!(t == time && same, "{labels}: {v} at {t}, not {value} at {time}");
        }
    }
    Ok(())
}

fn points(list: &Value) -> anyhow::Result<Vec<(f64, f64)>> {
    let list = list.as_array().context("a list of points")?;
    list.iter()
        .map(|point| {
            let text = point[1].as_str().context("a value")?;
            let value = match text {
                "+Inf" => f64::INFINITY,
                "-Inf" => f64::NEG_INFINITY,
                other => other.parse()?,
            };
            Ok((point[0].as_f64().context("a time")?, value))
        })
        .collect()
}
