//! A small seeded generator, so that a failed run can be repeated.

use std::time::{Duration, SystemTime};

use anyhow::Context;

const SEED: &str = "MYTSDB_E2E_SEED";

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
pub(crate) struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, state: seed }
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

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A duration between the two, both included, in whole milliseconds.
    pub(crate) fn between(&mut self, low_ms: u64, high_ms: u64) -> Duration {
        Duration::from_millis(low_ms + self.next() % (high_ms - low_ms + 1))
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
