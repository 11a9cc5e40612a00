//! What a run found, as text and as JSON.

use super::K8sArgs;
use super::questions::{Question, Times};
use super::reader::Reading;
use super::settle::Settled;
use super::source::{Samples, Source};
use super::verify::{Answered, Checked};
use super::writer::Record;
use crate::answers::{data, number};
use crate::process::Process;
use crate::report_file;
use crate::target::Target;
use crate::times::{curve, microseconds, millis, quantiles};
use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// The server at one time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tick {
    seconds: f64,
    samples: u64,
    /// CPU seconds and resident bytes, of a server that this program started.
    usage: Option<(f64, u64)>,
}

impl Tick {
    pub(crate) fn now(begun: Instant, samples: u64, target: &Target) -> Self {
        Self { seconds: begun.elapsed().as_secs_f64(), samples, usage: target.usage().ok() }
    }
}

/// Of one family of the server's own metrics: the sum of its series, or how often and how long.
#[derive(Debug, Default)]
struct Family {
    series: usize,
    value: f64,
    sum: f64,
    count: f64,
}

/// Everything that was measured.
#[derive(Debug)]
pub(crate) struct Report {
    target: &'static str,
    version: String,
    setting: String,
    series: u64,
    requested_rate: Option<f64>,
    filled: u64,
    fill_s: f64,
    /// Samples of requests that were asked for at once.
    pub(crate) probed: Samples,
    pub(crate) ticks: Vec<Tick>,
    response_us: Histogram<u64>,
    service_us: Histogram<u64>,
    requests: u64,
    request_bytes: u64,
    again: u64,
    acknowledged: u64,
    disk_bytes: Option<u64>,
    peak_bytes: Option<u64>,
    ready: Option<Duration>,
    pub(crate) settled: Option<Settled>,
    families: BTreeMap<String, Family>,
    pub(crate) answers: Vec<Answered>,
    pub(crate) checked: Checked,
}

impl Report {
    pub(crate) fn new(args: &K8sArgs, source: &dyn Source, target: &Target) -> Self {
        Self {
            target: target.name,
            version: target.process().and_then(Process::version).unwrap_or_else(|_| "not known".to_owned()),
            setting: format!(
                "{} {:?}, seed {}, {:?} by {:?}, {} writers, {} readers, {} pods and {} samples of a series a request, \
                 durability {}",
                if args.replay.is_some() { "replay" } else { "k8s" },
                args.preset,
                args.seed,
                args.mode,
                args.protocol(),
                args.write_workers,
                args.read_workers,
                args.pods_per_request,
                args.samples_per_series,
                args.subject.durability(),
            ),
            series: source.series_stored(),
            requested_rate: args.rate,
            filled: 0,
            fill_s: 0.0,
            probed: Samples::default(),
            ticks: Vec::new(),
            response_us: microseconds(),
            service_us: microseconds(),
            requests: 0,
            request_bytes: 0,
            again: 0,
            acknowledged: 0,
            disk_bytes: None,
            peak_bytes: None,
            ready: None,
            settled: None,
            families: BTreeMap::new(),
            answers: Vec::new(),
            checked: Checked::default(),
        }
    }

    pub(crate) fn filled(&mut self, samples: u64, took: Duration) {
        (self.filled, self.fill_s) = (samples, took.as_secs_f64());
    }

    pub(crate) fn restarted(&mut self, ready: Duration) {
        self.ready = Some(ready);
    }

    pub(crate) fn peak(&mut self, target: &Target) {
        self.peak_bytes = target.process().and_then(Process::peak_bytes).ok();
    }

    pub(crate) fn wrote(&mut self, records: &[Record], acknowledged: u64, target: &Target) {
        for record in records {
            self.response_us += &record.response_us;
            self.service_us += &record.service_us;
            self.requests += record.requests;
            self.request_bytes += record.bytes;
            self.again += record.again;
        }
        self.acknowledged = acknowledged;
        self.disk_bytes = target.disk_bytes().ok();
    }

    /// Asks the server for what it measured itself.
    pub(crate) fn server_metrics(&mut self, target: &Target) -> Result<()> {
        let mut body = Vec::new();
        target.ask("/api/v1/query", &[("query", "{__name__=~\"mytsdb_.+\"}".to_owned())], &mut body)?;
        let result = data(&body)?["result"].take();
        for row in result.as_array().context("a list of series")? {
            let name = row["metric"]["__name__"].as_str().unwrap_or_default();
            let value = number(&row["value"][1])?;
            let end = ["_bucket", "_sum", "_count"].into_iter().find(|end| name.ends_with(end));
            let family = name.strip_suffix(end.unwrap_or_default()).unwrap_or(name);
            let family = self.families.entry(family.to_owned()).or_default();
            match end {
                Some("_bucket") => {}
                Some("_sum") => family.sum += value,
                Some(_) => (family.count, family.series) = (family.count + value, family.series + 1),
                None => (family.value, family.series) = (family.value + value, family.series + 1),
            }
        }
        Ok(())
    }

