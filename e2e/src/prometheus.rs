//! A stock Prometheus as sender of remote write: it scrapes itself and the server, and sends all of it twice, once by each
//! version of the protocol. In the end both sides must have the same samples, whatever was killed in between; what it reads back
//! by remote read too.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, bail, ensure};

use crate::process::{Process, free_ports};
use crate::query::{Client, Series};

/// How long Prometheus may take to start, and to send what it could not send while the server was down; its longest pause
/// between attempts is 5 s.
const PATIENCE: Duration = Duration::from_mins(1);

/// The label that tells the versions apart, added on the way.
const VIA: &str = "via";

/// A family whose metadata is asked for, and its type.
const FAMILY: (&str, &str) = ("prometheus_http_requests_total", "counter");

/// Series that a Prometheus has of itself at least; some 900 in 3.16.
const SERIES_MIN: usize = 300;

/// What is asked of both sides: samples as they are, and what a graph shows, which ends at staleness markers.
const QUESTIONS: [(&str, &str); 2] = [("samples", ""), ("points a second", ":1s")];

/// A running Prometheus.
pub(crate) struct Prometheus {
    process: Process,
    client: Client,
    address: String,
    /// When everything that is scraped is sent, in milliseconds since the epoch.
    start_ms: i64,
}

impl Prometheus {
    /// Starts it on a port of its own, sending to `server`, and waits until it is ready.
    pub(crate) fn start(binary: &Path, workdir: &Path, server: &str) -> anyhow::Result<Self> {
        Self::launch(binary, workdir, &[], |address| settings(address, server))
    }

    /// Starts it on a port of its own, with more flags and with the settings that are made for its address, and waits until it
    /// is ready.
    pub(crate) fn launch(
        binary: &Path,
        workdir: &Path,
        flags: &[&str],
        settings: impl FnOnce(&str) -> String,
    ) -> anyhow::Result<Self> {
        let [port] = free_ports()?;
        let address = format!("127.0.0.1:{port}");
        let config = workdir.join("prometheus.yml");
        #[expect(clippy::disallowed_methods, reason = "a setting of a test run, not data of the store")]
        std::fs::write(&config, settings(&address)).context("write prometheus.yml")?;
        let mut command = Command::new(binary);
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", workdir.join("prometheus").display()));
        command.arg(format!("--web.listen-address={address}")).args(flags);
        let mut process = Process::start("Prometheus", &mut command, &workdir.join("prometheus.log"))?;
        let client = Client::new(&address);
        let deadline = Instant::now() + PATIENCE;
        while !client.is_ready() {
            process.require_running()?;
            ensure!(Instant::now() < deadline, "Prometheus is not ready after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Self { process, client, address, start_ms: now_ms()? })
    }

    /// Asks it.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Waits until `server` has all samples up to now, by both versions, and nothing was dropped.
    pub(crate) fn check(&mut self, server: &Client) -> anyhow::Result<Verdict> {
        let end_ms = now_ms()?;
        let seconds = (end_ms - self.start_ms) / 1000 - 2;
        ensure!(seconds > 5, "Prometheus has run for {seconds} s only");
        let mut verdict = Verdict::default();
        for (what, step) in QUESTIONS {
            let ask = |client: &Client, selector: &str| {
                client.query(&format!("{selector}[{seconds}s{step}]"), Some(end_ms)).map(rows)
            };
            let wanted = ask(&self.client, "{job=~\"prometheus|mytsdb\"}")?;
            ensure!(wanted.len() > SERIES_MIN, "Prometheus has {} series only", wanted.len());
            for version in ["v1", "v2"] {
                let selector = format!("{{{VIA}=\"{version}\"}}");
                let deadline = Instant::now() + PATIENCE;
                loop {
                    let found = ask(server, &selector)?;
                    let Some(difference) = difference(&wanted, &found) else { break };
                    self.process.require_running()?;
                    if Instant::now() > deadline {
                        bail!("{what} by remote write {version} differ: {difference}");
                    }
                    std::thread::sleep(Duration::from_millis(500));
                }
            }
            // The selector names the version that the samples came by.
            let read = ask(&self.client, &format!("{{{VIA}=\"v1\"}}"))?;
            if let Some(difference) = difference(&wanted, &read) {
                bail!("{what} by remote read differ: {difference}");
            }
            verdict.series = wanted.len();
            let histograms = wanted.values().map(|row| row.histograms.len()).sum();
            ensure!(histograms > 0, "Prometheus has no native histograms of itself");
            verdict.counts.push((what, wanted.values().map(|row| row.samples.len()).sum(), histograms));
        }
        self.check_counters()?;
        let (family, kind) = FAMILY;
        let known = server.metric_type(family)?;
        ensure!(known.as_deref() == Some(kind), "{family} is {known:?} in the server's metadata, not {kind}");
        Ok(verdict)
    }

    /// Fails if something was given up.
    pub(crate) fn check_counters(&self) -> anyhow::Result<()> {
        let text = self.client.text("/metrics")?;
        for what in
            ["samples_failed_total", "samples_dropped_total", "histograms_failed_total", "metadata_failed_total"]
        {
            let name = format!("prometheus_remote_storage_{what}{{");
            for line in text.lines().filter(|line| line.starts_with(&name)) {
                ensure!(line.ends_with(" 0"), "Prometheus gave up: {line}");
            }
        }
        Ok(())
    }
}

/// What both sides have.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    series: usize,
    /// What, floats, histograms.
    counts: Vec<(&'static str, usize, usize)>,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "remote write: {} series the same on both sides by 1.0 and 2.0, and by remote read", self.series)?;
        let mut counts = self.counts.iter();
        counts
            .try_for_each(|(what, floats, histograms)| write!(f, "; {what}: {floats} floats, {histograms} histograms"))
    }
}

fn settings(address: &str, server: &str) -> String {
    let write = |name: &str, message: &str| {
        format!(
            "- name: {name}
  url: http://{server}/api/v1/write
  protobuf_message: {message}
  send_native_histograms: true
  metadata_config: {{send_interval: 2s}}
  queue_config: {{batch_send_deadline: 500ms}}
  write_relabel_configs: [{{target_label: {VIA}, replacement: {name}}}]
"
        )
    };
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s, scrape_native_histograms: true}}
scrape_configs:
- job_name: prometheus
  static_configs: [{{targets: ['{address}']}}]
