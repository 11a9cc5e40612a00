//! The row of a function, and the families of rows: what a row does not say is the answer that forbids every rewrite.

use crate::ast::ValueType::{self, Matrix, Scalar, Vector};

/// Everything there is to say about a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionRow {
    /// The name, in lower case.
    pub name: &'static str,
    /// Types of the arguments.
    pub args: &'static [ValueType],
    /// 0: all of `args` are needed. Otherwise the last one is optional and may be given up to `variadic` times
    /// (-1: any number of times).
    pub variadic: i8,
    /// Type of the result.
    pub returns: ValueType,
    /// One sentence for people.
    pub doc: &'static str,
    /// Whether Prometheus asks for a feature flag.
    pub experimental: bool,
    /// What becomes of the labels of the series that come in.
    pub labels: LabelUse,
    /// What makes one step different from another.
    pub steps: StepUse,
    /// Whether the order in which series come in may be seen in the result: of equal labels or values the first one wins.
    pub order_sensitive: bool,
    /// Which samples it looks at; it leaves out the others.
    pub samples: SampleUse,
    /// Which part of a histogram it looks at.
    pub buckets: BucketUse,
    /// Whether it remarks on metrics whose names are not those of counters.
    pub wants_counter: bool,
    /// Whether the window may be `anchored`.
    pub anchored: bool,
    /// Whether the window may be `smoothed`.
    pub smoothed: bool,
}

/// What becomes of the labels of the series that come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LabelUse {
    /// All stay.
    Keeps,
    /// The metric name goes, and what describes the metric with it.
    DropsName,
    /// The result has other labels, or series of its own.
    Makes,
    /// The result has no labels: it is a scalar.
    Nothing,
}

/// What makes one step different from another, besides the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepUse {
    /// Nothing: where the arguments are the same, so is the result.
    Arguments,
    /// Nothing within one query, whose bounds and step it looks at.
    Query,
    /// The time of the step.
    Time,
    /// The time of the step if no argument is given. Prometheus takes such functions to look at it always.
    TimeWithoutArgument,
    /// The time of the step, unless the argument is a selector, whose samples have times of their own.
    TimeUnlessSelector,
    /// Nothing but the order of the result, which only a single step has.
    Order,
    /// The first argument alone, and the order as with [`StepUse::Order`].
    FirstArgument,
}

/// Which samples a function looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleUse {
    /// Floats and native histograms.
    All,
    /// Floats alone.
    Floats,
    /// Native histograms alone.
    Histograms,
}

/// Which part of a histogram a function looks at. Where only summaries matter, Prometheus decodes no buckets, which shows in
/// the hints about counter resets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketUse {
    /// Count and sum, or only that there is one.
    Summary,
    /// Its buckets too; and then they matter to everything below.
    Buckets,
    /// What the functions around it look at.
    AsAround,
}

impl FunctionRow {
    /// The function as people write it: `round(instant vector, scalar?) instant vector`.
    pub fn signature(&self) -> String {
        let required = if self.variadic == 0 { self.args.len() } else { self.args.len().saturating_sub(1) };
        let mut args: Vec<String> = self.args[..required].iter().map(|kind| kind.documented().to_owned()).collect();
        if let Some(optional) = self.args.get(required) {
            args.push(format!("{}{}", optional.documented(), if self.variadic == 1 { "?" } else { "…" }));
        }
        format!("{}({}) {}", self.name, args.join(", "), self.returns.documented())
    }

    pub(super) const fn args(self, args: &'static [ValueType]) -> Self {
        Self { args, ..self }
    }

    pub(super) const fn variadic(self, variadic: i8) -> Self {
        Self { variadic, ..self }
    }

    pub(super) const fn experimental(self) -> Self {
        Self { experimental: true, ..self }
    }

    pub(super) const fn labels(self, labels: LabelUse) -> Self {
        Self { labels, ..self }
    }

    pub(super) const fn steps(self, steps: StepUse) -> Self {
        Self { steps, ..self }
    }

    pub(super) const fn any_order(self) -> Self {
        Self { order_sensitive: false, ..self }
    }

    pub(super) const fn samples(self, samples: SampleUse) -> Self {
        Self { samples, ..self }
    }

    pub(super) const fn buckets(self, buckets: BucketUse) -> Self {
        Self { buckets, ..self }
    }

    pub(super) const fn wants_counter(self) -> Self {
        Self { wants_counter: true, ..self }
    }

    pub(super) const fn anchored(self) -> Self {
        Self { anchored: true, ..self }
    }

    pub(super) const fn smoothed(self) -> Self {
        Self { smoothed: true, ..self }
    }
}

/// A vector of which nothing may be relied on until the row says so.
pub(super) const fn other(name: &'static str, args: &'static [ValueType], doc: &'static str) -> FunctionRow {
    FunctionRow {
        name,
        args,
        variadic: 0,
        returns: Vector,
        doc,
        experimental: false,
        labels: LabelUse::Makes,
        steps: StepUse::Time,
        order_sensitive: true,
        samples: SampleUse::All,
        buckets: BucketUse::AsAround,
        wants_counter: false,
        anchored: false,
        smoothed: false,
    }
}

/// A number of each step, of numbers.
pub(super) const fn number(name: &'static str, args: &'static [ValueType], doc: &'static str) -> FunctionRow {
    let row = other(name, args, doc).labels(LabelUse::Nothing).steps(StepUse::Arguments).any_order();
    FunctionRow { returns: Scalar, ..row }
}

/// Each sample by itself: series in, the same series out, without their names.
const fn each_sample(name: &'static str, doc: &'static str) -> FunctionRow {
    other(name, &[Vector], doc).labels(LabelUse::DropsName).steps(StepUse::Arguments).any_order()
}

/// A float of each float.
pub(super) const fn elementwise(name: &'static str, doc: &'static str) -> FunctionRow {
    each_sample(name, doc).samples(SampleUse::Floats)
}

/// A calendar field of the times that the floats are, or of the step's own.
pub(super) const fn date(name: &'static str, doc: &'static str) -> FunctionRow {
    elementwise(name, doc).variadic(1).steps(StepUse::TimeWithoutArgument)
}

/// A float of each native histogram.
pub(super) const fn figure(name: &'static str, doc: &'static str) -> FunctionRow {
    each_sample(name, doc).samples(SampleUse::Histograms)
}

/// A time of each sample.
pub(super) const fn time_of_sample(name: &'static str, doc: &'static str) -> FunctionRow {
    each_sample(name, doc).buckets(BucketUse::Summary)
}

/// A sample of each window over floats and histograms.
pub(super) const fn window(name: &'static str, doc: &'static str) -> FunctionRow {
    each_sample(name, doc).args(&[Matrix])
}

/// A float of each window over floats.
pub(super) const fn float_window(name: &'static str, doc: &'static str) -> FunctionRow {
    window(name, doc).samples(SampleUse::Floats)
}
