//! Wiring: opens the store, starts the listeners, and takes everything down in order.

use crate::clock::SystemClock;
use crate::notes::EngineNotes;
use crate::retention::Rule;
use crate::settings::{Config, Feature};
use crate::worker::{self, Shutdown};
use crate::{admin, cold, compactor, logging, retention, scrubber, self_metrics};
use anyhow::{Context, Result, bail};
use mytsdb_access::Access;
use mytsdb_cold::Cold;
use mytsdb_engine::{Engine, EngineError, EngineOptions, Recovery};
use mytsdb_http_api::{Administration, Api, ApiOptions, Exemplars, Fault};
use mytsdb_ingest::{EngineMetadata, Ingest, IngestOptions};
use mytsdb_ingest_grpc::GrpcOptions;
use mytsdb_ingest_http::{HttpOptions, JsonImport, OtlpHttp, RemoteWrite, TextImport};
use mytsdb_listener::{Acceptor, ListenerOptions, connections_within, raise_descriptor_limit};
use mytsdb_otlp::Metadata;
use mytsdb_promql::{MemoryBudget, QueryOptions, ResultCache, WorkerPool};
use mytsdb_promql_syntax::TextLimits;
use mytsdb_query::EngineStorage;
use mytsdb_telemetry::Registry;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Time between two looks for due flushes and expired blocks.
const MAINTENANCE_INTERVAL: Duration = Duration::from_secs(5);

/// How long requests in flight may take once a shutdown has begun.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// How much longer than that the servers may take to stop.
const DRAIN_MARGIN: Duration = Duration::from_secs(1);

/// Serves until a signal ends it.
pub(crate) fn run(config: &Config) -> Result<()> {
    logging::init(&config.log, config.log_format)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")?;
    // Ports first: a second server on the same machine fails in a moment, before it touches any data.
    let http = runtime.block_on(listen(config.http_listen, "--http-listen"))?;
    let grpc = runtime.block_on(listen(config.otlp_grpc_listen, "--otlp-grpc-listen"))?;
    let otlp_http = runtime.block_on(listen(config.otlp_http_listen, "--otlp-http-listen"))?;
    let served = runtime.block_on(serve(config, http, grpc, otlp_http));
    runtime.shutdown_timeout(Duration::from_secs(1));
    served?;
    if config.read_only {
        tracing::info!("stopped");
    } else {
        tracing::info!("stopped; everything acknowledged is on disk");
    }
    Ok(())
}

async fn listen(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("{address} is in use by another program; choose another address with {flag}")
        }
        Err(error) => Err(error).with_context(|| format!("listen on {address} ({flag})")),
    }
}

/// Opens the data folder that the settings name.
pub(crate) fn open_engine(config: &Config, registry: &Registry) -> Result<Engine> {
    let data_dir = std::path::absolute(&config.data_dir).context("--data-dir")?;
    let options = EngineOptions {
        durability: config.durability,
        retention_ms: config.retention.ms(),
        disk_floor_bytes: config.disk_floor_bytes,
        disk_ballast_bytes: config.disk_ballast_bytes,
        retention_bytes: Some(config.retention_bytes).filter(|&bytes| bytes > 0),
        future_tolerance_ms: config.future_tolerance.ms(),
        series_max: config.max_series,
        staged_samples_max: config.max_staged_samples,
        selection_cache_bytes: config.selection_cache_bytes,
        metadata_families_max: config.max_metadata_metrics,
        metadata_help_bytes_max: config.max_metadata_help_bytes,
        exemplars_per_series_max: config.max_exemplars_per_series,
        exemplar_bytes_max: config.max_exemplar_bytes,
        ..EngineOptions::new(&data_dir)
    };
    let disk = Arc::new(mytsdb_io::RealDisk);
    match Engine::open(disk, Arc::new(SystemClock), options, registry) {
        Ok((engine, recovery)) => {
            report(&recovery);
            Ok(engine)
        }
        Err(error @ EngineError::Locked { .. }) => {
            bail!("{error}; stop the other server or choose another folder with --data-dir")
        }
        Err(error @ EngineError::Io { .. }) => bail!("{error}; --data-dir must name a folder that can be written"),
        Err(error) => bail!("open {}: {error}", data_dir.display()),
    }
}