- job_name: mytsdb
  static_configs: [{{targets: ['{server}']}}]
remote_write:
{}{}remote_read:
- url: http://{server}/api/v1/read
  read_recent: true
  required_matchers: {{{VIA}: v1}}
",
        write("v1", "prometheus.WriteRequest"),
        write("v2", "io.prometheus.write.v2.Request")
    )
}

/// Samples by labels but for the one that was added on the way, bit for bit.
/// Series by their labels.
pub(crate) type Rows = BTreeMap<BTreeMap<String, String>, Row>;

/// Floats by their times, and histograms as they are written.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Row {
    samples: Vec<(i64, u64)>,
    histograms: Vec<String>,
}

/// The series of an answer by their labels.
pub(crate) fn rows(series: Vec<Series>) -> Rows {
    let row = |mut series: Series| {
        series.labels.remove(VIA);
        // Both sides write any NaN as NaN.
        let bits = |value: f64| if value.is_nan() { u64::MAX } else { value.to_bits() };
        let samples = series.samples.into_iter().map(|(time_ms, value)| (time_ms, bits(value))).collect();
        (series.labels, Row { samples, histograms: series.histograms })
    };
    series.into_iter().map(row).collect()
}

/// The first difference, in words.
pub(crate) fn difference(wanted: &Rows, found: &Rows) -> Option<String> {
    for (labels, row) in wanted {
        match found.get(labels) {
            None => return Some(format!("{labels:?} is missing")),
            Some(there) if there != row => {
                let samples = row.samples.iter().filter(|sample| !there.samples.contains(sample)).count();
                let histograms = row.histograms.iter().find(|histogram| !there.histograms.contains(histogram));
                return Some(format!(
                    "{labels:?} has {} samples and {} histograms instead of {} and {}; {samples} samples are missing, \
                     histograms: {histograms:?}",
                    there.samples.len(),
                    there.histograms.len(),
                    row.samples.len(),
                    row.histograms.len()
                ));
            }
            Some(_) => {}
        }
    }
    found.keys().find(|labels| !wanted.contains_key(*labels)).map(|labels| format!("{labels:?} is one too many"))
}

/// Now, in ms since the epoch.
pub(crate) fn now_ms() -> anyhow::Result<i64> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("clock before 1970")?;
    Ok(since.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(samples: &[(i64, f64)], via: Option<&str>) -> Rows {
        let mut labels = BTreeMap::from([("__name__".to_owned(), "up".to_owned())]);
        labels.extend(via.map(|via| (VIA.to_owned(), via.to_owned())));
        rows(vec![Series { labels, samples: samples.to_vec(), histograms: vec!["h".to_owned()] }])
    }

    #[test]
    fn sides_differ_by_a_sample_a_value_or_a_series() {
        let wanted = sent(&[(1, 1.0), (2, f64::NAN)], None);
        assert_eq!(difference(&wanted, &sent(&[(1, 1.0), (2, f64::NAN)], Some("v1"))), None);
        assert!(difference(&wanted, &sent(&[(1, 1.0)], None)).unwrap().contains("1 samples are missing"));
        assert!(difference(&wanted, &sent(&[(1, 2.0), (2, f64::NAN)], None)).is_some());
        assert!(difference(&wanted, &Rows::new()).unwrap().contains("is missing"));
        assert!(difference(&Rows::new(), &wanted).unwrap().contains("one too many"));
    }
}
