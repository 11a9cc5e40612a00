//! `mytsdb tsdb verify`: reads every file of every tier and checks every checksum. Changes nothing.

use super::Places;
use super::cold_tier::ColdTier;
use super::list::{facts, paths_of};
use super::progress::Progress;
use super::table::size;
use anyhow::{Context, Result, bail};
use mytsdb_blocks::{Block, BlockError, CompactionRecord, Tombstone};
use mytsdb_io::RealDisk;
use mytsdb_parquet_tier::LiveDay;
use mytsdb_wal::WalError;
use serde::Serialize;
use std::collections::HashSet;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// How often the log is read again if a server takes files away meanwhile.
const LOG_ATTEMPTS: u32 = 5;

/// What was found.
#[derive(Debug, Default, Serialize)]
struct Report {
    files: u64,
    bytes: u64,
    problems: Vec<Finding>,
    notes: Vec<Finding>,
}

/// Something about a file or a tier.
#[derive(Debug, Serialize)]
struct Finding {
    tier: &'static str,
    name: String,
    what: String,
}

impl Report {
    fn problem(&mut self, tier: &'static str, name: impl Into<String>, what: impl Into<String>) {
        self.problems.push(Finding { tier, name: name.into(), what: what.into() });
    }

    fn note(&mut self, tier: &'static str, name: impl Into<String>, what: impl Into<String>) {
        self.notes.push(Finding { tier, name: name.into(), what: what.into() });
    }
}

pub(super) fn run(places: &Places) -> Result<()> {
    let mut report = Report::default();
    let cold = match ColdTier::open(places) {
        Ok(cold) => cold,
        Err(error) => {
            report.problem("cold", places.config.cold_url.clone(), format!("{error:#}"));
            None
        }
    };
    let mut progress = Progress::new("verified", bytes_of(places, cold.as_ref())?);
    if places.local {
        let dir = &places.config.data_dir;
        anyhow::ensure!(dir.is_dir(), "--data-dir {}: there is no such folder", dir.display());
        verify_log(&dir.join("wal"), &mut report, &mut progress)?;
        verify_blocks(&dir.join("blocks"), &mut report, &mut progress)?;
        verify_records(dir, &mut report);
    }
    if let Some(cold) = &cold {
        verify_cold(cold, &mut report, &mut progress);
    }
    progress.end();
    (report.files, report.bytes) = progress.done();
    let text =
        if places.json { serde_json::to_string_pretty(&report).context("write JSON")? + "\n" } else { report.text() };
    std::io::stdout().lock().write_all(text.as_bytes()).context("write")?;
    match report.problems.len() {
        0 => Ok(()),
        count => bail!("{count} of what was looked at is not as it was written"),
    }
}

/// Bytes that there are to read.
fn bytes_of(places: &Places, cold: Option<&ColdTier>) -> Result<u64> {
    let mut bytes = cold.map_or(0, |cold| cold.manifest().days.iter().map(LiveDay::bytes).sum());
    if places.local {
        for folder in ["wal", "blocks"] {
            for path in paths_of(&places.config.data_dir.join(folder))? {
                bytes += facts(&path)?.map_or(0, |(bytes, _)| bytes);
            }
        }
    }
    Ok(bytes)
}

fn verify_log(dir: &Path, report: &mut Report, progress: &mut Progress) -> Result<()> {
    let mut attempt = 0;
    let replayed = loop {
        attempt += 1;
        match mytsdb_wal::replay(&RealDisk, dir, &mut |_| ()) {
            Err(WalError::Disk { source, .. }) if source.kind() == ErrorKind::NotFound && attempt < LOG_ATTEMPTS => {}
            replayed => break replayed,
        }
    };
    match replayed {
        Ok(replayed) => {
            for damage in &replayed.damage {
                report.problem("log", damage.file.clone(), damage.to_string());
            }
            let told = replayed.damage.len() as u64;
            if replayed.damage_count > told {
                report.problem("log", "", format!("{} more damaged regions", replayed.damage_count - told));
            }
            if replayed.torn_tail {
                report.note("log", "", "it ends in the middle of a write: a crash, or a server that writes");
            }
        }
        Err(error) => report.problem("log", dir.display().to_string(), error.to_string()),
    }
    for path in paths_of(dir)? {
        progress.file(facts(&path)?.map_or(0, |(bytes, _)| bytes));
    }
    Ok(())
}

