//! Retention by selector: the rules of the settings, and the thread that deletes what they say. `docs/retention.md`.

mod preview;

pub(crate) use preview::{Freed, Preview, tombstones};

use crate::compactor::Rate;
use crate::worker::{self, Shutdown};
use anyhow::{Context, Result, ensure};
use mytsdb_cold::Cold;
use mytsdb_engine::Engine;
use mytsdb_model::{Matcher, TimeRange};
use mytsdb_parquet_tier::DAY_MS;
use mytsdb_promql_syntax::{ParseOptions, TextLimits, parse_duration_ms, parse_selector};
use mytsdb_stop::StopSign;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Between two looks, and before the first.
const INTERVAL: Duration = Duration::from_mins(10);
const FIRST: Duration = Duration::from_mins(1);

/// Series that satisfy a selector are kept for so long.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) selector: Vec<Matcher>,
    keep_ms: i64,
}

impl Rule {
    /// Reads `{env="dev"}: 7d`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        // A selector may have colons, a duration has none.
        let (selector, keep) =
            text.rsplit_once(':').context("expected SELECTOR: DURATION, such as '{env=\"dev\"}: 7d'")?;
        let selector = parse_selector(selector.trim(), ParseOptions::within(TextLimits::DEFAULT))?;
        ensure!(
            selector.iter().any(|matcher| !matcher.matches_empty()),
            "the selector must have a matcher that does not match the empty text"
        );
        let keep_ms = parse_duration_ms(keep.trim())
            .map_err(|error| anyhow::anyhow!("{error}"))
            .context("write the duration as 7d or 1y")?;
        ensure!(keep_ms >= DAY_MS, "the duration must be at least 1d: rules count days");
        Ok(Self { selector, keep_ms })
    }

    /// Reads all rules of the settings.
    pub(crate) fn parse_all(texts: &[String]) -> Result<Vec<Self>> {
        texts.iter().map(|text| Self::parse(text).with_context(|| format!("--retention-rule {text:?}"))).collect()
    }

    /// Times that the rule removes: all before the day that is so long ago.
    pub(crate) fn expired(&self, now_ms: i64) -> TimeRange {
        let cut_ms = now_ms.saturating_sub(self.keep_ms).div_euclid(DAY_MS).saturating_mul(DAY_MS);
        TimeRange::new(i64::MIN, cut_ms.saturating_sub(1))
    }
}

/// Starts the thread, if there are rules.
pub(crate) fn start(
    engine: &Arc<Engine>,
    cold: Option<Arc<Cold>>,
    rules: Vec<Rule>,
    bytes_per_second: u64,
    shutdown: &Arc<Shutdown>,
) -> Result<Option<JoinHandle<()>>> {
    if rules.is_empty() {
        return Ok(None);
    }
    let engine = engine.clone();
    let started = worker::spawn("retention", shutdown, FIRST, move |shutdown| {
        let go_on = || !shutdown.has_begun();
        let mut rate = Rate::new(bytes_per_second.max(1));
        let mut pace = |bytes| {
            if bytes_per_second > 0 {
                shutdown.wait(rate.after(bytes, Instant::now()));
            }
        };
        match apply(&engine, cold.as_deref(), &rules, StopSign::new(&go_on), &mut pace) {
            Ok(0) => {}
            Ok(count) => tracing::info!(rules = count, "samples were deleted by rules of retention"),
            Err(_) if shutdown.has_begun() => {}
            Err(error) => tracing::error!("rules of retention were not applied and are tried again: {error:#}"),
        }
        INTERVAL
    });
    started.map(Some)
}

/// Deletes what rules say, and writes blocks and days anew without it; tells how many rules had something to delete.
fn apply(
    engine: &Engine,
    cold: Option<&Cold>,
    rules: &[Rule],
    stop: StopSign<'_>,
    pace: &mut dyn FnMut(u64),
) -> Result<usize> {
    let now_ms = engine.settled_now_ms();
    let mut count = 0;
    for rule in rules {
        let range = rule.expired(now_ms);
        // Without samples there is no deletion: each would stay until everything is written anew.
        if !has_samples(engine, &rule.selector, range)? {
            continue;
        }
        engine.delete_series(std::slice::from_ref(&rule.selector), range)?;
        count += 1;
    }
    if count > 0 {
        engine.clean_tombstones(stop, pace)?;
        if let Some(cold) = cold {
            cold.clean_tombstones(stop)?;
        }
    }
    Ok(count)
}

