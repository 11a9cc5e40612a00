//! What threads did and when, and which answers that allows.
//!
//! Every event has a number when it begins and one when it ends, from one counter. An event that ended before another began was
//! before it; else they were at once, and either order is right. But what one question found gone stays so for later ones.

use mytsdb_model::TimeRange;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the sender of a sample heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing yet, or that it is not known.
    Unknown,
    Accepted,
    Refused,
}

/// A sample that somebody appended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Append {
    pub(crate) value: u32,
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) answer: Answer,
}

/// A deletion of samples of one series.
#[derive(Debug, Clone, Copy)]
struct Delete {
    range: TimeRange,
    begin: u64,
    end: u64,
}

#[derive(Debug, Default)]
struct Series {
    appends: BTreeMap<i64, Vec<Append>>,
    deletes: Vec<Delete>,
    /// The last question, as begin and end, that found nothing at a time where somebody had appended.
    missing: BTreeMap<i64, (u64, u64)>,
}

/// When a question was asked and answered, and the oldest time that the retention kept until then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) kept_from_ms: i64,
}

/// The histories of all series.
pub(crate) struct History {
    series: Vec<Mutex<Series>>,
    counter: AtomicU64,
    /// The clock of the engine, in ms; only ahead.
    now_ms: AtomicI64,
    retention_ms: i64,
}

impl History {
    pub(crate) fn new(series_count: usize, now_ms: i64, retention_ms: i64) -> Self {
        Self {
            series: (0..series_count).map(|_| Mutex::default()).collect(),
            counter: AtomicU64::new(1),
            now_ms: AtomicI64::new(now_ms),
            retention_ms,
        }
    }

    /// The next number.
    pub(crate) fn tick(&self) -> u64 {
        self.counter.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.now_ms.load(Ordering::SeqCst)
    }

    /// Advances the clock; where it is then.
    pub(crate) fn advance(&self, ms: i64) -> i64 {
        self.now_ms.fetch_add(ms, Ordering::SeqCst) + ms
    }

    pub(crate) fn kept_from_ms(&self) -> i64 {
        self.now_ms() - self.retention_ms
    }

    fn of(&self, series: usize) -> MutexGuard<'_, Series> {
        self.series[series].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a sample is about to be appended.
    pub(crate) fn begin_append(&self, series: usize, time: i64, value: u32) -> u64 {
        let mut of = self.of(series);
        let begin = self.tick();
        let append = Append { value, begin, end: u64::MAX, answer: Answer::Unknown };
        of.appends.entry(time).or_default().push(append);
        begin
    }

    /// Notes what became of it; a row of a point may be refused because of another one. Says what is wrong with that, if anything is.
    pub(crate) fn end_append(
        &self,
        series: usize,
        time: i64,
        begin: u64,
        answer: Answer,
        in_point: bool,
    ) -> Result<(), String> {
        let mut of = self.of(series);
        let end = self.tick();
        let (kept_from_ms, deletes) = (self.kept_from_ms(), of.deletes.clone());
        let appends = of.appends.get_mut(&time).ok_or("forgotten too early")?;
        let own = appends.iter().position(|append| append.begin == begin).ok_or("forgotten too early")?;
        (appends[own].end, appends[own].answer) = (end, answer);
        let value = appends[own].value;
        let others: Vec<Append> = appends.iter().filter(|append| append.value != value).copied().collect();
        let stays = |append: &Append| {
            let deleted = |delete: &Delete| delete.range.contains(time) && delete.end > append.begin;
            append.answer == Answer::Accepted && append.end < begin && !deletes.iter().any(deleted)
        };
        match answer {
            Answer::Accepted if time >= kept_from_ms && others.iter().any(stays) => {
                Err(format!("series {series} at {time}: {value} was accepted beside {others:?}"))
            }
            Answer::Refused
                if !in_point && time >= kept_from_ms && !others.iter().any(|other| other.answer != Answer::Refused) =>
            {
                Err(format!("series {series} at {time}: {value} was refused without a reason"))
            }
            _ => Ok(()),
        }
    }

    /// Notes that a deletion begins in some series, and gives back the number that ends it.
    pub(crate) fn begin_delete(&self, series: &[usize], range: TimeRange) -> u64 {
        let begin = self.tick();
        for &series in series {
            self.of(series).deletes.push(Delete { range, begin, end: u64::MAX });
        }
        begin
    }

    pub(crate) fn end_delete(&self, series: &[usize], begin: u64) {
        let end = self.tick();
        for &series in series {
            self.of(series)
                .deletes
                .iter_mut()
                .filter(|delete| delete.begin == begin)
                .for_each(|delete| delete.end = end);
        }
    }

    /// Says what is wrong with the samples that an answer has of a series in a range, if anything is.
    pub(crate) fn check(
        &self,
        series: usize,
        range: TimeRange,
        found: &[(i64, u32)],
        asked: Asked,
    ) -> Result<(), String> {
        if !found.is_sorted_by(|a, b| a.0 < b.0) || found.iter().any(|(time, _)| !range.contains(*time)) {
            return Err(format!("series {series}: not in order, or not in {range}: {found:?}"));
        }
        let of = &mut *self.of(series);
        for (time, appends) in of.appends.range(range.mint..=range.maxt) {
            let value = found.binary_search_by_key(time, |sample| sample.0).ok().map(|at| found[at].1);
            let about: Vec<&Delete> = of.deletes.iter().filter(|delete| delete.range.contains(*time)).collect();
            let may_be = |append: &&Append| {
                let gone = |delete: &&&Delete| delete.begin > append.end && delete.end < asked.begin;
                // Of what is older than the retention, a replay may have brought back what was refused because of a block that
                // has expired since.
                let may_count = append.answer != Answer::Refused || *time < asked.kept_from_ms;
                may_count && append.begin < asked.end && !about.iter().any(|d| gone(&d))
            };
            let must_be = |append: &&Append| {
                let gone = |delete: &&&Delete| delete.end > append.begin && delete.begin < asked.end;
                append.answer == Answer::Accepted && append.end < asked.begin && !about.iter().any(|d| gone(&d))
            };
            // What was not there comes only by a later append, or one of which nothing is known.
            let missing = of.missing.get(time).filter(|missing| missing.1 < asked.begin && *time >= asked.kept_from_ms);
            let missing = missing.map_or(0, |missing| missing.0);
            let may_come = |append: &&Append| append.end > missing || append.answer == Answer::Unknown;
            let wrong = match value {
                Some(value) => !appends.iter().filter(may_come).any(|append| append.value == value && may_be(&append)),
                None => *time >= asked.kept_from_ms && appends.iter().any(|append| must_be(&append)),
            };
            if wrong {
                return Err(format!(
                    "series {series} at {time}: {value:?} after {appends:?} and {about:?}, missing at {missing}, {asked:?}"
                ));
            }
            if value.is_none() {
                of.missing.insert(*time, (asked.begin, asked.end));
            }
        }
        match found.iter().find(|(time, _)| !of.appends.contains_key(time) && *time >= asked.kept_from_ms) {
            Some(sample) => Err(format!("series {series}: nobody appended {sample:?}")),
            None => Ok(()),
        }
    }

    /// Forgets what lies well behind the retention, and deletions of it.
    pub(crate) fn forget(&self) {
        let before_ms = self.kept_from_ms() - self.retention_ms;
        for series in 0..self.series.len() {
            let mut of = self.of(series);
            of.appends = of.appends.split_off(&before_ms);
            of.missing = of.missing.split_off(&before_ms);
            of.deletes.retain(|delete| delete.range.maxt >= before_ms);
        }
    }
}
