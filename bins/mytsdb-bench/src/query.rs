//! Queries over HTTP against mytsdb and its peers on the same data; the answers are compared with Prometheus'.

use crate::query_data::Fleet;
use crate::target::Target;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Settings of one run.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// mytsdb
    #[arg(long, default_value = "target/release/mytsdb")]
    server: PathBuf,
    /// Prometheus; without it there is nobody to compare with
    #[arg(long)]
    prometheus: Option<PathBuf>,
    /// VictoriaMetrics
    #[arg(long)]
    victoria_metrics: Option<PathBuf>,
    /// Series
    #[arg(long, default_value_t = 10_000)]
    series: usize,
    /// Hours of data that end now
    #[arg(long, default_value_t = 24)]
    hours: i64,
    /// Seconds between samples
    #[arg(long, default_value_t = 15)]
    interval: i64,
    /// Counted runs of each query, after one that is not
    #[arg(long, default_value_t = 6)]
    runs: usize,
    /// Relative difference from Prometheus that an answer may have
    #[arg(long, default_value_t = 1e-9)]
    tolerance: f64,
}

/// A question, whether VictoriaMetrics means the same by it, and whether equal values may stand at other series.
struct Question {
    name: &'static str,
    query: &'static str,
    hours: i64,
    step_s: i64,
    same_in_victoria: bool,
    ties: bool,
}

const fn question(name: &'static str, query: &'static str, hours: i64, step_s: i64, same: bool) -> Question {
    Question { name, query, hours, step_s, same_in_victoria: same, ties: false }
}

const QUESTIONS: [Question; 11] = [
    question("sum by rate", "sum by (job) (rate(bench_requests_total[5m]))", 6, 60, false),
    question(
        "quantile of buckets",
        "histogram_quantile(0.99, sum by (le) (rate(bench_latency_bucket[5m])))",
        6,
        60,
        false,
    ),
    Question { ties: true, ..question("topk", "topk(10, bench_depth)", 6, 60, true) },
    // VictoriaMetrics keeps the metric name here.
    question("max over time", "max_over_time(bench_depth[1h])", 6, 60, false),
    question("sum of max over time", "sum(max_over_time(bench_depth[1h]))", 6, 60, true),
    question("many-to-one join", "bench_requests_total * on (instance) group_left (version) bench_info", 6, 60, true),
    question("avg by, 24 h", "avg by (route) (bench_depth)", 24, 60, true),
    question("quantile over time", "quantile(0.99, quantile_over_time(0.9, bench_depth[10m]))", 6, 60, true),
    question("one series, 24 h", "bench_depth{instance=\"10.0.0.7:8080\",route=\"/api/v1/resource3\"}", 24, 15, true),
    question("instant sum by rate", "sum by (job) (rate(bench_requests_total[5m]))", 0, 0, false),
    question("instant count of all", "count({__name__=~\"bench_.+\"})", 0, 0, true),
];

/// Loads all servers, asks all questions of each in turn, prints medians and ratios.
pub(crate) fn run(args: &QueryArgs) -> Result<()> {
    ensure!(args.hours >= 25 || args.hours > 0, "--hours must be positive");
    let mut targets = vec![Target::mytsdb(&args.server)?];
    if let Some(program) = &args.prometheus {
        targets.push(Target::prometheus(program)?);
    }
    if let Some(program) = &args.victoria_metrics {
        targets.push(Target::victoria_metrics(program)?);
    }
    let fleet = Fleet::new(args.series);
    let step_ms = args.interval * 1_000;
    let now_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as i64;
    let end_ms = now_ms / 60_000 * 60_000;
    let rounds = args.hours * 3_600_000 / step_ms;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    println!("{} series x {rounds} samples, {} s apart", fleet.series(), args.interval);
    runtime.block_on(async {
        for target in &targets {
            let channel = target.channel().await?;
            let begun = std::time::Instant::now();
            for round in 0..=rounds {
                let at_ms = end_ms - (rounds - round) * step_ms;
                target.store(fleet.requests(at_ms, round as usize), channel.as_ref()).await?;
            }
            println!("{:<12} loaded in {:.0} s", target.name, begun.elapsed().as_secs_f64());
        }
        Ok::<_, anyhow::Error>(())
    })?;
    // Background work of the load (flushes, merges) is not what is measured.
    std::thread::sleep(Duration::from_secs(20));
    ask_all(args, &mut targets, end_ms / 1_000)
}

