//! What is stored leaves as blocks of Prometheus: exported from a data folder, and from the cold tier of a node that is gone. promtool reads
//! them, and a stock Prometheus over them answers as a server does that only reads the tier; and so does a program with parquet-common over its files.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::arguments::Arguments;
use crate::parquet_common;
use crate::process::create_dir;
use crate::prometheus::{Prometheus, Rows, difference, now_ms, rows};
use crate::query::{Client, agent};
use crate::server::Server;

const DAY_MS: i64 = 86_400_000;
const MINUTE_MS: i64 = 60_000;

/// The samples are always the same but for the days that they are at.
const SEED: u64 = 20_261_130;

/// How long a flush and a demotion may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// All samples but the one that says what time it is.
const ALL: &str = "{__name__=~\"counter|gauge|histogram_.*\"}";

/// What is asked of both sides, over all of the time.
const QUESTIONS: [&str; 6] = [
    "{__name__=~\".+\"}[4d]",
    "{__name__=~\".+\"}[4d:7m]",
    "rate(counter[30m])[4d:11m]",
    "histogram_quantile(0.9, rate({__name__=~\"histogram.*\",kind!~\"gauge|mixed\"}[40m]))[4d:13m]",
    "increase({__name__=~\"histogram.*\",kind!~\"gauge|mixed\"}[40m])[4d:17m]",
    "sum by (kind) (histogram_count({__name__=~\"histogram.*\"}))[4d:19m]",
];

/// Runs all of it.
///
/// # Errors
///
/// What failed, or the first difference.
pub(crate) fn check(arguments: &Arguments, workdir: &Path) -> anyhow::Result<Verdict> {
    let dir = workdir.join("tsdb");
    create_dir(&dir)?;
    let program = Program { binary: &arguments.server };
    let url = format!("file://{}", dir.join("store").display());
    // Late on the first day, so that it is not demoted before all of it is there.
    let first_ms = now_ms()?.div_euclid(DAY_MS) * DAY_MS - 4 * DAY_MS + 7;
    let (lines, samples) = lines(first_ms);

    let quiet = ["--self-metrics-interval", "0"].map(OsString::from);
    let mut server = Server::new(&arguments.server, &dir)?.with(quiet.to_vec());
    server.start()?;
    // How old samples are is told by the newest.
    let newest = json!({"metric": {"__name__": "newest"}, "timestamps": [now_ms()?], "values": [1]});
    import(&server.http(), &[newest])?;
    import(&server.http(), &lines)?;
    wait_for(&server.client(), "mytsdb_engine_flushes_total", |flushes| flushes >= 1.0)?;
    server.terminate()?;
    let data = ["--data-dir".to_owned(), dir.join("data").display().to_string()];
    program.tsdb("verify", &data)?;
    let of_folder = Exported::make(&program, &data, &dir.join("of-folder"), samples)?;

    let tier = ["--cold-url".to_owned(), url.clone()];
    let interop = ["--cold-interop", "parquet-common"].map(OsString::from);
    let demoting = quiet.into_iter().chain(interop).chain(tier.iter().map(OsString::from)).collect();
    let mut server = server.with(demoting);
    server.start()?;
    wait_for(&server.client(), "mytsdb_cold_samples", |stored| stored == samples as f64)?;
    server.kill()?;
    #[expect(clippy::disallowed_methods, reason = "a folder of a test run: its node is gone")]
    std::fs::remove_dir_all(dir.join("data")).context("remove the data folder")?;
    program.tsdb("verify", &tier)?;
    let of_tier = Exported::make(&program, &tier, &dir.join("of-tier"), samples)?;

    let reading = ["--read-only".to_owned()].into_iter().chain(tier).map(OsString::from).collect();
    let mut reader = Server::new(&arguments.server, &dir)?.with(reading);
    reader.start()?;
    let read_by_others = parquet_common::check(&arguments.parquet_common, &dir.join("store"), &reader.client())?;
    let end_ms = first_ms + 3 * DAY_MS;
    let ask = |client: &Client| -> anyhow::Result<Vec<Rows>> {
        QUESTIONS.iter().map(|question| client.query(question, Some(end_ms)).map(rows)).collect()
    };
    let expected = ask(&reader.client())?;
    let mut answered = 0;
    for exported in [&of_folder, &of_tier] {
        exported.read_by(&arguments.promtool)?;
        let found = ask(exported.serve(&arguments.prometheus)?.client())?;
        for ((question, expected), found) in QUESTIONS.iter().zip(&expected).zip(&found) {
            ensure!(!expected.is_empty(), "{question} has no answer");
            if let Some(difference) = difference(expected, found) {
                bail!("{}: {question}: Prometheus differs: {difference}", exported.dir.display());
            }
            answered += 1;
        }
    }
    Ok(Verdict { samples, blocks: of_folder.blocks + of_tier.blocks, answered, read_by_others })
}

