//! Writes random expressions over the whole language. Which functions there are and what they take is read from the table.
//!
//! One in some twenty is refused by the parser: what follows a clause without parentheses may be taken for them.

mod calls;
mod digits;
mod joins;
mod literals;
mod planned;
mod words;

pub use words::{Judge, Words};

use digits::enlarges_last_digits;
use mytsdb_promql_syntax::{Function, FunctionRow, LabelUse, ValueType, parse};
use mytsdb_testkit::Random;

/// Writes expressions with the numbers of a case.
#[derive(Debug)]
pub struct QueryWriter<'r> {
    random: &'r mut Random,
    words: &'r Words,
}

impl<'r> QueryWriter<'r> {
    /// A writer of queries about what `words` name.
    pub fn new(random: &'r mut Random, words: &'r Words) -> Self {
        Self { random, words }
    }
}

impl QueryWriter<'_> {
    /// A whole query of any type.
    pub fn query(&mut self) -> String {
        loop {
            let text = self.any_query();
            let fragile = || parse(&text).is_ok_and(|expr| enlarges_last_digits(&expr));
            if self.words.judge == Judge::PlainEvaluation || !fragile() {
                return text;
            }
        }
    }

    fn any_query(&mut self) -> String {
        let depth = self.random.pick(&[1, 1, 2, 2, 2, 3]);
        match self.random.below(40) {
            0 => self.scalar(depth),
            1 if self.random.one_in(3) => {
                let (selector, window) = (self.selector(), self.duration());
                let word = self.pick(&["anchored", "smoothed"]);
                format!("{selector}[{window}] {word}{}", self.modifiers())
            }
            1 => self.matrix(1),
            2 => self.pick(&["\"text\"", "'a\\tb'", "`raw`"]),
            3..=5 => {
                let function = self.function(is_sort);
                self.call(function, depth)
            }
            6 => {
                let (f, inner, k) = (self.pick(&["topk", "bottomk"]), self.vector(depth), self.count());
                format!("{f}({k}, {inner})")
            }
            // In the order of a map, so what chooses by order must not stand around these.
            7 => self.counted_values(depth),
            8 => self.call(Function::HistogramQuantiles, depth),
            9 => self.planned(depth.min(2)),
            _ => self.vector(depth),
        }
    }

    fn pick(&mut self, from: &[&str]) -> String {
        self.random.pick(from).to_owned()
    }

    /// One of the functions whose row is `wanted`.
    fn function(&mut self, wanted: impl Fn(&FunctionRow) -> bool) -> Function {
        let all: Vec<Function> = Function::ALL.into_iter().filter(|function| wanted(function.row())).collect();
        self.random.pick(&all)
    }

    fn counted_values(&mut self, depth: u32) -> String {
        let label = self.pick(&["v", "v", "job", "instance", "le", "__name__", "dotted.x"]);
        let (grouping, mut inner) = (self.grouping(), self.vector(depth));
        if self.words.judge == Judge::OtherProgram {
            // Histograms become text in another way.
            if inner.contains('h') {
                inner = self.pick(&["c_total", "g", "i", "w", "rate(c_total[5m])", "round(g, 0.1)", "h", "hc"]);
            }
        }
        format!("count_values {grouping} (\"{label}\", {inner})")
    }

    fn selector(&mut self) -> String {
        let name = if self.random.one_in(12) { self.pick(self.words.rare) } else { self.pick(self.words.names) };
        if name.starts_with('{') || !self.random.one_in(4) {
            return name;
        }
        let matchers = self.pick(&[
            "{job=\"j0\"}",
            "{job!=\"j1\"}",
            "{instance=~\"[0-3]\"}",
            "{instance=\"1\"}",
            "{instance=\"0\"}",
            "{instance!~\"1|2\",job=\"j0\"}",
            "{job=\"\"}",
            "{job=\"j9\", instance=\"3\"}",
            "{\"instance\"=\"2\"}",
        ]);
        name + &matchers
    }

    fn matrix(&mut self, depth: u32) -> String {
        let window = self.duration();
        let inner = if depth > 0 && self.random.one_in(4) {
            let step = match self.random.below(6) {
                0 => self.duration(),
                _ => self.pick(&["", "13s", "30s", "1m", "2m"]),
            };
            format!("({})[{window}:{step}]", self.vector(depth - 1))
        } else {
            format!("{}[{window}]", self.selector())
        };
        inner + &self.modifiers()
    }

    fn scalar(&mut self, depth: u32) -> String {
        if depth > 0 && self.random.one_in(3) {
            let d = depth - 1;
            return match self.random.below(5) {
                0 | 1 => {
                    let function = self.function(|row| row.returns == ValueType::Scalar && !row.args.is_empty());
                    self.call(function, d)
                }
                2 => format!("-({})", self.scalar(d)),
                _ => {
                    let op = self.pick(&["+", "-", "*", "/", "%", "^", "atan2", "> bool", "== bool", "!= bool"]);
                    format!("({} {op} {})", self.scalar(d), self.scalar(d))
                }
            };
        }
        if self.random.one_in(10) {
            let function = self.function(|row| row.returns == ValueType::Scalar && row.args.is_empty());
            return self.call(function, 0);
        }
        self.pick(&[
            "0", "1", "2", "-3", "0.5", "100", "NaN", "Inf", "-Inf", "1e300", "0x1F", "5m", "1_000", "-0", "0.1", "3",
            "20",
        ])
    }

    /// An instant vector whose tree is hardly higher than `depth`.
    pub fn vector(&mut self, depth: u32) -> String {
        if depth == 0 {
            return if self.random.one_in(2) { self.selector() + &self.modifiers() } else { self.windowed(0) };
        }
        let d = depth - 1;
        match self.random.below(32) {
            0..=4 => self.windowed(d),
            5..=7 => {
                let op = self.pick(&["sum", "avg", "min", "max", "count", "stddev", "stdvar", "group", "sum", "avg"]);
                let (grouping, inner) = (self.grouping(), self.vector(d));
                if self.random.one_in(2) {
                    format!("{op} {grouping} ({inner})")
                } else {
                    format!("{op}({inner}) {grouping}")
                }
            }
            8 | 9 => {
                let op = self.pick(&["topk", "bottomk", "topk", "bottomk", "limitk"]);
                format!("{op} {} ({}, {})", self.grouping(), self.count(), self.vector(d))
            }
            10 if self.random.one_in(2) => {
                format!("quantile {} ({}, {})", self.grouping(), self.quantile(), self.vector(d))
            }
            10 => {
                let ratio = self.pick(&["0", "0.5", "-0.5", "1", "-1", "1.5", "-2", "NaN", "0.2", "-0.8"]);
                format!("limit_ratio {} ({ratio}, {})", self.grouping(), self.vector(d))
            }
            11 | 12 => {
                let op = self.pick(&[
                    "+", "-", "*", "/", "%", "^", "atan2", ">", "<=", "==", "!=", "== bool", "!= bool", "> bool", "<",
                    ">=", "</", ">/",
                ]);
                let (vector, scalar) = (self.vector(d), self.scalar(d));
                if self.random.one_in(2) {
                    format!("({vector} {op} {scalar})")
                } else {
                    format!("({scalar} {op} {vector})")
                }
            }
            13..=16 => self.joined(d),
            17..=22 => self.any_call(d),
            23..=26 => self.of_histograms(d),
            27 => self.histograms(depth),
            28 => self.call(Function::Info, d),
            29 => format!("({})", self.vector(d)),
            30 if self.words.judge == Judge::PlainEvaluation => self.counted_values(d),
            _ => format!("{}({})", self.pick(&["-", "+"]), self.vector(d)),
        }
    }
}

