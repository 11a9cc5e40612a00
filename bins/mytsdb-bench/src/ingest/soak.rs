//! A soak: ingest at a share of the peak, in an open loop, beside queries that are checked, for as long as it takes to see whether
//! something grows.
//!
//! Samples are 5 s apart and sent as fast as the rate says, so that hours pass in minutes: the server flushes and merges all the time.

use super::check::{self, Rounds};
use super::senders::{Messages, Senders};
use super::{LoadArgs, now_ms};
use crate::answers::{data, number, point};
use crate::k8s::Protocol;
use crate::load::{self, Load, METRICS};
use crate::report_file;
use crate::subject::Subject;
use crate::target::Target;
use crate::times::{at_quantile, curve, microseconds, millis, quantiles};
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Time between two samples of a series.
const STEP_MS: i64 = 5_000;

/// Rounds of an hour.
const HOUR: usize = 720;

/// Samples a second that no server here takes: the data begins so early that the run ends before now.
const RATE_MAX: f64 = 6e6;

/// Time between two looks at the memory.
const LOOK: Duration = Duration::from_secs(2);

/// Threads that ask.
const READERS: usize = 4;

/// Memory of the last third of the run in terms of that of the third before it, at most: the first one warms up.
const GROWTH_MAX: f64 = 1.05;

/// Settings of one run.
#[derive(Debug, Args)]
pub(crate) struct SoakArgs {
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    load: LoadArgs,
    /// Minutes at the share of the peak; memory must be flat after a third of them
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Seconds as fast as acknowledged, which tell the peak
    #[arg(long, default_value_t = 20.0)]
    peak_seconds: f64,
    /// Share of the peak
    #[arg(long, default_value_t = 0.7)]
    share: f64,
    /// Queries a second
    #[arg(long, default_value_t = 50.0)]
    queries: f64,
    /// The run fails if the p99 of times to the ack is longer than so many ms
    #[arg(long, default_value_t = 50.0)]
    ack_ms: f64,
    /// Write everything that was measured to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The load, and how far it got.
struct Paced {
    templates: Arc<Vec<Load>>,
    rounds: Rounds,
    /// The first round that is sent here.
    from: usize,
    /// When the first message is due, and the time between two.
    begun: Instant,
    gap: Duration,
    /// Requests of each round that were acknowledged.
    acknowledged: Vec<AtomicU32>,
    /// The number of rounds that are stored, those before this load included.
    complete: AtomicUsize,
}

impl Paced {
    /// The round of a message that was sent, counted from the first of this load, and its place there.
    fn place(&self, number: usize) -> (usize, usize) {
        (number / self.templates.len(), number % self.templates.len())
    }
}

impl Messages for Paced {
    fn get(&self, number: usize) -> Option<bytes::Bytes> {
        let (round, request) = self.place(number);
        let round = self.from + round;
        (round < self.rounds.count).then(|| self.templates[request].fill(self.rounds.at_ms(round), round))
    }

    fn due(&self, number: usize) -> Option<Instant> {
        Some(self.begun + self.gap.mul_f64(number as f64))
    }

