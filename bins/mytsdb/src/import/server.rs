//! Imports into a running server, over its API.

use super::{Lines, Target, Totals};
use anyhow::{Context, Result, bail};
use mytsdb_text_format::{Format, JsonLine, Line};
use std::path::Path;
use std::time::Duration;

/// Approximate bytes of text in a request.
const REQUEST_BYTES: usize = 4 << 20;

/// Samples in a request: less than the server takes.
const REQUEST_SAMPLES: u64 = 500_000;

/// How often a request is sent again when the server answers that it is full.
const TRIES: u32 = 20;

const TIMEOUT: Duration = Duration::from_mins(2);

/// A server, and the lines that are still to be sent to it.
pub(super) struct ServerTarget {
    agent: ureq::Agent,
    url: String,
    token: Option<String>,
    lines: Lines,
    text: Vec<u8>,
    samples: u64,
    first_line: u64,
    last_line: u64,
}

impl ServerTarget {
    #[expect(clippy::disallowed_methods, reason = "a file of the caller, not stored data")]
    pub(super) fn new(url: &str, token: Option<&Path>, lines: Lines) -> Result<Self> {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(TIMEOUT));
        let read = |path: &Path| std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()));
        let path = if let Lines::Json = lines { "/api/v1/import" } else { "/api/v1/import/prometheus" };
        Ok(Self {
            agent: config.build().into(),
            url: format!("{}{path}", url.trim_end_matches('/')),
            token: token.map(read).transpose()?.map(|text| format!("Bearer {}", text.trim())),
            lines,
            text: Vec::new(),
            samples: 0,
            first_line: 0,
            last_line: 0,
        })
    }

    fn send(&mut self, totals: &mut Totals) -> Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        let content_type = match self.lines {
            Lines::Text(Format::OpenMetrics) => {
                self.text.extend_from_slice(b"# EOF\n");
                "application/openmetrics-text; version=1.0.0; charset=utf-8"
            }
            Lines::Text(Format::Prometheus) => "text/plain; version=0.0.4; charset=utf-8",
            Lines::Json => "application/jsonl",
        };
        let (mut status, mut answer) = (0, String::new());
        for _ in 0..TRIES {
            let mut request = self.agent.post(&self.url).header("content-type", content_type);
            if let Some(token) = &self.token {
                request = request.header("authorization", token);
            }
            let mut response = request.send(&self.text[..]).with_context(|| format!("send to {}", self.url))?;
            status = response.status().as_u16();
            let wait = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
            answer = response.body_mut().read_to_string().context("read the server's answer")?;
            if !matches!(status, 429 | 503) {
                break;
            }
            std::thread::sleep(Duration::from_secs(wait.unwrap_or(1).min(60)));
        }
        match status {
            204 => totals.stored += self.samples,
            400 => {
                // The last line says how many are stored; the others name lines of this request.
                let said = answer.trim_end().rsplit('\n').next().unwrap_or_default();
                let counts: Vec<u64> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
                let [refused, stored] = counts[..] else { bail!("{}: {}", self.url, answer.trim_end()) };
                totals.refused += refused;
                totals.stored += stored;
                eprintln!(
                    "lines {} to {}, counted from the first:\n{}",
                    self.first_line,
                    self.last_line,
                    answer.trim_end()
                );
            }
            _ => bail!("{} answers {status}: {}", self.url, answer.trim_end()),
        }
        self.text.clear();
        self.samples = 0;
        Ok(())
    }
}

impl ServerTarget {
    fn push(&mut self, line: &[u8], number: u64) {
        if self.text.is_empty() {
            self.first_line = number;
        }
        self.last_line = number;
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
    }

    fn send_if_full(&mut self, totals: &mut Totals) -> Result<()> {
        if self.text.len() >= REQUEST_BYTES || self.samples >= REQUEST_SAMPLES { self.send(totals) } else { Ok(()) }
    }
}

impl Target for ServerTarget {
    fn take(&mut self, line: &[u8], said: Line<'_>, number: u64, totals: &mut Totals) -> Result<()> {
        match said {
            Line::End | Line::Nothing => return Ok(()),
            Line::Sample(_) => self.samples += 1,
            Line::Kind { .. } | Line::Help { .. } | Line::Unit { .. } => {}
        }
        self.push(line, number);
        self.send_if_full(totals)
    }

    fn take_json(&mut self, line: &[u8], said: JsonLine, number: u64, totals: &mut Totals) -> Result<()> {
        let samples = said.columns.len() as u64;
        if self.samples + samples > REQUEST_SAMPLES || self.text.len() + line.len() > REQUEST_BYTES {
            self.send(totals)?;
        }
        self.samples += samples;
        self.push(line, number);
        self.send_if_full(totals)
    }

    fn end_of_file(&mut self, totals: &mut Totals) -> Result<()> {
        self.send(totals)
    }
}
