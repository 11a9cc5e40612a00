//! The cold tier of the server: its store, how it is opened, and the thread that demotes or follows another server's.

use crate::clock::SystemClock;
use crate::downsampling;
use crate::server::open_engine;
use crate::settings::Config;
use crate::worker::{self, Shutdown};
use anyhow::{Context, Result, bail};
use mytsdb_cold::{Cold, ColdOptions};
use mytsdb_engine::{Engine, EngineOptions};
use mytsdb_io::SimDisk;
use mytsdb_parquet_tier::{Store, StoreOptions};
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Time between two looks for days to demote.
const INTERVAL: Duration = Duration::from_mins(1);

/// Variables of the environment whose names begin so are settings of the store, under the same names.
const PREFIXES: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// How long the store may take to say which nodes it has.
const NODES_WAIT: Duration = Duration::from_mins(1);

/// What becomes of samples that were read from the tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    /// The caches keep them: they will be asked for again.
    Kept,
    /// Nothing keeps them, and what the caches of the data folder have stays there: everything is read once.
    Once,
}

/// Opens the data folder that the settings name, and what of it is in the cold tier; or, if they say so, a node's tier alone.
pub(crate) fn open_storage(
    config: &Config,
    reads: Reads,
    registry: &Registry,
) -> Result<(Arc<Engine>, Option<Arc<Cold>>)> {
    if config.read_only {
        return open_reader(config, registry).map(|(engine, cold)| (engine, Some(cold)));
    }
    let engine = Arc::new(open_engine(config, registry)?);
    let disk = mytsdb_io::RealDisk;
    if matches!(config.cold_url.as_str(), "" | "none") {
        Cold::none(&engine, &disk, config.cold_unreachable, "there is none in the settings (--cold-url)")?;
        return Ok((engine, None));
    }
    let store = store(config)?;
    let mut options = ColdOptions::new(engine.options().data_dir.join("cold-spool"));
    options.after_ms = config.cold_after.ms();
    options.shares_disk = store.folder().is_some_and(|folder| is_one_disk(folder, &engine.options().data_dir));
    options.unreachable = config.cold_unreachable;
    options.downsample = downsampling::rules(config)?;
    options.interop = config.cold_interop;
    options.around_caches = reads == Reads::Once;
    (options.cache_l1_bytes, options.cache_l2_bytes) = (config.cache_l1_bytes, config.cache_l2_bytes);
    options.prefetch_windows = config.cache_prefetch_windows;
    options.prefetch_bytes_per_second = config.cache_prefetch_bytes_per_second;
    let cold = Cold::open(engine.clone(), Arc::new(disk), Arc::new(SystemClock), &store, options, registry)?;
    if cold.manifest().is_none() {
        tracing::warn!(
            url = config.cold_url,
            "the cold tier does not answer yet; answers over its times may be incomplete"
        );
    }
    Ok((engine, Some(Arc::new(cold))))
}

/// Opens what a node has in the store that the settings name, over an engine in memory that takes nothing.
fn open_reader(config: &Config, registry: &Registry) -> Result<(Arc<Engine>, Arc<Cold>)> {
    let store = store(config)?;
    let node = node(config, &store)?;
    let options = EngineOptions {
        disk_floor_bytes: Some(0),
        series_max: 1,
        selection_cache_bytes: config.selection_cache_bytes,
        metadata_families_max: config.max_metadata_metrics,
        ..EngineOptions::new("/")
    };
    // What is in memory is an empty log.
    let (engine, _) = Engine::open(Arc::new(SimDisk::new()), Arc::new(SystemClock), options, registry)
        .context("make an engine in memory")?;
    let engine = Arc::new(engine);
    engine.stop().context("close the engine for writes")?;
    let mut options = ColdOptions::new("");
    options.unreachable = config.cold_unreachable;
    let cold = Cold::reader(engine.clone(), Arc::new(SystemClock), &store, &node, options, registry)
        .with_context(|| format!("--cold-url {}", config.cold_url))?;
    if let Some(reason) = cold.awaited() {
        tracing::warn!(url = config.cold_url, node, "the cold tier does not answer yet: {reason}");
    }
    Ok((engine, Arc::new(cold)))
}

/// The node that the settings name.
pub(crate) fn node(config: &Config, store: &Store) -> Result<String> {
    match &*config.cold_node {
        "auto" => only_node(store, &config.cold_url),
        node => Ok(node.to_owned()),
    }
}

