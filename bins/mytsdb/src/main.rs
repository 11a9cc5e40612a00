//! The mytsdb server: OTLP in, PromQL out, everything in one data folder.

mod admin;
mod clock;
mod cold;
mod compactor;
mod downsampling;
mod export;
mod import;
mod logging;
mod memory;
mod notes;
mod retention;
mod scrubber;
mod self_metrics;
mod server;
mod settings;
mod tsdb;
mod worker;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let command = settings::command().subcommand(import::command()).subcommand(export::command());
    let command = command.subcommand(tsdb::command());
    let mut matches = command.get_matches();
    let done = match matches.remove_subcommand() {
        Some((name, of_import)) if name == "import" => import::run(of_import),
        Some((name, of_export)) if name == "export" => export::run(of_export),
        Some((name, of_tsdb)) if name == "tsdb" => tsdb::run(of_tsdb),
        Some((_, of_serve)) => settings::load(of_serve).and_then(|config| server::run(&config)),
        None => settings::load(matches).and_then(|config| server::run(&config)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line a person can act on; the chain of causes behind it.
            eprintln!("mytsdb: {error:#}");
            ExitCode::FAILURE
        }
    }
}
