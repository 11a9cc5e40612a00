//! What answers must say of sources that could not be asked.
//!
//! Nobody tells which query asks for remarks, so a remark is repeated for some time to all that are about the times of its source. A query
//! that ran longer than the disturbance is warned too.

use crate::EngineError;
use crate::source::{Source, SourceId};
use mytsdb_model::TimeRange;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a remark is repeated: longer than queries run.
const REPEATED: Duration = Duration::from_mins(10);

/// Most remarks that are told apart; further ones take the place of the oldest, with its times.
const REMARKS_MAX: usize = 64;

#[derive(Debug)]
struct Remark {
    source: SourceId,
    range: TimeRange,
    text: String,
    at: Instant,
}

/// The latest remark on each source.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    list: Mutex<Vec<Remark>>,
    /// Lets answers take no lock as long as there has been none.
    any: AtomicBool,
}

impl Remarks {
    /// What a source answered; `None`, and a remark, if it could not be asked.
    pub(super) fn confine<T>(
        &self,
        source: &dyn Source,
        answer: Result<T, EngineError>,
    ) -> Result<Option<T>, EngineError> {
        match answer {
            Err(error @ EngineError::Unavailable { .. }) => {
                self.note(source.id(), source.range(), format!("samples may be missing: {error}"), Instant::now());
                Ok(None)
            }
            answer => answer.map(Some),
        }
    }

    fn note(&self, source: SourceId, range: TimeRange, text: String, at: Instant) {
        let mut list = self.list.lock();
        if let Some(known) = list.iter_mut().find(|remark| remark.source == source) {
            *known = Remark { source, range: known.range.cover(range), text, at };
        } else if list.len() < REMARKS_MAX {
            list.push(Remark { source, range, text, at });
        } else if let Some(oldest) = list.iter_mut().min_by_key(|remark| remark.at) {
            *oldest = Remark { source, range: oldest.range.cover(range), text, at };
        }
        // Release pairs with the Acquire in `told`.
        self.any.store(true, Ordering::Release);
    }

    /// What answers over a range must say at a time.
    pub(super) fn told(&self, range: TimeRange, now: Instant) -> Vec<String> {
        if !self.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        let list = self.list.lock();
        let told = list.iter().filter(|remark| remark.range.overlaps(range));
        told.filter(|remark| now.saturating_duration_since(remark.at) < REPEATED)
            .map(|remark| remark.text.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remark_is_repeated_for_a_while_over_the_times_of_its_source() {
        let remarks = Remarks::default();
        let (range, begun) = (TimeRange::new(10, 20), Instant::now());
        assert_eq!(remarks.told(range, begun), [""; 0]);
        remarks.note(SourceId::Outside(1), range, "a".to_owned(), begun);
        remarks.note(SourceId::Outside(2), range, "b".to_owned(), begun + REPEATED / 2);
        assert_eq!(remarks.told(TimeRange::new(20, 30), begun + REPEATED / 2), ["a", "b"]);
        assert_eq!(remarks.told(TimeRange::new(21, 30), begun), [""; 0]);
        assert_eq!(remarks.told(range, begun + REPEATED), ["b"]);
        remarks.note(SourceId::Outside(1), range, "c".to_owned(), begun + REPEATED);
        assert_eq!(remarks.told(range, begun + REPEATED), ["c", "b"]);
    }

    #[test]
    fn many_remarks_take_bounded_memory_and_none_is_hushed_up() {
        let (remarks, begun) = (Remarks::default(), Instant::now());
        for at in 0..1_000 {
            let range = TimeRange::new(at, at);
            remarks.note(SourceId::Outside(at as u64), range, at.to_string(), begun + Duration::from_micros(at as u64));
        }
        assert_eq!(remarks.list.lock().len(), REMARKS_MAX);
        for at in 0..1_000 {
            assert_ne!(remarks.told(TimeRange::new(at, at), begun + Duration::from_secs(1)), [""; 0], "{at}");
        }
    }
}
