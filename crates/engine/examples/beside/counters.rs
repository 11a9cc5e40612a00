//! An engine full of counters, and what is asked of it: shared by the examples that need one.

use crate::beside::START_MS;
use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Engine, EngineError, Lookup, ManualClock};
use mytsdb_model::{Labels, Matcher, SeriesRef, TimeRange};
use mytsdb_stop::StopSign;

pub const STEP_MS: i64 = 15_000;

/// Fills an engine; the last two hours are in the head.
pub fn fill(engine: &Engine, clock: &ManualClock, series: usize, rounds: i64) -> Result<(), EngineError> {
    let resolve = |i: usize| {
        let instance = format!("10.{}.{}:8080", i / 250, i % 250);
        let tenth = (i % 10).to_string();
        engine.resolve(&Labels::from_pairs([
            ("__name__", "requests_total"),
            ("instance", &instance),
            ("tenth", &tenth),
        ]))
    };
    let mut refs: Vec<SeriesRef> = (0..series).map(resolve).collect::<Result<_, _>>()?;
    for round in 0..rounds {
        let time = START_MS + round * STEP_MS;
        clock.set(time);
        let mut batch = Batch::with_capacity(series);
        for (i, &series) in refs.iter().enumerate() {
            batch.push(series, time, (round * (3 + i as i64 % 97) + i as i64 * round % 11) as f64);
        }
        engine.append(batch)?;
        if round % 240 == 0 {
            engine.maintain()?;
            refs = (0..series).map(resolve).collect::<Result<_, _>>()?;
        }
    }
    while engine.compact(StopSign::NEVER, &mut |_| ())?.is_some() {}
    Ok(())
}

/// Samples of all series that satisfy a matcher, before a time.
pub fn count(engine: &Engine, matcher: Matcher, until_ms: i64) -> Result<usize, EngineError> {
    let range = TimeRange::new(START_MS, until_ms);
    let found = engine.candidates(&Lookup::new(range, &[matcher]))?;
    let (mut columns, mut count) = (Columns::default(), 0);
    for index in 0..found.len() {
        columns.clear();
        found.read(index, range, &mut columns)?;
        count += columns.len();
    }
    Ok(count)
}

/// The references of all series, of which there are so many.
pub fn references(engine: &Engine, series: usize) -> Result<Vec<SeriesRef>, EngineError> {
    let found = engine.candidates(&Lookup::new(TimeRange::ALL, &[Matcher::metric("requests_total")]))?;
    assert_eq!(found.len(), series);
    (0..series).map(|index| engine.resolve(found.labels(index))).collect()
}
