//! Reads a column of values.

use super::decimal::{EXPONENT_MAX, POWERS, from_ordered, to_f64};
use super::integers::{BYTES_BEHIND, IntegerColumn, take_count};
use super::kernels::Kernel;
use super::kind;
use crate::CodecError;
use crate::varint::take_uvarint;
use mytsdb_model::STALE_NAN_BITS;
use std::ops::Range;

/// Appends some of the `count` values of a whole column, by their numbers; on error some may have been appended.
#[inline]
pub(super) fn decode(
    bytes: &[u8],
    count: usize,
    numbers: Range<usize>,
    kernel: Kernel,
    out: &mut Vec<f64>,
) -> Result<(), CodecError> {
    let behind = decode_front(bytes, count, numbers, kernel, out)?;
    if behind.is_empty() { Ok(()) } else { Err(BYTES_BEHIND) }
}

/// Appends some of the `count` values at the front of `bytes`, by their numbers, and returns what lies behind all of them; on error some
/// may have been appended.
///
/// Invariant N: `numbers` are in order and at most `count`.
#[inline]
pub(super) fn decode_front<'a>(
    bytes: &'a [u8],
    count: usize,
    numbers: Range<usize>,
    kernel: Kernel,
    out: &mut Vec<f64>,
) -> Result<&'a [u8], CodecError> {
    debug_assert!(numbers.start <= numbers.end && numbers.end <= count, "Invariant N");
    let Some((&kind_byte, rest)) = bytes.split_first() else {
        return Err(CodecError::Truncated { field: "kind", bytes: 0 });
    };
    match kind_byte {
        kind::ORDERED_BITS => decode_ordered(&IntegerColumn::parse_front(rest, count)?, numbers, kernel, out),
        kind::SAME_BITS => {
            let Some((bits, behind)) = rest.split_first_chunk::<8>() else {
                return Err(CodecError::Truncated { field: "constant", bytes: rest.len() });
            };
            out.resize(out.len() + numbers.len(), f64::from_bits(u64::from_le_bytes(*bits)));
            Ok(behind)
        }
        _ => {
            let (kind, exponent) = (kind_byte & 0b1110_0000, kind_byte & 0b1_1111);
            if kind > kind::DECIMAL_WITH_STALE || exponent > EXPONENT_MAX {
                return Err(CodecError::Damaged { reason: "unknown kind of values" });
            }
            let divisor = POWERS[usize::from(exponent)];
            if kind == kind::DECIMAL {
                return decode_decimals(&IntegerColumn::parse_front(rest, count)?, numbers, divisor, kernel, out);
            }
            let exceptions = Exceptions::parse(rest, count, kind == kind::DECIMAL_WITH_BITS)?;
            let first = out.len();
            let integers = IntegerColumn::parse_front(exceptions.behind, count)?;
            let behind = decode_decimals(&integers, numbers.clone(), divisor, kernel, out)?;
            exceptions.put(numbers.start, &mut out[first..])?;
            Ok(behind)
        }
    }
}

/// The value of a column in constant form.
pub(super) fn same_value(bytes: &[u8], count: usize) -> Result<Option<f64>, CodecError> {
    let mut one = Vec::with_capacity(1);
    match bytes.split_first() {
        Some((&kind::SAME_BITS, _)) => decode(bytes, 1, 0..1, Kernel::Scalar, &mut one)?,
        Some((&kind_byte, rest)) if kind_byte <= EXPONENT_MAX || kind_byte == kind::ORDERED_BITS => {
            match IntegerColumn::parse(rest, count)?.exact_line() {
                Some((_, step)) if step == 0 || count == 1 => decode(bytes, 1, 0..1, Kernel::Scalar, &mut one)?,
                _ => {}
            }
        }
        _ => {}
    }
    Ok(one.first().copied())
}

