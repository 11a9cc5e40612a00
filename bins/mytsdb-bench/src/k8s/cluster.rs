//! The cluster that is simulated: regions down to pods, as scrape targets with their series and the times of their ticks.

use super::metrics::{METRICS, Metric, Place, Shape};
use super::source::Samples;
use super::values::noise;
use clap::ValueEnum;

/// How large the cluster is, and how long a run takes unless told otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// 12 pods, 10 s
    Quick,
    /// 150 pods, 30 s
    Small,
    /// 2,400 pods, 60 s
    Medium,
    /// 9,000 pods, 300 s
    Large,
}

/// Numbers of everything, each within the one before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) regions: usize,
    pub(crate) zones: usize,
    pub(crate) namespaces: usize,
    pub(crate) services: usize,
    pub(crate) pods: usize,
}

impl Size {
    pub(crate) fn all_pods(self) -> usize {
        self.regions * self.zones * self.namespaces * self.services * self.pods
    }
}

impl Preset {
    pub(crate) fn size(self) -> Size {
        let [regions, zones, namespaces, services, pods] = match self {
            Self::Quick => [1, 1, 2, 3, 2],
            Self::Small => [1, 1, 5, 10, 3],
            Self::Medium => [2, 2, 10, 15, 4],
            Self::Large => [3, 3, 10, 20, 5],
        };
        Size { regions, zones, namespaces, services, pods }
    }

    /// Seconds of load.
    pub(crate) fn duration_s(self) -> u64 {
        match self {
            Self::Quick => 10,
            Self::Small => 30,
            Self::Medium => 60,
            Self::Large => 300,
        }
    }

    /// Minutes of samples that are there before anything is measured.
    pub(crate) fn preload_minutes(self) -> i64 {
        match self {
            Self::Quick | Self::Small => 60,
            Self::Medium | Self::Large => 10,
        }
    }
}

/// Pods that share a node.
const PODS_PER_NODE: usize = 10;

/// The name and value of a label.
pub(crate) type Label = (&'static str, String);

/// Something that exposes metrics: a pod, a node, a service.
#[derive(Debug)]
struct Member {
    place: Place,
    labels: Vec<Label>,
    seed: u64,
}

/// A series of a unit: which metric, of which member, with which of the metric's own labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    metric: u8,
    variant: u8,
    member: u16,
}

impl Row {
    pub(crate) fn metric(self) -> &'static Metric {
        &METRICS[usize::from(self.metric)]
    }
}

/// A scrape target with all its series, which have a sample at each of its ticks. A request carries at least one unit.
#[derive(Debug)]
pub(crate) struct Unit {
    members: Vec<Member>,
    /// By metric.
    pub(crate) rows: Vec<Row>,
    /// Offset of the unit's ticks from the regular time. It spreads the scrapes of all targets.
    offset_ms: i64,
    /// Ticks that the unit's first generation has behind it at the first tick.
    phase: u64,
    /// What a store has of one tick.
    pub(crate) samples: Samples,
}

/// All units, and their time.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) units: Vec<Unit>,
    pub(crate) start_ms: i64,
    pub(crate) interval_ms: i64,
    /// Ticks after which a pod is replaced by a new one; 0 for never.
    life_ticks: u64,
}

/// What makes a cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) size: Size,
    pub(crate) seed: u64,
    /// Time of the first tick.
    pub(crate) start_ms: i64,
    pub(crate) interval_ms: i64,
    /// Share of all pods that is replaced in an hour.
    pub(crate) churn: f64,
}

impl Cluster {
    pub(crate) fn new(plan: &Plan) -> Self {
        let ticks_an_hour = 3_600_000.0 / plan.interval_ms as f64;
        let life_ticks = if plan.churn > 0.0 { (ticks_an_hour / plan.churn).max(2.0) as u64 } else { 0 };
        let members = members(plan);
        let units = members.into_iter().map(|members| unit(members, plan, life_ticks)).collect();
        Self { units, start_ms: plan.start_ms, interval_ms: plan.interval_ms, life_ticks }
    }