/// What was seen.
pub(crate) struct Verdict {
    samples: u64,
    blocks: usize,
    answered: usize,
    read_by_others: parquet_common::Verdict,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { samples, blocks, answered, read_by_others } = self;
        write!(f, "tsdb: {samples} samples in {blocks} blocks out of a data folder and a cold tier; ")?;
        write!(f, "promtool read all of them, and Prometheus gave {answered} equal answers\n{read_by_others}")
    }
}

/// The program's own commands.
struct Program<'a> {
    binary: &'a Path,
}

impl Program<'_> {
    /// Runs a command and gives what it printed, as JSON.
    fn tsdb(&self, command: &str, flags: &[String]) -> anyhow::Result<Value> {
        let mut run = Command::new(self.binary);
        run.args(["tsdb", command, "--json"]).args(flags);
        let output = run.output().context("start mytsdb")?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "mytsdb tsdb {command} {flags:?}: {}: {errors}{text}", output.status);
        serde_json::from_str(&text).with_context(|| format!("mytsdb tsdb {command}: {text}"))
    }
}

/// A folder with blocks, where a Prometheus looks for them.
struct Exported {
    dir: std::path::PathBuf,
    blocks: usize,
    samples: u64,
}

impl Exported {
    fn make(program: &Program<'_>, from: &[String], dir: &Path, samples: u64) -> anyhow::Result<Self> {
        create_dir(dir)?;
        let output = dir.join("prometheus").display().to_string();
        let more = ["--output", &output, "--external-label", "node=a", "--match", ALL].map(str::to_owned);
        let made = program.tsdb("export", &[from, &more[..]].concat())?;
        let blocks = made["blocks"].as_array().context("no list of blocks")?;
        let found: u64 = blocks.iter().filter_map(|block| block["samples"].as_u64()).sum();
        ensure!(found == samples, "{found} samples were exported of {samples}: {made}");
        Ok(Self { dir: dir.to_owned(), blocks: blocks.len(), samples })
    }

