//! `cargo xtask bench`: what is fast and what it costs, measured by programs that check every answer.

mod budget;
mod compare;
pub(crate) mod criterion;
mod html;
mod instructions;
mod page;
mod plot;
pub(crate) mod smoke;
mod table;
mod tables;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use budget::Budget;
use serde_json::{Map, Value, json};

use crate::peers;
use crate::workspace::{build_programs, root, shown, succeed_within, target_dir};

/// Real scrapes, relative to the root; `disk` needs them.
const SCRAPES: &str = "../shared/data/node-exporter-1s.txt.zst";

/// Hours of scrapes that `disk` sends (there are enough of them for 8.75), seconds of load of `k8s`, seconds for one query of one server.
const DISK_HOURS: f64 = 8.0;
const K8S_SECONDS: f64 = 30.0;
const QUERY_SECONDS: f64 = 3.0;

/// What is to be run.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'a> {
    /// In the order of [`budget::PLANS`].
    parts: Vec<&'static str>,
    peers: bool,
    compare: Option<&'a str>,
    preset: &'a str,
    minutes: u64,
}

/// Who is measured: a name, and the flag that says where the program is.
struct Target {
    name: &'static str,
    flag: &'static str,
    program: PathBuf,
}

/// Runs what the flags ask for, and writes what it found: JSON, pages, a report.
///
/// # Errors
///
/// If something cannot be built, a check fails, or there is no time for a part.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    if flags == ["--smoke"] {
        criterion::once()?;
        return smoke::run();
    }
    if let ["instructions", rest @ ..] = flags {
        return instructions::run(rest);
    }
    let asked = parse(flags)?;
    let budget = Budget::new(asked.minutes, asked.peers);
    build_programs()?;
    let targets = targets(asked.peers)?;
    let suites = if asked.parts.contains(&"core") { criterion::build()? } else { Vec::new() };
    let mut found = Map::new();
    found.insert("machine".to_owned(), json!(machine()));
    found.insert("commit".to_owned(), json!(said(&mut git())?));
    let mut took = Map::new();
    took.insert("builds".to_owned(), json!(budget.spent().as_secs()));
    let mut run = Run { asked: &asked, targets: &targets, suites: &suites, budget: &budget, failed: Vec::new() };
    for (number, part) in asked.parts.iter().enumerate() {
        // What was measured is kept, whatever becomes of the rest.
        let share = match budget.share(&asked.parts[number..]) {
            Ok(share) => share,
            Err(error) => {
                run.failed.push(error.to_string());
                continue;
            }
        };
        let begun = budget.spent();
        eprintln!("== {part}, {:.0} % of its time, {:.1} minutes are over", share * 100.0, begun.as_secs_f64() / 60.0);
        found.insert((*part).to_owned(), run.measure(part, share));
        took.insert((*part).to_owned(), json!(budget.spent().saturating_sub(begun).as_secs()));
    }
    let failed = run.failed;
    took.insert("all".to_owned(), json!(budget.spent().as_secs()));
    found.insert("took_seconds".to_owned(), Value::Object(took));
    found.insert("failed".to_owned(), json!(failed));
    let found = Value::Object(found);
    write(&found)?;
    if let Some(old) = asked.compare {
        let old = std::fs::read(old).with_context(|| old.to_owned())?;
        print!("{}", compare::table(&serde_json::from_slice(&old)?, &found));
    }
    println!("all of it took {:.1} of {} minutes", budget.spent().as_secs_f64() / 60.0, asked.minutes);
    ensure!(failed.is_empty(), "failed:\n{}", failed.join("\n"));
    Ok(())
}

/// JSON, report and pages.
fn write(found: &Value) -> anyhow::Result<()> {
    let dir = folder()?;
    let path = dir.join("bench.json");
    std::fs::write(&path, serde_json::to_vec_pretty(found)?).with_context(|| path.display().to_string())?;
    let report = dir.join("report.html");
    std::fs::write(&report, html::page(found)).with_context(|| report.display().to_string())?;
    println!("{}\n{}", path.display(), report.display());
    for page in page::write(found)? {
        println!("{}", page.display());
    }
    Ok(())
}

