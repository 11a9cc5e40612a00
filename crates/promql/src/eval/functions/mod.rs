//! Function calls, and what computes each function: the one place that tells the evaluator and the planner.

mod absent;
mod columns;
mod date;
pub(crate) mod extended;
mod histogram;
mod histogram_quantile;
mod info;
mod integral;
mod label;
mod math;
pub(crate) mod over_time;
pub(crate) mod range;
mod rate;
mod sliding;
mod sort;

pub(crate) use columns::KnownFactor;
pub(crate) use math::go_max;

use super::cells::{Cells, EMPTY, FLOAT, Row};
use super::context::Context;
use super::expr::{Scalar, eval_scalar, eval_vector, map_rows};
use super::grid::Bounds;
use super::grid::Grid;
use super::groups::unique_without_names;
use super::rows::{Vector, merge_equal};
use super::selector::{SampleField, select_instant};
use crate::error::EvalError;
use math::go_min;
use mytsdb_histogram::FloatHistogram;
use mytsdb_model::Labels;
use mytsdb_promql_syntax::{Call, Expr, Function as F};
use range::Kernel;
use std::collections::HashSet;

/// Evaluates a whole call.
pub(crate) type Evaluate = for<'a> fn(&'a Context<'a>, &'a Call, Grid) -> Result<Vector<'a>, EvalError>;

/// How the value of a call is found.
#[derive(Clone, Copy)]
pub(crate) enum Compute {
    /// It is a scalar.
    Scalar(ScalarCompute),
    /// It is an instant vector.
    Vector(VectorCompute),
}

/// How a scalar is found.
#[derive(Clone, Copy)]
pub(crate) enum ScalarCompute {
    /// From the bounds of the query.
    Query(fn(Bounds) -> f64),
    /// The time of the step, in seconds.
    StepTime,
    /// From two scalars.
    Pair(fn(f64, f64) -> f64),
    /// The float of the only series.
    Only,
}

