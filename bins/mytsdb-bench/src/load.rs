//! The data: requests of gauges with realistic attributes, encoded once and patched from round to round.

use crate::template::{Template, attribute, marked_point};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric::Data,
};
use opentelemetry_proto::tonic::resource::v1::Resource;

/// Points of one metric in a request.
const POINTS_PER_METRIC: usize = 20;
/// Names that metrics have.
pub(crate) const METRICS: usize = 50;
/// Since when started points count.
const STARTED_UNIX_NANO: u64 = 1_700_000_000_000_000_000;

/// A request of many metrics.
pub(crate) struct Load {
    template: Template,
    first_series: usize,
}

impl Load {
    /// A request with one point for each of `point_count` series from `first_series` on; with a start time if `started`.
    pub(crate) fn new(first_series: usize, point_count: usize, started: bool) -> Self {
        let series: Vec<usize> = (first_series..first_series + point_count).collect();
        let metrics = series
            .chunks(POINTS_PER_METRIC)
            .map(|chunk| Metric {
                name: format!("bench.queue.depth.m{}", chunk[0] / POINTS_PER_METRIC % METRICS),
                description: "Depth of a work queue".into(),
                data: Some(Data::Gauge(Gauge { data_points: chunk.iter().map(|&s| point(s, started)).collect() })),
                ..Metric::default()
            })
            .collect();
        let resource = Resource {
            attributes: vec![
                attribute("service.name", format!("bench-{}", first_series % 8)),
                attribute("service.instance.id", format!("instance-{first_series}")),
                attribute("host.name", "host-0".into()),
            ],
            ..Resource::default()
        };
        let scope = InstrumentationScope { name: "bench".into(), ..InstrumentationScope::default() };
        let scope_metrics = ScopeMetrics { scope: Some(scope), metrics, ..ScopeMetrics::default() };
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![ResourceMetrics {
                resource: Some(resource),
                scope_metrics: vec![scope_metrics],
                ..ResourceMetrics::default()
            }],
        };
        Self { template: Template::new(&request, point_count, point_count), first_series }
    }

    /// The request of one round.
    pub(crate) fn fill(&self, time_unix_ms: i64, round: usize) -> bytes::Bytes {
        let values = (self.first_series..).map(|series| value(series, round).to_bits());
        self.template.fill(time_unix_ms, values).into()
    }

    /// Bytes of one request.
    pub(crate) fn len(&self) -> usize {
        self.template.len()
    }
}

/// The value of a series in a round: a gauge with two decimals that wanders.
pub(crate) fn value(series: usize, round: usize) -> f64 {
    let wobble = (series * 31 + round * 17) % 1_000;
    (series % 100) as f64 + wobble as f64 / 100.0
}

fn point(series: usize, started: bool) -> NumberDataPoint {
    let point = marked_point(vec![
        attribute("http.request.method", ["GET", "POST", "PUT", "DELETE"][series % 4].into()),
        attribute("http.route", format!("/api/v1/resource{}", series % 997)),
        attribute("series", series.to_string()),
    ]);
    NumberDataPoint { start_time_unix_nano: if started { STARTED_UNIX_NANO } else { 0 }, ..point }
}
