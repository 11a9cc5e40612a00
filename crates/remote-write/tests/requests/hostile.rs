//! Bytes that are no request, or ask for more than they may.

use crate::proto::{Histogram, TimeSeries, as_v2};
use crate::{Store, encode, receiver, request, series};
use mytsdb_protobuf::ProtobufError;
use mytsdb_remote_write::{RemoteWriteError, Version};
use mytsdb_testkit::Random;
use prost::Message;

fn read(version: Version, bytes: &[u8]) -> Result<u64, RemoteWriteError> {
    receiver().translate(version, bytes, 0, &mut Store::default()).map(|written| written.samples)
}

#[test]
fn damage_is_an_error_and_never_a_panic() {
    let mut histogram = series(&[("__name__", "h")], &[(7, 3.0)]);
    histogram.histograms = vec![Histogram { sum: 1.0, positive_deltas: vec![1, 2], ..Histogram::default() }];
    let sent = request([histogram, series(&[("__name__", "m"), ("a", "1")], &[(1, 1.0), (2, 2.0)])]);
    let mut random = Random::new(mytsdb_testkit::seed(77));
    for version in Version::ALL {
        let whole = encode(&sent, version);
        assert_eq!(read(version, &whole), Ok(3));
        let last = whole.len() - 1;
        assert_eq!(read(version, &whole[..last]), Err(RemoteWriteError::Protobuf(ProtobufError::CutShort)));
        for _ in 0..5000 {
            let mut damaged = whole[..=random.index(whole.len())].to_vec();
            for _ in 0..=random.index(3) {
                let at = random.index(damaged.len());
                damaged[at] = random.bits() as u8;
            }
            if let Ok(samples) = read(version, &damaged) {
                assert!(2 * samples <= damaged.len() as u64, "a sample has two bytes or more");
            }
        }
    }
}

#[test]
fn a_request_of_the_other_version_is_not_taken_for_an_empty_one() {
    let sent = request([series(&[("__name__", "m")], &[(1, 1.0)])]);
    let v1 = sent.encode_to_vec();
    assert_eq!(read(Version::V2, &v1), Err(RemoteWriteError::OtherVersion { field: 1 }));
    assert_eq!(read(Version::V2, b""), Ok(0), "an empty request is one of either version");
}

#[test]
fn small_bytes_do_not_become_much_memory() {
    // Two bytes each: empty symbols, samples, histograms.
    let mut symbols = as_v2(&request([]));
    symbols.symbols = vec![String::new(); (1 << 20) + 1];
    let limit = 1 << 20;
    assert_eq!(read(Version::V2, &symbols.encode_to_vec()), Err(RemoteWriteError::Symbols { limit }));
    let limit = mytsdb_remote_write::MEMORY_BYTES_MAX;
    let histograms =
        TimeSeries { histograms: vec![Histogram::default(); 1 << 20], ..series(&[("__name__", "h")], &[]) };
    let mut rows = Forgetful;
    let sent = encode(&request([histograms]), Version::V1);
    let refused = receiver().translate(Version::V1, &sent, 0, &mut rows).map(|_| ());
    assert_eq!(refused, Err(RemoteWriteError::Memory { limit }));
}

#[test]
fn many_bad_histograms_of_one_series_take_no_longer_each() {
    let bad = Histogram { schema: -9, ..Histogram::default() };
    let histograms = TimeSeries { histograms: vec![bad; 300_000], ..series(&[("__name__", "h")], &[]) };
    for version in Version::ALL {
        let sent = encode(&request([histograms.clone()]), version);
        let written = receiver().translate(version, &sent, 0, &mut Store::default()).unwrap();
        assert_eq!((written.refused.total(), written.refused.messages().len()), (300_000, 1));
    }
}

#[test]
fn references_to_huge_symbols_are_not_followed() {
    let mut sent = as_v2(&request([series(&[("__name__", "m")], &[(1, 1.0)])]));
    sent.symbols.push("x".repeat(8 << 20));
    let huge = sent.symbols.len() as u32 - 1;
    let mut one = sent.timeseries[0].clone();
    one.labels_refs = [1, 2].into_iter().chain([huge; 1000]).collect();
    // If each were read, that would be 8 TB.
    sent.timeseries = vec![one; 1000];
    let written = receiver().translate(Version::V2, &sent.encode_to_vec(), 0, &mut Store::default()).unwrap();
    assert_eq!((written.samples, written.refused.total()), (0, 1000));
    assert!(written.refused.messages()[0].contains("501 labels, the limit is 64"), "{:?}", written.refused);
}

/// Keeps nothing, as this test is about what others would.
struct Forgetful;

impl mytsdb_remote_write::Sink for Forgetful {
    fn append_exemplar(&mut self, _: mytsdb_model::SeriesRef, _: mytsdb_model::Exemplar) {}

    fn resolve(&mut self, _: &mytsdb_model::Labels) -> Result<mytsdb_model::SeriesRef, mytsdb_intake::Refused> {
        Ok(mytsdb_model::SeriesRef(1))
    }
    fn touch(&mut self, _: mytsdb_model::SeriesRef) -> bool {
        true
    }
    fn append(&mut self, _: mytsdb_model::SeriesRef, _: i64, _: i64, _: f64) {}
    fn append_histogram(
        &mut self,
        _: mytsdb_model::SeriesRef,
        _: i64,
        _: i64,
        _: mytsdb_histogram::FloatHistogram,
    ) -> Result<(), mytsdb_intake::Refused> {
        Ok(())
    }
}

#[test]
fn a_huge_label_is_refused_without_being_repeated() {
    let huge = "x".repeat(1 << 20);
    let sent =
        request([series(&[("__name__", "m"), ("a", &huge)], &[(1, 1.0)]), series(&[("__name__", &huge)], &[(1, 1.0)])]);
    for version in Version::ALL {
        let written = receiver().translate(version, &encode(&sent, version), 0, &mut Store::default()).unwrap();
        assert_eq!((written.samples, written.refused.total()), (0, 2));
        for message in written.refused.messages() {
            assert!(message.contains("(--max-label-value-bytes)") && message.len() < 300, "{message}");
        }
    }
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let mut bytes = request([series(&[("__name__", "abc")], &[(1, 1.0)])]).encode_to_vec();
    let name = bytes.windows(3).position(|text| text == b"abc").unwrap();
    bytes[name] = 0xff;
    let written = receiver().translate(Version::V1, &bytes, 0, &mut Store::default()).unwrap();
    assert_eq!(written.samples, 0);
    assert!(written.refused.messages()[0].starts_with("invalid metric name or labels, got {__name__="));
}
