//! Scale beyond one machine, on paper: what small runs cost, as a formula, which must predict a large run before it is believed
//! of one that nobody ran.

use super::check::Rounds;
use super::{IngestArgs, STEP_MS, load, now_ms};
use crate::k8s::{Way, settle};
use crate::report_file;
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;

/// Time that one block covers.
const BLOCK_MS: i64 = 7_200_000;
/// Seconds of samples that the head has at most: a block's, and a quarter of an hour until they are flushed.
const HEAD_S: f64 = 8_100.0;
/// How old samples are: so old that they are flushed when there is a newer one.
const AGE_MS: i64 = 6 * 3_600_000;
/// Rounds of the run that is predicted, and how far off the formula may be.
const ROUNDS: usize = 40;
const OFF_MAX: f64 = 0.2;
/// From the end of the load to the look at the memory.
const REST: Duration = Duration::from_secs(3);
/// The longest that blocks may take to be written.
const FLUSH_MAX: Duration = Duration::from_mins(3);

/// What a run cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    series: f64,
    samples: f64,
    /// By [`QUANTITIES`].
    bytes: [f64; 3],
    cpu_s_per_million: f64,
}

/// What is predicted.
const QUANTITIES: [&str; 3] = ["memory", "log", "blocks"];

/// Bytes as a function of series and samples.
#[derive(Debug, Clone, Copy)]
struct Formula {
    fixed: f64,
    per_series: f64,
    per_sample: f64,
}

impl Formula {
    /// The only one that agrees with three runs: two with the same number of samples a series, and one with more of them.
    fn of(runs: &[Cost; 3], quantity: usize) -> Result<Self> {
        let [a, b, c] = runs.map(|run| [1.0, run.series, run.samples, run.bytes[quantity]]);
        let minor = |i: usize, j: usize, k: usize| {
            a[i] * (b[j] * c[k] - b[k] * c[j]) - a[j] * (b[i] * c[k] - b[k] * c[i]) + a[k] * (b[i] * c[j] - b[j] * c[i])
        };
        let all = minor(0, 1, 2);
        ensure!(all != 0.0, "the runs say the same");
        // Cramer's rule.
        let formula =
            Self { fixed: minor(3, 1, 2) / all, per_series: minor(0, 3, 2) / all, per_sample: minor(0, 1, 3) / all };
        if formula.per_sample >= 0.0 {
            return Ok(formula);
        }
        // No sample makes anything smaller: what one costs is less than what runs differ by.
        let per_series = (b[3] - a[3]) / (b[1] - a[1]);
        Ok(Self { fixed: a[3] - a[1] * per_series, per_series, per_sample: 0.0 })
    }

    fn at(self, series: f64, samples: f64) -> f64 {
        self.fixed + series * self.per_series + samples * self.per_sample
    }

    /// The arithmetic in words.
    fn shown(self, series: f64, samples: f64) -> String {
        format!(
            "{} + {series:.0} series x {:.1} B + {samples:.0} samples x {:.2} B = {}",
            size(self.fixed),
            self.per_series,
            self.per_sample,
            size(self.at(series, samples))
        )
    }

    fn json(self) -> Value {
        json!({"fixed": self.fixed, "per_series": self.per_series, "per_sample": self.per_sample})
    }
}

/// Bytes with a unit.
fn size(bytes: f64) -> String {
    match bytes.abs() {
        b if b >= 1e12 => format!("{:.2} TB", bytes / 1e12),
        b if b >= 1e9 => format!("{:.2} GB", bytes / 1e9),
        b if b >= 1e6 => format!("{:.1} MB", bytes / 1e6),
        _ => format!("{:.1} kB", bytes / 1e3),
    }
}

/// Runs small loads, predicts a large one, runs that too, and then says what `--series` series cost.
///
/// # Errors
///
/// If the formula is off by more than a fifth.
pub(super) fn run(args: &IngestArgs) -> Result<()> {
    let measured = args.measured_series;
    ensure!(args.subject.is_mytsdb(), "--simulate is about mytsdb");
    ensure!(
        measured.is_multiple_of(20 * args.load.points_per_request),
        "--measured-series must be a multiple of 20 times --points-per-request"
    );
    let small = [(measured / 20, 30), (measured / 5, 30), (measured / 10, 150)];
    let mut runs = Vec::new();
    for (series, rounds) in small {
        runs.push(cost(args, series, rounds)?);
    }
    let runs: [Cost; 3] = runs.try_into().ok().context("three runs")?;
    let formulas = [0, 1, 2].map(|quantity| Formula::of(&runs, quantity));
    let formulas: Vec<Formula> = formulas.into_iter().collect::<Result<_>>()?;
    let large = cost(args, measured, ROUNDS)?;
    println!("\n{measured} series x {ROUNDS} samples, predicted by runs of {small:?} series and samples each:");
    let mut found = serde_json::Map::new();
    let mut worst: f64 = 0.0;
    for ((quantity, formula), bytes) in QUANTITIES.iter().zip(&formulas).zip(large.bytes) {
        let off = formula.at(large.series, large.samples) / bytes - 1.0;
        worst = worst.max(off.abs());
        println!("{quantity:<7} {}", formula.shown(large.series, large.samples));
        println!("        measured {}, {:+.1} %", size(bytes), off * 100.0);
        let predicted = formula.at(large.series, large.samples);
        let figures = json!({"formula": formula.json(), "predicted": predicted, "measured": bytes, "off": off});
        found.insert((*quantity).to_owned(), figures);
    }
    let paper = paper(args, &formulas, large.cpu_s_per_million);
    if let Some(path) = &args.json {
        let found = json!({"measured_series": measured, "rounds": ROUNDS, "quantities": found, "paper": paper});
        report_file::write(path, &found)?;
    }
    ensure!(worst <= OFF_MAX, "the arithmetic is off by {:.0} %, more than {:.0} %", worst * 100.0, OFF_MAX * 100.0);
    Ok(())
}

