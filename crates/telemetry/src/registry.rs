//! The registry: handles by name and labels, gathered into sorted families.

use crate::{Counter, Description, Family, FamilySample, Gauge, Histogram, MetricKind};
use mytsdb_model::Labels;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Label sets per family that are exported; handles beyond that still count but are not gathered.
const SERIES_PER_FAMILY_MAX: usize = 1_000;

type Source = Box<dyn Fn() -> Vec<Family> + Send + Sync>;

/// All metrics of a process. A clone is the same registry.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    families: BTreeMap<&'static str, Registered>,
    sources: Vec<Source>,
}

struct Registered {
    description: Description,
    kind: MetricKind,
    series: BTreeMap<Labels, Handle>,
}

#[derive(Clone)]
enum Handle {
    Counter(Counter),
    Gauge(Gauge),
    Histogram(Histogram),
}

impl Registry {
    /// A registry that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The counter of that name and those labels, created when it is first asked for.
    ///
    /// # Panics
    /// If the name is registered as another kind.
    pub fn counter(&self, description: &Description, labels: &[(&str, &str)]) -> Counter {
        match self.handle(description, MetricKind::Counter, labels, || Handle::Counter(Counter::new())) {
            Handle::Counter(counter) => counter,
            _ => unreachable!("the kind was compared"),
        }
    }

    /// The gauge of that name and those labels, created when it is first asked for.
    ///
    /// # Panics
    /// If the name is registered as another kind.
    pub fn gauge(&self, description: &Description, labels: &[(&str, &str)]) -> Gauge {
        match self.handle(description, MetricKind::Gauge, labels, || Handle::Gauge(Gauge::new())) {
            Handle::Gauge(gauge) => gauge,
            _ => unreachable!("the kind was compared"),
        }
    }

    /// The histogram of that name and those labels, created when it is first asked for with `bounds`; later bounds are ignored.
    ///
    /// # Panics
    /// If the name is registered as another kind, or as [`Histogram::new`] does.
    pub fn histogram(&self, description: &Description, bounds: &[f64], labels: &[(&str, &str)]) -> Histogram {
        match self.handle(description, MetricKind::Histogram, labels, || Handle::Histogram(Histogram::new(bounds))) {
            Handle::Histogram(histogram) => histogram,
            _ => unreachable!("the kind was compared"),
        }
    }

    /// Adds families that are worked out at each gathering, for figures that some other structure already keeps.
    ///
    /// `source` must be short; it runs without the registry's lock being needed by handles, but gatherings wait.
    pub fn add_source(&self, source: impl Fn() -> Vec<Family> + Send + Sync + 'static) {
        self.lock().sources.push(Box::new(source));
    }

    /// Reads every metric: families ascending by name, series ascending by labels. Families of one name are merged.
    pub fn gather(&self) -> Vec<Family> {
        let inner = self.lock();
        let mut families: BTreeMap<String, Family> =
            inner.families.iter().map(|(name, family)| ((*name).to_owned(), family.gather())).collect();
        for mut family in inner.sources.iter().flat_map(|source| source()) {
            match families.get_mut(&family.name) {
                Some(known) => known.samples.append(&mut family.samples),
                None => {
                    families.insert(family.name.clone(), family);
                }
            }
        }
        families.into_values().collect()
    }

    fn handle(
        &self,
        description: &Description,
        kind: MetricKind,
        labels: &[(&str, &str)],
        make: impl FnOnce() -> Handle,
    ) -> Handle {
        let mut inner = self.lock();
        let family = inner.families.entry(description.name).or_insert_with(|| Registered {
            description: *description,
            kind,
            series: BTreeMap::new(),
        });
        assert!(family.kind == kind, "{} is a {}", description.name, family.kind.as_str());
        let labels = Labels::from_pairs(labels.iter().copied());
        if let Some(handle) = family.series.get(&labels) {
            return handle.clone();
        }
        let handle = make();
        if family.series.len() < SERIES_PER_FAMILY_MAX {
            family.series.insert(labels, handle.clone());
        }
        handle
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every change under the lock is a single insert, so a panicking holder leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("families", &self.lock().families.len()).finish_non_exhaustive()
    }
}

impl Registered {
    fn gather(&self) -> Family {
        let mut samples = Vec::with_capacity(self.series.len());
        for (labels, handle) in &self.series {
            match handle {
                Handle::Counter(c) => samples.push(plain(labels, c.get() as f64)),
                Handle::Gauge(g) => samples.push(plain(labels, g.get())),
                Handle::Histogram(h) => gather_histogram(labels, h, &mut samples),
            }
        }
        Family {
            name: self.description.name.to_owned(),
            help: self.description.help.to_owned(),
            unit: self.description.unit.to_owned(),
            kind: self.kind,
            samples,
        }
    }
}

fn plain(labels: &Labels, value: f64) -> FamilySample {
    FamilySample { labels: labels.clone(), suffix: "", value }
}

fn gather_histogram(labels: &Labels, histogram: &Histogram, out: &mut Vec<FamilySample>) {
    let counts = histogram.cumulative();
    let bounds = histogram.bounds().iter().map(f64::to_string).chain(["+Inf".to_owned()]);
    for (le, count) in bounds.zip(&counts) {
        let labels = Labels::from_pairs(labels.iter().chain([("le", le.as_str())]));
        out.push(FamilySample { labels, suffix: "_bucket", value: *count as f64 });
    }
    out.push(FamilySample { labels: labels.clone(), suffix: "_sum", value: histogram.sum() });
    let count = counts.last().copied().unwrap_or(0) as f64;
    out.push(FamilySample { labels: labels.clone(), suffix: "_count", value: count });
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Description = Description::new("mytsdb_a_total", "A.");

    #[test]
    fn one_name_and_label_set_is_one_handle() {
        let registry = Registry::new();
        registry.counter(&A, &[("x", "1")]).inc();
        registry.clone().counter(&A, &[("x", "1")]).inc();
        registry.counter(&A, &[]).add(7);
        let families = registry.gather();
        assert_eq!(families.len(), 1);
        assert_eq!(families[0].samples.iter().map(|s| s.value).collect::<Vec<_>>(), [7.0, 2.0]);
    }

    #[test]
    #[should_panic(expected = "mytsdb_a_total is a counter")]
    fn a_name_has_one_kind() {
        let registry = Registry::new();
        registry.counter(&A, &[]);
        registry.gauge(&A, &[]);
    }

    #[test]
    fn series_past_the_bound_are_not_gathered() {
        let registry = Registry::new();
        for i in 0..SERIES_PER_FAMILY_MAX + 5 {
            registry.counter(&A, &[("i", &i.to_string())]).inc();
        }
        assert_eq!(registry.gather()[0].samples.len(), SERIES_PER_FAMILY_MAX);
    }

    #[test]
    fn sources_merge_into_families() {
        let registry = Registry::new();
        registry.counter(&A, &[]).inc();
        registry.add_source(|| vec![Family::single(&A, MetricKind::Counter, 5.0)]);
        registry.add_source(|| vec![Family::single(&Description::new("b", "B."), MetricKind::Gauge, 1.0)]);
        let families = registry.gather();
        assert_eq!(
            families.iter().map(|f| (f.name.as_str(), f.samples.len())).collect::<Vec<_>>(),
            [("b", 1), ("mytsdb_a_total", 2)]
        );
    }
}
