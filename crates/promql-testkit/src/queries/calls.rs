//! Calls of the functions of the table, with arguments of the types that their rows name.

use super::{Judge, QueryWriter, is_sort};
use mytsdb_promql_syntax::{BucketUse, Function, FunctionRow, SampleUse, StepUse, ValueType};

/// Most optional arguments that are written.
const OPTIONAL_MAX: u64 = 2;

fn has_window(row: &FunctionRow) -> bool {
    row.args.contains(&ValueType::Matrix)
}

/// Whether a function of instant vectors has to do with histograms more than others.
fn wants_histograms(row: &FunctionRow) -> bool {
    !has_window(row) && (row.samples == SampleUse::Histograms || row.buckets == BucketUse::Buckets)
}

/// Whether shortcuts may add the values in another order.
fn adds(function: Function) -> bool {
    matches!(function, Function::SumOverTime | Function::AvgOverTime)
}

impl QueryWriter<'_> {
    /// A call of `function` whose arguments are hardly higher than `depth`.
    pub(super) fn call(&mut self, function: Function, depth: u32) -> String {
        self.call_over(function, None, depth)
    }

    /// The same, over a range vector that is written already.
    pub(super) fn call_over(&mut self, function: Function, window: Option<&str>, depth: u32) -> String {
        let row = function.row();
        let count = match u64::try_from(row.variadic) {
            Ok(0) => row.args.len(),
            most => {
                row.args.len() - 1 + self.random.below(most.map_or(OPTIONAL_MAX, |n| n.min(OPTIONAL_MAX)) + 1) as usize
            }
        };
        let args: Vec<String> = (0..count)
            .map(|at| match (row.args[at.min(row.args.len() - 1)], window) {
                (ValueType::Matrix, Some(window)) => window.to_owned(),
                (ValueType::Matrix, None) if adds(function) && self.words.judge == Judge::PlainEvaluation => {
                    format!("{}[{}]{}", self.words.integers, self.duration(), self.modifiers())
                }
                (ValueType::Matrix, None) => self.matrix(depth),
                (ValueType::Vector, _) if at > 0 => self.pick(self.words.infos),
                (ValueType::Vector, _) => self.input(row, depth),
                (ValueType::Scalar, _) => self.number(function, depth),
                (ValueType::String, _) => self.text(function, at),
            })
            .collect();
        format!("{}({})", row.name, args.join(", "))
    }

    fn input(&mut self, row: &FunctionRow, depth: u32) -> String {
        if wants_histograms(row) && !self.random.one_in(8) {
            return self.histograms(depth + 1);
        }
        if row.steps == StepUse::TimeWithoutArgument && self.random.one_in(3) {
            return self.words.times.to_owned();
        }
        self.vector(depth)
    }

    fn number(&mut self, function: Function, depth: u32) -> String {
        match function {
            Function::QuantileOverTime | Function::HistogramQuantile | Function::HistogramQuantiles => self.quantile(),
            Function::HistogramFraction => self.bound(),
            // To refuse factors, rows are read once more than to use them.
            Function::DoubleExponentialSmoothing if self.words.judge == Judge::PlainEvaluation => {
                self.pick(&["0.5", "0.3", "0.1", "0.9"])
            }
            Function::DoubleExponentialSmoothing => {
                self.pick(&["0.5", "0.1", "0.3", "0.5", "0.5", "0", "1", "2", "-1", "NaN"])
            }
            Function::Integral => self.pick(&["0", "1", "2", "0.5"]),
            Function::MaxOf | Function::MinOf | Function::Vector => self.scalar(depth),
            _ => self.scalar(0),
        }
    }

    fn text(&mut self, function: Function, at: usize) -> String {
        let text = match (function, at) {
            (Function::LabelReplace | Function::LabelJoin, 1) => {
                self.pick(&["job", "new", "__name__", "instance", "dotted.new"])
            }
            (Function::LabelReplace, 2) => self.pick(&["x$1", "$1", "", "${1}y", "$1y", "$0", "$$1", "const", "$name"]),
            (Function::LabelReplace, 4) => {
                self.pick(&["([0-4])", "(.*)", "j(.)", ".*", "(?P<name>.)(.*)", "\\\\d", "", "(a)|(.)"])
            }
            (Function::LabelJoin, 2) => self.pick(&["-", "", "/"]),
            (Function::HistogramQuantiles, _) => self.pick(&["q", "q", "job", "le"]),
            (Function::SortByLabel | Function::SortByLabelDesc, _) => self.pick(&["instance", "job", "le", "version"]),
            _ => self.pick(&["instance", "job", "__name__", "nothing", "le", "dotted.label"]),
        };
        format!("\"{text}\"")
    }

    /// A call of any function of instant vectors or numbers.
    pub(super) fn any_call(&mut self, depth: u32) -> String {
        let nested_sorts = self.words.judge == Judge::PlainEvaluation;
        let function = self
            .function(|row| row.returns == ValueType::Vector && !has_window(row) && (nested_sorts || !is_sort(row)));
        self.call(function, depth)
    }

    /// A call of a function of histograms.
    pub(super) fn of_histograms(&mut self, depth: u32) -> String {
        let function = match self.random.below(4) {
            0 => Function::HistogramQuantile,
            _ => self.function(|row| wants_histograms(row) && row.returns == ValueType::Vector),
        };
        self.call(function, depth)
    }

    /// A function of range vectors. `exact`: not one whose last bits depend on the order of samples.
    pub(super) fn window_function(&mut self, exact: bool) -> Function {
        loop {
            let function = match self.random.below(4) {
                0 => self.function(|row| row.wants_counter),
                _ => self.function(has_window),
            };
            if !(exact && self.words.judge == Judge::PlainEvaluation && adds(function)) {
                return function;
            }
        }
    }

    pub(super) fn windowed(&mut self, depth: u32) -> String {
        match self.random.below(16) {
            0 => self.call(Function::QuantileOverTime, depth),
            1 | 2 => {
                let anchored = self.random.one_in(2);
                // Now and then one that knows the word not.
                let function = match self.random.below(9) {
                    0 => Function::Irate,
                    _ => self.function(|row| if anchored { row.anchored } else { row.smoothed }),
                };
                let word = if anchored { "anchored" } else { "smoothed" };
                let window = format!("{}[{}] {word}{}", self.selector(), self.duration(), self.modifiers());
                self.call_over(function, Some(&window), depth)
            }
            3 if self.random.one_in(2) => {
                let (selector, word) = (self.selector(), self.pick(&["smoothed", "smoothed", "anchored"]));
                format!("{selector} {word}{}", self.modifiers())
            }
            _ => {
                let function = self.window_function(false);
                self.call(function, depth)
            }
        }
    }

    /// A sum or average over windows of any samples, within nothing that would enlarge its last bits.
    pub fn summed(&mut self) -> String {
        let f = self.pick(&["sum", "avg"]);
        let inner = format!("{f}_over_time({})", self.matrix(2));
        match self.random.below(6) {
            0 => format!("max {} ({inner})", self.grouping()),
            1 => format!("min {} ({inner})", self.grouping()),
            2 => format!("abs({inner})"),
            3 => format!("{inner} * 3"),
            _ => inner,
        }
    }
}
