//! What is written is read again, bit for bit, whatever the size of row groups.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod common;

use common::{Case, bits, block_on, days, random_case, reference};
use mytsdb_columns::Columns;
use mytsdb_model::{Labels, MatchOp, Matcher, TimeRange};
use mytsdb_parquet_tier::{Day, FileId, Store, Tier, TierError, WriteOptions};
use mytsdb_testkit::{Random, seed};
use std::sync::Arc;

#[test]
fn random_series_come_back_bit_for_bit_whatever_the_row_groups() {
    let seed = seed(12);
    for number in 0..6 {
        let mut random = Random::of_case(seed, number);
        let case = random_case(&mut random);
        let samples: usize = case.series.iter().map(|(_, columns)| columns.timestamps_ms.len()).sum();
        let few = 1 + samples / (2 + random.index(12));
        for row_group_rows in [1 << 20, few, if samples < 40 { 1 } else { few / 2 + 1 }] {
            block_on(check(&case, row_group_rows, &mut random));
        }
    }
}

async fn check(case: &Case, row_group_rows: usize, random: &mut Random) {
    let tier = Tier::open(Arc::new(Store::memory()), 0).await.unwrap();
    days(&tier, case, row_group_rows).await;
    let everything = tier.select(&[], TimeRange::ALL).await.unwrap();
    let expected = reference(case, &[], TimeRange::ALL);
    assert_eq!(
        everything.labels().cloned().collect::<Vec<_>>(),
        expected.iter().map(|(l, _)| l.clone()).collect::<Vec<_>>()
    );
    compare(&tier, &[], TimeRange::ALL, case).await;
    for _ in 0..6 {
        let matchers: Vec<Matcher> = (0..random.below(3)).map(|_| random_matcher(random)).collect();
        let (a, b) = (case.time(random), case.time(random));
        compare(&tier, &matchers, TimeRange::new(a.min(b), a.max(b)), case).await;
    }
}

fn random_matcher(random: &mut Random) -> Matcher {
    let name = random.pick(&["__name__", "job", "value", "l_value", "Env", "none", "instance"]);
    let value = random.pick(&["m1", "m2", "a", "b", "", "m.*", "[ab]|m3", "i1.*"]);
    let op = random.pick(&[MatchOp::Equal, MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex]);
    Matcher::new(op, name, value).unwrap()
}

async fn compare(tier: &Tier, matchers: &[Matcher], range: TimeRange, case: &Case) {
    let expected = reference(case, matchers, range);
    let selection = tier.select(matchers, range).await.unwrap();
    let labels: Vec<Labels> = selection.labels().cloned().collect();
    assert_eq!(labels, expected.iter().map(|(labels, _)| labels.clone()).collect::<Vec<_>>(), "{matchers:?} {range}");
    let mut found = Vec::new();
    selection
        .read(range, |place, columns| {
            assert_eq!(place, found.len());
            found.push(bits(columns));
            Ok::<(), TierError>(())
        })
        .await
        .unwrap();
    for ((labels, columns), found) in expected.iter().zip(&found) {
        assert_eq!(found, &bits(columns), "{labels} {range}");
    }
    assert_eq!(found.len(), expected.len());
    let names = tier.label_names(matchers, range).await.unwrap();
    let of_series = || expected.iter().flat_map(|(labels, _)| labels.iter());
    assert!(of_series().all(|(name, _)| names.contains(name)));
    if !matchers.is_empty() {
        assert!(names.iter().all(|name| of_series().any(|(other, _)| other == name)));
    }
    let values = tier.label_values("job", matchers, range).await.unwrap();
    let expected: std::collections::BTreeSet<&str> =
        expected.iter().filter_map(|(labels, _)| labels.get("job")).collect();
    assert_eq!(values.iter().map(String::as_str).collect::<Vec<_>>(), expected.into_iter().collect::<Vec<_>>());
}

#[test]
fn of_two_files_with_one_time_the_older_wins() {
    block_on(async {
        let tier = Tier::open(Arc::new(Store::memory()), 0).await.unwrap();
        let labels = Labels::from_pairs([("__name__", "up")]);
        let mut add = Vec::new();
        for (age, samples) in [(2, [(5, 50.0), (6, 60.0)]), (1, [(4, 4.0), (5, 5.0)])] {
            let mut columns = Columns::default();
            for (time, value) in samples {
                columns.push_float(time, value);
            }
            let mut writer = common::memory_writer(Day::of(0).unwrap(), ["__name__"], WriteOptions::default());
            writer.push(&labels, &columns, None).unwrap();
            add.push(tier.upload(writer.finish().unwrap(), FileId::new(age, 1)).await.unwrap());
        }
        tier.commit(add, &[], 1).await.unwrap();
        let selection = tier.select(&[Matcher::metric("up")], TimeRange::ALL).await.unwrap();
        let mut found = Vec::new();
        selection
            .read(TimeRange::ALL, |_, columns| {
                found.extend(columns.timestamps_ms.iter().copied().zip(columns.values.iter().copied()));
                Ok::<(), TierError>(())
            })
            .await
            .unwrap();
        assert_eq!(found, [(4, 4.0), (5, 5.0), (6, 60.0)]);
    });
}
