//! One query, looked at from all sides: as it is read, as it is planned, and what it answers, by both evaluations of ours and
//! by a Prometheus if there is one.

use super::compare::compare;
use super::data::{Data, START_MS, loaded_data, storage};
use super::servers::{Asker, Prometheus, ours};
use super::{Question, seconds};
use crate::score::{Score, read};
use anyhow::{Context, bail};
use mytsdb_http_api::ApiOptions;
use mytsdb_promql::{Cancel, QueryOptions, explain};
use mytsdb_promql_syntax::{parse, parse_duration_ms, prettify};
use serde_json::Value;
use std::path::PathBuf;

pub const USAGE: &str = "usage: mytsdb-conformance try QUERY [--load FILE] [--at OFFSET | --range START:END:STEP] \
                         [--prometheus PATH]\n       \
                         offsets are durations behind the first sample; FILE has a `load STEP` line, then series, as \
                         `up{job=\"a\"} 1 0 _ 1+2x10`";

/// Series for whoever brings none: counters of two jobs, a gauge, a native histogram.
const SERIES: &str = "load 15s
    http_requests_total{job=\"api\", instance=\"a\", code=\"200\"} 0+30x80
    http_requests_total{job=\"api\", instance=\"b\", code=\"200\"} 0+45x40 0+45x39
    http_requests_total{job=\"api\", instance=\"b\", code=\"500\"} 0+1x80
    http_requests_total{job=\"web\", instance=\"c\", code=\"200\"} 0+10x80
    up{job=\"api\", instance=\"a\"} 1x80
    up{job=\"api\", instance=\"b\"} 1x38 0 0 1x40
    up{job=\"web\", instance=\"c\"} 1x80
    latency_seconds{job=\"api\"} {{schema:1 count:5 sum:9 buckets:[1 3 1]}}+{{schema:1 count:5 sum:9 buckets:[1 3 1]}}x80";

/// Rows of an answer that are printed.
const SHOWN_MAX: usize = 20;

struct Settings {
    query: String,
    load: Option<PathBuf>,
    at_ms: Option<i64>,
    /// Start, end and step.
    range_ms: Option<[i64; 3]>,
    prometheus: Option<PathBuf>,
}

/// Prints what is known about one query; a case for each pair of answers, which must be the same.
pub fn run(args: impl Iterator<Item = String>) -> anyhow::Result<Score> {
    let settings = settings(args)?;
    let block = settings.load.as_ref().map_or_else(|| Ok(SERIES.to_owned()), |path| read(path))?;
    let data = loaded_data(&block)?;
    let last_ms = data.values().filter_map(|points| points.last()).map(|point| point.0).max().unwrap_or(START_MS);
    let times = if let Some([start, end, step]) = settings.range_ms {
        (START_MS + start, START_MS + end, step)
    } else {
        let at = settings.at_ms.map_or(last_ms, |offset| START_MS + offset);
        (at, at, 0)
    };
    let expr = match parse(&settings.query) {
        Ok(expr) => expr,
        Err(error) => {
            println!("refused    {error}");
            return ask(&settings, &data, times);
        }
    };
    println!("read as    {expr}\ntype       {}", expr.value_type().as_str());
    println!("pretty\n{}", indented(&prettify(&expr)));
    match explain(&storage(&data)?, &expr, times, &QueryOptions::default(), &Cancel::new()) {
        Ok(plan) => println!("plan\n{}", indented(&plan.to_string())),
        Err(error) => println!("plan       {error}"),
    }
    ask(&settings, &data, times)
}

/// Asks everybody, prints the answers, and compares them with that of the plain evaluation.
fn ask(settings: &Settings, data: &Data, (start, end, step): (i64, i64, i64)) -> anyhow::Result<Score> {
    let query = settings.query.clone();
    let question = if step == 0 {
        Question::Instant { query, time: seconds(start) }
    } else {
        Question::Range { query, start: seconds(start), end: seconds(end), step: seconds(step) }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let evaluation = |optimise| {
        let mut options = ApiOptions::default();
        options.query.optimise = optimise;
        ours(&runtime, data, options)
    };
    let (endpoint, form) = question.request();
    let plain = evaluation(false)?.ask(endpoint, &form)?;
    show("plain evaluation", &plain);
    let mut score = Score::default();
    let mut verdict = |who: &str, asker: &Asker| -> anyhow::Result<()> {
        let answer = asker.ask(endpoint, &form)?;
        let difference = compare(&answer, &plain, question.promised());
        match &difference {
            None => println!("{who}: the same"),
            Some(difference) => {
                println!("{who}: other than the plain evaluation: {}", difference.kind);
                show(who, &answer);
            }
        }
        score.count(difference.is_none());
        Ok(())
    };
    verdict("planned evaluation", &evaluation(true)?)?;
    match &settings.prometheus {
        Some(program) => {
            let server = Prometheus::start(program, false)?;
            server.load(data)?;
            verdict("Prometheus", &server.asker())?;
        }
        None => println!("Prometheus: not there; `cargo xtask prometheus` builds one, with Go"),
    }
    Ok(score)
}

fn show(who: &str, answer: &Value) {
    if answer["status"] == "error" {
        println!(
            "{who}\n    {}: {}",
            answer["errorType"].as_str().unwrap_or(""),
            answer["error"].as_str().unwrap_or("")
        );
        return;
    }
    println!("{who}");
    let rows = answer["data"]["result"].as_array().map_or(&[][..], Vec::as_slice);
    // A scalar is a pair, not a list of rows.
    if rows.first().is_some_and(|row| !row.is_object()) {
        println!("    {}", answer["data"]["result"]);
    } else if rows.is_empty() {
        println!("    nothing");
    } else {
        for row in rows.iter().take(SHOWN_MAX) {
            let samples = ["value", "values", "histogram", "histograms"].map(|key| &row[key]);
            let samples: Vec<String> = samples.iter().filter(|s| !s.is_null()).map(ToString::to_string).collect();
            println!("    {}  {}", row["metric"], samples.join(" "));
        }
        if rows.len() > SHOWN_MAX {
            println!("    and {} more", rows.len() - SHOWN_MAX);
        }
    }
    for kind in ["warnings", "infos"] {
        for remark in answer[kind].as_array().into_iter().flatten() {
            println!("    {kind}: {}", remark.as_str().unwrap_or(""));
        }
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

fn settings(mut args: impl Iterator<Item = String>) -> anyhow::Result<Settings> {
    let query = args.next().context(USAGE)?;
    let mut settings = Settings { query, load: None, at_ms: None, range_ms: None, prometheus: None };
    let offset = |text: &str| match text {
        "0" => Ok(0),
        text => parse_duration_ms(text).map_err(|error| anyhow::anyhow!("{text:?}: {error}\n{USAGE}")),
    };
    while let Some(arg) = args.next() {
        let value = args.next().with_context(|| format!("{arg} needs a value\n{USAGE}"))?;
        match arg.as_str() {
            "--load" => settings.load = Some(PathBuf::from(value)),
            "--at" => settings.at_ms = Some(offset(&value)?),
            "--prometheus" => settings.prometheus = Some(PathBuf::from(value)),
            "--range" => {
                let parts = value.split(':').map(offset).collect::<anyhow::Result<Vec<_>>>()?;
                let range: [i64; 3] =
                    parts.try_into().map_err(|_| anyhow::anyhow!("{value}: no START:END:STEP\n{USAGE}"))?;
                if range[2] == 0 || range[1] < range[0] {
                    bail!("{value}: the step must be positive, and the end not before the start");
                }
                settings.range_ms = Some(range);
            }
            other => bail!("unknown argument {other:?}\n{USAGE}"),
        }
    }
    Ok(settings)
}
