//! Queries over HTTP against mytsdb and its peers on the same data; the answers are compared with Prometheus'.

use crate::answers::compare;
use crate::process::default_server;
use crate::query_data::Fleet;
use crate::questions::{QUESTIONS, Question};
use crate::report_file;
use crate::target::Target;
use crate::times::at_quantile;
use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// Settings of one run.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// mytsdb
    #[arg(long, default_value_os_t = default_server())]
    server: PathBuf,
    /// Prometheus; without it there is nobody to compare with
    #[arg(long)]
    prometheus: Option<PathBuf>,
    /// VictoriaMetrics
    #[arg(long)]
    victoria_metrics: Option<PathBuf>,
    /// Series
    #[arg(long, default_value_t = 10_000)]
    series: usize,
    /// Series of native histograms of 160 buckets beside them; they have questions of their own, whose names begin with `native`
    #[arg(long, default_value_t = 0)]
    native_histograms: usize,
    /// Hours of data that end now
    #[arg(long, default_value_t = 24)]
    hours: i64,
    /// Seconds between samples
    #[arg(long, default_value_t = 15)]
    interval: i64,
    /// Most counted runs of each query, after one that is not
    #[arg(long, default_value_t = 100)]
    runs: usize,
    /// Seconds for all runs of one query by one server; there are 6 at least
    #[arg(long, default_value_t = 4.0)]
    seconds: f64,
    /// Relative difference from Prometheus that an answer may have
    #[arg(long, default_value_t = 1e-9)]
    tolerance: f64,
    /// Ask only questions whose name contains this; may be given more than once
    #[arg(long, value_name = "SUBSTRING")]
    only: Vec<String>,
    /// Write everything that was measured to a file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Fewest counted runs.
const RUNS_MIN: usize = 6;

/// What is timed: a target, and whether it may answer from its cache of results.
struct Column {
    target: usize,
    cached: bool,
    name: String,
    /// Medians in terms of mytsdb's without its cache, and with it.
    ratios: [Ratios; 2],
    /// Time of all label lookups together, in ms: among the core questions they count as one.
    lookups_ms: f64,
}

/// Ratios of medians: of all questions, and of the core ones.
#[derive(Default)]
struct Ratios {
    all: Vec<f64>,
    core: Vec<f64>,
}

/// mytsdb's columns: what is asked for the first time, and what is asked again.
const FRESH: usize = 0;
const AGAIN: usize = 1;

/// Loads all servers, asks all questions of each in turn, prints medians and ratios.
pub(crate) fn run(args: &QueryArgs) -> Result<()> {
    ensure!(args.hours > 0 && args.interval > 0, "--hours and --interval must be positive");
    ensure!(args.runs > 0 && args.seconds > 0.0, "--runs and --seconds must be positive");
    let asked: Vec<&Question> = QUESTIONS.iter().filter(|q| is_asked(args, q)).collect();
    ensure!(!asked.is_empty(), "no question is called {:?}", args.only);
    let mut targets = vec![Target::mytsdb(&args.server)?];
    if let Some(program) = &args.prometheus {
        targets.push(Target::prometheus(program)?);
    }
    if let Some(program) = &args.victoria_metrics {
        targets.push(Target::victoria_metrics(program)?);
    }
    let now_ms = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_millis() as i64;
    let end_ms = now_ms / 60_000 * 60_000;
    let loaded_s = load(args, &targets, end_ms)?;
    rest(&targets)?;
    let mut found = ask_all(args, &asked, &mut targets, end_ms / 1_000)?;
    if let Some(path) = &args.json {
        found["load_seconds"] = json!(loaded_s);
        report_file::write(path, &found)?;
    }
    let wrong = found["differing_answers"].as_u64().unwrap_or_default();
    ensure!(wrong == 0, "{wrong} answers differ from Prometheus'");
    Ok(())
}

fn is_asked(args: &QueryArgs, question: &Question) -> bool {
    let has_data = !question.native || args.native_histograms > 0;
    has_data && (args.only.is_empty() || args.only.iter().any(|part| question.name.contains(part.as_str())))
}

/// Sends everything to everybody; seconds that it took, by name.
fn load(args: &QueryArgs, targets: &[Target], end_ms: i64) -> Result<BTreeMap<&'static str, f64>> {
    let fleet = Fleet::new(args.series).with_native_histograms(args.native_histograms);
    let step_ms = args.interval * 1_000;
    let rounds = args.hours * 3_600_000 / step_ms;
    println!("{} series x {rounds} samples, {} s apart", fleet.series(), args.interval);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let mut loaded_s = BTreeMap::new();
        for target in targets {
            let channel = target.channel().await?;
            let begun = std::time::Instant::now();
            for round in 0..=rounds {
                let at_ms = end_ms - (rounds - round) * step_ms;
                target.store(fleet.requests(at_ms, round as usize), channel.as_ref()).await?;
            }
            println!("{:<12} loaded in {:.0} s", target.name, begun.elapsed().as_secs_f64());
            loaded_s.insert(target.name, begun.elapsed().as_secs_f64());
        }
        Ok(loaded_s)
    })
}