fn report(recovery: &Recovery) {
    for (path, reason) in &recovery.quarantined {
        tracing::error!(path = %path.display(), reason, "a damaged block was set aside; its samples are missing");
    }
    let Some(wal) = &recovery.wal else { return };
    for damage in &wal.damage {
        tracing::error!(%damage, "a part of the write-ahead log could not be read");
    }
    if recovery.unknown_samples > 0 {
        tracing::error!(samples = recovery.unknown_samples, "samples in the log without their series");
    }
    if wal.samples > 0 || recovery.block_count > 0 {
        tracing::info!(samples = recovery.replayed_samples, blocks = recovery.block_count, "recovered");
    }
}

async fn serve(config: &Config, http: TcpListener, grpc: TcpListener, otlp_http: TcpListener) -> Result<()> {
    let (http_address, grpc_address) = (http.local_addr()?, grpc.local_addr()?);
    let otlp_http_address = otlp_http.local_addr()?;
    let (stop, stopping) = watch::channel(false);
    let listener = listener_options(config);
    // Only the API has URLs that people type.
    let plain = ListenerOptions { target_bytes_max: None, ..listener.clone() };
    let (registry, ready) = (Registry::new(), Arc::new(AtomicBool::new(false)));
    let access = open_access(config, &registry)?;
    let watching = tokio::spawn(access.clone().watch());
    let only_reads = config.read_only;

    let translation = translation(config)?;

    // While the log is replayed, health checks are answered. Every other request is answered with "not ready".
    let storage = EngineStorage::default();
    let (engine_cell, cold_cell) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
    let shutdown = Arc::new(Shutdown::default());
    let notes = EngineNotes::new(engine_cell.clone());
    let api = Api::new(
        Arc::new(storage.clone()),
        vec![Box::new(notes.clone())],
        registry.clone(),
        ready.clone(),
        ApiOptions {
            listener,
            access: access.clone(),
            admin: administration(config, (&engine_cell, &cold_cell), &shutdown),
            exemplars: Exemplars::of(Arc::new(notes)),
            caution: Fault::new({
                let storage = storage.clone();
                move || storage.caution()
            }),
            fault: Fault::new({
                let (storage, cold) = (storage.clone(), cold_cell.clone());
                move || if only_reads { awaited(&cold) } else { storage.fault() }
            }),
            otlp_grpc_port: grpc_address.port(),
            ..api_options(config)?
        },
    )?;
    let otlp = OtlpHttp::new(&registry);
    let remote_write = RemoteWrite::new(&registry);
    let (import, json_import) = (TextImport::new(&registry), JsonImport::new(&registry));
    let api = api.merge(otlp.router("/api/v1/otlp/v1/metrics")).merge(remote_write.router("/api/v1/write"));
    let api = api.merge(import.router("/api/v1/import/prometheus")).merge(json_import.router("/api/v1/import"));
    let http_server = tokio::spawn(mytsdb_http_api::serve(http, api, stopped(stopping.clone())));
    let acceptor = Acceptor::new("otlp_http", plain.clone(), &registry).guarded_by(access.clone());
    let options = HttpOptions { acceptor, shutdown_grace: DRAIN_MAX };
    let otlp_server =
        mytsdb_ingest_http::serve(otlp_http, otlp.router("/v1/metrics"), options, stopped(stopping.clone()));
    let otlp_server = tokio::spawn(otlp_server);
    let (engine, cold) = {
        let (config, registry) = (config.clone(), registry.clone());
        let opened = tokio::task::spawn_blocking(move || cold::open_storage(&config, cold::Reads::Kept, &registry));
        opened.await.context("open the data folder")??
    };
    if let Some(cold) = &cold {
        cold_cell.get_or_init(|| cold.clone());
    }
    storage.open(engine.clone());
    engine_cell.get_or_init(|| engine.clone());
    ready.store(true, Ordering::Release); // pairs with the Acquire of the readiness handler

    let own_metrics = (&registry, http_address.to_string());
    let workers = start_workers(config, &engine, cold, own_metrics, &shutdown)?;

    let metadata = Metadata::by(Box::new(EngineMetadata::new(engine.clone())));
    let translator = Arc::new(mytsdb_otlp::Translator::with_metadata(translation, Arc::new(metadata)));
    let receiver = remote_write_receiver(&translator);
    let ingest = Arc::new(Ingest::new(engine.clone(), translator, ingest_options(config)));
    otlp.open(Arc::clone(&ingest));
    remote_write.open((Arc::clone(&ingest), receiver));
    import.open(Arc::clone(&ingest));
    json_import.open(Arc::clone(&ingest));
    let grpc_server = tokio::spawn(mytsdb_ingest_grpc::serve(
        grpc,
        ingest,
        GrpcOptions {
            acceptor: Acceptor::new("otlp_grpc", plain, &registry).guarded_by(access.clone()),
            shutdown_grace: DRAIN_MAX,
        },
        mytsdb_ingest_grpc::metrics(&registry),
        stopped(stopping),
    ));
    welcome(config, &access, http_address, grpc_address, otlp_http_address);
    wait_for_signal().await?;
    tracing::info!("stopping: no new requests, those in flight are finished");
    ready.store(false, Ordering::Release); // pairs with the Acquire of the readiness handler
    stop.send_replace(true);
    shutdown.begin();
    // Each server limits how long it drains. The margin covers a server that overruns its limit.
    let drained = tokio::time::timeout(DRAIN_MAX + DRAIN_MARGIN, async {
        (grpc_server.await, otlp_server.await, http_server.await)
    })
    .await;
    if let Ok((grpc_done, otlp_done, http_done)) = drained {
        grpc_done.context("OTLP/gRPC server")?;
        otlp_done.context("OTLP/HTTP server")?.context("OTLP/HTTP server")?;
        http_done.context("HTTP server")?.context("HTTP server")?;
    } else {
        tracing::warn!("some requests did not finish within {DRAIN_MAX:?}");
    }
    watching.abort();
    let stopped = tokio::task::spawn_blocking(move || {
        let stopped = engine.stop();
        for worker in workers {
            if worker.join().is_err() {
                tracing::error!("a worker thread had panicked");
            }
        }
        stopped
    });
    stopped.await.context("stop the store")?.context("the last sync of the log failed")
}

