//! Writes random expressions over the whole language.

use mytsdb_testkit::Random;

const NAMES: [&str; 16] =
    ["c_total", "c_total", "g", "g", "i", "i", "w", "h", "h", "hg", "hc", "hc", "hx", "hx", "b_bucket", "t"];
const DURATIONS: [&str; 13] = ["1s", "15s", "40s", "1m", "2m30s", "5m", "5m", "7m", "10m", "13m20s", "20m", "1h", "90"];
const WINDOWED: [&str; 28] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "max_over_time",
    "min_over_time",
    "avg_over_time",
    "sum_over_time",
    "count_over_time",
    "last_over_time",
    "first_over_time",
    "present_over_time",
    "changes",
    "resets",
    "deriv",
    "integral",
    "stddev_over_time",
    "stdvar_over_time",
    "mad_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
    "ts_of_last_over_time",
    "ts_of_first_over_time",
    "absent_over_time",
    "rate",
    "avg_over_time",
    "sum_over_time",
];
const ELEMENTWISE: [&str; 31] = [
    "abs",
    "ceil",
    "floor",
    "sgn",
    "-",
    "+",
    "timestamp",
    "absent",
    "exp",
    "ln",
    "log2",
    "log10",
    "sqrt",
    "sin",
    "cos",
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "deg",
    "rad",
    "round",
    "start_timestamp",
    "timestamp",
    "absent",
];
const DATES: [&str; 8] =
    ["day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"];
const HISTOGRAM: [&str; 5] =
    ["histogram_avg", "histogram_count", "histogram_sum", "histogram_stddev", "histogram_stdvar"];
const HISTOGRAMS: [&str; 5] = ["h", "hg", "hc", "hx", "b_bucket"];

/// Writes expressions with the numbers of a case.
pub struct Writer<'r>(pub &'r mut Random);

