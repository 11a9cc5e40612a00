//! Arbitrary bytes as both text formats and as JSON lines: no panic, labels within their bounds, lines counted; what is read
//! is written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mytsdb_model::Exemplar;
use mytsdb_text_format::{BoundedLines, Format, JsonLine, LABEL_COUNT_MAX, Line, Parser, Sample, write_sample};

const LINE_BYTES_MAX: usize = 4_096;

fuzz_target!(|data: &[u8]| {
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let mut parser = Parser::new(format);
        let mut lines = BoundedLines::new(data, LINE_BYTES_MAX);
        let mut count = 0;
        while let Some(line) = lines.next_line().expect("bytes are read") {
            count += 1;
            let read = match line {
                Ok(line) => parser.line(line),
                Err(()) => Err(parser.too_long(LINE_BYTES_MAX)),
            };
            match read {
                Ok(Line::Sample(sample)) => check(&sample),
                Ok(_) => {}
                Err(error) => assert!(error.line == count && error.column >= 1, "{error}"),
            }
        }
        assert_eq!((parser.line_count(), lines.bytes_read()), (count, data.len() as u64));
    }
    let mut lines = BoundedLines::new(data, LINE_BYTES_MAX);
    while let Some(line) = lines.next_line().expect("bytes are read") {
        if let Some(read) = line.ok().and_then(|line| JsonLine::parse(line).ok()) {
            check_json(&read);
        }
    }
});

fn check_json(read: &JsonLine) {
    assert_eq!(read.columns.timestamps_ms.len(), read.columns.values.len());
    assert!(read.columns.histograms.iter().all(|histogram| histogram.validate().is_ok()));
    let (mut once, mut twice) = (String::new(), String::new());
    read.write(&mut once);
    let again = JsonLine::parse(once.as_bytes()).unwrap_or_else(|error| panic!("{error}: {once}"));
    again.write(&mut twice);
    assert_eq!(once, twice);
}

fn check(sample: &Sample) {
    assert!(!sample.labels.metric_name().is_empty() && sample.labels.len() <= LABEL_COUNT_MAX + 1);
    assert!(sample.labels.iter().all(|(name, value)| !name.is_empty() && !value.is_empty()));
    let timestamp_ms = sample.timestamp_ms.unwrap_or_default();
    // No text says this one in seconds.
    if timestamp_ms == i64::MIN {
        return;
    }
    let exemplar =
        sample.exemplar.as_ref().map(|sent| Exemplar { timestamp_ms, value: sent.value, labels: sent.labels.clone() });
    let mut line = String::new();
    write_sample(&mut line, &sample.labels, timestamp_ms, sample.value, exemplar.as_ref());
    let again = Parser::new(Format::OpenMetrics).line(line.trim_end_matches('\n').as_bytes());
    let Ok(Line::Sample(again)) = again else { panic!("{line}: {again:?}") };
    let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    assert!(again.labels == sample.labels && again.timestamp_ms == Some(timestamp_ms), "{line}");
    assert!(same(again.value, sample.value) && again.exemplar.is_some() == exemplar.is_some(), "{line}");
}
