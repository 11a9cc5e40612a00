//! Compensated sums (Kahan, with Neumaier's improvement), as Prometheus adds.

/// A sum and what rounding took from it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Kahan {
    pub sum: f64,
    pub compensation: f64,
}

impl Kahan {
    #[inline]
    pub fn starting(sum: f64) -> Self {
        Self { sum, compensation: 0.0 }
    }

    #[inline]
    #[must_use]
    pub fn plus(self, value: f64) -> Self {
        let sum = self.sum + value;
        let compensation = if sum.is_infinite() {
            0.0
        } else if self.sum.abs() >= value.abs() {
            self.compensation + ((self.sum - sum) + value)
        } else {
            self.compensation + ((value - sum) + self.sum)
        };
        Self { sum, compensation }
    }

    #[inline]
    pub fn add(&mut self, value: f64) {
        *self = self.plus(value);
    }

    #[inline]
    pub fn total(self) -> f64 {
        self.sum + self.compensation
    }
}

/// A mean that adds directly as long as the sum stays finite, and incrementally from there on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mean {
    pub count: f64,
    /// The sum, or the mean once `incremental` is set.
    pub value: Kahan,
    pub incremental: bool,
}

impl Mean {
    #[inline]
    pub fn add(&mut self, x: f64) {
        self.count += 1.0;
        if self.count == 1.0 {
            self.value = Kahan::starting(x);
            return;
        }
        if !self.incremental {
            let next = self.value.plus(x);
            if !next.sum.is_infinite() {
                self.value = next;
                return;
            }
            self.incremental = true;
            let before = self.count - 1.0;
            self.value = Kahan { sum: self.value.sum / before, compensation: self.value.compensation / before };
        }
        let keep = (self.count - 1.0) / self.count;
        let scaled = Kahan { sum: keep * self.value.sum, compensation: keep * self.value.compensation };
        self.value = scaled.plus(x / self.count);
    }

    #[inline]
    pub fn get(&self) -> f64 {
        if self.incremental {
            self.value.total()
        } else {
            self.value.sum / self.count + self.value.compensation / self.count
        }
    }
}
