//! Floats, labels, metadata, the cache, and rows that the store refuses.

use crate::proto::{Exemplar, ExemplarV2, Kind, Label, MetadataV2, MetricMetadata, TimeSeries, as_v2};
use crate::{Store, encode, options, receiver, request, series, translate};
use mytsdb_model::stale_nan;
use mytsdb_remote_write::{Options, Receiver, Version};
use prost::Message;

#[test]
fn values_arrive_bit_for_bit_and_zeros_that_are_left_out_are_zeros() {
    let values = [5.0, 0.0, -1.0, f64::INFINITY, stale_nan(), f64::from_bits(0x7ff8_0000_0000_0001)];
    let samples: Vec<_> = values.iter().enumerate().map(|(i, value)| (i as i64 - 1, *value)).collect();
    for version in Version::ALL {
        let sent = request([series(&[("__name__", "m"), ("gone", "")], &samples)]);
        let (rows, written) = translate(&sent, version);
        let written = written.unwrap();
        assert!(written.is_complete());
        assert_eq!((written.samples, written.histograms), (6, 0));
        let wanted: Vec<_> =
            samples.iter().map(|(time, value)| format!("{{__name__=\"m\"}} {time} {:x}", value.to_bits())).collect();
        assert_eq!(rows.rows, wanted, "{version:?}");
    }
}

