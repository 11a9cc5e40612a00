//! The project's own tools, `cargo xtask COMMAND`: the gate and its parts, written in Rust so that they are tested too.
#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "a tool of the repository, not of the store: it reads files as they are"
)]

mod bench;
mod ci;
mod collector;
mod conformance;
mod docs;
mod e2e;
mod fuzz;
mod go;
mod layers;
mod loom;
mod parquet_common;
mod peers;
mod prometheus;
mod python;
mod receiver_suite;
mod sdk_source;
mod sql;
mod step;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  ci [--conformance] [--peer] [--e2e [ROUNDS]] [--bench] [--fuzz]
                                        the gate: fmt, clippy, tests, docs, layers, tidy, loom; on request more
  test [ARGS]                           cargo test over the workspace, doc tests included
  layers                                crate edges against the table in docs/architecture.md
  docs                                  writes docs/settings.md and docs/promql.md anew from their tables
  tidy                                  headers, file sizes, banned words, stray binaries; prints the fix
  loom                                  the concurrency models, then the weakened ones, which must fail
  fuzz [--seconds N] [TARGET ...]       the libFuzzer targets, N seconds each
  fuzz --seeds                          writes fuzz/seeds anew, the inputs that targets begin with
  conformance SUITE [--dir DIR]         one of the third-party suites; its last line of output is the score
  conformance --floors                  every suite of conformance/floor.txt; fails below a recorded floor
  collector                             builds the OpenTelemetry Collector of deploy/otel-collector, prints its path
  conformance peer [--queries N] [--seed S]
                                        random queries, asked of a real Prometheus too; needs Go
  try QUERY [--load FILE] [--at OFFSET | --range START:END:STEP]
                                        one query: as it is read and planned, and what both evaluations answer, and
                                        Prometheus, if it has been built
  prometheus                            builds the Prometheus that `peer` asks, prints its path
  peers                                 builds Prometheus and VictoriaMetrics to measure beside, prints paths and versions
  e2e [--rounds N]                      a stock Collector against the server, kill -9 under load; needs Go
  sql                                   DuckDB, pyarrow, Polars and DataFusion over files of the cold tier; needs Python
  bench core|ingest|query|disk|k8s|all [--peers] [--preset NAME] [--compare OLD.json]
                                        measures; writes JSON, docs/perf/k8s.md and a report with plots
  bench --smoke                         every bench once, the load generator for some seconds, and bugs that it must find";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> anyhow::Result<ExitCode> {
    let done = |result: anyhow::Result<()>| result.map(|()| ExitCode::SUCCESS);
    match arguments {
        ["ci", flags @ ..] => done(ci::run(flags)),
        ["test", arguments @ ..] => done(test::run(arguments)),
        ["layers"] => done(layers::run()),
        ["docs"] => done(docs::run()),
        ["tidy"] => done(tidy::run()),
        ["loom"] => done(loom::run()),
        ["fuzz", flags @ ..] => done(fuzz::run(flags)),
        ["conformance", "--floors"] => done(conformance::check_floors()),
        ["conformance", "peer", flags @ ..] => conformance::peer(flags),
        ["conformance", suite @ ..] => conformance::run(suite),
        ["try", arguments @ ..] => conformance::try_query(arguments),
        ["collector"] => done(collector::build().map(|path| println!("{}", path.display()))),
        ["peers"] => done(peers::run()),
        ["prometheus"] => done(prometheus::build().map(|path| println!("{}", path.display()))),
        ["bench", flags @ ..] => done(bench::run(flags)),
        ["e2e", flags @ ..] => done(e2e::run(flags)),
        ["sql"] => done(sql::run()),
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        unknown => anyhow::bail!("unknown command: {}\n\n{USAGE}", unknown.join(" ")),
    }
}
