//! `integral`: the area between the samples of a window and zero.

use super::kahan::Kahan;

/// Which value a function is taken to have between two samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Strategy {
    /// That of the earlier one.
    Left,
    /// That of the later one.
    Right,
    /// The mean of both.
    #[default]
    Middle,
}

impl Strategy {
    /// The strategy with this number, if there is one.
    pub fn new(number: f64) -> Option<Self> {
        if number == 0.0 {
            Some(Self::Left)
        } else if number == 1.0 {
            Some(Self::Right)
        } else if number == 2.0 {
            Some(Self::Middle)
        } else {
            None
        }
    }
}

/// The integral over time, in seconds, from the first sample to the last. A NaN counts as 0.
pub(crate) fn integral(times: &[i64], values: &[f64], strategy: Strategy) -> f64 {
    let known = |value: f64| if value.is_nan() { 0.0 } else { value };
    let mut sum = Kahan::default();
    for (time, value) in times.windows(2).zip(values.windows(2)) {
        let (before, after) = (known(value[0]), known(value[1]));
        let seconds = (time[1] - time[0]) as f64 / 1000.0;
        match strategy {
            Strategy::Left => sum.add(before * seconds),
            Strategy::Right => sum.add(after * seconds),
            Strategy::Middle => {
                let (mean, lost) = mean(before, after);
                sum.add(mean * seconds);
                sum.add(lost * seconds);
            }
        }
    }
    if sum.sum.is_infinite() { sum.sum } else { sum.total() }
}

/// The mean of two values, and what rounding took from it. The sum of finite values may be infinite, their mean is not.
fn mean(a: f64, b: f64) -> (f64, f64) {
    let mut both = Kahan::default();
    both.add(a);
    both.add(b);
    if both.sum.is_infinite() { (a / 2.0 + b / 2.0, 0.0) } else { (both.sum / 2.0, both.compensation / 2.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_differ_by_the_ends_and_nan_counts_as_zero() {
        let (times, values) = ([0, 10_000, 20_000, 40_000], [1.0, 3.0, f64::NAN, 5.0]);
        assert_eq!(integral(&times, &values, Strategy::Left), 40.0);
        assert_eq!(integral(&times, &values, Strategy::Right), 130.0);
        assert_eq!(integral(&times, &values, Strategy::Middle), 85.0);
        assert_eq!(integral(&times[..1], &values[..1], Strategy::Middle), 0.0);
    }

    #[test]
    fn small_values_beside_large_ones_are_not_lost() {
        let values = [0.0, 1.0, 1e100, 1.0, -1e100, 1.0, 0.0];
        let times: Vec<i64> = (0..7).map(|i| i * 10_000).collect();
        assert_eq!(integral(&times, &values, Strategy::Middle), 30.0);
    }

    #[test]
    fn large_values_do_not_overflow_on_the_way() {
        assert_eq!(integral(&[0, 1000], &[1e308, 1e308], Strategy::Middle), 1e308);
    }
}
