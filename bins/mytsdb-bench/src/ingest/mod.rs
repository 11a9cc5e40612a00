//! Ingest: OTLP points a second, acknowledged, into a server on the same machine.

mod check;
mod figures;
mod senders;
mod simulate;
mod soak;

use crate::k8s::Protocol;
use crate::load::Load;
use crate::report_file;
use crate::subject::Subject;
use crate::target::Target;
use anyhow::{Result, ensure};
use check::Rounds;
use clap::Args;
use figures::Figures;
use senders::Senders;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

pub(crate) use soak::{SoakArgs, run as run_soak};

/// Time between two rounds of samples, as a scrape would have it.
const STEP_MS: i64 = 15_000;
/// From the last round to now: some servers show nothing younger.
const AGE_MS: i64 = 60_000;

/// What is sent, and over how many connections.
#[derive(Debug, Args)]
struct LoadArgs {
    /// Series
    #[arg(long, default_value_t = 100_000)]
    series: usize,
    /// Points in a request
    #[arg(long, default_value_t = 1_000)]
    points_per_request: usize,
    /// Connections
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// Requests in flight on each connection; over HTTP so many times the connections
    #[arg(long, default_value_t = 8)]
    in_flight: usize,
}

impl LoadArgs {
    fn check(&self) -> Result<()> {
        ensure!(
            self.points_per_request > 0 && self.series.is_multiple_of(self.points_per_request) && self.series > 0,
            "--series must be a positive multiple of --points-per-request"
        );
        ensure!(self.connections > 0 && self.in_flight > 0, "--connections and --in-flight must be positive");
        Ok(())
    }
}

/// Settings of one run.
#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    #[command(flatten)]
    subject: Subject,
    /// How samples get in; otlp-grpc for mytsdb, otlp-http for others
    #[arg(long, value_enum)]
    protocol: Option<Protocol>,
    #[command(flatten)]
    load: LoadArgs,
    /// Samples of each series
    #[arg(long, default_value_t = 60)]
    rounds: usize,
    /// Points say since when they count, as those of an SDK's counters do
    #[arg(long)]
    started: bool,
    /// What --series series cost, on paper, by the arithmetic of small runs, which must predict a large one too
    #[arg(long)]
    simulate: bool,
    /// Series of the large run of --simulate
    #[arg(long, default_value_t = 1_000_000)]
    measured_series: usize,
    /// Leave out the kill -9 and the restart at the end
    #[arg(long)]
    no_kill: bool,
    /// Write everything that was measured to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl IngestArgs {
    fn protocol(&self) -> Protocol {
        let default = if self.subject.is_mytsdb() { Protocol::OtlpGrpc } else { Protocol::OtlpHttp };
        self.protocol.unwrap_or(default)
    }

    fn check(&self) -> Result<()> {
        self.load.check()?;
        ensure!(self.rounds >= 2, "--rounds must be at least 2");
        let otlp = [Protocol::OtlpGrpc, Protocol::OtlpHttp].contains(&self.protocol());
        ensure!(otlp, "--protocol must be otlp-grpc or otlp-http here");
        Ok(())
    }
}

/// Runs the load, prints the figures, asserts that every point is stored.
pub(crate) fn run(args: &IngestArgs) -> Result<()> {
    args.check()?;
    if args.simulate {
        return simulate::run(args);
    }
    let mut target = args.subject.start(0)?;
    let figures = measure(args, &mut target)?;
    figures.print();
    if let Some(path) = &args.json {
        report_file::write(path, &figures.json())?;
    }
    Ok(())
}

/// Loads a fresh server, counts what it has, kills it, and counts again.
fn measure(args: &IngestArgs, target: &mut Target) -> Result<Figures> {
    let start_ms = now_ms()? - AGE_MS - STEP_MS * args.rounds as i64;
    let rounds = Rounds { start_ms, step_ms: STEP_MS, count: args.rounds };
    let mut figures = load(args, args.load.series, target, rounds)?;
    let stored = check::stored(target, rounds)?;
    ensure!(stored == figures.acknowledged, "{stored} samples stored, {} acknowledged", figures.acknowledged);
    check::one_series(target, rounds, args.load.series / 2)?;
    println!("checked           {stored:>12} samples stored, as acknowledged");
    if !args.no_kill {
        let ready = target.kill_and_start_again()?;
        let lost = figures.acknowledged.saturating_sub(check::stored(target, rounds)?);
        ensure!(lost == 0 || !args.subject.is_mytsdb(), "{lost} acknowledged samples are gone after a kill -9");
        figures.restarted(ready, lost);
    }
    Ok(figures)
}

fn now_ms() -> Result<i64> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as i64)
}

fn load(args: &IngestArgs, series: usize, target: &Target, rounds: Rounds) -> Result<Figures> {
    let requests = series / args.load.points_per_request;
    let templates: Vec<Load> = (0..requests)
        .map(|r| Load::new(r * args.load.points_per_request, args.load.points_per_request, args.started))
        .collect();
    let mut senders = Senders::open(target, args.protocol(), args.load.connections, args.load.in_flight)?;
    let mut figures = Figures::new(args, (series, rounds.count), target, templates[0].len());
    let mut send = |round: usize| -> Result<_> {
        let messages: Vec<_> = templates.iter().map(|template| template.fill(rounds.at_ms(round), round)).collect();
        let begun = Instant::now();
        let acks_us = senders.send(&Arc::new(messages))?;
        Ok((begun.elapsed(), acks_us))
    };
    let cpu = || -> Result<f64> { Ok(target.usage()?.0) };
    let cpu_from = cpu()?;
    let (took, _) = send(0)?;
    let cpu_first = cpu()?;
    figures.first_round(took, cpu_first - cpu_from);
    let begun = Instant::now();
    for round in 1..rounds.count {
        let (took, acks_us): (Duration, _) = send(round)?;
        figures.round(took, &acks_us);
    }
    figures.loaded(begun.elapsed(), cpu()? - cpu_first, target)?;
    Ok(figures)
}
