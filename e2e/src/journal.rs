//! An OTLP client that writes down what it sent and what was acknowledged, and the comparison with what came back.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric, number_data_point,
};
use tokio::task::JoinSet;

use crate::query::Series;

/// Name of the metric that clients write.
pub(crate) const METRIC: &str = "e2e_journal";
/// Series of one client; each request has one point for each.
pub(crate) const SLOT_COUNT: usize = 10;
/// Requests of one client on the way at a time.
const IN_FLIGHT: usize = 4;
/// Least time between two requests of a client, so that its timestamps do not run ahead of the clock.
const PACE: Duration = Duration::from_millis(2);
/// A request that is not answered by then is not acknowledged.
const REQUEST_PATIENCE: Duration = Duration::from_secs(10);

/// What one client sent, by timestamp.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    requests: BTreeMap<i64, Request>,
}

#[derive(Debug, Clone, Copy)]
struct Request {
    /// The value of slot 0; see [`value_of`].
    number: u32,
    acknowledged: bool,
}

impl Journal {
    /// The times of the first and the last request, in ms; none if nothing was sent.
    pub(crate) fn time_range(&self) -> Option<(i64, i64)> {
        Some((*self.requests.first_key_value()?.0, *self.requests.last_key_value()?.0))
    }

    /// Points in acknowledged requests.
    pub(crate) fn acknowledged(&self) -> u64 {
        (self.requests.values().filter(|request| request.acknowledged).count() * SLOT_COUNT) as u64
    }

    /// Compares with what the store returned of this client's series over the journal's whole time range.
    pub(crate) fn compare(&self, stored: &[Series]) -> Comparison {
        let mut comparison = Comparison::default();
        let mut by_slot: BTreeMap<usize, BTreeMap<i64, f64>> = BTreeMap::new();
        for series in stored {
            let slot = series.labels.get("slot").and_then(|slot| slot.parse().ok()).unwrap_or(usize::MAX);
            for &(timestamp_ms, value) in &series.samples {
                let sent = self.requests.get(&timestamp_ms).filter(|_| slot < SLOT_COUNT);
                let right = sent.is_some_and(|request| value_of(request.number, slot) == value);
                let doubled = by_slot.entry(slot).or_default().insert(timestamp_ms, value).is_some();
                if !right || doubled {
                    comparison.wrong += 1;
                } else if sent.is_some_and(|request| !request.acknowledged) {
                    comparison.unacknowledged_stored += 1;
                }
            }
        }
        for (timestamp_ms, _) in self.requests.iter().filter(|(_, request)| request.acknowledged) {
            let has = |slot| by_slot.get(&slot).is_some_and(|samples| samples.contains_key(timestamp_ms));
            comparison.lost += (0..SLOT_COUNT).filter(|slot| !has(*slot)).count() as u64;
        }
        comparison
    }
}

/// What a comparison found, in points.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Acknowledged, not there.
    pub(crate) lost: u64,
    /// Points that have another value, are there twice, or were never sent.
    pub(crate) wrong: u64,
    /// Points without an acknowledgement that are there nevertheless, which is allowed.
    pub(crate) unacknowledged_stored: u64,
}

/// Different for all requests and slots of a client, and exact in a double.
fn value_of(number: u32, slot: usize) -> f64 {
    f64::from(number) + slot as f64 / 16.0
}

/// Sends as `client` until the server stops answering, and returns what was sent.
///
/// # Errors
///
/// If no connection can be made, or the server refuses a good point: that is a fault, not a crash.
pub(crate) async fn write_until_cut_off(address: String, client: String) -> anyhow::Result<Journal> {
    let endpoint = tonic::transport::Endpoint::try_from(format!("http://{address}"))?.timeout(REQUEST_PATIENCE);
    let channel = endpoint.connect().await.context("cannot connect to the OTLP port")?;
    let mut last_ms = 0;
    let mut journal = Journal::default();
    let mut in_flight = JoinSet::new();
    let mut number = 0;
    loop {
        while in_flight.len() < IN_FLIGHT {
            number += 1;
            let timestamp_ms = next_timestamp_ms(last_ms)?;
            last_ms = timestamp_ms;
            journal.requests.insert(timestamp_ms, Request { number, acknowledged: false });
            let request = export_request(&client, timestamp_ms, number);
            let mut service = MetricsServiceClient::new(channel.clone());
            in_flight.spawn(async move { (timestamp_ms, service.export(request).await) });
            tokio::time::sleep(PACE).await;
        }
        let Some(finished) = in_flight.join_next().await else { continue };
        let (timestamp_ms, answer) = finished.context("request task")?;
        let Ok(answer) = answer else { break };
        let refused = answer.into_inner().partial_success.filter(|partial| partial.rejected_data_points != 0);
        ensure!(refused.is_none(), "the server refused good points: {refused:?}");
        acknowledge(&mut journal, timestamp_ms);
    }
    // The other requests may have been answered before the kill.
    while let Some(finished) = in_flight.join_next().await {
        let (timestamp_ms, answer) = finished.context("request task")?;
        if answer.is_ok() {
            acknowledge(&mut journal, timestamp_ms);
        }
    }
    Ok(journal)
}

