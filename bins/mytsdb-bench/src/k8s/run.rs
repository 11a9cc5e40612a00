//! The course of a run: fill, load, kill, look, report.

use super::cluster::{Cluster, Plan};
use super::connection::{Way, send_again};
use super::liar;
use super::questions::{NEGATIVE, QUESTIONS, Question};
use super::reader::{self, Reading};
use super::replay::Replay;
use super::report::{Report, Tick};
use super::source::{Fleet, Samples, Source, Span};
use super::verify::{self, Checks};
use super::writer::{Board, Phase, Record, Writer};
use super::{K8sArgs, Mix, Mode, settle};
use crate::target::Target;
use anyhow::{Context, Result, ensure};
use std::sync::atomic::Ordering;
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant, SystemTime};

/// Samples of a request while the store is filled.
const FILL_SAMPLES: usize = 5_000;
/// Time between two looks at the server.
const LOOK: Duration = Duration::from_millis(250);
/// Requests after whose acknowledgement their samples are asked for at once.
const PROBES: usize = 5;

/// Runs the load, prints the figures; fails if a check does.
pub(crate) fn run(args: &K8sArgs) -> Result<()> {
    args.check()?;
    let now_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as i64;
    // A minute ago, so that nothing is ahead of the server's clock.
    let end_ms = now_ms / 1_000 * 1_000 - 60_000 - args.age * 3_600_000;
    let start_ms = end_ms - args.hours * 3_600_000;
    let (size, interval_ms) = (args.preset.size(), args.interval as i64 * 1_000);
    if let Some(path) = &args.replay {
        let replay = Replay::read(path, Span { start_ms, end_ms, interval_ms }, size.all_pods())?;
        return Run::new(args, None, &replay, args.subject.start(1)?)?.whole();
    }
    let cluster = Cluster::new(&Plan { size, seed: args.seed, start_ms, interval_ms, churn: args.churn });
    let source = Fleet { cluster: &cluster, end_ms };
    Run::new(args, Some(&cluster), &source, args.subject.start(1)?)?.whole()
}

struct Run<'a> {
    args: &'a K8sArgs,
    /// What the model knows, unless scrapes of a file are sent.
    cluster: Option<&'a Cluster>,
    source: &'a dyn Source,
    span: Span,
    target: Target,
    way: Way,
    board: Board,
    checks: Checks,
    report: Report,
}

impl<'a> Run<'a> {
    fn new(
        args: &'a K8sArgs,
        cluster: Option<&'a Cluster>,
        source: &'a dyn Source,
        mut target: Target,
    ) -> Result<Self> {
        let proxy = args.plant.map(|lie| liar::start(target.http(), lie, args.protocol(), args.interval as i64));
        let proxy = proxy.transpose()?;
        let way = Way::new(&target, args.protocol(), proxy.as_deref())?;
        if let Some(proxy) = proxy {
            target.ask_at(proxy);
        }
        let span = source.span();
        let board = Board::new(args.write_workers.min(source.units()), span.start_ms);
        let report = Report::new(args, source, &target);
        Ok(Self { args, cluster, source, span, target, way, board, checks: Checks::default(), report })
    }

