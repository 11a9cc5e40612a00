//! Real scrapes, sent again by as many hosts as there are pods: a file of exposition text, with `##TS MS` before each scrape.
//!
//! A codec that finds repetitions must not be given any that a real host would not send. So hosts begin at different
//! scrapes; who comes to the end of the file goes on one scrape further than the time before, so that no scrape comes twice
//! until all of them were sent; and counters go on counting.

use super::source::{Samples, Source, Span, Stored};
use super::values::noise;
use super::wire::{Datum, Described, Kind};
use anyhow::{Context, Result, ensure};
use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Longest file that is read, in bytes when it is unpacked.
const TEXT_BYTES_MAX: u64 = 1 << 30;
/// Most series of a file: rows of hosts are told apart by their number.
const SERIES_MAX: usize = 100_000;

/// A series of the file.
#[derive(Debug)]
struct Series {
    name: String,
    labels: Vec<(String, String)>,
    /// A value for each scrape that had one.
    values: Vec<Option<f64>>,
    /// What a counter has counted from the first scrape to the last; 0 for others.
    counted: f64,
    /// Ten to the number of decimals that all values have; none if they have more than nine.
    scale: Option<f64>,
}

impl Series {
    fn new(name: String, labels: Vec<(String, String)>) -> Self {
        Self { name, labels, values: Vec::new(), counted: 0.0, scale: None }
    }

    fn kind(&self) -> Kind {
        if self.name.ends_with("_total") { Kind::Counter } else { Kind::Gauge }
    }

    /// Says how the series goes on after the last scrape.
    fn end(&mut self, scrapes: usize) {
        self.values.resize(scrapes, None);
        let mut known = self.values.iter().flatten();
        if let (Kind::Counter, Some(first)) = (self.kind(), known.next()) {
            self.counted = (known.next_back().unwrap_or(first) - first).max(0.0);
        }
        let fits = |scale: &f64| self.values.iter().flatten().all(|value| (value * scale).round() / scale == *value);
        self.scale = (0..=9).map(|decimals| 10f64.powi(decimals)).find(fits);
    }

    /// The value of a scrape, after so many times all of them.
    fn value(&self, Place { lap, scrape }: Place) -> Option<f64> {
        let value = self.values[scrape]?;
        if lap == 0 || self.counted == 0.0 {
            return Some(value);
        }
        let value = value + lap as f64 * self.counted;
        // A sum of decimal numbers has no more decimals than they.
        Some(self.scale.map_or(value, |scale| (value * scale).round() / scale))
    }
}

/// A scrape of the file, which was gone through `lap` times before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    lap: u64,
    scrape: usize,
}

/// The scrapes of a file, over and over.
#[derive(Debug)]
pub(crate) struct Replay {
    span: Span,
    hosts: usize,
    /// Ascending by name.
    series: Vec<Series>,
    /// How much later than a second after the one before each scrape was.
    jitter_ms: Vec<i64>,
    /// Samples of each scrape.
    samples: Vec<Samples>,
    /// Scrapes from one tick to the next.
    stride: u64,
}

impl Replay {
    /// Reads a file, packed by zstd if its name says so.
    pub(crate) fn read(path: &Path, span: Span, hosts: usize) -> Result<Self> {
        let file = open(path).with_context(|| path.display().to_string())?;
        let replay = if path.extension().is_some_and(|extension| extension == "zst") {
            Self::parse(BufReader::new(zstd::Decoder::new(file)?.take(TEXT_BYTES_MAX)), span, hosts)
        } else {
            Self::parse(BufReader::new(file.take(TEXT_BYTES_MAX)), span, hosts)
        };
        replay.with_context(|| path.display().to_string())
    }

