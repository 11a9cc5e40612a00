//! Ingest: OTLP/gRPC points a second, acknowledged, into a server on the same machine.

use crate::load::{self, Load};
use crate::process::{Folder, Process, default_server, free_address, mytsdb_arguments};
use crate::raw_codec::RawCodec;
use crate::target::EXPORT;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tonic::transport::Channel;

/// Time between two rounds of samples, as a scrape would have it.
const STEP_MS: i64 = 15_000;

/// Settings of one run.
#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// Server to start
    #[arg(long, default_value_os_t = default_server())]
    server: PathBuf,
    /// Series
    #[arg(long, default_value_t = 100_000)]
    series: usize,
    /// Samples of each series
    #[arg(long, default_value_t = 60)]
    rounds: usize,
    /// Points in a request
    #[arg(long, default_value_t = 1_000)]
    points_per_request: usize,
    /// Connections
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Requests in flight on each connection
    #[arg(long, default_value_t = 8)]
    in_flight: usize,
    /// The server's durability
    #[arg(long, default_value = "fsync")]
    durability: String,
    /// Points say since when they count, as those of an SDK's counters do
    #[arg(long)]
    started: bool,
    /// Folder for the server's data; a fresh one under the system's temporary folder if not given
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

/// The server under test.
struct Server {
    process: Process,
    http: String,
    grpc: String,
}

impl Server {
    fn start(args: &IngestArgs, data_dir: &Path) -> Result<Self> {
        let (http, grpc) = (free_address()?, free_address()?);
        let arguments = mytsdb_arguments(data_dir, &http, &grpc, &args.durability, 0);
        let process = Process::start(&args.server, &arguments, &format!("http://{http}/-/ready"))?;
        Ok(Self { process, http, grpc })
    }
}

/// Runs the load, prints the figures, asserts that every point is stored.
pub(crate) fn run(args: &IngestArgs) -> Result<()> {
    ensure!(args.series.is_multiple_of(args.points_per_request), "--series must be a multiple of --points-per-request");
    let folder = Folder::new("ingest")?;
    let server = Server::start(args, args.data_dir.as_deref().unwrap_or(folder.path()))?;
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(drive(args, &server))
}

