//! A server that speaks TLS, asks for credentials and lets few series begin at a time: a stock Collector, fed by an application
//! with the OpenTelemetry SDK, and a Prometheus must bring all they have through its doors; a stranger must not.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};

use crate::arguments::Arguments;
use crate::process::{Process, create_dir, free_ports};
use crate::prometheus::Prometheus;
use crate::query::{Client, Credentials};
use crate::sdk;
use crate::server::Server;

/// The tokens and passwords of this run; the file has what `sha256sum` and bcrypt make of them.
const TOKEN: &str = "e2e-collector-token";
const TOKEN_SHA256: &str = "f40bd0df052c2a0cef220bb1334ce0f0a93d6890f79304d151bd7a21ee8d37a1";
const PASSWORD: &str = "e2e-password";
/// `e2e:e2e-password`, as clients send it.
const BASIC: &str = "ZTJlOmUyZS1wYXNzd29yZA==";

/// So low that every sender exceeds it and has to come back.
const SERIES_PER_SECOND: &str = "100";
const SERIES_BURST: &str = "20";

/// The `job` of what came by gRPC and by HTTP.
const JOBS: [&str; 2] = ["by-grpc", "by-http"];

/// How long everybody may take to be ready, and to bring what they have.
const PATIENCE: Duration = Duration::from_mins(1);

/// Runs all of it.
///
/// # Errors
///
/// What did not arrive, or who came in that should not.
pub(crate) fn check(arguments: &Arguments, workdir: &Path) -> anyhow::Result<Verdict> {
    let dir = workdir.join("doors");
    create_dir(&dir)?;
    let files = Files::write(&dir)?;
    let credentials = Credentials { authority: files.authority.clone(), authorization: format!("Basic {BASIC}") };
    let mut server = Server::new(&arguments.server, &dir)?.guarded(files.flags(), credentials);
    server.start()?;
    let client = server.client();
    let mut prometheus =
        Prometheus::launch(&arguments.prometheus, &dir, &[], |address| prometheus_settings(address, &server, &files))?;
    let mut collector = start_collector(arguments, &dir, &server, &files)?;
    collector.feed(&arguments.sdk_source)?;
    sdk::check(&client, &JOBS).inspect_err(|_| drop(collector.process.require_running()))?;
    let collector = collector.check()?;
    let scrapes = check_prometheus(&mut prometheus, &client)?;
    let text = client.text("/metrics")?;
    let limited = |protocol: &str| {
        let line = |line: &&str| {
            line.starts_with("mytsdb_ingest_limited_requests_total{")
                && line.contains("limit=\"max-new-series-per-second\"")
                && line.contains(&format!("protocol=\"{protocol}\""))
        };
        text.lines().filter(line).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
    };
    let limited = ["otlp_grpc", "otlp_http", "remote_write"].map(limited);
    ensure!(limited[0] + limited[1] > 0 && limited[2] > 0, "the limit was not met: {limited:?} requests came back");
    Ok(Verdict { limited, scrapes, denied: collector })
}

/// What was seen.
pub(crate) struct Verdict {
    /// Requests that had to come back, by gRPC, OTLP/HTTP and remote write.
    limited: [u64; 3],
    scrapes: usize,
    /// Points of the exporter with a wrong token, which it dropped.
    denied: u64,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limited: [grpc, http, write], scrapes, denied } = self;
        write!(
            f,
            "doors: all of the SDK's points by gRPC and HTTP and {scrapes} scrapes by remote write came through TLS, "
        )?;
        write!(f, "after {grpc}, {http} and {write} requests had to come back; {denied} points of a stranger did not")
    }
}

/// Certificates, and who may do what.
struct Files {
    dir: PathBuf,
    authority: String,
}

impl Files {
    #[expect(clippy::disallowed_methods, reason = "settings of a test run, not data of the store")]
    fn write(dir: &Path) -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "e2e");
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let write = |name: &str, text: &str| {
            std::fs::write(dir.join(name), text).with_context(|| format!("cannot write {name}"))
        };
        for (name, san, usage) in [
            ("server", "127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth),
            ("collector", "collector", ExtendedKeyUsagePurpose::ClientAuth),
        ] {
            let mut params = CertificateParams::new(vec![san.to_owned()])?;
            params.extended_key_usages = vec![usage];
            let key = KeyPair::generate()?;
            write(&format!("{name}.crt"), &params.signed_by(&key, &authority)?.pem())?;
            write(&format!("{name}.key"), &key.serialize_pem())?;
        }
        write("ca.crt", &authority.pem())?;
        let hash = bcrypt::hash(PASSWORD, 8)?;
        write(
            "web.yml",
            &format!(
                "tls_server_config:
  {{cert_file: server.crt, key_file: server.key, client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt,
    client_allowed_sans: [collector]}}
basic_auth_users: {{e2e: {hash}}}
basic_auth_scopes: {{e2e: [read, write]}}
bearer_tokens: [{{name: collector, sha256: {TOKEN_SHA256}, scopes: [write]}}]
"
            ),
        )?;
        Ok(Self { dir: dir.to_owned(), authority: authority.pem() })
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn flags(&self) -> Vec<OsString> {
        let web = self.path("web.yml");
        let flags = [
            ["--web-config-file", &web],
            ["--max-new-series-per-second", SERIES_PER_SECOND],
            ["--max-new-series-burst", SERIES_BURST],
        ];
        flags.iter().flatten().map(OsString::from).collect()
    }
}

/// A Collector that sends what it gets on by gRPC, by HTTP, and with a wrong token.
struct Collector {
    process: Process,
    otlp: String,
    telemetry: Client,
}

