//! Asks other programs about files of the tier: the queries of the format's page in DuckDB, the first three of them in
//! pyarrow, Polars and DataFusion too. Their answers are compared with what is computed from the samples themselves.
//!
//! `cargo xtask sql` runs it with a Python that has them; by hand `cargo run -p mytsdb-parquet-tier --example sql -- PYTHON`.

use anyhow::{Context, bail, ensure};
use mytsdb_columns::Columns;
use mytsdb_model::{Labels, STALE_NAN_BITS};
use mytsdb_parquet_tier::{DAY_MS, Day, FileId, Store, StoreOptions, Tier, WriteOptions, compare_series};
use mytsdb_testkit::Random;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

const PAGE: &str = include_str!("../../../docs/format/parquet-tier.md");
const FIRST_DAY_MS: i64 = 1_795_824_000_000;
const STEP_MS: i64 = 15_000;
const DAYS: i64 = 2;
const SEED: u64 = 2026;
/// The range of the query for raw samples.
const RAW_MS: std::ops::Range<i64> = 1_795_824_600_000..1_795_825_200_000;

/// A cell of an answer. Times and counts are numbers.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Cell {
    Text(String),
    Number(i64),
    Float(f64),
}

type Answer = Vec<Vec<Cell>>;

fn main() -> anyhow::Result<()> {
    let python = std::env::args().nth(1).context("usage: sql PYTHON")?;
    let folder = tempfile::tempdir()?;
    let series = series();
    let prefix = folder.path().join("cold");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(write(&prefix, &series))?;
    let queries = queries()?;
    let expected = expected(&series);
    ensure!(
        queries.len() == expected.len(),
        "the page has {} queries, {} are computed here",
        queries.len(),
        expected.len()
    );
    let answers = ask(&python, &prefix, &queries)?;
    for (engine, wanted) in [("duckdb", queries.len()), ("pyarrow", 3), ("polars", 3), ("datafusion", 3)] {
        let of_engine =
            answers.get(engine).and_then(Value::as_object).with_context(|| format!("no answer of {engine}"))?;
        ensure!(of_engine.len() == wanted, "{engine} answered {} queries of {wanted}", of_engine.len());
        for (number, answer) in of_engine {
            let number: usize = number.parse()?;
            compare(&read(answer)?, &expected[number]).with_context(|| format!("{engine}, query {}", number + 1))?;
        }
        println!("{engine}: {wanted} queries answered as expected");
    }
    Ok(())
}

/// Counters with resets, and gauges with gaps and staleness markers, in the order of files.
fn series() -> Vec<(Labels, Columns)> {
    let mut all = Vec::new();
    for number in 0..20u64 {
        let mut random = Random::of_case(SEED, number);
        let counter = number < 10;
        let labels = Labels::from_pairs([
            ("__name__", if counter { "requests_total" } else { "temperature" }),
            ("instance", &format!("host-{}", number % 10)),
            ("job", if number % 10 < 6 { "sensor" } else { "web" }),
            ("value", "a label with the name of a column"),
        ]);
        let (mut columns, mut count) = (Columns::default(), 0.0);
        for at in 0..DAYS * DAY_MS / STEP_MS {
            let time = FIRST_DAY_MS + at * STEP_MS + number as i64 * 100;
            if random.one_in(50) {
                continue;
            }
            count = if random.one_in(3_000) { 0.0 } else { count + random.below(20) as f64 };
            let gauge = f64::from_bits(STALE_NAN_BITS);
            let gauge = if random.one_in(400) { gauge } else { (random.unit() * 5_000.0).round() / 100.0 };
            columns.push_float(time, if counter { count } else { gauge });
        }
        all.push((labels, columns));
    }
    all.sort_by(|a, b| compare_series(&a.0, &b.0));
    all
}

async fn write(prefix: &Path, series: &[(Labels, Columns)]) -> anyhow::Result<()> {
    let tier = Tier::open(Arc::new(Store::local(prefix, StoreOptions::default())?), 0).await?;
    for number in 0..DAYS {
        let day = Day::of(FIRST_DAY_MS + number * DAY_MS).context("a day")?;
        let names = ["__name__", "instance", "job", "value"];
        let mut options = WriteOptions::default();
        options.row_group_rows = 30_000;
        let mut writer = Tier::writer(day, names, options, &std::env::temp_dir())?;
        for (labels, columns) in series {
            let mut part = Columns::default();
            part.extend_from(columns, day.range());
            writer.push(labels, &part, None)?;
        }
        let uploaded = tier.upload(writer.finish()?, FileId::new(number as u64, 1)).await?;
        tier.commit(vec![uploaded], &[], number as u64).await?;
    }
    tier.verify().await?;
    Ok(())
}

