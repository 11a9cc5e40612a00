//! The checks: what is acknowledged is there, once, and every answer is the model's.

use super::check::{compare, seen};
use super::cluster::Cluster;
use super::model::Model;
use super::questions::Question;
use super::reader::{Kept, Reading};
use super::source::{Samples, Source, Stored};
use super::values::noise;
use super::wire::{Datum, Kind};
use super::writer::Sent;
use crate::answers::{data, number, point};
use crate::target::Target;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Samples that one counting query looks at.
const COUNTED_MAX: i64 = 4_000_000;

/// Series that are compared sample by sample, and the most samples of each.
const SERIES_COMPARED: u64 = 40;
const TICKS_COMPARED: usize = 1_000;

/// Which checks failed, and how.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    failed: BTreeMap<&'static str, Vec<String>>,
}

impl Checks {
    /// Remembers a failure unless `holds`.
    pub(crate) fn require(&mut self, check: &'static str, holds: bool, why: impl FnOnce() -> String) {
        if !holds {
            self.failed.entry(check).or_default().push(why());
        }
    }

    fn fail(&mut self, check: &'static str, why: String) {
        self.require(check, false, || why);
    }

    /// Prints what failed.
    ///
    /// # Errors
    ///
    /// If anything did; the error names the checks.
    pub(crate) fn end(&self) -> Result<()> {
        for (check, reasons) in &self.failed {
            for why in reasons.iter().take(3) {
                println!("FAILED {check}: {why}");
            }
            if reasons.len() > 3 {
                println!("FAILED {check}: {} more", reasons.len() - 3);
            }
        }
        if self.failed.is_empty() {
            return Ok(());
        }
        let names: Vec<&str> = self.failed.keys().copied().collect();
        bail!("checks failed: {}", names.join(", "))
    }
}

/// Samples of one request are there as soon as it is acknowledged.
pub(crate) fn visible(target: &Target, sent: &Sent, checks: &mut Checks) -> Result<()> {
    let selector = format!("timestamp({})", selector(&sent.name, &sent.labels));
    let at_s = sent.time_ms.div_euclid(1_000) + 1;
    let mut body = Vec::new();
    target.ask("/api/v1/query", &[("query", selector.clone()), ("time", at_s.to_string())], &mut body)?;
    let result = data(&body)?["result"].take();
    let found = result[0]["value"][1].as_str().and_then(|value| value.parse::<f64>().ok());
    let wanted = sent.time_ms as f64 / 1e3;
    checks.require("visible when acknowledged", found == Some(wanted), || {
        format!("{selector} is {found:?} and not {wanted} right after the acknowledgement")
    });
    Ok(())
}

/// As many samples are stored as were acknowledged.
pub(crate) fn count(
    target: &Target,
    source: &dyn Source,
    acknowledged: Samples,
    check: &'static str,
    checks: &mut Checks,
) -> Result<()> {
    let victoria = target.name == "victoria";
    target.make_visible()?;
    let expected = if victoria { acknowledged.numbers } else { acknowledged.all };
    let (span, run) = (source.span(), source.run());
    let mut stored = 0;
    for Stored { name, series, .. } in source.stored().into_iter().filter(|stored| stored.is_number || !victoria) {
        let slice_s = (COUNTED_MAX / series as i64).max(1) * span.interval_ms / 1_000;
        let mut from_s = span.start_ms / 1_000 - 1;
        while from_s * 1_000 < span.end_ms {
            let to_s = (from_s + slice_s).min(span.end_ms / 1_000 + 1);
            let query = format!("sum(count_over_time({name}{{cluster=~\".*{run}\"}}[{}s]))", to_s - from_s);
            let mut body = Vec::new();
            target.ask("/api/v1/query", &[("query", query), ("time", to_s.to_string())], &mut body)?;
            let result = data(&body)?["result"].take();
            if let Some(row) = result.get(0) {
                stored += number(&row["value"][1])? as u64;
            }
            from_s = to_s;
        }
    }
    checks.require(check, stored == expected, || format!("{stored} samples are stored, {expected} were acknowledged"));
    Ok(())
}

