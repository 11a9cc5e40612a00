//! `cargo xtask conformance`: the third-party suites, and the floors that their scores must not fall below.

use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, bail, ensure};

use crate::workspace::{cargo_with, root, shown, succeed};

/// Recorded scores, relative to the root: one `SUITE PASSED` or `SUITE:STORAGE PASSED` a line, `#` starts a comment.
const FLOORS: &str = "conformance/floor.txt";
/// The suites' data, relative to the root.
const DATA: &str = "../shared/conformance";

/// Runs one suite with its output as it is; the exit code is the suite's own.
///
/// # Errors
///
/// If the runner cannot be built or started.
pub(crate) fn run(arguments: &[&str]) -> anyhow::Result<ExitCode> {
    let mut command = runner(arguments);
    let status = command.status().with_context(|| format!("cannot start {}", shown(&command)))?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// Runs the suite that asks a Prometheus, which is built first unless `--prometheus` names one.
///
/// # Errors
///
/// If Prometheus cannot be built, or the runner cannot be built or started.
pub(crate) fn peer(flags: &[&str]) -> anyhow::Result<ExitCode> {
    let built = if flags.contains(&"--prometheus") { None } else { Some(crate::prometheus::build()?) };
    let path = built.as_ref().map(|path| path.to_string_lossy());
    let mut arguments = vec!["peer"];
    if let Some(path) = &path {
        arguments.extend(["--prometheus", path]);
    }
    arguments.extend(flags);
    run(&arguments)
}

/// Looks at one query from all sides; a Prometheus is asked too if it has been built.
///
/// # Errors
///
/// If the runner cannot be built or started.
pub(crate) fn try_query(arguments: &[&str]) -> anyhow::Result<ExitCode> {
    let built = if arguments.contains(&"--prometheus") { None } else { crate::prometheus::built()? };
    let path = built.as_ref().map(|path| path.to_string_lossy());
    let mut all = [&["try"], arguments].concat();
    if let Some(path) = &path {
        all.extend(["--prometheus", path]);
    }
    run(&all)
}

/// Seeds of the random queries that the gate asks of a Prometheus too, and how many of each.
const PEER_SEEDS: [&str; 6] = ["1", "2", "3", "4", "5", "6"];
const PEER_QUERIES: &str = "2000";

/// Asks the same random queries every time, about a minute of them; every answer must be that of Prometheus.
///
/// # Errors
///
/// If an answer differs, if Prometheus cannot be built, or if the runner cannot be built or started.
pub(crate) fn check_peer() -> anyhow::Result<()> {
    let prometheus = crate::prometheus::build()?;
    let prometheus = prometheus.to_string_lossy();
    succeed(&mut cargo_with(&["build", "--profile", "ci", "--package", "mytsdb-conformance"]))?;
    for seed in PEER_SEEDS {
        // Without the suites' data: the cases must not change with them.
        let place = ["--prometheus", &prometheus, "--dir", "none"];
        let arguments = [&["peer", "--seed", seed, "--queries", PEER_QUERIES][..], &place].concat();
        succeed(&mut runner(&arguments)).with_context(|| format!("peer, seed {seed}: answers differ"))?;
    }
    Ok(())
}

/// Runs every suite that has a floor; a suite below its full score passes as long as it is not below its floor.
///
/// # Errors
///
/// If a score is below its floor or cannot be read, or if the data are missing.
pub(crate) fn check_floors() -> anyhow::Result<()> {
    let data = root().join(DATA);
    ensure!(data.is_dir(), "{} is missing: without it nothing is checked", data.display());
    let path = root().join(FLOORS);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let floors = parse_floors(&text)?;
    ensure!(!floors.is_empty(), "{FLOORS} names no suite");
    succeed(&mut cargo_with(&["build", "--profile", "ci", "--package", "mytsdb-conformance"]))?;
    let mut fallen = Vec::new();
    for (suite, floor) in floors {
        let score = score_of(&suite)?;
        let verdict = if score.passed < floor { "BELOW THE FLOOR" } else { "ok" };
        println!("{suite}: {} of {}, floor {floor}: {verdict}", score.passed, score.all);
        if score.passed < floor {
            fallen.push(suite);
        } else if score.passed > floor {
            println!("{suite}: write {} into {FLOORS} to keep it", score.passed);
        }
    }
    ensure!(fallen.is_empty(), "below the recorded floor: {}", fallen.join(", "));
    Ok(())
}

fn runner(arguments: &[&str]) -> Command {
    let mut command = cargo_with(&["run", "--quiet", "--profile", "ci", "--package", "mytsdb-conformance", "--"]);
    command.args(arguments);
    command
}

fn score_of(suite: &str) -> anyhow::Result<Score> {
    let mut command = match suite.split_once(':') {
        Some((suite, storage)) => runner(&[suite, "--storage", storage]),
        None => runner(&[suite]),
    };
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {}", shown(&command)))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    let last = stdout.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    match parse_score(last) {
        Some(score) => Ok(score),
        None => bail!("{suite}: no score in the last line of output ({}): {last:?}", output.status),
    }
}

/// What a suite's last line says.
#[derive(Debug, PartialEq, Eq)]
struct Score {
    passed: u64,
    all: u64,
}

/// The first `PASSED of ALL` or `PASSED/ALL` in a line.
fn parse_score(line: &str) -> Option<Score> {
    let spaced = line.replace('/', " of ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    words.windows(3).filter(|window| window[1] == "of").find_map(|window| {
        let number = |word: &str| word.trim_matches(|c: char| !c.is_ascii_digit()).parse().ok();
        Some(Score { passed: number(window[0])?, all: number(window[2])? })
    })
}

fn parse_floors(text: &str) -> anyhow::Result<Vec<(String, u64)>> {
    let mut floors = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [] => {}
            [suite, floor] => {
                let floor = floor.parse().with_context(|| format!("{FLOORS}:{}: {floor:?}", index + 1))?;
                floors.push(((*suite).to_owned(), floor));
            }
            _ => bail!("{FLOORS}:{}: expected SUITE PASSED, found {line:?}", index + 1),
        }
    }
    Ok(floors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_read_in_both_spellings_and_nowhere_else() {
        assert_eq!(parse_score("promqltest: 1500 of 1550 evals pass"), Some(Score { passed: 1500, all: 1550 }));
        assert_eq!(parse_score("passed 539/539 (100.0 %)"), Some(Score { passed: 539, all: 539 }));
        assert_eq!(parse_score("score: 12 of 13."), Some(Score { passed: 12, all: 13 }));
        assert_eq!(parse_score("error: end of file"), None);
        assert_eq!(parse_score(""), None);
    }

    #[test]
    fn floors_have_a_suite_and_a_number() {
        let floors = parse_floors("# header\n\npromqltest 1500 # why\notlp 7\n").unwrap();
        assert_eq!(floors, [("promqltest".to_owned(), 1500), ("otlp".to_owned(), 7)]);
        assert!(parse_floors("promqltest").is_err());
        assert!(parse_floors("promqltest many").is_err());
    }
}
