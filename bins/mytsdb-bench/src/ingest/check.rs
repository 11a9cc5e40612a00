//! What a server has of the load: how many samples, and one series in full.

use crate::answers::{data, number, point};
use crate::load::{self, METRICS};
use crate::target::Target;
use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The time that the samples are of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rounds {
    pub(super) start_ms: i64,
    pub(super) step_ms: i64,
    pub(super) count: usize,
}

impl Rounds {
    pub(super) fn at_ms(self, round: usize) -> i64 {
        self.start_ms + self.step_ms * round as i64
    }

    fn end_ms(self) -> i64 {
        self.at_ms(self.count - 1)
    }

    /// A range in seconds that ends with the last round and has all of them, and none before.
    fn range_s(self) -> i64 {
        (self.end_ms() - self.start_ms) / 1_000 + 1
    }

    fn ask(self, target: &Target, query: String) -> Result<Value> {
        let end_ms = self.end_ms();
        let time = format!("{}.{:03}", end_ms / 1_000, end_ms % 1_000);
        let mut body = Vec::new();
        target.ask("/api/v1/query", &[("query", query), ("time", time)], &mut body)?;
        Ok(data(&body)?["result"].take())
    }
}

/// Rounds that are counted at once.
const COUNTED_ROUNDS: usize = 720;

/// Samples that the server has.
pub(super) fn stored(target: &Target, rounds: Rounds) -> Result<u64> {
    target.make_visible()?;
    let starts = (0..rounds.count).step_by(COUNTED_ROUNDS);
    let parts = starts.map(|from| Rounds {
        start_ms: rounds.at_ms(from),
        count: COUNTED_ROUNDS.min(rounds.count - from),
        ..rounds
    });
    parts.map(|part| count(target, part)).sum()
}

fn count(target: &Target, rounds: Rounds) -> Result<u64> {
    let mut stored = 0;
    // A metric at a time, so that a large run stays below the query's sample limit.
    for metric in 0..METRICS {
        let query = format!("sum(count_over_time(bench_queue_depth_m{metric}[{}s]))", rounds.range_s());
        if let Some(row) = rounds.ask(target, query)?.get(0) {
            stored += number(&row["value"][1])? as u64;
        }
    }
    Ok(stored)
}

/// One series is, sample by sample, what was sent.
pub(super) fn one_series(target: &Target, rounds: Rounds, series: usize) -> Result<()> {
    let query = format!("{{__name__=~\"bench_queue_depth_.*\",series=\"{series}\"}}[{}s]", rounds.range_s());
    let answer = rounds.ask(target, query)?;
    let values = answer[0]["values"].as_array().with_context(|| format!("series {series} in full"))?;
    ensure!(values.len() == rounds.count, "series {series} has {} samples, not {}", values.len(), rounds.count);
    for (round, sample) in values.iter().enumerate() {
        let (at_s, value) = point(sample)?;
        ensure!(
            value == load::value(series, round) && at_s == rounds.at_ms(round) as f64 / 1e3,
            "series {series}, round {round}: {value} at {at_s}"
        );
    }
    Ok(())
}
