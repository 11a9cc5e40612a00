//! Bytes per sample of real scrapes in files of the tier, and how fast they are written, scanned and searched.
//!
//! `cargo run --profile ci -p mytsdb-parquet-tier --example figures -- FILE` takes scrapes as text, packed with zstd: a line
//! `##TS <ms>` starts one. What was written is read back and compared bit for bit.
#![expect(clippy::disallowed_methods, reason = "an example reads the file that it is given")]

use anyhow::{Context, ensure};
use mytsdb_columns::Columns;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_parquet_tier::{DAY_MS, Day, FileId, Store, StoreOptions, Tier, TierError, WriteOptions, compare_series};
use mytsdb_testkit::Random;
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;
use std::time::Instant;

type Series = Vec<(Labels, Columns)>;

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "../shared/data/node-exporter-1s.txt.zst".into());
    let scrapes = scrapes(&path)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        report("node_exporter, every 15th scrape, times as they were", &every(&scrapes, 15)).await?;
        report("node_exporter, all scrapes at exact 15 s", &spaced(&scrapes, |n| n * 15_000)).await?;
        report("node_exporter, all scrapes 15 s apart with 5 ms of jitter", &spaced(&scrapes, jittered)).await?;
        report("node_exporter, 1 s, times as they were", &scrapes).await?;
        report("made up, 10 metrics of 200 series, 15 s", &made_up()).await?;
        Ok(())
    })
}

fn scrapes(path: &str) -> anyhow::Result<Series> {
    let packed = std::fs::read(path).with_context(|| path.to_owned())?;
    let mut text = String::new();
    zstd::stream::read::Decoder::new(&packed[..])?.read_to_string(&mut text)?;
    let mut samples: BTreeMap<&str, Columns> = BTreeMap::new();
    let mut now = 0;
    for line in text.lines() {
        if let Some(time) = line.strip_prefix("##TS ") {
            now = time.trim().parse()?;
        } else if !line.starts_with('#')
            && let Some((series, value)) = line.rsplit_once(' ')
        {
            samples.entry(series).or_default().push_float(now, value.parse()?);
        }
    }
    Ok(sorted(samples.into_iter().map(|(series, columns)| (labels(series), columns)).collect()))
}

fn labels(series: &str) -> Labels {
    let (name, mut rest) = series.split_once('{').unwrap_or((series, ""));
    let mut pairs = vec![("__name__", name), ("job", "node"), ("instance", "localhost:9100")];
    while let Some((name, behind)) = rest.split_once("=\"") {
        let Some((value, behind)) = behind.split_once('"') else { break };
        pairs.push((name.trim_start_matches(','), value));
        rest = behind;
    }
    Labels::from_pairs(pairs)
}

fn sorted(mut series: Series) -> Series {
    series.sort_by(|a, b| compare_series(&a.0, &b.0));
    series
}

/// One scrape in `step`.
fn every(scrapes: &Series, step: usize) -> Series {
    let times: std::collections::BTreeSet<i64> =
        scrapes.iter().flat_map(|(_, c)| c.timestamps_ms.iter().copied()).collect();
    let kept: std::collections::BTreeSet<i64> = times.into_iter().step_by(step).collect();
    let thin = |columns: &Columns| {
        let mut thin = Columns::default();
        for (time, value) in columns.timestamps_ms.iter().zip(&columns.values).filter(|(time, _)| kept.contains(time)) {
            thin.push_float(*time, *value);
        }
        thin
    };
    let all = scrapes.iter().map(|(labels, columns)| (labels.clone(), thin(columns)));
    all.filter(|(_, columns)| !columns.is_empty()).collect()
}

