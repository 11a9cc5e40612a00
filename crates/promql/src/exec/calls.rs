//! Calls of functions: their arguments in the order of evaluation, and the operator that each of them is.

use super::{Run, eval_range, eval_scalar, eval_vector};
use crate::error::EvalError;
use crate::eval::functions::absent::{absent, absent_over_time};
use crate::eval::functions::histogram_quantile::{self, Places, quantiles_label};
use crate::eval::functions::info::info;
use crate::eval::functions::label::{Join, Replace};
use crate::eval::functions::range::{Kernel, WindowFunction, each_window};
use crate::eval::functions::sort::{Sorted, by_label, by_value};
use crate::eval::functions::{
    Compute, HistogramFunction, LabelFunction, ScalarCompute, VectorCompute, compute, computed_times, each_float,
    each_histogram, only, sample_times, step_times, unlabelled,
};
use crate::eval::grid::Grid;
use crate::eval::rows::Vector;
use crate::eval::scalar::Scalar;
use crate::eval::selector::{SampleField, select_instant};
use crate::plan::{is_pinned, shift};
use mytsdb_model::Matcher;
use mytsdb_promql_syntax::{Call, Expr, PosRange, ValueType};

/// Evaluates a call that gives a scalar.
pub(super) fn eval_scalar_call<'a>(run: &'a Run<'a>, call: &'a Call, grid: Grid) -> Result<Scalar, EvalError> {
    let Compute::Scalar(how) = compute(call.function) else { return Err(wrong_type(call)) };
    Ok(match how {
        ScalarCompute::Query(f) => Scalar::Constant(f(run.context.bounds)),
        ScalarCompute::StepTime => step_times(grid),
        ScalarCompute::Pair(f) => {
            let (a, b) = (eval_scalar(run, &call.args[0], grid)?, eval_scalar(run, &call.args[1], grid)?);
            a.zip(&b, grid.count, f)
        }
        ScalarCompute::Only => only(&run.context, &eval_vector(run, &call.args[0], grid)?, grid)?,
    })
}

/// Evaluates a call that gives an instant vector.
pub(super) fn eval_call<'a>(run: &'a Run<'a>, call: &'a Call, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let Compute::Vector(how) = compute(call.function) else { return Err(wrong_type(call)) };
    let context = &run.context;
    let vector = || eval_vector(run, &call.args[0], grid);
    match how {
        VectorCompute::Date(f) if call.args.is_empty() => Ok(unlabelled(grid, |i| f(grid.time(i) as f64 / 1000.0))),
        VectorCompute::Elementwise(f) | VectorCompute::Date(f) => each_float(context, vector()?, f),
        VectorCompute::Figure(f) => each_histogram(context, vector()?, f),
        VectorCompute::Number => {
            let scalar = eval_scalar(run, &call.args[0], grid)?;
            Ok(unlabelled(grid, |i| scalar.at(i)))
        }
        VectorCompute::Window(kernel) => eval_windows(run, call, grid, kernel),
        VectorCompute::Bounded(bounded) => {
            let vector = vector()?;
            bounded(context, vector, scalars(run, &call.args[1..], grid)?)
        }
        VectorCompute::SampleTime(field) => match call.args[0].unwrap_parens() {
            Expr::Vector(selector) => sample_times(context, select_instant(context, run.asked(selector), grid, field)?),
            other => eval_computed_times(run, call, other, grid, field),
        },
        VectorCompute::Absent { windows: false } => absent(context, &vector()?, matchers(&call.args[0]), grid),
        VectorCompute::Absent { windows: true } => {
            absent_over_time(context, &eval_range(run, &call.args[0], grid)?, matchers(&call.args[0]))
        }
        VectorCompute::Histograms(function) => eval_histograms(run, call, grid, function),
        VectorCompute::Info => {
            let selection = call.args.get(1).map_or(&[][..], matchers);
            info(context, selection, shift(&call.args[0]), vector()?, grid)
        }
        VectorCompute::Labels(LabelFunction::Join) => {
            let join = Join::new(&texts(&call.args[1..])?)?;
            join.apply(context, vector()?)
        }
        VectorCompute::Labels(LabelFunction::Replace) => {
            let replace = Replace::new(context, &texts(&call.args[1..])?)?;
            replace.apply(context, vector()?)
        }
        VectorCompute::Sort { descending } => by_value(context, sorted(call, descending), vector()?, grid),
        VectorCompute::SortByLabel { descending } => {
            let names: Vec<String> =
                texts(&call.args[1..])?.into_iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            by_label(context, sorted(call, descending), vector()?, &names)
        }
    }
}

