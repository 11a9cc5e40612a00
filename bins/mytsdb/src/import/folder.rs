//! Imports into a data folder that no server has open.

use super::{SHOWN_MAX, Target, Totals, time_of};
use crate::clock::SystemClock;
use crate::cold::{Reads, open_storage};
use crate::server::series_limits;
use crate::settings::Config;
use anyhow::{Context, Result};
use mytsdb_cold::Cold;
use mytsdb_engine::{Batch, Clock, Engine};
use mytsdb_model::{Exemplar, FamilyKind, Labels, SeriesRef};
use mytsdb_otlp::Limits;
use mytsdb_telemetry::Registry;
use mytsdb_text_format::{JsonLine, Line, Sample};
use std::sync::Arc;

/// Rows that are written together.
const BATCH_ROWS: usize = 50_000;

/// An open data folder and the samples that are not written yet.
pub(super) struct FolderTarget {
    engine: Arc<Engine>,
    /// Says which days are elsewhere, and keeps their numbers from being given again.
    _cold: Option<Arc<Cold>>,
    limits: Limits,
    /// As a person would write it.
    retention: String,
    batch: Batch,
    /// The line of each row.
    lines: Vec<u64>,
    family: Option<(String, FamilyKind, String, String)>,
    shown: u64,
}

impl FolderTarget {
    pub(super) fn open(config: &Config) -> Result<Self> {
        let (engine, cold) = open_storage(config, Reads::Once, &Registry::new())?;
        Ok(Self {
            engine,
            _cold: cold,
            limits: series_limits(config),
            retention: mytsdb_promql_syntax::format_duration_ms(config.retention.ms()),
            batch: Batch::with_capacity(BATCH_ROWS),
            lines: Vec::new(),
            family: None,
            shown: 0,
        })
    }

    /// Writes everything to the disk and unlocks the folder, so that a server can open it.
    pub(super) fn close(self) -> Result<()> {
        self.engine.maintain().context("write blocks")?;
        self.engine.stop().context("the last sync of the log")
    }

    fn describe(&mut self) {
        if let Some((name, kind, help, unit)) = self.family.take() {
            self.engine.describe(&name, kind, &help, &unit);
            self.batch.describes = true;
        }
    }

    fn family(&mut self, name: &str) -> &mut (String, FamilyKind, String, String) {
        if self.family.as_ref().is_some_and(|family| family.0 != name) {
            self.describe();
        }
        self.family.get_or_insert_with(|| (name.to_owned(), FamilyKind::Unknown, String::new(), String::new()))
    }

    fn show(&mut self, line: u64, reason: &str) {
        self.shown += 1;
        if self.shown <= SHOWN_MAX {
            eprintln!("line {line}: {reason}");
        }
    }

    fn sample(&mut self, sample: Sample, line: u64, totals: &mut Totals) -> Result<()> {
        let Some(series) = self.series(&sample.labels, line)? else {
            totals.refused += 1;
            return Ok(());
        };
        let timestamp_ms = time_of(&sample, SystemClock.now_ms());
        self.batch.push(series, timestamp_ms, sample.value);
        if let Some(sent) = sample.exemplar {
            let timestamp_ms = sent.timestamp_ms.unwrap_or(timestamp_ms);
            let exemplar = Exemplar { timestamp_ms, value: sent.value, labels: sent.labels };
            self.batch.push_exemplar_of_last(series, exemplar);
        }
        self.end_row(line, totals)
    }

    /// The series of a line, unless its labels are over a limit.
    fn series(&mut self, labels: &Labels, line: u64) -> Result<Option<SeriesRef>> {
        let pairs: Vec<_> = labels.iter().collect();
        if let Err(refused) = self.limits.check(&pairs) {
            self.show(line, &refused.message);
            return Ok(None);
        }
        self.engine.resolve(labels).map(Some).with_context(|| format!("line {line}"))
    }

    /// Notes the line of a row that was added; writes if there are enough.
    fn end_row(&mut self, line: u64, totals: &mut Totals) -> Result<()> {
        self.lines.push(line);
        if self.batch.len() >= BATCH_ROWS { self.write(totals) } else { Ok(()) }
    }

    fn json(&mut self, said: JsonLine, line: u64, totals: &mut Totals) -> Result<()> {
        let columns = said.columns;
        let Some(series) = self.series(&said.labels, line)? else {
            totals.refused += columns.len() as u64;
            return Ok(());
        };
        let start = |starts: &[i64], row: usize| starts.get(row).copied().unwrap_or(0);
        for (row, (&timestamp_ms, &value)) in columns.timestamps_ms.iter().zip(&columns.values).enumerate() {
            self.batch.push_since(series, timestamp_ms, start(&columns.start_timestamps_ms, row), value);
            self.end_row(line, totals)?;
        }
        for (row, (&timestamp_ms, found)) in columns.histogram_timestamps_ms.iter().zip(&columns.histograms).enumerate()
        {
            let start_ms = start(&columns.histogram_start_timestamps_ms, row);
            if let Err(error) = self.batch.push_histogram(series, timestamp_ms, start_ms, found) {
                totals.refused += 1;
                self.show(line, &error.to_string());
                continue;
            }
            self.end_row(line, totals)?;
        }
        for exemplar in said.exemplars {
            self.batch.push_exemplar(series, exemplar);
        }
        Ok(())
    }

    fn write(&mut self, totals: &mut Totals) -> Result<()> {
        let batch = std::mem::replace(&mut self.batch, Batch::with_capacity(BATCH_ROWS));
        let outcome = self.engine.append(batch).context("write")?;
        totals.stored += u64::from(outcome.stored + outcome.duplicates);
        totals.refused += outcome.refused.len() as u64;
        for (row, refusal) in outcome.refused {
            let line = self.lines.get(row as usize).copied().unwrap_or_default();
            let reason = match refusal {
                mytsdb_engine::Refusal::TooOld => format!("{refusal}, which is {}", self.retention),
                _ => refusal.to_string(),
            };
            self.show(line, &reason);
        }
        self.lines.clear();
        self.engine.maintain().context("write blocks")?;
        Ok(())
    }
}

impl Target for FolderTarget {
    fn take(&mut self, _: &[u8], said: Line<'_>, number: u64, totals: &mut Totals) -> Result<()> {
        match said {
            Line::Sample(sample) => return self.sample(sample, number, totals),
            Line::Kind { family, kind } => self.family(&family).1 = kind,
            Line::Help { family, help } => self.family(&family).2 = help.into_owned(),
            Line::Unit { family, unit } => unit.clone_into(&mut self.family(&family).3),
            Line::Nothing | Line::End => {}
        }
        Ok(())
    }

    fn take_json(&mut self, _: &[u8], said: JsonLine, number: u64, totals: &mut Totals) -> Result<()> {
        self.json(said, number, totals)
    }

    fn end_of_file(&mut self, totals: &mut Totals) -> Result<()> {
        self.describe();
        self.write(totals)
    }
}
