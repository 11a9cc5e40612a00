//! What makes buckets of days of samples, and which days lack them. `docs/downsampling.md` has the rules.

use crate::cold::{Cold, Done, Job};
use crate::demotion::is_lasting;
use crate::error::Result;
use crate::input::DayInput;
use crate::options::Interop;
use crate::remote::NoAnswer;
use crate::source::DayFiles;
use crate::write::{Files, Writing};
use mytsdb_blocks::Tombstone;
use mytsdb_downsample::{Buckets, Resolution, Rule};
use mytsdb_engine::{EngineError, TakenOut};
use mytsdb_model::Labels;
use mytsdb_parquet_tier::{Day, DayReader, FileId, LiveDay, Series, TierError, Uploaded, WriteOptions};
use mytsdb_stop::StopSign;
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::Arc;

/// Series of a downsampled day that are held while it is written anew.
const SERIES_HELD: usize = 256;

/// Samples of a day that were looked at, and the width.
pub(crate) type Looked = (Vec<FileId>, Resolution);

/// A day whose samples are to become buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Due {
    pub day: Day,
    /// The folders with its samples, ascending.
    pub made_from: Vec<FileId>,
    /// The widths that are missing.
    pub resolutions: Vec<Resolution>,
}

/// What decides which days are due.
pub(crate) struct Situation<'a> {
    pub live: &'a [LiveDay],
    pub rules: &'a [Rule],
    /// Samples of which nothing has to be made.
    pub empty: &'a HashSet<Looked>,
    pub now_ms: i64,
}

impl Situation<'_> {
    /// For how long buckets of a width are kept; `None` if no rule wants any.
    pub fn keeps(&self, resolution: Resolution) -> Option<i64> {
        self.rules.iter().filter_map(|rule| rule.keeps(resolution)).max()
    }

    /// All days with samples whose buckets are missing, the oldest first.
    pub fn due(&self) -> Vec<Due> {
        let mut days: BTreeMap<Day, Vec<&LiveDay>> = BTreeMap::new();
        for live in self.live {
            days.entry(live.day).or_default().push(live);
        }
        let mut due = Vec::new();
        for (day, of_day) in days {
            let of_samples = of_day.iter().filter(|live| live.resolution.is_none());
            let mut made_from: Vec<FileId> = of_samples.map(|live| live.id).collect();
            if made_from.is_empty() {
                continue;
            }
            made_from.sort_unstable();
            let is_missing = |resolution: &Resolution| {
                let is_young = |keep_ms: i64| day.range().maxt >= self.now_ms.saturating_sub(keep_ms);
                let is_of_these = |live: &&LiveDay| live.resolution == Some(*resolution) && live.made_from == made_from;
                self.keeps(*resolution).is_some_and(is_young)
                    && !self.empty.contains(&(made_from.clone(), *resolution))
                    && !of_day.iter().any(is_of_these)
            };
            let resolutions: Vec<Resolution> = Resolution::ALL.into_iter().filter(is_missing).collect();
            if !resolutions.is_empty() {
                due.push(Due { day, made_from, resolutions });
            }
        }
        due
    }
}

/// Whether the samples that buckets were made from are live: then they are read, and not the buckets.
pub(crate) fn is_hidden(live: &LiveDay, is_live: impl Fn(&FileId) -> bool) -> bool {
    live.resolution.is_some() && live.made_from.iter().any(is_live)
}

impl Cold {
    /// Days whose buckets are missing.
    pub(crate) fn due(&self, job: &Job, live: &[LiveDay]) -> Vec<Due> {
        let (rules, empty, now_ms) = (&self.options.downsample[..], &job.empty, self.engine.settled_now_ms());
        Situation { live, rules, empty, now_ms }.due()
    }

    /// Makes the buckets of the oldest day that lacks some.
    pub(crate) fn downsample(&self, job: &mut Job, stop: StopSign<'_>, done: &mut Done) -> Result<()> {
        let Some(tier) = job.tier.clone().filter(|_| !self.options.downsample.is_empty()) else { return Ok(()) };
        let live = tier.manifest().days.clone();
        let due = self.due(job, &live).into_iter().find(|due| !job.failed_days.contains(&due.made_from));
        let Some(due) = due else { return Ok(()) };
        let taken = self.engine.take_out(|_| Vec::new());
        let mut numbers = taken.numbers();
        let made = self.make_buckets(job, (&due, &live), &taken, &mut numbers, stop);
        let made = made.inspect_err(|error| {
            if is_lasting(error) {
                job.failed_days.insert(due.made_from.clone());
            }
        })?;
        let mut add: Vec<Uploaded> = Vec::new();
        for (resolution, files) in made {
            if files.is_empty() {
                job.empty.insert((due.made_from.clone(), resolution));
            }
            add.extend(files.into_iter().map(|file| file.made_from(due.made_from.clone())));
        }
        done.downsampled_days += 1;
        if add.is_empty() {
            return Ok(());
        }
        done.files_written += add.iter().map(|added| added.day().files.len()).sum::<usize>();
        done.bytes_written += add.iter().map(|added| added.day().bytes()).sum::<u64>();
        self.metrics.downsampled.inc();
        job.state.number = job.state.number.max(taken.numbers().end - 1);
        self.commit_files(job, add, Vec::new(), &[])
    }

