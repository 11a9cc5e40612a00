//! The stock Collector: runs the configuration that users are shown, on ports of its own, and is asked for its counters.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};

use crate::arguments::Arguments;
use crate::process::{Process, free_ports};
use crate::query::Client;

/// How long the Collector may take to hand over what it has queued; its longest pause between attempts is 10 s.
const SETTLE_PATIENCE: Duration = Duration::from_mins(1);

/// A running Collector.
pub(crate) struct Collector {
    process: Process,
    telemetry: Client,
}

impl Collector {
    /// Starts it as that of a machine called `host`, sending to `otlp_grpc`.
    pub(crate) fn start(arguments: &Arguments, workdir: &Path, otlp_grpc: &str, host: &str) -> anyhow::Result<Self> {
        let [grpc, http, telemetry] = free_ports()?;
        let mut command = Command::new(&arguments.collector);
        command.arg("--config").arg(&arguments.collector_config);
        command.env("COLLECTOR_OTLP_GRPC", format!("127.0.0.1:{grpc}"));
        command.env("COLLECTOR_OTLP_HTTP", format!("127.0.0.1:{http}"));
        command.env("COLLECTOR_TELEMETRY_PORT", telemetry.to_string());
        command.env("MYTSDB_OTLP_GRPC", otlp_grpc);
        // Both run on this machine; on two of them the system would tell the names.
        command.env("OTEL_RESOURCE_ATTRIBUTES", format!("host.name={host}"));
        let log = workdir.join(format!("collector-{host}.log"));
        let process = Process::start("the Collector", &mut command, &log)?;
        Ok(Self { process, telemetry: Client::new(&format!("127.0.0.1:{telemetry}")) })
    }

    /// Waits until the queue has run empty once, and returns the counters of that moment.
    pub(crate) fn settle(&mut self) -> anyhow::Result<Counters> {
        let deadline = Instant::now() + SETTLE_PATIENCE;
        loop {
            self.process.require_running()?;
            let counters = Counters::parse(&self.telemetry.text("/metrics")?);
            if counters.waiting == 0 && counters.sent > 0 {
                return Ok(counters);
            }
            if Instant::now() > deadline {
                bail!("the Collector's queue does not run empty: {counters}");
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// What the Collector says about its exporter, in points, and of its queue, in requests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Accepted by the server.
    pub(crate) sent: u64,
    /// Dropped because the server refused them for good.
    send_failed: u64,
    /// Dropped because the queue was full.
    enqueue_failed: u64,
    /// Requests queued or on the way.
    waiting: u64,
}

impl Counters {
    /// Reads the text format; a counter that never counted is not there and reads 0.
    fn parse(text: &str) -> Self {
        let sum = |metric: &str| -> u64 {
            let lines = text.lines().filter_map(|line| line.strip_prefix(metric));
            let lines = lines.filter(|rest| rest.starts_with(['{', ' ', '_']));
            // `_total` is there or not by the Collector's version.
            let lines = lines.filter(|rest| !rest.starts_with('_') || rest.starts_with("_total"));
            lines.filter_map(|rest| rest.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
        };
        Self {
            sent: sum("otelcol_exporter_sent_metric_points"),
            send_failed: sum("otelcol_exporter_send_failed_metric_points"),
            enqueue_failed: sum("otelcol_exporter_enqueue_failed_metric_points"),
            waiting: sum("otelcol_exporter_queue_size") + sum("otelcol_exporter_in_flight_requests"),
        }
    }

    /// Fails if a point was dropped.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(self.send_failed == 0 && self.enqueue_failed == 0, "the Collector dropped points: {self}");
        Ok(())
    }
}

impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, send_failed, enqueue_failed, waiting } = self;
        write!(f, "collector: {sent} points sent, {send_failed} failed, {enqueue_failed} not queued; ")?;
        write!(f, "{waiting} requests waiting")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_summed_and_default_to_nothing() {
        let text = "\
# TYPE otelcol_exporter_sent_metric_points counter
otelcol_exporter_sent_metric_points{exporter=\"otlp_grpc\"} 390
otelcol_exporter_sent_metric_points_total{exporter=\"other one\"} 1.1e+02
otelcol_exporter_sent_metric_points_created{exporter=\"other\"} 1.7e+09
otelcol_exporter_queue_size{exporter=\"otlp_grpc\"} 3
otelcol_exporter_in_flight_requests{exporter=\"otlp_grpc\"} 2
";
        let expected = Counters { sent: 500, send_failed: 0, enqueue_failed: 0, waiting: 5 };
        assert_eq!(Counters::parse(text), expected);
        assert!(expected.check().is_ok());
        let failed = Counters::parse("otelcol_exporter_send_failed_metric_points{exporter=\"otlp_grpc\"} 1\n");
        assert!(failed.check().is_err());
    }
}
