//! The two that are asked: a Prometheus process with every experiment on, and our API in this process.

use super::data::{Data, storage};
use super::remote_write;
use anyhow::{Context, bail, ensure};
use mytsdb_http_api::{Api, ApiOptions};
use mytsdb_telemetry::Registry;
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

const FEATURES: &str = "promql-experimental-functions,promql-binop-fill-modifiers,promql-extended-range-selectors";
const START_MAX: Duration = Duration::from_secs(30);

/// A Prometheus of its own data folder; stopped and removed when dropped.
pub struct Prometheus {
    process: Child,
    folder: PathBuf,
    address: SocketAddr,
}

impl Prometheus {
    /// Starts `program` on a free port and waits until it answers.
    #[expect(clippy::disallowed_methods, reason = "a test tool's own files, not the database's")]
    pub fn start(program: &Path, delayed_name_removal: bool) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let folder = std::env::temp_dir().join(format!("mytsdb-peer-{}-{}", std::process::id(), address.port()));
        std::fs::create_dir_all(&folder)?;
        let config = folder.join("prometheus.yml");
        std::fs::write(&config, "global: {}\n")?;
        let features =
            if delayed_name_removal { format!("{FEATURES},promql-delayed-name-removal") } else { FEATURES.to_owned() };
        let process = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg(format!("--enable-feature={features}"))
            .args(["--web.enable-remote-write-receiver", "--storage.tsdb.retention.time=100y", "--log.level=error"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut server = Self { process, folder, address };
        let begun = Instant::now();
        while ureq::get(format!("http://{address}/-/ready")).call().is_err() {
            if let Some(status) = server.process.try_wait()? {
                bail!("Prometheus ended at once: {status}");
            }
            ensure!(begun.elapsed() < START_MAX, "Prometheus does not get ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(server)
    }

    /// Sends all series by remote write.
    pub fn load(&self, data: &Data) -> anyhow::Result<()> {
        let asker = Asker::new(self.address);
        for body in remote_write::requests(data) {
            let mut response = asker
                .agent
                .post(format!("http://{}/api/v1/write", self.address))
                .header("Content-Encoding", "snappy")
                .header("Content-Type", "application/x-protobuf")
                .header("X-Prometheus-Remote-Write-Version", "0.1.0")
                .send(&body[..])?;
            ensure!(response.status().is_success(), "remote write: {}", response.body_mut().read_to_string()?);
        }
        Ok(())
    }

    /// Asks it.
    pub fn asker(&self) -> Asker {
        Asker::new(self.address)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        #[expect(clippy::disallowed_methods, reason = "a test tool's own files, not the database's")]
        let outcome =
            self.process.kill().and_then(|()| self.process.wait()).and_then(|_| std::fs::remove_dir_all(&self.folder));
        if let Err(error) = outcome {
            eprintln!("{} is left behind: {error}", self.folder.display());
        }
    }
}

/// Our API over a storage in memory, for as long as `runtime` lives.
pub fn ours(runtime: &tokio::runtime::Runtime, data: &Data, options: ApiOptions) -> anyhow::Result<Asker> {
    let ready = Arc::new(AtomicBool::new(true));
    let api = Api::new(Arc::new(storage(data)?), Vec::new(), Registry::new(), ready, options)?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    runtime.spawn(mytsdb_http_api::serve(listener, api, std::future::pending()));
    Ok(Asker::new(address))
}

/// A connection that is kept.
pub struct Asker {
    agent: ureq::Agent,
    address: SocketAddr,
}

impl Asker {
    fn new(address: SocketAddr) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_mins(1)))
            .build();
        Self { agent: ureq::Agent::new_with_config(config), address }
    }

    /// The answer of `/api/v1/ENDPOINT` to a form.
    pub fn ask(&self, endpoint: &str, form: &[(&str, String)]) -> anyhow::Result<Value> {
        let url = format!("http://{}/api/v1/{endpoint}", self.address);
        let form = form.iter().map(|(key, value)| (*key, value.as_str()));
        let mut response = self.agent.post(url).send_form(form)?;
        let text = response.body_mut().with_config().limit(1 << 28).read_to_vec()?;
        let parsed = serde_json::from_slice(&text).with_context(|| String::from_utf8_lossy(&text).into_owned());
        // Histograms of NaN cannot be written as JSON: Prometheus then answers in plain text.
        if parsed.is_err() && text.starts_with(b"v1.Response") { Ok(Value::Null) } else { parsed }
    }
}
