//! Files of the cold tier as Cortex reads them: a program with the module parquet-common opens each day's `labels.parquet` and `chunks.parquet`,
//! and its answers to selectors are those of the server's API.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::query::{Client, Series};

const DAY_MS: i64 = 86_400_000;
const SELECTORS: usize = 200;
/// The selectors are always the same.
const SEED: u64 = 12;

/// A series: samples by time as bits, and histograms by time as bits of count, sum and buckets.
#[derive(Debug, Default, PartialEq)]
struct Samples {
    floats: Vec<(i64, u64)>,
    histograms: Vec<(i64, Vec<u64>)>,
}

type Answer = BTreeMap<BTreeMap<String, String>, Samples>;

/// What was seen.
pub(crate) struct Verdict {
    days: usize,
    answers: usize,
    samples: usize,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { days, answers, samples } = self;
        write!(
            f,
            "parquet-common: {answers} equal answers to {SELECTORS} selectors over {days} days, {samples} samples"
        )
    }
}

/// Asks both about all days of a store in a folder.
///
/// # Errors
///
/// What failed, or the first difference.
pub(crate) fn check(program: &Path, store: &Path, client: &Client) -> anyhow::Result<Verdict> {
    let selectors = selectors();
    let days = days(store)?;
    ensure!(days.len() >= 3, "there are {} days with chunks in {}", days.len(), store.display());
    let mut verdict = Verdict { days: days.len(), answers: 0, samples: 0 };
    for (first_ms, folder) in days {
        let last_ms = first_ms + DAY_MS - 1;
        let answers = ask(program, &folder, first_ms, last_ms, &selectors)?;
        for (selector, found) in selectors.iter().zip(answers) {
            let expected = of_api(client.query(&format!("{selector}[1d]"), Some(last_ms))?)?;
            if let Some((labels, _)) = found.iter().find(|(labels, samples)| expected.get(*labels) != Some(*samples)) {
                let (found, expected) = (&found[labels], expected.get(labels));
                anyhow::bail!("{}: {selector}: {labels:?} is {found:?}, expected {expected:?}", folder.display());
            }
            ensure!(found.len() == expected.len(), "{selector}: {} series, expected {}", found.len(), expected.len());
            verdict.answers += 1;
            verdict.samples += found.values().map(|s| s.floats.len() + s.histograms.len()).sum::<usize>();
        }
    }
    Ok(verdict)
}

/// The folders of days with a file of chunks, and when each day begins.
#[expect(clippy::disallowed_methods, reason = "files of a test run are looked at")]
fn days(store: &Path) -> anyhow::Result<Vec<(i64, PathBuf)>> {
    let (mut found, mut folders) = (Vec::new(), vec![store.to_owned()]);
    while let Some(folder) = folders.pop() {
        if folder.join("chunks.parquet").exists() {
            found.push((begin_of(&folder)?, folder));
            continue;
        }
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            folders.extend(path.is_dir().then_some(path));
        }
    }
    found.sort();
    Ok(found)
}

/// The day of `.../day=YYYY-MM-DD/ID`, as ms since the epoch.
fn begin_of(folder: &Path) -> anyhow::Result<i64> {
    let day = folder.parent().and_then(Path::file_name).and_then(|name| name.to_str()).context("no day")?;
    let date = day.strip_prefix("day=").with_context(|| day.to_owned())?;
    let output = Command::new("date").args(["-u", "-d", date, "+%s"]).output().context("date")?;
    let seconds: i64 = String::from_utf8_lossy(&output.stdout).trim().parse().with_context(|| date.to_owned())?;
    Ok(seconds * 1_000)
}

/// Selectors of every kind, over labels of the series and labels that none has.
fn selectors() -> Vec<String> {
    const NAMES: [&str; 6] = ["counter", "gauge", "histogram_integer", "histogram_float", "histogram_mixed", "nothing"];
    const PATTERNS: [&str; 6] = ["counter|gauge", "histogram_.+", ".*e.*", "(?i:COUNTER)", "[cg].*", "gauge|"];
    const REST: [(&str, &[&str]); 4] = [
        ("series", &["0", "1", "5", "", "[0-3]", ".+", "1|4|", ".*"]),
        ("kind", &["float", "custom", "", "gauge|mixed", ".+", "i.*"]),
        ("zone", &["\u{fc}/\\\"x\\\"", "", ".*x.*", "\u{fc}.+"]),
        ("absent", &["", "a", ".+", ".*"]),
    ];
    let mut random = mytsdb_testkit::Random::new(SEED);
    let mut selectors = Vec::new();
    while selectors.len() < SELECTORS {
        // The first matcher never accepts the empty text, as the API demands of one of them.
        let first = match random.below(3) {
            0 => format!("__name__=\"{}\"", random.pick(&NAMES)),
            1 => format!("__name__=~\"{}\"", random.pick(&PATTERNS[..5])),
            _ => format!("__name__=~\".+\",__name__!~\"{}\"", random.pick(&PATTERNS)),
        };
        let mut matchers = vec![first];
        for _ in 0..random.below(3) {
            let (name, values) = random.pick(&REST);
            let operator = random.pick(&["=", "!=", "=~", "!~"]);
            matchers.push(format!("{name}{operator}\"{}\"", random.pick(values)));
        }
        let text = format!("{{{}}}", matchers.join(","));
        if !selectors.contains(&text) {
            selectors.push(text);
        }
    }
    selectors
}