    fn questions(&self) -> &'static [Question] {
        match self.args.workload {
            Mix::Default => &QUESTIONS,
            Mix::Negative => &NEGATIVE,
        }
    }

    fn whole(mut self) -> Result<()> {
        let count = self.args.write_workers.min(self.source.units());
        let (samples, protocol) = (self.args.samples_per_series, self.args.protocol());
        let mut writers = (0..count)
            .map(|number| Writer::new(self.source, (number, count), samples, protocol, &self.way))
            .collect::<Result<Vec<_>>>()?;
        let filled = self.fill(&mut writers)?;
        self.probe(&mut writers)?;
        let (records, readings) = self.load(&mut writers)?;
        drop(writers);
        let acknowledged = self.settle(filled, &records)?;
        self.judge(&readings)?;
        if let Some(seconds) = self.args.settle {
            self.compacted(acknowledged, Duration::from_secs(seconds))?;
        }
        self.report.print(self.questions(), &readings);
        if let Some(path) = &self.args.json {
            self.report.write(path, self.questions(), &readings)?;
        }
        self.checks.end()
    }

    /// Writes what is there before anything is measured; returns the number of samples.
    fn fill(&mut self, writers: &mut [Writer<'_>]) -> Result<Samples> {
        let samples_each = (self.source.series_stored() as usize / self.source.units()).max(1);
        let per_visit = samples_each * self.args.samples_per_series as usize;
        let phase = Phase {
            units: FILL_SAMPLES.div_ceil(per_visit),
            rate: None,
            until_ms: self.span.start_ms + self.args.preload_minutes() * 60_000,
            late: 0.0,
        };
        let begun = Instant::now();
        let board = &self.board;
        let records: Vec<Record> = std::thread::scope(|scope| {
            let threads: Vec<_> = writers.iter_mut().map(|w| scope.spawn(move || w.run(&phase, board))).collect();
            threads.into_iter().map(joined).collect()
        });
        let mut samples = Samples::default();
        for record in &records {
            samples += record.samples;
            ensure!(record.refused.is_none(), "a request was refused: {:?}", record.refused);
            ensure!(record.in_flight.is_none(), "the server does not answer any more");
        }
        self.report.filled(samples.all, begun.elapsed());
        Ok(samples)
    }

    /// Acknowledged samples can be queried at once.
    fn probe(&mut self, writers: &mut [Writer<'_>]) -> Result<()> {
        if self.target.name == "victoria" {
            // Its documentation says that samples can be queried after some seconds.
            return Ok(());
        }
        let count = writers.len();
        for probe in 0..PROBES {
            if let Some(sent) = writers[probe % count].send_one(&self.board)? {
                self.report.probed += sent.samples;
                verify::visible(&self.target, &sent, &mut self.checks)?;
            }
        }
        Ok(())
    }

    /// The measured part; the server is killed at its end, if it is ours to kill.
    fn load(&mut self, writers: &mut [Writer<'_>]) -> Result<(Vec<Record>, Vec<Reading>)> {
        let (args, board, target) = (self.args, &self.board, &self.target);
        let phase = Phase {
            units: args.pods_per_request,
            rate: args.rate.map(|rate| rate / writers.len() as f64),
            until_ms: self.span.end_ms,
            late: args.late,
        };
        let (questions, oldest_s) = (self.questions(), self.span.start_ms / 1_000);
        let kill = self.kills();
        let report = &mut self.report;
        let before = board.samples.load(Ordering::Relaxed);
        std::thread::scope(|scope| {
            let begun = Instant::now();
            let mut writing = Vec::new();
            if args.mode != Mode::Read {
                writing.extend(writers.iter_mut().map(|writer| scope.spawn(move || writer.run(&phase, board))));
            }
            let mut reading = Vec::new();
            if args.mode != Mode::Write {
                let seeds = (0..args.read_workers as u64).map(|number| args.seed << 8 | number);
                reading.extend(
                    seeds.map(|seed| scope.spawn(move || reader::run(target, questions, oldest_s, seed, board))),
                );
            }
            let deadline = begun + Duration::from_secs(args.duration_s());
            let wrote = !writing.is_empty();
            while Instant::now() < deadline && !(wrote && writing.iter().all(ScopedJoinHandle::is_finished)) {
                report.ticks.push(Tick::now(begun, board.samples.load(Ordering::Relaxed) - before, target));
                std::thread::sleep(LOOK.min(deadline.saturating_duration_since(Instant::now())));
            }
            let measured = Tick::now(begun, board.samples.load(Ordering::Relaxed) - before, target);
            report.ticks.push(measured);
            board.stop_reading.store(true, Ordering::Relaxed);
            let readings: Vec<Reading> = reading.into_iter().map(joined).collect();
            report.server_metrics(target)?;
            report.peak(target);
            if kill {
                target.process()?.kill();
            }
            board.stop.store(true, Ordering::Relaxed);
            let records: Vec<Record> = writing.into_iter().map(joined).collect();
            Ok((records, readings))
        })
    }

    /// Whether the server is killed in mid-load. VictoriaMetrics does not promise to survive that, and is not asked to.
    fn kills(&self) -> bool {
        !self.args.no_kill
            && self.args.mode != Mode::Read
            && self.target.process().is_ok()
            && self.target.name != "victoria"
    }

    /// Starts a killed server again, sends again what was in flight, and counts what is stored.
    fn settle(&mut self, filled: Samples, records: &[Record]) -> Result<Samples> {
        if self.kills() {
            let ready = self.target.kill_and_start_again()?;
            self.report.restarted(ready);
        }
        let mut acknowledged = filled;
        acknowledged += self.report.probed;
        for record in records {
            self.checks.require("acknowledged", record.refused.is_none(), || {
                format!("a request was refused: {}", record.refused.as_deref().unwrap_or_default())
            });
            acknowledged += record.samples;
            if let Some((body, samples)) = &record.in_flight {
                send_again(&self.way, body).context("what was in flight when the server was killed")?;
                acknowledged += *samples;
            }
        }
        let name = if self.kills() { "survives kill -9" } else { "stored" };
        verify::count(&self.target, self.source, acknowledged, name, &mut self.checks)?;
        self.report.wrote(records, acknowledged.all, &self.target);
        Ok(acknowledged)
    }

    /// Waits until all is in blocks, which must hold what was acknowledged.
    fn compacted(&mut self, acknowledged: Samples, most: Duration) -> Result<()> {
        let now_ms = self.span.end_ms + self.args.age * 3_600_000;
        self.report.settled = Some(settle::wait(&self.target, &self.way, now_ms, most)?);
        verify::count(&self.target, self.source, acknowledged, "survives compaction", &mut self.checks)
    }

    /// Asks every question once more and compares the answers, and those of the load, with the model's.
    fn judge(&mut self, readings: &[Reading]) -> Result<()> {
        for reading in readings {
            self.checks.require("answers", reading.failed.is_none(), || reading.failed.clone().unwrap_or_default());
        }
        if self.target.name != "victoria" {
            verify::samples(&self.target, self.source, self.board.acknowledged_ms(), self.args.seed, &mut self.checks)?;
        }
        let Some(cluster) = self.cluster else { return Ok(()) };
        let judge = verify::Judge {
            cluster,
            questions: self.questions(),
            oldest_s: self.span.start_ms / 1_000,
            newest_s: self.board.acknowledged_ms().div_euclid(1_000),
            // VictoriaMetrics means something else by rate, and has its own histograms.
            strict: self.target.name != "victoria",
        };
        self.report.answers = judge.last_round(&self.target, &mut self.checks)?;
        self.report.checked = judge.kept(readings, self.args.check_seconds, &mut self.checks);
        if judge.strict && self.args.workload == Mix::Default {
            let filled = self.report.answers.iter().filter(|answer| answer.points > 0).count();
            self.checks.require("not empty", filled >= 45, || format!("{filled} of 49 answers have data, 45 must"));
        }
        Ok(())
    }
}

/// The result of a thread; its panic goes on in the caller.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
