//! The server that a benchmark talks to: where to write and where to query.

use crate::process::{Folder, Process, folder_bytes, free_address, mytsdb_arguments};
use crate::raw_codec::RawCodec;
use anyhow::{Context, Result, ensure};
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};
use tonic::transport::Channel;

/// The method that takes OTLP over gRPC.
pub(crate) const EXPORT: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// Settings of peers beside folders and addresses; `docs/perf/peers.md` says why each.
const PROMETHEUS_FLAGS: [&str; 4] = [
    "--web.enable-otlp-receiver",
    "--web.enable-remote-write-receiver",
    "--storage.tsdb.retention.time=100y",
    "--query.max-samples=500000000",
];
const VICTORIA_FLAGS: [&str; 3] =
    ["-retentionPeriod=100y", "-opentelemetry.usePrometheusNaming", "-search.maxUniqueTimeseries=10000000"];

/// How samples get in.
enum Intake {
    Grpc(String),
    Http(String),
}

/// A server under test.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Nothing for a server that somebody else started.
    process: Option<Process>,
    /// Added to every query.
    parameters: Vec<(&'static str, &'static str)>,
    http: String,
    intake: Intake,
    agent: ureq::Agent,
    folder: Option<Folder>,
}

impl Target {
    /// A fresh mytsdb that stores no metrics of its own.
    pub(crate) fn mytsdb(program: &Path) -> Result<Self> {
        Self::mytsdb_with(program, "fsync", 0, None)
    }

    /// A mytsdb with a durability, which stores its own metrics at every so many seconds, or never; fresh unless a folder is given.
    pub(crate) fn mytsdb_with(
        program: &Path,
        durability: &str,
        self_metrics_s: u64,
        data_dir: Option<&Path>,
    ) -> Result<Self> {
        let (http, grpc) = (free_address()?, free_address()?);
        let folder = match data_dir {
            Some(path) => Folder::kept(path),
            None => Folder::new("mytsdb")?,
        };
        let arguments = mytsdb_arguments(folder.path(), &http, &grpc, durability, self_metrics_s);
        let process = Process::start(program, &arguments, &format!("http://{http}/-/ready"))?;
        Ok(Self::new("mytsdb", process, http, Intake::Grpc(grpc), folder))
    }

