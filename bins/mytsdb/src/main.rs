//! The mytsdb server: OTLP in, PromQL out, everything in one data folder.

mod admin;
mod clock;
mod compactor;
mod logging;
mod memory;
mod notes;
mod self_metrics;
mod server;
mod settings;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match settings::load(settings::command().get_matches()).and_then(|config| server::run(&config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line a person can act on; the chain of causes behind it.
            eprintln!("mytsdb: {error:#}");
            ExitCode::FAILURE
        }
    }
}
