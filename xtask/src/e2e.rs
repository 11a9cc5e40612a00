//! `cargo xtask e2e`: builds the server, the programs of others that talk to it and the end-to-end test, then runs the test.

use anyhow::{Context, bail};

use crate::workspace::{build_programs, root, succeed};
use crate::{collector, parquet_common, prometheus, python, receiver_suite, sdk_source};

const ROUNDS_DEFAULT: u32 = 20;
/// The Collector's configuration that users are shown, relative to the root: the test runs the very same file.
const COLLECTOR_CONFIG: &str = "deploy/otel-collector/config.yaml";
/// The S3 server and its version, relative to the root.
const REQUIREMENTS: &str = "e2e/requirements.txt";

/// Builds everything and runs the test; its last line of output is the verdict.
///
/// # Errors
///
/// If something cannot be built, or the test fails.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    let (rounds, only) = parse(flags)?;
    let (collector, prometheus) = (collector::build()?, prometheus::build()?);
    let (promtool, moto) = (prometheus::build_tool()?, python::with_packages("an S3 server", REQUIREMENTS)?);
    let (sdk_source, receiver_suite) = (sdk_source::build()?, receiver_suite::build()?);
    let parquet_common = parquet_common::build()?;
    let built = build_programs()?;
    let mut test = std::process::Command::new(built.join("mytsdb-e2e"));
    test.arg("--server").arg(built.join("mytsdb"));
    test.arg("--collector").arg(collector);
    test.arg("--collector-config").arg(root().join(COLLECTOR_CONFIG));
    test.arg("--prometheus").arg(prometheus);
    test.arg("--promtool").arg(promtool).arg("--moto").arg(moto);
    test.arg("--sdk-source").arg(sdk_source);
    test.arg("--receiver-suite").arg(receiver_suite).arg("--parquet-common").arg(parquet_common);
    test.arg("--rounds").arg(rounds.to_string());
    test.args(only.iter().flat_map(|part| ["--only", part]));
    succeed(&mut test)
}

/// The number of rounds, and the part that is to run alone.
fn parse<'a>(flags: &[&'a str]) -> anyhow::Result<(u32, Option<&'a str>)> {
    let (mut rounds, mut only) = (ROUNDS_DEFAULT, None);
    for flag in flags.chunks(2) {
        match flag {
            ["--rounds", number] => rounds = number.parse().context("--rounds: not a number")?,
            ["--only", part @ ("tsdb" | "objects")] => only = Some(*part),
            _ => bail!("usage: cargo xtask e2e [--rounds N] [--only tsdb|objects]"),
        }
    }
    Ok((rounds, only))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_can_be_chosen() {
        assert_eq!(parse(&[]).unwrap(), (ROUNDS_DEFAULT, None));
        assert_eq!(parse(&["--rounds", "3"]).unwrap(), (3, None));
        assert_eq!(parse(&["--only", "objects", "--rounds", "50"]).unwrap(), (50, Some("objects")));
        assert!(parse(&["--only", "all"]).is_err());
        assert!(parse(&["--rounds"]).is_err());
        assert!(parse(&["3"]).is_err());
    }
}
