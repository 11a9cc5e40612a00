//! A Kubernetes cluster that is scraped: writes and reads at once, only what is acknowledged counts, all answers checked.

mod check;
mod cluster;
mod connection;
mod liar;
mod metrics;
mod model;
mod questions;
mod reader;
mod replay;
mod report;
mod run;
pub(crate) mod settle;
mod source;
mod values;
mod verify;
mod wire;
mod writer;

pub(crate) use connection::{Connection, Failure, Way};
pub(crate) use run::run;
pub(crate) use wire::Protocol;

use crate::subject::Subject;
use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use cluster::Preset;
use liar::Lie;
use std::path::PathBuf;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    Write,
    Read,
    Combined,
}

/// Which queries are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mix {
    /// The 49 of dashboards
    Default,
    /// The 5 with negative matchers
    Negative,
}

/// Settings of one run.
#[derive(Debug, Args)]
pub(crate) struct K8sArgs {
    /// Size of the cluster
    #[arg(long, value_enum, default_value_t = Preset::Quick)]
    preset: Preset,
    #[command(flatten)]
    subject: Subject,
    /// Send the scrapes of a file of exposition text, with `##TS MS` before each, instead of the cluster's; by as many hosts
    /// as the preset has pods
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Seconds of load; the preset's if not given
    #[arg(long)]
    duration: Option<u64>,
    /// Samples a second, sent when they are due whatever the server does; as fast as acknowledged if not given
    #[arg(long)]
    rate: Option<f64>,
    /// Connections that write, one request at a time each
    #[arg(long, default_value_t = 4)]
    write_workers: usize,
    /// Connections that ask
    #[arg(long, default_value_t = 4)]
    read_workers: usize,
    /// What values, offsets and choices depend on
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Share of all pods that is replaced in an hour, such as 0.5
    #[arg(long, default_value_t = 0.0)]
    churn: f64,
    /// Share of samples that comes 20 intervals late, such as 0.01
    #[arg(long, default_value_t = 0.0)]
    late: f64,
    /// How samples get in; otlp-grpc for mytsdb, otlp-http for others
    #[arg(long, value_enum)]
    protocol: Option<Protocol>,
    /// What is measured
    #[arg(long, value_enum, default_value_t = Mode::Combined)]
    mode: Mode,
    /// Queries that are asked
    #[arg(long, value_enum, default_value_t = Mix::Default)]
    workload: Mix,
    /// Seconds between samples
    #[arg(long, default_value_t = 15)]
    interval: u64,
    /// Minutes of samples before anything is measured; the preset's if not given
    #[arg(long)]
    preload: Option<i64>,
    /// Hours of samples up to now that there are; a load that is through with them ends
    #[arg(long, default_value_t = 24)]
    hours: i64,
    /// Hours from the last sample to now
    #[arg(long, default_value_t = 0)]
    age: i64,
    /// Wait at the end until all is in blocks and they are merged, so many seconds at most, and measure them; goes with --age 6
    /// or more, so that all samples are old enough
    #[arg(long, value_name = "SECONDS")]
    settle: Option<u64>,
    /// Pods in a request
    #[arg(long, default_value_t = 1)]
    pods_per_request: usize,
    /// Samples of each series in a request
    #[arg(long, default_value_t = 1)]
    samples_per_series: u64,
    /// Seconds for checking answers of the load; those of the last round are all checked
    #[arg(long, default_value_t = 4.0)]
    check_seconds: f64,
    /// Leave the server running at the end instead of killing it in mid-load and looking for what it acknowledged
    #[arg(long)]
    no_kill: bool,
    /// Write everything that was measured to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Put a bug between this program and the server, which the checks must find
    #[arg(long, value_enum)]
    plant: Option<Lie>,
}

impl K8sArgs {
    fn check(&self) -> Result<()> {
        ensure!(self.interval > 0 && self.interval <= 300, "--interval must be 1 to 300: queries look back 5 minutes");
        ensure!(self.hours > 0 && self.age >= 0, "--hours must be positive, --age not negative");
        ensure!(self.hours + self.age <= 24 * 14, "--hours and --age must be 336 at most: servers keep 15 days");
        let otlp = [Protocol::OtlpGrpc, Protocol::OtlpHttp].contains(&self.protocol());
        ensure!(self.settle.is_none() || (self.age >= 6 && otlp), "--settle goes with --age 6 or more, and OTLP");
        ensure!(self.rate.is_none_or(|rate| rate > 0.0), "--rate must be positive");
        ensure!((0.0..=100.0).contains(&self.churn), "--churn must be 0 to 100");
        ensure!((0.0..=1.0).contains(&self.late), "--late must be 0 to 1");
        ensure!(self.write_workers > 0 && self.read_workers > 0, "--write-workers and --read-workers must be positive");
        ensure!(self.samples_per_series > 0 && self.pods_per_request > 0, "a request needs pods and samples");
        ensure!(self.replay.is_none() || self.mode == Mode::Write, "--replay goes with --mode write");
        let minutes = self.preload_minutes();
        ensure!(minutes >= 1 && minutes <= self.hours * 60, "--preload must be 1 minute to --hours");
        Ok(())
    }

    fn preload_minutes(&self) -> i64 {
        self.preload.unwrap_or_else(|| self.preset.preload_minutes())
    }

    fn duration_s(&self) -> u64 {
        self.duration.unwrap_or_else(|| self.preset.duration_s())
    }

    fn protocol(&self) -> Protocol {
        let default = if self.subject.is_mytsdb() { Protocol::OtlpGrpc } else { Protocol::OtlpHttp };
        self.protocol.unwrap_or(default)
    }
}