/// How an instant vector is found.
#[derive(Clone, Copy)]
pub(crate) enum VectorCompute {
    /// Each float by itself.
    Elementwise(fn(f64) -> f64),
    /// Each float by itself, or the time of the step.
    Date(fn(f64) -> f64),
    /// Each native histogram by itself.
    Figure(fn(&FloatHistogram) -> f64),
    /// A scalar as a series.
    Number,
    /// Window by window.
    Window(Kernel),
    /// Cell by cell while rows are read.
    Cells(Evaluate),
    /// From all series, which are read one after the other and forgotten.
    Series(Evaluate),
    /// From rows that are kept.
    Rows(Evaluate),
    /// From rows that are kept and grouped by the histogram they belong to.
    Histograms(Evaluate),
    /// All labels at once; the rows pass.
    Labels(Evaluate),
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// What computes `function`.
pub(crate) fn compute(function: F) -> Compute {
    use ScalarCompute::{Only, Pair, Query, StepTime};
    use VectorCompute::{Cells, Date, Elementwise, Figure, Histograms, Labels, Number, Rows, Series, Window};
    let vector = match function {
        F::End => return Compute::Scalar(Query(|times| seconds(times.end_ms))),
        F::MaxOf => return Compute::Scalar(Pair(go_max)),
        F::MinOf => return Compute::Scalar(Pair(go_min)),
        F::Pi => return Compute::Scalar(Query(|_| std::f64::consts::PI)),
        F::Range => return Compute::Scalar(Query(|times| seconds(times.end_ms - times.start_ms))),
        F::Scalar => return Compute::Scalar(Only),
        F::Start => return Compute::Scalar(Query(|times| seconds(times.start_ms))),
        F::Step => return Compute::Scalar(Query(|times| seconds(times.step_ms))),
        F::Time => return Compute::Scalar(StepTime),

        F::Abs => Elementwise(f64::abs),
        F::Acos => Elementwise(f64::acos),
        F::Acosh => Elementwise(f64::acosh),
        F::Asin => Elementwise(f64::asin),
        F::Asinh => Elementwise(f64::asinh),
        F::Atan => Elementwise(f64::atan),
        F::Atanh => Elementwise(f64::atanh),
        F::Ceil => Elementwise(f64::ceil),
        F::Cos => Elementwise(f64::cos),
        F::Cosh => Elementwise(f64::cosh),
        F::Deg => Elementwise(math::degrees),
        F::Exp => Elementwise(f64::exp),
        F::Floor => Elementwise(f64::floor),
        F::Ln => Elementwise(mytsdb_histogram::ln),
        F::Log10 => Elementwise(|v| mytsdb_histogram::log2(v) * std::f64::consts::LOG10_2),
        F::Log2 => Elementwise(mytsdb_histogram::log2),
        F::Rad => Elementwise(math::radians),
        F::Sgn => Elementwise(math::sign),
        F::Sin => Elementwise(f64::sin),
        F::Sinh => Elementwise(f64::sinh),
        F::Sqrt => Elementwise(f64::sqrt),
        F::Tan => Elementwise(f64::tan),
        F::Tanh => Elementwise(f64::tanh),

        F::DayOfMonth => Date(date::day_of_month),
        F::DayOfWeek => Date(date::day_of_week),
        F::DayOfYear => Date(date::day_of_year),
        F::DaysInMonth => Date(date::days_in_month),
        F::Hour => Date(date::hour),
        F::Minute => Date(date::minute),
        F::Month => Date(date::month),
        F::Year => Date(date::year),

        F::HistogramAvg => Figure(|h| h.sum / h.count),
        F::HistogramCount => Figure(|h| h.count),
        F::HistogramStddev => Figure(|h| histogram::variance(h).sqrt()),
        F::HistogramStdvar => Figure(histogram::variance),
        F::HistogramSum => Figure(|h| h.sum),

        F::AvgOverTime => Window(Kernel::Avg),
        F::Changes => Window(Kernel::Changes),
        F::CountOverTime => Window(Kernel::Count),
        F::Delta => Window(Kernel::Increase { counter: false, rate: false }),
        F::Deriv => Window(Kernel::Deriv),
        F::DoubleExponentialSmoothing => Window(Kernel::DoubleExponential),
        F::FirstOverTime => Window(Kernel::First),
        F::Idelta => Window(Kernel::Instantaneous { rate: false }),
        F::Increase => Window(Kernel::Increase { counter: true, rate: false }),
        F::Integral => Window(Kernel::Integral),
        F::Irate => Window(Kernel::Instantaneous { rate: true }),
        F::LastOverTime => Window(Kernel::Last),
        F::MadOverTime => Window(Kernel::Mad),
        F::MaxOverTime => Window(Kernel::Max),
        F::MinOverTime => Window(Kernel::Min),
        F::PredictLinear => Window(Kernel::PredictLinear),
        F::PresentOverTime => Window(Kernel::Present),
        F::QuantileOverTime => Window(Kernel::Quantile),
        F::Rate => Window(Kernel::Increase { counter: true, rate: true }),
        F::Resets => Window(Kernel::Resets),
        F::StddevOverTime => Window(Kernel::Stddev),
        F::StdvarOverTime => Window(Kernel::Stdvar),
        F::SumOverTime => Window(Kernel::Sum),
        F::TsOfFirstOverTime => Window(Kernel::TimeOfFirst),
        F::TsOfLastOverTime => Window(Kernel::TimeOfLast),
        F::TsOfMaxOverTime => Window(Kernel::TimeOfMax),
        F::TsOfMinOverTime => Window(Kernel::TimeOfMin),

        F::Absent => Series(absent::absent),
        F::AbsentOverTime => Series(absent::absent_over_time),
        F::Clamp => Cells(math::clamp),
        F::ClampMax => Cells(math::clamp_max),
        F::ClampMin => Cells(math::clamp_min),
        F::HistogramFraction => Histograms(histogram_quantile::fraction),
        F::HistogramQuantile => Histograms(histogram_quantile::quantile),
        F::HistogramQuantiles => Histograms(histogram_quantile::quantiles),
        F::Info => Rows(info::info),
        F::LabelJoin => Labels(label::join),
        F::LabelReplace => Labels(label::replace),
        F::Round => Cells(math::round),
        F::Sort => Rows(|context, call, grid| sort::by_value(context, call, grid, false)),
        F::SortByLabel => Rows(|context, call, grid| sort::by_label(context, call, grid, false)),
        F::SortByLabelDesc => Rows(|context, call, grid| sort::by_label(context, call, grid, true)),
        F::SortDesc => Rows(|context, call, grid| sort::by_value(context, call, grid, true)),
        F::StartTimestamp => Cells(start_timestamp),
        F::Timestamp => Cells(timestamp),
        F::Vector => Number,
    };
    Compute::Vector(vector)
}

/// Where names are dropped at once, joins the rows of `vector` that became equal, if it is `nameless`.
pub(crate) fn settle_names<'a>(context: &Context<'a>, vector: Vector<'a>) -> Result<Vector<'a>, EvalError> {
    if context.options.delayed_name_removal {
        return Ok(vector);
    }
    let unique = if context.options.optimise {
        unique_without_names(context, &vector)?
    } else {
        let mut seen = HashSet::with_capacity(vector.len());
        (0..vector.len()).all(|i| seen.insert(vector.labels(i)))
    };
    if unique { Ok(vector) } else { Ok(Vector::Kept(merge_equal(context, vector.keep(context)?)?)) }
}

/// Evaluates a call that gives a scalar.
pub(crate) fn eval_scalar_call<'a>(context: &'a Context<'a>, call: &'a Call, grid: Grid) -> Result<Scalar, EvalError> {
    let Compute::Scalar(how) = compute(call.function) else { return Err(wrong_type(call)) };
    Ok(match how {
        ScalarCompute::Query(f) => Scalar::Constant(f(context.bounds)),
        ScalarCompute::StepTime => Scalar::Steps((0..grid.count).map(|i| grid.time(i) as f64 / 1000.0).collect()),
        ScalarCompute::Pair(f) => {
            let (a, b) = (eval_scalar(context, &call.args[0], grid)?, eval_scalar(context, &call.args[1], grid)?);
            a.zip(&b, grid.count, f)
        }
        ScalarCompute::Only => {
            let mut values = vec![f64::NAN; grid.count];
            let mut seen = vec![0u8; grid.count];
            eval_vector(context, &call.args[0], grid)?.each(context, |_, cells, _| {
                for i in 0..cells.len() {
                    // Histograms do not count.
                    if cells.kinds[i] != FLOAT {
                        continue;
                    }
                    seen[i] = seen[i].saturating_add(1);
                    values[i] = if seen[i] == 1 { cells.values[i] } else { f64::NAN };
                }
                Ok(())
            })?;
            Scalar::Steps(values)
        }
    })
}