    /// Suffix of this run's cluster names. Each run has its own series, even in a store with data of other runs.
    pub(crate) fn run(&self) -> String {
        run(self.start_ms)
    }

    /// Time of a unit's tick.
    pub(crate) fn time_ms(&self, unit: usize, tick: u64) -> i64 {
        self.start_ms + self.units[unit].offset_ms + tick as i64 * self.interval_ms
    }

    /// The first tick of a unit at or after a time.
    pub(crate) fn tick_from(&self, unit: usize, time_ms: i64) -> u64 {
        let since = time_ms - self.start_ms - self.units[unit].offset_ms;
        since.max(0).cast_unsigned().div_ceil(self.interval_ms.cast_unsigned())
    }

    /// Which of a unit's lives a tick belongs to. Nodes and services live for ever.
    pub(crate) fn generation(&self, unit: usize, tick: u64) -> u64 {
        let unit = &self.units[unit];
        if self.life_ticks == 0 || unit.members[0].place != Place::Pod {
            return 0;
        }
        (tick + unit.phase) / self.life_ticks
    }

    /// The first tick of one of a unit's lives.
    pub(crate) fn born(&self, unit: usize, generation: u64) -> u64 {
        (generation * self.life_ticks).saturating_sub(self.units[unit].phase)
    }

    /// What decides the values of a row in one of its unit's lives.
    pub(crate) fn seed(&self, unit: usize, row: Row, generation: u64) -> u64 {
        let member = &self.units[unit].members[usize::from(row.member)];
        noise(member.seed ^ generation << 40, u64::from(row.metric) << 8 | u64::from(row.variant)) >> 8
    }

    /// Labels of a row in one of its unit's lives, without a name, in no order.
    pub(crate) fn labels(&self, unit: usize, row: Row, generation: u64) -> Vec<Label> {
        let member = &self.units[unit].members[usize::from(row.member)];
        let mut labels = member.labels.clone();
        if let Some((_, pod)) = labels.iter_mut().find(|(name, _)| *name == "pod") {
            *pod = format!("{pod}-r{generation}");
        }
        labels.extend(row.metric().variant(usize::from(row.variant)).map(|(name, value)| (name, value.to_owned())));
        labels
    }
}

fn run(start_ms: i64) -> String {
    format!("{start_ms:x}")
}

fn unit(members: Vec<Member>, plan: &Plan, life_ticks: u64) -> Unit {
    let mut rows = Vec::new();
    for (metric, description) in METRICS.iter().enumerate() {
        for (member, owner) in members.iter().enumerate().filter(|(_, m)| exposes(m.place, description)) {
            debug_assert!(owner.labels.len() > 3, "every owner says where it is");
            let row = |variant: usize| Row { metric: metric as u8, variant: variant as u8, member: member as u16 };
            rows.extend((0..description.variants()).map(row));
        }
    }
    let seed = members[0].seed;
    Unit {
        samples: samples(&rows),
        rows,
        offset_ms: (noise(seed, 1) % plan.interval_ms.cast_unsigned()).cast_signed(),
        phase: noise(seed, 2).checked_rem(life_ticks).unwrap_or(0),
        members,
    }
}

fn samples(rows: &[Row]) -> Samples {
    let mut samples = Samples::default();
    for metric in rows.iter().map(|row| row.metric()) {
        let all = metric.series_stored() as u64;
        let is_number = !matches!(metric.shape, Shape::Classic | Shape::Native);
        samples += Samples { all, numbers: if is_number { all } else { 0 } };
    }
    samples
}

/// Nodes are up as pods are.
fn exposes(place: Place, metric: &Metric) -> bool {
    metric.place == place || (metric.name == "up" && place == Place::Node)
}

