//! Kernels whose instructions are counted: a program that runs one of them as often as it is told to; and how benches are run.

use std::process::ExitCode;

/// A name, and what sets the kernel up, runs it so many times within [`measured`], and asserts its result.
pub type Kernel = (&'static str, fn(u64));

/// Runs `body` so many times. Instructions are counted in this function alone, which is found by its name.
#[inline(never)]
pub fn measured(times: u64, mut body: impl FnMut()) {
    for _ in 0..times {
        body();
    }
}

/// The body of such a program: without arguments it prints the names, with `NAME TIMES` it runs that kernel.
/// # Errors
///
/// If the arguments are neither, which it says on stderr.
#[must_use]
pub fn kernels(all: &[Kernel]) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match chosen(all, &arguments) {
        Ok(None) => all.iter().for_each(|(name, _)| println!("{name}")),
        Ok(Some((kernel, times))) => (kernel.1)(times),
        Err(why) => {
            eprintln!("error: {why}; without arguments the names are printed");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// Whether a bench is measured, which `cargo bench` says to it; run by a test, once, it can do with less data.
#[must_use]
pub fn is_measured() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

fn chosen(all: &[Kernel], arguments: &[String]) -> Result<Option<(Kernel, u64)>, String> {
    match arguments {
        [] => Ok(None),
        [name, times] => {
            let kernel = all.iter().find(|(known, _)| known == name).ok_or_else(|| format!("no kernel {name}"))?;
            let times = times.parse().map_err(|error| format!("{times}: {error}"))?;
            Ok(Some((*kernel, times)))
        }
        _ => Err("a kernel and how many times".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_is_chosen_by_its_name() {
        let all: [Kernel; 2] = [("a", |_| {}), ("b", |_| {})];
        let chosen = |text: &str| chosen(&all, &text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(chosen("").map(|found| found.is_none()), Ok(true));
        assert_eq!(chosen("b 7").map(|found| found.map(|(_, times)| times)), Ok(Some(7)));
        assert_eq!(chosen("c 7").map(|_| ()), Err("no kernel c".to_owned()));
        assert!(chosen("a").is_err() && chosen("a x").is_err() && chosen("a 1 2").is_err());
    }
}
