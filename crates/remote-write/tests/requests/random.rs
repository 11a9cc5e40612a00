//! Random requests: both versions give the rows that prost's reading of them gives.

use crate::proto::{Exemplar, Label, TimeSeries, WriteRequest};
use crate::{Store, encode, receiver, request, series};
use mytsdb_model::Labels;
use mytsdb_remote_write::Version;
use mytsdb_testkit::Random;

fn random_series(random: &mut Random) -> TimeSeries {
    let name = format!("m{}", random.below(5));
    let mut labels = vec![("__name__".to_owned(), name)];
    for number in 0..random.below(4) {
        let value = "v".repeat(random.index(3) * 100) + &random.below(3).to_string();
        labels.push((format!("label_{number}"), value));
    }
    if random.one_in(3) {
        labels.reverse();
    }
    if random.one_in(5) {
        labels.push(("empty".to_owned(), String::new()));
    }
    let samples: Vec<_> =
        (0..=random.below(3)).map(|_| (random.bits() as i64, f64::from_bits(random.bits()))).collect();
    let pairs: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut out = series(&pairs, &samples);
    if random.one_in(3) {
        out.exemplars.push(Exemplar { labels: out.labels.clone(), value: 1.0, timestamp: 1 });
        out.samples[0].start_timestamp = 17;
    }
    out
}

fn wanted(sent: &WriteRequest) -> Vec<String> {
    let mut rows = Vec::new();
    for series in &sent.timeseries {
        let labels = Labels::from_pairs(series.labels.iter().map(|Label { name, value }| (name, value)));
        rows.extend(series.samples.iter().map(|s| {
            let since = if s.start_timestamp == 0 { String::new() } else { format!(" since {}", s.start_timestamp) };
            format!("{labels} {} {:x}{since}", s.timestamp, s.value.to_bits())
        }));
    }
    rows
}

#[test]
fn both_versions_give_the_rows_that_were_sent() {
    let mut receivers = Version::ALL.map(|version| (version, receiver(), Store::default()));
    let seed = mytsdb_testkit::seed(20_261_129);
    for case in 0..300 {
        let mut random = Random::of_case(seed, case);
        let series: Vec<_> = (0..random.below(12)).map(|_| random_series(&mut random)).collect();
        let sent = request(series);
        for (version, receiver, rows) in &mut receivers {
            rows.rows.clear();
            // Epochs change now and then, and some references go with them.
            rows.forgetful = random.one_in(2);
            let written = receiver.translate(*version, &encode(&sent, *version), case / 10, rows).unwrap();
            assert_eq!(rows.rows, wanted(&sent), "case {case} of {version:?}");
            assert!(written.is_complete() && written.samples as usize == rows.rows.len());
        }
    }
}
