//! The short form of the benchmarks that the gate runs: a few seconds of load, and bugs that it must find.

use std::process::Stdio;

use anyhow::{Context, ensure};

use super::load_generator;
use crate::workspace::{build_programs, shown, succeed};

/// Bugs that are planted between server and load generator, and the check that must find each.
const PLANTED: [(&str, &str); 2] = [("answers", "answers"), ("acks", "survives kill -9")];

/// The load generator against a fresh server for a few seconds; then with each bug planted, which it must find.
///
/// # Errors
///
/// If a check fails, or does not where it should.
pub(crate) fn run() -> anyhow::Result<()> {
    build_programs()?;
    succeed(load_generator(&["k8s", "--preset", "quick"]).args(["--duration", "5"]))?;
    for (bug, check) in PLANTED {
        let mut planted = load_generator(&["k8s", "--preset", "quick", "--duration", "1", "--preload", "10"]);
        planted.args(["--check-seconds", "1", "--protocol", "rw2", "--plant", bug]);
        let output = planted.stdout(Stdio::null()).output().with_context(|| shown(&planted))?;
        let error = String::from_utf8_lossy(&output.stderr);
        let found = error.contains("checks failed") && error.contains(check);
        ensure!(!output.status.success() && found, "{}: not found by {check}: {error}", shown(&planted));
        eprintln!("planted {bug}: found by {check}");
    }
    Ok(())
}