    /// Looks at the blocks with promtool: it must find them sound, and every sample in them.
    fn read_by(&self, promtool: &Path) -> anyhow::Result<()> {
        let blocks = self.dir.join("prometheus");
        let run = |command: &str| {
            let output = Command::new(promtool).args(["tsdb", command]).arg(&blocks).output().context("promtool")?;
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            ensure!(output.status.success(), "promtool tsdb {command}: {}: {errors}", output.status);
            Ok::<_, anyhow::Error>(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let analyzed = run("analyze")?;
        ensure!(analyzed.contains("Total Series: "), "promtool tsdb analyze: {analyzed}");
        let listed = run("list")?.lines().count();
        ensure!(listed > self.blocks, "promtool tsdb list has {listed} lines for {} blocks", self.blocks);
        // A dump looks for a log too.
        create_dir(&blocks.join("wal"))?;
        let dumped = run("dump")?.lines().count() as u64;
        ensure!(dumped == self.samples, "promtool tsdb dump has {dumped} lines of {} samples", self.samples);
        Ok(())
    }

    fn serve(&self, prometheus: &Path) -> anyhow::Result<Prometheus> {
        let forever = ["--storage.tsdb.retention.time=100y"];
        Prometheus::launch(prometheus, &self.dir, &forever, |_| "global: {scrape_interval: 1h}\n".to_owned())
    }
}

/// Stores lines of JSON.
fn import(address: &str, lines: &[Value]) -> anyhow::Result<()> {
    for some in lines.chunks(200) {
        let text: Vec<String> = some.iter().map(Value::to_string).collect();
        let text = text.join("\n");
        let sent = agent().post(format!("http://{address}/api/v1/import")).send(&text).context("import")?;
        ensure!(sent.status().as_u16() == 204, "import: {}", sent.status());
    }
    Ok(())
}

fn wait_for(client: &Client, metric: &str, is_enough: impl Fn(f64) -> bool) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        let text = client.text("/metrics")?;
        let value = text.lines().find_map(|line| line.strip_prefix(metric)?.trim().parse().ok());
        if value.is_some_and(&is_enough) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "{metric} is {value:?} after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Series of every kind over three days, as lines to import, and how many samples they have.
fn lines(first_ms: i64) -> (Vec<Value>, u64) {
    let mut random = mytsdb_testkit::Random::new(SEED);
    let (mut lines, mut samples) = (Vec::new(), 0);
    for series in 0..6 {
        let (mut times, mut values) = (Vec::new(), Vec::new());
        let mut counter = 0.0;
        for minute in 0..3 * 24 * 60 {
            // With gaps, and some ms off the grid.
            if random.one_in(20) {
                continue;
            }
            times.push(first_ms + minute * MINUTE_MS + random.below(5) as i64);
            counter = if random.one_in(300) { 0.0 } else { counter + random.below(1_000) as f64 / 8.0 };
            values.push(match series {
                _ if random.one_in(400) => json!("stale"),
                0..3 => json!(counter),
                3 => json!(random.below(10)),
                4 => [json!("NaN"), json!("+Inf"), json!("-Inf"), json!(-0.0), json!(1e300)][random.index(5)].clone(),
                _ => json!(f64::from(random.below(1 << 20) as u32) / 3.0),
            });
        }
        let name = if series < 3 { "counter" } else { "gauge" };
        samples += times.len() as u64;
        let metric = json!({"__name__": name, "series": series.to_string(), "zone": "ü/\"x\""});
        lines.push(json!({"metric": metric, "timestamps": times, "values": values}));
    }
    for kind in ["integer", "float", "custom", "gauge", "mixed"] {
        let mut made = Histograms::new(kind);
        let mut histograms = Vec::new();
        let (mut times, mut values) = (Vec::new(), Vec::new());
        for step in 0..3 * 24 * 20 {
            let time_ms = first_ms + step * 3 * MINUTE_MS + random.below(3) as i64;
            // One series turns from floats to histograms and back.
            if kind == "mixed" && step / 50 % 2 == 0 {
                times.push(time_ms);
                values.push(json!(step));
            } else {
                histograms.push(made.next(time_ms, &mut random));
            }
        }
        samples += (histograms.len() + times.len()) as u64;
        let metric = json!({"__name__": format!("histogram_{kind}"), "kind": kind});
        let mut line = json!({"metric": metric, "histograms": histograms});
        if !times.is_empty() {
            (line["timestamps"], line["values"]) = (json!(times), json!(values));
        }
        lines.push(line);
    }
    (lines, samples)
}

/// A native histogram that goes on.
struct Histograms {
    kind: &'static str,
    schema: i32,
    zero_threshold: f64,
    zero_count: u64,
    first_bucket: i32,
    positive: Vec<u64>,
    negative: Vec<u64>,
}

impl Histograms {
    fn new(kind: &'static str) -> Self {
        let schema = if kind == "custom" { -53 } else { 2 };
        Self {
            kind,
            schema,
            zero_threshold: 0.0,
            zero_count: 0,
            first_bucket: 0,
            positive: vec![0; 3],
            negative: vec![],
        }
    }

    fn next(&mut self, time_ms: i64, random: &mut mytsdb_testkit::Random) -> Value {
        let custom = self.kind == "custom";
        if random.one_in(60) {
            return json!({"timestamp": time_ms, "schema": 0, "count": 0, "sum": "stale"});
        }
        if random.one_in(50) {
            // A reset, mostly with other buckets.
            let buckets = if custom { 3 } else { 1 + random.index(6) };
            self.positive = vec![0; buckets];
            self.negative = vec![0; if custom { 0 } else { random.index(3) }];
            (self.zero_count, self.first_bucket) = (0, if custom { 0 } else { random.below(9) as i32 - 4 });
            self.zero_threshold = if custom { 0.0 } else { [0.0, 0.001, f64::powi(2.0, -128)][random.index(3)] };
            self.schema = if custom { -53 } else { random.below(5) as i32 };
        } else if !custom && random.one_in(30) {
            self.positive.push(0);
        }
        let less = self.kind == "gauge";
        for count in self.positive.iter_mut().chain(&mut self.negative) {
            *count = if less { random.below(50) } else { *count + random.below(9) };
        }
        self.zero_count = if custom { 0 } else { self.zero_count + random.below(2) };
        let part = if self.kind == "float" { 0.375 } else { 1.0 };
        let scale = |counts: &[u64]| -> Vec<f64> { counts.iter().map(|count| *count as f64 * part).collect() };
        let spans = |buckets: &[u64]| match buckets.len() {
            0 => json!([]),
            1 => json!([[self.first_bucket, 1]]),
            // Two spans with a gap between them.
            all if !custom => json!([[self.first_bucket, 1], [2, all - 1]]),
            all => json!([[0, all]]),
        };
        let sum: u64 = self.positive.iter().chain(&self.negative).sum();
        let mut histogram = json!({
            "timestamp": time_ms,
            "schema": self.schema,
            "count": (sum + self.zero_count) as f64 * part,
            "sum": sum as f64 * 0.7,
            "zero_threshold": self.zero_threshold,
            "zero_count": self.zero_count as f64 * part,
            "positive_spans": spans(&self.positive),
            "positive_buckets": scale(&self.positive),
            "negative_spans": spans(&self.negative),
            "negative_buckets": scale(&self.negative),
            "gauge": less,
        });
        if custom {
            histogram["custom_values"] = json!([0.005, 1.0 / 3.0]);
        }
        histogram
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_samples_are_the_same_each_time_and_of_every_kind() {
        let (first, count) = lines(0);
        assert_eq!(lines(0), (first.clone(), count));
        assert!(count > 25_000, "{count}");
        let text = serde_json::to_string(&first).unwrap();
        for part in ["stale", "+Inf", "custom_values", "\"gauge\":true", "0.375"] {
            assert!(text.contains(part), "{part}");
        }
    }
}