/// Starts the threads that work beside requests. They end when the shutdown begins, the first two when the engine is stopped.
fn start_workers(
    config: &Config,
    engine: &Arc<Engine>,
    cold: Option<Arc<Cold>>,
    (registry, instance): (&Registry, String),
    shutdown: &Arc<Shutdown>,
) -> Result<Vec<JoinHandle<()>>> {
    let demoter = cold.clone().map(|cold| cold::start(cold, shutdown)).transpose()?;
    if config.read_only {
        return Ok(demoter.into_iter().collect());
    }
    let start = |name: &str, run: fn(&Engine)| {
        let engine = engine.clone();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || run(&engine));
        thread.with_context(|| format!("start thread {name}"))
    };
    let pack = |engine: &Engine| engine.run_sealer(|error| tracing::error!("samples stay unpacked: {error}"));
    let mut workers = vec![
        // Before the committer, which would sync too.
        start("syncer", Engine::run_syncer)?,
        start("committer", Engine::run_committer)?,
        start("sealer", pack)?,
    ];
    workers.extend(demoter);
    let (rules, rate) = (Rule::parse_all(&config.retention_rule)?, config.compaction_bytes_per_second);
    workers.extend(retention::start(engine, cold, rules, rate, shutdown)?);
    workers.push(worker::spawn("maintenance", shutdown, MAINTENANCE_INTERVAL, {
        let engine = engine.clone();
        move |_| {
            maintain(&engine);
            MAINTENANCE_INTERVAL
        }
    })?);
    if config.compaction_bytes_per_second > 0 {
        workers.push(compactor::start(engine, config.compaction_bytes_per_second, shutdown)?);
    }
    if config.scrub_bytes_per_second > 0 {
        workers.push(scrubber::start(engine, config.scrub_bytes_per_second, shutdown)?);
    }
    let interval = config.self_metrics_interval.duration();
    if interval > Duration::ZERO {
        workers.push(self_metrics::start(engine, registry, instance, interval, shutdown)?);
    }
    Ok(workers)
}

