//! `mytsdb tsdb export`: everything that is stored, or some of it, as blocks of Prometheus, one for each day.

use super::progress::Progress;
use super::table::size;
use super::{Places, has_tier};
use crate::cold::{Reads, open_storage};
use crate::export::chosen;
use anyhow::{Context, Result, bail};
use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use mytsdb_cold::Unreachable;
use mytsdb_columns::Columns;
use mytsdb_engine::{Engine, Selection};
use mytsdb_io::RealDisk;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_parquet_tier::{DAY_MS, FileId};
use mytsdb_promql_syntax::{ParseOptions, TextLimits, parse_selector};
use mytsdb_telemetry::Registry;
use mytsdb_tsdb_block::{BlockWriter, Details, Written};
use serde::Serialize;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Days between the first and the last sample; there are more only if a sample has a time that makes no sense.
const DAYS_MAX: i64 = 100_000;

/// The command line, without `--json` and the settings.
pub(super) fn command() -> Command {
    let arg = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("export")
        .about("Write blocks of Prometheus' TSDB, one for each day in UTC")
        .long_about(
            "Write blocks of Prometheus' TSDB, one for each day in UTC, which Prometheus, promtool, Thanos and Mimir read. \
             Native histograms are in them; start times, exemplars, types and units are not, the format has no room for them. \
             No server may have the data folder open.",
        )
        .arg(
            arg("output", "DIR", "Folder for the blocks; made if missing")
                .required(true)
                .value_parser(ValueParser::path_buf()),
        )
        .args(chosen())
        .arg(
            arg(
                "external-label",
                "NAME=VALUE",
                "Label of all blocks in meta.json, for Thanos and Mimir; may be given more than once [default: none]",
            )
            .action(ArgAction::Append)
            .value_parser(name_and_value),
        )
}

fn name_and_value(text: &str) -> Result<(String, String), String> {
    let parts = text.split_once('=').filter(|(name, value)| !name.is_empty() && !value.is_empty());
    let (name, value) = parts.ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// A block, as `--json` shows it.
#[derive(Serialize)]
struct Shown {
    path: PathBuf,
    bytes: u64,
    series: u64,
    samples: u64,
    histograms: u64,
    min_time_ms: i64,
    max_time_ms: i64,
}

pub(super) fn run(mut matches: ArgMatches) -> Result<()> {
    let texts: Vec<String> = matches.remove_many("match").map(Iterator::collect).unwrap_or_default();
    let bound = |name: &str| matches.get_one::<i64>(name).copied();
    let asked = TimeRange::new(bound("start").unwrap_or(i64::MIN), bound("end").unwrap_or(i64::MAX));
    let output: PathBuf = matches.remove_one("output").context("--output")?;
    let external: Vec<(String, String)> =
        matches.remove_many("external-label").map(Iterator::collect).unwrap_or_default();
    let details = Details { external_labels: external.into_iter().collect(), source: "mytsdb".to_owned() };
    let parse = |text: &String| {
        parse_selector(text, ParseOptions::within(TextLimits::DEFAULT)).with_context(|| format!("--match {text}"))
    };
    let selectors: Vec<Vec<Matcher>> = texts.iter().map(parse).collect::<Result<_>>()?;
    let selectors = if selectors.is_empty() { vec![Vec::new()] } else { selectors };
    let Places { mut config, local, json } = Places::of(matches)?;
    // What cannot be read is an error: an export is all of it or none.
    (config.read_only, config.cold_unreachable) = (!local, Unreachable::Error);
    anyhow::ensure!(
        !local || config.data_dir.is_dir(),
        "--data-dir {}: there is no such folder",
        config.data_dir.display()
    );
    let (engine, cold) = open_storage(&config, Reads::Once, &Registry::new())?;
    if let Some(reason) = cold.as_ref().filter(|_| has_tier(&config)).and_then(|cold| cold.awaited()) {
        bail!("the cold tier cannot be read: {reason}");
    }
    let written = export(&engine, &selectors, asked, &output, &details)?;
    let warnings = engine.warnings(asked);
    if local {
        engine.stop().context("close the data folder")?;
    }
    if !warnings.is_empty() {
        bail!("the blocks lack samples that are damaged: {}", warnings.join("; "));
    }
    report(&written, json)
}

fn report(written: &[Written], json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        let blocks: Vec<Shown> = written
            .iter()
            .map(|block| Shown {
                path: block.path.clone(),
                bytes: block.bytes,
                series: block.series,
                samples: block.samples,
                histograms: block.histograms,
                min_time_ms: block.range.mint,
                max_time_ms: block.range.maxt,
            })
            .collect();
        let text = serde_json::to_string_pretty(&serde_json::json!({ "blocks": blocks })).context("write JSON")?;
        return writeln!(out, "{text}").context("write");
    }
    for block in written {
        let (series, samples) = (block.series, block.samples);
        writeln!(out, "{}: {series} series, {samples} samples, {}", block.path.display(), size(block.bytes))
            .context("write")?;
    }
    let (samples, bytes): (u64, u64) =
        written.iter().fold((0, 0), |(samples, bytes), block| (samples + block.samples, bytes + block.bytes));
    writeln!(out, "{} blocks, {samples} samples, {}", written.len(), size(bytes)).context("write")
}