fn parse<'a>(flags: &[&'a str]) -> anyhow::Result<Asked<'a>> {
    let mut asked = Asked { parts: Vec::new(), peers: false, compare: None, preset: "small", minutes: budget::MINUTES };
    let mut rest = flags.iter();
    while let Some(&flag) = rest.next() {
        match flag {
            "--peers" => asked.peers = true,
            "--compare" => asked.compare = Some(rest.next().context("--compare wants a file")?),
            "--preset" => asked.preset = rest.next().context("--preset wants a name")?,
            "--budget" => {
                let minutes = rest.next().context("--budget wants minutes")?;
                asked.minutes =
                    minutes.parse().with_context(|| format!("--budget {minutes}: not a number of minutes"))?;
            }
            "all" => asked.parts.extend(budget::PLANS.iter().map(|plan| plan.0)),
            name => {
                let part = budget::PLANS.iter().map(|plan| plan.0).find(|part| *part == name);
                asked.parts.push(part.with_context(|| format!("bench: unknown part or flag {name}"))?);
            }
        }
    }
    if asked.parts.is_empty() {
        bail!(
            "usage: cargo xtask bench core|ingest|simulate|query|disk|k8s|all [--peers] [--budget MINUTES] [--preset NAME] \
             [--compare OLD.json] | instructions [--compare OLD.json | --save] | --smoke"
        );
    }
    Ok(asked)
}

/// The load generator, which finds the server beside itself.
fn load_generator(arguments: &[&str]) -> Command {
    let mut command = Command::new(target_dir().join("ci/mytsdb-bench"));
    command.current_dir(root()).args(arguments);
    command
}

fn targets(with_peers: bool) -> anyhow::Result<Vec<Target>> {
    let mut targets = vec![Target { name: "mytsdb", flag: "--server", program: target_dir().join("ci/mytsdb") }];
    if with_peers {
        let peers = peers::build()?;
        targets.push(Target { name: "prometheus", flag: "--prometheus", program: peers.prometheus });
        targets.push(Target { name: "victoriametrics", flag: "--victoria-metrics", program: peers.victoria_metrics });
    }
    Ok(targets)
}

/// A run: what is measured, and what failed so far.
struct Run<'a> {
    asked: &'a Asked<'a>,
    targets: &'a [Target],
    suites: &'a [criterion::Suite],
    budget: &'a Budget,
    failed: Vec<String>,
}