    fn acknowledged(&self, number: usize) {
        let (round, _) = self.place(number);
        let before = self.acknowledged[round].fetch_add(1, Ordering::AcqRel);
        // Few messages are in flight, so rounds are complete one after the other.
        if before as usize + 1 == self.templates.len() {
            self.complete.fetch_max(self.from + round + 1, Ordering::AcqRel);
        }
    }
}

/// What was found.
struct Found {
    peak: f64,
    rate: f64,
    sent: Sent,
    acknowledged: u64,
    /// Seconds since the load began, and bytes.
    memory: Vec<(f64, u64)>,
    metrics: Vec<(&'static str, f64)>,
    stored: u64,
}

/// What senders and readers saw.
struct Sent {
    ack_us: Histogram<u64>,
    query_us: Histogram<u64>,
}

/// Runs it, prints what it found, and fails if something is lost or wrong, acks are slow, or memory grows.
pub(crate) fn run(args: &SoakArgs) -> Result<()> {
    args.load.check()?;
    ensure!(args.load.series >= METRICS * 20, "--series must be at least {}", METRICS * 20);
    let positive = [args.minutes, args.peak_seconds, args.share, args.queries, args.ack_ms].iter().all(|&n| n > 0.0);
    ensure!(positive && args.share < 1.0, "times, rates and --share must be positive, and --share below 1");
    let target = args.subject.start(0)?;
    let found = measure(args, &target)?;
    let (middle, last) = found.print(args);
    if let Some(path) = &args.json {
        report_file::write(path, &found.json())?;
    }
    ensure!(found.stored == found.acknowledged, "{} samples stored, {} acknowledged", found.stored, found.acknowledged);
    let p99_ms = millis(found.sent.ack_us.value_at_quantile(0.99));
    ensure!(p99_ms <= args.ack_ms, "acks took {p99_ms:.1} ms at the 99th percentile, --ack-ms is {}", args.ack_ms);
    ensure!(last <= GROWTH_MAX * middle, "memory grew from {middle:.0} to {last:.0} MB in the last third of the run");
    Ok(())
}

fn measure(args: &SoakArgs, target: &Target) -> Result<Found> {
    let samples_max = RATE_MAX * (args.peak_seconds + args.minutes * 60.0);
    let start_ms = now_ms()? - STEP_MS * (samples_max / args.load.series as f64) as i64;
    let requests = args.load.series / args.load.points_per_request;
    let load = |request| Load::new(request * args.load.points_per_request, args.load.points_per_request, false);
    let templates: Arc<Vec<Load>> = Arc::new((0..requests).map(load).collect());
    let mut senders = Senders::open(target, Protocol::OtlpGrpc, args.load.connections, args.load.in_flight)?;

    let mut rounds = Rounds { start_ms, step_ms: STEP_MS, count: 0 };
    let mut begun = Instant::now();
    while rounds.count < 2 || begun.elapsed().as_secs_f64() < args.peak_seconds {
        let fill = |template: &Load| template.fill(rounds.at_ms(rounds.count), rounds.count);
        senders.send(&Arc::new(templates.iter().map(fill).collect::<Vec<_>>()))?;
        rounds.count += 1;
        if rounds.count == 1 {
            // New series are not what is measured.
            begun = Instant::now();
        }
    }
    let peak = ((rounds.count - 1) * args.load.series) as f64 / begun.elapsed().as_secs_f64();
    println!(
        "peak              {peak:>12.0} points/s, client and server beside each other, in {} rounds",
        rounds.count
    );

    let rate = args.share * peak;
    let more = (rate * args.minutes * 60.0 / args.load.series as f64).ceil() as usize;
    let paced = Arc::new(Paced {
        templates,
        from: rounds.count,
        rounds: Rounds { count: rounds.count + more, ..rounds },
        begun: Instant::now(),
        gap: Duration::from_secs_f64(args.load.points_per_request as f64 / rate),
        acknowledged: (0..more).map(|_| AtomicU32::new(0)).collect(),
        complete: AtomicUsize::new(rounds.count),
    });
    let is_over = AtomicBool::new(false);
    let (sent, memory) = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(target, paced.begun, &is_over));
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let (paced, is_over) = (&*paced, &is_over);
                scope.spawn(move || ask(args, target, paced, is_over, reader))
            })
            .collect();
        let acks = senders.send(&paced);
        is_over.store(true, Ordering::Release);
        let mut query_us = microseconds();
        for reader in readers {
            query_us += reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        }
        let memory = watcher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok::<_, anyhow::Error>((Sent { ack_us: acks?, query_us }, memory))
    })?;
    let all = paced.rounds;
    let lasted = paced.begun.elapsed().as_secs_f64();
    Ok(Found {
        peak,
        rate: (more * args.load.series) as f64 / lasted,
        sent,
        acknowledged: (all.count * args.load.series) as u64,
        memory,
        metrics: metrics(target)?,
        stored: check::stored(target, all)?,
    })
}

/// Looks at the memory until the load is over.
fn watch(target: &Target, begun: Instant, is_over: &AtomicBool) -> Result<Vec<(f64, u64)>> {
    let mut seen = Vec::new();
    while !is_over.load(Ordering::Acquire) {
        seen.push((begun.elapsed().as_secs_f64(), target.usage()?.1));
        std::thread::sleep(LOOK);
    }
    Ok(seen)
}