    /// Writes and uploads the buckets of a day, by width.
    fn make_buckets(
        &self,
        job: &Job,
        (due, live): (&Due, &[LiveDay]),
        taken: &TakenOut,
        numbers: &mut Range<u64>,
        stop: StopSign<'_>,
    ) -> Result<Vec<(Resolution, Vec<Uploaded>)>> {
        let writing = self.writing(job, stop)?;
        let input = DayInput::open(due.day, taken, live, &self.remote, stop)?;
        let is_wanted = |labels: &Labels, resolution| {
            self.options.downsample.iter().any(|rule| rule.keeps(resolution).is_some() && rule.is_about(labels))
        };
        let mut files: Vec<(Resolution, Files)> = Vec::new();
        for &resolution in &due.resolutions {
            let shares = writing.shares(&input, &|labels| is_wanted(labels, resolution))?;
            files.push((resolution, Files::new(shares, WriteOptions::default())));
        }
        let mut buckets = Buckets::default();
        for metric in input.metrics()? {
            let metadata = self.engine.metadata(&metric);
            let mut series = input.series(&metric)?;
            series.retain(|labels, _| due.resolutions.iter().any(|&resolution| is_wanted(labels, resolution)));
            input.read(&series, |labels, samples| {
                for (resolution, files) in files.iter_mut().filter(|(resolution, _)| is_wanted(labels, *resolution)) {
                    buckets.clear();
                    buckets.append_floats(&samples.timestamps_ms, &samples.values, *resolution);
                    let writer = files.next(due.day, &self.options.spool)?;
                    writer.push_buckets(labels, (*resolution, &buckets), metadata.as_ref())?;
                }
                Ok(())
            })?;
        }
        let mut made = Vec::new();
        for (resolution, files) in files {
            let uploaded = writing.upload(files.finish()?, || self.new_id())?;
            made.push((resolution, self.numbered(uploaded, numbers)?));
        }
        Ok(made)
    }

