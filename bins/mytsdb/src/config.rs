//! Settings from the command line, the environment, a file and the defaults, checked and put together.

use crate::cli::{DurabilityArg, LogFormat, Settings};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Largest settings file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Everything the server needs to know, with nothing left open.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) durability: DurabilityArg,
    pub(crate) retention_ms: i64,
    pub(crate) future_tolerance_ms: i64,
    pub(crate) max_series: usize,
    pub(crate) max_staged_samples: usize,
    pub(crate) selection_cache_bytes: usize,
    pub(crate) http_listen: SocketAddr,
    pub(crate) otlp_grpc_listen: SocketAddr,
    pub(crate) otlp_http_listen: SocketAddr,
    pub(crate) max_connections: usize,
    pub(crate) connection_head_timeout: Duration,
    pub(crate) connection_idle_timeout: Duration,
    pub(crate) http_max_url_bytes: usize,
    pub(crate) http_max_form_bytes: usize,
    pub(crate) otlp_max_message_bytes: usize,
    pub(crate) otlp_max_compressed_bytes: usize,
    pub(crate) otlp_max_compression_ratio: usize,
    pub(crate) otlp_max_in_flight_bytes: usize,
    pub(crate) otlp_promote_resource_attributes: Vec<String>,
    pub(crate) series_limits: mytsdb_otlp::Limits,
    pub(crate) query_timeout: Duration,
    pub(crate) query_max_samples: u64,
    pub(crate) query_max_total_bytes: u64,
    pub(crate) query_max_concurrency: usize,
    pub(crate) query_lookback_ms: i64,
    pub(crate) self_metrics_interval: Option<Duration>,
    pub(crate) log: String,
    pub(crate) log_format: LogFormat,
}

