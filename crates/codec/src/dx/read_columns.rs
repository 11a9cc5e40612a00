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

/// Appends as many integers as there are `sums` as floats, and adds each to its sum. Returns a negative number if any integer
/// is negative.
///
/// # Errors
/// As [`take_integers`].
#[inline]
pub(crate) fn take_counts(rest: &mut &[u8], sums: &mut [i64], out: &mut Vec<f64>) -> Result<i64, CodecError> {
    let (column, kernel) = (IntegerColumn::parse_front(rest, sums.len())?, Kernel::best());
    let mut signs = 0;
    if let Some((start, step)) = column.exact_line() {
        let mut integer = start;
        out.extend(sums.iter_mut().map(|sum| {
            let own = integer;
            integer = integer.wrapping_add(step);
            *sum = sum.wrapping_add(own);
            signs |= own;
            own as f64
        }));
        *rest = column.behind_front();
        return Ok(signs);
    }
    let mut sums = sums;
    *rest = column.walk_blocks(kernel, |lanes, count| {
        let (own, others) = std::mem::take(&mut sums).split_at_mut(count);
        sums = others;
        for (sum, &integer) in own.iter_mut().zip(&lanes.0) {
            *sum = sum.wrapping_add(integer);
            signs |= integer;
        }
        kernel.quotients(count, 1.0, lanes);
        out.extend(lanes.0[..count].iter().map(|&bits| f64::from_bits(bits as u64)));
        Ok(())
    })?;
    Ok(signs)
}
