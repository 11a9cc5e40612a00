//! Writes DX chunks.
#![expect(clippy::inline_always, reason = "compiled anew for each instruction set, which only inlined code is")]

use super::block::put_block;
use super::decimal::{POWERS, exponent_of, to_integer, to_integer_wide, to_ordered};
use super::kernels::{Kernel, Work};
use super::plan::{choose_mode, varint_bytes};
use super::{BLOCK_SAMPLES, DX_SAMPLES_MAX, kind, mode};
use crate::CodecError;
use crate::varint::{put_uvarint, put_varint};
use mytsdb_model::STALE_NAN_BITS;

/// Values that the number of decimal places is guessed from.
const EXPONENT_SAMPLES: usize = 12;

/// A value with at most this many more decimal places raises the exponent instead of becoming an exception.
const EXPONENT_RISE_MAX: u8 = 3;

/// Exceptions that are tried with more decimal places.
const RAISE_ATTEMPTS: usize = 4;

/// Bits of an entry where values have nothing in common but their magnitude.
const ORDERED_BITS_USUAL: usize = 56;

/// Writes DX chunks; keeps its scratch memory from one to the next, at most 2 MiB.
#[derive(Debug, Default)]
pub struct DxEncoder {
    column: Vec<u8>,
    scratch: Scratch,
}

#[derive(Debug, Default)]
struct Scratch {
    integers: Vec<i64>,
    entries: Vec<i64>,
    nonzero: Vec<i64>,
    exceptions: Vec<u32>,
}

impl DxEncoder {
    /// Appends one chunk to `out`: times in ms since the epoch, strictly ascending, and as many values, 1 to
    /// [`DX_SAMPLES_MAX`] of each.
    ///
    /// Any i64 is a legal time and any bits are a legal value. The same columns give the same bytes on every CPU. Cost:
    /// `benches/dx.rs`.
    ///
    /// # Errors
    /// [`CodecError::Columns`] or [`CodecError::OutOfOrder`]; then `out` is as it was.
    pub fn encode(&mut self, timestamps_ms: &[i64], values: &[f64], out: &mut Vec<u8>) -> Result<(), CodecError> {
        self.encode_by(Kernel::best(), timestamps_ms, values, out)
    }

    pub(super) fn encode_by(
        &mut self,
        kernel: Kernel,
        timestamps_ms: &[i64],
        values: &[f64],
        out: &mut Vec<u8>,
    ) -> Result<(), CodecError> {
        let count = timestamps_ms.len();
        if count != values.len() || count == 0 || count > DX_SAMPLES_MAX {
            return Err(CodecError::Columns { timestamps: count, values: values.len() });
        }
        if !kernel.ascends(timestamps_ms)
            && let Some(pair) = timestamps_ms.windows(2).find(|pair| pair[1] <= pair[0])
        {
            return Err(CodecError::OutOfOrder { timestamp_ms: pair[1], last_ms: pair[0] });
        }
        kernel.run(Encode { encoder: self, timestamps_ms, values, out });
        Ok(())
    }
}

struct Encode<'a> {
    encoder: &'a mut DxEncoder,
    timestamps_ms: &'a [i64],
    values: &'a [f64],
    out: &'a mut Vec<u8>,
}

impl Work for Encode<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let DxEncoder { column, scratch } = self.encoder;
        column.clear();
        put_uvarint(column, self.timestamps_ms.len() as u64 - 1);
        let mut integers = std::mem::take(&mut scratch.integers);
        // Both columns go through one call, so that its code is inlined once.
        for is_time in [true, false] {
            let x = if is_time {
                self.timestamps_ms
            } else {
                put_uvarint(self.out, column.len() as u64);
                self.out.extend_from_slice(column);
                column.clear();
                if put_values(self.values, &mut integers, &mut scratch.exceptions, column) {
                    break;
                }
                &integers
            };
            put_integers(x, &mut scratch.entries, &mut scratch.nonzero, column);
        }
        self.out.extend_from_slice(column);
        scratch.integers = integers;
    }
}

/// Appends the front of a value column and sets its integers; true if there are none to follow.
#[inline(always)]
fn put_values(values: &[f64], integers: &mut Vec<i64>, exceptions: &mut Vec<u32>, out: &mut Vec<u8>) -> bool {
    let first = values[0];
    let differences = values.iter().fold(0, |bits, value| bits | (value.to_bits() ^ first.to_bits()));
    if differences == 0 {
        put_same(first, out);
        return true;
    }
    exceptions.clear();
    integers.resize(values.len(), 0);
    let exponent = guess_exponent(values).and_then(|exponent| to_decimals(values, exponent, integers, exceptions));
    let Some(exponent) = exponent else {
        for (integer, &value) in integers.iter_mut().zip(values) {
            *integer = to_ordered(value);
        }
        out.push(kind::ORDERED_BITS);
        return false;
    };
    if exceptions.is_empty() {
        out.push(kind::DECIMAL + exponent);
    } else {
        put_exceptions(values, exceptions, exponent, out);
    }
    false
}

