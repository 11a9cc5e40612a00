//! Calls of functions: their arguments in the order of evaluation, and the operator that each of them is.

use super::{Run, eval_range, eval_scalar, eval_vector};
use crate::error::EvalError;
use crate::kernels::grid::Grid;
use crate::kernels::kernel::Kernel;
use crate::kernels::scalar::Scalar;
use crate::operators::functions::absent::{absent, absent_over_time};
use crate::operators::functions::histogram_quantile::{self, Places, quantiles_label};
use crate::operators::functions::info::info;
use crate::operators::functions::label::{Join, Replace};
use crate::operators::functions::range::{WindowFunction, each_window};
use crate::operators::functions::sort::{Sorted, by_label, by_value};
use crate::operators::functions::{
    HistogramFunction, LabelFunction, ScalarCompute, VectorCompute, computed_times, each_float, each_histogram, only,
    sample_times, step_times, unlabelled,
};
use crate::operators::selector::select_instant;
use crate::plan::{Kind, NodeId, shift};
use crate::rows::vector::Vector;
use mytsdb_model::Matcher;
use mytsdb_promql_syntax::{Function, PosRange, ValueType};

/// Evaluates a call that gives a scalar.
pub(super) fn eval_scalar_call<'a>(
    run: &'a Run<'a>,
    how: ScalarCompute,
    args: &[NodeId],
    grid: Grid,
) -> Result<Scalar, EvalError> {
    Ok(match how {
        ScalarCompute::Query(f) => Scalar::Constant(f(run.context.bounds)),
        ScalarCompute::StepTime => step_times(grid),
        ScalarCompute::Pair(f) => {
            let (a, b) = (eval_scalar(run, args[0], grid)?, eval_scalar(run, args[1], grid)?);
            a.zip(&b, grid.count, f)
        }
        ScalarCompute::Only => only(&run.context, &eval_vector(run, args[0], grid)?, grid)?,
    })
}

/// Evaluates a call that gives an instant vector.
pub(super) fn eval_call<'a>(
    run: &'a Run<'a>,
    id: NodeId,
    (function, how): (Function, VectorCompute),
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let (context, args) = (&run.context, &run.node(id).inputs[..]);
    let vector = || eval_vector(run, args[0], grid);
    match how {
        VectorCompute::StepDate(f) => Ok(unlabelled(grid, |i| f(grid.time(i) as f64 / 1000.0))),
        VectorCompute::Elementwise(f) | VectorCompute::Date(f) => each_float(context, vector()?, f),
        VectorCompute::Figure(f) => each_histogram(context, vector()?, f),
        VectorCompute::Number => {
            let scalar = eval_scalar(run, args[0], grid)?;
            Ok(unlabelled(grid, |i| scalar.at(i)))
        }
        VectorCompute::Window(kernel) => eval_windows(run, (function, kernel), args, grid),
        VectorCompute::Bounded(bounded) => {
            let vector = vector()?;
            bounded(context, vector, scalars(run, &args[1..], grid)?)
        }
        VectorCompute::SampleTime(field) => match &run.node(args[0]).kind {
            Kind::Select(_) => sample_times(context, select_instant(context, run.asked(args[0])?, grid, field)?),
            _ => computed_times(context, field, vector()?, grid),
        },
        VectorCompute::Absent { windows: false } => absent(context, &vector()?, matchers(run, args[0]), grid),
        VectorCompute::Absent { windows: true } => {
            absent_over_time(context, &eval_range(run, args[0], grid)?, matchers(run, args[0]))
        }
        VectorCompute::Histograms(function) => eval_histograms(run, id, function, grid),
        VectorCompute::Info => {
            let selection = args.get(1).map_or(&[][..], |arg| matchers(run, *arg));
            info(context, selection, shift(run.tree(), args[0]), vector()?, grid)
        }
        VectorCompute::Labels(LabelFunction::Join) => {
            let join = Join::new(&texts(run, &args[1..])?)?;
            join.apply(context, vector()?)
        }
        VectorCompute::Labels(LabelFunction::Replace) => {
            let replace = Replace::new(context, &texts(run, &args[1..])?)?;
            replace.apply(context, vector()?)
        }
        VectorCompute::Sort { descending } => by_value(context, sorted(run, id, descending), vector()?, grid),
        VectorCompute::SortByLabel { descending } => {
            let names = texts(run, &args[1..])?.into_iter();
            let names: Vec<String> = names.map(|name| String::from_utf8_lossy(name).into_owned()).collect();
            by_label(context, sorted(run, id, descending), vector()?, &names)
        }
    }
}

