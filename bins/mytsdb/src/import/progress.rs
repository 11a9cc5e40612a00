//! The progress of an import, shown on a terminal.

use super::files::TextFile;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(200);

/// Lines between two looks at the clock.
const LINES_PER_LOOK: u32 = 1_000;

const WIDTH: u64 = 30;

/// The bar of one file.
pub(super) struct Progress {
    name: String,
    bytes: u64,
    shown: bool,
    began: Instant,
    next: Instant,
    lines: u32,
    stored_before: Option<u64>,
}

impl Progress {
    pub(super) fn new(path: &Path, bytes: u64, quiet: bool) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let now = Instant::now();
        let shown = !quiet && std::io::stderr().is_terminal();
        Self { name, bytes, shown, began: now, next: now, lines: 0, stored_before: None }
    }

    /// To be called for every line; it mostly only counts.
    pub(super) fn at(&mut self, file: &TextFile, stored: u64) {
        let before = *self.stored_before.get_or_insert(stored);
        self.lines += 1;
        if !self.shown || !self.lines.is_multiple_of(LINES_PER_LOOK) || Instant::now() < self.next {
            return;
        }
        self.next = Instant::now() + EVERY;
        let bar = bar(&self.name, file.bytes_read(), self.bytes, stored - before, self.began.elapsed());
        draw(&format!("\r{bar}\x1b[K"));
    }

    /// Shows a line that stays.
    pub(super) fn note(&mut self, text: &str) {
        if self.shown {
            draw("\r\x1b[K");
        }
        eprintln!("{text}");
    }

    pub(super) fn end(&mut self, stored: u64) {
        if self.shown {
            let stored = stored - self.stored_before.unwrap_or(stored);
            let bar = bar(&self.name, self.bytes, self.bytes, stored, self.began.elapsed());
            draw(&format!("\r{bar}\x1b[K\n"));
        }
    }
}

/// Writes to the terminal. If the terminal is gone, the import goes on without it.
fn draw(text: &str) {
    let mut out = std::io::stderr().lock();
    if out.write_all(text.as_bytes()).is_ok() {
        out.flush().unwrap_or_default();
    }
}

fn bar(name: &str, read: u64, all: u64, samples: u64, elapsed: Duration) -> String {
    let permille = (read.min(all) * 1_000).checked_div(all).unwrap_or(0);
    let full = permille * WIDTH / 1_000;
    let bar: String = (0..WIDTH).map(|at| if at < full { '#' } else { '-' }).collect();
    let rate = samples as f64 / elapsed.as_secs_f64().max(0.001);
    format!("{name} [{bar}] {:>3} %, {samples} samples, {rate:.0}/s", permille / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_long_as_what_was_read() {
        let half = bar("a", 50, 100, 2_000, Duration::from_secs(2));
        assert_eq!(half, format!("a [{}{}]  50 %, 2000 samples, 1000/s", "#".repeat(15), "-".repeat(15)));
        assert!(bar("a", 7, 0, 0, Duration::ZERO).contains(" 0 %"), "a pipe has no size");
        assert!(bar("a", 101, 100, 0, Duration::ZERO).contains("100 %"));
    }
}