/// All scrapes at other times.
fn spaced(scrapes: &Series, time: impl Fn(i64) -> i64) -> Series {
    let times: std::collections::BTreeSet<i64> =
        scrapes.iter().flat_map(|(_, c)| c.timestamps_ms.iter().copied()).collect();
    let new: BTreeMap<i64, i64> = times.into_iter().zip(0..).map(|(old, number)| (old, time(number))).collect();
    let moved = |columns: &Columns| {
        let mut moved = columns.clone();
        for time in &mut moved.timestamps_ms {
            *time = new[time];
        }
        moved
    };
    scrapes.iter().map(|(labels, columns)| (labels.clone(), moved(columns))).collect()
}

fn jittered(number: i64) -> i64 {
    number * 15_000 + Random::of_case(5, number as u64).below(6) as i64
}

/// A day of counters, gauges of two digits, and values of full precision.
fn made_up() -> Series {
    let mut all = Vec::new();
    for number in 0..2_000u64 {
        let mut random = Random::of_case(1, number);
        let labels = Labels::from_pairs([
            ("__name__", format!("metric_{}", number / 200)),
            ("instance", format!("10.0.0.{}:9100", number % 200)),
            ("job", format!("job-{}", number % 10)),
            ("pod", format!("pod-{number:x}")),
        ]);
        let (mut columns, mut count) = (Columns::default(), 0.0);
        for at in 0..DAY_MS / 15_000 {
            count += random.below(100) as f64;
            let value = match number / 200 % 3 {
                0 => count,
                1 => (random.unit() * 10_000.0).round() / 100.0,
                _ => random.unit(),
            };
            columns.push_float(at * 15_000 + number as i64 % 15_000, value);
        }
        all.push((labels, columns));
    }
    sorted(all)
}

/// Writes days, uploads them to a local folder, reads everything back, and tells what took how much.
async fn report(what: &str, series: &Series) -> anyhow::Result<()> {
    let mut folder = tempfile::tempdir()?;
    // For a look at the files themselves.
    folder.disable_cleanup(std::env::var_os("MYTSDB_KEEP").is_some());
    let tier = Tier::open(Arc::new(Store::local(folder.path(), StoreOptions::default())?), 0).await?;
    let count: usize = series.iter().map(|(_, columns)| columns.len()).sum();
    let names: std::collections::BTreeSet<&str> =
        series.iter().flat_map(|(l, _)| l.iter()).map(|(name, _)| name).collect();
    let range =
        series.iter().fold(TimeRange::EMPTY, |range, (_, c)| range.cover(c.range(mytsdb_columns::Mark::default())));
    let (mut day_ms, mut written_in, mut uploaded_in, mut number) = (range.mint, 0.0, 0.0, 0);
    let mut cpu = 0.0;
    while day_ms <= range.maxt {
        let day = Day::of(day_ms).context("a day")?;
        let parts: Series = series
            .iter()
            .map(|(labels, columns)| {
                let mut part = Columns::default();
                part.extend_from(columns, day.range());
                (labels.clone(), part)
            })
            .collect();
        let (start, cpu_start) = (Instant::now(), cpu_seconds());
        let mut writer = Tier::writer(day, names.iter().copied(), WriteOptions::default(), folder.path())?;
        for (labels, columns) in &parts {
            writer.push(labels, columns, None)?;
        }
        let written = writer.finish()?;
        written_in += start.elapsed().as_secs_f64();
        cpu += cpu_seconds() - cpu_start;
        let start = Instant::now();
        number += 1;
        let uploaded = tier.upload(written, FileId::new(number, 1)).await?;
        tier.commit(vec![uploaded], &[], number).await?;
        uploaded_in += start.elapsed().as_secs_f64();
        day_ms = day.range().maxt + 1;
    }
    println!("{what}: {} series, {count} samples, {} files of days", series.len(), tier.manifest().days.len());
    let mut all = tier.manifest().encode().len() as u64;
    for day in &tier.manifest().days {
        all += day.bytes();
        for (kind, digest) in &day.files {
            println!(
                "  {:<16} {:>9} B  {:.4} B/sample",
                kind.name(),
                digest.whole.bytes,
                digest.whole.bytes as f64 / count as f64
            );
        }
    }
    if std::env::var_os("MYTSDB_KEEP").is_some() {
        println!("  kept in {}", folder.path().display());
    }
    let million = |seconds: f64, rows: usize| rows as f64 / seconds / 1e6;
    println!("  all              {all:>9} B  {:.4} B/sample", all as f64 / count as f64);
    println!(
        "  written: {written_in:.2} s, {:.1} M samples/s ({cpu:.2} s of CPU); with upload and verification {:.1} M samples/s",
        million(written_in, count),
        million(written_in + uploaded_in, count)
    );
    check(&tier, series).await?;
    speed(&tier, series).await
}

