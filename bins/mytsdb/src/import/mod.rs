//! `mytsdb import`: samples of OpenMetrics files and of JSON lines into a data folder or a running server.

mod files;
mod folder;
mod progress;
mod server;

use crate::settings;
use anyhow::{Context, Result, bail};
use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use files::TextFile;
use mytsdb_text_format::{Format, JsonLine, Line, Parser, Sample};
use progress::Progress;
use std::path::PathBuf;

/// Wrong lines that are shown.
const SHOWN_MAX: u64 = 10;

/// The command line.
pub(crate) fn command() -> Command {
    let file = Arg::new("file")
        .value_name("FILE")
        .required(true)
        .num_args(1..)
        .value_parser(ValueParser::path_buf())
        .help("File of samples, plain or gzip");
    let url = Arg::new("url")
        .long("url")
        .value_name("URL")
        .help("A running server, such as http://127.0.0.1:9090, instead of a data folder");
    let token = Arg::new("token_file")
        .long("token-file")
        .value_name("FILE")
        .requires("url")
        .value_parser(ValueParser::path_buf())
        .help("File with the bearer token for the server");
    let format = Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .value_parser(["openmetrics", "prometheus", "jsonl"])
        .default_value("openmetrics")
        .help(
            "Format of the files; prometheus has times in milliseconds and no # EOF; jsonl is what `mytsdb export` and \
             VictoriaMetrics write, a series a line",
        );
    let shown = ["config", "data_dir", "retention"];
    let settings = settings::arguments().map(move |arg| {
        let hidden = !shown.contains(&arg.get_id().as_str());
        arg.hide(hidden)
    });
    Command::new("import")
        .about("Store samples of files, of any age within the retention")
        .long_about(
            "Store samples of files, of any age within the retention. Without --url they go into the data folder, which \
             no server may have open; all settings of the server hold there.",
        )
        .args([file, url, token, format])
        .args(settings)
        .arg(
            Arg::new("quiet")
                .long("quiet")
                .action(ArgAction::SetTrue)
                .help("Show no progress; it is shown on terminals only"),
        )
}

/// What became of all lines.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) stored: u64,
    pub(super) refused: u64,
    pub(super) wrong_lines: u64,
}

/// What the lines of the files are.
#[derive(Debug, Clone, Copy)]
enum Lines {
    Text(Format),
    Json,
}

/// Where samples go.
trait Target {
    /// Takes what a line says; `line` is the line itself, `number` its number in the file.
    fn take(&mut self, line: &[u8], said: Line<'_>, number: u64, totals: &mut Totals) -> Result<()>;

    /// The same for a line of JSON.
    fn take_json(&mut self, line: &[u8], said: JsonLine, number: u64, totals: &mut Totals) -> Result<()>;

    /// Stores what has been taken, before another file begins.
    fn end_of_file(&mut self, totals: &mut Totals) -> Result<()>;
}

pub(crate) fn run(mut matches: ArgMatches) -> Result<()> {
    let files: Vec<PathBuf> = matches.remove_many("file").context("no file")?.collect();
    let url: Option<String> = matches.remove_one("url");
    let token: Option<PathBuf> = matches.remove_one("token_file");
    let lines = match matches.remove_one::<String>("format").as_deref() {
        Some("prometheus") => Lines::Text(Format::Prometheus),
        Some("jsonl") => Lines::Json,
        _ => Lines::Text(Format::OpenMetrics),
    };
    let quiet = matches.get_flag("quiet");
    let mut totals = Totals::default();
    if let Some(url) = url {
        let mut target = server::ServerTarget::new(&url, token.as_deref(), lines)?;
        import(&files, lines, quiet, &mut target, &mut totals)?;
    } else {
        let config = settings::load(matches)?;
        let mut target = folder::FolderTarget::open(&config)?;
        import(&files, lines, quiet, &mut target, &mut totals)?;
        target.close()?;
    }
    let Totals { stored, refused, wrong_lines } = totals;
    println!("{stored} samples stored, {refused} refused, {wrong_lines} lines not read");
    if refused + wrong_lines > 0 {
        bail!("not everything was imported");
    }
    Ok(())
}

fn import(files: &[PathBuf], lines: Lines, quiet: bool, target: &mut dyn Target, totals: &mut Totals) -> Result<()> {
    for path in files {
        let line_bytes_max = if let Lines::Json = lines { files::JSON_BYTES_MAX } else { files::LINE_BYTES_MAX };
        let mut file = TextFile::open(path, line_bytes_max)?;
        let mut progress = Progress::new(path, file.bytes(), quiet);
        let mut reader = match lines {
            Lines::Text(format) => Reader::Text(Parser::new(format)),
            Lines::Json => Reader::Json { line_count: 0 },
        };
        while let Some(line) = file.next_line().with_context(|| format!("read {}", path.display()))? {
            if let Err(problem) = reader.take(line.map_err(|()| line_bytes_max), target, totals)? {
                totals.wrong_lines += 1;
                if totals.wrong_lines <= SHOWN_MAX {
                    progress.note(&format!("{}: {problem}", path.display()));
                }
            }
            progress.at(&file, totals.stored);
        }
        target.end_of_file(totals)?;
        progress.end(totals.stored);
        reader.finish().with_context(|| path.display().to_string())?;
    }
    Ok(())
}

/// Reads the lines of one file.
enum Reader {
    Text(Parser),
    Json { line_count: u64 },
}

impl Reader {
    /// Hands what a line says to the target; a line that cannot be read, or has more bytes than may be, is a text within.
    fn take(
        &mut self,
        line: std::result::Result<&[u8], usize>,
        target: &mut dyn Target,
        totals: &mut Totals,
    ) -> Result<std::result::Result<(), String>> {
        match self {
            Self::Text(parser) => {
                let said = match line {
                    Ok(bytes) => parser.line(bytes).map(|said| (bytes, said)),
                    Err(bytes_max) => Err(parser.too_long(bytes_max)),
                };
                match said {
                    Ok((bytes, said)) => target.take(bytes, said, parser.line_count(), totals)?,
                    Err(error) => return Ok(Err(error.to_string())),
                }
            }
            Self::Json { line_count } => {
                *line_count += 1;
                let number = *line_count;
                match line {
                    Ok(bytes) if bytes.trim_ascii().is_empty() => {}
                    Ok(bytes) => match JsonLine::parse(bytes) {
                        Ok(said) => target.take_json(bytes, said, number, totals)?,
                        Err(error) => return Ok(Err(format!("line {number}: {error}"))),
                    },
                    Err(bytes_max) => return Ok(Err(format!("line {number}: a line of more than {bytes_max} bytes"))),
                }
            }
        }
        Ok(Ok(()))
    }

    /// Checks that the file ended as its format wants it.
    fn finish(&self) -> Result<()> {
        match self {
            Self::Text(parser) => Ok(parser.finish()?),
            Self::Json { .. } => Ok(()),
        }
    }
}

/// When a sample without a time was taken.
fn time_of(sample: &Sample, now_ms: i64) -> i64 {
    sample.timestamp_ms.unwrap_or(now_ms)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
