//! Operators on the floats of a row and a number for each step, cell by cell.

use crate::kernels::cells::{Cells, EMPTY, FLOAT};
use crate::kernels::scalar::Scalar;
use crate::operators::binary::arithmetic::{arithmetic, compare};
use mytsdb_promql_syntax::BinaryOp;

/// Operates on each float of `cells`, all of which are floats or empty; `swapped` if the scalar stands on the left.
pub(crate) fn floats_with_scalar(cells: &mut Cells, op: BinaryOp, return_bool: bool, scalar: &Scalar, swapped: bool) {
    for i in 0..cells.len() {
        let (value, number) = (cells.values[i], scalar.at(i));
        let (a, b) = if swapped { (number, value) } else { (value, number) };
        if op.is_comparison() && !return_bool {
            if !compare(op, a, b) {
                cells.kinds[i] = EMPTY;
            }
        } else {
            cells.values[i] = arithmetic(op, a, b);
        }
    }
    debug_assert!(cells.kinds.iter().all(|&k| k == EMPTY || k == FLOAT));
}