fn start_collector(arguments: &Arguments, dir: &Path, server: &Server, files: &Files) -> anyhow::Result<Collector> {
    let [grpc, telemetry] = free_ports()?;
    let (otlp, config) = (format!("127.0.0.1:{grpc}"), dir.join("collector.yml"));
    let tls = format!(
        "{{ca_file: {}, cert_file: {}, key_file: {}}}",
        files.path("ca.crt"),
        files.path("collector.crt"),
        files.path("collector.key")
    );
    let retry = "{enabled: true, initial_interval: 100ms, max_interval: 1s, max_elapsed_time: 0s}";
    // Deltas count in the order of time, so a request that is sent again must not be overtaken.
    let queue = "{num_consumers: 1}";
    let (to_grpc, to_http) = (server.otlp_grpc(), server.otlp_http());
    let text = format!(
        "receivers: {{otlp: {{protocols: {{grpc: {{endpoint: '{otlp}'}}}}}}}}
processors:
  resource/grpc: {{attributes: [{{key: service.name, value: {grpc_job}, action: upsert}}]}}
  resource/http: {{attributes: [{{key: service.name, value: {http_job}, action: upsert}}]}}
exporters:
  otlp_grpc: {{endpoint: '{to_grpc}', tls: {tls}, headers: {{authorization: 'Bearer {TOKEN}'}}, retry_on_failure: {retry}, sending_queue: {queue}}}
  otlp_grpc/stranger: {{endpoint: '{to_grpc}', tls: {tls}, headers: {{authorization: 'Bearer guess'}}, retry_on_failure: {retry}, sending_queue: {queue}}}
  otlp_http: {{endpoint: 'https://{to_http}', tls: {tls}, headers: {{authorization: 'Basic {BASIC}'}}, retry_on_failure: {retry}, sending_queue: {queue}}}
service:
  pipelines:
    metrics/grpc: {{receivers: [otlp], processors: [resource/grpc], exporters: [otlp_grpc, otlp_grpc/stranger]}}
    metrics/http: {{receivers: [otlp], processors: [resource/http], exporters: [otlp_http]}}
  telemetry: {{metrics: {{readers: [{{pull: {{exporter: {{prometheus: {{host: 127.0.0.1, port: {telemetry}}}}}}}}}]}}}}
",
        grpc_job = JOBS[0],
        http_job = JOBS[1],
    );
    #[expect(clippy::disallowed_methods, reason = "a setting of a test run, not data of the store")]
    std::fs::write(&config, text).context("write collector.yml")?;
    let mut command = Command::new(&arguments.collector);
    command.arg("--config").arg(&config);
    let process = Process::start("the Collector", &mut command, &dir.join("collector.log"))?;
    Ok(Collector { process, otlp, telemetry: Client::new(&format!("127.0.0.1:{telemetry}")) })
}

impl Collector {
    /// Has the application record and send what it has.
    fn feed(&mut self, sdk_source: &Path) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.telemetry.text("/metrics").is_err() {
            self.process.require_running()?;
            ensure!(Instant::now() < deadline, "the Collector is not ready after {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        let status = Command::new(sdk_source).arg(&self.otlp).status().context("start the application")?;
        ensure!(status.success(), "the application with the SDK: {status}");
        Ok(())
    }

    /// Fails if a point was dropped but those of the stranger, all of which must be; returns how many these were.
    fn check(&mut self) -> anyhow::Result<u64> {
        self.process.require_running()?;
        let text = self.telemetry.text("/metrics")?;
        let sum = |metric: &str, exporter: &str| {
            let label = format!("exporter=\"{exporter}\"");
            let lines = text.lines().filter(|line| line.starts_with(metric) && line.contains(&label));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
        };
        let [sent, failed, lost] =
            ["sent", "send_failed", "enqueue_failed"].map(|what| format!("otelcol_exporter_{what}_metric_points"));
        for exporter in ["otlp_grpc", "otlp_http"] {
            let dropped = sum(&failed, exporter) + sum(&lost, exporter);
            ensure!(dropped == 0 && sum(&sent, exporter) > 0, "{exporter} dropped {dropped} points");
        }
        let stranger = "otlp_grpc/stranger";
        ensure!(sum(&sent, stranger) == 0, "a stranger's points were taken");
        ensure!(sum(&failed, stranger) > 0, "the stranger still tries");
        Ok(sum(&failed, stranger))
    }
}

fn prometheus_settings(address: &str, server: &Server, files: &Files) -> String {
    format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
- job_name: prometheus
  static_configs: [{{targets: ['{address}']}}]
  # Some eighty series: more than may begin at once, and few enough to be there soon.
  metric_relabel_configs:
  - {{source_labels: [__name__], regex: 'prometheus_(build_info|tsdb_head_.+)', action: keep}}
remote_write:
- url: https://{}/api/v1/write
  tls_config: {{ca_file: {}}}
  basic_auth: {{username: e2e, password: {PASSWORD}}}
  queue_config: {{batch_send_deadline: 500ms}}
",
        server.http(),
        files.path("ca.crt")
    )
}

/// Waits for some scrapes; none may have been given up. Returns how many there are.
fn check_prometheus(prometheus: &mut Prometheus, client: &Client) -> anyhow::Result<usize> {
    const SCRAPES_MIN: usize = 5;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = client.query("prometheus_build_info{job=\"prometheus\"}[10m]", None)?;
        let scrapes = found.iter().map(|series| series.samples.len()).sum();
        if scrapes >= SCRAPES_MIN {
            prometheus.check_counters()?;
            return Ok(scrapes);
        }
        ensure!(Instant::now() < deadline, "{scrapes} scrapes came through after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(200));
    }
}
