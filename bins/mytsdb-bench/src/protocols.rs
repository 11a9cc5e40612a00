//! CPU of a server per sample, by protocol and kind of point: what sending costs the one that stores, whoever else uses the
//! machine meanwhile.

mod way;

use crate::process::default_server;
use crate::target::Target;
use crate::template::attribute;
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use clap::{Args, ValueEnum};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
    Sum, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};
use way::{Way, framed};

/// Time between two samples of a series.
const STEP_MS: i64 = 15_000;
/// Points of one metric in a request.
const POINTS_PER_METRIC: usize = 20;
/// Since when points count.
const STARTED_UNIX_NANO: u64 = 1_700_000_000_000_000_000;
/// Buckets of a histogram.
const BUCKETS: usize = 160;
/// How long a server may take to show what it acknowledged.
const VISIBLE_AFTER: Duration = Duration::from_mins(1);
const CUMULATIVE: i32 = 2;
const DELTA: i32 = 1;

/// Settings of one run.
#[derive(Debug, Args)]
pub(crate) struct ProtocolsArgs {
    /// Server to start
    #[arg(long, value_enum, default_value = "mytsdb")]
    target: Peer,
    /// mytsdb's program
    #[arg(long, default_value_os_t = default_server())]
    server: PathBuf,
    /// Prometheus' program
    #[arg(long, required_if_eq("target", "prometheus"))]
    prometheus: Option<PathBuf>,
    /// VictoriaMetrics' program
    #[arg(long, required_if_eq("target", "victoriametrics"))]
    victoria_metrics: Option<PathBuf>,
    /// How samples get in
    #[arg(long, value_enum, default_value = "otlp-http")]
    protocol: Protocol,
    /// What is sent; remote write sends gauges only
    #[arg(long, value_enum, default_value = "gauges")]
    data: Kind,
    /// Compress OTLP
    #[arg(long)]
    gzip: bool,
    /// Series
    #[arg(long, default_value_t = 100_000)]
    series: usize,
    /// Samples of each series
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// Points in a request
    #[arg(long, default_value_t = 1_000)]
    points_per_request: usize,
    /// Connections, with one request at a time each
    #[arg(long, default_value_t = 4)]
    connections: usize,
    /// mytsdb's durability; peers sync nothing before they acknowledge
    #[arg(long, default_value = "interval")]
    durability: String,
}

/// Who stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    Mytsdb,
    Prometheus,
    Victoriametrics,
}

/// How samples get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    OtlpGrpc,
    OtlpHttp,
    RemoteWrite,
}

/// What a point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Gauges of two decimals
    Gauges,
    /// Cumulative sums
    Sums,
    /// Sums of delta temporality
    Deltas,
    /// Exponential histograms of 160 buckets, cumulative
    Exponential,
}

/// `prometheus.WriteRequest`.
#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<WriteSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct WriteSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<WriteLabel>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<WriteSample>,
}

#[derive(Clone, PartialEq, Message)]
struct WriteLabel {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct WriteSample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp_ms: i64,
}