/// Whether samples of a selector are stored in a range. Reads until it finds one.
fn has_samples(engine: &Engine, selector: &[Matcher], range: TimeRange) -> Result<bool> {
    let found = engine.select(range, selector)?;
    let mut columns = mytsdb_columns::Columns::default();
    for index in 0..found.len() {
        columns.clear();
        found.read(index, range, &mut columns)?;
        if !columns.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_cold::ColdOptions;
    use mytsdb_engine::{Batch, EngineOptions, ManualClock};
    use mytsdb_io::SimDisk;
    use mytsdb_model::Labels;
    use mytsdb_parquet_tier::Store;
    use mytsdb_telemetry::Registry;
    use mytsdb_testkit::{Random, seed};
    use std::collections::BTreeMap;

    #[test]
    fn a_rule_is_a_selector_and_a_duration_of_days() {
        let rule = Rule::parse("up{a=\"x:y\"} : 2d").unwrap();
        assert_eq!((rule.selector.len(), rule.keep_ms), (2, 2 * DAY_MS));
        // From the middle of the tenth day two days back, and then to the beginning of that day.
        assert_eq!(rule.expired(10 * DAY_MS + 5), TimeRange::new(i64::MIN, 8 * DAY_MS - 1));
        for (text, part) in [
            ("{env=\"dev\"}", "expected SELECTOR: DURATION"),
            ("{env=\"dev\"}: soon", "7d"),
            ("{env=\"dev\"}: 23h", "at least 1d"),
            ("{env=}: 7d", ""),
            ("{}: 7d", ""),
        ] {
            let error = format!("{:#}", Rule::parse_all(&[text.to_owned()]).unwrap_err());
            assert!(error.contains("--retention-rule") && error.contains(part), "{text}: {error}");
        }
    }

    fn labels(series: usize) -> Labels {
        let (env, name) = (["dev", "prod", "test"][series % 3], format!("m{}", series % 2));
        Labels::from_pairs([("__name__", name.as_str()), ("env", env), ("series", &series.to_string())])
    }

    /// What is stored, by series and time.
    fn stored(engine: &Engine) -> BTreeMap<(usize, i64), f64> {
        let found = engine.select(TimeRange::ALL, &[]).unwrap();
        let mut all = BTreeMap::new();
        for index in 0..found.len() {
            let series = found.labels(index).get("series").unwrap().parse().unwrap();
            let mut columns = mytsdb_columns::Columns::default();
            found.read(index, TimeRange::ALL, &mut columns).unwrap();
            all.extend(
                columns.timestamps_ms.iter().zip(&columns.values).map(|(time, value)| ((series, *time), *value)),
            );
        }
        all
    }

    #[test]
    fn what_rules_say_leaves_head_blocks_and_cold_tier_and_nothing_else_does() {
        let seed = seed(11);
        for case in 0..6 {
            let mut random = Random::of_case(seed, case);
            let now_ms = 20_000 * DAY_MS + random.below(DAY_MS as u64) as i64;
            let clock = Arc::new(ManualClock::new(now_ms));
            let disk = Arc::new(SimDisk::new());
            let options = EngineOptions { retention_ms: 400 * DAY_MS, ..EngineOptions::new("/data") };
            let (engine, _) = Engine::open(disk.clone(), clock.clone(), options, &Registry::new()).unwrap();
            let engine = Arc::new(engine);
            let spool = tempfile::tempdir().unwrap();
            let options = ColdOptions::new(spool.path());
            let cold =
                Cold::open(engine.clone(), disk, clock.clone(), &Store::memory(), options, &Registry::new()).unwrap();
            let mut model = BTreeMap::new();
            let append = |random: &mut Random, model: &mut BTreeMap<(usize, i64), f64>, days: u64| {
                let mut batch = Batch::default();
                for _ in 0..200 {
                    let (series, ago) = (random.index(9), random.below(days * DAY_MS as u64) as i64);
                    let (time, value) = (now_ms - ago, random.below(100) as f64);
                    batch.push(engine.resolve(&labels(series)).unwrap(), time, value);
                    model.entry((series, time)).or_insert(value);
                }
                engine.append(batch).unwrap();
            };
            append(&mut random, &mut model, 20);
            engine.flush_before(now_ms).unwrap();
            while cold.step(StopSign::NEVER).unwrap().demoted_blocks > 0 {}
            append(&mut random, &mut model, 20);
            engine.flush_before(now_ms - DAY_MS).unwrap();
            append(&mut random, &mut model, 3);
            let rules = [
                format!("{{env=\"dev\"}}: {}d", 1 + random.below(12)),
                format!("m1{{env!=\"prod\"}}: {}d", 1 + random.below(12)),
            ];
            let rules = Rule::parse_all(&rules).unwrap();
            let now_ms = engine.settled_now_ms();
            let before = model.len();
            model.retain(|(series, time), _| {
                let expires = |rule: &Rule| {
                    rule.selector.iter().all(|m| m.matches_labels(&labels(*series)))
                        && rule.expired(now_ms).contains(*time)
                };
                !rules.iter().any(expires)
            });
            assert!(model.len() < before);
            assert!(apply(&engine, Some(&cold), &rules, StopSign::NEVER, &mut |_| ()).unwrap() > 0);
            assert!(stored(&engine) == model, "seed {seed} case {case}");
            let again = apply(&engine, Some(&cold), &rules, StopSign::NEVER, &mut |_| ()).unwrap();
            assert_eq!(again, 0, "seed {seed} case {case}");
            cold.verify(StopSign::NEVER).unwrap();
        }
    }
}
