//! Expressions of public dashboards and rules: each must be read, and what it is printed as must be the same again.

use crate::score::{Options, Score, read};
use anyhow::ensure;
use mytsdb_promql_syntax::{parse, prettify};
use std::path::Path;

/// Reads `real-expressions.txt` in `dir`: where an expression comes from, a tab, and the expression.
pub fn run(dir: &Path, options: &Options) -> anyhow::Result<Score> {
    let path = dir.join("real-expressions.txt");
    let mut score = Score::default();
    for (number, line) in (1..).zip(read(&path)?.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((source, expression)) = line.split_once('\t') else {
            anyhow::bail!("{}:{number}: no tab", path.display());
        };
        if source.contains(&options.filter) {
            score.check(options, &format!("line {number}, {source}"), &check(expression));
        }
    }
    ensure!(score.total > 0, "no expressions in {}", path.display());
    Ok(score)
}

fn check(expression: &str) -> Result<(), String> {
    let expr = parse(expression).map_err(|e| e.to_string())?;
    let printed = expr.to_string();
    for text in [&printed, &prettify(&expr)] {
        let again = parse(text).map_err(|e| format!("{text}: {e}"))?;
        if again.to_string() != printed {
            return Err(format!("{text} is another expression"));
        }
    }
    Ok(())
}
