//! Functions of single floats.

use crate::error::EvalError;
use crate::eval::context::Context;
use crate::eval::expr::{Scalar, eval_scalar, eval_vector, map_rows};
use crate::eval::grid::Grid;
use crate::eval::rows::Vector;
use mytsdb_promql_syntax::Call;

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

/// The function called `name`, if it maps floats to floats.
pub(super) fn elementwise(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "acos" => f64::acos,
        "acosh" => f64::acosh,
        "asin" => f64::asin,
        "asinh" => f64::asinh,
        "atan" => f64::atan,
        "atanh" => f64::atanh,
        "ceil" => f64::ceil,
        "cos" => f64::cos,
        "cosh" => f64::cosh,
        // One factor, so that nothing overflows on the way.
        "deg" => |v| v * DEGREES_OF_RADIAN,
        "exp" => f64::exp,
        "floor" => f64::floor,
        "ln" => mytsdb_histogram::ln,
        "log10" => |v| mytsdb_histogram::log2(v) * std::f64::consts::LOG10_2,
        "log2" => mytsdb_histogram::log2,
        "rad" => |v| v * RADIANS_OF_DEGREE,
        "sgn" => |v| {
            if v < 0.0 {
                -1.0
            } else if v > 0.0 {
                1.0
            } else {
                v
            }
        },
        "sin" => f64::sin,
        "sinh" => f64::sinh,
        "sqrt" => f64::sqrt,
        "tan" => f64::tan,
        "tanh" => f64::tanh,
        _ => return None,
    })
}

/// `clamp`, `clamp_min`, `clamp_max`, `round`: functions of a float and scalars.
pub(super) fn bounded<'a>(context: &'a Context<'a>, call: &'a Call, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let vector = eval_vector(context, &call.args[0], grid)?;
    let mut scalars = Vec::new();
    for arg in &call.args[1..] {
        scalars.push(eval_scalar(context, arg, grid)?);
    }
    let first = scalars.first().cloned().unwrap_or(Scalar::Constant(1.0));
    let second = scalars.get(1).cloned().unwrap_or(Scalar::Constant(0.0));
    match call.function.name {
        "clamp" => bounded_by(context, vector, move |i, value| {
            let (min, max) = (first.at(i), second.at(i));
            (max >= min || max.is_nan() || min.is_nan()).then(|| go_max(min, go_min(max, value)))
        }),
        "clamp_max" => bounded_by(context, vector, move |i, value| Some(go_min(first.at(i), value))),
        "clamp_min" => bounded_by(context, vector, move |i, value| Some(go_max(first.at(i), value))),
        "round" => bounded_by(context, vector, move |i, value| {
            // Division by the inverse is exact more often than multiplication.
            let inverse = 1.0 / first.at(i);
            Some((value * inverse + 0.5).floor() / inverse)
        }),
        other => unreachable!("{other} is no function of a float and scalars"),
    }
}

/// Replaces every float by what `bound` makes of its step and value; `None` takes it out.
fn bounded_by<'a>(
    context: &'a Context<'a>,
    vector: Vector<'a>,
    bound: impl Fn(usize, f64) -> Option<f64> + Send + Sync + 'a,
) -> Result<Vector<'a>, EvalError> {
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