/// Appends a column of one value.
fn put_same(value: f64, out: &mut Vec<u8>) {
    let integer = exponent_of(value, 0)
        .and_then(|exponent| Some((exponent, to_integer_wide(value, POWERS[usize::from(exponent)])?)))
        .filter(|&(_, integer)| varint_bytes(integer) < 8);
    if let Some((exponent, integer)) = integer {
        out.extend_from_slice(&[kind::DECIMAL + exponent, mode::CONSTANT]);
        put_varint(out, integer);
    } else {
        out.push(kind::SAME_BITS);
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
}

/// The number of decimal places of most values, by a sample of them; none if half of them are no decimals.
fn guess_exponent(values: &[f64]) -> Option<u8> {
    let samples = EXPONENT_SAMPLES.min(values.len());
    let (mut exponent, mut hits, mut misses) = (0, 0usize, 0);
    let (mut exponent_before, mut hits_before) = (0, 0);
    for sample in 0..samples {
        let value = values[sample * (values.len() - 1) / (samples - 1).max(1)];
        if !value.is_finite() {
            continue;
        }
        if to_integer(value, POWERS[usize::from(exponent)]).1 {
            hits += 1;
        } else if let Some(least) = exponent_of(value, exponent) {
            if least > exponent {
                (exponent_before, hits_before) = (exponent, hits);
                (exponent, hits) = (least, 0);
            }
            hits += 1;
        } else {
            misses += 1;
            if misses * 2 > samples || misses > 2 && hits + hits_before == 0 {
                return None;
            }
        }
    }
    // One value with many digits, such as a sum of decimals, must not make all the others long.
    let is_outlier = exponent > exponent_before + EXPONENT_RISE_MAX && hits * 6 <= hits_before;
    Some(if is_outlier { exponent_before } else { exponent })
}

/// Sets the integers and lists the exceptions; none if those are too many.
#[inline(always)]
fn to_decimals(values: &[f64], guess: u8, integers: &mut [i64], exceptions: &mut Vec<u32>) -> Option<u8> {
    let mut exponent = guess;
    loop {
        let power = POWERS[usize::from(exponent)];
        // The compiler leaves out the multiplication and division by one.
        let all = if exponent == 0 { fill(values, 1.0, integers) } else { fill(values, power, integers) };
        if all {
            return Some(exponent);
        }
        match list_exceptions(values, exponent, integers, exceptions) {
            Listed::Raise(higher) => exponent = higher,
            Listed::TooMany => return None,
            Listed::Done => return Some(exponent),
        }
    }
}

/// Whether every value is such an integer.
#[inline(always)]
fn fill(values: &[f64], power: f64, integers: &mut [i64]) -> bool {
    let mut all = true;
    for (integer, &value) in integers.iter_mut().zip(values) {
        let (rounded, fits) = to_integer(value, power);
        *integer = rounded;
        all &= fits;
    }
    all
}

enum Listed {
    Done,
    /// A value has a few decimal places more.
    Raise(u8),
    TooMany,
}

fn list_exceptions(values: &[f64], exponent: u8, integers: &mut [i64], exceptions: &mut Vec<u32>) -> Listed {
    let power = POWERS[usize::from(exponent)];
    exceptions.clear();
    let mut are_stale = true;
    let mut last = None;
    for (index, (integer, &value)) in integers.iter_mut().zip(values).enumerate() {
        if to_integer(value, power).1 {
            last.get_or_insert(*integer);
        } else if let Some(wide) = to_integer_wide(value, power) {
            *integer = wide;
        } else {
            // If many values are exceptions, trying more places for each would cost more than the rest of the work.
            if exceptions.len() < RAISE_ATTEMPTS
                && let Some(higher) = exponent_of(value, exponent + 1)
                && higher <= exponent + EXPONENT_RISE_MAX
            {
                return Listed::Raise(higher);
            }
            exceptions.push(index as u32);
            are_stale &= value.to_bits() == STALE_NAN_BITS;
            // Repeating the integer before costs least. At the front, the first integer is repeated.
            *integer = last.unwrap_or(0);
            if exceptions.len() * if are_stale { 2 } else { 4 } > values.len() {
                return Listed::TooMany;
            }
            continue;
        }
        last = Some(*integer);
    }
    let leading = exceptions.iter().enumerate().take_while(|&(index, &position)| index == position as usize).count();
    if let Some(&first) = integers.get(leading) {
        integers[..leading].fill(first);
    }
    // Long integers with 9 bytes for each exception may well be longer than ordered bits.
    let width = 64 - integers.iter().fold(0, |bits, integer| bits | integer.unsigned_abs()).leading_zeros() as usize;
    let exception_bits = exceptions.len() * if are_stale { 8 } else { 72 };
    if exception_bits + values.len() * width > values.len() * ORDERED_BITS_USUAL {
        return Listed::TooMany;
    }
    Listed::Done
}

fn put_exceptions(values: &[f64], exceptions: &[u32], exponent: u8, out: &mut Vec<u8>) {
    let are_stale = exceptions.iter().all(|&position| values[position as usize].to_bits() == STALE_NAN_BITS);
    out.push(exponent + if are_stale { kind::DECIMAL_WITH_STALE } else { kind::DECIMAL_WITH_BITS });
    put_uvarint(out, exceptions.len() as u64);
    let mut next = 0;
    for &position in exceptions {
        put_uvarint(out, u64::from(position - next));
        next = position + 1;
    }
    if !are_stale {
        for &position in exceptions {
            out.extend_from_slice(&values[position as usize].to_bits().to_le_bytes());
        }
    }
}

/// Appends a column of at least one integer; `entries` and `nonzero` are scratch.
#[inline(always)]
fn put_integers(x: &[i64], entries: &mut Vec<i64>, nonzero: &mut Vec<i64>, out: &mut Vec<u8>) {
    let n = x.len();
    let first = x[0];
    let first_delta = if n > 1 { x[1].wrapping_sub(first) } else { 0 };
    let later = x.get(1..).unwrap_or_default();
    let bends = x.iter().zip(later).fold(0, |bends, (&last, &next)| bends | (next.wrapping_sub(last) ^ first_delta));
    if bends == 0 {
        out.push(if first_delta == 0 { mode::CONSTANT } else { mode::EXACT_LINE });
        put_varint(out, first);
        if first_delta != 0 {
            put_varint(out, first_delta);
        }
        return;
    }
    let step = mean_step(x);
    let mode = choose_mode(x, step);
    out.push(mode);
    let entries = match mode {
        mode::PLAIN => x,
        mode::DELTAS => {
            put_varint(out, first.wrapping_sub(first_delta));
            entries.resize(n, 0);
            entries[0] = first_delta;
            for ((entry, &last), &next) in entries[1..].iter_mut().zip(x).zip(later) {
                *entry = next.wrapping_sub(last);
            }
            entries
        }
        mode::DELTAS_OF_DELTAS => {
            let bend = |i: usize| x[i].wrapping_sub(x[i - 1]).wrapping_sub(x[i - 1].wrapping_sub(x[i - 2]));
            let first_slope = first_delta.wrapping_sub(bend(2));
            put_varint(out, first.wrapping_sub(first_slope));
            put_varint(out, first_slope.wrapping_sub(bend(2)));
            entries.clear();
            entries.extend((0..n).map(|i| bend(i.max(2))));
            entries
        }
        _ => {
            put_varint(out, first);
            put_varint(out, step);
            entries.resize(n, 0);
            let mut on_line = first;
            for (entry, &next) in entries.iter_mut().zip(x) {
                *entry = next.wrapping_sub(on_line);
                on_line = on_line.wrapping_add(step);
            }
            entries
        }
    };
    for block in entries.chunks(BLOCK_SAMPLES) {
        put_block(block, nonzero, out);
    }
}

/// The slope from the first integer to the last; any would do.
fn mean_step(x: &[i64]) -> i64 {
    let (first, last, steps) = (x[0], x[x.len() - 1], x.len() as i64 - 1);
    match last.checked_sub(first) {
        Some(rise) => rise / steps,
        None => ((i128::from(last) - i128::from(first)) / i128::from(steps)) as i64,
    }
}

/// Writes columns one by one, for chunks that are made of the same columns; keeps its scratch memory.
#[derive(Debug, Default)]
pub(crate) struct ColumnWriter(Scratch);

impl ColumnWriter {
    /// Appends an integer column, of one integer at least.
    pub(crate) fn put_integers(&mut self, integers: &[i64], out: &mut Vec<u8>) {
        let Scratch { entries, nonzero, .. } = &mut self.0;
        Kernel::best().run(PutIntegers { integers, entries, nonzero, out });
    }

    /// Appends a value column, of one value at least.
    pub(crate) fn put_values(&mut self, values: &[f64], out: &mut Vec<u8>) {
        let mut integers = std::mem::take(&mut self.0.integers);
        let is_whole = put_values(values, &mut integers, &mut self.0.exceptions, out);
        if !is_whole {
            self.put_integers(&integers, out);
        }
        self.0.integers = integers;
    }
}

struct PutIntegers<'a> {
    integers: &'a [i64],
    entries: &'a mut Vec<i64>,
    nonzero: &'a mut Vec<i64>,
    out: &'a mut Vec<u8>,
}

impl Work for PutIntegers<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        put_integers(self.integers, self.entries, self.nonzero, self.out);
    }
}
