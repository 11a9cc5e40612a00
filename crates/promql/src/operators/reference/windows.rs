//! Functions of range vectors, window by window.

use crate::kernels::cells::{Cell, Cells};
use crate::kernels::extended;
use crate::kernels::integral::{Strategy, integral};
use crate::kernels::kernel::Kernel;
use crate::kernels::over_time::{
    changes, double_exponential, edge, extreme, fold_histograms, max, mean, median_deviation, min, only_floats,
    quantile, regression, resets, sum, variance,
};
use crate::kernels::rate;
use crate::kernels::scalar::Scalar;
use crate::kernels::window::{Extension, Remarks};
use crate::rows::range_vector::RangeVector;
use mytsdb_columns::Columns;
use std::sync::Arc;

/// A function, the windows that it computes, and its numbers.
pub(crate) struct ByWindow<'r, 'a> {
    pub vector: &'r RangeVector<'a>,
    pub kernel: Kernel,
    pub scalars: &'r [Scalar],
}

impl ByWindow<'_, '_> {
    /// Number `which` of the scalar arguments at the step evaluated at `eval_ms`.
    fn scalar(&self, which: usize, eval_ms: i64) -> f64 {
        let grid = self.vector.grid;
        self.scalars[which].at(((eval_ms - grid.start_ms) / grid.step_ms.max(1)) as usize)
    }

    fn varies(&self) -> bool {
        self.scalars.iter().any(|s| matches!(s, Scalar::Steps(_)))
    }

    fn floats(&self, columns: &Columns, out: &mut Cells, remarks: &mut Remarks<'_>, f: impl Fn(&[f64]) -> f64) {
        self.vector.run(columns, out, remarks, false, |w, r| only_floats(w, r).map(|values| Cell::Float(f(values))));
    }

    /// Computes the windows of one series.
    pub fn compute(&self, columns: &Columns, out: &mut Cells, remarks: &mut Remarks<'_>) {
        let v = self.vector;
        let extension = v.extension;
        match self.kernel {
            Kernel::Increase { counter, rate } if extension != Extension::None => {
                let smoothed = extension == Extension::Smoothed;
                v.run(columns, out, remarks, false, |w, r| {
                    extended::difference(w, smoothed, (counter, rate), v.lookback_ms, r)
                });
            }
            Kernel::Increase { counter, rate } => {
                v.run(columns, out, remarks, false, |w, r| rate::extrapolated(w, counter, rate, r));
            }
            Kernel::Instantaneous { rate } => {
                v.run(columns, out, remarks, false, |w, r| rate::instantaneous(w, rate, r));
            }
            Kernel::Avg | Kernel::Sum => {
                let average = self.kernel == Kernel::Avg;
                v.run(columns, out, remarks, false, |w, r| {
                    if w.histograms.is_empty() {
                        return Some(Cell::Float(if average { mean(w.values()) } else { sum(w.values()) }));
                    }
                    if w.mixed() {
                        r.mixed_floats_histograms();
                        return None;
                    }
                    fold_histograms(w.histograms(), average, r).map(|h| Cell::Histogram(Arc::new(h)))
                });
            }
            Kernel::Count => v.run(columns, out, remarks, false, |w, _| {
                Some(Cell::Float((w.floats.len() + w.histograms.len()) as f64))
            }),
            Kernel::Present => v.run(columns, out, remarks, false, |_, _| Some(Cell::Float(1.0))),
            Kernel::Changes | Kernel::Resets => {
                let count = if self.kernel == Kernel::Changes { changes } else { resets };
                v.run(columns, out, remarks, false, |w, _| {
                    if extension == Extension::None {
                        Some(Cell::Float(count(w)))
                    } else {
                        extended::anchored(w).map(|w| Cell::Float(count(&w)))
                    }
                });
            }
            Kernel::First => v.run(columns, out, remarks, false, |w, _| edge(w, false).map(|e| e.1)),
            Kernel::Last => v.run(columns, out, remarks, false, |w, _| edge(w, true).map(|e| e.1)),
            Kernel::TimeOfFirst | Kernel::TimeOfLast => {
                let last = self.kernel == Kernel::TimeOfLast;
                v.run(columns, out, remarks, false, |w, _| edge(w, last).map(|e| Cell::Float(e.0 as f64 / 1000.0)));
            }
            Kernel::TimeOfMax | Kernel::TimeOfMin => {
                let maximum = self.kernel == Kernel::TimeOfMax;
                v.run(columns, out, remarks, false, |w, r| {
                    let values = only_floats(w, r)?;
                    // The last of equal extremes.
                    let (at, _) = if maximum {
                        extreme(values, |value, best| value >= best)
                    } else {
                        extreme(values, |value, best| value <= best)
                    };
                    Some(Cell::Float(w.times()[at] as f64 / 1000.0))
                });
            }
            Kernel::Max => self.floats(columns, out, remarks, max),
            Kernel::Min => self.floats(columns, out, remarks, min),
            Kernel::Stdvar => self.floats(columns, out, remarks, variance),
            Kernel::Stddev => self.floats(columns, out, remarks, |values| variance(values).sqrt()),
            Kernel::Mad => self.floats(columns, out, remarks, median_deviation),
            Kernel::Deriv => v.run(columns, out, remarks, false, |w, r| {
                let values = only_floats(w, r).filter(|values| values.len() > 1)?;
                let times = w.times();
                Some(Cell::Float(regression(times, values, times[0]).0))
            }),
            Kernel::PredictLinear => v.run(columns, out, remarks, true, |w, r| {
                let values = only_floats(w, r).filter(|values| values.len() > 1)?;
                let (slope, intercept) = regression(w.times(), values, w.eval_ms);
                Some(Cell::Float(slope * self.scalar(0, w.eval_ms) + intercept))
            }),
            Kernel::Quantile => {
                let mut sorted = Vec::new();
                v.run(columns, out, remarks, self.varies(), |w, r| {
                    let values = only_floats(w, r)?;
                    sorted.clear();
                    sorted.extend_from_slice(values);
                    Some(Cell::Float(quantile(self.scalar(0, w.eval_ms), &mut sorted)))
                });
            }
            Kernel::Integral => v.run(columns, out, remarks, self.varies(), |w, r| {
                let values = only_floats(w, r)?;
                let strategy = if self.scalars.is_empty() { None } else { Strategy::new(self.scalar(0, w.eval_ms)) };
                Some(Cell::Float(integral(w.times(), values, strategy.unwrap_or_default())))
            }),
            Kernel::DoubleExponential => v.run(columns, out, remarks, self.varies(), |w, r| {
                let values = only_floats(w, r).filter(|values| values.len() > 1)?;
                Some(Cell::Float(double_exponential(values, self.scalar(0, w.eval_ms), self.scalar(1, w.eval_ms))))
            }),
        }
    }
}