/// Runs the load, prints the figures, and asks whether every sample is there.
pub(crate) fn run(args: &ProtocolsArgs) -> Result<()> {
    let whole = args.series.is_multiple_of(args.points_per_request) && args.rounds > 1;
    ensure!(whole, "--series must be a multiple of --points-per-request, and --rounds at least 2");
    let rest = args.protocol != Protocol::RemoteWrite || (args.data == Kind::Gauges && !args.gzip);
    ensure!(rest, "remote write sends gauges in snappy");
    let target = match args.target {
        Peer::Mytsdb => Target::mytsdb_with(&args.server, &args.durability, 0, None)?,
        Peer::Prometheus => Target::prometheus(args.prometheus.as_deref().context("--prometheus")?)?,
        Peer::Victoriametrics => {
            Target::victoria_metrics(args.victoria_metrics.as_deref().context("--victoria-metrics")?)?
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let open = |_| match args.protocol {
        Protocol::OtlpHttp => Ok(Way::http(&target, target.otlp_path(), if args.gzip { "gzip" } else { "identity" })),
        Protocol::RemoteWrite => Ok(Way::http(&target, "/api/v1/write", "snappy")),
        Protocol::OtlpGrpc => Way::grpc(&target, args.gzip, runtime.handle()),
    };
    let mut ways: Vec<Way> = (0..args.connections).map(open).collect::<Result<_>>()?;
    let now_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as i64;
    let start_ms = now_ms - STEP_MS * args.rounds as i64;
    let (mut first_cpu_s, mut cpu_s, mut sending, mut bytes) = (0.0, 0.0, Duration::ZERO, 0);
    for round in 0..args.rounds {
        let time_ms = start_ms + STEP_MS * round as i64;
        let firsts = (0..args.series).step_by(args.points_per_request);
        let requests: Vec<Vec<u8>> = firsts.map(|first| request(args, first, round, time_ms)).collect::<Result<_>>()?;
        let before = target.usage()?.0;
        let begun = Instant::now();
        bytes = requests.iter().map(Vec::len).sum();
        send(&mut ways, requests)?;
        let used = target.usage()?.0 - before;
        if round == 0 {
            first_cpu_s = used;
        } else {
            sending += begun.elapsed();
            cpu_s += used;
        }
    }
    check(args, &target, start_ms)?;
    let steady = ((args.rounds - 1) * args.series) as f64;
    let encoding = if args.gzip { " gzip" } else { "" };
    println!(
        "{} {:?}{encoding} {:?}: {:.3} us of CPU a point steady, {:.2} us a new series; {:.0} points/s; {} B a point",
        target.name,
        args.protocol,
        args.data,
        cpu_s * 1e6 / steady,
        first_cpu_s * 1e6 / args.series as f64,
        steady / sending.as_secs_f64(),
        bytes / args.series,
    );
    Ok(())
}

/// Sends every request once, over all connections.
fn send(ways: &mut [Way], requests: Vec<Vec<u8>>) -> Result<()> {
    let requests = Mutex::new(requests.into_iter().map(Bytes::from));
    let next = || requests.lock().map_or(None, |mut requests| requests.next());
    let work = |way: &mut Way| {
        while let Some(request) = next() {
            way.send(request)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = ways.iter_mut().map(|way| scope.spawn(|| work(way))).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a sender panicked")))
    })
}

/// The points of one request as its protocol has them.
fn request(args: &ProtocolsArgs, first: usize, round: usize, time_ms: i64) -> Result<Vec<u8>> {
    let series = first..first + args.points_per_request;
    if args.protocol == Protocol::RemoteWrite {
        let series = series.map(|series| written(series, first, round, time_ms)).collect();
        return Ok(snap::raw::Encoder::new().compress_vec(&WriteRequest { series }.encode_to_vec())?);
    }
    let all: Vec<usize> = series.collect();
    let metrics = all.chunks(POINTS_PER_METRIC).map(|chunk| metric(args.data, chunk, round, time_ms)).collect();
    let resource = Resource {
        attributes: vec![
            attribute("service.name", format!("bench-{}", first % 8)),
            attribute("service.instance.id", format!("instance-{first}")),
        ],
        ..Resource::default()
    };
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let resource_metrics =
        vec![ResourceMetrics { resource: Some(resource), scope_metrics, ..ResourceMetrics::default() }];
    let message = ExportMetricsServiceRequest { resource_metrics }.encode_to_vec();
    let message = if args.gzip { gzip(&message)? } else { message };
    if args.protocol == Protocol::OtlpGrpc { framed(&message, args.gzip) } else { Ok(message) }
}

fn gzip(message: &[u8]) -> Result<Vec<u8>> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(message)?;
    Ok(encoder.finish()?)
}

/// The series's number among those of its name.
fn name(series: usize) -> usize {
    series / POINTS_PER_METRIC % 50
}

/// What is measured: a gauge that wanders.
fn value(series: usize, round: usize) -> f64 {
    (series % 100) as f64 + ((series * 31 + round * 17) % 1_000) as f64 / 100.0
}

fn attributes(series: usize) -> [(&'static str, String); 3] {
    [
        ("http.request.method", ["GET", "POST", "PUT", "DELETE"][series % 4].into()),
        ("http.route", format!("/api/v1/resource{}", series % 997)),
        ("series", series.to_string()),
    ]
}

fn metric(kind: Kind, series: &[usize], round: usize, time_ms: i64) -> Metric {
    let time_unix_nano = time_ms as u64 * 1_000_000;
    let attributes = |series| attributes(series).map(|(key, value)| attribute(key, value)).to_vec();
    let numbers = |start, value: &dyn Fn(usize) -> f64| -> Vec<NumberDataPoint> {
        let point = |&series: &usize| NumberDataPoint {
            attributes: attributes(series),
            start_time_unix_nano: start,
            time_unix_nano,
            value: Some(number_data_point::Value::AsDouble(value(series))),
            ..NumberDataPoint::default()
        };
        series.iter().map(point).collect()
    };
    let grown = |series: usize| ((series % 7 + 1) * (round + 1)) as f64;
    let sum = |data_points, aggregation_temporality| Sum { data_points, aggregation_temporality, is_monotonic: true };
    let before = time_unix_nano - STEP_MS as u64 * 1_000_000;
    let data = match kind {
        Kind::Gauges => Data::Gauge(Gauge { data_points: numbers(0, &|series| value(series, round)) }),
        Kind::Sums => Data::Sum(sum(numbers(STARTED_UNIX_NANO, &grown), CUMULATIVE)),
        Kind::Deltas => Data::Sum(sum(numbers(before, &|series| (series % 7 + 1) as f64), DELTA)),
        Kind::Exponential => Data::ExponentialHistogram(ExponentialHistogram {
            data_points: series
                .iter()
                .map(|&series| histogram(attributes(series), series, round, time_unix_nano))
                .collect(),
            aggregation_temporality: CUMULATIVE,
        }),
    };
    Metric {
        name: format!("bench.queue.depth.m{}", name(series[0])),
        description: "Depth of a work queue".into(),
        data: Some(data),
        ..Metric::default()
    }
}

/// Counts grow by some of the buckets each time, as they do where latencies vary.
fn histogram(
    attributes: Vec<opentelemetry_proto::tonic::common::v1::KeyValue>,
    series: usize,
    round: usize,
    time_unix_nano: u64,
) -> ExponentialHistogramDataPoint {
    let bucket_counts: Vec<u64> = (0..BUCKETS)
        .map(|bucket| {
            ((bucket * 7 + series) % 13 + (round * ((bucket + series) % 3)) + round / (1 + bucket % 5)) as u64
        })
        .collect();
    let count = bucket_counts.iter().sum();
    ExponentialHistogramDataPoint {
        attributes,
        start_time_unix_nano: STARTED_UNIX_NANO,
        time_unix_nano,
        count,
        sum: Some(count as f64 * 0.37),
        scale: 3,
        positive: Some(Buckets { offset: -40, bucket_counts }),
        ..ExponentialHistogramDataPoint::default()
    }
}

fn written(series: usize, first: usize, round: usize, timestamp_ms: i64) -> WriteSeries {
    let own = attributes(series).map(|(key, value)| (key.replace('.', "_"), value));
    let mut labels: Vec<(String, String)> = own.into();
    labels.push(("__name__".to_owned(), format!("bench_queue_depth_m{}", name(series))));
    labels.push(("job".to_owned(), format!("bench-{}", first % 8)));
    labels.push(("instance".to_owned(), format!("instance-{first}")));
    labels.sort_unstable();
    let labels = labels.into_iter().map(|(name, value)| WriteLabel { name, value }).collect();
    WriteSeries { labels, samples: vec![WriteSample { value: value(series, round), timestamp_ms }] }
}

/// Asks how many samples there are, until all are there.
fn check(args: &ProtocolsArgs, target: &Target, start_ms: i64) -> Result<()> {
    let range_s = STEP_MS * args.rounds as i64 / 1_000 + 1;
    let query = format!("sum(count_over_time({{__name__=~\"bench_queue_.+\"}}[{range_s}s]))");
    let time = format!("{}", (start_ms + STEP_MS * (args.rounds as i64 - 1)) as f64 / 1e3);
    let expected = (args.series * args.rounds) as f64;
    let (begun, mut body) = (Instant::now(), Vec::new());
    loop {
        target.ask("/api/v1/query", &[("query", query.clone()), ("time", time.clone())], &mut body)?;
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        let stored = answer["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse::<f64>().ok());
        if stored == Some(expected) {
            return Ok(());
        }
        ensure!(begun.elapsed() < VISIBLE_AFTER, "{stored:?} samples are there, {expected} were acknowledged");
        std::thread::sleep(Duration::from_millis(500));
    }
}