    /// What files are written with.
    pub(crate) fn writing<'a>(&'a self, job: &'a Job, stop: StopSign<'a>) -> Result<Writing<'a>> {
        let tier = job.tier.as_ref().ok_or(EngineError::Canceled)?;
        self.make_spool()?;
        let (spool, label_columns_max) = (&*self.options.spool, self.options.label_columns_max);
        let mut options = WriteOptions::default();
        options.chunks = self.options.interop == Interop::ParquetCommon;
        Ok(Writing { engine: &self.engine, tier, remote: &self.remote, spool, label_columns_max, options, stop })
    }

    /// Gives each file its number.
    pub(crate) fn numbered(&self, files: Vec<Uploaded>, numbers: &mut Range<u64>) -> Result<Vec<Uploaded>> {
        let mut numbered = Vec::new();
        for file in files {
            let number = numbers.next().ok_or(TierError::TooMuch {
                what: "files of one demotion",
                found: 4_097,
                limit: 4_096,
            })?;
            self.metrics.written.add(file.day().bytes());
            numbered.push(file.numbered(number));
        }
        Ok(numbered)
    }

    /// Writes buckets anew without those that deletions hide.
    pub(crate) fn clean_buckets(
        &self,
        job: &mut Job,
        files: &Arc<DayFiles>,
        taken: &TakenOut,
        numbers: &mut Range<u64>,
        stop: StopSign<'_>,
    ) -> Result<usize> {
        let Some(resolution) = files.live.resolution else { return Ok(0) };
        let about: Vec<Tombstone> = taken.deletions().iter().filter(|d| files.may_be_hit(d)).cloned().collect();
        let remote = &self.remote;
        let reader: Arc<DayReader> =
            remote.ask(stop, remote.clone().reader(files.live.clone())).map_err(NoAnswer::into_cold)?;
        let all: Arc<[Series]> = {
            let reader = reader.clone();
            let range = files.live.range;
            remote.ask(stop, async move { reader.select(&[], range).await }).map_err(NoAnswer::into_cold)?.into()
        };
        let writing = self.writing(job, stop)?;
        // The same series or fewer: their labels fit into one file.
        let mut written =
            Files::new(VecDeque::from([crate::write::Share::whole(reader.label_names())]), WriteOptions::default());
        for first in (0..all.len()).step_by(SERIES_HELD) {
            let places = first..(first + SERIES_HELD).min(all.len());
            let (reader, asked, part) = (reader.clone(), all.clone(), places.clone());
            let read = remote
                .ask(stop, async move { reader.read_buckets(&asked[part]).await })
                .map_err(NoAnswer::into_cold)?;
            for (series, mut buckets) in all[places].iter().zip(read) {
                buckets.hide(&crate::series::hidden(&about, series.labels()));
                let metadata = self.engine.metadata(series.labels().metric_name());
                let writer = written.next(files.live.day, &self.options.spool)?;
                writer.push_buckets(series.labels(), (resolution, &buckets), metadata.as_ref())?;
            }
        }
        let uploaded = writing.upload(written.finish()?, || self.new_id())?;
        let count = uploaded.len();
        let add = self.numbered(uploaded, numbers)?;
        let add = add.into_iter().map(|file| file.made_from(files.live.made_from.clone())).collect();
        job.state.number = job.state.number.max(taken.numbers().end - 1);
        self.commit_files(job, add, vec![files.live.id], &[])?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_model::Matcher;
    use mytsdb_parquet_tier::{DAY_MS, Manifest};

    /// A day and a folder by number, and for buckets the width and the folder of their samples.
    type Folder = (i64, u128, Option<(i64, u128)>);

    /// What is live, as a manifest says it.
    fn live(folders: &[Folder]) -> Vec<LiveDay> {
        let days = folders.iter().map(|&(day, id, of)| {
            let id = FileId::new(1, id);
            let digest = |name: &str| {
                format!(r#"{{"name":"{name}","bytes":9,"crc32c":"00000000","tail_bytes":1,"tail_crc32c":"00000000"}}"#)
            };
            let (files, what) = match of {
                None => ("samples.parquet", r#""samples":1"#.to_owned()),
                Some((ms, of)) => {
                    let of = FileId::new(1, of);
                    ("buckets.parquet", format!(r#""samples":0,"buckets":1,"resolution_ms":{ms},"made_from":["{of}"]"#))
                }
            };
            let (time, name) = (day * DAY_MS, Day::of(day * DAY_MS).unwrap());
            let files = [files, "labels.parquet"].map(digest).join(",");
            format!(
                r#"{{"day":"{name}","id":"{id}","series":1,{what},"histograms":0,"min_t":{time},"max_t":{time},"files":[{files}]}}"#
            )
        });
        let days: Vec<String> = days.collect();
        let text = format!(r#"{{"schema_version":1,"seq":1,"created_ms":1,"days":[{}]}}"#, days.join(","));
        Manifest::decode("m", 1, text.as_bytes()).unwrap().days
    }

    fn due(live: &[LiveDay], keep_days: &[(Resolution, i64)], empty: &HashSet<Looked>) -> Vec<(i64, Vec<Resolution>)> {
        let keep_ms = keep_days.iter().map(|(resolution, days)| (*resolution, days * DAY_MS)).collect();
        let rules = [Rule { selector: vec![Matcher::metric("m")], keep_ms }];
        let situation = Situation { live, rules: &rules, empty, now_ms: 100 * DAY_MS };
        situation.due().into_iter().map(|due| (due.day.range().mint / DAY_MS, due.resolutions)).collect()
    }

    #[test]
    fn days_with_samples_get_the_buckets_that_rules_want_and_that_were_not_made_from_these_samples() {
        let (five, hour) = (Resolution::FiveMinutes, Resolution::Hour);
        let both = [(five, 50), (hour, 200)];
        let none = HashSet::new();
        assert_eq!(
            due(&live(&[(80, 1, None), (90, 2, None)]), &both, &none),
            [(80, vec![five, hour]), (90, vec![five, hour])]
        );
        assert_eq!(due(&live(&[(80, 1, None)]), &[], &none), []);
        // Buckets of five minutes would be too old already.
        assert_eq!(due(&live(&[(40, 1, None)]), &both, &none), [(40, vec![hour])]);
        let made = live(&[(80, 1, None), (80, 2, Some((hour.ms(), 1)))]);
        assert_eq!(due(&made, &both, &none), [(80, vec![five])]);
        // Of other samples of that day.
        let others = live(&[(80, 1, None), (80, 2, Some((hour.ms(), 9)))]);
        assert_eq!(due(&others, &[(hour, 200)], &none), [(80, vec![hour])]);
        // Nothing is made of buckets.
        assert_eq!(due(&live(&[(80, 2, Some((hour.ms(), 9)))]), &both, &none), []);
        let empty = HashSet::from([(vec![FileId::new(1, 1)], hour)]);
        assert_eq!(due(&live(&[(80, 1, None)]), &both, &empty), [(80, vec![five])]);
    }

    #[test]
    fn buckets_are_hidden_while_what_they_were_made_from_is_live() {
        let all = live(&[(80, 1, None), (80, 2, Some((300_000, 1))), (80, 3, Some((300_000, 9)))]);
        let is_live = |id: &FileId| all.iter().any(|live| live.id == *id);
        assert_eq!(all.iter().map(|live| is_hidden(live, is_live)).collect::<Vec<_>>(), [false, true, false]);
    }
}
