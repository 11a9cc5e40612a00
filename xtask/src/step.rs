//! Named steps that run one after the other and tell how long each took.

use std::time::{Duration, Instant};

/// Runs steps until one fails; remembers their times.
#[derive(Default)]
pub(crate) struct Steps {
    finished: Vec<(&'static str, Duration)>,
}

impl Steps {
    /// Runs one step.
    ///
    /// # Errors
    ///
    /// What `work` fails with, under the step's name.
    pub(crate) fn run(&mut self, name: &'static str, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        eprintln!("== {name}");
        let start = Instant::now();
        let result = work();
        let took = start.elapsed();
        eprintln!("== {name}: {}, {:.1} s", if result.is_ok() { "ok" } else { "FAILED" }, took.as_secs_f64());
        self.finished.push((name, took));
        result.map_err(|error| error.context(format!("step {name}")))
    }

    /// One line per finished step, then the sum.
    pub(crate) fn summary(&self) -> String {
        let line = |name: &str, took: Duration| format!("{name:<12} {:>7.1} s\n", took.as_secs_f64());
        let sum = self.finished.iter().map(|(_, took)| *took).sum();
        self.finished.iter().map(|(name, took)| line(name, *took)).chain([line("all", sum)]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_is_named_in_the_error_and_the_summary() {
        let mut steps = Steps::default();
        steps.run("first", || Ok(())).unwrap();
        let error = steps.run("second", || anyhow::bail!("broken")).unwrap_err();
        assert_eq!(format!("{error:#}"), "step second: broken");
        let names: Vec<String> =
            steps.summary().lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
        assert_eq!(names, ["first", "second", "all"]);
    }
}
