//! `and`, `or` and `unless` step by step, over rows in memory.

use crate::error::EvalError;
use crate::kernels::cells::{EMPTY, Row};
use crate::kernels::grid::Grid;
use crate::operators::binary::arithmetic::Operation;
use crate::operators::binary::signatures::Signatures;
use crate::rows::context::Context;
use crate::rows::vector::{Vector, merge_equal};
use mytsdb_promql_syntax::BinaryOp;

/// Operates on two vectors in memory.
pub(crate) fn sets<'a>(
    context: &'a Context<'a>,
    binary: &Operation,
    (mut lhs, mut rhs): (Vec<Row>, Vec<Row>),
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let count = grid.count;
    let mut signatures = Signatures::new(binary.matching());
    let left = signatures.of_all(context, &lhs)?;
    let right = signatures.of_all(context, &rhs)?;
    // Steps at which each signature is present on one side.
    let presence = |rows: &[Row], of: &[usize]| {
        let mut present = vec![Vec::new(); signatures.len()];
        for (row, &signature) in rows.iter().zip(of) {
            let present: &mut Vec<bool> = &mut present[signature];
            present.resize(count, false);
            present.iter_mut().zip(&row.cells.kinds).for_each(|(p, &kind)| *p |= kind != EMPTY);
        }
        present
    };
    let restrict = |rows: &mut Vec<Row>, of: &[usize], present: &[Vec<bool>], wanted: bool| {
        for (row, &signature) in rows.iter_mut().zip(of) {
            for step in 0..count {
                if present[signature].get(step).copied().unwrap_or(false) != wanted {
                    row.cells.clear(step);
                }
            }
        }
        rows.retain(|row| !row.cells.is_blank());
    };
    match binary.op {
        BinaryOp::And => restrict(&mut lhs, &left, &presence(&rhs, &right), true),
        BinaryOp::Unless => restrict(&mut lhs, &left, &presence(&rhs, &right), false),
        _ => {
            restrict(&mut rhs, &right, &presence(&lhs, &left), false);
            lhs.append(&mut rhs);
            return merge_equal(context, lhs).map(Vector::Kept);
        }
    }
    Ok(Vector::Kept(lhs))
}
