//! A child process with its output in a file. It is killed when its value is dropped.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

/// A running program; dropping it kills it.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts `command` with stdout and stderr appended to `log`.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: &Path) -> anyhow::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "a log of a test run, not data of the store")]
        let log = std::fs::OpenOptions::new().create(true).append(true).open(log).context("log file")?;
        let errors = log.try_clone().context("log file")?;
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        Ok(Self { name, child: child.with_context(|| format!("cannot start {name}"))? })
    }

    /// Fails if the program has ended.
    pub(crate) fn require_running(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait().context("wait")? {
            None => Ok(()),
            Some(status) => bail!("{} has ended: {status}", self.name),
        }
    }

    /// `kill -9`, and waits for the end.
    pub(crate) fn kill(mut self) -> anyhow::Result<()> {
        self.require_running()?;
        self.child.kill().context("kill")?;
        self.child.wait().context("wait")?;
        Ok(())
    }

    /// SIGTERM, and waits for a good end; fails after `patience`.
    pub(crate) fn terminate(mut self, patience: Duration) -> anyhow::Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        let id = id.context("process id out of range")?;
        rustix::process::kill_process(id, rustix::process::Signal::TERM).context("SIGTERM")?;
        let deadline = Instant::now() + patience;
        loop {
            match self.child.try_wait().context("wait")? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("{} ended with {status} after SIGTERM", self.name),
                None if Instant::now() > deadline => bail!("{} ignores SIGTERM", self.name),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killing fails only if the process is gone already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A folder for the files of one part of the test.
#[expect(clippy::disallowed_methods, reason = "files of a test run, not data of the store")]
pub(crate) fn create_dir(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir(path).with_context(|| format!("cannot create {}", path.display()))
}

/// Loopback ports that were free a moment ago, all different.
pub(crate) fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut ports = [0; N];
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        *port = listener.local_addr().context("local address")?.port();
        held.push(listener);
    }
    Ok(ports)
}
