//! The suites beside the crates, measured by criterion: medians in nanoseconds.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::{Map, Value, json};

use super::budget::Budget;
use crate::workspace::{cargo_with, shown, succeed, succeed_within, target_dir};

/// Seconds that each bench warms up and is measured.
const WARM_UP_SECONDS: f64 = 0.2;
const MEASURE_SECONDS: f64 = 0.5;

/// A suite: its program, and the folder of its crate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Suite {
    program: PathBuf,
    dir: PathBuf,
}

/// Builds every suite, all at once.
///
/// # Errors
///
/// If one does not build.
pub(super) fn build() -> anyhow::Result<Vec<Suite>> {
    let arguments = ["bench", "--workspace", "--profile", "ci", "--bench", "*", "--no-run", "--message-format=json"];
    let mut command = cargo_with(&arguments);
    let output = command.stderr(Stdio::inherit()).output().with_context(|| shown(&command))?;
    ensure!(output.status.success(), "{} failed: {}", shown(&command), output.status);
    Ok(suites(&String::from_utf8_lossy(&output.stdout)))
}

/// The programs that cargo's messages name.
fn suites(messages: &str) -> Vec<Suite> {
    let suite = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        if !message["target"]["kind"].as_array()?.iter().any(|kind| kind == "bench") {
            return None;
        }
        let program = PathBuf::from(message["executable"].as_str()?);
        let dir = Path::new(message["manifest_path"].as_str()?).parent()?.to_owned();
        Some(Suite { program, dir })
    };
    messages.lines().filter_map(suite).collect()
}

/// Runs suites, each bench in a share of its time, until there is no time left, and reads what criterion left of them; what failed
/// or was left out is noted.
///
/// # Errors
///
/// If what criterion left cannot be read.
pub(super) fn run(suites: &[Suite], share: f64, budget: &Budget, failed: &mut Vec<String>) -> anyhow::Result<Value> {
    let dir = target_dir().join("criterion");
    if dir.exists() {
        // Suites that are gone have figures there.
        std::fs::remove_dir_all(&dir).with_context(|| dir.display().to_string())?;
    }
    let seconds = |full: f64| format!("{:.2}", full * share);
    let times = ["--warm-up-time", &seconds(WARM_UP_SECONDS), "--measurement-time", &seconds(MEASURE_SECONDS)];
    for suite in suites {
        let mut command = Command::new(&suite.program);
        command.arg("--bench").args(times).args(["--sample-size", "20", "--noplot"]);
        command.current_dir(&suite.dir).env("CRITERION_HOME", &dir);
        if let Err(error) = succeed_within(&mut command, budget.left()) {
            failed.push(format!("{error:#}"));
        }
    }
    let mut found = Map::new();
    read(&dir, &mut Vec::new(), &mut found)?;
    Ok(Value::Object(found))
}

/// Runs every bench once, on the code as tests build it: that it runs, and that its answers are right. Its times mean nothing.
///
/// # Errors
///
/// If one does not build or asserts.
pub(crate) fn once() -> anyhow::Result<()> {
    // Without `--bench` among its arguments criterion does not measure.
    succeed(&mut cargo_with(&["test", "--workspace", "--bench", "*"]))
}

/// Estimates below a folder, by the path of names that leads to them.
fn read(dir: &Path, names: &mut Vec<String>, found: &mut Map<String, Value>) -> anyhow::Result<()> {
    let estimates = dir.join("new/estimates.json");
    if estimates.exists() {
        let bytes = std::fs::read(&estimates).with_context(|| estimates.display().to_string())?;
        let estimates: Value = serde_json::from_slice(&bytes).with_context(|| estimates.display().to_string())?;
        let median = &estimates["median"];
        let interval = &median["confidence_interval"];
        let figures = json!({
            "median_ns": median["point_estimate"],
            "low_ns": interval["lower_bound"],
            "high_ns": interval["upper_bound"],
        });
        found.insert(names.join("/"), figures);
        return Ok(());
    }
    if !dir.exists() {
        return Ok(());
    }
    for entry in std::fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_dir() && entry.file_name() != "report" {
            names.push(entry.file_name().to_string_lossy().into_owned());
            read(&entry.path(), names, found)?;
            names.pop();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_in_what_cargo_says() {
        let artifact = |name: &str, kind: &str, executable: Value| {
            let manifest = format!("/w/crates/{name}/Cargo.toml");
            json!({"target": {"kind": [kind]}, "manifest_path": manifest, "executable": executable}).to_string()
        };
        let messages = [
            artifact("a", "bench", json!("/t/a-1")),
            artifact("b", "lib", Value::Null),
            artifact("c", "bin", json!("/t/c")),
            "noise".to_owned(),
        ];
        let messages = messages.join("\n");
        let expected = Suite { program: PathBuf::from("/t/a-1"), dir: PathBuf::from("/w/crates/a") };
        assert_eq!(suites(&messages), [expected]);
    }

    #[test]
    fn estimates_are_found_by_their_folders() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("group/120/new");
        std::fs::create_dir_all(&new).unwrap();
        std::fs::create_dir_all(dir.path().join("report")).unwrap();
        let text = r#"{"median":{"point_estimate":5.5,"confidence_interval":{"lower_bound":5,"upper_bound":6}}}"#;
        std::fs::write(new.join("estimates.json"), text).unwrap();
        let mut found = Map::new();
        read(dir.path(), &mut Vec::new(), &mut found).unwrap();
        assert_eq!(Value::Object(found), json!({"group/120": {"median_ns": 5.5, "low_ns": 5, "high_ns": 6}}));
    }
}
