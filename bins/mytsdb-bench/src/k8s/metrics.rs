//! The metrics of the Kubernetes workload: what each counts, who exposes it, and the labels it has beside its owner's.

/// Who exposes a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Pod,
    Node,
    /// A service as kube-state-metrics sees it.
    Service,
}

/// What the values of a metric are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shape {
    /// Grows by up to `step` units a tick; a unit is `scale`. Begins again at zero now and then.
    Counter { step: u64, scale: f64 },
    /// Wanders between 0 and 1,000 units.
    Gauge { scale: f64 },
    /// Always the same.
    Constant(f64),
    /// A classic histogram: `_bucket`, `_sum` and `_count`.
    Classic,
    /// A native histogram.
    Native,
}

/// One metric of the workload.
#[derive(Debug)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) place: Place,
    /// Every combination of these values is a series.
    pub(crate) labels: &'static [(&'static str, &'static [&'static str])],
}

impl Metric {
    /// Combinations of its own labels.
    pub(crate) fn variants(&self) -> usize {
        self.labels.iter().map(|(_, values)| values.len()).product()
    }

    /// Its own labels in one combination.
    pub(crate) fn variant(&self, mut number: usize) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.labels.iter().map(move |&(name, values)| {
            let value = values[number % values.len()];
            number /= values.len();
            (name, value)
        })
    }

    /// Series that a store has of one combination.
    pub(crate) fn series_stored(&self) -> usize {
        if self.shape == Shape::Classic { BOUNDS.len() + 3 } else { 1 }
    }
}

/// Upper bounds of classic histograms, in seconds; `+Inf` follows.
pub(crate) const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// The same as they stand in `le`.
pub(crate) const BOUND_TEXTS: [&str; 12] =
    ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
/// Buckets of native histograms.
pub(crate) const NATIVE_BUCKETS: usize = 8;
/// Their schema: four buckets for a factor of two.
pub(crate) const NATIVE_SCHEMA: i32 = 2;
/// Index of the first one, as Prometheus counts: its upper bound is 2^(-24/4) s.
pub(crate) const NATIVE_FIRST: i32 = -24;

type Labels = &'static [(&'static str, &'static [&'static str])];

const NONE: Labels = &[];
const CONTAINER: Labels = &[("container", &["app", "proxy"])];
const INTERFACE: Labels = &[("interface", &["eth0"])];
const DEVICE: Labels = &[("container", &["app", "proxy"]), ("device", &["/dev/vda"])];
const PHASE: Labels = &[("phase", &["Running", "Pending", "Succeeded", "Failed", "Unknown"])];
const READY: Labels = &[("condition", &["true", "false"])];
const WAITING: Labels = &[("container", &["app", "proxy"]), ("reason", &["CrashLoopBackOff"])];
const CONDITION: Labels =
    &[("condition", &["Ready", "DiskPressure", "MemoryPressure"]), ("status", &["true", "false"])];
const RESOURCE: Labels = &[("resource", &["cpu", "memory", "pods"])];
const CPU: Labels = &[("cpu", &["0", "1"]), ("mode", &["idle", "user", "system", "iowait"])];
const DISK: Labels = &[("device", &["vda", "vdb"])];
const NIC: Labels = &[("device", &["eth0", "lo"])];
const MOUNT: Labels = &[("device", &["/dev/vda"]), ("mountpoint", &["/", "/var/lib"])];
const REQUEST: Labels = &[("method", &["GET", "POST"]), ("status", &["200", "404", "500", "503"])];
const METHOD: Labels = &[("method", &["GET", "POST"])];
const GRPC: Labels = &[("grpc_method", &["Get", "Put"])];
const GRPC_CODE: Labels = &[("grpc_method", &["Get", "Put"]), ("grpc_code", &["OK", "Unavailable"])];
const POOL: Labels = &[("pool", &["db", "cache"])];
const QUANTILE: Labels = &[("quantile", &["0", "0.25", "0.5", "0.75", "1"])];
const AREA: Labels = &[("area", &["heap", "nonheap"])];
const GC: Labels = &[("gc", &["young", "old"])];
const GENERATION: Labels = &[("generation", &["0", "1", "2"])];
const PYTHON: Labels = &[("version", &["3.14.2"])];
const ERROR: Labels = &[("kind", &["timeout", "internal"])];

const fn new(place: Place, name: &'static str, shape: Shape, labels: Labels) -> Metric {
    Metric { name, shape, place, labels }
}

const fn counter(place: Place, name: &'static str, step: u64, labels: Labels) -> Metric {
    new(place, name, Shape::Counter { step, scale: 1.0 }, labels)
}

/// A counter of seconds, in hundredths.
const fn seconds(place: Place, name: &'static str, labels: Labels) -> Metric {
    new(place, name, Shape::Counter { step: 1_500, scale: 0.01 }, labels)
}

