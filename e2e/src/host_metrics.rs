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

/// The `job` of all of them.
const JOB: &str = "host";
/// Seconds of CPU a second that one CPU can have, with room for jitter of the clock.
const CPU_RATE_MAX: f64 = 1.2;

/// Names, labels, types and plausible rates: the same of each of the hosts, and of no other.
pub(crate) fn check(client: &Client, hosts: &[&str]) -> anyhow::Result<()> {
    for expected in &EXPECTED {
        check_metric(client, expected, hosts).with_context(|| expected.name)?;
    }
    check_hosts(client, hosts)?;
    for host in hosts {
        check_rates(client, host).with_context(|| format!("rates of {host}"))?;
        check_memory(client, host).with_context(|| format!("memory of {host}"))?;
    }
    Ok(())
}

/// Each host has a `target_info` that says what it is, and joins its series.
fn check_hosts(client: &Client, hosts: &[&str]) -> anyhow::Result<()> {
    let infos = client.query("target_info", None)?;
    ensure!(infos.len() == hosts.len(), "{} series of target_info, expected one a host", infos.len());
    for host in hosts {
        let info = infos.iter().find(|one| one.labels.get("instance").is_some_and(|own| own == host));
        let labels = &info.with_context(|| format!("{host} has no target_info"))?.labels;
        ensure!(labels.get("host_name").is_some_and(|name| name == host), "{host}: {labels:?}");
        ensure!(labels.get("os_type").is_some_and(|os| os == "linux"), "{host}: {labels:?}");
        ensure!(labels.get("job").is_some_and(|job| job == JOB), "{host}: {labels:?}");
    }
    let joined =
        client.query("system_memory_usage_bytes * on (job, instance) group_left (os_type) target_info", None)?;
    let alone = client.query("system_memory_usage_bytes", None)?;
    ensure!(joined.len() == alone.len(), "{} of {} series have a target_info", joined.len(), alone.len());
    println!("target_info: {} hosts, {} series joined", infos.len(), joined.len());
    Ok(())
}

/// How many points of a host's Collector the store has.
pub(crate) fn stored_points(client: &Client, host: &str) -> anyhow::Result<u64> {
    // Raw samples, counted here: a function over series of several names would drop the names that keep them apart.
    let series = client.query(&format!(r#"{{__name__=~"system_.+", instance="{host}"}}[1d]"#), None)?;
    Ok(series.iter().map(|one| one.samples.len() as u64).sum())
}

fn check_metric(client: &Client, expected: &Expected, hosts: &[&str]) -> anyhow::Result<()> {
    let series = client.query(expected.name, None)?;
    ensure!(!series.is_empty(), "no series");
    let required: BTreeSet<&str> = expected.labels.iter().copied().chain(["__name__", "instance", "job"]).collect();
    for one in &series {
        let names: BTreeSet<&str> = one.labels.keys().map(String::as_str).collect();
        ensure!(names == required, "labels {names:?}, expected {required:?}");
        ensure!(one.labels["job"] == JOB && hosts.contains(&one.labels["instance"].as_str()), "{:?}", one.labels);
    }
    let (label, values) = expected.values;
    for host in hosts {
        for value in values {
            let found = series.iter().any(|one| one.labels[label] == *value && one.labels["instance"] == *host);
            ensure!(found, "no series of {host} with {label}={value:?}");
        }
    }
    match client.metric_type(expected.name)? {
        Some(kind) => ensure!(kind == expected.kind, "type {kind}, expected {}", expected.kind),
        None => println!("{}: the server tells no type", expected.name),
    }
    println!("{}: {} series, labels {:?}", expected.name, series.len(), expected.labels);
    Ok(())
}

fn check_rates(client: &Client, host: &str) -> anyhow::Result<()> {
    let cpu = format!(r#"sum by (cpu) (rate(system_cpu_time_seconds_total{{instance="{host}"}}[10s]))"#);
    let rates = client.query(&cpu, None)?;
    ensure!(!rates.is_empty(), "no rate of CPU time");
    for rate in &rates {
        let value = single(std::slice::from_ref(rate))?;
        ensure!((0.0..=CPU_RATE_MAX).contains(&value), "CPU {:?} worked {value} s a second", rate.labels.get("cpu"));
    }
    let busiest = rates.iter().filter_map(|rate| rate.samples.first()).map(|sample| sample.1).fold(0.0, f64::max);
    ensure!(busiest > 0.0, "no CPU did anything, idling included");
    let network = format!(r#"rate(system_network_io_bytes_total{{instance="{host}"}}[10s])"#);
    for rate in &client.query(&network, None)? {
        let value = single(std::slice::from_ref(rate))?;
        ensure!(value.is_finite() && value >= 0.0, "network rate {value} of {:?}", rate.labels);
    }
    println!("{host}: {} CPUs, at most {busiest:.3} s a second", rates.len());
    Ok(())
}

/// The states' sum is the machine's memory, more or less: the kernel's slabs are counted in two of them.
fn check_memory(client: &Client, host: &str) -> anyhow::Result<()> {
    let stored = single(&client.query(&format!(r#"sum(system_memory_usage_bytes{{instance="{host}"}})"#), None)?)?;
    #[expect(clippy::disallowed_methods, reason = "the kernel's own account, not a file of the store")]
    let account = std::fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
    let line = account.lines().find_map(|line| line.strip_prefix("MemTotal:")).context("no MemTotal")?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().context("MemTotal")?;
    let ratio = stored / (kibibytes * 1024.0);
    ensure!((0.5..=2.0).contains(&ratio), "memory: {stored} bytes, {ratio:.2} of what the machine has");
    println!("{host}: memory {ratio:.2} of what the machine has");
    Ok(())
}

/// The value of the one sample of the one series.
fn single(series: &[Series]) -> anyhow::Result<f64> {
    let [Series { samples, .. }] = series else { anyhow::bail!("{} series, expected one", series.len()) };
    let [(_, value)] = samples.as_slice() else { anyhow::bail!("{} samples, expected one", samples.len()) };
    Ok(*value)
}
