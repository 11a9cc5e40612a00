//! The mytsdb server: OTLP in, PromQL out, everything in one data folder.

mod cli;
mod clock;
mod config;
mod logging;
mod memory;
mod self_metrics;
mod server;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let settings = match cli.command {
        Some(cli::Command::Serve(settings)) => settings,
        None => cli.settings,
    };
    match config::Config::load(*settings).and_then(|config| server::run(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line a person can act on; the chain of causes behind it.
            eprintln!("mytsdb: {error:#}");
            ExitCode::FAILURE
        }
    }
}