/// Whether a function does nothing but put series in order.
fn is_sort(row: &FunctionRow) -> bool {
    row.labels == LabelUse::Keeps && row.order_sensitive
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_promql_syntax::Expr;
    use std::collections::BTreeSet;

    const WORDS: Words = Words {
        judge: Judge::PlainEvaluation,
        names: &["c_total", "g"],
        rare: &["{__name__=~\"c_total|g\"}"],
        histograms: &["h"],
        integers: "i",
        times: "t",
        infos: &["{version=~\".+\"}"],
        from_s: 0,
        span_s: 600,
    };

    #[test]
    fn every_function_is_written_and_most_of_what_is_written_is_a_query() {
        for judge in [Judge::PlainEvaluation, Judge::OtherProgram] {
            let (words, mut random) = (Words { judge, ..WORDS }, Random::new(1));
            let (mut met, mut ways, mut refused) = (BTreeSet::new(), BTreeSet::new(), 0);
            for _ in 0..6_000 {
                let mut writer = QueryWriter::new(&mut random, &words);
                for text in [writer.query(), writer.planned(2), writer.summed()] {
                    let Ok(expr) = parse(&text) else {
                        refused += 1;
                        continue;
                    };
                    expr.walk(&mut |node| {
                        if let Expr::Call(call) = node {
                            met.insert(call.function);
                            ways.insert((call.function, call.args.len()));
                        }
                        true
                    });
                }
            }
            assert!(refused < 18_000 / 20, "{refused}");
            assert_eq!(met.into_iter().collect::<Vec<_>>(), Function::ALL);
            for function in Function::ALL.into_iter().filter(|function| function.row().variadic != 0) {
                let counts = ways.iter().filter(|(met, _)| *met == function).count();
                assert!(counts > 1, "{} is always called with as many arguments", function.name());
            }
        }
    }

    #[test]
    fn sorts_stand_outside_if_another_program_judges() {
        let (words, mut random) = (Words { judge: Judge::OtherProgram, ..WORDS }, Random::new(2));
        for _ in 0..3_000 {
            let text = QueryWriter::new(&mut random, &words).query();
            let Ok(expr) = parse(&text) else { continue };
            expr.walk(&mut |node| {
                let sorts = |node: &Expr| matches!(node, Expr::Call(call) if is_sort(call.function.row()));
                assert!(!sorts(node) || std::ptr::eq(node, &raw const expr), "{text}");
                true
            });
        }
    }
}