    /// Samples a second that were acknowledged while it was measured.
    fn rate(&self) -> f64 {
        self.ticks.last().map_or(0.0, |tick| tick.samples as f64 / tick.seconds)
    }

    /// CPU seconds of the server between the first and the last look.
    fn cpu_s(&self) -> Option<f64> {
        Some(self.ticks.last()?.usage?.0 - self.ticks.first()?.usage?.0)
    }

    /// Resident bytes at the last look.
    fn rss(&self) -> Option<u64> {
        self.ticks.last().and_then(|tick| tick.usage).map(|usage| usage.1)
    }

    fn queries_per_second(&self, readings: &[Reading]) -> Option<f64> {
        let asked: u64 = readings.iter().map(|reading| reading.asked).sum();
        self.ticks.last().filter(|_| asked > 0).map(|tick| asked as f64 / tick.seconds)
    }

    fn measured(&self) -> u64 {
        self.ticks.last().map_or(0, |tick| tick.samples)
    }

    pub(crate) fn print(&self, questions: &[Question], readings: &[Reading]) {
        println!("{} ({}): {}", self.target, self.version, self.setting);
        println!("series            {:>12}", self.series);
        println!("filled with       {:>12} samples in {:.1} s", self.filled, self.fill_s);
        if self.requests > 0 {
            self.print_writes();
        }
        if let Some((_, rss)) = self.ticks.last().and_then(|tick| tick.usage) {
            println!(
                "server memory     {:>12.1} MB at the end, {:.1} at its peak; {:.2} KB a series",
                rss as f64 / 1e6,
                self.peak_bytes.unwrap_or(rss) as f64 / 1e6,
                rss as f64 / 1024.0 / self.series as f64
            );
        }
        if let Some(bytes) = self.disk_bytes {
            let per_sample = bytes as f64 / self.acknowledged as f64;
            println!("on disk           {:>12.1} MB, log and blocks; {per_sample:.2} B a sample", bytes as f64 / 1e6);
        }
        if let Some(settled) = self.settled {
            println!(
                "compacted         {:>12.1} MB of blocks; {:.3} B a sample; {:.3} with everything else on disk; after {:.0} s{}",
                settled.block_bytes as f64 / 1e6,
                settled.block_bytes as f64 / self.acknowledged as f64,
                settled.disk_bytes as f64 / self.acknowledged as f64,
                settled.took.as_secs_f64(),
                if settled.busy { ", and not done" } else { "" }
            );
        }
        if let Some(ready) = self.ready {
            println!(
                "kill -9 in mid-load, ready again after {:.2} s; what was acknowledged is asked for",
                ready.as_secs_f64()
            );
        }
        self.print_reads(questions, readings);
        self.print_families();
    }

    fn print_writes(&self) {
        println!("acknowledged      {:>12.0} samples/s ({} distinct while measured)", self.rate(), self.measured());
        if let Some(rate) = self.requested_rate {
            println!("asked for         {rate:>12.0} samples/s");
        }
        let per_request = self.measured() as f64 / self.requests as f64;
        println!(
            "requests          {:>12} of {per_request:.0} samples, {:.0} B; {} sent again",
            self.requests,
            self.request_bytes as f64 / self.requests as f64,
            self.again
        );
        let from = if self.requested_rate.is_some() { "the intended time" } else { "sending" };
        println!("ack from {from}   {}", quantiles(&self.response_us));
        if self.requested_rate.is_some() {
            println!("ack from sending            {}", quantiles(&self.service_us));
        }
        if let Some(cpu_s) = self.cpu_s() {
            let per_million = cpu_s * 1e6 / self.measured() as f64;
            println!("server CPU        {cpu_s:>12.2} s, queries included; {per_million:.2} s a million samples");
        }
    }

    fn print_reads(&self, questions: &[Question], readings: &[Reading]) {
        let asked: u64 = readings.iter().map(|reading| reading.asked).sum();
        if asked > 0 {
            let seconds = self.ticks.last().map_or(1.0, |tick| tick.seconds);
            let bytes: u64 = readings.iter().map(|reading| reading.bytes).sum();
            println!(
                "queries           {:>12.0} a second, {:.0} B an answer",
                asked as f64 / seconds,
                bytes as f64 / asked as f64
            );
            println!("hot               {}", quantiles(&merged(readings, |r| &r.hot_us)));
            println!("cold              {}", quantiles(&merged(readings, |r| &r.cold_us)));
            println!("{:>9} {:>9}   query", "median ms", "p99 ms");
            for (number, question) in questions.iter().enumerate() {
                let times = merged(readings, |reading| &reading.by_question_us[number]);
                let [median, p99] = [0.5, 0.99].map(|q| millis(times.value_at_quantile(q)));
                println!("{median:>9.2} {p99:>9.2}   {}", shown(question));
            }
        }
        for (question, answer) in questions.iter().zip(&self.answers) {
            if answer.points == 0 || !answer.agrees {
                let what = if answer.points == 0 { "empty" } else { "differs from the model" };
                println!("{what}: {}", shown(question));
            }
        }
        if self.answers.is_empty() {
            return;
        }
        let filled = self.answers.iter().filter(|answer| answer.points > 0).count();
        let agree = self.answers.iter().filter(|answer| answer.agrees).count();
        println!(
            "answers           {filled} of {} are not empty, {agree} are the model's; of those under load {} of {} different ones were checked",
            self.answers.len(),
            self.checked.checked,
            self.checked.kept
        );
    }

