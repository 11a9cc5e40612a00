//! Both formats as people write them, what is wrong with a line, and that what is written is read again.

use mytsdb_model::{Exemplar, FamilyKind, FamilyMetadata, Labels};
use mytsdb_testkit::{Random, seed};
use mytsdb_text_format::{Format, Line, LineError, Parser, Problem, Sample, write_family, write_sample};

fn sample(format: Format, line: &str) -> Result<Sample, (usize, Problem)> {
    match Parser::new(format).line(line.as_bytes()) {
        Ok(Line::Sample(sample)) => Ok(sample),
        Ok(other) => panic!("{line}: {other:?}"),
        Err(LineError { line: 1, column, problem }) => Err((column, problem)),
        Err(error) => panic!("{error}"),
    }
}

fn shown(sample: &Sample) -> String {
    format!("{} {:?} {}", sample.labels, sample.timestamp_ms, sample.value)
}

#[test]
fn samples_of_prometheus_text_are_read() {
    for (line, wanted) in [
        ("up 1", r#"{__name__="up"} None 1"#),
        ("up{} 1 5", r#"{__name__="up"} Some(5) 1"#),
        (r#"a:b{x="1",y="\"\\\n",} NaN -7"#, "{__name__=\"a:b\", x=\"1\", y=\"\\\"\\\\\\n\"} Some(-7) NaN"),
        ("  up \t{ x = \"ü\" , gone=\"\" }\t+Inf 1700000000000\r", r#"{__name__="up", x="ü"} Some(1700000000000) inf"#),
        (r#"{"http.server","service.name"="a"} 1e-3"#, r#"{__name__="http.server", service.name="a"} None 0.001"#),
        (r#"{__name__="up",job="a"} 1"#, r#"{__name__="up", job="a"} None 1"#),
    ] {
        assert_eq!(shown(&sample(Format::Prometheus, line).unwrap()), wanted, "{line}");
    }
}

#[test]
fn exemplars_and_times_in_seconds_are_of_openmetrics() {
    let line = r#"a_bucket{le="1"} 7 1.5 # {trace_id="x"} 0.25 1.25"#;
    let read = sample(Format::OpenMetrics, line).unwrap();
    let exemplar = read.exemplar.unwrap();
    assert_eq!((read.timestamp_ms, exemplar.timestamp_ms, exemplar.value), (Some(1_500), Some(1_250), 0.25));
    assert_eq!(exemplar.labels.to_string(), r#"{trace_id="x"}"#);
    let short = sample(Format::OpenMetrics, "a_total 7 # {} 1").unwrap();
    assert!(short.timestamp_ms.is_none() && short.exemplar.unwrap().labels.is_empty());
    assert_eq!(sample(Format::Prometheus, line), Err((20, Problem::Time)), "a time there has no fraction");
}

#[test]
fn a_wrong_line_says_where_and_what() {
    let label = Problem::Expected("the name of a label");
    for (line, column, problem) in [
        ("1up 1", 1, Problem::NoName),
        ("{} 1", 1, Problem::NoName),
        ("{a=\"b\"} 1", 1, Problem::NoName),
        ("up", 3, Problem::Number),
        ("up x", 4, Problem::Number),
        ("up 1 x", 6, Problem::Time),
        ("up 1 5 6", 8, Problem::Rest),
        ("up{a=\"1\"", 9, Problem::Expected("}")),
        ("up{a=\"1} 2", 11, Problem::Expected("\"")),
        ("up{a=1} 2", 6, Problem::Expected("\"")),
        ("up{a} 2", 5, Problem::Expected("=")),
        ("up{\"a\"} 2", 7, Problem::Expected("=")),
        ("up{a=\"1\" b=\"2\"} 2", 10, Problem::Expected("}")),
        ("up{a=\"1\",a=\"2\"} 2", 10, Problem::LabelTwice),
        ("up{__name__=\"a\"} 2", 4, Problem::LabelTwice),
        ("up{,} 2", 4, label),
        ("up{\"\"=\"x\"} 2", 4, label),
        ("up{a=\"\\x\"} 2", 7, Problem::Escape),
        ("up{a:b=\"1\"} 2", 5, Problem::Expected("=")),
    ] {
        assert_eq!(sample(Format::Prometheus, line), Err((column, problem)), "{line}");
    }
    let many = (0..1_100).map(|i| format!("l{i}=\"1\"")).collect::<Vec<_>>().join(",");
    assert!(matches!(sample(Format::Prometheus, &format!("up{{{many}}} 1")), Err((_, Problem::Labels { .. }))));
    let mut parser = Parser::new(Format::Prometheus);
    assert_eq!(parser.line(b""), Ok(Line::Nothing));
    let error = parser.line(b"up{a=\"\xff\"} 1").unwrap_err();
    assert_eq!(error.to_string(), "line 2, column 7: not UTF-8");
    assert_eq!(parser.too_long(9).to_string(), "line 3, column 10: a line of more than 9 bytes");
}

#[test]
fn comments_say_what_a_metric_is() {
    let mut parser = Parser::new(Format::OpenMetrics);
    let mut read = |line: &'static str| parser.line(line.as_bytes());
    let family = || "a_seconds".into();
    assert_eq!(read("# TYPE a_seconds histogram"), Ok(Line::Kind { family: family(), kind: FamilyKind::Histogram }));
    assert_eq!(read("# UNIT a_seconds seconds"), Ok(Line::Unit { family: family(), unit: "seconds" }));
    let help = "How \"long\"\n it \\ took.".into();
    assert_eq!(read("# HELP a_seconds How \\\"long\\\"\\n it \\\\ took."), Ok(Line::Help { family: family(), help }));
    assert_eq!(read("# HELP a_seconds"), Ok(Line::Help { family: family(), help: "".into() }));
    assert_eq!(read("# TYPE \"a.b\" untyped"), Ok(Line::Kind { family: "a.b".into(), kind: FamilyKind::Unknown }));
    assert_eq!(read("# anything else"), Ok(Line::Nothing));
    assert_eq!(read("# TYPE a_seconds number").unwrap_err().problem, Problem::Kind);
    assert_eq!(read("# TYPE").unwrap_err().problem, Problem::NoName);
    assert_eq!(read("# EOF x").unwrap_err().problem, Problem::Rest);
    assert_eq!(read("# EOF"), Ok(Line::End));
    assert_eq!(read(""), Ok(Line::Nothing));
    assert_eq!(read("up 1").unwrap_err().problem, Problem::BehindEnd);
    assert!(parser.finish().is_ok());
}

#[test]
fn a_text_that_is_cut_off_is_noticed() {
    let mut parser = Parser::new(Format::OpenMetrics);
    parser.line(b"up 1").unwrap();
    assert_eq!(parser.finish().unwrap_err().problem, Problem::NoEnd);
    assert!(Parser::new(Format::Prometheus).finish().is_ok());
}

fn text(random: &mut Random, classic: bool) -> String {
    let plain = ['a', 'Z', '_', '0'];
    let odd = ['a', '\\', '"', '\n', 'ü', ' ', '{', ',', '#', '\t', '\u{1f980}'];
    let pick: &[char] = if classic { &plain } else { &odd };
    (0..=random.below(6)).map(|i| if i == 0 { 'x' } else { pick[random.below(pick.len() as u64) as usize] }).collect()
}

#[test]
fn what_is_written_is_read_again() {
    let mut random = Random::new(seed(7));
    for _ in 0..20_000 {
        let name = text(&mut random, true);
        let name = if random.one_in(3) { text(&mut random, false) } else { name };
        let mut pairs = vec![("__name__".to_owned(), name)];
        for _ in 0..random.below(4) {
            let (classic, value) = (random.one_in(2), text(&mut random, false));
            pairs.push((text(&mut random, classic), value));
        }
        let labels = Labels::from_pairs(pairs);
        let value = f64::from_bits(random.bits());
        let timestamp_ms = random.bits() as i64 >> random.below(60);
        let of_exemplar = match random.below(4) {
            0 => Labels::empty(),
            1 => Labels::from_pairs([("__name__", "v")]),
            _ => Labels::from_pairs([(text(&mut random, false), "v")]),
        };
        let exemplar =
            random.one_in(2).then(|| Exemplar { timestamp_ms: -timestamp_ms / 2, value, labels: of_exemplar });
        let mut line = String::new();
        write_sample(&mut line, &labels, timestamp_ms, value, exemplar.as_ref());
        let read = sample(Format::OpenMetrics, line.strip_suffix('\n').unwrap()).unwrap();
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        assert!(read.labels == labels && read.timestamp_ms == Some(timestamp_ms) && same(read.value, value), "{line}");
        match (&read.exemplar, &exemplar) {
            (None, None) => {}
            (Some(read), Some(written)) => {
                assert!(read.labels == written.labels && same(read.value, written.value), "{line}");
                assert_eq!(read.timestamp_ms, Some(written.timestamp_ms), "{line}");
            }
            _ => panic!("{line}"),
        }
    }
}

#[test]
fn families_are_written_as_they_are_read() {
    let metadata = FamilyMetadata { kind: FamilyKind::Counter, help: "A \"b\"\n\\".into(), unit: "bytes".into() };
    let mut out = String::new();
    write_family(&mut out, "sent_bytes", &metadata);
    write_family(&mut out, "sent.bytes", &metadata);
    let wanted = "# TYPE sent_bytes counter\n# UNIT sent_bytes bytes\n# HELP sent_bytes A \\\"b\\\"\\n\\\\\n\
                  # TYPE \"sent.bytes\" counter\n# HELP \"sent.bytes\" A \\\"b\\\"\\n\\\\\n";
    assert_eq!(out, wanted);
    let mut parser = Parser::new(Format::OpenMetrics);
    for line in out.lines() {
        match parser.line(line.as_bytes()).unwrap() {
            Line::Help { help, .. } => assert_eq!(help, metadata.help),
            Line::Unit { unit, .. } => assert_eq!(unit, "bytes"),
            Line::Kind { kind, .. } => assert_eq!(kind, FamilyKind::Counter),
            other => panic!("{other:?}"),
        }
    }
}
