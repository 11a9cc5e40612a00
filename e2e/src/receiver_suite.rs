//! The suite of the Prometheus project for receivers of remote write, run against the server and against a Prometheus: the
//! server must pass all that Prometheus passes.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};

use crate::arguments::Arguments;
use crate::process::create_dir;
use crate::prometheus::Prometheus;
use crate::server::Server;

/// The suite's own name for the file that says where the receiver is.
const CONFIG_VARIABLE: &str = "PROMETHEUS_RW2_COMPLIANCE_CONFIG_FILE";

/// Tests without which the suite has not run.
const PASSED_MIN: usize = 20;

/// Runs the suite twice.
///
/// # Errors
///
/// Which tests the server fails and Prometheus passes.
pub(crate) fn check(arguments: &Arguments, workdir: &Path) -> anyhow::Result<Verdict> {
    let dir = workdir.join("receiver-suite");
    create_dir(&dir)?;
    let mut server = Server::new(&arguments.server, &dir)?;
    server.start()?;
    let ours = run(&arguments.receiver_suite, &dir, "mytsdb", &server.http())?;
    server.terminate()?;
    let flags = ["--web.enable-remote-write-receiver", "--enable-feature=exemplar-storage,metadata-wal-records"];
    let prometheus = Prometheus::launch(&arguments.prometheus, &dir, &flags, |_| "{}".to_owned())?;
    let theirs = run(&arguments.receiver_suite, &dir, "prometheus", prometheus.address())?;
    ensure!(theirs.passed.len() >= PASSED_MIN, "Prometheus passes {} tests only", theirs.passed.len());
    let worse: Vec<_> = theirs.passed.difference(&ours.passed).collect();
    ensure!(worse.is_empty(), "remote write: Prometheus passes what we do not: {worse:?}");
    Ok(Verdict { ours, theirs })
}

/// Names of tests, without those that hold others.
#[derive(Debug, Default)]
struct Outcome {
    passed: BTreeSet<String>,
    failed: BTreeSet<String>,
}

/// What both came to.
pub(crate) struct Verdict {
    ours: Outcome,
    theirs: Outcome,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = |outcome: &Outcome| outcome.passed.len() + outcome.failed.len();
        let (ours, theirs) = (&self.ours, &self.theirs);
        write!(f, "receivers of remote write: passed {} of {}", ours.passed.len(), all(ours))?;
        write!(f, " (Prometheus {} of {})", theirs.passed.len(), all(theirs))
    }
}

fn run(suite: &Path, dir: &Path, name: &str, address: &str) -> anyhow::Result<Outcome> {
    let config = dir.join(format!("{name}.yml"));
    // One name for both, which becomes part of the tests' names.
    let text = format!("remote_write:\n- name: receiver\n  url: http://{address}/api/v1/write\n");
    #[expect(clippy::disallowed_methods, reason = "a setting of a test run, not data of the store")]
    std::fs::write(&config, text).context("write the suite's settings")?;
    let mut command = Command::new(suite);
    command.current_dir(dir).arg("-test.v").env(CONFIG_VARIABLE, &config);
    let output = command.output().context("start the suite")?;
    let text = String::from_utf8_lossy(&output.stdout);
    #[expect(clippy::disallowed_methods, reason = "a log of a test run, not data of the store")]
    std::fs::write(dir.join(format!("{name}.log")), &*text).context("write the suite's log")?;
    Ok(outcome(&text))
}

fn outcome(text: &str) -> Outcome {
    let mut outcome = Outcome::default();
    for line in text.lines().map(str::trim_start) {
        let name = |rest: &str| rest.split_whitespace().next().map(str::to_owned);
        if let Some(rest) = line.strip_prefix("--- PASS: ") {
            outcome.passed.extend(name(rest));
        } else if let Some(rest) = line.strip_prefix("--- FAIL: ") {
            outcome.failed.extend(name(rest));
        }
    }
    let names: BTreeSet<String> = outcome.passed.iter().chain(&outcome.failed).cloned().collect();
    let holds_others = |name: &String| {
        names.range(format!("{name}/")..).next().is_some_and(|next| next.starts_with(&format!("{name}/")))
    };
    outcome.passed.retain(|name| !holds_others(name));
    outcome.failed.retain(|name| !holds_others(name));
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_without_those_that_hold_them() {
        let text = "=== RUN   a\n=== RUN   a/b\n=== RUN   a/c\n    x.go:1: \n  Messages:   0 exemplars written\n--- FAIL: a (0.1s)\n    \
                    --- PASS: a/b (0.0s)\n    --- FAIL: a/c (0.0s)\n--- SKIP: d (0.0s)\nFAIL\n";
        let outcome = outcome(text);
        assert_eq!(outcome.passed.iter().collect::<Vec<_>>(), ["a/b"]);
        assert_eq!(outcome.failed.iter().collect::<Vec<_>>(), ["a/c"]);
    }
}
