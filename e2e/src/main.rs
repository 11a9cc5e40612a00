//! The end-to-end test: two stock OpenTelemetry Collectors and a Prometheus feed the server, which is killed under load and
//! must lose nothing; and others feed one that speaks TLS, asks for credentials and is at its limits.
//!
//! `cargo xtask e2e` builds the programs and starts this one. It talks to them over loopback only, keeps its data
//! in a temporary directory, and prints its verdict in the last line. `MYTSDB_E2E_SEED` repeats the moments of killing.
#![forbid(unsafe_code)]

mod arguments;
mod collector;
mod doors;
mod fault_proxy;
mod host_metrics;
mod journal;
mod kill_rounds;
mod object_store;
mod parquet_common;
mod process;
mod prometheus;
mod query;
mod random;
mod receiver_suite;
mod sdk;
mod server;
mod tsdb_export;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::arguments::{Arguments, Part};
use crate::collector::Collector;
use crate::kill_rounds::KillRounds;
use crate::prometheus::Prometheus;
use crate::random::Random;
use crate::server::Server;

/// How long the Collector collects, once a second, before its metrics are looked at.
const COLLECTING: Duration = Duration::from_secs(12);

/// Rounds of the cold tier in S3 when all parts run, and their seed.
const OBJECTS_ROUNDS: u32 = 4;
const OBJECTS_SEED: u64 = 3;

/// The machines that send their metrics, each with a Collector of its own.
const HOSTS: [&str; 2] = ["host-a", "host-b"];

fn main() -> ExitCode {
    match run() {
        Ok(verdict) => {
            println!("{verdict}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("e2e: FAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs one part alone, with as many rounds as are asked for.
fn run_part(arguments: &Arguments, workdir: &Path, part: Part, random: &mut Random) -> anyhow::Result<String> {
    Ok(match part {
        Part::Tsdb => tsdb_export::check(arguments, workdir)?.to_string(),
        Part::Objects => object_store::check(arguments, workdir, arguments.rounds, random)?.to_string(),
    })
}

fn run() -> anyhow::Result<String> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let mut random = Random::from_environment()?;
    let workdir = tempfile::Builder::new().prefix("mytsdb-e2e-").tempdir().context("temporary directory")?;
    println!("seed {} in {}", random.seed(), workdir.path().display());

    if let Some(part) = arguments.only {
        let outcome = run_part(&arguments, workdir.path(), part, &mut random);
        if outcome.is_err() {
            println!("logs and data kept in {}", workdir.keep().display());
        }
        return outcome;
    }
    let mut server = Server::new(&arguments.server, workdir.path())?;
    let ready = server.start()?;
    println!("server ready after {ready:.1?} at {}", server.http());
    let start = |host: &&str| Collector::start(&arguments, workdir.path(), &server.otlp_grpc(), host);
    let mut collectors = HOSTS.iter().map(start).collect::<anyhow::Result<Vec<_>>>()?;
    let mut prometheus = Prometheus::start(&arguments.prometheus, workdir.path(), &server.http())?;

    std::thread::sleep(COLLECTING);
    let outcome = doors::check(&arguments, workdir.path())
        .and_then(|verdict| {
            println!("{verdict}");
            println!("{}", receiver_suite::check(&arguments, workdir.path())?);
            println!("{}", tsdb_export::check(&arguments, workdir.path())?);
            let mut fixed = Random::new(OBJECTS_SEED);
            println!("{}", object_store::check(&arguments, workdir.path(), OBJECTS_ROUNDS, &mut fixed)?);
            Ok(())
        })
        .and_then(|()| host_metrics::check(&server.client(), &HOSTS))
        .and_then(|()| {
            let rounds = KillRounds::new(&mut server, &mut random)?.run(arguments.rounds)?;
            println!("{rounds}");
            ensure!(rounds.lost == 0 && rounds.wrong == 0, "{} points lost, {} wrong", rounds.lost, rounds.wrong);
            let mut stored_of_all = 0;
            for (collector, host) in collectors.iter_mut().zip(HOSTS) {
                let counters = collector.settle()?;
                println!("{host}: {counters}");
                counters.check()?;
                let stored = host_metrics::stored_points(&server.client(), host)?;
                println!("{host}: the collector's points in the store: {stored}");
                ensure!(
                    stored >= counters.sent,
                    "{host} had {} points accepted, the store has {stored}",
                    counters.sent
                );
                stored_of_all += stored;
            }
            println!("{}", prometheus.check(&server.client())?);
            let received = rounds.acknowledged + stored_of_all;
            Ok(format!("e2e: {received} points received, {} kills, 0 points lost", rounds.kills))
        });
    if outcome.is_err() {
        // The folder with the logs is kept after a failure: they say more than the error.
        println!("logs and data kept in {}", workdir.keep().display());
    }
    outcome
}
