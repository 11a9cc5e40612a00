//! A number for each step of a query.

use std::ops::Range;

/// A number for each step.
#[derive(Debug, Clone)]
pub(crate) enum Scalar {
    Constant(f64),
    Steps(Vec<f64>),
}

impl Scalar {
    #[inline]
    pub fn at(&self, index: usize) -> f64 {
        match self {
            Scalar::Constant(value) => *value,
            Scalar::Steps(values) => values[index],
        }
    }

    /// The values of all steps, or the constant once.
    pub fn distinct(&self, count: usize) -> Vec<f64> {
        match self {
            Scalar::Constant(_) if count == 0 => Vec::new(),
            Scalar::Constant(value) => vec![*value],
            Scalar::Steps(values) => values.clone(),
        }
    }

    /// The values of some steps.
    pub fn part(&self, steps: &Range<usize>) -> Scalar {
        match self {
            Scalar::Constant(value) => Scalar::Constant(*value),
            Scalar::Steps(values) => Scalar::Steps(values[steps.clone()].to_vec()),
        }
    }

    /// Of the values that are not within bounds, those that a remark shows: NaN if there is one, else
    /// the largest and the smallest.
    pub fn worst(&self, count: usize, lowest: f64, highest: f64) -> Vec<f64> {
        let all = self.distinct(count);
        if all.iter().any(|value| value.is_nan()) {
            return vec![f64::NAN];
        }
        let largest = all.iter().copied().reduce(f64::max).filter(|&value| value > highest);
        let smallest = all.iter().copied().reduce(f64::min).filter(|&value| value < lowest);
        largest.into_iter().chain(smallest).collect()
    }

    pub fn map(self, f: impl Fn(f64) -> f64) -> Scalar {
        match self {
            Scalar::Constant(value) => Scalar::Constant(f(value)),
            Scalar::Steps(values) => Scalar::Steps(values.into_iter().map(f).collect()),
        }
    }

    pub fn zip(&self, other: &Scalar, count: usize, f: impl Fn(f64, f64) -> f64) -> Scalar {
        if let (Scalar::Constant(a), Scalar::Constant(b)) = (self, other) {
            return Scalar::Constant(f(*a, *b));
        }
        Scalar::Steps((0..count).map(|i| f(self.at(i), other.at(i))).collect())
    }
}