    fn print_families(&self) {
        if self.families.is_empty() {
            return;
        }
        println!("the server's own metrics, {} families:", self.families.len());
        for (name, family) in &self.families {
            if family.count > 0.0 {
                let mean = family.sum / family.count;
                println!("  {name:<52} {:>14} times, {mean:.3e} each", family.count);
            } else {
                println!("  {name:<52} {:>14} in {} series", family.value, family.series);
            }
        }
    }

    /// Writes everything to a file.
    pub(crate) fn write(&self, path: &Path, questions: &[Question], readings: &[Reading]) -> Result<()> {
        let queries: Vec<Value> = questions
            .iter()
            .enumerate()
            .map(|(number, question)| {
                let times = merged(readings, |reading| &reading.by_question_us[number]);
                let answer = self.answers.get(number);
                json!({
                    "query": question.expression.to_string(),
                    "hot": question.hot,
                    "asked": times.len(),
                    "median_ms": millis(times.value_at_quantile(0.5)),
                    "p99_ms": millis(times.value_at_quantile(0.99)),
                    "rows": answer.map(|a| a.rows),
                    "points": answer.map(|a| a.points),
                    "agrees": answer.map(|a| a.agrees),
                })
            })
            .collect();
        let ticks: Vec<Value> = self
            .ticks
            .iter()
            .map(|tick| json!([tick.seconds, tick.samples, tick.usage.map(|u| u.0), tick.usage.map(|u| u.1)]))
            .collect();
        let families: BTreeMap<&String, Value> = self
            .families
            .iter()
            .map(|(name, f)| (name, json!({"series": f.series, "value": f.value, "sum": f.sum, "count": f.count})))
            .collect();
        let report = json!({
            "target": self.target,
            "version": self.version,
            "setting": self.setting,
            "series": self.series,
            "filled_samples": self.filled,
            "fill_seconds": self.fill_s,
            "acknowledged_samples": self.acknowledged,
            "samples_per_second": self.rate(),
            "requested_samples_per_second": self.requested_rate,
            "cpu_seconds_per_million": self.cpu_s().map(|s| s * 1e6 / self.measured() as f64),
            "queries_per_second": self.queries_per_second(readings),
            "rss_bytes_per_series": self.rss().map(|bytes| bytes as f64 / self.series as f64),
            "rss_bytes": self.rss(),
            "peak_rss_bytes": self.peak_bytes,
            "disk_bytes": self.disk_bytes,
            "compacted_bytes": self.settled.map(|s| s.block_bytes),
            "compacted_disk_bytes": self.settled.map(|s| s.disk_bytes),
            "compacted_bytes_per_sample": self.settled.map(|s| s.block_bytes as f64 / self.acknowledged as f64),
            "compaction_unfinished": self.settled.map(|s| s.busy),
            "restart_seconds": self.ready.map(|r| r.as_secs_f64()),
            "ack_us": curve(&self.response_us),
            "ack_service_us": curve(&self.service_us),
            "hot_us": curve(&merged(readings, |r| &r.hot_us)),
            "cold_us": curve(&merged(readings, |r| &r.cold_us)),
            "ticks": ticks,
            "queries": queries,
            "server_metrics": families,
        });
        report_file::write(path, &report)
    }
}

/// A question as it is shown: when, and what.
fn shown(question: &Question) -> String {
    let heat = if question.hot { "hot " } else { "cold" };
    match question.times {
        Times::Now => format!("{heat} now        {}", question.expression),
        Times::Past => format!("{heat} past       {}", question.expression),
        Times::Range { range_s, step_s } => {
            format!("{heat} {:<10} {}", format!("{}h/{step_s}s", range_s / 3_600), question.expression)
        }
    }
}

fn merged<'a>(readings: &'a [Reading], of: impl Fn(&'a Reading) -> &'a Histogram<u64>) -> Histogram<u64> {
    let mut all = microseconds();
    for reading in readings {
        all += of(reading);
    }
    all
}
