//! `cargo xtask e2e`: builds the server, the programs of others that talk to it and the end-to-end test, then runs the test.

use anyhow::{Context, bail};

use crate::workspace::{build_programs, root, succeed};
use crate::{collector, prometheus, receiver_suite, sdk_source};

const ROUNDS_DEFAULT: u32 = 20;
/// The Collector's configuration that users are shown, relative to the root: the test runs the very same file.
const COLLECTOR_CONFIG: &str = "deploy/otel-collector/config.yaml";

/// Builds everything and runs the test; its last line of output is the verdict.
///
/// # Errors
///
/// If something cannot be built, or the test fails.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    let rounds = parse(flags)?;
    let (collector, prometheus) = (collector::build()?, prometheus::build()?);
    let (sdk_source, receiver_suite) = (sdk_source::build()?, receiver_suite::build()?);
    let built = build_programs()?;
    let mut test = std::process::Command::new(built.join("mytsdb-e2e"));
    test.arg("--server").arg(built.join("mytsdb"));
    test.arg("--collector").arg(collector);
    test.arg("--collector-config").arg(root().join(COLLECTOR_CONFIG));
    test.arg("--prometheus").arg(prometheus);
    test.arg("--sdk-source").arg(sdk_source);
    test.arg("--receiver-suite").arg(receiver_suite);
    test.arg("--rounds").arg(rounds.to_string());
    succeed(&mut test)
}

fn parse(flags: &[&str]) -> anyhow::Result<u32> {
    match flags {
        [] => Ok(ROUNDS_DEFAULT),
        ["--rounds", number] => number.parse().context("--rounds: not a number"),
        _ => bail!("usage: cargo xtask e2e [--rounds N]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_can_be_chosen() {
        assert_eq!(parse(&[]).unwrap(), ROUNDS_DEFAULT);
        assert_eq!(parse(&["--rounds", "3"]).unwrap(), 3);
        assert!(parse(&["--rounds"]).is_err());
        assert!(parse(&["3"]).is_err());
    }
}
