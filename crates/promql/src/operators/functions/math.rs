//! Functions of single floats, and of floats and scalars.

use crate::error::EvalError;
use crate::kernels::scalar::Scalar;
use crate::operators::mapped::map_rows;
use crate::rows::context::Context;
use crate::rows::vector::Vector;

type Evaluated<'a> = Result<Vector<'a>, EvalError>;

/// Go's `math.Max`: NaN wins over everything but `+Inf`.
pub(crate) fn go_max(a: f64, b: f64) -> f64 {
    if a == f64::INFINITY || b == f64::INFINITY {
        f64::INFINITY
    } else if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if a == 0.0 && b == 0.0 {
        if a.is_sign_negative() { b } else { a }
    } else if a > b {
        a
    } else {
        b
    }
}

/// Go's `math.Min`: NaN wins over everything but `-Inf`.
pub(crate) fn go_min(a: f64, b: f64) -> f64 {
    -go_max(-a, -b)
}

/// 180 / π and π / 180, rounded once.
const DEGREES_OF_RADIAN: f64 = 57.295_779_513_082_320_876_798_154_814_105;
const RADIANS_OF_DEGREE: f64 = 0.017_453_292_519_943_295_769_236_907_684_886;

/// A single factor, so that no intermediate result overflows.
pub(super) fn degrees(radians: f64) -> f64 {
    radians * DEGREES_OF_RADIAN
}

pub(super) fn radians(degrees: f64) -> f64 {
    degrees * RADIANS_OF_DEGREE
}

/// Zeros and NaN stay as they are.
pub(super) fn sign(v: f64) -> f64 {
    if v < 0.0 {
        -1.0
    } else if v > 0.0 {
        1.0
    } else {
        v
    }
}

/// Each float within two numbers of its step.
pub(super) fn clamp<'a>(context: &'a Context<'a>, vector: Vector<'a>, numbers: Vec<Scalar>) -> Evaluated<'a> {
    bounded_by(context, vector, move |i, value| {
        let (min, max) = (numbers[0].at(i), numbers[1].at(i));
        (max >= min || max.is_nan() || min.is_nan()).then(|| go_max(min, go_min(max, value)))
    })
}

/// Each float, at most the number of its step.
pub(super) fn clamp_max<'a>(context: &'a Context<'a>, vector: Vector<'a>, numbers: Vec<Scalar>) -> Evaluated<'a> {
    bounded_by(context, vector, move |i, value| Some(go_min(numbers[0].at(i), value)))
}

/// Each float, at least the number of its step.
pub(super) fn clamp_min<'a>(context: &'a Context<'a>, vector: Vector<'a>, numbers: Vec<Scalar>) -> Evaluated<'a> {
    bounded_by(context, vector, move |i, value| Some(go_max(numbers[0].at(i), value)))
}

/// Each float, rounded to a multiple of the number of its step, or of 1.
pub(super) fn round<'a>(context: &'a Context<'a>, vector: Vector<'a>, numbers: Vec<Scalar>) -> Evaluated<'a> {
    let to = numbers.into_iter().next().unwrap_or(Scalar::Constant(1.0));
    bounded_by(context, vector, move |i, value| {
        // Division by the inverse is exact more often than multiplication.
        let inverse = 1.0 / to.at(i);
        Some((value * inverse + 0.5).floor() / inverse)
    })
}

/// Replaces every float by what `bound` makes of its step and value; `None` takes it out.
fn bounded_by<'a>(
    context: &'a Context<'a>,
    vector: Vector<'a>,
    bound: impl Fn(usize, f64) -> Option<f64> + Send + Sync + 'a,
) -> Evaluated<'a> {
    map_rows(context, vector, true, move |cells, _, _| {
        cells.drop_histograms();
        for i in 0..cells.len() {
            match bound(i, cells.values[i]) {
                Some(value) => cells.values[i] = value,
                None => cells.clear(i),
            }
        }
    })
}