    fn parse(text: impl BufRead, span: Span, hosts: usize) -> Result<Self> {
        let (mut times_ms, mut series, mut known): (Vec<i64>, Vec<Series>, HashMap<String, usize>) = Default::default();
        for (number, line) in text.lines().enumerate() {
            let line = line?;
            if let Some(time) = line.strip_prefix("##TS ") {
                times_ms.push(time.trim().parse().with_context(|| format!("line {}", number + 1))?);
            } else if !line.is_empty() && !line.starts_with('#') {
                let (text, value) = line.rsplit_once(' ').with_context(|| format!("line {}", number + 1))?;
                let at = if let Some(&at) = known.get(text) {
                    at
                } else {
                    let (name, labels) = identity(text).with_context(|| format!("line {}", number + 1))?;
                    known.insert(text.to_owned(), series.len());
                    series.push(Series::new(name, labels));
                    series.len() - 1
                };
                ensure!(series.len() <= SERIES_MAX, "more than {SERIES_MAX} series");
                let scrape = times_ms.len().checked_sub(1).context("a sample before the first scrape")?;
                series[at].values.resize(scrape + 1, None);
                series[at].values[scrape] = Some(value.parse().with_context(|| format!("line {}", number + 1))?);
            }
        }
        ensure!(!series.is_empty(), "no samples");
        let scrapes = times_ms.len();
        for series in &mut series {
            series.end(scrapes);
        }
        series.sort_by(|a, b| a.name.cmp(&b.name));
        let bound = span.interval_ms / 4;
        let jitter = |(scrape, &time): (usize, &i64)| time - times_ms[0] - scrape as i64 * 1_000;
        Ok(Self {
            jitter_ms: times_ms.iter().enumerate().map(jitter).map(|ms| ms.clamp(-bound, bound)).collect(),
            samples: (0..scrapes)
                .map(|s| samples(series.iter().filter(|row| row.values[s].is_some()).count() as u64))
                .collect(),
            stride: (span.interval_ms.cast_unsigned() / 1_000).max(1),
            span,
            hosts,
            series,
        })
    }

    fn place(&self, unit: usize, tick: u64) -> Place {
        let scrapes = self.samples.len() as u64;
        let sent = noise(unit as u64, 4) % scrapes + tick * self.stride;
        // One further each time, as long as strides meet the same scrapes again.
        let at = if scrapes.is_multiple_of(self.stride) { sent + sent / scrapes } else { sent };
        Place { lap: at / scrapes, scrape: (at % scrapes) as usize }
    }

    fn offset_ms(&self, unit: usize) -> i64 {
        (noise(unit as u64, 3) % self.span.interval_ms.cast_unsigned()).cast_signed()
    }
}

impl Source for Replay {
    fn span(&self) -> Span {
        self.span
    }

    fn units(&self) -> usize {
        self.hosts
    }

    fn time_ms(&self, unit: usize, tick: u64) -> i64 {
        let jitter_ms = self.jitter_ms[self.place(unit, tick).scrape];
        self.span.start_ms
            + self.span.interval_ms / 4
            + self.offset_ms(unit)
            + tick as i64 * self.span.interval_ms
            + jitter_ms
    }

    fn ticks(&self, unit: usize) -> u64 {
        let last_ms = self.span.end_ms - self.span.start_ms - self.offset_ms(unit) - self.span.interval_ms;
        (last_ms.max(0) / self.span.interval_ms).cast_unsigned()
    }

    fn generation(&self, _: usize, _: u64) -> u64 {
        0
    }