/// Why a server that only reads has nothing to serve yet.
fn awaited(cold: &admin::Later<Cold>) -> Option<String> {
    cold.get().and_then(|cold| cold.awaited()).map(|reason| format!("the cold tier has not been read: {reason}"))
}

fn ingest_options(config: &Config) -> IngestOptions {
    IngestOptions {
        max_message_bytes: config.max_request_bytes,
        max_compressed_bytes: config.max_compressed_bytes,
        max_compression_ratio: config.max_compression_ratio,
        max_in_flight_bytes: config.max_in_flight_bytes,
        max_new_series_per_second: config.max_new_series_per_second,
        max_new_series_burst: config.max_new_series_burst,
        body_timeout: config.request_body_timeout.duration(),
        min_body_bytes_per_second: config.min_body_bytes_per_second,
        ..IngestOptions::default()
    }
}

/// Remote write by OTLP's limits, with the same cache and the same memory for metadata.
fn remote_write_receiver(translator: &mytsdb_otlp::Translator) -> mytsdb_remote_write::Receiver {
    mytsdb_remote_write::Receiver::new(mytsdb_remote_write::Options {
        limits: translator.options().limits,
        cache: Arc::clone(translator.cache()),
        metadata: Arc::clone(translator.metadata()),
        fingerprint_seed: translator.options().fingerprint_seed,
    })
}

/// Bounds on a series.
pub(crate) fn series_limits(config: &Config) -> mytsdb_otlp::Limits {
    mytsdb_otlp::Limits {
        label_count_max: config.max_labels_per_series,
        name_bytes_max: config.max_label_name_bytes,
        value_bytes_max: config.max_label_value_bytes,
        labels_bytes_max: config.max_labels_bytes,
        bucket_count_max: config.max_buckets_per_point,
        attribute_count_max: config.max_attributes,
        nesting_max: config.max_attribute_nesting,
    }
}

/// Who deletes samples when a client asks for it, if that is allowed.
fn administration(
    config: &Config,
    (engine, cold): (&admin::Later<Engine>, &admin::Later<Cold>),
    shutdown: &Arc<Shutdown>,
) -> Administration {
    if config.web_enable_admin_api {
        let rate = config.compaction_bytes_per_second;
        Administration::by(Arc::new(admin::EngineAdmin::new((engine.clone(), cold.clone()), rate, shutdown.clone())))
    } else {
        Administration::default()
    }
}

/// The threads that help queries. Together with the thread of the query there are as many as cores.
fn query_pool() -> Result<Option<WorkerPool>> {
    let helpers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) - 1;
    let pool = (helpers > 0).then(|| WorkerPool::new(helpers)).transpose();
    pool.context("start threads for queries")
}

/// Listeners that share the limit of open files.
const LISTENERS: u64 = 3;

