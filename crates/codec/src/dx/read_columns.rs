//! Reads columns one by one, for chunks that are made of the same columns.

use super::integers::IntegerColumn;
use super::kernels::Kernel;
use super::values;
use crate::CodecError;

/// Appends `count >= 1` integers from the front of `rest` and advances it; on error some may have been appended.
///
/// Allocates for `count` integers, from two bytes: the caller has a bound for it.
#[inline]
pub(crate) fn take_integers(rest: &mut &[u8], count: usize, out: &mut Vec<i64>) -> Result<(), CodecError> {
    let column = IntegerColumn::parse_front(rest, count)?;
    if let Some((start, step)) = column.exact_line() {
        out.extend((0..count as i64).map(|i| start.wrapping_add(step.wrapping_mul(i))));
        *rest = column.behind_front();
        return Ok(());
    }
    out.reserve(count);
    *rest = column.walk_blocks(Kernel::best(), |lanes, count| {
        out.extend_from_slice(&lanes.0[..count]);
        Ok(())
    })?;
    Ok(())
}

/// Appends `count >= 1` values from the front of `rest` and advances it; on error some may have been appended.
///
/// Allocates as [`take_integers`] does.
#[inline]
pub(crate) fn take_values(rest: &mut &[u8], count: usize, out: &mut Vec<f64>) -> Result<(), CodecError> {
    *rest = values::decode_front(rest, count, Kernel::best(), out)?;
    Ok(())
}