fn ask_all(args: &QueryArgs, targets: &mut [Target], end_s: i64) -> Result<()> {
    let resting: Vec<u64> = targets.iter().map(|t| Ok(t.process.usage()?.1)).collect::<Result<_>>()?;
    for target in targets.iter() {
        target.process.reset_peak()?;
    }
    let mut header = vec![format!("{:<22}", "median ms")];
    let mut columns: Vec<(usize, bool)> = Vec::new();
    for (index, target) in targets.iter().enumerate() {
        for cached in if target.name == "victoria" { &[true, false][..] } else { &[true] } {
            columns.push((index, *cached));
            let note = if *cached { "" } else { " nocache" };
            header.push(format!("{:>14}", format!("{}{note}", target.name)));
        }
    }
    println!("{}   (ratio to mytsdb)", header.join(" "));
    let mut ratios: Vec<Vec<f64>> = vec![Vec::new(); columns.len()];
    let mut wrong = 0;
    for question in &QUESTIONS {
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); columns.len()];
        let mut answers: BTreeMap<usize, Vec<u8>> = BTreeMap::new();
        for run in 0..=args.runs {
            for (column, (index, cached)) in columns.iter().enumerate() {
                let target = &mut targets[*index];
                target.set_parameter("nocache", (!cached).then_some("1"));
                let (body, took) = put(target, question, end_s)?;
                answers.insert(*index, body);
                if run > 0 {
                    times[column].push(took.as_secs_f64() * 1e3);
                }
            }
        }
        let medians: Vec<f64> = times.iter_mut().map(|t| median(t)).collect();
        let mut row = vec![format!("{:<22}", question.name)];
        for (column, ms) in medians.iter().enumerate() {
            let ratio = ms / medians[0];
            ratios[column].push(ratio);
            let shown = if column == 0 { String::new() } else { format!("{ratio:.1}x") };
            row.push(format!("{ms:>8.2} {shown:>5}"));
        }
        if let Some(reference) = targets.iter().position(|t| t.name == "prometheus") {
            for (index, answer) in &answers {
                let comparable = *index == 0 || (targets[*index].name == "victoria" && question.same_in_victoria);
                if comparable && let Err(difference) = compare(question, answer, &answers[&reference], args.tolerance) {
                    row.push(format!("  {} DIFFERS: {difference}", targets[*index].name));
                    wrong += usize::from(*index == 0);
                }
            }
        }
        println!("{}", row.join(" "));
    }
    let mut row = vec![format!("{:<22} {:>14}", "median ratio", "")];
    for ratios in ratios.iter_mut().skip(1) {
        row.push(format!("{:>14}", format!("{:.1}x", median(ratios))));
    }
    println!("{}", row.join(" "));
    for (target, resting) in targets.iter().zip(resting) {
        let extra = target.process.peak_bytes()?.saturating_sub(resting);
        println!("{:<12} RSS {:>6} MB at rest, {:>6} MB more while asked", target.name, resting >> 20, extra >> 20);
    }
    if wrong > 0 {
        bail!("{wrong} answers differ from Prometheus'");
    }
    Ok(())
}

fn put(target: &Target, question: &Question, end_s: i64) -> Result<(Vec<u8>, Duration)> {
    let mut parameters = vec![("query", question.query.to_owned())];
    if question.step_s == 0 {
        parameters.push(("time", end_s.to_string()));
        return target.ask("/api/v1/query", &parameters);
    }
    parameters.push(("start", (end_s - question.hours * 3_600).to_string()));
    parameters.push(("end", end_s.to_string()));
    parameters.push(("step", question.step_s.to_string()));
    target.ask("/api/v1/query_range", &parameters)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Labels (as text) to points.
type Answer = BTreeMap<String, Vec<(f64, f64)>>;

fn read(body: &[u8]) -> Result<Answer> {
    let mut answer: Value = serde_json::from_slice(body)?;
    ensure!(answer["status"] == "success", "{answer}");
    let result = answer["data"]["result"].take();
    let mut series = Answer::new();
    for item in result.as_array().context("a list of series")? {
        let points = match (&item["values"], &item["value"]) {
            (Value::Array(points), _) => points.iter().map(point).collect::<Result<Vec<_>>>()?,
            (_, value) => vec![point(value)?],
        };
        series.insert(item["metric"].to_string(), points);
    }
    Ok(series)
}

fn point(pair: &Value) -> Result<(f64, f64)> {
    let value = pair[1].as_str().context("a value")?;
    let value = match value {
        "+Inf" => f64::INFINITY,
        "-Inf" => f64::NEG_INFINITY,
        "NaN" => f64::NAN,
        other => other.parse()?,
    };
    Ok((pair[0].as_f64().context("a time")?, value))
}

/// The values of each time, sorted, without the series they belong to: of equal values any may be among the ten best.
fn by_time(answer: &Answer) -> Answer {
    let mut times: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for &(time, value) in answer.values().flatten() {
        times.entry((time * 1e3) as u64).or_default().push(value);
    }
    let rows = times.into_iter().map(|(time, mut values)| {
        values.sort_unstable_by(f64::total_cmp);
        (time.to_string(), values.into_iter().map(|value| (0.0, value)).collect())
    });
    rows.collect()
}

fn compare(question: &Question, ours: &[u8], theirs: &[u8], tolerance: f64) -> Result<()> {
    let (mut ours, mut theirs) = (read(ours)?, read(theirs)?);
    if question.ties {
        (ours, theirs) = (by_time(&ours), by_time(&theirs));
    }
    ensure!(!theirs.is_empty(), "nothing to compare with");
    ensure!(ours.len() == theirs.len(), "{} series, not {}", ours.len(), theirs.len());
    for (labels, expected) in &theirs {
        let found = ours.get(labels).with_context(|| format!("{labels} is missing"))?;
        ensure!(found.len() == expected.len(), "{labels}: {} points, not {}", found.len(), expected.len());
        for (&(t, v), &(time, value)) in found.iter().zip(expected) {
            let close = v == value
                || (v.is_nan() && value.is_nan())
                || (v - value).abs() <= tolerance * v.abs().max(value.abs());
            ensure!(t == time && close, "{labels}: {v} at {t}, not {value} at {time}");
        }
    }
    Ok(())
}
