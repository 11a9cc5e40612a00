//! What an alternation of many values costs, beside one of few: in the head's index and in a block's, at a million series.
//!
//! Run: `cargo run --release -p mytsdb-index --example literals [SERIES]`. Fails if an answer is wrong, if a lookup of
//! 10,000 values that select everything takes more than twice as long as one of 10 values that do, or if a value that is
//! looked up costs more than 5 us.

use mytsdb_index::{IndexError, IndexWriter, MemIndex, PackedIndex};
use mytsdb_model::{Labels, MatchOp, Matcher, ModelError, SeriesRef};
use mytsdb_stop::StopSign;
use std::time::{Duration, Instant};

const ZONES: usize = 10;
const HOSTS: usize = 10_000;
const ROUNDS: usize = 5;
const VALUE_MAX: Duration = Duration::from_micros(5);

fn matcher(label: &str, values: impl Iterator<Item = String>) -> Result<(Matcher, Duration), ModelError> {
    let pattern = values.map(|value| value.replace('.', "\\.")).collect::<Vec<_>>().join("|");
    let began = Instant::now();
    let matcher = Matcher::new(MatchOp::Regex, label, pattern)?;
    Ok((matcher, began.elapsed()))
}

fn host(i: usize) -> String {
    format!("10.0.{}.{}:9100", i / 100, i % 100)
}

/// The fastest of some lookups, and the number of series they find.
fn fastest(lookup: impl Fn() -> Result<Vec<u32>, IndexError>) -> Result<(Duration, usize), IndexError> {
    let mut best = (Duration::MAX, 0);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let found = lookup()?.len();
        best = best.min((began.elapsed(), found));
    }
    Ok(best)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let series: usize = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let (mut head, mut block) = (MemIndex::new(), IndexWriter::new());
    let mut all: Vec<Labels> = (0..series)
        .map(|i| {
            Labels::from_pairs([
                ("__name__", "requests_total".to_owned()),
                ("host", host(i % HOSTS)),
                ("pod", format!("pod-{i:07}")),
                ("zone", format!("zone-{}", i % ZONES)),
            ])
        })
        .collect();
    all.sort_unstable();
    for (i, labels) in all.iter().enumerate() {
        head.add(SeriesRef(i as u64), labels);
        block.add(labels)?;
    }
    let section = block.finish_packed()?;
    let (head, block) = (head.snapshot(), PackedIndex::new(&section.section)?);
    let metric = Matcher::equal("__name__", "requests_total");
    let few = matcher("zone", (0..ZONES).map(|i| format!("zone-{i}")))?;
    let many = matcher("host", (0..HOSTS).map(host))?;
    let pods = matcher("pod", (0..HOSTS).map(|i| format!("pod-{i:07}")))?;
    let absent = matcher("pod", (0..150_000).map(|i| i.to_string()))?;
    let cases = [
        ("10 values, all series", few, series),
        ("10,000 values, all series", many, series),
        ("10,000 values, as many series", pods, HOSTS.min(series)),
        ("150,000 values that are not there", absent, 0),
    ];
    let mut took = Vec::new();
    for (what, (matcher, parsed), expected) in cases {
        let values = matcher.regex().and_then(|regex| regex.literals()).map_or(0, <[String]>::len);
        let matchers = [metric.clone(), matcher];
        let in_head =
            fastest(|| Ok(head.select(&matchers, StopSign::NEVER)?.iter().map(|series| series.0 as u32).collect()))?;
        let in_block = fastest(|| block.select(&matchers, StopSign::NEVER))?;
        println!("{what}: parsed in {parsed:.1?}, head {:.1?}, block {:.1?}", in_head.0, in_block.0);
        assert_eq!((in_head.1, in_block.1), (expected, expected), "{what}");
        if expected < series {
            let limit = VALUE_MAX * values as u32;
            assert!(in_head.0.max(in_block.0) < limit, "{what}: more than {limit:?}");
        } else {
            took.push((in_head.0, in_block.0));
        }
    }
    for (place, few, many) in [("head", took[0].0, took[1].0), ("block", took[0].1, took[1].1)] {
        println!("{place}: 10,000 values take {:.2} times as long as 10", many.as_secs_f64() / few.as_secs_f64());
        assert!(many < 2 * few + VALUE_MAX * HOSTS as u32, "{place}: {few:?}, {many:?}");
    }
    Ok(())
}