/// Some series are, sample by sample, what was sent up to a time; which ones depends on the seed.
pub(crate) fn samples(
    target: &Target,
    source: &dyn Source,
    newest_ms: i64,
    seed: u64,
    checks: &mut Checks,
) -> Result<()> {
    let mut body = Vec::new();
    for choice in 0..SERIES_COMPARED {
        let unit = noise(seed, choice) as usize % source.units();
        // Ticks of the unit's present life, the newest first.
        let known = (0..source.ticks(unit)).rev().skip_while(|&tick| source.time_ms(unit, tick) > newest_ms);
        let mut ticks: Vec<u64> = known.take(TICKS_COMPARED).collect();
        let Some(&newest) = ticks.first() else { continue };
        let generation = source.generation(unit, newest);
        ticks.retain(|&tick| source.generation(unit, tick) == generation);
        ticks.reverse();
        let described = source.describe(unit, generation);
        let numbers = |kind: Kind| kind == Kind::Gauge || kind == Kind::Counter;
        let rows: Vec<usize> = (0..described.len()).filter(|&row| numbers(described[row].kind)).collect();
        let row = rows[noise(seed ^ 1, choice) as usize % rows.len()];
        let expected = ticks.iter().filter_map(|&tick| match source.datum(unit, row, tick)? {
            Datum::Number(value) => Some((source.time_ms(unit, tick) as f64 / 1e3, value)),
            _ => None,
        });
        let expected: Vec<(f64, f64)> = expected.collect();
        let (first_ms, last_ms) = (source.time_ms(unit, ticks[0]), source.time_ms(unit, newest));
        let query = format!("{}[{}ms]", selector(&described[row].name, &described[row].labels), last_ms - first_ms + 1);
        let time = format!("{}.{:03}", last_ms / 1_000, last_ms % 1_000);
        target.ask("/api/v1/query", &[("query", query.clone()), ("time", time)], &mut body)?;
        let result = data(&body)?["result"].take();
        let found: Vec<(f64, f64)> = match result[0]["values"].as_array() {
            Some(values) => values.iter().map(point).collect::<Result<_>>()?,
            None => Vec::new(),
        };
        let same = |(a, b): (&(f64, f64), &(f64, f64))| a.0 == b.0 && (a.1 == b.1 || (a.1.is_nan() && b.1.is_nan()));
        let whole = found.len() == expected.len() && found.iter().zip(&expected).all(same);
        checks.require("samples", whole, || {
            let wrong = found.iter().zip(&expected).find(|(a, b)| !same((a, b)));
            format!("{query}: {} samples, not {}; first other: {wrong:?}", found.len(), expected.len())
        });
    }
    Ok(())
}

fn selector(name: &str, labels: &[(String, String)]) -> String {
    let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{name}{{{}}}", labels.join(","))
}

/// What became of a question in the last round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered {
    pub(crate) rows: usize,
    pub(crate) points: usize,
    /// Of a peer that means something else by a function, an answer may differ.
    pub(crate) agrees: bool,
}

/// Answers of the load that were checked, and of how many.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Checked {
    pub(crate) checked: usize,
    pub(crate) kept: usize,
}

/// Knows what is right.
pub(crate) struct Judge<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) questions: &'a [Question],
    pub(crate) oldest_s: i64,
    pub(crate) newest_s: i64,
    /// Answers that differ are a failure.
    pub(crate) strict: bool,
}

impl Judge<'_> {
    fn model(&self) -> Model<'_> {
        Model::new(self.cluster, self.newest_s * 1_000)
    }

    /// Every question at the newest data.
    pub(crate) fn last_round(&self, target: &Target, checks: &mut Checks) -> Result<Vec<Answered>> {
        let mut model = self.model();
        let (mut answers, mut body) = (Vec::new(), Vec::new());
        for question in self.questions {
            let (path, parameters) = question.request(self.oldest_s, self.newest_s);
            target.ask(path, &parameters, &mut body)?;
            let seen = seen(&body).with_context(|| question.expression.to_string())?;
            let compared = compare(&mut model, question, self.oldest_s, self.newest_s, &body);
            let agrees = compared.is_ok();
            if let (Err(error), true) = (compared, self.strict) {
                checks.fail("answers", format!("{}: {error:#}", question.expression));
            }
            answers.push(Answered { rows: seen.rows, points: seen.points, agrees });
        }
        Ok(answers)
    }

    /// As many of the load's answers as there is time for, in random order, on all cores.
    pub(crate) fn kept(&self, readings: &[Reading], seconds: f64, checks: &mut Checks) -> Checked {
        let mut kept: Vec<&Kept> = readings.iter().flat_map(|reading| &reading.kept).collect();
        let all = kept.len();
        if !self.strict {
            return Checked { checked: 0, kept: all };
        }
        kept.sort_by_key(|kept| noise(kept.newest_s.cast_unsigned(), kept.question as u64));
        let deadline = Instant::now() + Duration::from_secs_f64(seconds);
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let results: Vec<(usize, Vec<String>)> = std::thread::scope(|scope| {
            let judge = |thread: usize| {
                let kept = &kept;
                scope.spawn(move || self.some(kept.iter().skip(thread).step_by(threads).copied(), deadline))
            };
            let judges: Vec<_> = (0..threads).map(judge).collect();
            judges.into_iter().map(|j| j.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        let checked = results.iter().map(|(checked, _)| checked).sum();
        results.into_iter().flat_map(|(_, wrong)| wrong).for_each(|why| checks.fail("answers", why));
        Checked { checked, kept: all }
    }

    fn some<'k>(&self, kept: impl Iterator<Item = &'k Kept>, deadline: Instant) -> (usize, Vec<String>) {
        let (mut model, mut checked, mut wrong) = (self.model(), 0, Vec::new());
        for kept in kept {
            if Instant::now() > deadline {
                break;
            }
            let question = &self.questions[kept.question];
            if let Err(error) = compare(&mut model, question, self.oldest_s, kept.newest_s, &kept.body) {
                wrong.push(format!("{} under load: {error:#}", question.expression));
            }
            checked += 1;
        }
        (checked, wrong)
    }
}
