//! Load generator and side-by-side benchmark: sends what a Collector would, and checks what was stored.

mod answers;
mod ingest;
mod instant;
mod k8s;
mod load;
mod process;
mod protocols;
mod query;
mod query_data;
mod questions;
mod raw_codec;
mod report_file;
mod subject;
mod target;
mod template;
mod times;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Benchmarks of mytsdb over its own interfaces. Every run asserts its answers.
#[derive(Debug, Parser)]
#[command(name = "mytsdb-bench", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to measure.
#[derive(Debug, Subcommand)]
enum Command {
    /// OTLP/gRPC points a second into a server that this command starts beside itself
    Ingest(ingest::IngestArgs),
    /// An instant query over a million series that are all in the head, over HTTP
    Instant(instant::InstantArgs),
    /// A Kubernetes cluster that is scraped, and 49 queries of its dashboards, at once; what is acknowledged is looked for
    /// after a kill -9, and every answer is checked against a model
    K8s(k8s::K8sArgs),
    /// CPU of a server per sample, by protocol and kind of point
    Protocols(protocols::ProtocolsArgs),
    /// Range and instant queries over HTTP, side by side with Prometheus and VictoriaMetrics on the same data
    Query(query::QueryArgs),
    /// Ingest at a share of what the server can take, beside queries, flushes and merges, for half an hour: acks stay short and memory
    /// stays flat, or the run fails
    Soak(ingest::SoakArgs),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    process::end_all_on_signal()?;
    match command {
        Command::Ingest(args) => ingest::run(&args),
        Command::Instant(args) => instant::run(&args),
        Command::K8s(args) => k8s::run(&args),
        Command::Protocols(args) => protocols::run(&args),
        Command::Query(args) => query::run(&args),
        Command::Soak(args) => ingest::run_soak(&args),
    }
}