/// Bounds on the connections of each listener.
fn listener_options(config: &Config) -> ListenerOptions {
    let limit = raise_descriptor_limit();
    let wanted = config.max_connections;
    let spare_connections_max = ListenerOptions::default().spare_connections_max;
    let room = connections_within(limit, LISTENERS, wanted.saturating_add(spare_connections_max));
    let connections_max = wanted.min(room.saturating_sub(spare_connections_max).max(1));
    if connections_max < wanted {
        tracing::warn!(
            wanted,
            connections_max,
            descriptors = limit,
            "fewer connections than --max-connections: the limit of open files is too low"
        );
    }
    ListenerOptions {
        connections_max,
        spare_connections_max,
        streams_max: config.max_streams_per_connection,
        header_bytes_max: config.max_header_bytes,
        head_timeout: config.connection_head_timeout.duration(),
        idle_timeout: config.connection_idle_timeout.duration(),
        target_bytes_max: Some(config.http_max_url_bytes),
    }
}

/// Who may do what. Without a file everybody who reaches a listener may do everything, which is said where that is not
/// this machine alone.
fn open_access(config: &Config, registry: &Registry) -> Result<Access> {
    let access = match &config.web_config_file {
        Some(path) => Access::open(path, registry).context("--web-config-file")?,
        None => Access::default(),
    };
    let access = if config.read_only { access.only_reading() } else { access };
    if !access.asks_for_credentials() {
        let listeners = [config.http_listen, config.otlp_grpc_listen, config.otlp_http_listen];
        for address in listeners.iter().filter(|address| !address.ip().is_loopback()) {
            tracing::warn!(%address, "other machines may read and write without credentials; see --web-config-file");
        }
    }
    Ok(access)
}

fn text_limits(config: &Config) -> TextLimits {
    let mut limits = TextLimits::DEFAULT;
    limits.query_bytes_max = config.query_max_text_bytes;
    limits.pattern.pattern_bytes_max = config.query_max_pattern_bytes;
    limits
}

fn api_options(config: &Config) -> Result<ApiOptions> {
    let enabled = |feature| config.enable_feature.contains(&feature);
    Ok(ApiOptions {
        unquoted_names: enabled(Feature::UnquotedNames),
        query: QueryOptions {
            lookback_ms: config.query_lookback.ms(),
            max_samples: config.query_max_samples,
            // A query that needs more than the whole budget is refused for good, not asked to come back.
            max_bytes: config.query_max_total_bytes.min(QueryOptions::default().max_bytes),
            memory: Some(MemoryBudget::new(config.query_max_total_bytes, "--query-max-total-bytes")),
            results: (config.result_cache_bytes > 0).then(|| ResultCache::new(config.result_cache_bytes)),
            pool: query_pool()?,
            use_start_timestamps: enabled(Feature::UseStartTimestamps),
            delayed_name_removal: enabled(Feature::DelayedNameRemoval),
            texts: text_limits(config),
            ..QueryOptions::default()
        },
        query_timeout: config.query_timeout.duration(),
        form_bytes_max: config.http_max_form_bytes,
        forms_bytes_max: config.http_max_form_bytes.max(64 << 20),
        queries_running_max: config.query_max_concurrency,
        drain: DRAIN_MAX,
        retention: mytsdb_promql_syntax::format_duration_ms(config.retention.ms()),
        config_yaml: config_head(config) + &config.yaml(),
        flags: config.flags(),
        ..ApiOptions::default()
    })
}

/// The part of the configuration that clients of Prometheus read: the scrape interval.
fn config_head(config: &Config) -> String {
    let interval = match config.self_metrics_interval.ms() {
        0 => 15_000,
        ms => ms,
    };
    format!("global:\n  scrape_interval: {}\n", mytsdb_promql_syntax::format_duration_ms(interval))
}

