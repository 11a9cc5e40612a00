//! Random queries, asked of a real Prometheus and of our API, with shortcuts and without: the answers must say the same.
//!
//! Both hold the same random series. A seed and a number name a case, so that any can be asked again alone. With
//! `--dir none` the texts are made of our own alone, so that the cases of a seed depend on nothing outside of this folder.

mod compare;
mod data;
mod own_texts;
mod remote_write;
mod servers;
mod shrink;
mod texts;
pub mod try_query;

use crate::score::Score;
use anyhow::{Context, bail};
use compare::{Difference, Promised, compare, of_both_kinds};
use data::{SPAN_MS, START_MS, VOCABULARY, loaded_data, random_data};
use mytsdb_http_api::ApiOptions;
use mytsdb_promql_syntax::{AggregateOp, Expr, Function, StepUse, ValueType, parse};
use mytsdb_promql_testkit::QueryWriter;
use mytsdb_testkit::Random;
use servers::{Asker, Prometheus, ours};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub const USAGE: &str = "usage: mytsdb-conformance peer --prometheus PATH [--queries N] [--seed S] [--only CASE] \
                         [--load FILE] [--query TEXT [--time SECONDS] [--range START:END:STEP]] [--kind KIND] \
                         [--dir DIR] [--shown N]";

/// Every so many cases the names are removed at the end of the evaluation.
const DELAYED_EVERY: u64 = 4;

/// How often Prometheus is asked before its answer is taken for defined.
const ASKED_AGAIN: usize = 24;

/// What the command line asks for.
struct Settings {
    prometheus: PathBuf,
    queries: u64,
    seed: u64,
    only: Option<u64>,
    asked: Vec<String>,
    time: Option<String>,
    range: Option<String>,
    load: Option<PathBuf>,
    kind: String,
    dir: Option<PathBuf>,
    shown: usize,
}

/// What is asked.
#[derive(Clone)]
enum Question {
    Instant { query: String, time: String },
    Range { query: String, start: String, end: String, step: String },
    Parse(String),
    Format(String),
}

impl Question {
    fn text(&self) -> &str {
        match self {
            Self::Instant { query, .. } | Self::Range { query, .. } => query,
            Self::Parse(text) | Self::Format(text) => text,
        }
    }

    fn with_text(&self, text: &str) -> Self {
        let mut out = self.clone();
        match &mut out {
            Self::Instant { query, .. } | Self::Range { query, .. } => text.clone_into(query),
            Self::Parse(old) | Self::Format(old) => text.clone_into(old),
        }
        out
    }

    fn request(&self) -> (&'static str, Vec<(&'static str, String)>) {
        match self.clone() {
            Self::Instant { query, time } => ("query", vec![("query", query), ("time", time)]),
            Self::Range { query, start, end, step } => {
                ("query_range", vec![("query", query), ("start", start), ("end", end), ("step", step)])
            }
            Self::Parse(text) => ("parse_query", vec![("query", text)]),
            Self::Format(text) => ("format_query", vec![("query", text)]),
        }
    }

    fn promised(&self) -> Promised {
        let Ok(expr) = parse(self.text()) else { return Promised { order: false, zero_signs: true } };
        let order = match &expr {
            Expr::Call(call) => match call.function.row().steps {
                StepUse::Order => true,
                _ => matches!(call.function, Function::SortByLabel | Function::SortByLabelDesc),
            },
            Expr::Aggregate(e) => {
                matches!(e.op, AggregateOp::Topk | AggregateOp::Bottomk) && !e.without && e.grouping.is_empty()
            }
            _ => false,
        };
        // Quantiles of values sort them, which leaves 0 and -0 in any order.
        let mut sorts_values = false;
        expr.walk(&mut |part| {
            sorts_values |= match part {
                Expr::Call(call) => matches!(call.function, Function::QuantileOverTime),
                Expr::Aggregate(e) => e.op == AggregateOp::Quantile,
                _ => false,
            };
            !sorts_values
        });
        Promised { order: order && matches!(self, Self::Instant { .. }), zero_signs: !sorts_values }
    }

    fn describe(&self) -> String {
        match self {
            Self::Instant { time, .. } => format!("instant at {time}"),
            Self::Range { start, end, step, .. } => format!("range {start} to {end} step {step}"),
            Self::Parse(_) => "parse_query".to_owned(),
            Self::Format(_) => "format_query".to_owned(),
        }
    }
}

/// The answerers of one mode.
struct Pair {
    theirs: Asker,
    ours: Asker,
    /// Our plain evaluation, without shortcuts.
    plain: Asker,
}

/// A difference between our two evaluations.
const OWN: &str = "our plain evaluation";

impl Pair {
    fn difference(&self, question: &Question) -> anyhow::Result<Option<Difference>> {
        let (endpoint, form) = question.request();
        let theirs = self.theirs.ask(endpoint, &form)?;
        let ours = self.ours.ask(endpoint, &form)?;
        let found = compare(&theirs, &ours, question.promised());
        if found.is_some() || matches!(question, Question::Parse(_) | Question::Format(_)) {
            return Ok(found);
        }
        let plain = self.plain.ask(endpoint, &form)?;
        Ok(compare(&plain, &ours, question.promised()).map(|found| Difference { kind: OWN, ..found }))
    }

