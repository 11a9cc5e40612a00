//! Numbers, durations and clauses.

use super::QueryWriter;

const DURATIONS: [&str; 13] = ["1s", "15s", "40s", "1m", "2m30s", "5m", "5m", "7m", "10m", "13m20s", "20m", "1h", "90"];

impl QueryWriter<'_> {
    pub(super) fn duration(&mut self) -> String {
        if self.random.one_in(15) {
            let (a, b) = (self.pick(&DURATIONS), self.pick(&DURATIONS));
            return match self.random.below(9) {
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

    /// A Unix time at which there are samples, in seconds.
    pub(super) fn time(&mut self) -> String {
        (self.words.from_s + self.random.below(self.words.span_s) as i64).to_string()
    }

    pub(super) fn modifiers(&mut self) -> String {
        let mut parts = Vec::new();
        if self.random.one_in(7) {
            let sign = self.random.pick(&["", "", "", "", "-", "-", "--", "+"]);
            let duration = self.duration();
            let simple = !duration.contains([' ', '(']);
            parts.push(if simple {
                format!(" offset {sign}{duration}")
            } else {
                format!(" offset {sign}({duration})")
            });
        }
        if self.random.one_in(10) {
            let at = self.time();
            parts.push([" @ ", self.random.pick(&["start()", "end()", &at, &at])].concat());
        }
        if self.random.one_in(2) {
            parts.reverse();
        }
        parts.concat()
    }

    /// How many series `topk` and its like choose.
    pub(super) fn count(&mut self) -> String {
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

    pub(super) fn grouping(&mut self) -> String {
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

    pub(super) fn quantile(&mut self) -> String {
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

    /// A bound of observations.
    pub(super) fn bound(&mut self) -> String {
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
}
