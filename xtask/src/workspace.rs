//! Where the repository is, and how its cargo and its commands are called.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| OsString::from(env!("CARGO_MANIFEST_DIR")));
    Path::new(&own).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The cargo that runs this tool, in the repository's root.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    command.current_dir(root());
    command
}

/// `cargo` with arguments that do not vary.
pub(crate) fn cargo_with(arguments: &[&str]) -> Command {
    let mut command = cargo();
    command.args(arguments);
    command
}

/// Builds the server and what tests and measures it, optimised; returns the folder with the programs.
///
/// All at once: a build of some of them would choose other features of shared libraries, and compile those again.
///
/// # Errors
///
/// If one does not compile.
pub(crate) fn build_programs() -> anyhow::Result<PathBuf> {
    let packages = ["mytsdb", "mytsdb-e2e", "mytsdb-bench"].map(|package| ["--package", package]);
    succeed(cargo_with(&["build", "--profile", "ci"]).args(packages.as_flattened()))?;
    Ok(target_dir().join("ci"))
}

/// Runs to the end with our own stdin, stdout and stderr.
///
/// # Errors
///
/// If the command does not start or does not succeed; the error names the command.
pub(crate) fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("cannot start {}", shown(command)))?;
    ensure!(status.success(), "{} failed: {status}", shown(command));
    Ok(())
}

/// The same, but ends the command by SIGTERM when `most` is over; it ends what it started itself.
///
/// # Errors
///
/// As [`succeed`], and if it took too long.
pub(crate) fn succeed_within(command: &mut Command, most: Duration) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {}", shown(command)))?;
    let mut too_long = false;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if !too_long && begun.elapsed() > most {
            too_long = true;
            succeed(Command::new("kill").arg("-TERM").arg(child.id().to_string()))?;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    ensure!(!too_long, "{} was ended after {:.0} s, all the time there was", shown(command), most.as_secs_f64());
    ensure!(status.success(), "{} failed: {status}", shown(command));
    Ok(())
}

/// The command as one would type it, near enough for a message.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_takes_too_long_is_ended() {
        let error = succeed_within(Command::new("sleep").arg("600"), Duration::from_millis(1)).unwrap_err().to_string();
        assert!(error.contains("sleep 600 was ended after 0 s"), "{error}");
        succeed_within(&mut Command::new("true"), Duration::from_mins(1)).unwrap();
        assert!(succeed_within(&mut Command::new("false"), Duration::from_mins(1)).is_err());
    }
}
