//! What a run of the ingest benchmark found, as text and as JSON.

use super::IngestArgs;
use crate::process::Process;
use crate::target::Target;
use crate::times::{at_quantile, curve, microseconds, quantiles};
use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::time::Duration;

/// Everything that was measured.
pub(super) struct Figures {
    target: &'static str,
    version: String,
    setting: String,
    series: usize,
    /// Samples that were acknowledged.
    pub(super) acknowledged: u64,
    /// Seconds and the server's CPU seconds of the first round, in which every series is new.
    first: (f64, f64),
    /// Seconds of each later round, without the client's encoding.
    steady_s: Vec<f64>,
    /// All later rounds, the client's encoding included; and the server's CPU seconds in them.
    steady: (f64, f64),
    ack_us: Histogram<u64>,
    rss_bytes: u64,
    peak_bytes: u64,
    disk_bytes: u64,
    log_bytes: Option<u64>,
    /// Seconds until it was ready after a `kill -9`, and acknowledged samples that it then lacked.
    restarted: Option<(f64, u64)>,
}

impl Figures {
    pub(super) fn new(
        args: &IngestArgs,
        (series, rounds): (usize, usize),
        target: &Target,
        request_bytes: usize,
    ) -> Self {
        Self {
            target: target.name,
            version: target.process().and_then(Process::version).unwrap_or_else(|_| "not known".to_owned()),
            setting: format!(
                "{:?}, {series} series x {rounds} rounds, {} points a request ({} B a point), {} connections x {} in flight, durability {}",
                args.protocol(),
                args.load.points_per_request,
                request_bytes / args.load.points_per_request,
                args.load.connections,
                args.load.in_flight,
                args.subject.durability(),
            ),
            series,
            acknowledged: 0,
            first: (0.0, 0.0),
            steady_s: Vec::new(),
            steady: (0.0, 0.0),
            ack_us: microseconds(),
            rss_bytes: 0,
            peak_bytes: 0,
            disk_bytes: 0,
            log_bytes: None,
            restarted: None,
        }
    }

    /// The first round took so long, and so many CPU seconds of the server.
    pub(super) fn first_round(&mut self, took: Duration, cpu_s: f64) {
        self.first = (took.as_secs_f64(), cpu_s);
        self.acknowledged += self.series as u64;
    }

    pub(super) fn round(&mut self, took: Duration, acks_us: &Histogram<u64>) {
        self.steady_s.push(took.as_secs_f64());
        self.ack_us += acks_us;
        self.acknowledged += self.series as u64;
    }

    /// All rounds but the first took so long, and so many CPU seconds of the server.
    pub(super) fn loaded(&mut self, took: Duration, cpu_s: f64, target: &Target) -> Result<()> {
        ensure!(!self.steady_s.is_empty(), "--rounds must be at least 2");
        self.steady = (took.as_secs_f64(), cpu_s);
        self.rss_bytes = target.usage()?.1;
        self.peak_bytes = target.process()?.peak_bytes()?;
        self.disk_bytes = target.disk_bytes()?;
        self.log_bytes = target.log_bytes()?;
        Ok(())
    }

    pub(super) fn restarted(&mut self, ready: Duration, lost: u64) {
        self.restarted = Some((ready.as_secs_f64(), lost));
    }

    fn steady_samples(&self) -> f64 {
        (self.steady_s.len() * self.series) as f64
    }

    /// Bytes of the log at the end of the load, if it has one that can be told apart.
    pub(super) fn log_bytes(&self) -> Option<u64> {
        self.log_bytes
    }

    /// The server's CPU seconds for a million samples of known series.
    pub(super) fn cpu_s_per_million(&self) -> f64 {
        self.steady.1 * 1e6 / self.steady_samples()
    }

    fn rate(&self) -> f64 {
        self.series as f64 / at_quantile(&mut self.steady_s.clone(), 0.5)
    }

    pub(super) fn print(&self) {
        let series = self.series as f64;
        println!("{} ({}): {}", self.target, self.version, self.setting);
        println!("new series        {:>12.0} points/s (first round)", series / self.first.0);
        println!("steady, median    {:>12.0} points/s (of {} rounds)", self.rate(), self.steady_s.len());
        println!(
            "steady, whole run {:>12.0} points/s (client's own work included)",
            self.steady_samples() / self.steady.0
        );
        println!("server CPU        {:>12.3} s a million points", self.cpu_s_per_million());
        println!("server CPU        {:>12.3} s a million new series", self.first.1 * 1e6 / series);
        println!("server memory     {:>12.0} B a series", self.rss_bytes as f64 / series);
        println!("ack               {}", quantiles(&self.ack_us));
        if let Some((ready_s, lost)) = self.restarted {
            println!("kill -9, ready    {ready_s:>12.2} s later; {lost} acknowledged samples are gone");
        }
    }

    pub(super) fn json(&self) -> Value {
        let series = self.series as f64;
        json!({
            "target": self.target,
            "version": self.version,
            "setting": self.setting,
            "series": self.series,
            "acknowledged_samples": self.acknowledged,
            "samples_per_second": self.rate(),
            "samples_per_second_with_client": self.steady_samples() / self.steady.0,
            "new_series_per_second": series / self.first.0,
            "cpu_seconds_per_million": self.cpu_s_per_million(),
            "cpu_seconds_per_million_new_series": self.first.1 * 1e6 / series,
            "ack_us": curve(&self.ack_us),
            "rss_bytes": self.rss_bytes,
            "peak_rss_bytes": self.peak_bytes,
            "rss_bytes_per_series": self.rss_bytes as f64 / series,
            "disk_bytes": self.disk_bytes,
            "log_bytes": self.log_bytes,
            "restart_seconds": self.restarted.map(|(seconds, _)| seconds),
            "lost_samples": self.restarted.map(|(_, lost)| lost),
        })
    }
}