/// Writes a block for each day that has samples.
fn export(
    engine: &Engine,
    selectors: &[Vec<Matcher>],
    asked: TimeRange,
    output: &Path,
    details: &Details,
) -> Result<Vec<Written>> {
    let stored = engine.range()?;
    let range = TimeRange::new(stored.mint.max(asked.mint), stored.maxt.min(asked.maxt));
    let mut written = Vec::new();
    if range.is_empty() {
        return Ok(written);
    }
    let (first, last) = (range.mint.div_euclid(DAY_MS), range.maxt.div_euclid(DAY_MS));
    if last - first > DAYS_MAX {
        bail!("samples are from {} ms to {} ms: choose some of it with --start and --end", range.mint, range.maxt);
    }
    let mut progress = Progress::new("wrote", 0);
    for day in first..=last {
        let (from, to) = (day.saturating_mul(DAY_MS), day.saturating_mul(DAY_MS).saturating_add(DAY_MS - 1));
        let of_day = TimeRange::new(from.max(range.mint), to.min(range.maxt));
        if let Some(block) = export_day(engine, selectors, of_day, output, details)? {
            progress.file(block.bytes);
            written.push(block);
        }
    }
    progress.end();
    Ok(written)
}

fn export_day(
    engine: &Engine,
    selectors: &[Vec<Matcher>],
    range: TimeRange,
    output: &Path,
    details: &Details,
) -> Result<Option<Written>> {
    let selections: Vec<Selection<'_>> =
        selectors.iter().map(|matchers| engine.select(range, matchers)).collect::<Result<_, _>>().context("select")?;
    if selections.iter().all(Selection::is_empty) {
        return Ok(None);
    }
    // A series that several selectors match is written once.
    let mut order: BTreeMap<&Labels, (usize, usize)> = BTreeMap::new();
    for (at, selection) in selections.iter().enumerate() {
        for index in 0..selection.len() {
            order.entry(selection.labels(index)).or_insert((at, index));
        }
    }
    let mut writer = BlockWriter::create(Arc::new(RealDisk), output, &new_ulid(range))?;
    let mut columns = Columns::default();
    for (labels, (at, index)) in order {
        columns.clear();
        selections[at].read(index, range, &mut columns).with_context(|| labels.to_string())?;
        writer.push(labels, &columns).with_context(|| labels.to_string())?;
    }
    Ok(writer.finish(details)?)
}

/// A name that no other block has; it sorts as the day does.
fn new_ulid(range: TimeRange) -> String {
    let random = || RandomState::new().hash_one(range.mint);
    FileId::new(u64::try_from(range.maxt).unwrap_or(0), u128::from(random()) << 64 | u128::from(random())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_engine::{Batch, EngineOptions, ManualClock};

    #[test]
    #[expect(clippy::disallowed_methods, reason = "what was written is looked at")]
    fn each_day_becomes_a_block_and_days_without_samples_none() {
        let (disk, clock) = (Arc::new(mytsdb_io::SimDisk::new()), Arc::new(ManualClock::new(10 * DAY_MS)));
        let options = EngineOptions::new("/data");
        let (engine, _) = Engine::open(disk, clock, options, &Registry::new()).unwrap();
        let mut batch = Batch::default();
        for (name, time) in [("a", DAY_MS), ("b", DAY_MS + 5), ("a", 4 * DAY_MS), ("c", 4 * DAY_MS)] {
            let series = engine.resolve(&Labels::from_pairs([("__name__", name)])).unwrap();
            batch.push(series, time, 1.0);
        }
        engine.append(batch).unwrap();
        engine.flush_before(3 * DAY_MS).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let export = |selectors: &[Vec<Matcher>], range: TimeRange, name: &str| {
            export(&engine, selectors, range, &dir.path().join(name), &Details::default()).unwrap()
        };
        let counts = |written: &[Written]| -> Vec<(u64, u64)> {
            written.iter().map(|block| (block.series, block.samples)).collect()
        };
        let all = export(&[Vec::new()], TimeRange::ALL, "all");
        assert_eq!(counts(&all), [(2, 2), (2, 2)]);
        assert!(all[0].path < all[1].path && all[0].path.join("index").exists());
        let some = [vec![Matcher::metric("a")], vec![Matcher::metric("b")]];
        assert_eq!(counts(&export(&some, TimeRange::ALL, "some")), [(2, 2), (1, 1)]);
        let twice = [vec![Matcher::metric("a")], Vec::new()];
        assert_eq!(counts(&export(&twice, TimeRange::new(2 * DAY_MS, i64::MAX), "late")), [(2, 2)]);
        assert_eq!(counts(&export(&[vec![Matcher::metric("x")]], TimeRange::ALL, "none")), []);
        assert!(!dir.path().join("none").exists() || std::fs::read_dir(dir.path().join("none")).unwrap().count() == 0);
    }

    #[test]
    fn external_labels_need_a_name_and_a_value() {
        assert_eq!(name_and_value("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        for text in ["a", "=b", "a="] {
            assert!(name_and_value(text).is_err(), "{text}");
        }
    }
}