/// The one node that has files in a store.
fn only_node(store: &Store, url: &str) -> Result<String> {
    let begun = Instant::now();
    let go_on = || begun.elapsed() < NODES_WAIT;
    let nodes = mytsdb_cold::nodes(store, StopSign::new(&go_on))
        .with_context(|| format!("--cold-url {url}: ask for its nodes (--cold-node NAME starts without that)"))?;
    match &nodes[..] {
        [node] => Ok(node.clone()),
        [] => bail!("--cold-url {url}: no node has written there"),
        several => {
            bail!("--cold-url {url} has {} nodes: choose one with --cold-node: {}", several.len(), several.join(", "))
        }
    }
}

/// Whether two folders are on one disk; if that cannot be told, they are.
fn is_one_disk(a: &Path, b: &Path) -> bool {
    let disk = |path: &Path| path.metadata().map(|metadata| metadata.dev());
    !matches!((disk(a), disk(b)), (Ok(a), Ok(b)) if a != b)
}

/// The store that the settings name.
pub(crate) fn store(config: &Config) -> Result<Store> {
    let url = &config.cold_url;
    let mut options = StoreOptions::default();
    options.bytes_per_second = Some(config.cold_bytes_per_second).filter(|&bytes| bytes > 0);
    options.make_folder = !config.read_only;
    if url == "local" {
        let data_dir = std::path::absolute(&config.data_dir).context("--data-dir")?;
        return Store::local(data_dir.join("cold"), options).context("--cold-url local");
    }
    let Some((scheme, _)) = url.split_once("://") else {
        bail!("--cold-url {url}: expected local, file:///FOLDER, s3://BUCKET/PREFIX, gs://... or az://...")
    };
    if scheme != "file" {
        // Whoever installed one before means the same.
        drop(rustls::crypto::ring::default_provider().install_default());
    }
    let mut settings = match &config.cold_config_file {
        Some(path) => read_settings(path).with_context(|| format!("--cold-config-file {}", path.display()))?,
        None => Vec::new(),
    };
    let of_environment =
        std::env::vars_os().filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
    settings.extend(of_environment.filter(|(key, _)| PREFIXES.iter().any(|prefix| key.starts_with(prefix))));
    Store::open(url, settings, options).context("--cold-url")
}

/// Reads lines `KEY=VALUE`; empty ones and those that begin with `#` are skipped.
#[expect(clippy::disallowed_methods, reason = "a file of the operator, not stored data")]
fn read_settings(path: &Path) -> Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(path)?;
    let lines = text.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(at, line)| {
            // The line itself may be a secret.
            let (key, value) = line.split_once('=').with_context(|| format!("line {}: expected KEY=VALUE", at + 1))?;
            Ok((key.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

/// Starts the thread that demotes, or, when only reading, looks for what was demoted.
pub(crate) fn start(cold: Arc<Cold>, shutdown: &Arc<Shutdown>) -> Result<JoinHandle<()>> {
    worker::spawn("demoter", shutdown, Duration::ZERO, move |shutdown| {
        shutdown.wait(step(&cold, shutdown));
        if shutdown.has_begun() {
            cold.persist_cache();
        }
        Duration::ZERO
    })
}

fn step(cold: &Cold, shutdown: &Shutdown) -> Duration {
    match cold.step(StopSign::new(&|| !shutdown.has_begun())) {
        Ok(done) => {
            if done.demoted_blocks > 0 || done.expired_days > 0 || done.downsampled_days > 0 {
                tracing::info!(
                    blocks = done.demoted_blocks,
                    samples = done.demoted_samples,
                    files = done.files_written,
                    bytes = done.bytes_written,
                    days_expired = done.expired_days,
                    days_downsampled = done.downsampled_days,
                    "demoted",
                );
            }
            if done.waits_for_room {
                tracing::warn!("days stay in blocks: the disk has too little room for their files in the cold tier");
            }
            if done.demoted_blocks + done.downsampled_days > 0 { Duration::ZERO } else { INTERVAL }
        }
        Err(error) if error.is_canceled() => INTERVAL,
        Err(error) => {
            tracing::error!("the cold tier: {error}; it is tried again");
            INTERVAL
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a file of the operator, not stored data")]
    fn settings_of_the_store_are_read_line_by_line_and_a_wrong_one_is_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# who we are\naws_region = eu-1\n\nAWS_SECRET_ACCESS_KEY=a=b\n").unwrap();
        let expected = [("aws_region", "eu-1"), ("AWS_SECRET_ACCESS_KEY", "a=b")];
        let read = read_settings(file.path()).unwrap();
        assert_eq!(read, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        std::fs::write(file.path(), "a=b\nsecret\n").unwrap();
        assert_eq!(read_settings(file.path()).unwrap_err().to_string(), "line 2: expected KEY=VALUE");
    }
}