/// One of the readers: asks its share of the queries, each when it is due, and checks every answer.
fn ask(args: &SoakArgs, target: &Target, paced: &Paced, is_over: &AtomicBool, reader: usize) -> Result<Histogram<u64>> {
    let gap = Duration::from_secs_f64(READERS as f64 / args.queries);
    let (mut us, mut body) = (microseconds(), Vec::new());
    for number in 0.. {
        let due = paced.begun + gap.mul_f64(number as f64 + reader as f64 / READERS as f64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if is_over.load(Ordering::Acquire) {
            break;
        }
        let newest = paced.complete.load(Ordering::Acquire) - 1;
        let series = (number * READERS + reader).wrapping_mul(7_919) % args.load.series;
        check_answer(args, target, paced.rounds, (number, newest, series), &mut body)
            .with_context(|| format!("query {number} of reader {reader}, round {newest}, series {series}"))?;
        us += due.elapsed().as_micros() as u64;
    }
    Ok(us)
}

/// Asks one of four kinds of questions about the newest round that is stored, and compares the answer with what was sent.
fn check_answer(
    args: &SoakArgs,
    target: &Target,
    rounds: Rounds,
    (number, newest, series): (usize, usize, usize),
    body: &mut Vec<u8>,
) -> Result<()> {
    let selector = format!("bench_queue_depth_m{}", series / 20 % METRICS);
    let one = format!("{selector}{{series=\"{series}\"}}");
    let seconds = |ms: i64| format!("{}.{:03}", ms / 1_000, ms % 1_000);
    let at_ms = rounds.at_ms(newest);
    let mut ask = |path: &str, query: String, more: &[(&str, String)]| -> Result<Value> {
        let mut parameters = vec![("query", query)];
        parameters.extend(more.iter().cloned());
        target.ask(path, &parameters, body)?;
        Ok(data(body)?["result"].take())
    };
    let time = [("time", seconds(at_ms))];
    let (found, wanted) = match number % 4 {
        0 => {
            let found = ask("/api/v1/query", one, &time)?;
            (number_of(&found)?, load::value(series, newest))
        }
        1 => {
            let found = ask("/api/v1/query", format!("max_over_time({one}[1h])"), &time)?;
            let hour = (newest + 1).saturating_sub(HOUR)..=newest;
            (number_of(&found)?, hour.map(|round| load::value(series, round)).fold(f64::MIN, f64::max))
        }
        2 => {
            let found = ask("/api/v1/query", format!("sum(count_over_time({selector}[5m]))"), &time)?;
            let of_name = (0..args.load.series).filter(|of| of / 20 % METRICS == series / 20 % METRICS).count();
            (number_of(&found)?, (of_name * (HOUR / 12).min(newest + 1)) as f64)
        }
        _ => {
            let minutes = 180.min(newest / 12);
            let range = [
                ("start", seconds(at_ms - minutes as i64 * 60_000)),
                ("end", seconds(at_ms)),
                ("step", "60".to_owned()),
            ];
            let found = ask("/api/v1/query_range", one, &range)?;
            let points = found[0]["values"].as_array().context("a series")?;
            ensure!(points.len() == minutes + 1, "{} points of {}", points.len(), minutes + 1);
            for (minute, found) in points.iter().enumerate() {
                let (_, value) = point(found)?;
                let wanted = load::value(series, newest - (minutes - minute) * 12);
                ensure!(value == wanted, "minute {minute}: {value} instead of {wanted}");
            }
            return Ok(());
        }
    };
    ensure!(found == wanted, "{found} instead of {wanted}");
    Ok(())
}

/// The number of an answer of one series.
fn number_of(result: &Value) -> Result<f64> {
    let [row] = result.as_array().map_or(&[][..], Vec::as_slice) else { bail!("{result} is not one series") };
    number(&row["value"][1])
}

/// What the server says of its background work.
fn metrics(target: &Target) -> Result<Vec<(&'static str, f64)>> {
    const ASKED: [(&str, &str); 4] = [
        ("flushes", "mytsdb_engine_flushes_total"),
        ("merges", "mytsdb_engine_compactions_total"),
        ("late samples", "mytsdb_engine_samples_late_total"),
        ("blocks", "mytsdb_engine_blocks"),
    ];
    let mut body = Vec::new();
    target.ask("/metrics", &[], &mut body)?;
    let text = String::from_utf8(body)?;
    let find = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(found, _)| *found == name).and_then(|(_, value)| value.parse().ok())
    };
    Ok(ASKED.iter().filter_map(|(what, name)| Some((*what, find(name)?))).collect())
}

impl Found {
    /// Prints it; the largest memory in the middle and in the last third, in MB.
    fn print(&self, args: &SoakArgs) -> (f64, f64) {
        let lasted = self.memory.last().map_or(0.0, |seen| seen.0);
        let most = |from: f64, to: f64| {
            let seen = self.memory.iter().filter(|seen| (from * lasted..=to * lasted).contains(&seen.0));
            seen.map(|seen| seen.1).max().unwrap_or_default() as f64 / 1e6
        };
        let (middle, last) = (most(1.0 / 3.0, 2.0 / 3.0), most(2.0 / 3.0, 1.0));
        println!(
            "soak              {:>12.0} points/s for {:.1} minutes, {:.0} % of the peak; durability {}",
            self.rate,
            lasted / 60.0,
            100.0 * self.rate / self.peak,
            args.subject.durability()
        );
        println!("ack               {}", quantiles(&self.sent.ack_us));
        println!("queries           {}", quantiles(&self.sent.query_us));
        println!(
            "memory            {:>12.0} MB at most in the first third, {middle:.0} in the second, {last:.0} in the last",
            most(0.0, 1.0 / 3.0)
        );
        for (what, value) in &self.metrics {
            println!("{what:<17} {value:>12}");
        }
        println!("checked           {:>12} samples stored, {} acknowledged", self.stored, self.acknowledged);
        (middle, last)
    }

    fn json(&self) -> Value {
        let mut memory: Vec<f64> = self.memory.iter().map(|seen| seen.1 as f64).collect();
        json!({
            "peak_samples_per_second": self.peak,
            "samples_per_second": self.rate,
            "acknowledged_samples": self.acknowledged,
            "stored_samples": self.stored,
            "ack_us": curve(&self.sent.ack_us),
            "query_us": curve(&self.sent.query_us),
            "rss_bytes_median": at_quantile(&mut memory, 0.5),
            "rss_bytes": self.memory,
            "metrics": self.metrics.iter().copied().collect::<std::collections::BTreeMap<_, _>>(),
        })
    }
}
