//! `mytsdb export`: samples of a data folder as OpenMetrics or as JSON lines.

mod json_lines;
mod openmetrics;

use crate::cold::{Reads, open_storage};
use crate::settings;
use anyhow::{Context, Result};
use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use mytsdb_columns::Columns;
use mytsdb_engine::{Engine, Selection};
use mytsdb_model::{Exemplar, Labels, Matcher, TimeRange};
use mytsdb_promql_syntax::{ParseOptions, TextLimits, parse_selector};
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use std::collections::{BTreeMap, VecDeque};
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// The command line.
pub(crate) fn command() -> Command {
    let arg = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let shown = ["config", "data_dir", "retention"];
    let settings = settings::arguments().map(move |arg| {
        let hidden = !shown.contains(&arg.get_id().as_str());
        arg.hide(hidden)
    });
    Command::new("export")
        .about("Write samples of a data folder, which no server may have open, as text")
        .arg(
            arg("format", "FORMAT", "openmetrics has no native histograms; jsonl has everything, a line a series")
                .value_parser(["openmetrics", "jsonl"])
                .default_value("openmetrics"),
        )
        .args(chosen())
        .arg(arg("output", "FILE", "Where to write [default: standard output]").value_parser(ValueParser::path_buf()))
        .args(settings)
}

/// Flags that choose series and times.
pub(crate) fn chosen() -> [Arg; 3] {
    let arg = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let series = "Series to write, such as 'up{job=\"a\"}'; may be given more than once [default: all]";
    [
        arg("match", "SELECTOR", series).action(ArgAction::Append),
        arg("start", "TIME", "First time, in seconds since the Unix epoch").value_parser(seconds),
        arg("end", "TIME", "Last time, in seconds since the Unix epoch").value_parser(seconds),
    ]
}

fn seconds(text: &str) -> Result<i64, String> {
    let seconds: f64 = text.parse().map_err(|_| "expected seconds, such as 1700000000.5".to_owned())?;
    let ms = (seconds * 1_000.0).round();
    if ms.abs() < 9e15 { Ok(ms as i64) } else { Err("that is no time of milliseconds".to_owned()) }
}

/// Samples of one series, and its exemplars.
pub(super) struct Series<'a> {
    pub(super) labels: &'a Labels,
    pub(super) columns: &'a Columns,
    pub(super) exemplars: VecDeque<Exemplar>,
}

/// What a format writes.
trait Writer {
    /// The name that a metric is grouped under.
    fn family<'n>(&self, engine: &Engine, name: &'n str) -> &'n str;

    /// Begins a group.
    fn begin(&mut self, engine: &Engine, family: &str, out: &mut String);

    /// Adds a series.
    fn series(&mut self, series: Series<'_>, out: &mut String);

    /// Ends the text, and reports the samples that the format cannot express.
    fn end(&mut self, out: &mut String) -> Option<String>;
}

#[expect(clippy::disallowed_methods, reason = "a file of the caller, not stored data")]
pub(crate) fn run(mut matches: ArgMatches) -> Result<()> {
    let jsonl = matches.remove_one::<String>("format").as_deref() == Some("jsonl");
    let texts: Vec<String> = matches.remove_many("match").map(Iterator::collect).unwrap_or_default();
    let bound = |name: &str| matches.get_one::<i64>(name).copied();
    let range = TimeRange::new(bound("start").unwrap_or(i64::MIN), bound("end").unwrap_or(i64::MAX));
    let output: Option<PathBuf> = matches.remove_one("output");
    let parse = |text: &String| {
        parse_selector(text, ParseOptions::within(TextLimits::DEFAULT)).with_context(|| format!("--match {text}"))
    };
    let selectors: Vec<Vec<Matcher>> = texts.iter().map(parse).collect::<Result<_>>()?;
    let selectors = if selectors.is_empty() { vec![Vec::new()] } else { selectors };
    let config = settings::load(matches)?;
    let (engine, _cold) = open_storage(&config, Reads::Once, &Registry::new())?;
    let out: Box<dyn Write> = match &output {
        Some(path) => Box::new(std::fs::File::create(path).with_context(|| format!("create {}", path.display()))?),
        None => Box::new(std::io::stdout().lock()),
    };
    let mut out = BufWriter::with_capacity(1 << 20, out);
    let mut writer: Box<dyn Writer> =
        if jsonl { Box::new(json_lines::JsonLines) } else { Box::new(openmetrics::OpenMetrics::default()) };
    let missing = export(&engine, &selectors, range, &mut *writer, &mut out)?;
    out.flush().context("write")?;
    for warning in engine.warnings(range).into_iter().chain(missing) {
        eprintln!("mytsdb: {warning}");
    }
    engine.stop().context("close the data folder")
}

/// Writes all series in the order of family, name and labels. A series that several selectors match is written once.
fn export(
    engine: &Engine,
    selectors: &[Vec<Matcher>],
    range: TimeRange,
    writer: &mut dyn Writer,
    out: &mut impl Write,
) -> Result<Option<String>> {
    let selections: Vec<Selection<'_>> =
        selectors.iter().map(|matchers| engine.select(range, matchers)).collect::<Result<_, _>>().context("select")?;
    let mut order = BTreeMap::new();
    for (at, selection) in selections.iter().enumerate() {
        for index in 0..selection.len() {
            let labels = selection.labels(index);
            let name = labels.metric_name();
            order.entry((writer.family(engine, name), name, labels)).or_insert((at, index));
        }
    }
    let exemplars = engine.exemplars(range, selectors, StopSign::NEVER).context("select exemplars")?;
    let mut exemplars: BTreeMap<Labels, Vec<Exemplar>> = exemplars.into_iter().collect();
    let (mut text, mut columns, mut last) = (String::new(), Columns::default(), None);
    for ((family, _, labels), (at, index)) in order {
        columns.clear();
        selections[at].read(index, range, &mut columns).with_context(|| labels.to_string())?;
        if last != Some(family) {
            last = Some(family);
            writer.begin(engine, family, &mut text);
        }
        let exemplars = exemplars.remove(labels).unwrap_or_default().into();
        writer.series(Series { labels, columns: &columns, exemplars }, &mut text);
        out.write_all(text.as_bytes()).context("write")?;
        text.clear();
    }
    let missing = writer.end(&mut text);
    out.write_all(text.as_bytes()).context("write")?;
    Ok(missing)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