/// The queries of the page.
fn queries() -> anyhow::Result<Vec<String>> {
    let blocks: Vec<String> =
        PAGE.split("```sql\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.to_owned())).collect();
    ensure!(blocks.iter().all(|query| query.contains("'cold/")), "a query of the page asks no files");
    Ok(blocks)
}

/// What each query must answer, from the samples.
fn expected(series: &[(Labels, Columns)]) -> Vec<Answer> {
    let of = |metric: &'static str| series.iter().filter(move |(labels, _)| labels.metric_name() == metric);
    let label = |labels: &Labels, name: &str| Cell::Text(labels.get(name).unwrap_or_default().to_owned());
    let valid = |columns: &Columns| -> Vec<(i64, f64)> {
        let all = columns.timestamps_ms.iter().copied().zip(columns.values.iter().copied());
        all.filter(|(_, value)| !value.is_nan()).collect()
    };
    let mut counted: Answer = of("requests_total")
        .map(|(l, columns)| vec![label(l, "job"), label(l, "instance"), Cell::Number(columns.values.len() as i64)])
        .collect();
    counted.sort_by(|a, b| a.partial_cmp(b).expect("cells of one kind"));

    let mut minutes: BTreeMap<i64, (f64, f64)> = BTreeMap::new();
    for (_, columns) in of("temperature").filter(|(labels, _)| labels.get("job") == Some("sensor")) {
        for (time, value) in valid(columns) {
            let minute = minutes.entry(time.div_euclid(60_000) * 60_000).or_default();
            *minute = (minute.0 + value, minute.1 + 1.0);
        }
    }
    let by_minute = minutes
        .into_iter()
        .map(|(minute, (sum, count))| vec![Cell::Number(minute), Cell::Float(sum / count)])
        .collect();

    let (_, host) = of("temperature").find(|(labels, _)| labels.get("instance") == Some("host-3")).expect("a series");
    let raw = host
        .timestamps_ms
        .iter()
        .zip(&host.values)
        .filter(|(time, _)| RAW_MS.contains(time))
        .map(|(time, value)| vec![Cell::Number(*time), Cell::Float(*value)])
        .collect();

    // `series_id` partitions within a file, so the increase from one day to the next is not in the query's answer.
    let increases = of("requests_total").map(|(labels, columns)| {
        let samples = valid(columns);
        let pairs = samples.windows(2).filter(|pair| Day::of(pair[0].0) == Day::of(pair[1].0));
        let sum: f64 = pairs.map(|pair| if pair[1].1 >= pair[0].1 { pair[1].1 - pair[0].1 } else { pair[1].1 }).sum();
        vec![label(labels, "instance"), Cell::Float(sum)]
    });

    let lasts = of("temperature").map(|(labels, columns)| {
        vec![label(labels, "instance"), Cell::Float(valid(columns).last().expect("samples").1)]
    });

    let metrics = ["requests_total", "temperature"].map(|metric| {
        let samples: usize = of(metric).map(|(_, columns)| columns.values.len()).sum();
        vec![Cell::Text(metric.into()), Cell::Number(samples as i64), Cell::Number(of(metric).count() as i64)]
    });
    vec![counted, by_minute, raw, increases.collect(), lasts.collect(), metrics.to_vec()]
}

fn ask(python: &str, prefix: &Path, queries: &[String]) -> anyhow::Result<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/engines.py");
    let mut child = Command::new(python)
        .arg(script)
        .arg(prefix)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {python}"))?;
    child.stdin.take().context("its input")?.write_all(&serde_json::to_vec(queries)?)?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("the engines failed: {}", output.status);
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn read(answer: &Value) -> anyhow::Result<Answer> {
    let cell = |cell: &Value| match cell {
        Value::String(text) => Ok(Cell::Text(text.clone())),
        Value::Number(number) => Ok(Cell::Number(number.as_i64().context("a whole number")?)),
        Value::Object(float) => {
            let bits = float.get("bits").and_then(Value::as_str).context("bits of a float")?;
            Ok(Cell::Float(f64::from_bits(bits.parse()?)))
        }
        other => bail!("no cell: {other}"),
    };
    let rows = answer.as_array().context("no rows")?;
    rows.iter().map(|row| row.as_array().context("no row")?.iter().map(cell).collect()).collect()
}

/// Counts, times, texts and raw values are equal; sums may be added up in another order.
fn compare(found: &Answer, expected: &Answer) -> anyhow::Result<()> {
    ensure!(found.len() == expected.len(), "{} rows, expected {}", found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        let same = found.len() == expected.len()
            && found.iter().zip(expected).all(|cells| match cells {
                (Cell::Float(a), Cell::Float(b)) => a.to_bits() == b.to_bits() || (a - b).abs() <= 1e-12 * b.abs(),
                (a, b) => a == b,
            });
        ensure!(same, "row {found:?}, expected {expected:?}");
    }
    Ok(())
}
