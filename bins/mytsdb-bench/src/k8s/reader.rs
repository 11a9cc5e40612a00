//! Readers: each asks one question after the other, four hot ones for a cold one, and keeps answers for the judge.

use super::questions::Question;
use super::values::noise;
use super::writer::Board;
use crate::target::Target;
use crate::times::microseconds;
use anyhow::Result;
use hdrhistogram::Histogram;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::Ordering;

/// Bytes of answers that a reader keeps.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// An answer that is checked when the load is over.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) question: usize,
    pub(crate) newest_s: i64,
    pub(crate) body: Vec<u8>,
}

/// What a reader saw.
pub(crate) struct Reading {
    pub(crate) hot_us: Histogram<u64>,
    pub(crate) cold_us: Histogram<u64>,
    pub(crate) by_question_us: Vec<Histogram<u64>>,
    pub(crate) kept: Vec<Kept>,
    pub(crate) asked: u64,
    pub(crate) bytes: u64,
    pub(crate) failed: Option<String>,
}

/// Asks until it is told to stop.
pub(crate) fn run(target: &Target, questions: &[Question], oldest_s: i64, seed: u64, board: &Board) -> Reading {
    let mut reading = Reading {
        hot_us: microseconds(),
        cold_us: microseconds(),
        by_question_us: questions.iter().map(|_| microseconds()).collect(),
        kept: Vec::new(),
        asked: 0,
        bytes: 0,
        failed: None,
    };
    if let Err(error) = ask(target, questions, oldest_s, seed, board, &mut reading) {
        reading.failed = Some(format!("{error:#}"));
    }
    reading
}

fn ask(
    target: &Target,
    questions: &[Question],
    oldest_s: i64,
    seed: u64,
    board: &Board,
    reading: &mut Reading,
) -> Result<()> {
    let by_heat = |hot: bool| (0..questions.len()).filter(|&q| questions[q].hot == hot).collect::<Vec<_>>();
    let (hot, cold) = (by_heat(true), by_heat(false));
    let (mut body, mut kept_bytes, mut known) = (Vec::new(), 0, HashSet::new());
    while !board.stop_reading.load(Ordering::Relaxed) {
        let chance = noise(seed, reading.asked);
        let from = if chance.is_multiple_of(5) && !cold.is_empty() { &cold } else { &hot };
        let number = from[(chance >> 8) as usize % from.len()];
        let question = &questions[number];
        let newest_s = board.acknowledged_ms().div_euclid(1_000);
        let (path, parameters) = question.request(oldest_s, newest_s);
        let took_us = target.ask(path, &parameters, &mut body)?.as_micros() as u64;
        *(if question.hot { &mut reading.hot_us } else { &mut reading.cold_us }) += took_us;
        reading.by_question_us[number] += took_us;
        reading.asked += 1;
        reading.bytes += body.len() as u64;
        // An answer that is equal to an earlier one to the same question is not kept again.
        let mut hasher = DefaultHasher::new();
        (number, newest_s, &body).hash(&mut hasher);
        if kept_bytes + body.len() <= KEPT_BYTES_MAX && known.insert(hasher.finish()) {
            kept_bytes += body.len();
            reading.kept.push(Kept { question: number, newest_s, body: body.clone() });
        }
    }
    Ok(())
}
