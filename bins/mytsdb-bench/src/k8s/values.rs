//! Values of the workload as pure functions of a series and a tick, so that any sample can be checked at any time.

use super::metrics::{BOUNDS, NATIVE_BUCKETS, Shape};

/// Mixes two numbers into pseudo-random bits.
pub(crate) fn noise(a: u64, b: u64) -> u64 {
    let mut x = a.rotate_left(32) ^ b.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

/// Ticks after which one counter in eight begins again: about two hours at 15 s.
const RESET_TICKS: u64 = 487;
/// Ticks between two levels that a gauge wanders between.
const WANDER_TICKS: u64 = 40;

/// A count that grows by 0 to twice `step` a tick.
fn count(seed: u64, tick: u64, step: u64) -> u64 {
    // Series differ in how fast they grow; what noise adds is no more than a tick's growth, so no count ever falls.
    let growth = step - step * (seed % 3) / 9;
    tick * growth + noise(seed, tick) % (growth + 1)
}

/// Level of a gauge, 0 to 1,000.
fn level(seed: u64, tick: u64) -> u64 {
    let at = |step: u64| noise(seed, step) % 980;
    let (step, part) = (tick / WANDER_TICKS, tick % WANDER_TICKS);
    (at(step) * (WANDER_TICKS - part) + at(step + 1) * part) / WANDER_TICKS + noise(seed ^ 0x55, tick) % 20
}

/// Value of a series of numbers.
pub(crate) fn number(shape: Shape, seed: u64, tick: u64) -> f64 {
    match shape {
        Shape::Counter { step, scale } => {
            let since_reset = if seed.is_multiple_of(8) { (tick + seed % RESET_TICKS) % RESET_TICKS } else { tick };
            count(seed, since_reset, step) as f64 * scale
        }
        Shape::Gauge { scale } => level(seed, tick) as f64 * scale,
        Shape::Constant(value) => value,
        Shape::Classic | Shape::Native => f64::NAN,
    }
}

/// Counts of the buckets of a classic histogram, not cumulative, `+Inf` last.
pub(crate) fn classic_counts(seed: u64, tick: u64) -> [u64; BOUNDS.len() + 1] {
    std::array::from_fn(|bucket| count(seed + bucket as u64, tick, 4 + (bucket as u64 * 5) % 11))
}

/// Counts of the buckets of a native histogram.
pub(crate) fn native_counts(seed: u64, tick: u64) -> [u64; NATIVE_BUCKETS] {
    std::array::from_fn(|bucket| count(seed + bucket as u64, tick, 3 + (bucket as u64 * 7) % 13))
}

/// Sum of what a histogram counted, in seconds.
pub(crate) fn histogram_sum(seed: u64, tick: u64) -> f64 {
    count(seed ^ 0xaa, tick, 800) as f64 * 0.01
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_grow_and_gauges_stay_within_their_range() {
        for seed in 0..200 {
            let mut resets = 0;
            for tick in 1..600 {
                let shape = Shape::Counter { step: 1 + seed % 50, scale: 1.0 };
                let (before, now) = (number(shape, seed, tick - 1), number(shape, seed, tick));
                resets += u32::from(now < before);
                let level = number(Shape::Gauge { scale: 1.0 }, seed, tick);
                assert!((0.0..=1_000.0).contains(&level), "seed {seed}, tick {tick}: {level}");
                let (before, now) = (native_counts(seed, tick - 1), native_counts(seed, tick));
                assert!(before.iter().zip(now).all(|(&before, now)| before <= now));
            }
            assert_eq!(resets > 0, seed % 8 == 0, "seed {seed}");
        }
    }
}