#[test]
fn what_is_wrong_with_a_series_costs_its_samples_only() {
    let one = &[(1, 1.0)][..];
    for version in Version::ALL {
        let (rows, written) = translate(
            &request([
                series(&[("__name__", "good")], one),
                series(&[("job", "a")], &[(1, 1.0), (2, 1.0)]),
                series(&[("__name__", "m"), ("job", "a"), ("job", "b")], one),
                series(&[("z", "1"), ("__name__", "unsorted"), ("a", "1")], one),
            ]),
            version,
        );
        let written = written.unwrap();
        assert_eq!((written.samples, written.refused.total()), (2, 3));
        assert_eq!(rows.series, [r#"{__name__="good"}"#, r#"{__name__="unsorted", a="1", z="1"}"#]);
        assert_eq!(
            written.refused.messages(),
            [
                r#"invalid metric name or labels, got {job="a"}"#,
                r#"invalid labels for series, labels {__name__="m", job="a", job="b"}, duplicated label job"#,
            ]
        );
    }
}

#[test]
fn references_outside_of_the_symbols_refuse_their_series() {
    let mut sent = as_v2(&request([
        series(&[("__name__", "a")], &[(1, 1.0)]),
        series(&[("__name__", "b")], &[(1, 1.0)]),
        series(&[("__name__", "c")], &[(1, 1.0)]),
    ]));
    sent.timeseries[0].labels_refs.push(1);
    sent.timeseries[1].labels_refs[1] = 99;
    let mut rows = Store::default();
    let written = receiver().translate(Version::V2, &sent.encode_to_vec(), 0, &mut rows).unwrap();
    assert_eq!((written.samples, written.refused.total()), (1, 2));
    assert_eq!(
        written.refused.messages(),
        ["invalid labelRefs length 3", "labelRef 99 outside of symbols table (size 5)"]
    );
}

#[test]
fn a_series_without_samples_is_an_error_of_version_2_only() {
    let sent = request([series(&[("__name__", "m")], &[])]);
    let (rows, written) = translate(&sent, Version::V1);
    assert!(written.unwrap().is_complete() && rows.series.is_empty());
    let (rows, written) = translate(&sent, Version::V2);
    let written = written.unwrap();
    assert!(rows.series.is_empty() && !written.is_complete());
    let message = "TimeSeries must contain at least one sample or histogram for series {__name__=\"m\"}";
    assert_eq!((written.refused.total(), written.refused.messages()), (0, &[message.to_owned()][..]));
}

#[test]
fn a_series_seen_before_is_found_by_its_bytes_alone() {
    let sent = request([
        series(&[("__name__", "a"), ("job", "x")], &[(1, 1.0)]),
        series(&[("__name__", "b"), ("job", "x")], &[(1, 1.0)]),
        series(&[("__name__", "a"), ("job", "x")], &[(2, 1.0)]),
    ]);
    for version in Version::ALL {
        let (receiver, mut rows) = (receiver(), Store::default());
        let bytes = encode(&sent, version);
        receiver.translate(version, &bytes, 0, &mut rows).unwrap();
        receiver.translate(version, &bytes, 0, &mut rows).unwrap();
        receiver.translate(version, &bytes, 1, &mut rows).unwrap();
        assert_eq!((rows.series.len(), rows.rows.len()), (2, 9), "{version:?}");
        rows.forgetful = true;
        receiver.translate(version, &bytes, 2, &mut rows).unwrap();
        assert_eq!((rows.series.len(), rows.rows.len()), (4, 12), "resolved anew");
    }
}

#[test]
fn a_symbol_table_in_another_order_changes_no_label() {
    let a = request([series(&[("__name__", "a"), ("x", "1")], &[(1, 1.0)])]);
    let b = request([
        series(&[("__name__", "b"), ("y", "2")], &[(1, 1.0)]),
        series(&[("__name__", "a"), ("x", "1")], &[(2, 1.0)]),
        series(&[("__name__", "a"), ("1", "x")], &[(2, 1.0)]),
    ]);
    let (receiver, mut rows) = (receiver(), Store::default());
    for sent in [&a, &b] {
        receiver.translate(Version::V2, &encode(sent, Version::V2), 0, &mut rows).unwrap();
    }
    let sets = [r#"{__name__="a", x="1"}"#, r#"{__name__="b", y="2"}"#, r#"{1="x", __name__="a"}"#];
    assert_eq!(rows.series, sets);
}

#[test]
fn labels_may_stand_behind_samples() {
    let mut plain = request([series(&[("__name__", "m"), ("a", "1")], &[(1, 2.0)])]);
    let mut first = plain.timeseries[0].clone();
    let last = TimeSeries { labels: first.labels.split_off(1), ..TimeSeries::default() };
    let message = [first.encode_to_vec(), last.encode_to_vec()].concat();
    let scattered = [&[0x0a, message.len() as u8][..], &message].concat();
    let (receiver, mut rows) = (receiver(), Store::default());
    let written = receiver.translate(Version::V1, &scattered, 0, &mut rows).unwrap();
    assert_eq!((written.samples, rows.series.len()), (1, 1));
    plain.timeseries[0].samples[0].timestamp = 2;
    receiver.translate(Version::V1, &plain.encode_to_vec(), 0, &mut rows).unwrap();
    assert_eq!(rows.series.len(), 1, "gathered labels have the fingerprint of plain ones");
}

#[test]
fn a_full_store_refuses_new_series_by_name_and_keeps_the_old() {
    let sent = request([series(&[("__name__", "a")], &[(1, 1.0)]), series(&[("__name__", "b")], &[(1, 1.0)])]);
    for version in Version::ALL {
        let mut rows = Store { series_max: Some(1), ..Store::default() };
        let written = receiver().translate(version, &encode(&sent, version), 0, &mut rows).unwrap();
        assert_eq!((written.samples, rows.rows.len()), (1, 1));
        assert_eq!(written.refused.messages(), ["no more series for series {__name__=\"b\"}"]);
    }
}

#[test]
fn rows_that_the_store_takes_back_are_named_by_their_series() {
    let labels = |name| [("__name__", name), ("job", "a")];
    let sent = request([
        series(&labels("a"), &[(1, 1.0), (2, 1.0)]),
        series(&[("job", "x")], &[(1, 1.0)]),
        series(&labels("b"), &[(1, 1.0)]),
        series(&labels("c"), &[(1, 1.0), (2, 2.0)]),
    ]);
    for version in Version::ALL {
        let bytes = encode(&sent, version);
        let mut written = receiver().translate(version, &bytes, 0, &mut Store::default()).unwrap();
        assert_eq!(written.samples, 5);
        written.refuse_rows(&bytes, [1, 2, 4].map(|row| (row, "too old".to_owned())));
        assert_eq!((written.samples, written.refused.total()), (2, 4));
        let named = |name| format!("too old for series {{__name__=\"{name}\", job=\"a\"}}");
        assert_eq!(written.refused.messages()[1..], [named("a"), named("b"), named("c")], "{version:?}");
    }
}

#[test]
fn metadata_is_kept_by_family() {
    let mut sent = request([]);
    let family = MetricMetadata {
        kind: Kind::Counter as i32,
        metric_family_name: "requests_total".into(),
        help: "Requests.".into(),
        unit: String::new(),
    };
    sent.metadata = vec![family.clone(), MetricMetadata { metric_family_name: String::new(), ..family }];
    let options = options();
    let receiver = Receiver::new(options.clone());
    receiver.translate(Version::V1, &sent.encode_to_vec(), 0, &mut Store::default()).unwrap();
    let mut v2 = as_v2(&request([series(&[("__name__", "size_bucket"), ("le", "1")], &[(1, 1.0)])]));
    v2.symbols.extend(["Sizes.".to_owned(), "bytes".to_owned()]);
    let help_ref = v2.symbols.len() as u32 - 2;
    v2.timeseries[0].metadata = Some(MetadataV2 { kind: Kind::Histogram as i32, help_ref, unit_ref: help_ref + 1 });
    receiver.translate(Version::V2, &v2.encode_to_vec(), 0, &mut Store::default()).unwrap();
    v2.timeseries[0].metadata = Some(MetadataV2::default());
    let told_nothing = Receiver::new(Options { fingerprint_seed: 9, ..options.clone() });
    told_nothing.translate(Version::V2, &v2.encode_to_vec(), 0, &mut Store::default()).unwrap();
    let known: Vec<_> =
        options.metadata.all().into_iter().map(|(name, m)| (name, m.kind.as_str(), m.help, m.unit)).collect();
    let wanted = [("requests_total", "counter", "Requests.", ""), ("size", "histogram", "Sizes.", "bytes")];
    assert_eq!(known, wanted.map(|(a, b, c, d)| (a.to_owned(), b, c.to_owned(), d.to_owned())));
}

#[test]
fn exemplars_come_with_their_series_and_odd_ones_cost_no_sample() {
    let label = |name: &str, value: &str| Label { name: name.into(), value: value.into() };
    let exemplar = |labels: Vec<Label>, timestamp| Exemplar { labels, value: 0.5, timestamp };
    let mut first = series(&[("__name__", "a")], &[(1, 1.0)]);
    first.exemplars = vec![
        exemplar(vec![label("trace_id", "7"), label("span_id", "ü"), label("none", "")], 9),
        exemplar(Vec::new(), -1),
        exemplar(vec![label("twice", "1"), label("twice", "2")], 1),
        exemplar(vec![label("", "1")], 1),
        exemplar(vec![label("long", &"x".repeat(1 << 20))], 1),
        exemplar((0..1_000).map(|i| label(&i.to_string(), "x")).collect(), 1),
    ];
    let wanted = [r#"{__name__="a"} 9 0.5 {span_id="ü", trace_id="7"}"#, r#"{__name__="a"} -1 0.5 {}"#];
    for version in Version::ALL {
        let (rows, written) = translate(&request([first.clone()]), version);
        assert_eq!(rows.exemplars, wanted, "{version:?}");
        assert_eq!((rows.rows.len(), written.unwrap().samples), (1, 1));
    }
    // By themselves, as Prometheus sends them: 2.0 wants a sample.
    first.samples.clear();
    let (rows, written) = translate(&request([first.clone()]), Version::V1);
    assert!(rows.exemplars == wanted && written.unwrap().is_complete());
    let (rows, written) = translate(&request([first]), Version::V2);
    let said = "TimeSeries must contain at least one sample or histogram for series {__name__=\"a\"}";
    assert!(rows.exemplars.is_empty() && written.unwrap().refused.messages() == [said]);
}

#[test]
fn references_of_exemplars_are_checked() {
    let mut sent = as_v2(&request([series(&[("__name__", "a")], &[(1, 1.0)])]));
    let count = sent.symbols.len() as u32;
    for labels_refs in [vec![1], vec![1, count], vec![u32::MAX; 2], vec![1; 1 << 16]] {
        sent.timeseries[0].exemplars = vec![ExemplarV2 { labels_refs, value: 1.0, timestamp: 1 }];
        let mut rows = Store::default();
        let written = receiver().translate(Version::V2, &sent.encode_to_vec(), 0, &mut rows).unwrap();
        assert!(rows.exemplars.is_empty() && written.is_complete() && written.samples == 1);
    }
}
