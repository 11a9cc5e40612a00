//! Writers: each sends the samples of its own units in the order of their times, and knows what was acknowledged.

use super::connection::{Connection, Failure, Way};
use super::source::{Samples, Source};
use super::values::noise;
use super::wire::{Kind, Part, Prepared, Protocol};
use crate::times::microseconds;
use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How far one writer may be ahead of the slowest, in the time of the samples: servers refuse what is much older than the
/// newest they have.
const LEAD_MS: i64 = 1_200_000;
/// Visits after which a sample that is sent late is sent, times the number of the writer's units: 20 ticks.
const LATE_TICKS: u64 = 20;
/// How long a writer waits before it sends again what a server had no room for.
const BUSY: Duration = Duration::from_millis(10);

/// What writers share with whoever watches them.
///
/// All orderings are relaxed but for `progress`: the other counters are read for display, or after the threads ended.
#[derive(Debug, Default)]
pub(crate) struct Board {
    pub(crate) samples: AtomicU64,
    /// Writers end.
    pub(crate) stop: AtomicBool,
    /// Readers end.
    pub(crate) stop_reading: AtomicBool,
    /// For each writer: everything of its units up to this time is acknowledged.
    progress_ms: Vec<AtomicI64>,
}

impl Board {
    pub(crate) fn new(writers: usize, start_ms: i64) -> Self {
        Self { progress_ms: (0..writers).map(|_| AtomicI64::new(start_ms)).collect(), ..Self::default() }
    }

    /// Everything up to this time is acknowledged.
    pub(crate) fn acknowledged_ms(&self) -> i64 {
        // Acquire pairs with the Release in `Writer::run`: who reads the time may ask for what was sent before it.
        self.progress_ms.iter().map(|at| at.load(Ordering::Acquire)).min().unwrap_or(0)
    }
}

/// What all writers of a phase do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Phase {
    /// Units in a request.
    pub(crate) units: usize,
    /// Samples a second of this writer; as fast as they are acknowledged if there is none.
    pub(crate) rate: Option<f64>,
    /// Nothing from this time on is sent.
    pub(crate) until_ms: i64,
    /// Share of samples that is sent late.
    pub(crate) late: f64,
}

/// What a writer did in a phase.
#[derive(Debug)]
pub(crate) struct Record {
    /// From the intended time of sending to the acknowledgement.
    pub(crate) response_us: Histogram<u64>,
    /// From sending to the acknowledgement.
    pub(crate) service_us: Histogram<u64>,
    pub(crate) samples: Samples,
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    /// Requests that were sent again.
    pub(crate) again: u64,
    /// What was in flight when the server was gone, and the samples in it.
    pub(crate) in_flight: Option<(bytes::Bytes, Samples)>,
    /// Why a request was refused.
    pub(crate) refused: Option<String>,
    /// Whether everything up to the phase's end was sent.
    pub(crate) at_end: bool,
}

impl Record {
    fn new() -> Self {
        Self {
            response_us: microseconds(),
            service_us: microseconds(),
            samples: Samples::default(),
            requests: 0,
            bytes: 0,
            again: 0,
            in_flight: None,
            refused: None,
            at_end: false,
        }
    }
}

/// A request that was acknowledged, and one of the series in it.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) samples: Samples,
    pub(crate) time_ms: i64,
    pub(crate) name: String,
    pub(crate) labels: Vec<(String, String)>,
}

/// A unit and ticks of it.
#[derive(Debug, Clone)]
struct Slot {
    /// The unit's place in `Writer::units`.
    at: usize,
    ticks: Range<u64>,
}

/// One writer.
pub(crate) struct Writer<'a> {
    source: &'a dyn Source,
    protocol: Protocol,
    connection: Connection,
    number: usize,
    /// Its units in the order of their first ticks.
    units: Vec<usize>,
    samples_per_series: u64,
    /// Units visited so far, over all rounds.
    visits: u64,
    /// What is sent late: the visit at which it is due.
    held: VecDeque<(u64, Slot)>,
    /// Of each unit, the series of the generations that are being sent.
    prepared: Vec<Vec<(u64, Prepared)>>,
}