/// What the asked number of series costs.
fn paper(args: &IngestArgs, formulas: &[Formula], cpu_s_per_million: f64) -> Value {
    let (series, interval_s) = (args.load.series as f64, STEP_MS as f64 / 1e3);
    let [memory, log, blocks] = [formulas[0], formulas[1], formulas[2]];
    let per_second = series / interval_s;
    let (in_head, in_block) = (per_second * HEAD_S, per_second * BLOCK_MS as f64 / 1e3);
    let log_rate = per_second * log.per_sample;
    let cores = per_second * cpu_s_per_million / 1e6;
    let day = blocks.at(series, per_second * 86_400.0);
    println!("\n{series:.0} series, a sample of each at every {interval_s:.0} s, on paper:");
    println!("rate    {series:.0} / {interval_s:.0} s = {per_second:.0} samples/s");
    println!("CPU     {per_second:.0} samples/s x {cpu_s_per_million:.2} s a million = {cores:.2} cores for ingest");
    println!("log     {per_second:.0} samples/s x {:.2} B = {}/s", log.per_sample, size(log_rate));
    println!("        {HEAD_S:.0} s of it until a flush frees it: {}", log.shown(series, in_head));
    println!("memory  {HEAD_S:.0} s in the head: {}", memory.shown(series, in_head));
    println!("index   {series:.0} series x {:.1} B = {} a block", blocks.per_series, size(series * blocks.per_series));
    println!("block   2 h: {}", blocks.shown(series, in_block));
    println!("day     merged into one block: {}", blocks.shown(series, per_second * 86_400.0));
    json!({
        "series": series,
        "samples_per_second": per_second,
        "cores": cores,
        "log_bytes_per_second": log_rate,
        "log_bytes": log.at(series, in_head),
        "memory_bytes": memory.at(series, in_head),
        "index_bytes": series * blocks.per_series,
        "block_bytes": blocks.at(series, in_block),
        "day_bytes": day,
    })
}

/// A fresh server is loaded, looked at, made to flush, and looked at again.
fn cost(args: &IngestArgs, series: usize, rounds: usize) -> Result<Cost> {
    let target = args.subject.start(0)?;
    let now_ms = now_ms()?;
    // All of it in one block, so that nothing is flushed while it is sent.
    let start_ms = (now_ms - AGE_MS).div_euclid(BLOCK_MS) * BLOCK_MS + STEP_MS;
    let figures = load(args, series, &target, Rounds { start_ms, step_ms: STEP_MS, count: rounds })?;
    // Requests that were in the works have left memory by then.
    std::thread::sleep(REST);
    let memory = target.usage()?.1;
    let way = Way::new(&target, args.protocol(), None)?;
    let settled = settle::wait(&target, &way, now_ms, FLUSH_MAX)?;
    ensure!(!settled.busy, "blocks are not written after {FLUSH_MAX:?}");
    let samples = figures.acknowledged as f64;
    let bytes = [memory as f64, figures.log_bytes().context("mytsdb has a log")? as f64, settled.block_bytes as f64];
    ensure!(bytes.iter().all(|&bytes| bytes > 0.0), "{series} series: nothing to measure: {bytes:?}");
    println!("{series:>9} series x {rounds} samples: {}", bytes.map(size).join(", "));
    Ok(Cost { series: series as f64, samples, bytes, cpu_s_per_million: figures.cpu_s_per_million() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_runs_give_the_formula_they_came_from() {
        let truth = Formula { fixed: 4e7, per_series: 650.0, per_sample: 1.75 };
        let runs = [(50_000.0, 30.0), (200_000.0, 30.0), (100_000.0, 90.0)].map(|(series, rounds)| Cost {
            series,
            samples: series * rounds,
            bytes: [0.0, truth.at(series, series * rounds), 0.0],
            cpu_s_per_million: 0.0,
        });
        let formula = Formula::of(&runs, 1).unwrap();
        let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-6, "{a} {b}");
        close(formula.fixed, truth.fixed);
        close(formula.per_series, truth.per_series);
        close(formula.per_sample, truth.per_sample);
        close(formula.at(1e7, 1e9), truth.at(1e7, 1e9));
        assert!(Formula::of(&[runs[0]; 3], 1).is_err());
        let mut noisy = runs;
        noisy[2].bytes[1] = 0.9 * truth.at(100_000.0, 0.0);
        let formula = Formula::of(&noisy, 1).unwrap();
        assert!(formula.per_sample == 0.0, "{formula:?}");
        close(formula.at(200_000.0, 6e6), runs[1].bytes[1]);
    }
}
