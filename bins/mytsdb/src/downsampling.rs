//! Rules of downsampling as the settings have them. `docs/downsampling.md`.

use crate::settings::Config;
use anyhow::{Context, Result, ensure};
use mytsdb_downsample::{Resolution, Rule};
use mytsdb_parquet_tier::DAY_MS;
use mytsdb_promql_syntax::{ParseOptions, TextLimits, parse_duration_ms, parse_selector};

/// Reads all rules of the settings, and checks them against the others.
pub(crate) fn rules(config: &Config) -> Result<Vec<Rule>> {
    let parse = |text: &String| parse(text).with_context(|| format!("--downsample {text:?}"));
    let rules: Vec<Rule> = config.downsample.iter().map(parse).collect::<Result<_>>()?;
    let retention_ms = config.retention.ms();
    for (resolution, keep_ms) in rules.iter().flat_map(|rule| &rule.keep_ms) {
        ensure!(
            *keep_ms > retention_ms,
            "--downsample keeps buckets of {resolution} for no longer than --retention keeps the samples themselves"
        );
    }
    ensure!(
        rules.is_empty() || config.read_only || !matches!(&*config.cold_url, "" | "none"),
        "--downsample keeps buckets in the cold tier, and there is none: set --cold-url"
    );
    Ok(rules)
}

