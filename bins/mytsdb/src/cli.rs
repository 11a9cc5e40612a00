//! The command line, and the settings file with the same names.

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A metrics store for OpenTelemetry: OTLP in, PromQL out, nothing acknowledged is lost.
///
/// Without a command it serves: data in ./data, the Prometheus API and a page to plot on http://127.0.0.1:9090,
/// OTLP/gRPC on 127.0.0.1:4317, OTLP/HTTP on 127.0.0.1:4318.
#[derive(Debug, Parser)]
#[command(name = "mytsdb", version, args_conflicts_with_subcommands = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) settings: Box<Settings>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Take metrics in and answer queries (the default)
    Serve(Box<Settings>),
}

/// When a write is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DurabilityArg {
    /// After the log is synced to disk: an acknowledged sample survives a power cut
    Fsync,
    /// After the log is written: it survives a crash of the process; a power cut costs at most the last 250 ms
    Interval,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// Every setting, each unset until somebody sets it: the command line wins over the environment, that over the
/// file, that over the default.
#[derive(Debug, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// YAML file with settings: the same names with underscores, such as `data_dir: /var/lib/mytsdb`
    #[arg(long, value_name = "FILE", env = "MYTSDB_CONFIG")]
    #[serde(skip)]
    pub(crate) config: Option<PathBuf>,

    /// Folder for everything that is stored; created if missing [default: ./data]
    #[arg(long, value_name = "DIR", env = "MYTSDB_DATA_DIR", help_heading = "Storage")]
    pub(crate) data_dir: Option<PathBuf>,

    /// When a write is acknowledged [default: fsync]
    #[arg(long, value_name = "MODE", env = "MYTSDB_DURABILITY", help_heading = "Storage")]
    pub(crate) durability: Option<DurabilityArg>,

    /// How long samples are kept, such as 15d or 1y; older ones are refused and deleted [default: 15d]
    #[arg(long, value_name = "DURATION", env = "MYTSDB_RETENTION", help_heading = "Storage")]
    pub(crate) retention: Option<String>,

    /// How far ahead of this machine's clock a sample may be [default: 10m]
    #[arg(long, value_name = "DURATION", env = "MYTSDB_FUTURE_TOLERANCE", help_heading = "Storage")]
    pub(crate) future_tolerance: Option<String>,

    /// Most series with recent samples; past it new series are refused, known ones go on [default: 2000000]
    #[arg(long, value_name = "COUNT", env = "MYTSDB_MAX_SERIES", help_heading = "Storage")]
    pub(crate) max_series: Option<usize>,

    /// Most samples that wait for the log; past it senders are told to come back [default: 8000000]
    #[arg(long, value_name = "COUNT", env = "MYTSDB_MAX_STAGED_SAMPLES", help_heading = "Storage")]
    pub(crate) max_staged_samples: Option<usize>,

    /// Memory for remembering which series satisfy the matchers of earlier queries; 0 for none [default: 67108864]
    #[arg(long, value_name = "BYTES", env = "MYTSDB_SELECTION_CACHE_BYTES", help_heading = "Storage")]
    pub(crate) selection_cache_bytes: Option<usize>,

    /// Address of the page and the Prometheus HTTP API [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS", env = "MYTSDB_HTTP_LISTEN", help_heading = "Network")]
    pub(crate) http_listen: Option<SocketAddr>,

    /// Address of the OTLP/gRPC receiver [default: 127.0.0.1:4317]
    #[arg(long, value_name = "ADDRESS", env = "MYTSDB_OTLP_GRPC_LISTEN", help_heading = "Network")]
    pub(crate) otlp_grpc_listen: Option<SocketAddr>,

    /// Address of the OTLP/HTTP server [default: 127.0.0.1:4318]
    #[arg(long, value_name = "ADDRESS", env = "MYTSDB_OTLP_HTTP_LISTEN", help_heading = "Network")]
    pub(crate) otlp_http_listen: Option<SocketAddr>,

    /// Most connections of each listener; when one more comes, the one that has been idle for longest makes room
    /// [default: 512]
    #[arg(long, value_name = "COUNT", env = "MYTSDB_MAX_CONNECTIONS", help_heading = "Network")]
    pub(crate) max_connections: Option<usize>,

    /// Longest the head of a request may take to arrive [default: 10s]
    #[arg(long, value_name = "DURATION", env = "MYTSDB_CONNECTION_HEAD_TIMEOUT", help_heading = "Network")]
    pub(crate) connection_head_timeout: Option<String>,

    /// Longest a connection may be without a request, or its client not read an answer [default: 5m]
    #[arg(long, value_name = "DURATION", env = "MYTSDB_CONNECTION_IDLE_TIMEOUT", help_heading = "Network")]
    pub(crate) connection_idle_timeout: Option<String>,

    /// Longest URL, in bytes and escaped, at most 65533 [default: 65533]
    #[arg(long, value_name = "BYTES", env = "MYTSDB_HTTP_MAX_URL_BYTES", help_heading = "Network")]
    pub(crate) http_max_url_bytes: Option<usize>,

    /// Largest form, in bytes [default: 10485760]
    #[arg(long, value_name = "BYTES", env = "MYTSDB_HTTP_MAX_FORM_BYTES", help_heading = "Network")]
    pub(crate) http_max_form_bytes: Option<usize>,

    /// Largest OTLP message, in bytes after decompression [default: 67108864]
    #[arg(long, value_name = "BYTES", env = "MYTSDB_OTLP_MAX_MESSAGE_BYTES", help_heading = "Network")]
    pub(crate) otlp_max_message_bytes: Option<usize>,

    /// Largest compressed OTLP message as it arrives, in bytes [default: 33554432]
    #[arg(long, value_name = "BYTES", env = "MYTSDB_OTLP_MAX_COMPRESSED_BYTES", help_heading = "Network")]
    pub(crate) otlp_max_compressed_bytes: Option<usize>,

    /// Most bytes that a byte of compressed OTLP may become, above the first MiB [default: 200]
    #[arg(long, value_name = "RATIO", env = "MYTSDB_OTLP_MAX_COMPRESSION_RATIO", help_heading = "Network")]
    pub(crate) otlp_max_compression_ratio: Option<usize>,

    /// Most bytes of OTLP messages that are being worked on; past it senders wait, then come back [default: 268435456]
    #[arg(long, value_name = "BYTES", env = "MYTSDB_OTLP_MAX_IN_FLIGHT_BYTES", help_heading = "Network")]
    pub(crate) otlp_max_in_flight_bytes: Option<usize>,

    /// Resource attribute that becomes a label of its series; may be given more than once
    #[arg(long, value_name = "ATTRIBUTE", help_heading = "Network")]
    pub(crate) otlp_promote_resource_attribute: Option<Vec<String>>,

    /// Most labels of a series, its name included [default: 64]
    #[arg(long, value_name = "COUNT", help_heading = "Limits of a series")]
    pub(crate) max_labels_per_series: Option<usize>,

    /// Longest label name, in bytes [default: 256]
    #[arg(long, value_name = "BYTES", help_heading = "Limits of a series")]
    pub(crate) max_label_name_bytes: Option<usize>,

    /// Longest label value, in bytes [default: 2048]
    #[arg(long, value_name = "BYTES", help_heading = "Limits of a series")]
    pub(crate) max_label_value_bytes: Option<usize>,

    /// Most bytes of all label names and values of a series [default: 8192]
    #[arg(long, value_name = "BYTES", help_heading = "Limits of a series")]
    pub(crate) max_labels_bytes: Option<usize>,

    /// Most buckets of a histogram point or quantiles of a summary point [default: 1024]
    #[arg(long, value_name = "COUNT", help_heading = "Limits of a series")]
    pub(crate) max_buckets_per_point: Option<usize>,

    /// Longest a query may run [default: 2m]
    #[arg(long, value_name = "DURATION", env = "MYTSDB_QUERY_TIMEOUT", help_heading = "Queries")]
    pub(crate) query_timeout: Option<String>,

    /// Most samples a query may hold at once [default: 50000000]
    #[arg(long, value_name = "COUNT", env = "MYTSDB_QUERY_MAX_SAMPLES", help_heading = "Queries")]
    pub(crate) query_max_samples: Option<u64>,

    /// Most bytes that all running queries may hold together; past it they are told to come back
    /// [default: a quarter of the memory, at most 4294967296]
    #[arg(long, value_name = "BYTES", env = "MYTSDB_QUERY_MAX_TOTAL_BYTES", help_heading = "Queries")]
    pub(crate) query_max_total_bytes: Option<u64>,

    /// Most queries that run at the same time; others wait [default: 20]
    #[arg(long, value_name = "COUNT", env = "MYTSDB_QUERY_MAX_CONCURRENCY", help_heading = "Queries")]
    pub(crate) query_max_concurrency: Option<usize>,

    /// How long a selector looks back for a sample [default: 5m]
    #[arg(long, value_name = "DURATION", env = "MYTSDB_QUERY_LOOKBACK", help_heading = "Queries")]
    pub(crate) query_lookback: Option<String>,

    /// How often the server stores its own metrics; 0 turns it off [default: 5s]
    #[arg(long, value_name = "DURATION", env = "MYTSDB_SELF_METRICS_INTERVAL", help_heading = "Operation")]
    pub(crate) self_metrics_interval: Option<String>,

    /// What to log: error, warn, info, debug, or a filter such as mytsdb_engine=debug [default: info]
    #[arg(long, value_name = "FILTER", env = "MYTSDB_LOG", help_heading = "Operation")]
    pub(crate) log: Option<String>,

    /// How log lines look [default: text]
    #[arg(long, value_name = "FORMAT", env = "MYTSDB_LOG_FORMAT", help_heading = "Operation")]
    pub(crate) log_format: Option<LogFormat>,
}
