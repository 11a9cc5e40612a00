//! `mytsdb tsdb ls`: tiers and files, with sizes and ages.

use super::cold_tier::ColdTier;
use super::preview::{self, RulePreview};
use super::table::{age, columns, size, time};
use super::{Places, has_tier};
use crate::clock::SystemClock;
use anyhow::{Context, Result};
use mytsdb_blocks::{Block, BlockError};
use mytsdb_engine::Clock;
use mytsdb_io::{Disk, RealDisk};
use mytsdb_model::TimeRange;
use serde::Serialize;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// All that is stored.
#[derive(Debug, Serialize)]
struct Listing {
    tiers: Vec<TierListing>,
    /// What rules would free.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    retention: Vec<RulePreview>,
}

/// One tier.
#[derive(Debug, Serialize)]
struct TierListing {
    /// `log`, `blocks`, `quarantine`, `cold`.
    tier: &'static str,
    /// A folder, or the address of a store.
    place: String,
    bytes: u64,
    /// Samples, as far as files tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_time_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_time_ms: Option<i64>,
    files: Vec<Entry>,
}

/// A file; in the cold tier the folder of a day, whose files always go together.
#[derive(Debug, Default, Serialize)]
struct Entry {
    name: String,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    written_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    series: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_time_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_time_ms: Option<i64>,
    /// Of a downsampled day: the width of its buckets, and how many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    resolution: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    buckets: Option<u64>,
    /// Files of a day's folder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<Part>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

#[derive(Debug, Serialize)]
struct Part {
    name: &'static str,
    bytes: u64,
}

impl Entry {
    fn ranged(self, range: TimeRange) -> Self {
        let known = (!range.is_empty()).then_some(range);
        Self { min_time_ms: known.map(|range| range.mint), max_time_ms: known.map(|range| range.maxt), ..self }
    }
}

impl TierListing {
    fn new(tier: &'static str, place: String, files: Vec<Entry>) -> Self {
        let counted = files.iter().all(|file| file.samples.is_some() || file.problem.is_some());
        Self {
            tier,
            place,
            bytes: files.iter().map(|file| file.bytes).sum(),
            samples: counted.then(|| files.iter().filter_map(|file| file.samples).sum()),
            min_time_ms: files.iter().filter_map(|file| file.min_time_ms).min(),
            max_time_ms: files.iter().filter_map(|file| file.max_time_ms).max(),
            files,
        }
    }
}

pub(super) fn run(places: &Places, rules: &[String]) -> Result<()> {
    let listing = Listing { tiers: tiers(places)?, retention: preview::of_rules(places, rules)? };
    let text = if places.json {
        serde_json::to_string_pretty(&listing).context("write JSON")? + "\n"
    } else {
        listing.text(SystemClock.now_ms())
    };
    std::io::stdout().lock().write_all(text.as_bytes()).context("write")
}

fn tiers(places: &Places) -> Result<Vec<TierListing>> {
    let mut tiers = Vec::new();
    if places.local {
        let dir = &places.config.data_dir;
        anyhow::ensure!(dir.is_dir(), "--data-dir {}: there is no such folder", dir.display());
        for (tier, folder) in [("log", "wal"), ("blocks", "blocks"), ("quarantine", "quarantine")] {
            let folder = dir.join(folder);
            let files = files_of(&folder, tier == "blocks")?;
            if tier != "quarantine" || !files.is_empty() {
                tiers.push(TierListing::new(tier, folder.display().to_string(), files));
            }
        }
    }
    if has_tier(&places.config)
        && let Some(cold) = ColdTier::open(places)?
    {
        let place = format!("{} (node {})", places.config.cold_url, cold.node);
        tiers.push(TierListing::new("cold", place, cold_entries(&cold)));
    }
    Ok(tiers)
}

/// The files of a folder; those that go away meanwhile are left out, a server may be at work.
fn files_of(folder: &Path, blocks: bool) -> Result<Vec<Entry>> {
    let names = match RealDisk.list(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        names => names.with_context(|| format!("list {}", folder.display()))?,
    };
    let mut files = Vec::new();
    for name in names {
        let path = folder.join(&name);
        let Some((bytes, written_ms)) = facts(&path)? else { continue };
        let entry = Entry { name, bytes, written_ms: Some(written_ms), ..Entry::default() };
        files.push(if blocks && mytsdb_blocks::parse_block_file_name(&entry.name).is_some() {
            match Block::open(&RealDisk, &path) {
                Ok(block) => {
                    let meta = block.meta();
                    let (series, samples) = (Some(u64::from(meta.series_count)), Some(meta.sample_count));
                    Entry { series, samples, ..entry }.ranged(meta.range)
                }
                Err(BlockError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => continue,
                Err(error) => Entry { problem: Some(error.to_string()), ..entry },
            }
        } else {
            entry
        });
    }
    Ok(files)
}

/// Length, and when it was last written; `None` for what is no file, or is gone.
pub(super) fn facts(path: &Path) -> Result<Option<(u64, i64)>> {
    let metadata = match path.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        metadata => metadata.with_context(|| format!("look at {}", path.display()))?,
    };
    let modified = metadata.modified().with_context(|| format!("look at {}", path.display()))?;
    let written_ms = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
    Ok(metadata.is_file().then_some((metadata.len(), written_ms)))
}

/// The paths of all files below a folder that have a name; none if there is no folder.
pub(super) fn paths_of(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(files_of(folder, false)?.into_iter().map(|file| folder.join(file.name)).collect())
}

fn cold_entries(cold: &ColdTier) -> Vec<Entry> {
    let manifest = cold.manifest();
    let days = manifest.days.iter().map(|day| {
        let parts = day.files.iter().map(|(kind, digest)| Part { name: kind.name(), bytes: digest.whole.bytes });
        let entry = Entry {
            name: day.folder(),
            bytes: day.bytes(),
            written_ms: i64::try_from(day.id.time_ms()).ok(),
            series: Some(day.series),
            samples: Some(day.samples + day.histograms),
            resolution: day.resolution.map(|resolution| resolution.to_string()),
            buckets: day.resolution.map(|_| day.buckets),
            parts: parts.collect(),
            ..Entry::default()
        };
        entry.ranged(day.range)
    });
    days.collect()
}

impl Listing {
    fn text(&self, now_ms: i64) -> String {
        let titles = |titles: [&str; 8]| titles.map(str::to_owned).to_vec();
        let number = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let at = |time_ms: Option<i64>| time_ms.map_or_else(|| "-".to_owned(), time);
        let since = |time_ms: Option<i64>| time_ms.map_or_else(|| "-".to_owned(), |time_ms| age(now_ms - time_ms));
        let mut out = String::new();
        let mut sums = vec![titles(["TIER", "FILES", "SIZE", "SAMPLES", "FROM", "TO", "AGE", "WHERE"])];
        for tier in &self.tiers {
            sums.push(vec![
                tier.tier.to_owned(),
                tier.files.len().to_string(),
                size(tier.bytes),
                number(tier.samples),
                at(tier.min_time_ms),
                at(tier.max_time_ms),
                since(tier.max_time_ms),
                tier.place.clone(),
            ]);
        }
        out += &columns(&sums, &[1, 2, 3]);
        for tier in self.tiers.iter().filter(|tier| !tier.files.is_empty()) {
            out += &["\n", tier.tier, "\n"].concat();
            let mut rows = vec![titles(["NAME", "SIZE", "SERIES", "SAMPLES", "FROM", "TO", "AGE", "WRITTEN"])];
            for file in &tier.files {
                let mut row = vec![
                    file.name.clone(),
                    size(file.bytes),
                    number(file.series),
                    number(file.samples),
                    at(file.min_time_ms),
                    at(file.max_time_ms),
                    since(file.max_time_ms),
                    at(file.written_ms),
                ];
                let buckets = file.resolution.as_ref().zip(file.buckets);
                row.extend(buckets.map(|(width, count)| format!("{count} buckets of {width}")));
                row.extend(file.problem.clone());
                rows.push(row);
            }
            out += &columns(&rows, &[1, 2, 3]);
        }
        for rule in &self.retention {
            out += &rule.text();
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_sums_its_files_and_text_shows_what_is_known() {
        let block = Entry { name: "0001".into(), bytes: 2048, samples: Some(7), ..Entry::default() }
            .ranged(TimeRange::new(0, 60_000));
        let damaged = Entry { name: "0002".into(), bytes: 1, problem: Some("bad".into()), ..Entry::default() };
        let (resolution, buckets) = (Some("1h".to_owned()), Some(24));
        let coarse = Entry { name: "0003".into(), samples: Some(0), resolution, buckets, ..Entry::default() };
        let tier = TierListing::new("blocks", "/d".into(), vec![block, damaged, coarse]);
        assert_eq!((tier.bytes, tier.samples, tier.max_time_ms), (2049, Some(7), Some(60_000)));
        let text = Listing { tiers: vec![tier], retention: Vec::new() }.text(3_660_000);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split("  ").map(str::trim).collect()).collect();
        assert!(lines[1].contains(&"2.0 KiB") && lines[1].contains(&"1h 0m"), "{text}");
        assert!(lines.iter().any(|line| line.contains(&"0003") && line.contains(&"24 buckets of 1h")), "{text}");
        assert!(lines.iter().any(|line| line.contains(&"0002") && line.contains(&"bad")), "{text}");
    }
}