/// Waits until no server works any more, 2 minutes at the longest: background work of the load (flushes, merges) is not what is
/// measured.
fn rest(targets: &[Target]) -> Result<()> {
    const SHORTEST: Duration = Duration::from_secs(20);
    const LONGEST: Duration = Duration::from_mins(2);
    const LOOK: Duration = Duration::from_secs(5);
    /// Share of a core that a server at rest may use.
    const RESTING: f64 = 0.05;
    let begun = std::time::Instant::now();
    std::thread::sleep(SHORTEST);
    let used = || targets.iter().map(|target| Ok(target.usage()?.0)).collect::<Result<Vec<f64>>>();
    let mut before = used()?;
    loop {
        std::thread::sleep(LOOK);
        let now = used()?;
        let working = targets.iter().zip(now.iter().zip(&before));
        let working = working.filter(|(_, (now, before))| *now - *before > RESTING * LOOK.as_secs_f64());
        let names: Vec<&str> = working.map(|(target, _)| target.name).collect();
        if names.is_empty() {
            return Ok(());
        }
        if begun.elapsed() >= LONGEST {
            println!("still at work beside the questions: {}", names.join(", "));
            return Ok(());
        }
        before = now;
    }
}

fn ask_all(args: &QueryArgs, asked: &[&Question], targets: &mut [Target], end_s: i64) -> Result<Value> {
    let resting: Vec<u64> = targets.iter().map(|t| Ok(t.usage()?.1)).collect::<Result<_>>()?;
    for target in targets.iter() {
        target.process()?.reset_peak()?;
    }
    let mut columns = columns(targets);
    let header: Vec<String> = columns.iter().map(|column| format!("{:>24}", column.name)).collect();
    println!("{:<22} {}", "median / 99 % ms", header.join(" "));
    // Kept from one question to the next, so that the client's memory is there before it is timed.
    let mut answers: Vec<Vec<u8>> = vec![Vec::new(); columns.len()];
    let (mut wrong, mut rows) = (0, Vec::new());
    for question in asked {
        let mut timed = time(args, question, targets, &columns, &mut answers, end_s)?;
        let medians: Vec<f64> = timed.iter_mut().map(|times| median(times)).collect();
        let mut row = vec![format!("{:<22}", question.name)];
        let mut cells = serde_json::Map::new();
        for ((column, &ms), times) in columns.iter_mut().zip(&medians).zip(&mut timed) {
            let p99_ms = at_quantile(times, 0.99);
            column.add(question, ms, [ms / medians[FRESH], ms / medians[AGAIN]]);
            let shown = if column.target == 0 { String::new() } else { format!("{:.1}x", ms / medians[column.base()]) };
            row.push(format!("{ms:>8.2} {p99_ms:>8.2} {shown:>6}"));
            let cell = json!({"median_ms": ms, "p99_ms": p99_ms, "runs": times.len()});
            cells.insert(column.name.clone(), cell);
        }
        let differs = differences(args, question, targets, &columns, &answers);
        row.extend(differs.iter().map(|(name, difference)| format!("  {name} DIFFERS: {difference}")));
        wrong += usize::from(differs.iter().any(|(name, _)| *name == targets[0].name));
        println!("{}", row.join(" "));
        rows.push(json!({
            "name": question.name,
            "query": question.shown(),
            "times": cells,
            "differs": differs.into_iter().collect::<BTreeMap<_, _>>(),
            "compared_with_victoria": question.same_in_victoria,
        }));
    }
    let own_ms = [columns[FRESH].lookups_ms, columns[AGAIN].lookups_ms];
    for column in &mut columns {
        for (ratios, own_ms) in column.ratios.iter_mut().zip(own_ms).filter(|(_, own_ms)| *own_ms > 0.0) {
            ratios.core.push(column.lookups_ms / own_ms);
        }
    }
    print_medians("median ratio", &mut columns, |ratios| &mut ratios.all);
    print_medians("median ratio, core", &mut columns, |ratios| &mut ratios.core);
    let mut servers = serde_json::Map::new();
    for (target, resting) in targets.iter().zip(resting) {
        let extra = target.process()?.peak_bytes()?.saturating_sub(resting);
        println!("{:<12} RSS {:>6} MB at rest, {:>6} MB more while asked", target.name, resting >> 20, extra >> 20);
        let server = json!({"version": target.process()?.version()?, "rss_bytes": resting, "more_bytes": extra});
        servers.insert(target.name.to_owned(), server);
    }
    let ratio = |ratios: &mut Vec<f64>| if ratios.is_empty() { Value::Null } else { json!(median(ratios)) };
    let ratios = columns.iter_mut().map(|column| {
        let medians = column.ratios.iter_mut().flat_map(|ratios| [ratio(&mut ratios.all), ratio(&mut ratios.core)]);
        (column.name.clone(), medians.collect::<Vec<_>>().into())
    });
    Ok(json!({
        "setting": format!("{} series, {} h at {} s", args.series, args.hours, args.interval),
        "ratios": ratios.collect::<serde_json::Map<_, _>>(),
        "questions": rows,
        "servers": servers,
        "differing_answers": wrong,
    }))
}

