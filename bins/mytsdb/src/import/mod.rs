//! `mytsdb import`: samples of OpenMetrics files into a data folder or a running server.

mod files;
mod folder;
mod progress;
mod server;

use crate::settings;
use anyhow::{Context, Result, bail};
use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use files::TextFile;
use mytsdb_text_format::{Format, Line, Parser, Sample};
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
        .help("OpenMetrics file, plain or gzip");
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
        .value_parser(["openmetrics", "prometheus"])
        .default_value("openmetrics")
        .help("Format of the files; prometheus has times in milliseconds and no # EOF");
    let shown = ["config", "data_dir", "retention"];
    let settings = settings::arguments().map(move |arg| {
        let hidden = !shown.contains(&arg.get_id().as_str());
        arg.hide(hidden)
    });
    Command::new("import")
        .about("Store samples of OpenMetrics files, of any age within the retention")
        .long_about(
            "Store samples of OpenMetrics files, of any age within the retention. Without --url they go into the data \
             folder, which no server may have open; all settings of the server hold there.",
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

/// Where samples go.
trait Target {
    /// Takes what a line says; `line` is the line itself, `number` its number in the file.
    fn take(&mut self, line: &[u8], said: Line<'_>, number: u64, totals: &mut Totals) -> Result<()>;

    /// Stores what has been taken, before another file begins.
    fn end_of_file(&mut self, totals: &mut Totals) -> Result<()>;
}

pub(crate) fn run(mut matches: ArgMatches) -> Result<()> {
    let files: Vec<PathBuf> = matches.remove_many("file").context("no file")?.collect();
    let url: Option<String> = matches.remove_one("url");
    let token: Option<PathBuf> = matches.remove_one("token_file");
    let format = match matches.remove_one::<String>("format").as_deref() {
        Some("prometheus") => Format::Prometheus,
        _ => Format::OpenMetrics,
    };
    let quiet = matches.get_flag("quiet");
    let mut totals = Totals::default();
    if let Some(url) = url {
        let mut target = server::ServerTarget::new(&url, token.as_deref(), format)?;
        import(&files, format, quiet, &mut target, &mut totals)?;
    } else {
        let config = settings::load(matches)?;
        let mut target = folder::FolderTarget::open(&config)?;
        import(&files, format, quiet, &mut target, &mut totals)?;
        target.close()?;
    }
    let Totals { stored, refused, wrong_lines } = totals;
    println!("{stored} samples stored, {refused} refused, {wrong_lines} lines not read");
    if refused + wrong_lines > 0 {
        bail!("not everything was imported");
    }
    Ok(())
}

fn import(files: &[PathBuf], format: Format, quiet: bool, target: &mut dyn Target, totals: &mut Totals) -> Result<()> {
    for path in files {
        let mut file = TextFile::open(path)?;
        let mut progress = Progress::new(path, file.bytes(), quiet);
        let mut parser = Parser::new(format);
        while let Some(line) = file.next_line().with_context(|| format!("read {}", path.display()))? {
            let read = match line {
                Ok(bytes) => parser.line(bytes).map(|said| (bytes, said)),
                Err(()) => Err(parser.too_long(files::LINE_BYTES_MAX)),
            };
            match read {
                Ok((bytes, said)) => target.take(bytes, said, parser.line_count(), totals)?,
                Err(error) => {
                    totals.wrong_lines += 1;
                    if totals.wrong_lines <= SHOWN_MAX {
                        progress.note(&format!("{}: {error}", path.display()));
                    }
                }
            }
            progress.at(&file, totals.stored);
        }
        target.end_of_file(totals)?;
        progress.end(totals.stored);
        parser.finish().with_context(|| path.display().to_string())?;
    }
    Ok(())
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
