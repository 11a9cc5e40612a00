//! The end-to-end test: two stock OpenTelemetry Collectors and a Prometheus feed the server, which is killed under load and
//! must lose nothing; and others feed one that speaks TLS, asks for credentials and is at its limits.
//!
//! `cargo xtask e2e` builds the programs and starts this one. It talks to them over loopback only, keeps its data
//! in a temporary directory, and prints its verdict in the last line. `MYTSDB_E2E_SEED` repeats the moments of killing.
#![forbid(unsafe_code)]

mod arguments;
mod collector;
mod doors;
mod host_metrics;
mod journal;
mod kill_rounds;
mod process;
mod prometheus;
mod query;
mod random;
mod receiver_suite;
mod sdk;
mod server;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::arguments::Arguments;
use crate::collector::Collector;
use crate::kill_rounds::KillRounds;
use crate::prometheus::Prometheus;
use crate::random::Random;
use crate::server::Server;

/// How long the Collector collects, once a second, before its metrics are looked at.
const COLLECTING: Duration = Duration::from_secs(12);

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

fn run() -> anyhow::Result<String> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let mut random = Random::from_environment()?;
    let workdir = tempfile::Builder::new().prefix("mytsdb-e2e-").tempdir().context("temporary directory")?;
    println!("seed {} in {}", random.seed(), workdir.path().display());

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
