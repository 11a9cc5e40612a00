//! Writes the files of a day, as many as its labels ask for, and uploads them.

use crate::error::{ColdError, Result};
use crate::input::DayInput;
use crate::remote::{NoAnswer, Remote};
use mytsdb_engine::Engine;
use mytsdb_model::{FamilyMetadata, Labels};
use mytsdb_parquet_tier::{Day, DayWriter, FileId, Tier, Uploaded, WriteOptions, WrittenDay};
use mytsdb_stop::StopSign;
use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Series that go into one file, and the names of their labels.
#[derive(Debug, Default)]
pub(crate) struct Share {
    series: u64,
    names: BTreeSet<String>,
}

impl Share {
    /// All series, whose labels have these names.
    pub fn whole(names: BTreeSet<String>) -> Self {
        Self { series: u64::MAX, names }
    }
}

/// The files of a day that are written one after the other.
pub(crate) struct Files {
    shares: VecDeque<Share>,
    options: WriteOptions,
    /// The one being written, and how many series it still gets.
    open: Option<(u64, DayWriter<File>)>,
    written: Vec<WrittenDay<File>>,
}

impl Files {
    pub fn new(shares: VecDeque<Share>, options: WriteOptions) -> Self {
        Self { shares, options, open: None, written: Vec::new() }
    }

    /// The writer for the next series, which may get nothing of it.
    pub fn next(&mut self, day: Day, spool: &Path) -> Result<&mut DayWriter<File>> {
        if self.open.as_ref().is_none_or(|(left, _)| *left == 0) {
            if let Some((_, writer)) = self.open.take() {
                self.written.push(writer.finish()?);
            }
            let share = self.shares.pop_front().unwrap_or_default();
            let writer = Tier::writer(day, share.names, self.options, spool)?;
            self.open = Some((share.series, writer));
        }
        let (left, writer) = self.open.as_mut().expect("made above");
        *left = left.saturating_sub(1);
        Ok(writer)
    }

    /// All of them, those without samples left out.
    pub fn finish(mut self) -> Result<Vec<WrittenDay<File>>> {
        if let Some((_, writer)) = self.open.take() {
            self.written.push(writer.finish()?);
        }
        self.written.retain(|written| !written.is_empty());
        Ok(self.written)
    }
}

/// How files are written.
pub(crate) struct Writing<'a> {
    pub engine: &'a Engine,
    pub tier: &'a Arc<Tier>,
    pub remote: &'a Arc<Remote>,
    pub spool: &'a Path,
    pub label_columns_max: usize,
    pub options: WriteOptions,
    pub stop: StopSign<'a>,
}

impl Writing<'_> {
    /// Writes and uploads what there is of a day; `id` makes the names of files.
    pub fn day(&self, input: &DayInput<'_>, id: impl FnMut() -> FileId) -> Result<Vec<Uploaded>> {
        let mut files = Files::new(self.shares(input, &|_| true)?, self.options);
        for metric in input.metrics()? {
            let metadata = metadata_of(self.engine, &metric);
            input.read(&input.series(&metric)?, |labels, samples| {
                Ok(files.next(input.day, self.spool)?.push(labels, samples, metadata.as_ref())?)
            })?;
        }
        self.upload(files.finish()?, id)
    }

    /// Uploads files; `id` makes their names.
    pub fn upload(&self, written: Vec<WrittenDay<File>>, mut id: impl FnMut() -> FileId) -> Result<Vec<Uploaded>> {
        let mut uploaded = Vec::new();
        for written in written {
            let (tier, id) = (self.tier.clone(), id());
            let work = async move { tier.upload(written, id).await };
            uploaded.push(self.remote.ask(self.stop, work).map_err(NoAnswer::into_cold)?);
        }
        Ok(uploaded)
    }

    /// Which of the wanted series go into one file: all of them, unless they have too many labels together.
    pub fn shares(&self, input: &DayInput<'_>, is_wanted: &dyn Fn(&Labels) -> bool) -> Result<VecDeque<Share>> {
        let names = input.label_names()?;
        if names.len() <= self.label_columns_max {
            return Ok(VecDeque::from([Share::whole(names)]));
        }
        let mut shares: VecDeque<Share> = VecDeque::new();
        for metric in input.metrics()? {
            for labels in input.series(&metric)?.keys().filter(|labels| is_wanted(labels)) {
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

/// What is known of a metric, or of the family that its series belong to: `x_bucket` is one of the classic histogram `x`.
fn metadata_of(engine: &Engine, metric: &str) -> Option<FamilyMetadata> {
    engine.metadata(metric).or_else(|| {
        let (family, _) = metric.rsplit_once('_')?;
        engine.metadata(family).filter(|metadata| metadata.kind.family_of(metric) == family)
    })
}