fn sorted(run: &Run<'_>, id: NodeId, descending: bool) -> Sorted {
    let node = run.node(id);
    Sorted { descending, pinned: run.node(node.inputs[0]).traits.pinned, pos: node.pos }
}

fn eval_windows<'a>(
    run: &'a Run<'a>,
    (function, kernel): (Function, Kernel),
    args: &[NodeId],
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let at = WindowFunction::range_index(kernel);
    let vector = eval_range(run, args[at], grid)?;
    let others: Vec<NodeId> = args.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, arg)| *arg).collect();
    let parameter = others.first().map(|arg| run.node(*arg).outer);
    let scalars = scalars(run, &others, grid)?;
    each_window(&run.context, WindowFunction { kernel, function, parameter }, vector, scalars)
}

fn eval_histograms<'a>(
    run: &'a Run<'a>,
    id: NodeId,
    function: HistogramFunction,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let (context, args) = (&run.context, &run.node(id).inputs[..]);
    let place = |arg: &NodeId| run.node(*arg).pos;
    let is_scalar = |arg: &&NodeId| run.node(**arg).value == ValueType::Scalar;
    let scalar_places: Vec<PosRange> = args.iter().filter(is_scalar).map(place).collect();
    let places = |vector: &NodeId| Places { call: run.node(id).pos, vector: place(vector), scalars: &scalar_places };
    match function {
        HistogramFunction::Quantile => {
            let q = eval_scalar(run, args[0], grid)?;
            let vector = eval_vector(run, args[1], grid)?;
            histogram_quantile::quantile(context, places(&args[1]), vector, &q, grid)
        }
        HistogramFunction::Fraction => {
            let bounds = (&eval_scalar(run, args[0], grid)?, &eval_scalar(run, args[1], grid)?);
            let vector = eval_vector(run, args[2], grid)?;
            histogram_quantile::fraction(context, places(&args[2]), vector, bounds, grid)
        }
        HistogramFunction::Quantiles => {
            let label = quantiles_label(text(run, args[1])?)?;
            // Read before the quantiles are evaluated: what is wrong with it comes first.
            let vector = Vector::Kept(eval_vector(run, args[0], grid)?.keep(context)?);
            let quantiles = scalars(run, &args[2..], grid)?;
            histogram_quantile::quantiles(context, places(&args[0]), (vector, &label), &quantiles, grid)
        }
    }
}

fn scalars<'a>(run: &'a Run<'a>, args: &[NodeId], grid: Grid) -> Result<Vec<Scalar>, EvalError> {
    args.iter().map(|arg| eval_scalar(run, *arg, grid)).collect()
}

fn texts<'a>(run: &'a Run<'_>, args: &[NodeId]) -> Result<Vec<&'a [u8]>, EvalError> {
    args.iter().map(|arg| text(run, *arg)).collect()
}

/// The text of a string argument.
fn text<'a>(run: &'a Run<'_>, arg: NodeId) -> Result<&'a [u8], EvalError> {
    match &run.node(arg).kind {
        Kind::Text(text) => Ok(text),
        _ => Err(EvalError::execution("expected a string literal")),
    }
}

/// The matchers of a selector; none of anything else.
fn matchers<'a>(run: &'a Run<'_>, arg: NodeId) -> &'a [Matcher] {
    run.tree().selection(arg).map_or(&[], |selection| &selection.selector.matchers)
}