impl<'a> Writer<'a> {
    /// The writer with a number among `count`, which share all units.
    pub(crate) fn new(
        source: &'a dyn Source,
        (number, count): (usize, usize),
        samples_per_series: u64,
        protocol: Protocol,
        way: &Way,
    ) -> Result<Self> {
        let mut units: Vec<usize> = (number..source.units()).step_by(count).collect();
        units.sort_by_key(|&unit| source.time_ms(unit, 0));
        let prepared = units.iter().map(|_| Vec::new()).collect();
        let connection = Connection::open(way)?;
        let held = VecDeque::new();
        Ok(Self { source, protocol, connection, number, units, samples_per_series, visits: 0, held, prepared })
    }

    /// Sends until the phase's end, or until it is told to stop.
    pub(crate) fn run(&mut self, phase: &Phase, board: &Board) -> Record {
        let mut record = Record::new();
        let begun = Instant::now();
        while !board.stop.load(Ordering::Relaxed) {
            let slots = self.next(phase);
            if slots.is_empty() {
                record.at_end = true;
                break;
            }
            self.wait_for_others(&slots, board);
            let samples = self.samples(&slots);
            let body = bytes::Bytes::from(self.encode(&slots));
            let intended = phase.rate.map(|rate| begun + Duration::from_secs_f64(record.samples.all as f64 / rate));
            if let Some(wait) = intended.and_then(|at| at.checked_duration_since(Instant::now())) {
                std::thread::sleep(wait);
            }
            let sent = Instant::now();
            match self.send(&body, board, &mut record) {
                Ok(()) => {}
                Err(Failure::Refused(why)) => {
                    record.refused = Some(why);
                    break;
                }
                Err(_) => {
                    record.in_flight = Some((body, samples));
                    break;
                }
            }
            let micros = |from: Instant| from.elapsed().as_micros() as u64;
            record.service_us += micros(sent);
            record.response_us += micros(intended.unwrap_or(sent).min(sent));
            record.samples += samples;
            record.requests += 1;
            record.bytes += body.len() as u64;
            board.samples.fetch_add(samples.all, Ordering::Relaxed);
            // Release: see `Board::acknowledged_ms`.
            board.progress_ms[self.number].store(self.progress_ms(), Ordering::Release);
        }
        record
    }

    /// Sends the next request and says what was in it; nothing if there is none left.
    pub(crate) fn send_one(&mut self, board: &Board) -> Result<Option<Sent>> {
        let (Some(next_ms), (at, _)) = (self.next_ms(), self.place()) else { return Ok(None) };
        let record = self.run(&Phase { units: 1, rate: None, until_ms: next_ms + 1, late: 0.0 }, board);
        ensure!(record.in_flight.is_none() && record.refused.is_none(), "a request failed: {:?}", record.refused);
        let unit = self.units[at];
        let tick = (self.visits - 1) / self.units.len() as u64 * self.samples_per_series + self.samples_per_series - 1;
        let mut series = self.source.describe(unit, self.source.generation(unit, tick));
        series.retain(|series| series.kind == Kind::Gauge);
        let first = series.into_iter().next().context("a gauge")?;
        let time_ms = self.source.time_ms(unit, tick);
        Ok(Some(Sent { samples: record.samples, time_ms, name: first.name, labels: first.labels }))
    }

    /// Sends a request until it is taken; fails if it is refused, or if the server does not answer.
    fn send(&mut self, body: &bytes::Bytes, board: &Board, record: &mut Record) -> Result<(), Failure> {
        loop {
            match self.connection.send(body) {
                Err(Failure::Busy(why)) if board.stop.load(Ordering::Relaxed) => return Err(Failure::Gone(why)),
                Err(Failure::Busy(_)) => {
                    record.again += 1;
                    std::thread::sleep(BUSY);
                }
                done => return done,
            }
        }
    }

