//! `cargo xtask ci`: the whole gate, each step with its time.

use anyhow::{Context, bail};

use crate::step::Steps;
use crate::workspace::{cargo_with, succeed};
use crate::{bench, conformance, e2e, fuzz, layers, loom, sql, test, tidy};

/// What to run beyond the offline gate.
#[derive(Debug, Default, PartialEq, Eq)]
struct Extras {
    conformance: bool,
    peer: bool,
    e2e_rounds: Option<u32>,
    bench: bool,
    fuzz: bool,
}

/// Kill rounds of the end-to-end test's short form.
const ROUNDS_SHORT: u32 = 5;

/// Runs the gate.
///
/// # Errors
///
/// The first step's that fails.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    let extras = parse(flags)?;
    let mut steps = Steps::default();
    let result = run_steps(&mut steps, &extras);
    eprint!("\n{}", steps.summary());
    result
}

fn run_steps(steps: &mut Steps, extras: &Extras) -> anyhow::Result<()> {
    steps.run("fmt", || succeed(&mut cargo_with(&["fmt", "--all", "--check"])))?;
    steps.run("layers", layers::run)?;
    steps.run("tidy", tidy::run)?;
    steps.run("clippy", || {
        succeed(&mut cargo_with(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
    })?;
    steps.run("fuzz check", fuzz::check)?;
    steps.run("test", || test::run(&[]))?;
    steps
        .run("doc", || succeed(cargo_with(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings")))?;
    steps.run("loom", loom::run)?;
    if extras.conformance {
        steps.run("conformance", conformance::check_floors)?;
    }
    if extras.peer {
        steps.run("peer", conformance::check_peer)?;
    }
    if extras.fuzz {
        steps.run("fuzz", fuzz::short)?;
    }
    if let Some(rounds) = extras.e2e_rounds {
        steps.run("sql", sql::run)?;
        steps.run("e2e", || e2e::run(&["--rounds", &rounds.to_string()]))?;
    }
    if extras.bench {
        steps.run("benches once", bench::criterion::once)?;
        steps.run("bench", bench::smoke::run)?;
    }
    Ok(())
}

fn parse(flags: &[&str]) -> anyhow::Result<Extras> {
    let mut extras = Extras::default();
    let mut rest = flags.iter().peekable();
    while let Some(flag) = rest.next() {
        match *flag {
            "--conformance" => extras.conformance = true,
            "--peer" => extras.peer = true,
            "--bench" => extras.bench = true,
            "--fuzz" => extras.fuzz = true,
            "--e2e" => {
                let number = rest.next_if(|next| !next.starts_with("--"));
                let number = number.map(|n| n.parse().with_context(|| format!("{flag} {n}: not a number")));
                extras.e2e_rounds = Some(number.transpose()?.unwrap_or(ROUNDS_SHORT));
            }
            unknown => bail!("ci: unknown flag {unknown}"),
        }
    }
    Ok(extras)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extras_are_off_unless_asked_for() {
        assert_eq!(parse(&[]).unwrap(), Extras::default());
        let both = parse(&["--e2e", "--conformance"]).unwrap();
        assert_eq!(both, Extras { conformance: true, e2e_rounds: Some(ROUNDS_SHORT), ..Extras::default() });
        assert_eq!(parse(&["--peer"]).unwrap(), Extras { peer: true, ..Extras::default() });
        assert!(parse(&["--bench"]).unwrap().bench);
        assert!(parse(&["--fuzz"]).unwrap().fuzz);
        assert_eq!(parse(&["--e2e", "7"]).unwrap().e2e_rounds, Some(7));
        assert!(parse(&["--e2e", "seven"]).is_err());
        assert!(parse(&["--fast"]).is_err());
    }
}
