//! Load generator and side-by-side benchmark: sends what a Collector would, and checks what was stored.

mod answers;
mod ingest;
mod instant;
mod load;
mod process;
mod query;
mod query_data;
mod questions;
mod raw_codec;
mod target;
mod template;

use clap::{Parser, Subcommand};

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
    /// Range and instant queries over HTTP, side by side with Prometheus and VictoriaMetrics on the same data
    Query(query::QueryArgs),
}

fn main() -> anyhow::Result<()> {
    let command = Cli::parse().command;
    process::end_all_on_signal()?;
    match command {
        Command::Ingest(args) => ingest::run(&args),
        Command::Instant(args) => instant::run(&args),
        Command::Query(args) => query::run(&args),
    }
}
