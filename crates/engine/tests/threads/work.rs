//! What the threads do.

use super::history::Answer;
use super::{APPENDS, BLOCK_MS, DELETIONS, OWN, QUERIES, RETENTION_MS, SERIES, SHARED, Shared, ask, labels};
use mytsdb_engine::{Batch, EngineError, Outcome, Refusal};
use mytsdb_histogram::{FloatHistogram, Span};
use mytsdb_model::{MatchOp, Matcher, SeriesRef, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_testkit::Random;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

/// A row that was sent.
struct Sent {
    series: usize,
    time: i64,
    begin: u64,
}

/// How long a sender waits for an answer before that is a fault.
const ANSWER_MAX: Duration = Duration::from_mins(1);

pub(crate) fn write(shared: &Shared, writer: usize, mut random: Random) {
    let mut known: HashMap<usize, SeriesRef> = HashMap::new();
    let mut epoch = 0;
    // Some of its last rows, to be sent again.
    let mut last: Vec<(usize, i64, u32)> = Vec::new();
    while shared.go_on() {
        let now_ms = shared.history.advance(random.below(40) as i64);
        shared.clock.set(shared.history.now_ms());
        // As the senders' caches do: what was remembered in an earlier epoch is touched, or forgotten.
        let current = shared.engine.epoch();
        if current != epoch {
            known.retain(|_, series| shared.engine.touch(*series));
            epoch = current;
        }
        let (mut batch, mut sent) = (Batch::default(), Vec::new());
        for _ in 0..=random.below(30) {
            let point = batch.len() as u32;
            let series =
                if random.one_in(3) { random.index(SHARED) } else { SHARED + writer * OWN + random.index(OWN) };
            let rows = if random.one_in(8) { 1 + random.below(4) } else { 1 };
            let age_ms = match random.below(10) {
                0 => random.below(RETENTION_MS as u64 * 9 / 10) as i64,
                1 | 2 => random.below(4 * BLOCK_MS as u64) as i64,
                _ => random.below(20) as i64,
            };
            for row in 0..rows {
                let (series, time, value) = match random.below(12) {
                    0 if !last.is_empty() => random.pick(&last),
                    // The same time, another value.
                    1 if !last.is_empty() => {
                        let (series, time, _) = random.pick(&last);
                        (series, time, shared.next_value.fetch_add(1, Ordering::SeqCst) as u32)
                    }
                    _ => {
                        let value = shared.next_value.fetch_add(1, Ordering::SeqCst) as u32;
                        (series, now_ms - age_ms + row as i64, value)
                    }
                };
                let reference = match known.get(&series) {
                    Some(reference) => *reference,
                    None => match shared.engine.resolve(&labels(series)) {
                        Ok(reference) => *known.entry(series).or_insert(reference),
                        Err(error) => return shared.complain(format!("resolve: {error}")),
                    },
                };
                push(&mut batch, (series, reference), time, value);
                sent.push(Sent { series, time, begin: shared.history.begin_append(series, time, value) });
                if last.len() < 64 {
                    last.push((series, time, value));
                } else {
                    let at = random.index(64);
                    last[at] = (series, time, value);
                }
            }
            batch.end_point_of(point);
        }
        let points = batch.points.clone();
        let (tell, hear) = sync_channel(1);
        shared.engine.submit(batch, Box::new(move |answer| drop(tell.send(answer))));
        match hear.recv_timeout(ANSWER_MAX) {
            Err(_) => return shared.complain("a sender heard nothing for a minute".to_owned()),
            Ok(answer) => hear_answer(shared, &sent, &points, answer),
        }
        last.retain(|(_, time, _)| *time > now_ms - RETENTION_MS * 3 / 4);
        if random.one_in(20) {
            known.clear();
        }
    }
}

/// Every sixth value is a histogram of so many observations, and every value of every fourth series, the others are floats: so a value of a
/// series is of one kind.
fn push(batch: &mut Batch, (number, series): (usize, SeriesRef), time: i64, value: u32) {
    if !value.is_multiple_of(6) && number % 4 != 1 {
        return batch.push(series, time, f64::from(value));
    }
    let histogram = FloatHistogram {
        count: f64::from(value),
        sum: 1.5,
        positive_spans: vec![Span { offset: 0, length: 1 }],
        positive_buckets: vec![f64::from(value)],
        ..FloatHistogram::default()
    };
    if let Err(error) = batch.push_histogram(series, time, 0, &histogram) {
        panic!("{error}");
    }
}

fn hear_answer(shared: &Shared, sent: &[Sent], points: &[std::ops::Range<u32>], answer: Result<Outcome, EngineError>) {
    let outcome = match answer {
        Ok(outcome) => Some(outcome),
        // The reference was let go of between two looks at the epoch; some rows may be stored.
        Err(EngineError::UnknownSeries | EngineError::Stopped | EngineError::Overloaded { .. }) => None,
        Err(error) => return shared.complain(format!("append: {error}")),
    };
    let refused: HashMap<u32, Refusal> = outcome.iter().flat_map(|outcome| outcome.refused.iter().copied()).collect();
    for point in points {
        let count = point.clone().filter(|row| refused.contains_key(row)).count();
        if count != 0 && count != point.len() {
            shared.complain(format!("of a point of {} rows {count} were refused", point.len()));
        }
    }
    let in_point = |row: u32| points.iter().any(|point| point.contains(&row));
    for (row, sent) in (0..).zip(sent) {
        let answer = match (&outcome, refused.get(&row)) {
            (None, _) => Answer::Unknown,
            (Some(_), None) => Answer::Accepted,
            (Some(_), Some(Refusal::TooOld)) if sent.time >= shared.history.kept_from_ms() && !in_point(row) => {
                return shared.complain(format!("{} was too old", sent.time));
            }
            // Of a point another row may be the reason.
            (Some(_), Some(_)) => Answer::Refused,
        };
        let noted = shared.history.end_append(sent.series, sent.time, sent.begin, answer, in_point(row));
        if let Err(wrong) = noted {
            shared.complain(wrong);
        }
    }
    shared.count(APPENDS, sent.len());
}

pub(crate) fn delete(shared: &Shared, mut random: Random) {
    while shared.go_on() {
        thread::sleep(Duration::from_millis(random.below(60)));
        let now_ms = shared.history.now_ms();
        let mint = now_ms - random.below(RETENTION_MS as u64) as i64;
        let length_ms = random.pick(&[10, BLOCK_MS, 20 * BLOCK_MS]);
        let range = if random.one_in(12) { TimeRange::ALL } else { TimeRange::new(mint, mint + length_ms) };
        let (matcher, series): (Matcher, Vec<usize>) = if random.one_in(3) {
            (Matcher::equal("group", "shared"), (0..SHARED).collect())
        } else {
            let series = random.index(SERIES);
            (Matcher::equal("series", series.to_string()), vec![series])
        };
        let begin = shared.history.begin_delete(&series, range);
        match shared.engine.delete_series(&[vec![matcher]], range) {
            Ok(()) => shared.history.end_delete(&series, begin),
            Err(EngineError::Deletions { .. }) => {}
            Err(error) => return shared.complain(format!("delete: {error}")),
        }
        shared.count(DELETIONS, 1);
        if random.one_in(25) {
            let go_on = || shared.go_on();
            match shared.engine.clean_tombstones(StopSign::new(&go_on), &mut |_| ()) {
                Ok(_) | Err(EngineError::Canceled) => {}
                Err(error) => return shared.complain(format!("clean: {error}")),
            }
        }
    }
}

pub(crate) fn read(shared: &Shared, mut random: Random) {
    while shared.go_on() {
        let now_ms = shared.history.now_ms();
        let mint = now_ms - random.below(RETENTION_MS as u64 * 11 / 10) as i64;
        let range = match random.below(5) {
            0 => TimeRange::ALL,
            1 => TimeRange::new(mint, mint),
            2 => TimeRange::new(now_ms - 300, now_ms),
            _ => TimeRange::new(mint, mint + random.below(10 * BLOCK_MS as u64) as i64),
        };
        let matchers = match random.below(4) {
            0 => vec![],
            1 => vec![Matcher::equal("group", "shared")],
            2 => vec![Matcher::new(MatchOp::Regex, "series", "1[0-9]|2").unwrap()],
            _ => vec![Matcher::equal("series", random.below(SERIES as u64).to_string())],
        };
        if let Err(wrong) = ask(&shared.engine, &shared.history, range, &matchers) {
            shared.complain(wrong);
        }
        shared.count(QUERIES, 1);
    }
}