impl Config {
    /// Puts the settings together and checks each.
    pub(crate) fn load(given: Settings) -> Result<Config> {
        let file = match &given.config {
            Some(path) => read_file(path)?,
            None => Settings::default(),
        };
        macro_rules! pick {
            ($field:ident, $default:expr) => {
                given.$field.or(file.$field).unwrap_or($default)
            };
        }
        macro_rules! pick_ms {
            ($field:ident, $flag:literal, $default:literal) => {
                duration_ms(&given.$field.or(file.$field).unwrap_or_else(|| $default.to_owned()))
                    .context(concat!("--", $flag))?
            };
        }
        let millis = |ms: i64| Duration::from_millis(ms.unsigned_abs());
        let self_metrics_ms = pick_ms!(self_metrics_interval, "self-metrics-interval", "5s");
        let config = Config {
            data_dir: pick!(data_dir, PathBuf::from("./data")),
            durability: pick!(durability, DurabilityArg::Fsync),
            retention_ms: pick_ms!(retention, "retention", "15d"),
            future_tolerance_ms: pick_ms!(future_tolerance, "future-tolerance", "10m"),
            max_series: pick!(max_series, 2_000_000),
            max_staged_samples: pick!(max_staged_samples, 8_000_000),
            selection_cache_bytes: pick!(selection_cache_bytes, 64 << 20),
            http_listen: pick!(http_listen, SocketAddr::from(([127, 0, 0, 1], 9090))),
            otlp_grpc_listen: pick!(otlp_grpc_listen, SocketAddr::from(([127, 0, 0, 1], 4317))),
            otlp_http_listen: pick!(otlp_http_listen, SocketAddr::from(([127, 0, 0, 1], 4318))),
            max_connections: pick!(max_connections, 512),
            connection_head_timeout: millis(pick_ms!(connection_head_timeout, "connection-head-timeout", "10s")),
            connection_idle_timeout: millis(pick_ms!(connection_idle_timeout, "connection-idle-timeout", "5m")),
            http_max_url_bytes: pick!(http_max_url_bytes, mytsdb_http_api::ApiOptions::URL_BYTES_MAX),
            http_max_form_bytes: pick!(http_max_form_bytes, 10 << 20),
            otlp_max_message_bytes: pick!(otlp_max_message_bytes, 64 << 20),
            otlp_max_compressed_bytes: pick!(otlp_max_compressed_bytes, 32 << 20),
            otlp_max_compression_ratio: pick!(otlp_max_compression_ratio, 200),
            otlp_max_in_flight_bytes: pick!(otlp_max_in_flight_bytes, 256 << 20),
            otlp_promote_resource_attributes: pick!(otlp_promote_resource_attribute, Vec::new()),
            series_limits: mytsdb_otlp::Limits {
                label_count_max: pick!(max_labels_per_series, 64),
                name_bytes_max: pick!(max_label_name_bytes, 256),
                value_bytes_max: pick!(max_label_value_bytes, 2 << 10),
                labels_bytes_max: pick!(max_labels_bytes, 8 << 10),
                bucket_count_max: pick!(max_buckets_per_point, 1_024),
            },
            query_timeout: millis(pick_ms!(query_timeout, "query-timeout", "2m")),
            query_max_samples: pick!(query_max_samples, 50_000_000),
            query_max_total_bytes: pick!(query_max_total_bytes, crate::memory::query_bytes_default()),
            query_max_concurrency: pick!(query_max_concurrency, 20),
            query_lookback_ms: pick_ms!(query_lookback, "query-lookback", "5m"),
            self_metrics_interval: (self_metrics_ms > 0).then(|| millis(self_metrics_ms)),
            log: pick!(log, "info".to_owned()),
            log_format: pick!(log_format, LogFormat::Text),
        };
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<()> {
        const BLOCK_MS: i64 = 2 * 3_600_000;
        if self.retention_ms < BLOCK_MS {
            bail!("--retention must be at least 2h, the span of one block");
        }
        let listeners = [
            ("--http-listen", self.http_listen),
            ("--otlp-grpc-listen", self.otlp_grpc_listen),
            ("--otlp-http-listen", self.otlp_http_listen),
        ];
        for (i, (flag, address)) in listeners.iter().enumerate() {
            let same = |other: &&(&str, SocketAddr)| other.1 == *address && address.port() != 0;
            if let Some((other, _)) = listeners[i + 1..].iter().find(same) {
                bail!("{flag} and {other} are both {address}");
            }
        }
        for (flag, value) in [
            ("--max-series", self.max_series),
            ("--max-staged-samples", self.max_staged_samples),
            ("--max-connections", self.max_connections),
            ("--connection-head-timeout", self.connection_head_timeout.as_millis() as usize),
            ("--connection-idle-timeout", self.connection_idle_timeout.as_millis() as usize),
            ("--http-max-url-bytes", self.http_max_url_bytes),
            ("--http-max-form-bytes", self.http_max_form_bytes),
            ("--otlp-max-message-bytes", self.otlp_max_message_bytes),
            ("--otlp-max-compressed-bytes", self.otlp_max_compressed_bytes),
            ("--otlp-max-compression-ratio", self.otlp_max_compression_ratio),
            ("--otlp-max-in-flight-bytes", self.otlp_max_in_flight_bytes),
            ("--query-max-concurrency", self.query_max_concurrency),
            ("--query-max-samples", self.query_max_samples as usize),
            ("--query-max-total-bytes", self.query_max_total_bytes as usize),
            ("--query-lookback", self.query_lookback_ms as usize),
            ("--query-timeout", self.query_timeout.as_millis() as usize),
        ] {
            if value == 0 {
                bail!("{flag} must not be 0");
            }
        }
        if u32::try_from(self.otlp_max_message_bytes).is_err() {
            bail!("--otlp-max-message-bytes must be below 4 GiB, which is what gRPC can frame");
        }
        let url_bytes_max = mytsdb_http_api::ApiOptions::URL_BYTES_MAX;
        if self.http_max_url_bytes > url_bytes_max {
            bail!("--http-max-url-bytes must not be above {url_bytes_max}, which is what HTTP parsers take");
        }
        Ok(())
    }

    /// The settings as the API shows them: flag name and value.
    pub(crate) fn flags(&self) -> BTreeMap<String, String> {
        let millis = |ms: i64| format!("{ms}ms");
        let durability = match self.durability {
            DurabilityArg::Fsync => "fsync",
            DurabilityArg::Interval => "interval",
        };
        let rows = [
            ("data-dir", self.data_dir.display().to_string()),
            ("durability", durability.to_owned()),
            ("retention", millis(self.retention_ms)),
            ("future-tolerance", millis(self.future_tolerance_ms)),
            ("max-series", self.max_series.to_string()),
            ("max-staged-samples", self.max_staged_samples.to_string()),
            ("selection-cache-bytes", self.selection_cache_bytes.to_string()),
            ("http-listen", self.http_listen.to_string()),
            ("otlp-grpc-listen", self.otlp_grpc_listen.to_string()),
            ("otlp-http-listen", self.otlp_http_listen.to_string()),
            ("max-connections", self.max_connections.to_string()),
            ("connection-head-timeout", millis(self.connection_head_timeout.as_millis() as i64)),
            ("connection-idle-timeout", millis(self.connection_idle_timeout.as_millis() as i64)),
            ("http-max-url-bytes", self.http_max_url_bytes.to_string()),
            ("http-max-form-bytes", self.http_max_form_bytes.to_string()),
            ("otlp-max-message-bytes", self.otlp_max_message_bytes.to_string()),
            ("otlp-max-compressed-bytes", self.otlp_max_compressed_bytes.to_string()),
            ("otlp-max-compression-ratio", self.otlp_max_compression_ratio.to_string()),
            ("otlp-max-in-flight-bytes", self.otlp_max_in_flight_bytes.to_string()),
            ("max-labels-per-series", self.series_limits.label_count_max.to_string()),
            ("max-label-name-bytes", self.series_limits.name_bytes_max.to_string()),
            ("max-label-value-bytes", self.series_limits.value_bytes_max.to_string()),
            ("max-labels-bytes", self.series_limits.labels_bytes_max.to_string()),
            ("max-buckets-per-point", self.series_limits.bucket_count_max.to_string()),
            ("query-timeout", millis(self.query_timeout.as_millis() as i64)),
            ("query-max-samples", self.query_max_samples.to_string()),
            ("query-max-total-bytes", self.query_max_total_bytes.to_string()),
            ("query-max-concurrency", self.query_max_concurrency.to_string()),
            ("query-lookback", millis(self.query_lookback_ms)),
        ];
        rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }
}

/// `15d`, `1h30m`, `500ms` or `0`, as Prometheus writes durations.
fn duration_ms(text: &str) -> Result<i64> {
    if text == "0" {
        return Ok(0);
    }
    mytsdb_promql::parse_duration_ms(text)
        .map_err(|e| anyhow::anyhow!("{e}"))
        .context("write it as 15d, 1h30m or 500ms")
}

fn read_file(path: &Path) -> Result<Settings> {
    let name = || format!("--config {}", path.display());
    let text = read_text(path).with_context(name)?;
    serde_saphyr::from_str(&text).map_err(|e| anyhow::anyhow!("{e}")).with_context(name)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a settings file is not stored data; nothing of it is at stake in a crash"
)]
fn read_text(path: &Path) -> Result<String> {
    let length = std::fs::metadata(path)?.len();
    if length > FILE_BYTES_MAX {
        bail!("{length} bytes, more than the limit of {FILE_BYTES_MAX}");
    }
    Ok(std::fs::read_to_string(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "a settings file for the test")]
    fn with_file(text: &str, given: Settings) -> Result<Config> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mytsdb.yaml");
        std::fs::write(&path, text).unwrap();
        Config::load(Settings { config: Some(path), ..given })
    }

    #[test]
    fn the_command_line_wins_over_the_file_and_the_file_over_the_default() {
        let given = Settings { retention: Some("3d".into()), ..Settings::default() };
        let config = with_file("retention: 4d\ndurability: interval\nmax_series: 7\n", given).unwrap();
        assert_eq!(config.retention_ms, 3 * 86_400_000);
        assert_eq!(config.durability, DurabilityArg::Interval);
        assert_eq!(config.max_series, 7);
        assert_eq!(config.http_listen.port(), 9090);
    }

    #[test]
    fn a_wrong_setting_is_named() {
        let error = |text| format!("{:#}", with_file(text, Settings::default()).unwrap_err());
        assert!(error("retension: 4d\n").contains("retension"), "{}", error("retension: 4d\n"));
        assert!(error("retention: soon\n").contains("--retention"));
        assert!(error("retention: 1h\n").contains("at least 2h"));
        assert!(error("max_series: 0\n").contains("--max-series"));
        assert!(error("http_listen: 127.0.0.1:4317\n").contains("both 127.0.0.1:4317"));
        let missing = Settings { config: Some("/nonexistent/file.yaml".into()), ..Settings::default() };
        assert!(format!("{:#}", Config::load(missing).unwrap_err()).contains("/nonexistent/file.yaml"));
    }
}