/// Where answers differ from Prometheus', if it was asked, or mytsdb's from its cache and without it: by name, and how.
fn differences(
    args: &QueryArgs,
    question: &Question,
    targets: &[Target],
    columns: &[Column],
    answers: &[Vec<u8>],
) -> Vec<(&'static str, String)> {
    let name = |column: &Column| targets[column.target].name;
    let mut found = Vec::new();
    if answers[FRESH] != answers[AGAIN] {
        found.push((name(&columns[AGAIN]), "the cache gives another answer".to_owned()));
    }
    let Some(reference) = columns.iter().position(|column| name(column) == "prometheus") else { return found };
    let comparable = |column: &Column| {
        column.target == 0 || (name(column) == "victoria" && !column.cached && question.same_in_victoria)
    };
    let compared = columns.iter().zip(answers).filter(|(column, _)| comparable(column));
    found.extend(compared.filter_map(|(column, answer)| {
        let error = compare(question, answer, &answers[reference], args.tolerance).err()?;
        Some((name(column), format!("{error:#}")))
    }));
    found
}

impl Column {
    /// Counts a median, in ms and in terms of mytsdb's.
    fn add(&mut self, question: &Question, ms: f64, ratios: [f64; 2]) {
        for (own, ratio) in self.ratios.iter_mut().zip(ratios) {
            own.all.push(ratio);
            if question.core && !question.is_lookup() {
                own.core.push(ratio);
            }
        }
        if question.core && question.is_lookup() {
            self.lookups_ms += ms;
        }
    }

    /// The column of mytsdb that does as much work.
    fn base(&self) -> usize {
        if self.cached { AGAIN } else { FRESH }
    }
}

fn columns(targets: &[Target]) -> Vec<Column> {
    let mut columns = Vec::new();
    for (target, Target { name, .. }) in targets.iter().enumerate() {
        // Prometheus keeps no results.
        for &cached in if *name == "prometheus" { &[false][..] } else { &[false, true] } {
            let name = if cached || *name == "prometheus" { (*name).to_owned() } else { format!("{name}, no cache") };
            columns.push(Column { target, cached, name, ratios: Default::default(), lookups_ms: 0.0 });
        }
    }
    columns
}

/// Asks one question of all in turn: the times and the last answer of each column.
fn time(
    args: &QueryArgs,
    question: &Question,
    targets: &mut [Target],
    columns: &[Column],
    answers: &mut [Vec<u8>],
    end_s: i64,
) -> Result<Vec<Vec<f64>>> {
    let (path, parameters) = question.request(end_s);
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); columns.len()];
    for run in 0..=args.runs.max(RUNS_MIN) {
        for ((column, times), answer) in columns.iter().zip(&mut times).zip(&mut *answers) {
            if times.len() >= RUNS_MIN && times.iter().sum::<f64>() > args.seconds * 1e3 {
                continue;
            }
            let target = &mut targets[column.target];
            target.set_parameter("nocache", (!column.cached).then_some("1"));
            let took = target.ask(path, &parameters, answer)?;
            if run > 0 {
                times.push(took.as_secs_f64() * 1e3);
            }
        }
    }
    Ok(times)
}

/// Medians in terms of the column of mytsdb that does as much work.
fn print_medians(name: &str, columns: &mut [Column], of: impl Fn(&mut Ratios) -> &mut Vec<f64>) {
    let mut row = vec![format!("{name:<22} {:>24} {:>24}", "", "")];
    for column in columns.iter_mut().filter(|column| column.target > 0) {
        let base = column.base();
        let ratios = of(&mut column.ratios[base]);
        let shown = if ratios.is_empty() { String::new() } else { format!("{:.1}x", median(ratios)) };
        row.push(format!("{shown:>24}"));
    }
    println!("{}", row.join(" "));
}

/// The middle, or the mean of the two in the middle; `values` must not be empty.
fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    f64::midpoint(values[(values.len() - 1) / 2], values[values.len() / 2])
}
