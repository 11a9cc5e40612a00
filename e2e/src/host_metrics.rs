//! What the Collector's `host_metrics` receiver sent must be there under Prometheus' names, labels and types.

use std::collections::BTreeSet;

use anyhow::{Context, ensure};

use crate::query::{Client, Series};

/// A metric as it must arrive.
struct Expected {
    name: &'static str,
    kind: &'static str,
    /// Its labels beside `__name__`; all of them.
    labels: &'static [&'static str],
    /// A label and values of it that every Linux machine has.
    values: (&'static str, &'static [&'static str]),
}

const EXPECTED: [Expected; 3] = [
    Expected {
        name: "system_cpu_time_seconds_total",
        kind: "counter",
        labels: &["cpu", "state"],
        values: ("state", &["idle", "system", "user"]),
    },
    Expected {
        name: "system_memory_usage_bytes",
        kind: "gauge",
        labels: &["state"],
        values: ("state", &["free", "used"]),
    },
    Expected {
        name: "system_network_io_bytes_total",
        kind: "counter",
        labels: &["device", "direction"],
        values: ("direction", &["receive", "transmit"]),
    },
];

/// Labels that say which process sent the metric; the server may add them.
const TARGET_LABELS: [&str; 2] = ["instance", "job"];
/// Seconds of CPU a second that one CPU can have, with room for jitter of the clock.
const CPU_RATE_MAX: f64 = 1.2;

/// Names, labels, types and plausible rates.
pub(crate) fn check(client: &Client) -> anyhow::Result<()> {
    for expected in &EXPECTED {
        check_metric(client, expected).with_context(|| expected.name)?;
    }
    check_rates(client)?;
    check_memory(client)
}

/// How many of the Collector's points the store has.
pub(crate) fn stored_points(client: &Client) -> anyhow::Result<u64> {
    // Raw samples, counted here: a function over series of several names would drop the names that keep them apart.
    let series = client.query(r#"{__name__=~"system_.+"}[1d]"#, None)?;
    Ok(series.iter().map(|one| one.samples.len() as u64).sum())
}

fn check_metric(client: &Client, expected: &Expected) -> anyhow::Result<()> {
    let series = client.query(expected.name, None)?;
    ensure!(!series.is_empty(), "no series");
    let required: BTreeSet<&str> = expected.labels.iter().copied().chain(["__name__"]).collect();
    for one in &series {
        let names: BTreeSet<&str> =
            one.labels.keys().map(String::as_str).filter(|name| !TARGET_LABELS.contains(name)).collect();
        ensure!(names == required, "labels {names:?}, expected {required:?}");
    }
    let (label, values) = expected.values;
    for value in values {
        let found = series.iter().any(|one| one.labels.get(label).is_some_and(|own| own == value));
        ensure!(found, "no series with {label}={value:?}");
    }
    match client.metric_type(expected.name)? {
        Some(kind) => ensure!(kind == expected.kind, "type {kind}, expected {}", expected.kind),
        None => println!("{}: the server tells no type", expected.name),
    }
    println!("{}: {} series, labels {:?}", expected.name, series.len(), expected.labels);
    Ok(())
}

fn check_rates(client: &Client) -> anyhow::Result<()> {
    let rates = client.query("sum by (cpu) (rate(system_cpu_time_seconds_total[10s]))", None)?;
    ensure!(!rates.is_empty(), "no rate of CPU time");
    for rate in &rates {
        let value = single(std::slice::from_ref(rate))?;
        ensure!((0.0..=CPU_RATE_MAX).contains(&value), "CPU {:?} worked {value} s a second", rate.labels.get("cpu"));
    }
    let busiest = rates.iter().filter_map(|rate| rate.samples.first()).map(|sample| sample.1).fold(0.0, f64::max);
    ensure!(busiest > 0.0, "no CPU did anything, idling included");
    for rate in &client.query("rate(system_network_io_bytes_total[10s])", None)? {
        let value = single(std::slice::from_ref(rate))?;
        ensure!(value.is_finite() && value >= 0.0, "network rate {value} of {:?}", rate.labels);
    }
    println!("rates: {} CPUs, at most {busiest:.3} s a second", rates.len());
    Ok(())
}

/// The states' sum is the machine's memory, more or less: the kernel's slabs are counted in two of them.
fn check_memory(client: &Client) -> anyhow::Result<()> {
    let stored = single(&client.query("sum(system_memory_usage_bytes)", None)?)?;
    #[expect(clippy::disallowed_methods, reason = "the kernel's own account, not a file of the store")]
    let account = std::fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
    let line = account.lines().find_map(|line| line.strip_prefix("MemTotal:")).context("no MemTotal")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().context("MemTotal")?;
    let ratio = stored / (kibibytes * 1024.0);
    ensure!((0.5..=2.0).contains(&ratio), "memory: {stored} bytes, {ratio:.2} of what the machine has");
    println!("memory: {ratio:.2} of what the machine has");
    Ok(())
}

/// The value of the one sample of the one series.
fn single(series: &[Series]) -> anyhow::Result<f64> {
    let [Series { samples, .. }] = series else { anyhow::bail!("{} series, expected one", series.len()) };
    let [(_, value)] = samples.as_slice() else { anyhow::bail!("{} samples, expected one", samples.len()) };
    Ok(*value)
}
