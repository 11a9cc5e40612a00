//! The command line of the end-to-end test.

use std::path::PathBuf;

use anyhow::{Context, bail};

/// The programs to run, and the number of kill rounds.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) server: PathBuf,
    pub(crate) collector: PathBuf,
    pub(crate) prometheus: PathBuf,
    pub(crate) promtool: PathBuf,
    /// A Python that has moto.
    pub(crate) moto: PathBuf,
    pub(crate) collector_config: PathBuf,
    /// The application with the OpenTelemetry SDK.
    pub(crate) sdk_source: PathBuf,
    /// The suite for receivers of remote write.
    pub(crate) receiver_suite: PathBuf,
    /// The program that reads files of the cold tier with the module parquet-common.
    pub(crate) parquet_common: PathBuf,
    pub(crate) rounds: u32,
    /// The one part to run, if it is not all of them.
    pub(crate) only: Option<Part>,
}

/// A part of the test that can be run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Export as blocks of Prometheus.
    Tsdb,
    /// The cold tier in S3.
    Objects,
}

impl Arguments {
    /// Reads `--flag VALUE` pairs; all but `--only` are required.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let (mut server, mut collector, mut collector_config, mut rounds) = (None, None, None, None);
        let (mut prometheus, mut promtool, mut sdk_source, mut receiver_suite) = (None, None, None, None);
        let (mut moto, mut parquet_common, mut only) = (None, None, None);
        let mut words = words;
        while let Some(flag) = words.next() {
            let value = words.next().with_context(|| format!("{flag} needs a value"))?;
            match flag.as_str() {
                "--server" => server = Some(PathBuf::from(value)),
                "--collector" => collector = Some(PathBuf::from(value)),
                "--collector-config" => collector_config = Some(PathBuf::from(value)),
                "--prometheus" => prometheus = Some(PathBuf::from(value)),
                "--promtool" => promtool = Some(PathBuf::from(value)),
                "--moto" => moto = Some(PathBuf::from(value)),
                "--parquet-common" => parquet_common = Some(PathBuf::from(value)),
                "--only" if value == "tsdb" => only = Some(Part::Tsdb),
                "--only" if value == "objects" => only = Some(Part::Objects),
                "--sdk-source" => sdk_source = Some(PathBuf::from(value)),
                "--receiver-suite" => receiver_suite = Some(PathBuf::from(value)),
                "--rounds" => rounds = Some(value.parse().context("--rounds: not a number")?),
                _ => bail!("unknown flag {flag}; start this through `cargo xtask e2e`"),
            }
        }
        Ok(Self {
            server: server.context("--server is missing")?,
            collector: collector.context("--collector is missing")?,
            collector_config: collector_config.context("--collector-config is missing")?,
            prometheus: prometheus.context("--prometheus is missing")?,
            promtool: promtool.context("--promtool is missing")?,
            moto: moto.context("--moto is missing")?,
            only,
            sdk_source: sdk_source.context("--sdk-source is missing")?,
            receiver_suite: receiver_suite.context("--receiver-suite is missing")?,
            parquet_common: parquet_common.context("--parquet-common is missing")?,
            rounds: rounds.context("--rounds is missing")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> anyhow::Result<Arguments> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn all_flags_are_required_and_no_other_is_known() {
        let all = "--rounds 3 --server a --collector b --collector-config c --prometheus d --sdk-source e \
             --receiver-suite f --promtool g --moto h --parquet-common i";
        let parsed = parse(all).unwrap();
        assert_eq!((parsed.rounds, parsed.server), (3, PathBuf::from("a")));
        assert_eq!(parsed.only, None);
        assert_eq!(parse(&format!("{all} --only objects")).unwrap().only, Some(Part::Objects));
        assert!(parse(&format!("{all} --only nothing")).is_err());
        assert!(parse(&all.replace("--prometheus d", "")).is_err());
        assert!(parse("--rounds").is_err());
        assert!(parse("--speed 3").is_err());
    }
}
