//! Figures of this process from `/proc/self`, under the names every Prometheus client uses.

use crate::{Description, Family, MetricKind};

const CPU: Description =
    Description::new("process_cpu_seconds_total", "User and system CPU time spent.").with_unit("seconds");
const RESIDENT: Description =
    Description::new("process_resident_memory_bytes", "Resident memory size.").with_unit("bytes");
const VIRTUAL: Description =
    Description::new("process_virtual_memory_bytes", "Virtual memory size.").with_unit("bytes");
const START: Description =
    Description::new("process_start_time_seconds", "Start time since the Unix epoch.").with_unit("seconds");
const OPEN_FDS: Description = Description::new("process_open_fds", "Open file descriptors.");
const MAX_FDS: Description = Description::new("process_max_fds", "Most file descriptors that may be open.");

/// Clock ticks per second in `/proc/<pid>/stat`: fixed at 100 by the kernel's interface (`USER_HZ`) on every Linux port we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The process families, ascending by name; one that cannot be read is left out. Costs a few small reads of `/proc`.
pub fn process_families() -> Vec<Family> {
    let mut families = Vec::with_capacity(6);
    let stat = read("/proc/self/stat").unwrap_or_default();
    let status = read("/proc/self/status").unwrap_or_default();
    let limits = read("/proc/self/limits").unwrap_or_default();
    let mut gauge = |description: &Description, value: Option<f64>| {
        families.extend(value.map(|v| Family::single(description, MetricKind::Gauge, v)));
    };
    gauge(&MAX_FDS, max_fds(&limits));
    gauge(&OPEN_FDS, open_fds());
    gauge(&RESIDENT, status_bytes(&status, "VmRSS:"));
    gauge(&START, start_seconds(&stat));
    gauge(&VIRTUAL, status_bytes(&status, "VmSize:"));
    let cpu = cpu_seconds(&stat).map(|v| Family::single(&CPU, MetricKind::Counter, v));
    families.splice(0..0, cpu);
    families
}

#[expect(clippy::disallowed_methods, reason = "/proc is not storage; there is nothing to simulate or to fail")]
fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[expect(clippy::disallowed_methods, reason = "/proc is not storage; there is nothing to simulate or to fail")]
fn open_fds() -> Option<f64> {
    // The listing itself holds one descriptor.
    Some((std::fs::read_dir("/proc/self/fd").ok()?.count() as f64 - 1.0).max(0.0))
}

/// Field `number` of `/proc/<pid>/stat` (proc(5) counts from 1). The second field may hold blanks, so count behind it.
fn stat_field(stat: &str, number: usize) -> Option<f64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(number - 3)?.parse().ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((stat_field(stat, 14)? + stat_field(stat, 15)?) / TICKS_PER_SECOND)
}

fn start_seconds(stat: &str) -> Option<f64> {
    let boot = read("/proc/stat")?.lines().find_map(|l| l.strip_prefix("btime ")?.trim().parse::<f64>().ok())?;
    Some(boot + stat_field(stat, 22)? / TICKS_PER_SECOND)
}

fn status_bytes(status: &str, key: &str) -> Option<f64> {
    let kib = status.lines().find_map(|l| l.strip_prefix(key))?;
    Some(kib.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
}

fn max_fds(limits: &str) -> Option<f64> {
    let soft = limits.lines().find_map(|l| l.strip_prefix("Max open files"))?.split_ascii_whitespace().next()?;
    if soft == "unlimited" { Some(f64::INFINITY) } else { soft.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_six_families_are_plausible() {
        let families = process_families();
        assert!(families.is_sorted_by_key(|f| f.name.clone()));
        let value = |name: &str| families.iter().find(|f| f.name == name).unwrap().samples[0].value;
        assert!(value("process_cpu_seconds_total") >= 0.0);
        assert!(value("process_resident_memory_bytes") > 100_000.0);
        assert!(value("process_virtual_memory_bytes") >= value("process_resident_memory_bytes"));
        assert!(value("process_start_time_seconds") > 1.5e9);
        assert!(value("process_open_fds") >= 3.0);
        assert!(value("process_max_fds") >= value("process_open_fds"));
    }

    #[test]
    fn a_program_name_with_blanks_and_brackets_does_not_shift_the_fields() {
        let stat = "7 (a) b ) c) S 1 2 3 4 5 6 7 8 9 10 250 150 13 14 15 16 17 18 5000 20";
        assert_eq!(cpu_seconds(stat), Some(4.0));
        assert_eq!(stat_field(stat, 22), Some(5000.0));
    }
}
