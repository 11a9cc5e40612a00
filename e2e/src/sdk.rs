//! What an application with the OpenTelemetry SDK recorded must be there, whatever way it took: e2e/sdk-source.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::query::Client;

/// How long everything may take to arrive.
const PATIENCE: Duration = Duration::from_mins(1);

/// A question, and the value of the one series that answers it.
const EXPECTED: [(&str, f64); 12] = [
    ("sdk_requests_total{http_request_method=\"GET\",BY}", 120.0),
    ("sdk_energy_joules_total{BY}", 20.0),
    ("sdk_connections{BY}", 40.0),
    ("sdk_temperature_celsius{BY}", 20.5),
    ("sdk_explicit_seconds_count{BY}", 160.0),
    ("sdk_explicit_seconds_sum{BY}", 2222.0),
    ("sdk_explicit_seconds_bucket{le=\"0.1\",BY}", 40.0),
    ("sdk_explicit_seconds_bucket{le=~\"10|10.0\",BY}", 120.0),
    ("sdk_explicit_seconds_bucket{le=\"+Inf\",BY}", 160.0),
    ("histogram_count(sdk_exponential_seconds{BY})", 200.0),
    ("histogram_sum(sdk_exponential_seconds{BY})", 2222.0),
    // A fifth is 0, three fifths are 0.05, 0.5 and 5.
    ("histogram_fraction(-1, 20, sdk_exponential_seconds{BY})", 0.8),
];

/// Types by `/api/v1/metadata`.
const TYPES: [(&str, &str); 5] = [
    ("sdk_requests_total", "counter"),
    ("sdk_connections", "gauge"),
    ("sdk_temperature_celsius", "gauge"),
    ("sdk_explicit_seconds", "histogram"),
    ("sdk_exponential_seconds", "histogram"),
];

/// Relative error of sums of floats.
const TOLERANCE: f64 = 1e-9;

/// Waits until the series of each of `jobs`, of both temporalities, have what was recorded.
pub(crate) fn check(client: &Client, jobs: &[&str]) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for job in jobs {
        for instance in ["cumulative", "delta"] {
            for (question, value) in EXPECTED {
                let question = question.replace("BY", &format!("job=\"{job}\",instance=\"{instance}\""));
                loop {
                    let found = client.query(&question, None)?;
                    let values: Vec<f64> =
                        found.iter().flat_map(|series| &series.samples).map(|sample| sample.1).collect();
                    if let [found] = values[..]
                        && (found - value).abs() <= TOLERANCE * value.abs()
                    {
                        break;
                    }
                    ensure!(Instant::now() < deadline, "{question} is {values:?}, not {value}");
                    std::thread::sleep(Duration::from_millis(200));
                }
            }
        }
    }
    for (metric, kind) in TYPES {
        let known = client.metric_type(metric).with_context(|| metric)?;
        ensure!(known.as_deref() == Some(kind), "{metric} is {known:?} in the metadata, not {kind}");
    }
    Ok(())
}