fn sorted(call: &Call, descending: bool) -> Sorted {
    Sorted { descending, pinned: is_pinned(&call.args[0], false), pos: call.pos }
}

/// `timestamp` and its like, of anything but a selector.
fn eval_computed_times<'a>(
    run: &'a Run<'a>,
    call: &'a Call,
    inner: &'a Expr,
    grid: Grid,
    field: SampleField,
) -> Result<Vector<'a>, EvalError> {
    let arg = if field == SampleField::Timestamp { &call.args[0] } else { inner };
    computed_times(&run.context, field, eval_vector(run, arg, grid)?, grid)
}

fn eval_windows<'a>(run: &'a Run<'a>, call: &'a Call, grid: Grid, kernel: Kernel) -> Result<Vector<'a>, EvalError> {
    let at = WindowFunction::range_index(kernel);
    let vector = eval_range(run, &call.args[at], grid)?;
    let others: Vec<&Expr> = call.args.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, arg)| arg).collect();
    let parameter = others.first().map(|arg| arg.pos());
    let scalars = others.into_iter().map(|arg| eval_scalar(run, arg, grid)).collect::<Result<_, _>>()?;
    each_window(&run.context, WindowFunction { kernel, function: call.function, parameter }, vector, scalars)
}

fn eval_histograms<'a>(
    run: &'a Run<'a>,
    call: &'a Call,
    grid: Grid,
    function: HistogramFunction,
) -> Result<Vector<'a>, EvalError> {
    let (context, args) = (&run.context, &call.args[..]);
    let place = |arg: &Expr| arg.unwrap_parens().pos();
    let is_scalar = |arg: &&Expr| arg.value_type() == ValueType::Scalar;
    let scalar_places: Vec<PosRange> = args.iter().filter(is_scalar).map(place).collect();
    let places = |vector: &Expr| Places { call: call.pos, vector: place(vector), scalars: &scalar_places };
    match function {
        HistogramFunction::Quantile => {
            let q = eval_scalar(run, &args[0], grid)?;
            let vector = eval_vector(run, &args[1], grid)?;
            histogram_quantile::quantile(context, places(&args[1]), vector, &q, grid)
        }
        HistogramFunction::Fraction => {
            let bounds = (&eval_scalar(run, &args[0], grid)?, &eval_scalar(run, &args[1], grid)?);
            let vector = eval_vector(run, &args[2], grid)?;
            histogram_quantile::fraction(context, places(&args[2]), vector, bounds, grid)
        }
        HistogramFunction::Quantiles => {
            let label = quantiles_label(text(&args[1])?)?;
            // Read before the quantiles are evaluated: what is wrong with it comes first.
            let vector = Vector::Kept(eval_vector(run, &args[0], grid)?.keep(context)?);
            let quantiles = scalars(run, &args[2..], grid)?;
            histogram_quantile::quantiles(context, places(&args[0]), (vector, &label), &quantiles, grid)
        }
    }
}

fn scalars<'a>(run: &'a Run<'a>, args: &'a [Expr], grid: Grid) -> Result<Vec<Scalar>, EvalError> {
    args.iter().map(|arg| eval_scalar(run, arg, grid)).collect()
}

fn texts(args: &[Expr]) -> Result<Vec<&[u8]>, EvalError> {
    args.iter().map(text).collect()
}

/// The text of a string argument.
fn text(arg: &Expr) -> Result<&[u8], EvalError> {
    match arg.unwrap_parens() {
        Expr::String(text) => Ok(&text.value),
        _ => Err(EvalError::execution("expected a string literal")),
    }
}

/// The matchers of a selector; none of anything else.
fn matchers(arg: &Expr) -> &[Matcher] {
    match arg.unwrap_parens() {
        Expr::Vector(selector) => &selector.matchers,
        Expr::Matrix(matrix) => &matrix.selector.matchers,
        _ => &[],
    }
}

/// The parser has seen to it that calls have the type that is wanted.
fn wrong_type(call: &Call) -> EvalError {
    EvalError::execution(format!("{} has a value of another type", call.function.name()))
}
