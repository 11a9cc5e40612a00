//! An instant query over every series of a large head.

use crate::process::default_server;
use crate::target::Target;
use crate::template::{Template, attribute, marked_point, request};
use anyhow::{Context, Result, ensure};
use clap::Args;
use opentelemetry_proto::tonic::metrics::v1::{Sum, metric::Data};
use serde_json::Value;
use std::ops::Range;
use std::path::PathBuf;
use std::time::SystemTime;

/// Settings of one run.
#[derive(Debug, Args)]
pub(crate) struct InstantArgs {
    /// mytsdb
    #[arg(long, default_value_os_t = default_server())]
    server: PathBuf,
    /// Series of the metric
    #[arg(long, default_value_t = 1_000_000)]
    series: usize,
    /// Samples of each series, which are all in the head
    #[arg(long, default_value_t = 50)]
    rounds: usize,
    /// Seconds between samples
    #[arg(long, default_value_t = 15)]
    interval: i64,
    /// Counted runs, after one that is not
    #[arg(long, default_value_t = 11)]
    runs: usize,
}

const GROUPS: usize = 20;
const POINTS_PER_REQUEST: usize = 5_000;
const CUMULATIVE: i32 = 2;

/// Growth of a series from one sample to the next.
fn growth(series: usize) -> usize {
    series % 97 + 1
}

fn template(series: Range<usize>) -> Template {
    let count = series.len();
    let points = series.map(|series| {
        marked_point(vec![
            attribute("l", format!("group-{}", series % GROUPS)),
            attribute("instance", format!("10.{}.{}.{}:8080", series >> 16, series >> 8 & 255, series & 255)),
            attribute("zone", format!("eu-west-{}", series % 3)),
        ])
    });
    let sum = Sum { data_points: points.collect(), aggregation_temporality: CUMULATIVE, is_monotonic: true };
    Template::new(&request("bench_events", Data::Sum(sum)), count, count)
}

/// Loads the head and asks for a rate summed by a label, over every series.
pub(crate) fn run(args: &InstantArgs) -> Result<()> {
    let range_s = 300;
    ensure!(args.rounds as i64 * args.interval > range_s, "the samples must cover 5 minutes: more --rounds");
    let target = Target::mytsdb(&args.server)?;
    let firsts = (0..args.series).step_by(POINTS_PER_REQUEST);
    let templates: Vec<(Range<usize>, Template)> = firsts
        .map(|first| first..args.series.min(first + POINTS_PER_REQUEST))
        .map(|series| (series.clone(), template(series)))
        .collect();
    let end_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as i64;
    let step_ms = args.interval * 1_000;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let channel = target.channel().await?;
        for round in 0..args.rounds {
            let at_ms = end_ms - (args.rounds - 1 - round) as i64 * step_ms;
            // A few requests at a time, because requests in flight are held in memory.
            for some in templates.chunks(8) {
                let values = |series: &Range<usize>| series.clone().map(|s| ((round * growth(s)) as f64).to_bits());
                let requests = some.iter().map(|(series, t)| t.fill(at_ms, values(series))).collect();
                target.store(requests, channel.as_ref()).await?;
            }
        }
        Ok::<_, anyhow::Error>(())
    })?;
    let query = "sum by (l) (rate(bench_events_total[5m]))";
    let parameters = [("query", query.to_owned()), ("time", format!("{}.{:03}", end_ms / 1_000, end_ms % 1_000))];
    let (mut times_ms, mut body, mut cpu_s) = (Vec::new(), Vec::new(), 0.0);
    for run in 0..=args.runs {
        let took = target.ask("/api/v1/query", &parameters, &mut body)?;
        check(args, &body)?;
        let took_ms = took.as_secs_f64() * 1e3;
        println!("{} {took_ms:.1} ms", if run == 0 { "first" } else { "run  " });
        times_ms.extend((run > 0).then_some(took_ms));
        if run == 0 {
            cpu_s = target.usage()?.0;
        }
    }
    times_ms.sort_by(f64::total_cmp);
    let (cpu_after_s, rss) = target.usage()?;
    println!(
        "{query}: {} series, median {:.1} ms, server CPU {:.1} ms a query, memory {:.0} MB",
        args.series,
        times_ms[times_ms.len() / 2],
        (cpu_after_s - cpu_s) * 1e3 / args.runs as f64,
        rss as f64 / 1e6
    );
    Ok(())
}

/// Every group's rate is that of its series: each grows evenly, so extrapolation changes nothing.
fn check(args: &InstantArgs, body: &[u8]) -> Result<()> {
    let answer: Value = serde_json::from_slice(body)?;
    let rows = answer["data"]["result"].as_array().context("no result")?;
    ensure!(rows.len() == GROUPS.min(args.series), "{} groups instead of {GROUPS}", rows.len());
    for row in rows {
        let group = row["metric"]["l"].as_str().and_then(|l| l.strip_prefix("group-")).context("no group")?;
        let got: f64 = row["value"][1].as_str().context("no value")?.parse()?;
        let series = (group.parse::<usize>()?..args.series).step_by(GROUPS);
        let expected = series.map(|s| growth(s) as f64).sum::<f64>() / args.interval as f64;
        ensure!((got - expected).abs() <= 1e-9 * expected, "group {group}: {got} instead of {expected}");
    }
    Ok(())
}
