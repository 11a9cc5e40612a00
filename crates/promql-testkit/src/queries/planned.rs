//! What the planner looks for: constants, `@`, joins with matchers, subtrees that come again.

use super::{Judge, QueryWriter};

const WINDOWS: [&str; 6] = ["1s", "40s", "1m", "5m", "13m", "1h"];

impl QueryWriter<'_> {
    /// An instant vector in which the planner finds something to do.
    pub fn planned(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self.planned_join();
        }
        match self.random.below(8) {
            0 | 1 => {
                let (a, b) = (self.shareable(), self.shareable());
                let op = self.random.pick(&["/", "-", "+", "== bool", "and", "or", "unless", "> bool"]);
                match self.random.below(6) {
                    0 => format!("{a} / ({a} + {b})"),
                    1 => format!("({a} {op} {b}) or ({b} {op}  ( {a} ))"),
                    2 => format!("{a} == {a}"),
                    3 => format!("{a} or vector(0)"),
                    4 => format!("topk(2, {a} + {b}) {op} ignoring (x) ({a} + {b})"),
                    _ => format!("{a} {op} {a} {op} {b}"),
                }
            }
            2 => {
                let window = format!("{}[{}] {}", self.selector(), self.random.pick(&WINDOWS), self.pinned());
                let function = self.window_function(true);
                let inner = self.call_over(function, Some(&window), 0);
                let mut outer =
                    self.random.pick(&["sum", "max", "count", "topk 3", "sort", "quantile 0.3", "scalar", "sgn"]);
                if outer == "sort" && self.words.judge == Judge::OtherProgram {
                    outer = "abs";
                }
                match outer.split_once(' ') {
                    Some((op, param)) => format!("{op} {} ({param}, {inner})", self.grouping()),
                    None if matches!(outer, "sort" | "sgn" | "abs") => format!("{outer}({inner})"),
                    None if outer == "scalar" => format!("{} * scalar({inner})", self.selector()),
                    None => format!("{outer} {} ({inner})", self.grouping()),
                }
            }
            3 => {
                let (selector, at, constant) = (self.selector(), self.pinned(), self.constant(2));
                let op = self.random.pick(&["+", "*", "/", ">", "<= bool", "^"]);
                format!("({} {op} ({selector} {at}) {op} {constant})", self.planned(depth - 1))
            }
            4 => {
                let (constant, op) = (self.constant(2), self.random.pick(&["+", "*", "/", "^", "%", "> bool", "=="]));
                format!("({}) {op} {constant}", self.planned(depth - 1))
            }
            5 => {
                let one = self.random.pick(&["1", "(2 - 1)", "1.0"]);
                let op = self.random.pick(&["*", "/"]);
                format!("{} {op} {one}", self.shareable())
            }
            6 => {
                let (window, step) = (self.random.pick(&WINDOWS), self.random.pick(&["", "30s", "1m"]));
                let at = if self.random.one_in(2) { self.pinned() } else { String::new() };
                let f = self.random.pick(&["max_over_time", "count_over_time", "last_over_time", "increase"]);
                format!("{f}(({})[{window}:{step}] {at})", self.planned(depth - 1))
            }
            _ => self.planned_join(),
        }
    }

    fn pinned(&mut self) -> String {
        let at = self.time();
        let offset = self.random.pick(&["", "", " offset 1m"]);
        ["@ ", self.random.pick(&["start()", "end()", &at]), offset].concat()
    }

    /// A scalar expression of constants.
    fn constant(&mut self, depth: u32) -> String {
        if depth == 0 {
            return self
                .random
                .pick(&["1", "2", "0.1", "-3", "1e300", "NaN", "Inf", "5m", "pi()", "step()", "end()"])
                .into();
        }
        let (a, b) = (self.constant(depth - 1), self.constant(depth - 1));
        match self.random.below(8) {
            0 => format!("-({a})"),
            1 => format!("max_of({a}, {b})"),
            2 => format!("scalar(vector({a}))"),
            3 => format!("({a} {} bool {b})", self.random.pick(&["==", ">", "<=", "!="])),
            _ => format!("({a} {} {b})", self.random.pick(&["+", "-", "*", "/", "%", "^", "atan2"])),
        }
    }

    /// An aggregation, of few different ones, so that the same comes again.
    fn shareable(&mut self) -> String {
        let op = self.random.pick(&["sum", "max", "avg", "topk 2", "count_values \"v\""]);
        let (name, by) = (self.random.pick(self.words.names), self.random.pick(&["", "by (job) ", "by (instance) "]));
        let inner = if self.random.one_in(2) { format!("rate({name}[5m])") } else { name.to_owned() };
        match op.split_once(' ') {
            Some((op, param)) => format!("{op} {by}({param}, {inner})"),
            None => format!("{op} {by}({inner})"),
        }
    }

    /// One side of a join, with or without a matcher that the other side could use.
    fn planned_side(&mut self) -> String {
        let name = if self.random.one_in(8) { "nothing" } else { self.random.pick(self.words.names) };
        let matcher = self.random.pick(&[
            "",
            "",
            "{job=\"j0\"}",
            "{instance=~\"[0-2]\"}",
            "{instance=\"1\"}",
            "{job=~\"j[01]\",instance!=\"0\"}",
            "{job=\"\"}",
            "{job=\"j9\"}",
        ]);
        let selector = format!("{name}{matcher}");
        match self.random.below(10) {
            0 | 1 => selector,
            2 => format!("rate({selector}[5m])"),
            3 => format!("max_over_time({selector}[5m])"),
            4 => format!("-abs({selector})"),
            5 => format!("topk by (job) (1, {selector})"),
            6 => format!("({selector} > 2)"),
            7 => {
                let by = self.random.pick(&["by (job)", "by (instance)", "by (job, instance)", "without (instance)"]);
                let f = self.random.pick(&["rate", "increase", "changes"]);
                format!("{} {by} ({f}({selector}[5m]))", self.random.pick(&["sum", "count", "max", "avg"]))
            }
            8 => {
                let by = self.random.pick(&["by (job)", "by (instance)", "by (job, instance)", "without (job)"]);
                format!(
                    "{} {by} ({selector})",
                    self.random.pick(&["sum", "count", "group", "quantile"]).replace("quantile", "min")
                )
            }
            _ => {
                let op = self.random.pick(&["+", "and", "unless", "or", "*"]);
                let by = self.random.pick(&["by (job)", "by (instance)", "by (job, instance)"]);
                format!("(sum {by} ({selector}) {op} count {by} ({name}))")
            }
        }
    }

    fn planned_join(&mut self) -> String {
        let (a, b) = (self.planned_side(), self.planned_side());
        let op = self.random.pick(&["+", "/", "*", ">", "== bool", "and", "or", "unless", "unless", "and"]);
        let set = matches!(op, "and" | "or" | "unless");
        let matching = match self.random.below(12) {
            0..=2 => "on (instance)",
            3 => "on (job)",
            4 => "on (job, instance)",
            5 => "ignoring (job)",
            6 => "ignoring (instance)",
            7 if !set => "on (job) group_left ()",
            8 if !set => "on (instance) group_right (job)",
            9 if !set => "on (instance) group_left (job)",
            10 if !set => self.random.pick(&["on (job) fill (1)", "fill_left (2)", "on (instance) fill_right (0)"]),
            _ => "",
        };
        if self.random.one_in(4) {
            let c = self.planned_side();
            let op = self.random.pick(&["+", "and", "unless"]);
            return format!("({a} {op} on (job, instance) {c}) {} {matching} {b}", if set { "and" } else { "*" });
        }
        format!("{a} {op} {matching} {b}")
    }
}