fn verify_blocks(dir: &Path, report: &mut Report, progress: &mut Progress) -> Result<()> {
    for path in paths_of(dir)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if mytsdb_blocks::parse_block_file_name(&name).is_none() {
            continue;
        }
        let bytes = facts(&path)?.map_or(0, |(bytes, _)| bytes);
        match Block::open(&RealDisk, &path).and_then(|block| block.verify()) {
            Ok(()) => {}
            Err(BlockError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => continue,
            Err(error) => report.problem("blocks", name, error.to_string()),
        }
        progress.file(bytes);
    }
    for path in paths_of(&dir.with_file_name("quarantine"))? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        report.problem("quarantine", name, "damaged, and set aside by a start or a scrub");
    }
    Ok(())
}

/// Small files beside the blocks, each with a checksum.
fn verify_records(dir: &Path, report: &mut Report) {
    match Tombstone::read_all(&RealDisk, &dir.join("tombstones")) {
        Ok(_) => {}
        Err(BlockError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
        Err(error) => report.problem("blocks", "tombstones", error.to_string()),
    }
    match CompactionRecord::read_all(&RealDisk, &dir.join("blocks")) {
        Ok(records) => {
            for (path, record) in records {
                if let Err(what) = record {
                    report.problem("blocks", path.display().to_string(), what);
                }
            }
        }
        Err(BlockError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
        Err(error) => report.problem("blocks", "records of merges", error.to_string()),
    }
}

fn verify_cold(cold: &ColdTier, report: &mut Report, progress: &mut Progress) {
    let manifest = cold.manifest();
    let mut numbers = HashSet::new();
    for day in &manifest.days {
        if !numbers.insert(day.number) || day.number == 0 {
            report.problem("cold", day.folder(), format!("its number {} is that of other files, or none", day.number));
        }
        for (kind, digest) in &day.files {
            if let Err(error) = cold.verify(day, *kind) {
                report.problem("cold", day.path(*kind), error.to_string());
            }
            progress.file(digest.whole.bytes);
        }
    }
    match cold.unnamed() {
        Ok(paths) => paths.into_iter().for_each(|path| {
            report.note(
                "cold",
                path,
                "no manifest names it: it was replaced, or its upload did not end; it is deleted later",
            );
        }),
        Err(error) => report.problem("cold", cold.node.clone(), error.to_string()),
    }
}

impl Report {
    fn text(&self) -> String {
        let mut out = String::new();
        for (word, findings) in [("problem", &self.problems), ("note", &self.notes)] {
            for Finding { tier, name, what } in findings {
                let behind = if name.is_empty() { "" } else { ": " };
                out += &[word, ": ", tier, ": ", name, behind, what, "\n"].concat();
            }
        }
        let verdict = if self.problems.is_empty() { "all of it is sound" } else { "not all of it is sound" };
        out + &format!("{} files, {}: {verdict}\n", self.files, size(self.bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_what_is_wrong_and_ends_with_the_verdict() {
        let mut report = Report { files: 2, bytes: 1024, ..Report::default() };
        assert_eq!(report.text(), "2 files, 1.0 KiB: all of it is sound\n");
        report.note("log", "", "torn");
        report.problem("blocks", "7", "bad");
        let expected = "problem: blocks: 7: bad\nnote: log: torn\n2 files, 1.0 KiB: not all of it is sound\n";
        assert_eq!(report.text(), expected);
    }
}
