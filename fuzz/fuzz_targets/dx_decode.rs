//! Arbitrary bytes as a DX chunk: no panic, as many samples as announced, times that ascend, and the same samples
//! after encoding them again; the same with start times.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mytsdb_codec::{ChunkEncoding, DxChunk, DxEncoder, DxStartsEncoder};
use mytsdb_columns::Columns;

fuzz_target!(|data: &[u8]| {
    with_starts(data);
    let Ok(chunk) = DxChunk::parse(data) else { return };
    let (mut times, mut values) = (Vec::new(), Vec::new());
    let (read_times, read_values) = (chunk.decode_times(&mut times), chunk.decode_values(&mut values));
    assert_eq!(times.len(), if read_times.is_ok() { chunk.sample_count() } else { 0 });
    assert_eq!(values.len(), if read_values.is_ok() { chunk.sample_count() } else { 0 });
    if read_times.is_err() || read_values.is_err() {
        return;
    }
    assert!(times.is_sorted_by(|a, b| a < b));
    let mut bytes = Vec::new();
    DxEncoder::default().encode(&times, &values, &mut bytes).expect("times ascend");
    let again = DxChunk::parse(&bytes).expect("just encoded");
    let (mut same_times, mut same_values) = (Vec::new(), Vec::new());
    again.decode_times(&mut same_times).expect("just encoded");
    again.decode_values(&mut same_values).expect("just encoded");
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert!(same_times == times && bits(&same_values) == bits(&values));
});

fn with_starts(data: &[u8]) {
    let mut columns = Columns::default();
    if ChunkEncoding::DxStarts.decode(data, &mut columns).is_err() {
        assert!(columns.is_empty() && columns.values.is_empty() && columns.start_timestamps_ms.is_empty());
        return;
    }
    let Columns { timestamps_ms, values, start_timestamps_ms, .. } = &columns;
    assert!(timestamps_ms.len() == values.len() && timestamps_ms.len() == start_timestamps_ms.len());
    let mut bytes = Vec::new();
    DxStartsEncoder::default().encode(timestamps_ms, start_timestamps_ms, values, &mut bytes).expect("times ascend");
    let mut again = Columns::default();
    ChunkEncoding::DxStarts.decode(&bytes, &mut again).expect("just encoded");
    assert!((&again.timestamps_ms, &again.start_timestamps_ms) == (timestamps_ms, start_timestamps_ms));
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&again.values), bits(values));
}