impl Writer<'_> {
    /// A whole query.
    pub fn query(&mut self) -> String {
        let depth = self.0.pick(&[1, 1, 2, 2, 2, 3]);
        match self.0.below(40) {
            0 => self.scalar(depth),
            1 if self.0.one_in(3) => {
                let (selector, window) = (self.selector(), self.duration());
                let word = self.pick(&["anchored", "smoothed"]);
                format!("{selector}[{window}] {word}{}", self.modifiers())
            }
            1 => self.matrix(1),
            2 => self.pick(&["\"text\"", "'a\\tb'", "`raw`"]),
            3..=4 => {
                let (f, inner) = (self.pick(&["sort", "sort_desc"]), self.vector(depth));
                format!("{f}({inner})")
            }
            5 => {
                let (f, inner) = (self.pick(&["sort_by_label", "sort_by_label_desc"]), self.vector(depth));
                let labels = self.pick(&["", ", \"instance\"", ", \"job\", \"instance\"", ", \"le\"", ", \"version\""]);
                format!("{f}({inner}{labels})")
            }
            6 => {
                let (f, inner, k) = (self.pick(&["topk", "bottomk"]), self.vector(depth), self.count());
                format!("{f}({k}, {inner})")
            }
            // In the order of a map, so what chooses by order must not stand around these.
            7 => {
                let label = self.pick(&["v", "v", "job", "instance", "le", "__name__", "dotted.x"]);
                let (grouping, mut inner) = (self.grouping(), self.vector(depth));
                // Every digit becomes text here, and the last one of these depends on the library and on the processor.
                let inexact = ELEMENTWISE.iter().any(|f| inner.contains(&format!("{f}(")));
                if inexact || ["h", "atan2", "^"].iter().any(|part| inner.contains(part)) {
                    inner = self.pick(&["c_total", "g", "i", "w", "rate(c_total[5m])", "round(g, 0.1)", "h", "hc"]);
                }
                format!("count_values {grouping} (\"{label}\", {inner})")
            }
            8 => {
                let (label, a, b) = (self.pick(&["q", "q", "job", "le"]), self.quantile(), self.quantile());
                format!("histogram_quantiles({}, \"{label}\", {a}, {b})", self.histograms(depth))
            }
            _ => self.vector(depth),
        }
    }

    fn pick(&mut self, from: &[&str]) -> String {
        self.0.pick(from).to_owned()
    }

    fn duration(&mut self) -> String {
        if self.0.one_in(15) {
            let (a, b) = (self.pick(&DURATIONS), self.pick(&DURATIONS));
            return match self.0.below(9) {
                0 => format!("{a} + {b}"),
                1 => format!("{a} - {b}"),
                2 => format!("{a} * 2"),
                3 => format!("{a} / 3"),
                4 => "step()".to_owned(),
                5 => "step() + 1m".to_owned(),
                6 => format!("max_of(step(), {a})"),
                7 => format!("min_of({a}, range())"),
                _ => format!("-({a} - 1h) % 7m ^ 1"),
            };
        }
        self.pick(&DURATIONS)
    }

    fn modifiers(&mut self) -> String {
        let mut parts = Vec::new();
        if self.0.one_in(7) {
            let sign = self.0.pick(&["", "", "", "", "-", "-", "--", "+"]);
            let duration = self.duration();
            let simple = !duration.contains([' ', '(']);
            parts.push(if simple {
                format!(" offset {sign}{duration}")
            } else {
                format!(" offset {sign}({duration})")
            });
        }
        if self.0.one_in(10) {
            let at = (super::data::START_MS / 1000 + self.0.below(3_000) as i64).to_string();
            parts.push([" @ ", self.0.pick(&["start()", "end()", &at, &at])].concat());
        }
        if self.0.one_in(2) {
            parts.reverse();
        }
        parts.concat()
    }

    fn name(&mut self) -> String {
        match self.0.below(60) {
            0 => "typed".to_owned(),
            1 => "{\"odd.name\"}".to_owned(),
            2 => "nothing".to_owned(),
            3 => "{__name__=~\"c_total|g\"}".to_owned(),
            4 => "{__name__=~\"h|hc\"}".to_owned(),
            5 => "target_info".to_owned(),
            _ => self.pick(&NAMES),
        }
    }

    fn selector(&mut self) -> String {
        let name = self.name();
        if name.starts_with('{') || !self.0.one_in(4) {
            return name;
        }
        let matchers = self.0.pick(&[
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
        format!("{name}{matchers}")
    }

    fn matrix(&mut self, depth: u32) -> String {
        let window = self.duration();
        let inner = if depth > 0 && self.0.one_in(4) {
            let step = match self.0.below(6) {
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
        if depth > 0 && self.0.one_in(3) {
            let d = depth - 1;
            return match self.0.below(5) {
                0 => format!("scalar({})", self.vector(d)),
                1 => format!("{}({}, {})", self.pick(&["max_of", "min_of"]), self.scalar(d), self.scalar(d)),
                2 => format!("-({})", self.scalar(d)),
                _ => {
                    let op = self.pick(&["+", "-", "*", "/", "%", "^", "atan2", "> bool", "== bool", "!= bool"]);
                    format!("({} {op} {})", self.scalar(d), self.scalar(d))
                }
            };
        }
        match self.0.below(10) {
            0 => self.pick(&["time()", "step()", "start()", "end()", "range()", "pi()"]),
            _ => self.pick(&[
                "0", "1", "2", "-3", "0.5", "100", "NaN", "Inf", "-Inf", "1e300", "0x1F", "5m", "1_000", "-0", "0.1",
                "3", "20",
            ]),
        }
    }

    fn count(&mut self) -> String {
        self.pick(&[
            "1",
            "2",
            "2",
            "3",
            "3",
            "5",
            "1.9",
            "0",
            "-1",
            "100",
            "scalar(i{instance=\"0\"})",
            "NaN",
            "1e10",
            "1e300",
            "scalar(w{instance=\"0\"})",
            "scalar(count(i) - 3)",
            "scalar(nothing)",
        ])
    }

    fn grouping(&mut self) -> String {
        self.pick(&[
            "",
            "",
            "by (job)",
            "by (instance)",
            "without (instance)",
            "without (job)",
            "by (job, __name__)",
            "by ()",
            "without ()",
            "by (le)",
            "without (le)",
            "by (nothing)",
            "by (\"dotted.label\", job)",
            "without (__name__)",
        ])
    }

    fn quantile(&mut self) -> String {
        self.pick(&[
            "0",
            "0.1",
            "0.5",
            "0.5",
            "0.9",
            "0.99",
            "1",
            "-1",
            "1.5",
            "NaN",
            "Inf",
            "scalar(i{instance=\"0\"})",
        ])
    }

    /// An expression that probably has histograms.
    fn histograms(&mut self, depth: u32) -> String {
        let name = self.pick(&HISTOGRAMS);
        let d = depth.saturating_sub(1);
        match self.0.below(12) {
            0..=3 => {
                let f = self.pick(&[
                    "rate",
                    "increase",
                    "irate",
                    "sum_over_time",
                    "avg_over_time",
                    "last_over_time",
                    "first_over_time",
                    "delta",
                    "idelta",
                ]);
                let (window, modifiers) = (self.duration(), self.modifiers());
                match self.0.below(6) {
                    0 => {
                        let inner = self.pick(&["rate", "increase", "sum_over_time", "idelta"]);
                        let step = self.pick(&["15s", "1m", "2m"]);
                        format!("{f}({inner}({name}[{window}])[{}:{step}]{modifiers})", self.duration())
                    }
                    1 => format!("-{f}({name}[{window}]{modifiers})"),
                    _ => format!("{f}({name}[{window}]{modifiers})"),
                }
            }
            4..=6 => format!("{} {} ({name})", self.pick(&["sum", "avg", "sum", "group", "min"]), self.grouping()),
            7 => {
                let (op, grouping) = (self.pick(&["sum", "avg"]), self.grouping());
                format!("{op} {grouping} (rate({name}[{}]))", self.duration())
            }
            8 => format!("({name} {} {})", self.pick(&["</", ">/"]), self.bound()),
            9 => format!("({name} {} {})", self.pick(&["*", "/", "-", "+", "==", ">", "%"]), self.scalar(d)),
            10 => {
                let op = self.pick(&["+", "-", "==", "!=", "== bool", "*", "or", "and", "unless", "</", ">"]);
                let other = self.pick(&["h", "hg", "hc", "hx", "g", "i", "rate(h[5m])", "increase(hc[5m])"]);
                let matching = self.pick(&["", "on (instance)", "ignoring (job)"]);
                format!("({name} {op} {matching} {other})")
            }
            _ if depth > 0 => self.vector(d),
            _ => name + &self.modifiers(),
        }
    }

    fn bound(&mut self) -> String {
        self.pick(&[
            "0",
            "1",
            "2",
            "-1",
            "0.5",
            "5",
            "2.5",
            "-0.3",
            "1e-3",
            "0.0005",
            "10",
            "NaN",
            "Inf",
            "-Inf",
            "1.4142135623730951",
            "4",
            "3",
        ])
    }

    fn vector(&mut self, depth: u32) -> String {
        if depth == 0 {
            return if self.0.one_in(2) { self.selector() + &self.modifiers() } else { self.windowed(0) };
        }
        let d = depth - 1;
        match self.0.below(32) {
            0..=4 => self.windowed(d),
            5..=7 => {
                let op = self.pick(&["sum", "avg", "min", "max", "count", "stddev", "stdvar", "group", "sum", "avg"]);
                let (grouping, inner) = (self.grouping(), self.vector(d));
                if self.0.one_in(2) {
                    format!("{op} {grouping} ({inner})")
                } else {
                    format!("{op}({inner}) {grouping}")
                }
            }
            8 | 9 => {
                let op = self.pick(&["topk", "bottomk", "topk", "bottomk", "limitk"]);
                format!("{op} {} ({}, {})", self.grouping(), self.count(), self.vector(d))
            }
            10 if self.0.one_in(2) => {
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
                if self.0.one_in(2) { format!("({vector} {op} {scalar})") } else { format!("({scalar} {op} {vector})") }
            }
            13..=16 => self.joined(d),
            17 | 18 => {
                let (f, inner) = (self.pick(&ELEMENTWISE), self.vector(d));
                format!("{f}({inner})")
            }
            19 => {
                let f = self.pick(&DATES);
                match self.0.below(3) {
                    0 => format!("{f}()"),
                    1 => format!("{f}(t)"),
                    _ => format!("{f}({})", self.vector(d)),
                }
            }
            20 => match self.0.below(4) {
                0 => format!("clamp({}, {}, {})", self.vector(d), self.scalar(0), self.scalar(0)),
                1 => format!("{}({}, {})", self.pick(&["clamp_min", "clamp_max"]), self.vector(d), self.scalar(d)),
                2 => format!("round({}, {})", self.vector(d), self.scalar(0)),
                _ => format!("vector({})", self.scalar(d)),
            },
            21 | 22 => self.relabelled(d),
            23..=26 => self.of_histograms(depth),
            27 => self.histograms(depth),
            28 => {
                let inner = self.vector(d);
                let data = self.pick(&[
                    "",
                    "",
                    ", {version=~\".+\"}",
                    ", {__name__=\"build_info\"}",
                    ", {__name__=~\".*_info\"}",
                    ", {zone=\"z1\"}",
                    ", {version=\"1.9\"}",
                    ", {commit=~\".*\"}",
                    ", {__name__=~\".*_info\", commit=~\".+\"}",
                    ", {version!=\"1.9\"}",
                ]);
                format!("info({inner}{data})")
            }
            29 => format!("({})", self.vector(d)),
            // No sorts: of a range query the order within a step decides about ties, and is not defined.
            _ => format!("absent({})", self.vector(d)),
        }
    }

    fn of_histograms(&mut self, depth: u32) -> String {
        match self.0.below(6) {
            0 | 1 => format!("histogram_quantile({}, {})", self.quantile(), self.histograms(depth)),
            2 => format!("histogram_fraction({}, {}, {})", self.bound(), self.bound(), self.histograms(depth)),
            _ => {
                let f = self.pick(&HISTOGRAM);
                format!("{f}({})", self.histograms(depth))
            }
        }
    }

    fn relabelled(&mut self, d: u32) -> String {
        let inner = self.vector(d);
        if self.0.one_in(3) {
            let target = self.pick(&["job", "new", "__name__", "dotted.new"]);
            let from = self.pick(&["\"job\", \"instance\"", "\"instance\"", "\"nothing\", \"job\"", "\"__name__\""]);
            let separator = self.pick(&["-", "", "/"]);
            return format!("label_join({inner}, \"{target}\", \"{separator}\", {from})");
        }
        let target = self.pick(&["job", "new", "__name__", "instance", "dotted.new"]);
        let value = self.pick(&["x$1", "$1", "", "${1}y", "$1y", "$0", "$$1", "const", "$name"]);
        let source = self.pick(&["instance", "job", "__name__", "nothing", "le", "dotted.label"]);
        let regex = self.pick(&["([0-4])", "(.*)", "j(.)", ".*", "(?P<name>.)(.*)", "\\\\d", "", "(a)|(.)"]);
        format!("label_replace({inner}, \"{target}\", \"{value}\", \"{source}\", \"{regex}\")")
    }

    /// One side of a join.
    fn side(&mut self, d: u32) -> String {
        match self.0.below(4) {
            0 => self.vector(d),
            1 => {
                let by = self.pick(&["by (job)", "by (instance)", "by (job, instance)"]);
                let op = self.pick(&["sum", "count", "max", "avg", "group"]);
                format!("{op} {by} ({})", self.selector())
            }
            _ => self.selector() + &self.modifiers(),
        }
    }

    fn joined(&mut self, d: u32) -> String {
        let (left, right) = (self.side(d), self.side(d));
        if self.0.one_in(4) {
            let op = self.pick(&["and", "or", "unless"]);
            let matching =
                self.pick(&["", "", "on (instance)", "on (job)", "ignoring (job)", "on ()", "ignoring (le)"]);
            return format!("({left} {op} {matching} {right})");
        }
        let op = self.pick(&[
            "+", "-", "*", "/", "%", "^", "atan2", ">", "<=", "==", "!=", "== bool", "!= bool", "> bool", "< bool",
            "</", ">/",
        ]);
        let matching = self.pick(&[
            "",
            "",
            "on (instance)",
            "on (instance, job)",
            "ignoring (job)",
            "on (job)",
            "on (job) group_left",
            "on (job) group_right",
            "on (instance) group_left (job)",
            "on (instance) group_right (job, le)",
            "on (job) group_left (version)",
            "ignoring (instance) group_left",
            "ignoring (le) group_left",
            "on (instance) group_left (__name__)",
            "on (instance) group_left ()",
        ]);
        let fill = if self.0.one_in(5) {
            let (a, b) = (self.pick(&["0", "1", "-5", "NaN", "Inf"]), self.pick(&["0", "2"]));
            match self.0.below(4) {
                0 | 1 => format!("fill ({a})"),
                2 => format!("fill_left ({a})"),
                _ => format!("fill_right ({b}) fill_left ({a})"),
            }
        } else {
            String::new()
        };
        format!("({left} {op} {matching} {fill} {right})")
    }

    fn windowed(&mut self, depth: u32) -> String {
        match self.0.below(16) {
            0 | 1 => format!("quantile_over_time({}, {})", self.quantile(), self.matrix(depth)),
            2 if self.0.one_in(3) => {
                format!("integral({}, {})", self.matrix(depth), self.pick(&["0", "1", "2", "0.5"]))
            }
            2 => format!("predict_linear({}, {})", self.matrix(depth), self.scalar(0)),
            3 => {
                let (a, b) = (self.pick(&["0.5", "0.1", "0", "1", "2", "NaN"]), self.pick(&["0.3", "0.5", "1", "-1"]));
                format!("double_exponential_smoothing({}, {a}, {b})", self.matrix(depth))
            }
            4 | 5 => {
                let f = self
                    .pick(&["rate", "increase", "delta", "rate", "increase", "delta", "changes", "resets", "irate"]);
                let (word, selector) = (self.pick(&["anchored", "smoothed"]), self.selector());
                format!("{f}({selector}[{}] {word}{})", self.duration(), self.modifiers())
            }
            6 if self.0.one_in(2) => {
                let (selector, word) = (self.selector(), self.pick(&["smoothed", "smoothed", "anchored"]));
                format!("{selector} {word}{}", self.modifiers())
            }
            _ => {
                let f = self.pick(&WINDOWED);
                format!("{f}({})", self.matrix(depth))
            }
        }
    }
}
