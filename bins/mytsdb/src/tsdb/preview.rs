//! What rules of retention would free, tier by tier.

use super::Places;
use super::cold_tier::ColdTier;
use super::list::{facts, paths_of};
use super::table::{columns, size, time};
use crate::clock::SystemClock;
use crate::retention::{Freed, Preview, Rule, tombstones};
use anyhow::{Context, Result};
use mytsdb_blocks::{Block, BlockError};
use mytsdb_engine::Clock;
use mytsdb_io::RealDisk;
use mytsdb_wal::{Record, Rows};
use serde::Serialize;
use std::io::ErrorKind;

/// What a rule would free.
#[derive(Debug, Serialize)]
pub(super) struct RulePreview {
    rule: String,
    /// Samples before this time would go.
    before_ms: i64,
    tiers: Vec<TierPreview>,
}

#[derive(Debug, Serialize)]
struct TierPreview {
    tier: &'static str,
    #[serde(flatten)]
    freed: Freed,
}

/// Looks for each rule at everything that is stored.
pub(super) fn of_rules(places: &Places, texts: &[String]) -> Result<Vec<RulePreview>> {
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let parse = |text: &String| Rule::parse(text).with_context(|| format!("--preview-retention {text:?}"));
    let rules: Vec<Rule> = texts.iter().map(parse).collect::<Result<_>>()?;
    let dir = &places.config.data_dir;
    let cold = ColdTier::open(places)?;
    let tombstones = if places.local { tombstones(dir)? } else { Vec::new() };
    let blocks = if places.local { open_blocks(places)? } else { Vec::new() };
    let (mut newest_ms, mut log_bytes) = (i64::MIN, 0);
    if places.local {
        newest_ms = newest_of_log(places)?;
        for path in paths_of(&dir.join("wal"))? {
            log_bytes += facts(&path)?.map_or(0, |(bytes, _)| bytes);
        }
    }
    newest_ms = blocks.iter().map(|block| block.meta().range.maxt).fold(newest_ms, i64::max);
    let manifest = cold.as_ref().map(ColdTier::manifest);
    let days = manifest.as_ref().map_or(&[][..], |manifest| &manifest.days[..]);
    newest_ms = days.iter().map(|day| day.range.maxt).fold(newest_ms, i64::max);
    // What a store has is old: only the data folder tells how far the clock may be believed.
    let now_ms = if places.local { SystemClock.now_ms().min(newest_ms) } else { SystemClock.now_ms() };
    let mut previews = Vec::new();
    for (rule, text) in rules.iter().zip(texts) {
        let preview = Preview { rule, range: rule.expired(now_ms), tombstones: &tombstones };
        let mut tiers = Vec::new();
        if places.local {
            tiers.push(TierPreview { tier: "log", freed: preview.of_log(&dir.join("wal"), log_bytes)? });
            let mut freed = Freed::default();
            for block in &blocks {
                preview.add_block(block, &mut freed)?;
            }
            tiers.push(TierPreview { tier: "blocks", freed });
        }
        if let Some(cold) = &cold {
            let mut freed = Freed::default();
            for day in days.iter().filter(|day| preview.range.encloses(day.range)) {
                for series in cold.select(day, &rule.selector, preview.range)? {
                    if preview.is_hidden(series.labels(), day.number, series.range()) {
                        continue;
                    }
                    freed.series += 1;
                    freed.samples += series.sample_count();
                    let share =
                        series.sample_count() as f64 / (day.samples + day.histograms + day.buckets).max(1) as f64;
                    freed.bytes += (day.bytes() as f64 * share) as u64;
                }
            }
            tiers.push(TierPreview { tier: "cold", freed });
        }
        previews.push(RulePreview { rule: text.clone(), before_ms: preview.range.maxt.saturating_add(1), tiers });
    }
    Ok(previews)
}

fn open_blocks(places: &Places) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    for path in paths_of(&places.config.data_dir.join("blocks"))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if mytsdb_blocks::parse_block_file_name(&name).is_none() {
            continue;
        }
        match Block::open(&RealDisk, &path) {
            Ok(block) => blocks.push(block),
            // A server has merged it meanwhile.
            Err(BlockError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(blocks)
}

/// The newest time in the log.
fn newest_of_log(places: &Places) -> Result<i64> {
    let mut newest_ms = i64::MIN;
    mytsdb_wal::replay(&RealDisk, &places.config.data_dir.join("wal"), &mut |record| {
        if let Record::Samples { timestamps_ms, .. } | Record::Rows(Rows { timestamps_ms, .. }) = record {
            newest_ms = timestamps_ms.iter().copied().fold(newest_ms, i64::max);
        }
    })?;
    Ok(newest_ms)
}

impl RulePreview {
    pub(super) fn text(&self) -> String {
        let mut rows = vec![["TIER", "SERIES", "SAMPLES", "SIZE"].map(str::to_owned).to_vec()];
        for TierPreview { tier, freed } in &self.tiers {
            rows.push(vec![(*tier).to_owned(), freed.series.to_string(), freed.samples.to_string(), size(freed.bytes)]);
        }
        format!("\n{} would free what is before {}\n{}", self.rule, time(self.before_ms), columns(&rows, &[1, 2, 3]))
    }
}
