//! Which server a run measures, and how to start it.

use crate::process::default_server;
use crate::target::Target;
use anyhow::{Context, Result};
use clap::Args;
use std::path::{Path, PathBuf};

/// The server under test.
#[derive(Debug, Args)]
pub(crate) struct Subject {
    /// mytsdb, prometheus or victoriametrics, which are started fresh, or the URL of a server that runs
    #[arg(long, default_value = "mytsdb")]
    pub(crate) target: String,
    /// Address of OTLP/gRPC of a server that runs
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) grpc: Option<String>,
    /// mytsdb's program
    #[arg(long, default_value_os_t = default_server())]
    pub(crate) server: PathBuf,
    /// Prometheus' program
    #[arg(long)]
    pub(crate) prometheus: Option<PathBuf>,
    /// VictoriaMetrics' program
    #[arg(long)]
    pub(crate) victoria_metrics: Option<PathBuf>,
    /// mytsdb's durability
    #[arg(long, default_value = "fsync")]
    pub(crate) durability: String,
    /// Folder for mytsdb's data; a fresh one under the system's temporary folder if not given
    #[arg(long)]
    pub(crate) data_dir: Option<PathBuf>,
}

impl Subject {
    /// Whether mytsdb is measured.
    pub(crate) fn is_mytsdb(&self) -> bool {
        self.target == "mytsdb"
    }

    /// Starts it, or finds the one that runs; mytsdb stores its own metrics at every so many seconds, or never if that is 0.
    pub(crate) fn start(&self, self_metrics_s: u64) -> Result<Target> {
        match self.target.as_str() {
            "mytsdb" => Target::mytsdb_with(&self.server, &self.durability, self_metrics_s, self.data_dir.as_deref()),
            "prometheus" => Target::prometheus(needed(self.prometheus.as_deref(), "--prometheus")?),
            "victoriametrics" => {
                Target::victoria_metrics(needed(self.victoria_metrics.as_deref(), "--victoria-metrics")?)
            }
            _ => Ok(Target::running(self.running()?, self.grpc.as_deref())),
        }
    }

    /// When it acknowledges: mytsdb can be told.
    pub(crate) fn durability(&self) -> &str {
        if self.is_mytsdb() { &self.durability } else { "the server's own" }
    }

    /// The address in a URL that was given as the target.
    fn running(&self) -> Result<&str> {
        let address = self.target.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        address.with_context(|| {
            format!("--target {}: neither mytsdb, prometheus, victoriametrics nor http://HOST:PORT", self.target)
        })
    }
}

fn needed<'a>(program: Option<&'a Path>, flag: &str) -> Result<&'a Path> {
    program.with_context(|| format!("{flag} PATH is needed; `cargo xtask peers` builds it"))
}