fn ask(
    program: &Path,
    folder: &Path,
    first_ms: i64,
    last_ms: i64,
    selectors: &[String],
) -> anyhow::Result<Vec<Answer>> {
    let mut run = Command::new(program);
    run.arg(folder).args([first_ms, last_ms].map(|ms| ms.to_string()));
    let mut child = run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("no input")?;
    let text = selectors.join("\n") + "\n";
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = child.wait_with_output()?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}: {}: {errors}", folder.display(), output.status);
    writer.join().map_err(|_| anyhow::anyhow!("the thread that writes has failed"))??;
    let answers: Vec<Answer> = String::from_utf8(output.stdout)?.lines().map(of_line).collect::<Result<_, _>>()?;
    ensure!(answers.len() == selectors.len(), "{} answers to {} selectors", answers.len(), selectors.len());
    Ok(answers)
}

/// An answer of the program: numbers as decimal texts, of floats their bits.
fn of_line(line: &str) -> anyhow::Result<Answer> {
    let rows: Value = serde_json::from_str(line)?;
    let mut answer = Answer::new();
    for row in rows.as_array().context("no list")? {
        let labels = serde_json::from_value(row["labels"].clone())?;
        let mut samples = Samples::default();
        for sample in serde_json::from_value::<Vec<(String, String)>>(row["samples"].clone())? {
            samples.floats.push((sample.0.parse()?, sample.1.parse()?));
        }
        for histogram in serde_json::from_value::<Vec<Vec<String>>>(row["histograms"].clone())? {
            let (time, rest) = histogram.split_first().context("no time")?;
            let numbers = rest.iter().map(|number| number.parse()).collect::<Result<_, _>>()?;
            samples.histograms.push((time.parse()?, numbers));
        }
        ensure!(answer.insert(labels, samples).is_none(), "a series twice: {row}");
    }
    Ok(answer)
}

/// An answer of the API in the same form.
fn of_api(found: Vec<Series>) -> anyhow::Result<Answer> {
    let mut answer = Answer::new();
    for series in found {
        let mut samples = Samples::default();
        samples.floats = series.samples.iter().map(|(time, value)| (*time, bits(*value))).collect();
        for text in &series.histograms {
            let histogram: Value = serde_json::from_str(text)?;
            let time = (histogram[0].as_f64().context("no time")? * 1_000.0).round() as i64;
            let mut numbers = vec![number(&histogram[1]["count"])?, number(&histogram[1]["sum"])?];
            for bucket in histogram[1]["buckets"].as_array().into_iter().flatten() {
                numbers.extend([number(&bucket[1])?, number(&bucket[2])?, number(&bucket[3])?]);
            }
            samples.histograms.push((time, numbers));
        }
        answer.insert(series.labels, samples);
    }
    Ok(answer)
}

fn number(text: &Value) -> anyhow::Result<u64> {
    Ok(bits(text.as_str().with_context(|| format!("{text} is no text"))?.parse()?))
}

/// The bits of a float; all that are no number are one.
fn bits(value: f64) -> u64 {
    // As Go has it.
    if value.is_nan() { 0x7ff8_0000_0000_0001 } else { value.to_bits() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_many_and_different_and_answers_are_read_bit_for_bit() {
        assert_eq!(selectors().len(), SELECTORS);
        assert_eq!(selectors(), selectors());
        let line = r#"[{"labels":{"a":"b"},"samples":[["5","4607182418800017408"]],"histograms":[["6","1","2"]]}]"#;
        let answer = of_line(line).unwrap();
        let expected = Samples { floats: vec![(5, 1f64.to_bits())], histograms: vec![(6, vec![1, 2])] };
        assert_eq!(answer.into_values().collect::<Vec<_>>(), [expected]);
        assert!(of_line(&line.replace("\"5\"", "\"x\"")).is_err());
    }
}