    fn describe(&self, unit: usize, _: u64) -> Vec<Described> {
        let own = [("job", "node".to_owned()), ("instance", format!("host-{unit}:9100")), ("cluster", self.run())];
        let describe = |series: &Series| {
            let mut labels = series.labels.clone();
            labels.extend(own.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            Described { name: series.name.clone(), kind: series.kind(), labels }
        };
        self.series.iter().map(describe).collect()
    }

    fn datum(&self, unit: usize, row: usize, tick: u64) -> Option<Datum> {
        self.series[row].value(self.place(unit, tick)).map(Datum::Number)
    }

    fn samples(&self, unit: usize, tick: u64) -> Samples {
        self.samples[self.place(unit, tick).scrape]
    }

    fn stored(&self) -> Vec<Stored> {
        let mut names = BTreeMap::new();
        for series in &self.series {
            *names.entry(series.name.clone()).or_insert(0) += self.hosts as u64;
        }
        names.into_iter().map(|(name, series)| Stored { name, series, is_number: true }).collect()
    }

    fn run(&self) -> String {
        format!("replay-{:x}", self.span.start_ms)
    }
}

fn samples(count: u64) -> Samples {
    Samples { all: count, numbers: count }
}

#[expect(clippy::disallowed_methods, reason = "a file that the user names")]
fn open(path: &Path) -> std::io::Result<std::fs::File> {
    std::fs::File::open(path)
}

/// Name and labels of `name{label="value",...}`.
fn identity(text: &str) -> Result<(String, Vec<(String, String)>)> {
    let Some((name, rest)) = text.split_once('{') else { return Ok((text.to_owned(), Vec::new())) };
    let mut rest = rest.strip_suffix('}').context("a brace that is not closed")?;
    let mut labels = Vec::new();
    while !rest.is_empty() {
        let (label, value) = rest.split_once("=\"").context("a label without a value")?;
        let (mut text, mut end) = (String::new(), None);
        let mut characters = value.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    end = Some(at + 1);
                    break;
                }
                '\\' => text.push(match characters.next().context("a text that ends in a backslash")?.1 {
                    'n' => '\n',
                    other => other,
                }),
                other => text.push(other),
            }
        }
        let end = end.context("a text that does not end")?;
        labels.push((label.to_owned(), text));
        rest = value[end..].trim_start_matches(',');
    }
    Ok((name.to_owned(), labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { start_ms: 1_790_000_000_000, end_ms: 1_790_000_060_000, interval_ms: 2_000 };

    #[test]
    fn scrapes_are_read_and_come_again() {
        let text = "##TS 1000\na{x=\"1\\\"2\",y=\"\"} 1\nb 2\n##TS 2010\nb 3e2\n##TS 3000\nb NaN\nc_total 5\n";
        let replay = Replay::parse(text.as_bytes(), SPAN, 2).unwrap();
        let described = replay.describe(1, 0);
        assert_eq!(described.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(), ["a", "b", "c_total"]);
        assert_eq!(described[0].labels[0], ("x".to_owned(), "1\"2".to_owned()));
        assert_eq!(described[2].kind, Kind::Counter);
        for unit in 0..2 {
            let at = |tick: u64| replay.place(unit, tick).scrape;
            // Every second scrape of three.
            assert!((0..10).all(|tick| (at(tick) + 2) % 3 == at(tick + 1)));
            for tick in 0..10 {
                let Some(Datum::Number(b)) = replay.datum(unit, 1, tick) else { panic!("b is in every scrape") };
                assert_eq!(b.to_bits(), [2.0, 300.0, f64::NAN][at(tick)].to_bits());
                assert_eq!(replay.samples(unit, tick).all, [2, 1, 2][at(tick)]);
            }
        }
        assert_eq!(replay.stored()[1], Stored { name: "b".to_owned(), series: 2, is_number: true });
        for unit in 0..2 {
            let times: Vec<i64> = (0..replay.ticks(unit)).map(|tick| replay.time_ms(unit, tick)).collect();
            assert!(
                times.is_sorted() && times[0] >= SPAN.start_ms && times[times.len() - 1] < SPAN.end_ms,
                "{times:?}"
            );
        }
    }

    #[test]
    fn no_scrape_comes_twice_before_all_were_sent_and_counters_go_on() {
        let scrape = |scrape| format!("##TS {scrape}000\na_total {}.25\nb {scrape}\n", 10 * scrape);
        let text: String = (0..12).map(scrape).collect();
        let span = Span { interval_ms: 3_000, ..SPAN };
        let replay = Replay::parse(text.as_bytes(), span, 5).unwrap();
        for unit in 0..5 {
            let places: Vec<Place> = (0..13).map(|tick| replay.place(unit, tick)).collect();
            let scrapes: std::collections::BTreeSet<usize> = places[..12].iter().map(|place| place.scrape).collect();
            assert!(scrapes.len() >= 11, "{places:?}");
            let counter = |tick| match replay.datum(unit, 0, tick) {
                Some(Datum::Number(value)) => value,
                other => panic!("{other:?}"),
            };
            for tick in 0..40 {
                let (before, after) = (counter(tick), counter(tick + 1));
                assert!(before < after || replay.place(unit, tick + 1).lap > replay.place(unit, tick).lap);
                assert!(before <= after, "{before} {after}");
                assert_eq!(after.fract(), 0.25);
            }
        }
        assert!((0..5).any(|unit| replay.place(unit, 0) != replay.place(0, 0)));
    }

    #[test]
    fn damaged_files_say_where() {
        for (text, expected) in [
            ("a 1\n", "before the first scrape"),
            ("##TS 1\na\n", "line 2"),
            ("##TS 1\na{x=\"1} 1\n", "line 2"),
            ("##TS 1\na x\n", "line 2"),
            ("", "no samples"),
        ] {
            let error = Replay::parse(text.as_bytes(), SPAN, 1).unwrap_err();
            assert!(format!("{error:#}").contains(expected), "{text:?}: {error:#}");
        }
    }
}
