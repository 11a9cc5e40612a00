//! How far a command is, on a terminal.

use super::table::size;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(200);

/// A line that is drawn again and again; nothing if standard error is no terminal.
pub(super) struct Progress {
    verb: &'static str,
    bytes_all: u64,
    bytes: u64,
    files: u64,
    shown: bool,
    next: Instant,
}

impl Progress {
    /// Of work on so many bytes, 0 if that is not known.
    pub(super) fn new(verb: &'static str, bytes_all: u64) -> Self {
        let shown = std::io::stderr().is_terminal();
        Self { verb, bytes_all, bytes: 0, files: 0, shown, next: Instant::now() }
    }

    /// Files and bytes so far.
    pub(super) fn done(&self) -> (u64, u64) {
        (self.files, self.bytes)
    }

    /// Another file is done.
    pub(super) fn file(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
        if self.shown && Instant::now() >= self.next {
            self.next = Instant::now() + EVERY;
            draw(&format!("\r{}\x1b[K", self.line()));
        }
    }

    fn line(&self) -> String {
        let of = if self.bytes_all > 0 { format!(" of {}", size(self.bytes_all)) } else { String::new() };
        format!("{} {} files, {}{of}", self.verb, self.files, size(self.bytes))
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        if self.shown {
            draw("\r\x1b[K");
        }
    }
}

/// Writes to the terminal. If the terminal is gone, the work goes on without it.
fn draw(text: &str) {
    let mut out = std::io::stderr().lock();
    if out.write_all(text.as_bytes()).is_ok() {
        out.flush().unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_much_of_how_much() {
        let mut progress = Progress { shown: false, ..Progress::new("verified", 2048) };
        progress.file(1024);
        progress.file(512);
        assert_eq!(progress.line(), "verified 2 files, 1.5 KiB of 2.0 KiB");
        progress.bytes_all = 0;
        assert_eq!(progress.line(), "verified 2 files, 1.5 KiB");
    }
}
