//! Two vectors with an operator between them, and vectors of histograms.

use super::QueryWriter;

impl QueryWriter<'_> {
    /// One side of a join.
    fn side(&mut self, depth: u32) -> String {
        match self.random.below(4) {
            0 => self.vector(depth),
            1 => {
                let by = self.pick(&["by (job)", "by (instance)", "by (job, instance)"]);
                let op = self.pick(&["sum", "count", "max", "avg", "group"]);
                format!("{op} {by} ({})", self.selector())
            }
            _ => self.selector() + &self.modifiers(),
        }
    }

    pub(super) fn joined(&mut self, depth: u32) -> String {
        let (left, right) = (self.side(depth), self.side(depth));
        if self.random.one_in(4) {
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
        let fill = if self.random.one_in(5) {
            let (a, b) = (self.pick(&["0", "1", "-5", "NaN", "Inf"]), self.pick(&["0", "2"]));
            match self.random.below(4) {
                0 | 1 => format!("fill ({a})"),
                2 => format!("fill_left ({a})"),
                _ => format!("fill_right ({b}) fill_left ({a})"),
            }
        } else {
            String::new()
        };
        format!("({left} {op} {matching} {fill} {right})")
    }

    /// An expression that probably has histograms.
    pub(super) fn histograms(&mut self, depth: u32) -> String {
        let name = self.pick(self.words.histograms);
        let d = depth.saturating_sub(1);
        match self.random.below(12) {
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
                match self.random.below(6) {
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
                let other = match self.random.below(4) {
                    0 => self.pick(&["g", "i"]),
                    1 => format!("{}({}[5m])", self.pick(&["rate", "increase"]), self.pick(self.words.histograms)),
                    _ => self.pick(self.words.histograms),
                };
                let matching = self.pick(&["", "on (instance)", "ignoring (job)"]);
                format!("({name} {op} {matching} {other})")
            }
            _ if depth > 0 => self.vector(d),
            _ => name + &self.modifiers(),
        }
    }
}
