//! `cargo xtask bench`: what is fast and what it costs, measured by programs that check every answer.

mod compare;
pub(crate) mod criterion;
mod html;
mod page;
mod plot;
pub(crate) mod smoke;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde_json::{Map, Value, json};

use crate::peers;
use crate::workspace::{build_programs, root, shown, succeed, target_dir};

/// Real scrapes, relative to the root; `disk` needs them.
const SCRAPES: &str = "../shared/data/node-exporter-1s.txt.zst";

/// Parts, in the order in which they run.
const PARTS: [&str; 5] = ["core", "ingest", "query", "disk", "k8s"];

/// What is to be run.
#[derive(Debug, PartialEq, Eq)]
struct Asked<'a> {
    parts: Vec<&'static str>,
    peers: bool,
    compare: Option<&'a str>,
    preset: &'a str,
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
/// If something cannot be built, or a check fails.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    if flags == ["--smoke"] {
        criterion::once()?;
        return smoke::run();
    }
    let asked = parse(flags)?;
    build_programs()?;
    let targets = targets(asked.peers)?;
    let mut found = Map::new();
    found.insert("machine".to_owned(), json!(machine()));
    found.insert("commit".to_owned(), json!(said(&mut git())?));
    for part in &asked.parts {
        eprintln!("== {part}");
        let result = match *part {
            "core" => criterion::run()?,
            "ingest" => text(&mut load_generator(&["ingest", "--rounds", "60"]))?,
            "query" => query(&targets)?,
            "disk" => each(&targets, "disk", &["--mode", "write", "--replay", SCRAPES, "--duration", "30"])?,
            _ => each(&targets, "k8s", &["--preset", asked.preset])?,
        };
        found.insert((*part).to_owned(), result);
    }
    let found = Value::Object(found);
    let dir = folder()?;
    let path = dir.join("bench.json");
    std::fs::write(&path, serde_json::to_vec_pretty(&found)?).with_context(|| path.display().to_string())?;
    let report = dir.join("report.html");
    std::fs::write(&report, html::page(&found)).with_context(|| report.display().to_string())?;
    println!("{}\n{}", path.display(), report.display());
    if let Some(written) = page::write(&found)? {
        println!("{}", written.display());
    }
    if let Some(old) = asked.compare {
        let old = std::fs::read(old).with_context(|| old.to_owned())?;
        print!("{}", compare::table(&serde_json::from_slice(&old)?, &found));
    }
    Ok(())
}

fn parse<'a>(flags: &[&'a str]) -> anyhow::Result<Asked<'a>> {
    let mut asked = Asked { parts: Vec::new(), peers: false, compare: None, preset: "small" };
    let mut rest = flags.iter();
    while let Some(&flag) = rest.next() {
        match flag {
            "--peers" => asked.peers = true,
            "--compare" => asked.compare = Some(rest.next().context("--compare wants a file")?),
            "--preset" => asked.preset = rest.next().context("--preset wants a name")?,
            "all" => asked.parts.extend(PARTS),
            name => {
                let part = PARTS.into_iter().find(|part| *part == name);
                asked.parts.push(part.with_context(|| format!("bench: unknown part or flag {name}"))?);
            }
        }
    }
    if asked.parts.is_empty() {
        bail!(
            "usage: cargo xtask bench core|ingest|query|disk|k8s|all [--peers] [--preset NAME] [--compare OLD.json] | --smoke"
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

/// The workload `k8s` against each target, with what it measured: the same bytes to each.
fn each(targets: &[Target], part: &str, arguments: &[&str]) -> anyhow::Result<Value> {
    let mut all = Map::new();
    for target in targets {
        let path = folder()?.join(format!("{part}-{}.json", target.name));
        let mut command = load_generator(&["k8s", "--target", target.name, "--protocol", "otlp-http"]);
        command.arg(target.flag).arg(&target.program).args(arguments).arg("--json").arg(&path);
        succeed(&mut command)?;
        let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
        all.insert(target.name.to_owned(), serde_json::from_slice(&bytes)?);
    }
    Ok(Value::Object(all))
}

fn query(targets: &[Target]) -> anyhow::Result<Value> {
    let mut command = load_generator(&["query"]);
    for target in targets {
        command.arg(target.flag).arg(&target.program);
    }
    text(&mut command)
}

/// What a command prints, which is shown too.
fn text(command: &mut Command) -> anyhow::Result<Value> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| shown(command))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    print!("{text}");
    ensure!(output.status.success(), "{} failed: {}", shown(command), output.status);
    Ok(json!({ "command": shown(command), "text": text }))
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
        let expected = Asked { parts: vec!["k8s", "disk"], peers: true, compare: Some("old.json"), preset: "small" };
        assert_eq!(asked, expected);
        assert_eq!(parse(&["all"]).unwrap().parts, PARTS);
        assert!(parse(&[]).is_err() && parse(&["fast"]).is_err() && parse(&["k8s", "--compare"]).is_err());
    }
}
