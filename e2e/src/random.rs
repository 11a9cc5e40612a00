//! A small seeded generator, so that a failed run can be repeated.

use std::time::{Duration, SystemTime};

use anyhow::Context;

const SEED: &str = "MYTSDB_E2E_SEED";

/// Numbers, and the seed they come from.
pub(crate) struct Random {
    seed: u64,
    numbers: mytsdb_testkit::Random,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, numbers: mytsdb_testkit::Random::new(seed) }
    }

    /// Seeded from `MYTSDB_E2E_SEED`, or from the clock.
    pub(crate) fn from_environment() -> anyhow::Result<Self> {
        if let Ok(text) = std::env::var(SEED) {
            return Ok(Self::new(text.parse().with_context(|| format!("{SEED}={text}"))?));
        }
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("clock before 1970")?;
        Ok(Self::new(u64::from(since_epoch.subsec_nanos())))
    }

    pub(crate) fn seed(&self) -> u64 {
        self.seed
    }

    /// A duration between the two, both included, in whole milliseconds.
    pub(crate) fn between(&mut self, low_ms: u64, high_ms: u64) -> Duration {
        Duration::from_millis(low_ms + self.numbers.below(high_ms - low_ms + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_numbers_within_bounds() {
        let (mut one, mut other) = (Random::new(7), Random::new(7));
        for _ in 0..1_000 {
            let duration = one.between(300, 3_000);
            assert_eq!(duration, other.between(300, 3_000));
            assert!((300..=3_000).contains(&duration.as_millis()));
        }
    }
}
