//! What is sent: units with a sample of each series at every tick, whatever they are made of.

use super::cluster::Cluster;
use super::metrics::Shape;
use super::values::{classic_counts, histogram_sum, native_counts, number};
use super::wire::{Datum, Described, Kind};

/// A workload.
pub(crate) trait Source: Sync {
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
    fn samples(&self, unit: usize, tick: u64) -> u64;
}

/// A cluster up to a time.
pub(crate) struct Fleet<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) end_ms: i64,
}

impl Source for Fleet<'_> {
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

    fn samples(&self, unit: usize, _: u64) -> u64 {
        self.cluster.units[unit].series_stored as u64
    }
}
