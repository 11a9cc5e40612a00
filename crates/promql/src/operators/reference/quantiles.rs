//! Quantiles of groups, step by step.

use crate::kernels::cells::{Cells, FLOAT, Row};
use crate::kernels::over_time::quantile;
use crate::kernels::scalar::Scalar;

/// The quantile of the rows `members` at every step.
pub(crate) fn quantiles_by_step(rows: &[Row], members: &[u32], q: &Scalar, steps: usize) -> Cells {
    let mut cells = Cells::empty(steps);
    let mut values = Vec::new();
    for step in 0..steps {
        values.clear();
        let present = members.iter().map(|&row| &rows[row as usize].cells).filter(|cells| cells.kinds[step] == FLOAT);
        values.extend(present.map(|cells| cells.values[step]));
        if !values.is_empty() {
            cells.set(step, quantile(q.at(step), &mut values));
        }
    }
    cells
}
