//! Reads for questions to come: dashboards whose windows slide into a day that they have not shown yet, and days that have just come.
//!
//! What was read goes to the caches and nowhere else, so whatever is guessed here changes no answer. What fails is left: whoever asks then meets
//! the failure and says so.

use crate::series::read_all;
use crate::source::DayFiles;
use foldhash::fast::FixedState;
use mytsdb_cache::{Origin, Refreshes};
use mytsdb_engine::Lookup;
use mytsdb_model::{Matcher, TimeRange};
use mytsdb_parquet_tier::{FileKind, Series};
use parking_lot::Mutex;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Samples that are read at once, unless one series has more.
const BATCH_SAMPLES: u64 = 1 << 15;

/// Questions with days that are remembered as read ahead; past it all are forgotten.
const DONE_MAX: usize = 4_096;

/// Seconds of the budget that may be used at once.
const BURST_SECONDS: f64 = 4.0;

/// What was asked, and when.
pub(crate) struct Question {
    hash: u64,
    matchers: Arc<[Matcher]>,
    range: TimeRange,
}

/// What is asked again and again, and the days that may be needed for it.
pub(crate) struct Ahead {
    refreshes: Mutex<Refreshes<Arc<[Matcher]>>>,
    days: Mutex<Vec<Weak<DayFiles>>>,
    /// Hashes of questions, with numbers of files.
    done: Mutex<HashSet<(u64, u64)>>,
    budget: Budget,
    is_on: bool,
}

impl Ahead {
    /// Looks `depth` windows ahead, 0 for not at all, and reads at most so many bytes a second.
    pub fn new(depth: u32, bytes_per_second: u64) -> Self {
        let refreshes = Mutex::new(Refreshes::new(depth));
        let (days, done, budget) = (Mutex::default(), Mutex::default(), Budget::new(bytes_per_second));
        Self { refreshes, days, done, budget, is_on: depth > 0 && bytes_per_second > 0 }
    }

    /// A question as it is to be told when samples are read for it; `None` if nobody wants to know.
    pub fn question(&self, lookup: &Lookup<'_>) -> Option<Question> {
        if !self.is_on {
            return None;
        }
        let (hash, range) = (hash_of(lookup.matchers), lookup.range);
        // Patterns are large: those of a question that is known are not copied.
        let known = self.refreshes.lock().known(hash, range);
        Some(Question { hash, matchers: known.unwrap_or_else(|| Arc::from(lookup.matchers)), range })
    }

    /// Notes that samples were read for a question.
    pub fn asked(self: &Arc<Self>, question: &Question) {
        let Question { hash, matchers, range } = question;
        let (hash, range) = (*hash, *range);
        let Some(next) = self.refreshes.lock().asked(hash, matchers, range) else { return };
        // What has times of the window itself is being read.
        let is_next = |files: &Arc<DayFiles>| files.live.range.overlaps(next) && !files.live.range.overlaps(range);
        let days: Vec<_> = self.days.lock().iter().filter_map(Weak::upgrade).filter(is_next).collect();
        for files in days {
            self.read(files, hash, matchers);
        }
    }

    /// Says which days there are, and which of them are new.
    pub fn serve(self: &Arc<Self>, days: Vec<Weak<DayFiles>>, new: &[Arc<DayFiles>]) {
        if !self.is_on {
            return;
        }
        *self.days.lock() = days;
        for files in new {
            let coming = self.refreshes.lock().coming(files.live.range);
            for matchers in coming {
                self.read(files.clone(), hash_of(&matchers), &matchers);
            }
        }
    }

    /// Reads what a question needs of a day beside everything else, once.
    fn read(self: &Arc<Self>, files: Arc<DayFiles>, hash: u64, matchers: &Arc<[Matcher]>) {
        let mut done = self.done.lock();
        if done.len() >= DONE_MAX {
            done.clear();
        }
        if !done.insert((hash, files.number())) {
            return;
        }
        drop(done);
        let (ahead, matchers, remote) = (self.clone(), matchers.clone(), files.remote().clone());
        remote.clone().spawn(async move {
            let _turn = remote.turn().await;
            let Ok(reader) = remote.clone().reader(files.live.clone()).await else { return };
            let range = files.live.range;
            let Ok(mut series) = reader.select(&matchers, range).await else { return };
            series.retain(|series| !files.cached.has(series));
            let mut rest = &series[..];
            while !rest.is_empty() {
                let (batch, behind) = rest.split_at(batch_len(rest));
                if !ahead.budget.take(bytes_of(&files, batch)) {
                    // What is left is read when it is asked for.
                    return;
                }
                let Ok(read) = read_all(&reader, batch, range).await else { return };
                for (series, columns) in batch.iter().zip(&read) {
                    files.cached.put(series, columns, Origin::Ahead);
                }
                rest = behind;
            }
        });
    }
}

/// The series at the front that are read at once: one at least.
fn batch_len(series: &[Series]) -> usize {
    let mut samples = 0;
    let fit = series.iter().take_while(|series| {
        samples += series.sample_count();
        samples <= BATCH_SAMPLES
    });
    fit.count().max(1)
}

/// About how many bytes of a day's files series take.
fn bytes_of(files: &DayFiles, series: &[Series]) -> u64 {
    let (all, own) = (files.live.samples + files.live.histograms, series.iter().map(Series::sample_count).sum::<u64>());
    let read = files.live.files.iter().filter(|(kind, _)| matches!(kind, FileKind::Samples | FileKind::Histograms));
    let bytes: u64 = read.map(|(_, digest)| digest.whole.bytes).sum();
    (bytes as f64 * own as f64 / all.max(1) as f64) as u64
}

fn hash_of(matchers: &[Matcher]) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    for matcher in matchers {
        hasher.write_u8(matcher.op() as u8);
        for text in [matcher.name(), matcher.value()] {
            hasher.write_usize(text.len());
            hasher.write(text.as_bytes());
        }
    }
    hasher.finish()
}

/// Bytes that may be read, by the second.
struct Budget {
    per_second: f64,
    left: Mutex<(Instant, f64)>,
}

impl Budget {
    fn new(bytes_per_second: u64) -> Self {
        let per_second = bytes_per_second as f64;
        Self { per_second, left: Mutex::new((Instant::now(), per_second * BURST_SECONDS)) }
    }

    /// Takes bytes off, if there are as many.
    fn take(&self, bytes: u64) -> bool {
        self.take_at(bytes, Instant::now())
    }

    fn take_at(&self, bytes: u64, now: Instant) -> bool {
        let (then, left) = &mut *self.left.lock();
        let more = now.saturating_duration_since(*then).as_secs_f64() * self.per_second;
        *left = (*left + more).min(self.per_second * BURST_SECONDS);
        *then = now;
        let is_there = *left >= bytes as f64;
        if is_there {
            *left -= bytes as f64;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn the_budget_is_what_was_said_by_the_second() {
        let budget = Budget::new(1_000);
        let begun = Instant::now();
        assert!(budget.take_at(3_900, begun));
        assert!(!budget.take_at(1_000, begun));
        assert!(budget.take_at(1_000, begun + Duration::from_secs(1)));
        assert!(!budget.take_at(5_000, begun + Duration::from_secs(1_000)), "no more than is used at once");
        assert!(!Budget::new(0).take_at(1, begun));
    }
}
