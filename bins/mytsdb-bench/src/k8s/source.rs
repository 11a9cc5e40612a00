//! What is sent: units with a sample of each series at every tick, whatever they are made of.

use super::cluster::Cluster;
use super::metrics::{BOUND_TEXTS, Shape};
use super::values::{classic_counts, histogram_sum, native_counts, number};
use super::wire::{Datum, Described, Kind};
use std::collections::BTreeMap;

/// The time that a workload's samples are of.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_field_names, reason = "units end names")]
pub(crate) struct Span {
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    /// From one tick to the next.
    pub(crate) interval_ms: i64,
}

/// A number of samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Samples {
    pub(crate) all: u64,
    /// Those that are no part of a histogram: VictoriaMetrics makes other series of native ones, under the names of classic ones.
    pub(crate) numbers: u64,
}

impl std::ops::AddAssign for Samples {
    fn add_assign(&mut self, more: Self) {
        self.all += more.all;
        self.numbers += more.numbers;
    }
}

/// A name that a store has of a workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) name: String,
    /// Series that have samples at one time.
    pub(crate) series: u64,
    /// It is no part of a histogram.
    pub(crate) is_number: bool,
}

/// A workload.
pub(crate) trait Source: Sync {
    /// When its samples are taken.
    fn span(&self) -> Span;

    /// How many units there are.
    fn units(&self) -> usize;

    /// When a unit's samples of a tick were taken.
    fn time_ms(&self, unit: usize, tick: u64) -> i64;

    /// The number of the tick behind a unit's last one.
    fn ticks(&self, unit: usize) -> u64;

    /// What changes when a unit's series do.
    fn generation(&self, unit: usize, tick: u64) -> u64;

    /// A unit's series in a generation.
    fn describe(&self, unit: usize, generation: u64) -> Vec<Described>;

    /// The value of a series, counted as [`Source::describe`] has them.
    fn datum(&self, unit: usize, row: usize, tick: u64) -> Option<Datum>;

    /// Samples that a store has of a unit's tick.
    fn samples(&self, unit: usize, tick: u64) -> Samples;

    /// Names that a store has of it.
    fn stored(&self) -> Vec<Stored>;

    /// How `cluster`, a label that all series have, ends for those of this run.
    fn run(&self) -> String;

    /// Series that a store has of it at one time.
    fn series_stored(&self) -> u64 {
        self.stored().iter().map(|stored| stored.series).sum()
    }
}

/// A cluster up to a time.
pub(crate) struct Fleet<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) end_ms: i64,
}

impl Source for Fleet<'_> {
    fn span(&self) -> Span {
        let (start_ms, interval_ms) = (self.cluster.start_ms, self.cluster.interval_ms);
        Span { start_ms, end_ms: self.end_ms, interval_ms }
    }

    fn units(&self) -> usize {
        self.cluster.units.len()
    }

    fn time_ms(&self, unit: usize, tick: u64) -> i64 {
        self.cluster.time_ms(unit, tick)
    }

    fn ticks(&self, unit: usize) -> u64 {
        self.cluster.tick_from(unit, self.end_ms)
    }

    fn generation(&self, unit: usize, tick: u64) -> u64 {
        self.cluster.generation(unit, tick)
    }

    fn describe(&self, unit: usize, generation: u64) -> Vec<Described> {
        let rows = self.cluster.units[unit].rows.iter();
        let describe = rows.map(|&row| {
            let metric = row.metric();
            let kind = match metric.shape {
                Shape::Classic => Kind::Classic,
                Shape::Native => Kind::Native,
                // Only what is called a total is one: the translation of OTLP would add the word.
                _ if metric.name.ends_with("_total") => Kind::Counter,
                _ => Kind::Gauge,
            };
            let labels = self.cluster.labels(unit, row, generation);
            let labels = labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            Described { name: metric.name.to_owned(), kind, labels }
        });
        describe.collect()
    }

    fn datum(&self, unit: usize, row: usize, tick: u64) -> Option<Datum> {
        let row = self.cluster.units[unit].rows[row];
        let generation = self.cluster.generation(unit, tick);
        let seed = self.cluster.seed(unit, row, generation);
        let age = tick - self.cluster.born(unit, generation);
        Some(match row.metric().shape {
            Shape::Classic => Datum::Classic { counts: classic_counts(seed, age), sum: histogram_sum(seed, age) },
            Shape::Native => Datum::Native { counts: native_counts(seed, age), sum: histogram_sum(seed, age) },
            shape => Datum::Number(number(shape, seed, age)),
        })
    }

    fn samples(&self, unit: usize, _: u64) -> Samples {
        self.cluster.units[unit].samples
    }

    fn stored(&self) -> Vec<Stored> {
        let mut names: BTreeMap<(String, bool), u64> = BTreeMap::new();
        for row in self.cluster.units.iter().flat_map(|unit| &unit.rows) {
            let metric = row.metric();
            let base = metric.name.strip_suffix("_bucket").unwrap_or(metric.name);
            if metric.shape == Shape::Classic {
                for (end, series) in [("_bucket", BOUND_TEXTS.len()), ("_sum", 1), ("_count", 1)] {
                    *names.entry((format!("{base}{end}"), false)).or_insert(0) += series as u64;
                }
            } else {
                *names.entry((metric.name.to_owned(), metric.shape != Shape::Native)).or_insert(0) += 1;
            }
        }
        names.into_iter().map(|((name, is_number), series)| Stored { name, series, is_number }).collect()
    }

    fn run(&self) -> String {
        self.cluster.run()
    }
}
