//! Writes the files of a day, as many as its labels ask for, and uploads them.

use crate::error::{ColdError, Result};
use crate::input::DayInput;
use crate::remote::{NoAnswer, Remote};
use mytsdb_engine::Engine;
use mytsdb_model::Labels;
use mytsdb_parquet_tier::{DayWriter, FileId, Tier, Uploaded, WriteOptions, WrittenDay};
use mytsdb_stop::StopSign;
use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Series that go into one file, and the names of their labels.
#[derive(Debug, Default)]
struct Share {
    series: u64,
    names: BTreeSet<String>,
}

/// How files are written.
pub(crate) struct Writing<'a> {
    pub engine: &'a Engine,
    pub tier: &'a Arc<Tier>,
    pub remote: &'a Arc<Remote>,
    pub spool: &'a Path,
    pub label_columns_max: usize,
    pub stop: StopSign<'a>,
}

impl Writing<'_> {
    /// Writes and uploads what there is of a day; `id` makes the names of files.
    pub fn day(&self, input: &DayInput<'_>, mut id: impl FnMut() -> FileId) -> Result<Vec<Uploaded>> {
        let mut shares = self.shares(input)?;
        let mut written: Vec<WrittenDay<File>> = Vec::new();
        let mut open: Option<(u64, DayWriter<File>)> = None;
        for metric in input.metrics()? {
            let metadata = self.engine.metadata(&metric);
            input.read(&input.series(&metric)?, |labels, samples| {
                if open.as_ref().is_none_or(|(left, _)| *left == 0) {
                    if let Some((_, writer)) = open.take() {
                        written.push(writer.finish()?);
                    }
                    let share = shares.pop_front().unwrap_or_default();
                    let writer = Tier::writer(input.day, share.names, WriteOptions::default(), self.spool)?;
                    open = Some((share.series, writer));
                }
                let (left, writer) = open.as_mut().expect("made above");
                *left = left.saturating_sub(1);
                Ok(writer.push(labels, samples, metadata.as_ref())?)
            })?;
        }
        if let Some((_, writer)) = open {
            written.push(writer.finish()?);
        }
        let mut uploaded = Vec::new();
        for written in written {
            if written.samples + written.histograms == 0 {
                continue;
            }
            let (tier, id) = (self.tier.clone(), id());
            let work = async move { tier.upload(written, id).await };
            uploaded.push(self.remote.ask(self.stop, work).map_err(NoAnswer::into_cold)?);
        }
        Ok(uploaded)
    }

    /// Which series go into one file: all of them, unless they have too many labels together.
    fn shares(&self, input: &DayInput<'_>) -> Result<VecDeque<Share>> {
        let names = input.label_names()?;
        if names.len() <= self.label_columns_max {
            return Ok(VecDeque::from([Share { series: u64::MAX, names }]));
        }
        let mut shares: VecDeque<Share> = VecDeque::new();
        for metric in input.metrics()? {
            for labels in input.series(&metric)?.keys() {
                self.add(&mut shares, labels)?;
            }
        }
        Ok(shares)
    }

    fn add(&self, shares: &mut VecDeque<Share>, labels: &Labels) -> Result<()> {
        self.stop.check().map_err(|canceled| ColdError::Engine(canceled.into()))?;
        let fits = shares.back().is_some_and(|share| {
            let new = labels.iter().filter(|(name, _)| !share.names.contains(*name)).count();
            share.names.len() + new <= self.label_columns_max
        });
        if !fits {
            shares.push_back(Share::default());
        }
        let share = shares.back_mut().expect("made above");
        share.series += 1;
        for (name, _) in labels {
            if !share.names.contains(name) {
                share.names.insert(name.to_owned());
            }
        }
        Ok(())
    }
}