    pub(crate) fn prometheus(program: &Path) -> Result<Self> {
        let http = free_address()?;
        let folder = Folder::new("prometheus")?;
        let config = folder.path().join("prometheus.yml");
        write(&config, "global: {}\nstorage:\n  tsdb:\n    out_of_order_time_window: 0s\n")?;
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.tsdb.path={}", folder.path().join("data").display()),
            format!("--web.listen-address={http}"),
        ];
        let arguments = [&arguments[..], &PROMETHEUS_FLAGS.map(str::to_owned)].concat();
        let process = Process::start(program, &arguments, &format!("http://{http}/-/ready"))?;
        let intake = Intake::Http(format!("http://{http}/api/v1/otlp/v1/metrics"));
        Ok(Self::new("prometheus", process, http, intake, folder))
    }

    pub(crate) fn victoria_metrics(program: &Path) -> Result<Self> {
        let http = free_address()?;
        let folder = Folder::new("victoria-metrics")?;
        let arguments = [format!("-storageDataPath={}", folder.path().display()), format!("-httpListenAddr={http}")];
        let arguments = [&arguments[..], &VICTORIA_FLAGS.map(str::to_owned)].concat();
        let process = Process::start(program, &arguments, &format!("http://{http}/health"))?;
        let intake = Intake::Http(format!("http://{http}/opentelemetry/v1/metrics"));
        Ok(Self::new("victoria", process, http, intake, folder))
    }

    /// A server that runs already, at `HOST:PORT`; OTLP/gRPC goes to another address, if it is given.
    pub(crate) fn running(http: &str, grpc: Option<&str>) -> Self {
        let intake = match grpc {
            Some(grpc) => Intake::Grpc(grpc.to_owned()),
            None => Intake::Http(format!("http://{http}/api/v1/otlp/v1/metrics")),
        };
        Self::make("server", None, http.to_owned(), intake, None)
    }

    fn new(name: &'static str, process: Process, http: String, intake: Intake, folder: Folder) -> Self {
        Self::make(name, Some(process), http, intake, Some(folder))
    }

    fn make(
        name: &'static str,
        process: Option<Process>,
        http: String,
        intake: Intake,
        folder: Option<Folder>,
    ) -> Self {
        let agent = ureq::Agent::config_builder().timeout_global(Some(Duration::from_mins(2))).build().into();
        Self { name, process, parameters: Vec::new(), http, intake, agent, folder }
    }

    /// The server's process, if this program started it.
    pub(crate) fn process(&self) -> Result<&Process> {
        self.process.as_ref().context("the server was started by somebody else")
    }

    /// CPU seconds so far and resident bytes now.
    pub(crate) fn usage(&self) -> Result<(f64, u64)> {
        self.process()?.usage()
    }

    /// Bytes of the server's files.
    pub(crate) fn disk_bytes(&self) -> Result<u64> {
        folder_bytes(self.folder.as_ref().context("the server's folder is not known")?.path())
    }

    /// Bytes of blocks with their indexes, without logs and without what is not in blocks yet.
    pub(crate) fn block_bytes(&self) -> Result<u64> {
        let path = self.folder.as_ref().context("the server's folder is not known")?.path();
        match self.name {
            "mytsdb" => folder_bytes(&path.join("blocks")),
            "prometheus" => {
                let data = path.join("data");
                let others = ["wal", "wbl", "chunks_head"].map(|name| data.join(name));
                let others = others.iter().filter(|path| path.exists()).map(|path| folder_bytes(path));
                Ok(folder_bytes(&data)? - others.sum::<Result<u64>>()?)
            }
            _ => {
                let cache = path.join("cache");
                Ok(folder_bytes(path)? - if cache.exists() { folder_bytes(&cache)? } else { 0 })
            }
        }
    }

    /// Asks for one merge of everything, of a server that has a way to ask.
    pub(crate) fn merge_now(&self) -> Result<()> {
        if self.name == "victoria" {
            self.make_visible()?;
            self.ask("/internal/force_merge", &[], &mut Vec::new())?;
        }
        Ok(())
    }

    /// Bytes of mytsdb's log; nothing of others, whose logs hold other things.
    pub(crate) fn log_bytes(&self) -> Result<Option<u64>> {
        let Some(folder) = self.folder.as_ref().filter(|_| self.name == "mytsdb") else { return Ok(None) };
        folder_bytes(&folder.path().join("wal")).map(Some)
    }

    /// Sees to it that what was acknowledged is found: VictoriaMetrics shows samples after some seconds, and says so.
    pub(crate) fn make_visible(&self) -> Result<()> {
        if self.name == "victoria" {
            self.ask("/internal/force_flush", &[], &mut Vec::new())?;
        }
        Ok(())
    }

    /// Kills the server in the middle of what it does and starts it again; returns how long it took to be ready.
    pub(crate) fn kill_and_start_again(&mut self) -> Result<Duration> {
        self.process()?.kill();
        let (process, took) = self.process()?.start_again()?;
        self.process = Some(process);
        Ok(took)
    }

    /// Address of OTLP/gRPC, if it has one.
    pub(crate) fn grpc(&self) -> Option<&str> {
        match &self.intake {
            Intake::Grpc(address) => Some(address),
            Intake::Http(_) => None,
        }
    }

    /// Address of queries and of remote write.
    pub(crate) fn http(&self) -> &str {
        &self.http
    }

    /// Where OTLP/HTTP goes to, without the host.
    pub(crate) fn otlp_path(&self) -> &'static str {
        if self.name == "victoria" { "/opentelemetry/v1/metrics" } else { "/api/v1/otlp/v1/metrics" }
    }

    /// Sends queries to another address from here on.
    pub(crate) fn ask_at(&mut self, address: String) {
        self.http = address;
    }

    /// Adds a parameter to every query from here on, or takes it away again.
    pub(crate) fn set_parameter(&mut self, name: &'static str, value: Option<&'static str>) {
        self.parameters.retain(|(n, _)| *n != name);
        self.parameters.extend(value.map(|v| (name, v)));
    }

    /// Sends encoded OTLP requests, a few at a time, and waits until all are acknowledged.
    pub(crate) async fn store(&self, requests: Vec<Vec<u8>>, channel: Option<&Channel>) -> Result<()> {
        let mut sending = tokio::task::JoinSet::new();
        for request in requests {
            match (&self.intake, channel) {
                (Intake::Grpc(_), Some(channel)) => {
                    let mut client = tonic::client::Grpc::new(channel.clone());
                    sending.spawn(async move {
                        client.ready().await?;
                        let path = http::uri::PathAndQuery::from_static(EXPORT);
                        let answer = client.unary(tonic::Request::new(request.into()), path, RawCodec).await?;
                        ensure!(answer.get_ref().is_empty(), "points were refused: {:?}", answer.into_inner());
                        Ok(())
                    });
                }
                (Intake::Http(url), _) => {
                    let (agent, url) = (self.agent.clone(), url.clone());
                    sending.spawn_blocking(move || {
                        let post = agent.post(&url).content_type("application/x-protobuf");
                        post.send(&request[..]).with_context(|| url)?;
                        Ok(())
                    });
                }
                (Intake::Grpc(_), None) => anyhow::bail!("a gRPC intake needs a channel"),
            }
        }
        while let Some(sent) = sending.join_next().await {
            sent??;
        }
        Ok(())
    }

    /// The connection for [`Target::store`], if this target has one.
    pub(crate) async fn channel(&self) -> Result<Option<Channel>> {
        match &self.intake {
            Intake::Grpc(address) => {
                let endpoint = Channel::from_shared(format!("http://{address}"))?.tcp_nodelay(true);
                Ok(Some(endpoint.connect().await?))
            }
            Intake::Http(_) => Ok(None),
        }
    }

    /// Asks, puts the answer into `body` and returns the time that the whole answer took to arrive.
    pub(crate) fn ask(&self, path: &str, parameters: &[(&str, String)], body: &mut Vec<u8>) -> Result<Duration> {
        let mut request = self.agent.get(format!("http://{}{path}", self.http));
        for (name, value) in parameters {
            request = request.query(name, value);
        }
        for (name, value) in &self.parameters {
            request = request.query(name, value);
        }
        // No server is asked for compressed answers: the evaluation is compared, not the compression.
        request = request.header("accept-encoding", "identity");
        body.clear();
        let begun = Instant::now();
        let mut answer = request.call().with_context(|| format!("{}: {path} {parameters:?}", self.name))?;
        answer.body_mut().with_config().limit(1 << 30).reader().read_to_end(body)?;
        Ok(begun.elapsed())
    }
}

#[expect(clippy::disallowed_methods, reason = "a peer's settings file")]
fn write(path: &Path, text: &str) -> Result<()> {
    Ok(std::fs::write(path, text)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_peers_has_their_flags() {
        let page = include_str!("../../../docs/perf/peers.md");
        for flag in PROMETHEUS_FLAGS.iter().chain(&VICTORIA_FLAGS) {
            assert!(page.contains(&format!("`{flag}`")), "{flag}");
        }
    }
}
