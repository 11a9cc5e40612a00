//! What of a request was refused, and why.

use crate::PointLimit;
use std::fmt;

/// Why a point was refused, coarse enough to be a metric's label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RefusalReason {
    /// Names, values or bounds that cannot be a series, or text that is not UTF-8.
    Invalid,
    /// Delta or unspecified temporality.
    Temporality,
    /// A kind of point that is not stored.
    Unsupported,
    /// More or longer labels, more buckets, or more of something else than allowed.
    Limit(PointLimit),
    /// The store takes no new series.
    SeriesLimit,
    /// The store refused the sample (too old, too far ahead, in conflict with a stored one).
    Sample,
}

impl RefusalReason {
    /// All reasons, in the order of [`Refusals::count`]'s columns.
    pub const ALL: [Self; 5 + PointLimit::ALL.len()] = {
        let mut all = [Self::Invalid; 5 + PointLimit::ALL.len()];
        (all[1], all[2], all[3], all[4]) = (Self::Temporality, Self::Unsupported, Self::SeriesLimit, Self::Sample);
        let mut at = 0;
        while at < PointLimit::ALL.len() {
            all[5 + at] = Self::Limit(PointLimit::ALL[at]);
            at += 1;
        }
        all
    };

    /// Where it stands in [`ALL`](Self::ALL).
    fn column(self) -> usize {
        match self {
            Self::Invalid => 0,
            Self::Temporality => 1,
            Self::Unsupported => 2,
            Self::SeriesLimit => 3,
            Self::Sample => 4,
            Self::Limit(limit) => 5 + limit as usize,
        }
    }

    /// The limit that the point was over, if it was that.
    pub fn limit(self) -> Option<PointLimit> {
        if let Self::Limit(limit) = self { Some(limit) } else { None }
    }

    /// The snake-case word; all limits have the same.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Temporality => "temporality",
            Self::Unsupported => "unsupported",
            Self::Limit(_) => "limit",
            Self::SeriesLimit => "series_limit",
            Self::Sample => "sample",
        }
    }
}

/// Why one point, or one new series, is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The reason's kind.
    pub reason: RefusalReason,
    /// A sentence for the sender.
    pub message: String,
}

impl Refused {
    /// A refusal with a sentence for the sender.
    pub fn new(reason: RefusalReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Different messages that are kept per request; refusals beyond are only counted.
const MESSAGES_MAX: usize = 5;

/// Messages that are made to find different ones: many points of one series are refused in the same words.
const MADE_MAX: u32 = 100;

/// Bytes of a message or warning that are kept.
const MESSAGE_BYTES_MAX: usize = 512;

/// How many points were refused, and the first different messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refusals {
    counts: [u64; RefusalReason::ALL.len()],
    messages: Vec<String>,
    /// Messages that [`add_with`](Self::add_with) had made, of which many may be the same.
    made: u32,
}

impl Refusals {
    /// Counts `points` refused points.
    pub fn add(&mut self, reason: RefusalReason, points: u64, message: &str) {
        if points == 0 {
            return;
        }
        self.counts[reason.column()] += points;
        push_message(&mut self.messages, message, MESSAGES_MAX);
    }

    /// Counts `points` refused points; `message` is called if there is room for one more, a hundred times in all.
    pub fn add_with(&mut self, reason: RefusalReason, points: u64, message: impl FnOnce() -> String) {
        self.counts[reason.column()] += points;
        if points > 0 && self.messages.len() < MESSAGES_MAX && self.made < MADE_MAX {
            self.made += 1;
            push_message(&mut self.messages, &message(), MESSAGES_MAX);
        }
    }

    /// Adds a message about something that is no point.
    pub fn note(&mut self, message: &str) {
        push_message(&mut self.messages, message, MESSAGES_MAX);
    }

    /// All refused points.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The points refused for `reason`.
    pub fn count(&self, reason: RefusalReason) -> u64 {
        self.counts[reason.column()]
    }

    /// The first different messages, at most five, each cut at 512 bytes.
    pub fn messages(&self) -> &[String] {
        &self.messages
    }
}

/// Adds a message that is not in the list yet, cut at 512 bytes, unless there are `max` already.
pub fn push_message(list: &mut Vec<String>, message: &str, max: usize) {
    let message = &message[..message.floor_char_boundary(MESSAGE_BYTES_MAX)];
    if list.len() < max && !list.iter().any(|m| m == message) {
        list.push(message.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_a_column_of_its_own() {
        for (column, reason) in RefusalReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.column(), column, "{reason:?}");
            let mut refusals = Refusals::default();
            refusals.add(reason, 3, "x");
            assert_eq!((refusals.count(reason), refusals.total()), (3, 3));
            assert_eq!(reason.limit().is_some(), reason.as_str() == "limit");
        }
    }

    #[test]
    fn messages_are_made_for_the_first_refusals_only() {
        let mut made = 0;
        let mut same = Refusals::default();
        for _ in 0..1000 {
            same.add_with(RefusalReason::Sample, 2, || {
                made += 1;
                "the same".to_owned()
            });
        }
        assert_eq!((same.total(), same.messages(), made), (2000, &["the same".to_owned()][..], MADE_MAX));
        let mut different = Refusals::default();
        for number in 0..1000 {
            different.add_with(RefusalReason::Sample, 1, || format!("{number} {}", "x".repeat(1000)));
        }
        assert_eq!((different.total(), different.messages().len()), (1000, MESSAGES_MAX));
        assert!(different.messages().iter().all(|message| message.len() <= MESSAGE_BYTES_MAX));
    }
}