fn acknowledge(journal: &mut Journal, timestamp_ms: i64) {
    let request = journal.requests.get_mut(&timestamp_ms).expect("it was noted before it was sent");
    request.acknowledged = true;
}

/// The clock's time, or one millisecond more than last time.
fn next_timestamp_ms(last_ms: i64) -> anyhow::Result<i64> {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("clock before 1970")?;
    let now_ms = i64::try_from(since_epoch.as_millis()).context("clock out of range")?;
    Ok(now_ms.max(last_ms + 1))
}

fn export_request(client: &str, timestamp_ms: i64, number: u32) -> ExportMetricsServiceRequest {
    let points = (0..SLOT_COUNT).map(|slot| NumberDataPoint {
        attributes: vec![attribute("client", client), attribute("slot", &slot.to_string())],
        time_unix_nano: timestamp_ms.unsigned_abs() * 1_000_000,
        value: Some(number_data_point::Value::AsDouble(value_of(number, slot))),
        ..NumberDataPoint::default()
    });
    let gauge = Gauge { data_points: points.collect() };
    let metric = Metric { name: METRIC.to_owned(), data: Some(metric::Data::Gauge(gauge)), ..Metric::default() };
    let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    let resource = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![resource] }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) };
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Requests 1 and 2 at 10 ms and 20 ms, of which the first was acknowledged.
    fn journal() -> Journal {
        let request = |number, acknowledged| Request { number, acknowledged };
        Journal { requests: BTreeMap::from([(10, request(1, true)), (20, request(2, false))]) }
    }

    fn stored(samples: &[(i64, u32)]) -> Vec<Series> {
        let series = |slot: usize| Series {
            labels: BTreeMap::from([("slot".to_owned(), slot.to_string())]),
            samples: samples.iter().map(|&(timestamp_ms, number)| (timestamp_ms, value_of(number, slot))).collect(),
            histograms: Vec::new(),
        };
        (0..SLOT_COUNT).map(series).collect()
    }

    #[track_caller]
    fn check(stored: &[Series], lost: u64, wrong: u64, unacknowledged_stored: u64) {
        assert_eq!(journal().compare(stored), Comparison { lost, wrong, unacknowledged_stored });
    }

    #[test]
    fn unacknowledged_points_may_be_there_or_not() {
        check(&stored(&[(10, 1)]), 0, 0, 0);
        check(&stored(&[(10, 1), (20, 2)]), 0, 0, 10);
    }

    #[test]
    fn a_missing_acknowledged_point_is_lost() {
        check(&[], 10, 0, 0);
        check(&stored(&[(10, 1)])[1..], 1, 0, 0);
        check(&stored(&[(20, 2)]), 10, 0, 10);
    }

    #[test]
    fn another_value_a_double_and_a_stranger_are_wrong() {
        check(&stored(&[(10, 3)]), 0, 10, 0);
        check(&stored(&[(10, 1), (20, 1)]), 0, 10, 0);
        check(&stored(&[(10, 1), (10, 1)]), 0, 10, 0);
        check(&stored(&[(10, 1), (30, 1)]), 0, 10, 0);
    }

    #[test]
    fn timestamps_of_a_client_never_repeat() {
        assert_eq!(next_timestamp_ms(i64::MAX / 2).unwrap(), i64::MAX / 2 + 1);
        assert!(next_timestamp_ms(0).unwrap() > 1_600_000_000_000);
    }
}
