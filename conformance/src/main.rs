//! Runs third-party suites against mytsdb: `mytsdb-conformance SUITE [--dir DIR] [--verbose] [--filter TEXT]`;
//! `promqltest` also takes `--storage FORM`: its samples then go through an engine.
//!
//! Prints a score per file and `passed N of M` as the last line; exits with 1 when N < M and with 2 when the suite
//! could not be run at all.
#![forbid(unsafe_code)]

mod compliance_suite;
mod expressions;
mod histogram_suite;
mod otlp_suite;
mod parser_suite;
mod peer;
mod promqltest;
mod score;

use anyhow::{Context, bail};
use promqltest::StorageForm;
use score::{Options, Score};
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "usage: mytsdb-conformance promqltest|cases|expressions|parser|histogram|otlp|compliance [--dir DIR] [--filter TEXT] [--verbose]\n       \
     mytsdb-conformance promqltest --storage test|engine-head|engine-blocks|engine-restart|engine-late ...\n       \
     mytsdb-conformance peer --prometheus PATH [--queries N] [--seed S]\n       \
     mytsdb-conformance try QUERY [--load FILE] [--at OFFSET | --range START:END:STEP] [--prometheus PATH]";

fn main() -> ExitCode {
    match run() {
        Ok(score) => {
            println!("passed {} of {}", score.passed, score.total);
            if score.passed < score.total || score.total == 0 { ExitCode::from(1) } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run() -> anyhow::Result<Score> {
    let mut args = std::env::args().skip(1);
    let suite = args.next().context(USAGE)?;
    if suite == "peer" {
        return peer::run(args);
    }
    if suite == "try" {
        return peer::try_query::run(args);
    }
    let mut options = Options::default();
    let mut dir = None;
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--dir" => dir = Some(PathBuf::from(args.next().context("--dir needs a folder")?)),
            "--filter" => options.filter = args.next().context("--filter needs a text")?,
            "--storage" => {
                let form = args.next().context("--storage needs a form")?;
                options.storage = StorageForm::parse(&form)
                    .with_context(|| format!("unknown storage {form:?}, one of {}", StorageForm::NAMES))?;
            }
            "--verbose" => options.verbose = true,
            other => bail!("unknown argument {other:?}\n{USAGE}"),
        }
    }
    // The suites from Prometheus' own tests belong to a release. The compliance suite's answers belong to none.
    let (folder, runner): (_, fn(&std::path::Path, &Options) -> anyhow::Result<Score>) = match suite.as_str() {
        "promqltest" => ("prometheus-3.16/promqltest", promqltest::run),
        "cases" => ("../cases/query", promqltest::run),
        "expressions" => ("../cases", expressions::run),
        "parser" => ("prometheus-3.16/promql-tables", parser_suite::run),
        "histogram" => ("prometheus-3.16/histogram-tables", histogram_suite::run),
        "otlp" => ("prometheus-3.16/otlp-tables", otlp_suite::run),
        "compliance" => ("promql-compliance", compliance_suite::run),
        other => bail!("unknown suite {other:?}\n{USAGE}"),
    };
    let dir = dir.unwrap_or_else(|| {
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance")).join(folder)
    });
    runner(&dir, &options)
}