/// Reads `{env="prod"}: 5m for 180d, 1h for 5y`.
fn parse(text: &str) -> Result<Rule> {
    const EXPECTED: &str = "expected SELECTOR: WIDTH for DURATION, such as '{env=\"prod\"}: 5m for 180d, 1h for 5y'";
    // A selector may have colons, what follows it has none.
    let (selector, widths) = text.rsplit_once(':').context(EXPECTED)?;
    let selector = parse_selector(selector.trim(), ParseOptions::within(TextLimits::DEFAULT))?;
    ensure!(
        selector.iter().any(|matcher| !matcher.matches_empty()),
        "the selector must have a matcher that does not match the empty text"
    );
    let mut keep_ms: Vec<(Resolution, i64)> = Vec::new();
    for part in widths.split(',') {
        let (width, keep) = part.trim().split_once(" for ").context(EXPECTED)?;
        let resolution: Resolution = width.trim().parse().ok().context("the width must be 5m or 1h")?;
        let keep = parse_duration_ms(keep.trim())
            .map_err(|error| anyhow::anyhow!("{error}"))
            .context("write the duration as 180d or 5y")?;
        ensure!(keep >= DAY_MS, "the duration must be at least 1d: buckets are kept by days");
        ensure!(keep_ms.iter().all(|(other, _)| *other != resolution), "{resolution} stands there twice");
        keep_ms.push((resolution, keep));
    }
    Ok(Rule { selector, keep_ms })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_cold::{Cold, ColdOptions};
    use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock};
    use mytsdb_io::RealDisk;
    use mytsdb_model::{Labels, Matcher, TimeRange};
    use mytsdb_parquet_tier::{Store, StoreOptions};
    use mytsdb_promql::{Cancel, QueryOptions, QueryResult, QueryValue, range};
    use mytsdb_query::EngineStorage;
    use mytsdb_stop::StopSign;
    use mytsdb_telemetry::Registry;
    use mytsdb_testkit::{Random, seed};
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn a_rule_is_a_selector_and_widths_with_durations() {
        let rule = parse("up{a=\"x:y, z\"} : 5m for 180d , 1h for 5y").unwrap();
        assert_eq!(rule.selector.len(), 2);
        assert_eq!(rule.keep_ms, [(Resolution::FiveMinutes, 180 * DAY_MS), (Resolution::Hour, 5 * 365 * DAY_MS)]);
        for (text, part) in [
            ("{env=\"prod\"}", "expected SELECTOR: WIDTH for DURATION"),
            ("{env=\"prod\"}: 1h", "expected SELECTOR: WIDTH for DURATION"),
            ("{env=\"prod\"}: 1h for ever", "180d"),
            ("{env=\"prod\"}: 10m for 1y", "5m or 1h"),
            ("{env=\"prod\"}: 1h for 23h", "at least 1d"),
            ("{env=\"prod\"}: 1h for 1y, 1h for 2y", "twice"),
            ("{env=}: 1h for 1y", ""),
            ("{}: 1h for 1y", ""),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    const HOUR_MS: i64 = 3_600_000;
    const NOW_MS: i64 = 20_000 * DAY_MS;

    /// A data folder and a tier on the real disk, opened anew.
    fn open(dir: &Path, clock: &Arc<ManualClock>) -> (Arc<Engine>, Cold) {
        let options = EngineOptions { retention_ms: 30 * DAY_MS, ..EngineOptions::new(dir.join("data")) };
        let disk = Arc::new(RealDisk);
        let (engine, _) = Engine::open(disk.clone(), clock.clone(), options, &Registry::new()).unwrap();
        let engine = Arc::new(engine);
        let store = Store::local(dir.join("store"), StoreOptions::default()).unwrap();
        let mut options = ColdOptions::new(dir.join("spool"));
        options.downsample = vec![parse("{env=\"prod\"}: 5m for 100d, 1h for 5y").unwrap()];
        let cold = Cold::open(engine.clone(), disk, clock.clone(), &store, options, &Registry::new()).unwrap();
        (engine, cold)
    }

    fn settle(cold: &Cold) {
        loop {
            let done = cold.step(StopSign::NEVER).unwrap();
            if done.demoted_blocks + done.downsampled_days == 0 {
                return;
            }
        }
    }

    fn append(engine: &Engine, samples: impl Iterator<Item = (usize, i64, f64)>) {
        let mut batch = Batch::default();
        for (series, time_ms, value) in samples {
            let env = if series == 3 { "dev" } else { "prod" };
            let labels = Labels::from_pairs([("__name__", "m_total"), ("env", env), ("series", &*series.to_string())]);
            batch.push(engine.resolve(&labels).unwrap(), time_ms, value);
        }
        engine.append(batch).unwrap();
    }

    /// Half-hourly, hourly and longer windows over six days.
    const QUERIES: [(&str, i64); 9] = [
        ("count_over_time(m_total[1h])", HOUR_MS),
        ("sum_over_time(m_total[2h])", HOUR_MS),
        ("min_over_time(m_total[1h])", 2 * HOUR_MS),
        ("max_over_time(m_total[30m])", HOUR_MS / 2),
        ("increase(m_total[1d])", HOUR_MS),
        ("rate(m_total[10m])", HOUR_MS / 6),
        ("avg_over_time(m_total[1d])", 6 * HOUR_MS),
        ("m_total", HOUR_MS),
        ("sum by (env) (rate(m_total[1h]))", HOUR_MS),
    ];

    fn ask(engine: &Arc<Engine>, query: &str, step_ms: i64) -> QueryResult {
        let expr = mytsdb_promql_syntax::parse(query).unwrap();
        let (storage, options) = (EngineStorage::new(engine.clone()), QueryOptions::default());
        range(&storage, &expr, NOW_MS - 8 * DAY_MS, NOW_MS - 2 * DAY_MS, step_ms, &options, &Cancel::default()).unwrap()
    }

    fn values(result: &QueryResult) -> BTreeMap<(String, i64), f64> {
        let QueryValue::Matrix(all) = &result.value else { panic!("{:?}", result.value) };
        let points = |series: &mytsdb_promql::Series| {
            let name = format!("{:?}{:?}", series.labels.get("env"), series.labels.get("series"));
            let points = series.timestamps_ms.iter().zip(&series.values);
            points.map(move |(time, value)| ((name.clone(), *time), *value)).collect::<Vec<_>>()
        };
        all.iter().flat_map(points).collect()
    }

    fn infos(result: &QueryResult) -> Vec<String> {
        result.annotations.infos("", 0).into_iter().filter(|text| text.contains("downsampled")).collect()
    }

    #[test]
    fn a_data_folder_with_a_tier_answers_from_buckets_what_it_answered_from_samples() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(NOW_MS));
        let (engine, cold) = open(dir.path(), &clock);
        let mut random = Random::new(seed(3));
        let mut value = [0.0_f64; 4];
        let minutes = (NOW_MS - 8 * DAY_MS) / 60_000..(NOW_MS - 2 * DAY_MS) / 60_000;
        let samples: Vec<(usize, i64, f64)> = minutes
            .flat_map(|minute| (0..4).map(move |series| (series, minute * 60_000 + series as i64 * 777)))
            .map(|(series, time_ms)| {
                let next = if random.one_in(500) { 0.0 } else { value[series] + random.below(9) as f64 / 8.0 };
                value[series] = if series == 2 { random.below(100) as f64 } else { next };
                (series, time_ms, value[series])
            })
            .collect();
        append(&engine, samples.iter().copied());
        append(&engine, std::iter::once((0, NOW_MS, 1.0)));
        engine.flush_before(NOW_MS - DAY_MS).unwrap();
        settle(&cold);
        let days = cold.manifest().unwrap().days.len();
        assert_eq!(days, 6 * 3, "a folder of samples and two of buckets each day");
        let expected: Vec<_> = QUERIES.iter().map(|(query, step_ms)| ask(&engine, query, *step_ms)).collect();
        assert!(expected.iter().all(|result| infos(result).is_empty()), "samples are there, and are used");
        drop((engine, cold));
        // The samples expire. Old ones that came late would be refused now.
        clock.set(NOW_MS + 40 * DAY_MS);
        let (engine, cold) = open(dir.path(), &clock);
        append(&engine, std::iter::once((0, NOW_MS + 40 * DAY_MS, 1.0)));
        engine.maintain().unwrap();
        settle(&cold);
        assert_eq!(cold.manifest().unwrap().days.len(), 6 * 2);
        cold.verify(StopSign::NEVER).unwrap();
        drop((engine, cold));
        let (engine, cold) = open(dir.path(), &clock);
        for ((query, step_ms), expected) in QUERIES.iter().zip(&expected) {
            let found = ask(&engine, query, *step_ms);
            let width = if step_ms % HOUR_MS == 0 && !query.contains("m]") { "1h" } else { "5m" };
            let infos = infos(&found);
            assert!(infos.len() == 1 && infos[0].contains(width) && !infos[0].contains("whole"), "{query}: {infos:?}");
            let mut wanted = values(expected);
            wanted.retain(|(name, _), _| !name.contains("dev"));
            let found = values(&found);
            assert!(found.keys().eq(wanted.keys()) && !found.is_empty(), "{query}");
            for ((key, wanted), found) in wanted.iter().zip(found.values()) {
                assert!((wanted - found).abs() <= 1e-9 * (1.0 + wanted.abs()), "{query} {key:?}: {wanted} {found}");
            }
        }
        // What cannot be computed says what it used; what is deleted is gone at once and for good.
        let found = ask(&engine, "quantile_over_time(0.9, m_total[6h])", HOUR_MS);
        assert!(infos(&found)[0].contains("only the last sample"), "{:?}", infos(&found));
        engine.delete_series(&[vec![Matcher::equal("series", "1")]], TimeRange::ALL).unwrap();
        let count = |engine: &Arc<Engine>| {
            let found = ask(engine, "count_over_time(m_total[1d])", DAY_MS);
            values(&found).into_keys().map(|(name, _)| name).collect::<std::collections::BTreeSet<_>>().len()
        };
        assert_eq!(count(&engine), 2);
        cold.clean_tombstones(StopSign::NEVER).unwrap();
        drop((engine, cold));
        // Buckets of five minutes expire, those of an hour stay.
        clock.set(NOW_MS + 200 * DAY_MS);
        let (engine, cold) = open(dir.path(), &clock);
        append(&engine, std::iter::once((0, NOW_MS + 200 * DAY_MS, 1.0)));
        settle(&cold);
        assert_eq!(cold.manifest().unwrap().days.len(), 6);
        assert_eq!(count(&engine), 2);
        let found = ask(&engine, "max_over_time(m_total[30m])", HOUR_MS / 2);
        assert!(infos(&found)[0].contains("1h: steps and ranges are not whole buckets"), "{:?}", infos(&found));
    }
}