    /// Whether some series of the query, or of a `label_replace` or `label_join` in it, has a float and a histogram at
    /// the same time. Prometheus makes such series where these functions, or names that are dropped late, make labels
    /// equal over a range: floats and histograms of a series are two lists, each of which is looked through for
    /// duplicates alone. What reads such a series sees none of its histograms from then on. To us any two samples of one
    /// time are duplicates, which is an error.
    fn of_both_kinds(&self, question: &Question) -> anyhow::Result<bool> {
        let (Question::Range { .. }, Ok(expr)) = (question, parse(question.text())) else {
            return Ok(false);
        };
        let mut texts = vec![question.text()];
        expr.walk(&mut |part| {
            let relabels = matches!(part, Expr::Call(call)
                if matches!(call.function, Function::LabelReplace | Function::LabelJoin));
            texts.extend(question.text().get(part.pos().start..part.pos().end).filter(|_| relabels));
            true
        });
        for text in texts {
            let (endpoint, form) = question.with_text(text).request();
            if of_both_kinds(&self.theirs.ask(endpoint, &form)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether Prometheus does not know its answer itself: ties, and which of two errors it meets first, depend on the
    /// order in which Go walks a map wherever the series of several steps were gathered in one. Then it either answers
    /// otherwise when it is asked again, or as we do.
    fn undefined(&self, question: &Question) -> anyhow::Result<bool> {
        let (endpoint, form) = question.request();
        let ours = self.ours.ask(endpoint, &form)?;
        let first = self.theirs.ask(endpoint, &form)?;
        for _ in 1..ASKED_AGAIN {
            let again = self.theirs.ask(endpoint, &form)?;
            if compare(&first, &again, question.promised()).is_some()
                || compare(&again, &ours, question.promised()).is_none()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Asks as many random questions as are wanted and prints each difference.
pub fn run(args: impl Iterator<Item = String>) -> anyhow::Result<Score> {
    let settings = settings(args)?;
    let data = match &settings.load {
        Some(path) => loaded_data(&crate::score::read(path)?)?,
        None => random_data(settings.seed),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut pairs = Vec::new();
    let mut servers = Vec::new();
    for delayed in [false, true] {
        let server = Prometheus::start(&settings.prometheus, delayed)?;
        server.load(&data)?;
        let ours = |optimise| {
            let mut options = ApiOptions::default();
            (options.query.delayed_name_removal, options.query.optimise) = (delayed, optimise);
            ours(&runtime, &data, options)
        };
        pairs.push(Pair { theirs: server.asker(), ours: ours(true)?, plain: ours(false)? });
        servers.push(server);
    }
    let mut score = Score::default();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut undefined = 0;
    if !settings.asked.is_empty() {
        for text in &settings.asked {
            ask(&pairs, text, &settings, &mut score)?;
        }
        return Ok(score);
    }
    stored(&pairs[0], &data, &mut score)?;
    println!("seed {}, {} series, {} queries", settings.seed, data.len(), settings.queries);
    let corpus = texts::corpus(settings.dir.as_deref())?;
    let mut shown = BTreeSet::new();
    for case in settings.only.map_or(0..settings.queries, |only| only..only + 1) {
        let question = question(&mut Random::of_case(settings.seed, case), &corpus);
        if !question.describe().contains(&settings.kind) {
            continue;
        }
        let pair = &pairs[usize::from(case % DELAYED_EVERY == 0)];
        let mut found = pair.difference(&question).with_context(|| format!("case {case}: {}", question.text()))?;
        let excusable = found.as_ref().is_some_and(|found| found.kind != OWN);
        if excusable && (pair.undefined(&question)? || pair.of_both_kinds(&question)?) {
            undefined += 1;
            found = None;
        }
        score.count(found.is_none());
        let Some(found) = found else { continue };
        let kind = found.kind;
        *counts.entry(kind).or_default() += 1;
        if shown.len() >= settings.shown {
            continue;
        }
        let mut differs = |text: &str| {
            let again = pair.difference(&question.with_text(text));
            again.is_ok_and(|d| d.is_some_and(|d| d.kind == kind))
        };
        let small = match question {
            Question::Instant { .. } | Question::Range { .. } if parse(question.text()).is_ok() => {
                shrink::expression(question.text(), &mut differs)
            }
            _ => shrink::text(question.text(), &mut differs),
        };
        let question = question.with_text(&small);
        let found = pair.difference(&question)?.unwrap_or(found);
        if shown.insert(small.clone()) {
            let mode = if case % DELAYED_EVERY == 0 { ", names removed late" } else { "" };
            println!("{kind}: case {case}, {}{mode}\n  {small}\n {}", question.describe(), found.text);
        }
    }
    println!("{undefined} answered by Prometheus in several ways");
    for (kind, count) in counts {
        println!("{count} differ: {kind}");
    }
    Ok(score)
}

/// Asks one query of both sides in both modes and prints the answers.
fn ask(pairs: &[Pair], text: &str, settings: &Settings, score: &mut Score) -> anyhow::Result<()> {
    let text = text.to_owned();
    let question = match settings.kind.as_str() {
        "parse" => Question::Parse(text),
        "format" => Question::Format(text),
        _ => match settings.range.as_deref().map(|range| range.split(':').collect::<Vec<_>>()).as_deref() {
            Some([start, end, step]) => {
                let [start, end, step] = [start, end, step].map(|part| (*part).to_owned());
                Question::Range { query: text, start, end, step }
            }
            Some(_) => bail!("{USAGE}"),
            None => {
                let time = settings.time.clone().unwrap_or_else(|| seconds(START_MS + SPAN_MS / 2));
                Question::Instant { query: text, time }
            }
        },
    };
    println!("{}", question.text());
    for (pair, mode) in pairs.iter().zip(["", ", names removed late"]) {
        let (endpoint, form) = question.request();
        let (theirs, ours) = (pair.theirs.ask(endpoint, &form)?, pair.ours.ask(endpoint, &form)?);
        let difference = pair.difference(&question)?;
        let verdict = difference.as_ref().map_or("same", |difference| difference.kind);
        println!("  theirs{mode}: {theirs}\n  ours{mode}:   {ours}\n  {verdict}");
        score.count(difference.is_none());
    }
    Ok(())
}

/// Every raw series must be the same on both sides, or nothing else means anything.
fn stored(pair: &Pair, data: &data::Data, score: &mut Score) -> anyhow::Result<()> {
    let time = seconds(START_MS + SPAN_MS);
    for labels in data.keys() {
        // Written as matchers: a name may be none that stands before braces.
        let matchers: Vec<String> = labels.iter().map(|(name, value)| format!("{name:?}={value:?}")).collect();
        let question = Question::Instant { query: format!("{{{}}}[1h]", matchers.join(",")), time: time.clone() };
        let found = pair.difference(&question)?;
        if let Some(found) = found {
            bail!("{labels} is not stored alike: {}", found.text);
        }
        score.count(true);
    }
    Ok(())
}

fn question(random: &mut Random, corpus: &[String]) -> Question {
    let time = |random: &mut Random| START_MS - 120_000 + random.below((SPAN_MS + 600_000) as u64) as i64;
    match random.below(24) {
        0..=5 => Question::Parse(texts::text(random, corpus)),
        6 | 7 => Question::Format(texts::text(random, corpus)),
        8..=15 => {
            let mut at = time(random);
            if random.one_in(2) {
                at -= at % 60_000;
            }
            Question::Instant { query: QueryWriter::new(random, &VOCABULARY).query(), time: seconds(at) }
        }
        _ => {
            let step = random.pick(&[1_000, 15_000, 30_000, 60_000, 60_000, 100_500, 300_000]);
            let start = time(random);
            let end = start + step * random.below(25) as i64 + random.below(1_000) as i64;
            let query = loop {
                let query = QueryWriter::new(random, &VOCABULARY).query();
                // A range query of a range vector or a string is refused at once.
                let Ok(expr) = parse(&query) else { break query };
                if matches!(expr.value_type(), ValueType::Vector | ValueType::Scalar) {
                    break query;
                }
            };
            Question::Range { query, start: seconds(start), end: seconds(end), step: seconds(step) }
        }
    }
}

fn seconds(ms: i64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn settings(mut args: impl Iterator<Item = String>) -> anyhow::Result<Settings> {
    let mut prometheus = None;
    let mut settings = Settings {
        prometheus: PathBuf::new(),
        queries: 2_000,
        seed: 1,
        only: None,
        asked: Vec::new(),
        time: None,
        range: None,
        load: None,
        kind: String::new(),
        dir: Some(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/conformance/prometheus-3.16"))),
        shown: 100,
    };
    while let Some(arg) = args.next() {
        let value = args.next().with_context(|| format!("{arg} needs a value\n{USAGE}"))?;
        match arg.as_str() {
            "--prometheus" => prometheus = Some(PathBuf::from(value)),
            "--queries" => settings.queries = value.parse()?,
            "--seed" => settings.seed = value.parse()?,
            "--only" => settings.only = Some(value.parse()?),
            "--query" => settings.asked.push(value),
            "--time" => settings.time = Some(value),
            "--range" => settings.range = Some(value),
            "--load" => settings.load = Some(PathBuf::from(value)),
            "--kind" => settings.kind = value,
            "--dir" => settings.dir = (value != "none").then(|| PathBuf::from(value)),
            "--shown" => settings.shown = value.parse()?,
            other => bail!("unknown argument {other:?}\n{USAGE}"),
        }
    }
    settings.prometheus = prometheus.context(USAGE)?;
    Ok(settings)
}
