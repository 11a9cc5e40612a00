//! Functions, and what computes each of them: the one place that tells the evaluator and the planner.

pub(crate) mod absent;
pub(crate) mod histogram_quantile;
pub(crate) mod info;
pub(crate) mod label;
mod math;
pub(crate) mod range;
pub(crate) mod sort;

pub(crate) use math::go_max;

use super::mapped::map_rows;
use super::sample_field::SampleField;
use crate::error::EvalError;
use crate::kernels::cells::{Cells, EMPTY, FLOAT, Row};
use crate::kernels::grid::Bounds;
use crate::kernels::grid::Grid;
use crate::kernels::kernel::Kernel;
use crate::kernels::scalar::Scalar;
use crate::kernels::{date, figures};
use crate::rows::context::Context;
use crate::rows::vector::Vector;
use math::go_min;
use mytsdb_histogram::FloatHistogram;
use mytsdb_model::Labels;
use mytsdb_promql_syntax::Function as F;

/// How the value of a call is found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Compute {
    /// It is a scalar.
    Scalar(ScalarCompute),
    /// It is an instant vector.
    Vector(VectorCompute),
}

/// How a scalar is found.
#[derive(Debug, Clone, Copy)]
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
#[derive(Debug, Clone, Copy)]
pub(crate) enum VectorCompute {
    /// Each float by itself.
    Elementwise(fn(f64) -> f64),
    /// Each float by itself, as a time.
    Date(fn(f64) -> f64),
    /// The time of each step.
    StepDate(fn(f64) -> f64),
    /// Each native histogram by itself.
    Figure(fn(&FloatHistogram) -> f64),
    /// A scalar as a series.
    Number,
    /// Window by window.
    Window(Kernel),
    /// Each float and the numbers of its step.
    Bounded(Bounded),
    /// When samples were taken, or their series began.
    SampleTime(SampleField),
    /// From all series, which are read one after the other and forgotten; of windows or of cells.
    Absent { windows: bool },
    /// From rows that are kept and grouped by the histogram they belong to.
    Histograms(HistogramFunction),
    /// From rows that are kept and the info series that match them.
    Info,
    /// All labels at once; the rows pass.
    Labels(LabelFunction),
    /// Rows that are kept, in the order of their floats.
    Sort { descending: bool },
    /// Rows that are kept, in the order of some labels.
    SortByLabel { descending: bool },
}

/// A function of a vector and some scalars, cell by cell while rows are read.
pub(crate) type Bounded = for<'a> fn(&'a Context<'a>, Vector<'a>, Vec<Scalar>) -> Result<Vector<'a>, EvalError>;

/// Which function of whole histograms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HistogramFunction {
    Fraction,
    Quantile,
    Quantiles,
}

/// Which function makes labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LabelFunction {
    Join,
    Replace,
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

/// What computes `function`.
pub(crate) fn compute(function: F) -> Compute {
    use ScalarCompute::{Only, Pair, Query, StepTime};
    use VectorCompute::{
        Absent, Bounded, Date, Elementwise, Figure, Histograms, Info, Labels, Number, SampleTime, Sort, SortByLabel,
        Window,
    };
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
        F::HistogramStddev => Figure(|h| figures::variance(h).sqrt()),
        F::HistogramStdvar => Figure(figures::variance),
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

        F::Absent => Absent { windows: false },
        F::AbsentOverTime => Absent { windows: true },
        F::Clamp => Bounded(math::clamp),
        F::ClampMax => Bounded(math::clamp_max),
        F::ClampMin => Bounded(math::clamp_min),
        F::HistogramFraction => Histograms(HistogramFunction::Fraction),
        F::HistogramQuantile => Histograms(HistogramFunction::Quantile),
        F::HistogramQuantiles => Histograms(HistogramFunction::Quantiles),
        F::Info => Info,
        F::LabelJoin => Labels(LabelFunction::Join),
        F::LabelReplace => Labels(LabelFunction::Replace),
        F::Round => Bounded(math::round),
        F::Sort => Sort { descending: false },
        F::SortByLabel => SortByLabel { descending: false },
        F::SortByLabelDesc => SortByLabel { descending: true },
        F::SortDesc => Sort { descending: true },
        F::StartTimestamp => SampleTime(SampleField::StartTimestamp),
        F::Timestamp => SampleTime(SampleField::Timestamp),
        F::Vector => Number,
    };
    Compute::Vector(vector)
}

/// The time of each step, in seconds.
pub(crate) fn step_times(grid: Grid) -> Scalar {
    Scalar::Steps((0..grid.count).map(|i| grid.time(i) as f64 / 1000.0).collect())
}

/// The float of the only series of each step, NaN where there are none or more.
pub(crate) fn only<'a>(context: &'a Context<'a>, vector: &Vector<'a>, grid: Grid) -> Result<Scalar, EvalError> {
    let mut values = vec![f64::NAN; grid.count];
    let mut seen = vec![0u8; grid.count];
    vector.each(context, |_, cells, _| {
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
    Ok(Scalar::Steps(values))
}

/// What `f` makes of each float.
pub(crate) fn each_float<'a>(
    context: &'a Context<'a>,
    vector: Vector<'a>,
    f: fn(f64) -> f64,
) -> Result<Vector<'a>, EvalError> {
    map_rows(context, vector, true, move |cells, _, _| {
        cells.drop_histograms();
        for value in &mut cells.values {
            *value = f(*value);
        }
    })
}

/// What `f` makes of each histogram.
pub(crate) fn each_histogram<'a>(
    context: &'a Context<'a>,
    vector: Vector<'a>,
    f: fn(&FloatHistogram) -> f64,
) -> Result<Vector<'a>, EvalError> {
    map_rows(context, vector, true, move |cells, _, _| figures::summarise(cells, f))
}

/// One series without labels.
pub(crate) fn unlabelled<'a>(grid: Grid, value: impl Fn(usize) -> f64) -> Vector<'a> {
    let mut cells = Cells::empty(grid.count);
    (0..grid.count).for_each(|i| cells.set(i, value(i)));
    Vector::Kept(vec![Row { labels: Labels::empty(), drop_name: false, cells }])
}

/// Rows of the times of samples, without their names.
pub(crate) fn sample_times<'a>(context: &'a Context<'a>, selected: Vector<'a>) -> Result<Vector<'a>, EvalError> {
    map_rows(context, selected, true, |_, _, _| {})
}

/// `timestamp` or `start_timestamp` of what no selector gives: the time of the step, or nothing.
pub(crate) fn computed_times<'a>(
    context: &'a Context<'a>,
    field: SampleField,
    vector: Vector<'a>,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    if field == SampleField::StartTimestamp {
        vector.each(context, |_, _, _| Ok(()))?;
        return Ok(Vector::none());
    }
    map_rows(context, vector, true, move |cells, _, _| {
        for i in 0..cells.len() {
            if cells.kinds[i] != EMPTY {
                cells.set(i, grid.time(i) as f64 / 1000.0);
            }
        }
        cells.histograms.clear();
    })
}
