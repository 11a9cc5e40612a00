//! Real scrapes, sent again by as many hosts as there are pods: a file of exposition text, with `##TS MS` before each scrape.

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
                    series.push(Series { name, labels, values: Vec::new() });
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
            series.values.resize(scrapes, None);
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

    fn scrape(&self, tick: u64) -> usize {
        (tick * self.stride % self.samples.len() as u64) as usize
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
        let jitter_ms = self.jitter_ms[self.scrape(tick)];
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
            let kind = if series.name.ends_with("_total") { Kind::Counter } else { Kind::Gauge };
            Described { name: series.name.clone(), kind, labels }
        };
        self.series.iter().map(describe).collect()
    }

    fn datum(&self, _: usize, row: usize, tick: u64) -> Option<Datum> {
        self.series[row].values[self.scrape(tick)].map(Datum::Number)
    }

    fn samples(&self, _: usize, tick: u64) -> Samples {
        self.samples[self.scrape(tick)]
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
        // Every second scrape: the first, the third, the second.
        let b = |tick| replay.datum(0, 1, tick);
        assert_eq!((b(0), b(2), b(3)), (Some(Datum::Number(2.0)), Some(Datum::Number(300.0)), b(0)));
        assert!((0..3).map(|tick| replay.samples(0, tick).all).eq([2, 2, 1]));
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