    /// What the next request carries; nothing at the phase's end.
    fn next(&mut self, phase: &Phase) -> Vec<Slot> {
        let mut slots = Vec::new();
        if let Some((_, slot)) = self.held.pop_front_if(|(due, _)| *due <= self.visits) {
            return vec![slot];
        }
        while slots.len() < phase.units && self.next_ms().is_some_and(|at_ms| at_ms < phase.until_ms) {
            let (at, tick) = self.place();
            self.visits += 1;
            let unit = self.units[at];
            let ticks = tick..(tick + self.samples_per_series).min(self.source.ticks(unit));
            if ticks.is_empty() {
                continue;
            }
            let slot = Slot { at, ticks };
            let chance = noise(unit as u64 ^ 0x1a7e, tick) % 1_000_000;
            if phase.late > 0.0 && (chance as f64) < phase.late * 1e6 {
                self.held.push_back((self.visits + LATE_TICKS * self.units.len() as u64, slot));
                continue;
            }
            slots.push(slot);
        }
        if slots.is_empty() {
            // What is late is sent before the end.
            slots.extend(self.held.pop_front().map(|(_, slot)| slot));
        }
        slots
    }

    /// Place and first tick of the next visit.
    fn place(&self) -> (usize, u64) {
        let units = self.units.len() as u64;
        ((self.visits % units) as usize, self.visits / units * self.samples_per_series)
    }

    /// When the samples of the next visit were taken, if there are any.
    fn next_ms(&self) -> Option<i64> {
        let (at, tick) = self.place();
        let unit = *self.units.get(at)?;
        // Units may differ by one tick; the last round is over when the last of them is.
        let last = self.units.iter().any(|&unit| tick < self.source.ticks(unit));
        last.then(|| self.source.time_ms(unit, tick))
    }

    /// All samples up to this time have been sent.
    fn progress_ms(&self) -> i64 {
        let end = || {
            let last = |&unit: &usize| self.source.time_ms(unit, self.source.ticks(unit));
            self.units.iter().map(last).max().unwrap_or(i64::MAX)
        };
        let held = self.held.front().map(|(_, slot)| self.source.time_ms(self.units[slot.at], slot.ticks.start));
        held.into_iter().chain([self.next_ms().unwrap_or_else(end)]).min().unwrap_or(0) - 1
    }

    fn wait_for_others(&self, slots: &[Slot], board: &Board) {
        let first_ms = self.source.time_ms(self.units[slots[0].at], slots[0].ticks.start);
        while first_ms > board.acknowledged_ms() + LEAD_MS && !board.stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn samples(&self, slots: &[Slot]) -> Samples {
        let mut samples = Samples::default();
        for (slot, tick) in slots.iter().flat_map(|slot| slot.ticks.clone().map(move |tick| (slot, tick))) {
            samples += self.source.samples(self.units[slot.at], tick);
        }
        samples
    }

    fn encode(&mut self, slots: &[Slot]) -> Vec<u8> {
        // A part for each generation that a slot has ticks of: place, first tick, times, and where its series are.
        let mut parts: Vec<(usize, u64, Vec<i64>, u64)> = Vec::new();
        for slot in slots {
            let unit = self.units[slot.at];
            let mut current = None;
            for tick in slot.ticks.clone() {
                let generation = self.source.generation(unit, tick);
                if current != Some(generation) {
                    self.prepare(slot.at, generation);
                    parts.push((slot.at, tick, Vec::new(), generation));
                    current = Some(generation);
                }
                if let Some((_, _, times_ms, _)) = parts.last_mut() {
                    times_ms.push(self.source.time_ms(unit, tick));
                }
            }
        }
        let series = |at: usize, generation: u64| self.prepared[at].iter().find(|(g, _)| *g == generation);
        let described = parts
            .iter()
            .filter_map(|(at, _, times_ms, generation)| Some(Part { series: &series(*at, *generation)?.1, times_ms }));
        let described: Vec<Part<'_>> = described.collect();
        self.protocol.encode(&described, &|part, row, time| {
            let (at, first, ..) = parts[part];
            self.source.datum(self.units[at], row, first + time as u64)
        })
    }

    /// Sees to it that a unit's series of a generation are there, and forgets those of long ago.
    fn prepare(&mut self, at: usize, generation: u64) {
        let known = &mut self.prepared[at];
        if known.iter().all(|(g, _)| *g != generation) {
            // A late sample may be of an earlier life; what a request needs is asked for within it.
            known.retain(|(g, _)| g + 8 > generation);
            let described = self.source.describe(self.units[at], generation);
            known.push((generation, self.protocol.prepare(&described)));
        }
    }
}
