//! The server under test: start, wait until ready, kill, start again on the same data.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::process::{Process, free_ports};
use crate::query::{Client, Credentials};

const READY_PATIENCE: Duration = Duration::from_mins(1);

/// One data directory and three ports that outlive each process serving them.
pub(crate) struct Server {
    binary: PathBuf,
    data: PathBuf,
    log: PathBuf,
    http_port: u16,
    otlp_port: u16,
    otlp_http_port: u16,
    flags: Vec<OsString>,
    credentials: Option<Credentials>,
    process: Option<Process>,
}

impl Server {
    /// Nothing is started yet. Data and log go under `workdir`.
    pub(crate) fn new(binary: &Path, workdir: &Path) -> anyhow::Result<Self> {
        let [http_port, otlp_port, otlp_http_port] = free_ports()?;
        let (data, log) = (workdir.join("data"), workdir.join("server.log"));
        Ok(Self {
            binary: binary.to_path_buf(),
            data,
            log,
            http_port,
            otlp_port,
            otlp_http_port,
            flags: Vec::new(),
            credentials: None,
            process: None,
        })
    }

    /// The same with more flags; [`client`](Self::client) speaks TLS with these credentials.
    pub(crate) fn guarded(self, flags: Vec<OsString>, credentials: Credentials) -> Self {
        Self { flags, credentials: Some(credentials), ..self }
    }

    /// The same with other flags.
    pub(crate) fn with(self, flags: Vec<OsString>) -> Self {
        Self { flags, ..self }
    }

    /// Takes other flags from the next start on.
    pub(crate) fn set_flags(&mut self, flags: Vec<OsString>) {
        self.flags = flags;
    }

    pub(crate) fn http(&self) -> String {
        format!("127.0.0.1:{}", self.http_port)
    }

    pub(crate) fn otlp_grpc(&self) -> String {
        format!("127.0.0.1:{}", self.otlp_port)
    }

    pub(crate) fn otlp_http(&self) -> String {
        format!("127.0.0.1:{}", self.otlp_http_port)
    }

    pub(crate) fn client(&self) -> Client {
        match &self.credentials {
            None => Client::new(&self.http()),
            Some(credentials) => Client::guarded(&self.http(), credentials),
        }
    }

    /// Starts it and waits until it says it is ready; returns how long that took.
    pub(crate) fn start(&mut self) -> anyhow::Result<Duration> {
        let start = Instant::now();
        self.launch()?;
        let client = self.client();
        loop {
            if client.is_ready() {
                return Ok(start.elapsed());
            }
            self.process.as_mut().context("not started")?.require_running()?;
            if start.elapsed() > READY_PATIENCE {
                bail!("the server is not ready after {READY_PATIENCE:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Starts it and does not wait.
    pub(crate) fn launch(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(&self.binary);
        command.arg("serve").arg("--data-dir").arg(&self.data);
        command.arg("--http-listen").arg(self.http());
        command.arg("--otlp-grpc-listen").arg(self.otlp_grpc());
        command.arg("--otlp-http-listen").arg(self.otlp_http());
        command.args(["--durability", "fsync"]).args(&self.flags);
        self.process = Some(Process::start("mytsdb", &mut command, &self.log)?);
        Ok(())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("not started")?.kill()
    }

    /// SIGTERM; the server must end well.
    pub(crate) fn terminate(&mut self) -> anyhow::Result<()> {
        self.process.take().context("not started")?.terminate(Duration::from_secs(30))
    }
}