const fn gauge(place: Place, name: &'static str, scale: f64, labels: Labels) -> Metric {
    new(place, name, Shape::Gauge { scale }, labels)
}

const fn constant(place: Place, name: &'static str, value: f64, labels: Labels) -> Metric {
    new(place, name, Shape::Constant(value), labels)
}

use Place::{Node, Pod, Service};

const PAGES: f64 = 65_536.0;
const STARTED: f64 = 1_790_000_000.0;

/// All metrics: 102 and `up`.
pub(crate) const METRICS: [Metric; 103] = [
    seconds(Pod, "container_cpu_usage_seconds_total", CONTAINER),
    seconds(Pod, "container_cpu_user_seconds_total", CONTAINER),
    seconds(Pod, "container_cpu_system_seconds_total", CONTAINER),
    gauge(Pod, "container_memory_usage_bytes", PAGES, CONTAINER),
    gauge(Pod, "container_memory_working_set_bytes", PAGES, CONTAINER),
    gauge(Pod, "container_memory_rss", PAGES, CONTAINER),
    counter(Pod, "container_network_receive_bytes_total", 1_000_000, INTERFACE),
    counter(Pod, "container_network_transmit_bytes_total", 1_000_000, INTERFACE),
    counter(Pod, "container_network_receive_packets_total", 1_000, INTERFACE),
    counter(Pod, "container_network_transmit_packets_total", 1_000, INTERFACE),
    counter(Pod, "container_fs_reads_bytes_total", 40_960, DEVICE),
    counter(Pod, "container_fs_writes_bytes_total", 409_600, DEVICE),
    gauge(Pod, "container_fs_usage_bytes", PAGES, DEVICE),
    constant(Pod, "container_fs_limit_bytes", 10_737_418_240.0, DEVICE),
    seconds(Pod, "container_cpu_cfs_throttled_seconds_total", CONTAINER),
    counter(Pod, "container_cpu_cfs_periods_total", 150, CONTAINER),
    gauge(Pod, "container_memory_cache", PAGES, CONTAINER),
    constant(Pod, "container_memory_swap", 0.0, CONTAINER),
    counter(Pod, "container_last_seen", 15, CONTAINER),
    constant(Pod, "container_start_time_seconds", STARTED, CONTAINER),
    constant(Pod, "kube_pod_status_phase", 1.0, PHASE),
    constant(Pod, "kube_pod_status_ready", 1.0, READY),
    constant(Pod, "kube_pod_container_status_running", 1.0, CONTAINER),
    constant(Pod, "kube_pod_container_status_waiting", 0.0, WAITING),
    constant(Pod, "kube_pod_container_status_terminated", 0.0, CONTAINER),
    counter(Pod, "kube_pod_container_status_restarts_total", 1, CONTAINER),
    constant(Service, "kube_deployment_status_replicas", 3.0, NONE),
    gauge(Service, "kube_deployment_status_replicas_available", 0.003, NONE),
    gauge(Service, "kube_deployment_status_replicas_unavailable", 0.001, NONE),
    constant(Service, "kube_deployment_spec_replicas", 3.0, NONE),
    constant(Service, "kube_statefulset_replicas", 3.0, NONE),
    gauge(Service, "kube_statefulset_replicas_ready", 0.003, NONE),
    gauge(Service, "kube_daemonset_status_number_ready", 0.01, NONE),
    constant(Service, "kube_daemonset_status_desired_number_scheduled", 10.0, NONE),
    constant(Service, "kube_service_info", 1.0, NONE),
    constant(Service, "kube_endpoint_info", 1.0, NONE),
    constant(Service, "kube_namespace_status_phase", 1.0, NONE),
    constant(Node, "kube_node_status_condition", 1.0, CONDITION),
    constant(Node, "kube_node_status_allocatable", 8.0, RESOURCE),
    constant(Node, "kube_node_status_capacity", 8.0, RESOURCE),
    seconds(Node, "node_cpu_seconds_total", CPU),
    constant(Node, "node_memory_MemTotal_bytes", 17_179_869_184.0, NONE),
    gauge(Node, "node_memory_MemFree_bytes", PAGES, NONE),
    gauge(Node, "node_memory_MemAvailable_bytes", PAGES, NONE),
    gauge(Node, "node_memory_Buffers_bytes", PAGES, NONE),
    gauge(Node, "node_memory_Cached_bytes", PAGES, NONE),
    counter(Node, "node_disk_read_bytes_total", 4_096_000, DISK),
    counter(Node, "node_disk_written_bytes_total", 4_096_000, DISK),
    counter(Node, "node_disk_reads_completed_total", 1_000, DISK),
    counter(Node, "node_disk_writes_completed_total", 1_000, DISK),
    counter(Node, "node_network_receive_bytes_total", 10_000_000, NIC),
    counter(Node, "node_network_transmit_bytes_total", 10_000_000, NIC),
    constant(Node, "node_filesystem_size_bytes", 270_582_939_648.0, MOUNT),
    gauge(Node, "node_filesystem_free_bytes", PAGES, MOUNT),
    gauge(Node, "node_filesystem_avail_bytes", PAGES, MOUNT),
    gauge(Node, "node_load1", 0.01, NONE),
    gauge(Node, "node_load5", 0.01, NONE),
    gauge(Node, "node_load15", 0.01, NONE),
    counter(Node, "node_context_switches_total", 200_000, NONE),
    counter(Node, "node_interrupts_total", 100_000, NONE),
    counter(Pod, "http_requests_total", 500, REQUEST),
    new(Pod, "http_request_duration_seconds", Shape::Native, METHOD),
    new(Pod, "http_request_duration_seconds_bucket", Shape::Classic, METHOD),
    gauge(Pod, "http_request_size_bytes", 16.0, METHOD),
    gauge(Pod, "http_response_size_bytes", 64.0, METHOD),
    gauge(Pod, "http_requests_in_flight", 0.125, NONE),
    counter(Pod, "grpc_server_started_total", 300, GRPC),
    counter(Pod, "grpc_server_handled_total", 300, GRPC_CODE),
    counter(Pod, "grpc_server_msg_received_total", 300, GRPC),
    counter(Pod, "grpc_server_msg_sent_total", 300, GRPC),
    new(Pod, "grpc_server_handling_seconds", Shape::Native, GRPC),
    new(Pod, "grpc_server_handling_seconds_bucket", Shape::Classic, GRPC),
    counter(Pod, "grpc_client_started_total", 200, GRPC),
    counter(Pod, "grpc_client_handled_total", 200, GRPC_CODE),
    counter(Pod, "grpc_client_msg_received_total", 200, GRPC),
    counter(Pod, "grpc_client_msg_sent_total", 200, GRPC),
    new(Pod, "grpc_client_handling_seconds", Shape::Native, GRPC),
    new(Pod, "request_latency_seconds", Shape::Native, NONE),
    counter(Pod, "request_count_total", 800, NONE),
    counter(Pod, "error_count_total", 9, ERROR),
    constant(Pod, "connection_pool_size", 64.0, POOL),
    gauge(Pod, "connection_pool_available", 0.0625, POOL),
    seconds(Pod, "process_cpu_seconds_total", NONE),
    gauge(Pod, "process_resident_memory_bytes", PAGES, NONE),
    gauge(Pod, "process_virtual_memory_bytes", PAGES, NONE),
    gauge(Pod, "process_open_fds", 0.25, NONE),
    constant(Pod, "process_max_fds", 1_048_576.0, NONE),
    constant(Pod, "process_start_time_seconds", STARTED, NONE),
    gauge(Pod, "go_goroutines", 0.5, NONE),
    gauge(Pod, "go_threads", 0.0625, NONE),
    gauge(Pod, "go_gc_duration_seconds", 1e-6, QUANTILE),
    gauge(Pod, "go_memstats_alloc_bytes", PAGES, NONE),
    gauge(Pod, "go_memstats_heap_alloc_bytes", PAGES, NONE),
    gauge(Pod, "go_memstats_heap_inuse_bytes", PAGES, NONE),
    gauge(Pod, "go_memstats_stack_inuse_bytes", 4_096.0, NONE),
    gauge(Pod, "go_memstats_gc_cpu_fraction", 1e-5, NONE),
    gauge(Pod, "jvm_memory_used_bytes", PAGES, AREA),
    constant(Pod, "jvm_memory_committed_bytes", 1_073_741_824.0, AREA),
    gauge(Pod, "jvm_gc_collection_seconds", 1e-3, GC),
    gauge(Pod, "jvm_threads_current", 0.125, NONE),
    counter(Pod, "python_gc_collections_total", 3, GENERATION),
    constant(Pod, "python_info", 1.0, PYTHON),
    constant(Pod, "up", 1.0, NONE),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_102_metrics_and_up_each_once() {
        let names: BTreeSet<&str> = METRICS.iter().map(|m| m.name).collect();
        assert_eq!(names.len(), 103);
        assert!(names.contains("up"));
    }

    #[test]
    fn variants_are_all_combinations() {
        let metric = METRICS.iter().find(|m| m.name == "http_requests_total").unwrap();
        let all: BTreeSet<Vec<_>> = (0..metric.variants()).map(|v| metric.variant(v).collect()).collect();
        assert_eq!(all.len(), 8);
    }
}