async fn drive(args: &IngestArgs, server: &Server) -> Result<()> {
    let mut channels = Vec::new();
    for _ in 0..args.connections {
        let endpoint = Channel::from_shared(format!("http://{}", server.grpc))?
            .tcp_nodelay(true)
            .initial_stream_window_size(8 << 20)
            .initial_connection_window_size(32 << 20);
        channels.push(endpoint.connect().await?);
    }
    let requests = args.series / args.points_per_request;
    let mut templates: Vec<Load> =
        (0..requests).map(|r| Load::new(r * args.points_per_request, args.points_per_request, args.started)).collect();
    let request_bytes = templates[0].len();
    let end_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as i64;
    let start_ms = end_ms - STEP_MS * args.rounds as i64;

    let mut latencies: Vec<Duration> = Vec::new();
    let mut rates: Vec<f64> = Vec::new();
    let mut first_round = Duration::ZERO;
    let (mut cpu_from, started) = (0.0, Instant::now());
    for round in 0..args.rounds {
        let at_ms = start_ms + STEP_MS * round as i64;
        let messages: Arc<Vec<bytes::Bytes>> = Arc::new(templates.iter_mut().map(|t| t.fill(at_ms, round)).collect());
        let begun = Instant::now();
        latencies.extend(send_round(args, &channels, &messages).await?);
        let took = begun.elapsed();
        if round == 0 {
            first_round = took;
            cpu_from = server.process.usage()?.0;
        } else {
            rates.push(args.series as f64 / took.as_secs_f64());
        }
    }
    let elapsed = started.elapsed();
    let (cpu_to, rss) = server.process.usage()?;
    check(args, server, start_ms)?;

    latencies.sort_unstable();
    rates.sort_unstable_by(f64::total_cmp);
    ensure!(!rates.is_empty(), "--rounds must be at least 2");
    let steady_points = (args.rounds - 1) * args.series;
    println!(
        "OTLP/gRPC, {} series x {} rounds, {} points a request ({} B a point), {} connections x {} in flight, durability {}",
        args.series,
        args.rounds,
        args.points_per_request,
        request_bytes / args.points_per_request,
        args.connections,
        args.in_flight,
        args.durability,
    );
    println!("new series        {:>12.0} points/s (first round)", args.series as f64 / first_round.as_secs_f64());
    println!("steady, median    {:>12.0} points/s (of {} rounds)", rates[rates.len() / 2], rates.len());
    println!(
        "steady, whole run {:>12.0} points/s (client's own work included)",
        steady_points as f64 / elapsed.saturating_sub(first_round).as_secs_f64()
    );
    println!("server CPU        {:>12.3} us a point", (cpu_to - cpu_from) * 1e6 / steady_points as f64);
    println!("server RSS        {:>12.2} KB a series", rss as f64 / 1024.0 / args.series as f64);
    println!(
        "ack p50 / p99     {:>12.1} / {:.1} ms",
        millis(latencies[latencies.len() / 2]),
        millis(latencies[latencies.len() * 99 / 100])
    );
    Ok(())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Sends every message once, over all connections, and returns how long each acknowledgement took.
async fn send_round(
    args: &IngestArgs,
    channels: &[Channel],
    messages: &Arc<Vec<bytes::Bytes>>,
) -> Result<Vec<Duration>> {
    let next = Arc::new(AtomicUsize::new(0));
    let mut workers = Vec::new();
    for worker in 0..args.connections * args.in_flight {
        let channel = channels[worker % channels.len()].clone();
        let (messages, next) = (messages.clone(), next.clone());
        workers.push(tokio::spawn(async move {
            let mut client = tonic::client::Grpc::new(channel);
            let mut latencies = Vec::new();
            loop {
                // Relaxed: the counter only hands out indexes.
                let Some(message) = messages.get(next.fetch_add(1, Ordering::Relaxed)) else {
                    return Ok::<_, anyhow::Error>(latencies);
                };
                let begun = Instant::now();
                client.ready().await?;
                let path = http::uri::PathAndQuery::from_static(EXPORT);
                let answer = client.unary(tonic::Request::new(message.clone()), path, RawCodec).await?;
                if !answer.get_ref().is_empty() {
                    bail!("points were refused: {:?}", answer.into_inner());
                }
                latencies.push(begun.elapsed());
            }
        }));
    }
    let mut latencies = Vec::new();
    for worker in workers {
        latencies.extend(worker.await??);
    }
    Ok(latencies)
}

/// Asks for the number of stored samples, and for one series in full.
fn check(args: &IngestArgs, server: &Server, start_ms: i64) -> Result<()> {
    let end_ms = start_ms + STEP_MS * (args.rounds as i64 - 1);
    let range_s = (end_ms - start_ms) / 1_000 + 1;
    let ask = |query: &str| -> Result<serde_json::Value> {
        let mut answer = ureq::get(format!("http://{}/api/v1/query", server.http))
            .query("query", query)
            .query("time", format!("{}", end_ms as f64 / 1e3))
            .call()
            .with_context(|| query.to_owned())?;
        Ok(answer.body_mut().read_json::<serde_json::Value>()?["data"]["result"].take())
    };
    // A group of series at a time, so that a large run stays below the query's sample limit.
    let mut stored = 0.0;
    for metric in 0..50 {
        let query = format!("sum(count_over_time(bench_queue_depth_m{metric}[{range_s}s]))");
        if let Some(value) = ask(&query)?[0]["value"][1].as_str() {
            stored += value.parse::<f64>()?;
        }
    }
    let expected = (args.series * args.rounds) as f64;
    ensure!(stored == expected, "{stored} samples stored, {expected} acknowledged");
    let series = args.series / 2;
    let answer = ask(&format!("{{__name__=~\"bench_.*\",series=\"{series}\"}}[{range_s}s]"))?;
    let values = answer[0]["values"].as_array().context("one series in full")?;
    ensure!(values.len() == args.rounds, "series {series} has {} samples, not {}", values.len(), args.rounds);
    for (round, sample) in values.iter().enumerate() {
        let value: f64 = sample[1].as_str().context("a value")?.parse()?;
        ensure!(value == load::value(series, round), "series {series}, round {round}: {value}");
    }
    println!("checked           {stored:>12.0} samples stored, as acknowledged");
    Ok(())
}