fn maintain(engine: &Engine) {
    match engine.maintain() {
        Ok(done) if done.flushed_samples > 0 || done.expired_blocks > 0 => tracing::info!(
            samples = done.flushed_samples,
            series_removed = done.removed_series,
            blocks_expired = done.expired_blocks,
            "flushed",
        ),
        Ok(_) => {}
        Err(error) => tracing::error!("maintenance failed and will be tried again: {error}"),
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // An error means that the sender is gone, and that ends the server too.
    drop(stopping.wait_for(|stop| *stop).await);
}

async fn wait_for_signal() -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("second signal: leaving at once");
        std::process::exit(1);
    });
    Ok(())
}

/// A random seed: nobody outside can prepare attributes whose hashes collide.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

fn welcome(config: &Config, access: &Access, http: SocketAddr, grpc: SocketAddr, otlp_http: SocketAddr) {
    let version = env!("CARGO_PKG_VERSION");
    let scheme = if access.tls().is_some() { "https" } else { "http" };
    let text = if config.read_only {
        format!(
            "mytsdb {version} is ready and only reads

  plot and query   {scheme}://{http}/
  Prometheus API   {scheme}://{http}/api/v1/query?query=up
  OTLP/gRPC        {grpc}
  OTLP/HTTP        {scheme}://{otlp_http}/v1/metrics
  data             {url}

What is sent to it is refused.

",
            url = config.cold_url,
        )
    } else {
        format!(
            "mytsdb {version} is ready

  plot and query   {scheme}://{http}/
  Prometheus API   {scheme}://{http}/api/v1/query?query=mytsdb_engine_head_series
  OTLP/gRPC        {grpc}
  OTLP/HTTP        {scheme}://{otlp_http}/v1/metrics
  remote write     {scheme}://{http}/api/v1/write
  data             {data}

Point an OpenTelemetry Collector at it:

  exporters:
    otlp:
      endpoint: {grpc}
      tls:
        {tls}

",
            tls = if access.tls().is_some() { "ca_file: FILE" } else { "insecure: true" },
            data = config.data_dir.display(),
        )
    };
    // The server goes on if its output was closed by the program that started it.
    if let Err(error) = std::io::stdout().lock().write_all(text.as_bytes()) {
        tracing::debug!("the greeting was not printed: {error}");
    }
}

/// How OTLP becomes series.
fn translation(config: &Config) -> anyhow::Result<mytsdb_otlp::Options> {
    let (named, all) = (&config.otlp_promote_resource_attribute, config.otlp_promote_all_resource_attributes);
    anyhow::ensure!(
        !all || named.is_empty(),
        "--otlp-promote-all-resource-attributes and --otlp-promote-resource-attribute exclude each other"
    );
    anyhow::ensure!(
        all || config.otlp_ignore_resource_attribute.is_empty(),
        "--otlp-ignore-resource-attribute says something only with --otlp-promote-all-resource-attributes true"
    );
    let ignored = &config.otlp_ignore_resource_attribute;
    let promotion = if all {
        mytsdb_otlp::Promotion::AllExcept(ignored.clone())
    } else {
        mytsdb_otlp::Promotion::Only(named.clone())
    };
    Ok(mytsdb_otlp::Options {
        strategy: config.otlp_translation_strategy,
        promotion,
        keep_identifying_resource_attributes: config.otlp_keep_identifying_resource_attributes,
        promote_scope_metadata: config.otlp_promote_scope_metadata,
        type_and_unit_labels: config.otlp_type_and_unit_labels,
        label_name_underscore_sanitization: config.otlp_label_name_underscore_sanitization,
        label_name_preserve_multiple_underscores: config.otlp_label_name_preserve_multiple_underscores,
        target_info: config.otlp_target_info,
        custom_bucket_histograms: config.otlp_convert_histograms_to_nhcb,
        delta: config.otlp_delta,
        limits: series_limits(config),
        lookback_ms: config.query_lookback.ms(),
        cache_entries_max: config.max_series.saturating_mul(2),
        fingerprint_seed: random_seed(),
        ..mytsdb_otlp::Options::default()
    })
}