/// The members of every unit: each pod, each node, and all services of a namespace together.
fn members(plan: &Plan) -> Vec<Vec<Member>> {
    let size = plan.size;
    let (mut units, mut number) = (Vec::new(), 0);
    for region in 0..size.regions {
        for zone in 0..size.zones {
            let place = vec![
                ("cluster", format!("k8s-{region}-{zone}-{}", run(plan.start_ms))),
                ("region", format!("region-{region}")),
                ("zone", format!("region-{region}-{}", char::from(b'a' + zone as u8))),
            ];
            let mut pods_here = 0;
            let node = |pod: usize| format!("node-{region}-{zone}-{}", pod / PODS_PER_NODE);
            for namespace in 0..size.namespaces {
                let in_namespace = with(&place, [("namespace", format!("ns-{namespace}"))]);
                let mut services = Vec::new();
                for service in 0..size.services {
                    let in_service = with(&in_namespace, [("service", format!("svc-{service}"))]);
                    for pod in 0..size.pods {
                        let own = [
                            ("pod", format!("pod-{pod}-svc-{service}")),
                            ("node", node(pods_here)),
                            ("job", format!("ns-{namespace}/svc-{service}")),
                            ("instance", address(number, 8080)),
                        ];
                        units.push(vec![member(Place::Pod, with(&in_service, own), plan.seed, number)]);
                        (pods_here, number) = (pods_here + 1, number + 1);
                    }
                    let own = [("job", "kube-state-metrics".to_owned()), ("instance", address(namespace, 8081))];
                    services.push(member(Place::Service, with(&in_service, own), plan.seed, number));
                    number += 1;
                }
                units.push(services);
            }
            for first in (0..pods_here).step_by(PODS_PER_NODE) {
                let own = [
                    ("node", node(first)),
                    ("job", "node-exporter".to_owned()),
                    ("instance", address(first / PODS_PER_NODE, 9100)),
                ];
                units.push(vec![member(Place::Node, with(&place, own), plan.seed, number)]);
                number += 1;
            }
        }
    }
    units
}

fn member(place: Place, labels: Vec<Label>, seed: u64, number: usize) -> Member {
    Member { place, labels, seed: noise(seed, number as u64) }
}

fn with<const N: usize>(labels: &[Label], more: [Label; N]) -> Vec<Label> {
    labels.iter().cloned().chain(more).collect()
}

fn address(number: usize, port: u16) -> String {
    format!("10.{}.{}.{}:{port}", number >> 16 & 255, number >> 8 & 255, number & 255)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn plan(preset: Preset, churn: f64) -> Plan {
        Plan { size: preset.size(), seed: 1, start_ms: 1_790_000_000_000, interval_ms: 15_000, churn }
    }

    #[test]
    fn no_two_series_have_the_same_labels() {
        let cluster = Cluster::new(&plan(Preset::Small, 0.0));
        let mut seen = BTreeSet::new();
        for (number, unit) in cluster.units.iter().enumerate() {
            for &row in &unit.rows {
                let mut labels = cluster.labels(number, row, 0);
                labels.push(("__name__", row.metric().name.to_owned()));
                labels.sort_unstable();
                assert!(labels.windows(2).all(|pair| pair[0].0 != pair[1].0), "{labels:?}");
                assert!(seen.insert(labels));
            }
        }
    }

    #[test]
    fn presets_have_their_pods() {
        for (preset, pods) in
            [(Preset::Quick, 12), (Preset::Small, 150), (Preset::Medium, 2_400), (Preset::Large, 9_000)]
        {
            assert_eq!(preset.size().all_pods(), pods);
        }
    }

    #[test]
    fn lives_follow_each_other_without_a_gap() {
        let cluster = Cluster::new(&plan(Preset::Quick, 2.0));
        for unit in 0..cluster.units.len() {
            for tick in 0..1_000 {
                let generation = cluster.generation(unit, tick);
                assert!(cluster.born(unit, generation) <= tick);
                assert!(generation == 0 || cluster.generation(unit, cluster.born(unit, generation)) == generation);
                assert_eq!(cluster.tick_from(unit, cluster.time_ms(unit, tick)), tick);
            }
        }
    }
}