#[inline]
fn decode_decimals<'a>(
    integers: &IntegerColumn<'a>,
    numbers: Range<usize>,
    divisor: f64,
    kernel: Kernel,
    out: &mut Vec<f64>,
) -> Result<&'a [u8], CodecError> {
    if let Some((start, step)) = integers.exact_line() {
        if step == 0 {
            out.resize(out.len() + numbers.len(), to_f64(start) / divisor);
        } else {
            out.extend(numbers.map(|i| to_f64(start.wrapping_add(step.wrapping_mul(i as i64))) / divisor));
        }
        return Ok(integers.behind_front());
    }
    out.reserve(numbers.len());
    integers.walk_blocks_with(numbers.clone(), kernel, |lanes, first, count| {
        let own = lanes_of(&numbers, first, count);
        if !own.is_empty() {
            kernel.quotients(count, divisor, lanes);
            out.extend(lanes.0[own].iter().map(|&bits| f64::from_bits(bits as u64)));
        }
        Ok(())
    })
}

fn decode_ordered<'a>(
    integers: &IntegerColumn<'a>,
    numbers: Range<usize>,
    kernel: Kernel,
    out: &mut Vec<f64>,
) -> Result<&'a [u8], CodecError> {
    if let Some((start, step)) = integers.exact_line() {
        out.extend(numbers.map(|i| from_ordered(start.wrapping_add(step.wrapping_mul(i as i64)))));
        return Ok(integers.behind_front());
    }
    out.reserve(numbers.len());
    integers.walk_blocks_with(numbers.clone(), kernel, |lanes, first, count| {
        let own = lanes_of(&numbers, first, count);
        out.extend(lanes.0[own].iter().map(|&integer| from_ordered(integer)));
        Ok(())
    })
}

/// Which of the lanes of a block, whose first integer has the number `first`, have one of the numbers. None of a block that is only added up.
#[inline]
fn lanes_of(numbers: &Range<usize>, first: usize, count: usize) -> Range<usize> {
    let from = numbers.start.saturating_sub(first).min(count);
    let to = numbers.end.saturating_sub(first).min(count);
    from..to.max(from)
}

/// Values that are no decimals: their positions, and their bits or none.
struct Exceptions<'a> {
    count: usize,
    gaps: &'a [u8],
    bits: Option<&'a [[u8; 8]]>,
    behind: &'a [u8],
}

impl<'a> Exceptions<'a> {
    fn parse(mut rest: &'a [u8], samples: usize, has_bits: bool) -> Result<Self, CodecError> {
        let count = take_count(&mut rest, samples, "exception count")?;
        if count == 0 {
            return Err(CodecError::Damaged { reason: "no exceptions where there should be" });
        }
        let gaps = rest;
        let mut position = 0;
        for _ in 0..count {
            position += take_count(&mut rest, samples, "exception position")? + 1;
            if position > samples {
                return Err(CodecError::Damaged { reason: "exception behind the last sample" });
            }
        }
        let mut bits = None;
        if has_bits {
            let Some((own, behind)) = rest.split_at_checked(count * 8) else {
                return Err(CodecError::Truncated { field: "exceptions", bytes: rest.len() });
            };
            bits = Some(own.as_chunks::<8>().0);
            rest = behind;
        }
        Ok(Self { count, gaps, bits, behind: rest })
    }

    /// `values` are those of the chunk from number `from` on, as far as they are wanted.
    fn put(&self, from: usize, values: &mut [f64]) -> Result<(), CodecError> {
        let mut gaps = self.gaps;
        let mut next = 0;
        for index in 0..self.count {
            let position = next + take_uvarint(&mut gaps, "exception position")? as usize;
            let bits = self.bits.map_or(STALE_NAN_BITS, |bits| u64::from_le_bytes(bits[index]));
            if let Some(value) = position.checked_sub(from).and_then(|at| values.get_mut(at)) {
                *value = f64::from_bits(bits);
            }
            next = position + 1;
        }
        Ok(())
    }
}