impl Run<'_> {
    /// One part, in a share of its planned time; what fails is noted.
    fn measure(&mut self, part: &str, share: f64) -> Value {
        let scaled = |full: f64| format!("{:.0}", (full * share).max(1.0));
        match part {
            "core" => criterion::run(self.suites, share, self.budget, &mut self.failed).unwrap_or_else(|error| {
                self.failed.push(format!("{error:#}"));
                Value::Null
            }),
            "ingest" => self.ingest(share),
            "simulate" => self.figures(&mut load_generator(&["ingest", "--series", "10000000", "--simulate"]), part),
            "query" => self.query(share),
            "disk" => {
                let hours = scaled(DISK_HOURS);
                let load = ["--mode", "write", "--replay", SCRAPES, "--age", "6", "--hours", &hours];
                let ends = ["--duration", "600", "--settle", "200"];
                self.each("disk", &[&load[..], &ends[..]].concat())
            }
            _ => self.each("k8s", &["--preset", self.asked.preset, "--duration", &scaled(K8S_SECONDS)]),
        }
    }

    /// The workload `k8s` against each target, with what it measured: the same bytes to each.
    fn each(&mut self, part: &str, arguments: &[&str]) -> Value {
        let mut all = Map::new();
        for target in self.targets {
            let mut command = load_generator(&["k8s", "--target", target.name, "--protocol", "otlp-http"]);
            command.arg(target.flag).arg(&target.program).args(arguments);
            all.insert(target.name.to_owned(), self.figures(&mut command, &format!("{part}-{}", target.name)));
        }
        Value::Object(all)
    }

    /// OTLP into each target, few series and many; and over gRPC, which no peer has.
    fn ingest(&mut self, share: f64) -> Value {
        let mut sizes = Map::new();
        for (title, series, rounds) in [("100,000 series", "100000", 60.0), ("1,000,000 series", "1000000", 10.0)] {
            let rounds = format!("{:.0}", (rounds * share).max(4.0));
            let mut all = Map::new();
            let runs = self.targets.iter().map(|target| (target, "otlp-http", target.name.to_owned()));
            let grpc = self.targets.first().map(|target| (target, "otlp-grpc", format!("{} over gRPC", target.name)));
            for (target, protocol, name) in runs.chain(grpc) {
                let mut command = load_generator(&["ingest", "--target", target.name, "--protocol", protocol]);
                command.arg(target.flag).arg(&target.program).args(["--series", series, "--rounds", &rounds]);
                let found = self.figures(&mut command, &format!("ingest-{series}-{}-{protocol}", target.name));
                all.insert(name, found);
            }
            sizes.insert(title.to_owned(), Value::Object(all));
        }
        json!({ "sizes": sizes })
    }

    fn query(&mut self, share: f64) -> Value {
        let mut command = load_generator(&["query", "--seconds", &format!("{:.2}", QUERY_SECONDS * share)]);
        for target in self.targets {
            command.arg(target.flag).arg(&target.program);
        }
        self.figures(&mut command, "query")
    }

    /// Runs the load generator, which writes its figures to a file by that name; a check that fails is noted, and what was
    /// measured until then is kept.
    fn figures(&mut self, command: &mut Command, name: &str) -> Value {
        self.run(command, name).unwrap_or_else(|error| {
            self.failed.push(format!("{name}: {error:#}"));
            Value::Null
        })
    }

    fn run(&mut self, command: &mut Command, name: &str) -> anyhow::Result<Value> {
        let path = folder()?.join(format!("{name}.json"));
        if path.exists() {
            // Of a run before.
            std::fs::remove_file(&path).with_context(|| path.display().to_string())?;
        }
        if let Err(error) = succeed_within(command.arg("--json").arg(&path), self.budget.left()) {
            self.failed.push(format!("{error:#}"));
        }
        if !path.exists() {
            return Ok(Value::Null);
        }
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        Ok(serde_json::from_slice(&bytes)?)
    }
}

/// Where results are kept.
fn folder() -> anyhow::Result<PathBuf> {
    let dir = target_dir().join("bench");
    std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    Ok(dir)
}

fn git() -> Command {
    let mut command = Command::new("git");
    command.current_dir(root()).args(["log", "-1", "--format=%h %cs %s"]);
    command
}

fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| shown(command))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The processor and how many of it there are.
fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("an unknown processor");
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("{cores} cores of {}", name.trim_start_matches([':', ' ', '\t']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_flags_are_read_in_any_order() {
        let asked = parse(&["--peers", "k8s", "--compare", "old.json", "disk"]).unwrap();
        let parts = vec!["k8s", "disk"];
        let expected = Asked { parts, peers: true, compare: Some("old.json"), preset: "small", minutes: 40 };
        assert_eq!(asked, expected);
        assert_eq!(parse(&["all", "--budget", "12"]).unwrap().minutes, 12);
        assert_eq!(parse(&["all"]).unwrap().parts.len(), budget::PLANS.len());
        assert!(parse(&[]).is_err() && parse(&["fast"]).is_err() && parse(&["k8s", "--compare"]).is_err());
        assert!(parse(&["k8s", "--budget", "soon"]).is_err());
    }
}