/// Evaluates a call that gives an instant vector.
pub(crate) fn eval_call<'a>(context: &'a Context<'a>, call: &'a Call, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let Compute::Vector(how) = compute(call.function) else { return Err(wrong_type(call)) };
    match how {
        VectorCompute::Elementwise(f) => each_float(context, &call.args[0], grid, f),
        VectorCompute::Date(f) => match call.args.first() {
            Some(arg) => each_float(context, arg, grid, f),
            None => Ok(unlabelled(grid, |i| f(grid.time(i) as f64 / 1000.0))),
        },
        VectorCompute::Figure(f) => {
            let vector = eval_vector(context, &call.args[0], grid)?;
            map_rows(context, vector, true, move |cells, _, _| histogram::summarise(cells, f))
        }
        VectorCompute::Number => {
            let scalar = eval_scalar(context, &call.args[0], grid)?;
            Ok(unlabelled(grid, |i| scalar.at(i)))
        }
        VectorCompute::Window(kernel) => range::eval_range_function(context, call, grid, kernel),
        VectorCompute::Cells(evaluate)
        | VectorCompute::Series(evaluate)
        | VectorCompute::Rows(evaluate)
        | VectorCompute::Histograms(evaluate)
        | VectorCompute::Labels(evaluate) => evaluate(context, call, grid),
    }
}

/// The parser has seen to it that calls have the type that is wanted.
fn wrong_type(call: &Call) -> EvalError {
    EvalError::execution(format!("{} has a value of another type", call.function.name()))
}

fn each_float<'a>(
    context: &'a Context<'a>,
    arg: &'a Expr,
    grid: Grid,
    f: fn(f64) -> f64,
) -> Result<Vector<'a>, EvalError> {
    let vector = eval_vector(context, arg, grid)?;
    map_rows(context, vector, true, move |cells, _, _| {
        cells.drop_histograms();
        for value in &mut cells.values {
            *value = f(*value);
        }
    })
}

/// One series without labels.
fn unlabelled<'a>(grid: Grid, value: impl Fn(usize) -> f64) -> Vector<'a> {
    let mut cells = Cells::empty(grid.count);
    (0..grid.count).for_each(|i| cells.set(i, value(i)));
    Vector::Kept(vec![Row { labels: Labels::empty(), drop_name: false, cells }])
}

fn start_timestamp<'a>(context: &'a Context<'a>, call: &'a Call, grid: Grid) -> Result<Vector<'a>, EvalError> {
    match call.args[0].unwrap_parens() {
        Expr::Vector(selector) => sample_field(context, selector, grid, SampleField::StartTimestamp),
        other => {
            eval_vector(context, other, grid)?.each(context, |_, _, _| Ok(()))?;
            Ok(Vector::none())
        }
    }
}

fn timestamp<'a>(context: &'a Context<'a>, call: &'a Call, grid: Grid) -> Result<Vector<'a>, EvalError> {
    if let Expr::Vector(selector) = call.args[0].unwrap_parens() {
        return sample_field(context, selector, grid, SampleField::Timestamp);
    }
    let vector = eval_vector(context, &call.args[0], grid)?;
    map_rows(context, vector, true, move |cells, _, _| {
        for i in 0..cells.len() {
            if cells.kinds[i] != EMPTY {
                cells.set(i, grid.time(i) as f64 / 1000.0);
            }
        }
        cells.histograms.clear();
    })
}

fn sample_field<'a>(
    context: &'a Context<'a>,
    selector: &mytsdb_promql_syntax::VectorSelector,
    grid: Grid,
    field: SampleField,
) -> Result<Vector<'a>, EvalError> {
    let rows = select_instant(context, selector, grid, field)?;
    map_rows(context, rows, true, |_, _, _| {})
}

/// The text of a string argument.
pub(super) fn string_arg(expr: &Expr) -> Result<&[u8], EvalError> {
    match expr.unwrap_parens() {
        Expr::String(text) => Ok(&text.value),
        _ => Err(EvalError::execution("expected a string literal")),
    }
}