/// Seconds of CPU that this process has had, from Linux, in steps of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace()).into_iter().flatten();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

async fn check(tier: &Tier, series: &Series) -> anyhow::Result<()> {
    let selection = tier.select(&[], TimeRange::ALL).await?;
    ensure!(selection.labels().eq(series.iter().map(|(labels, _)| labels)), "other series");
    let bits = |columns: &Columns| columns.values.iter().map(|value| value.to_bits()).collect::<Vec<u64>>();
    let mut same = true;
    let each = |place: usize, columns: &mut Columns| {
        let (_, expected) = &series[place];
        same &= columns.timestamps_ms == expected.timestamps_ms && bits(columns) == bits(expected);
        Ok::<(), TierError>(())
    };
    selection.read(TimeRange::ALL, each).await?;
    ensure!(same, "other samples");
    Ok(())
}

/// Scans the metric with the most samples, and reads two hours of one series.
async fn speed(tier: &Tier, series: &Series) -> anyhow::Result<()> {
    let mut by_metric: BTreeMap<&str, usize> = BTreeMap::new();
    for (labels, columns) in series {
        *by_metric.entry(labels.metric_name()).or_default() += columns.len();
    }
    let (metric, rows) = by_metric.into_iter().max_by_key(|(_, rows)| *rows).context("a metric")?;
    let selection = tier.select(&[Matcher::metric(metric)], TimeRange::ALL).await?;
    let (mut best, mut best_select) = (f64::MAX, f64::MAX);
    let scans = 20;
    let cpu_start = cpu_seconds();
    for _ in 0..scans {
        let start = Instant::now();
        let found = tier.select(&[Matcher::metric(metric)], TimeRange::ALL).await?;
        best_select = best_select.min(start.elapsed().as_secs_f64());
        ensure!(found.len() == selection.len(), "other series");
        let (start, mut read) = (Instant::now(), 0);
        let each = |_: usize, columns: &mut Columns| {
            read += columns.len();
            Ok::<(), TierError>(())
        };
        selection.read(TimeRange::ALL, each).await?;
        best = best.min(start.elapsed().as_secs_f64());
        ensure!(read == rows, "other samples");
    }
    println!(
        "  scan of {metric}, {rows} rows: {:.1} ms, {:.0} M rows/s ({:.1} ms of CPU with select); selected in {:.2} ms",
        best * 1e3,
        rows as f64 / best / 1e6,
        (cpu_seconds() - cpu_start) / f64::from(scans) * 1e3,
        best_select * 1e3
    );
    let (labels, columns) = &series[series.len() / 2];
    let matchers: Vec<Matcher> = labels.iter().map(|(name, value)| Matcher::equal(name, value)).collect();
    let one = tier.select(&matchers, TimeRange::ALL).await?;
    let from = columns.timestamps_ms[columns.len() / 2];
    let mut times = Vec::new();
    for _ in 0..50 {
        let start = Instant::now();
        one.read(TimeRange::new(from, from + 30 * 60_000), |_, _| Ok::<(), TierError>(())).await?;
        times.push(start.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    println!("  half an hour of one series: {:.0} us (median)", times[times.len() / 2] * 1e6);
    Ok(())
}
