//! A log beside a model of it: random work, what must be there afterwards, and what may be.

use mytsdb_io::{Disk, SimDisk};
use mytsdb_model::{Exemplar, FamilyKind, FamilyMetadata, Labels, SeriesRef};
use mytsdb_testkit::Random;
use mytsdb_wal::{Durability, Record, ReplayReport, Rows, Wal, WalError, WalOptions, replay};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

pub const DIR: &str = "/data/wal";

/// Reference, timestamp, value bits. Timestamps are never used twice, so a row is its own name.
pub type Row = (u64, i64, u64);

/// What a replay gave back.
#[derive(Debug)]
pub struct Replayed {
    pub rows: Vec<Row>,
    pub series: BTreeMap<u64, Labels>,
    pub unknown_refs: usize,
    pub report: ReplayReport,
}

pub fn read(disk: &dyn Disk) -> Result<Replayed, WalError> {
    let (mut rows, mut series, mut unknown_refs) = (Vec::new(), BTreeMap::new(), 0);
    let report = replay(disk, Path::new(DIR), &mut |record| match record {
        Record::Series { series: reference, labels } => {
            if let Some(before) = series.insert(reference.0, labels.clone()) {
                assert_eq!(before, labels, "a reference changed its meaning");
            }
        }
        Record::Samples { refs, timestamps_ms, values } => {
            for ((reference, timestamp_ms), value) in refs.iter().zip(timestamps_ms).zip(values) {
                unknown_refs += usize::from(!series.contains_key(&reference.0));
                rows.push((reference.0, *timestamp_ms, value.to_bits()));
            }
        }
        Record::Rows(read) => {
            let mut histograms = read.histograms.iter().peekable();
            for (row, (reference, timestamp_ms)) in read.refs.iter().zip(read.timestamps_ms).enumerate() {
                unknown_refs += usize::from(!series.contains_key(&reference.0));
                assert_eq!(read.starts_ms[row], timestamp_ms / 2);
                let bits = match histograms.next_if(|histogram| histogram.0 as usize == row) {
                    Some((_, bytes)) => u64::from_le_bytes((*bytes).try_into().expect("8 bytes")),
                    None => read.values[row].to_bits(),
                };
                rows.push((reference.0, *timestamp_ms, bits));
            }
        }
        Record::Exemplars { series, exemplars } => {
            let reference = series.get("r").expect("exemplars are of our series").parse().expect("a number");
            rows.extend(exemplars.iter().map(|e| (reference, e.timestamp_ms, e.value.to_bits())));
        }
        Record::Metadata { family, metadata } => {
            assert_eq!((family, &metadata.help[..], metadata.kind), ("m", "What it is.", FamilyKind::Gauge));
        }
    })?;
    Ok(Replayed { rows, series, unknown_refs, report })
}

pub fn labels(reference: u64) -> Labels {
    Labels::from_pairs([
        ("__name__", "m"),
        ("i", &"x".repeat(reference as usize % 90 + 1)),
        ("r", &reference.to_string()),
    ])
}

#[derive(Clone)]
pub struct Model {
    pub options: WalOptions,
    /// Rows whose commit returned `Ok`, or that a replay has given back since.
    pub rows: Vec<Row>,
    /// So many of them must survive a power cut.
    pub durable: usize,
    /// Rows of the commit that has not returned.
    pub in_flight: Vec<Row>,
    /// Rows of commits that returned an error while the disk was alive.
    pub refused: BTreeSet<Row>,
    /// Series that may be sampled without being logged again.
    pub live: BTreeSet<u64>,
    /// For each checkpoint that may exist: rows before this are stored elsewhere.
    pub watermarks: BTreeMap<u64, Vec<usize>>,
    /// The newest checkpoint whose publish returned `Ok`.
    pub published: u64,
    next: u64,
}

impl Model {
    pub fn new(durability: Durability) -> Self {
        Self {
            options: WalOptions { segment_bytes_max: 2048, frame_bytes_max: 160, durability },
            rows: Vec::new(),
            durable: 0,
            in_flight: Vec::new(),
            refused: BTreeSet::new(),
            live: BTreeSet::new(),
            watermarks: BTreeMap::new(),
            published: 0,
            next: 1,
        }
    }

    /// One random piece of work.
    pub fn step(&mut self, wal: &mut Wal, random: &mut Random) -> Result<(), WalError> {
        match random.below(100) {
            0..=74 => self.commit(wal, random),
            75..=81 => wal.rotate().map(|_| ()),
            82..=89 => self.checkpoint(wal, random),
            90..=94 if self.options.durability == Durability::Interval => {
                let (begun, durable) = (wal.begin_sync()?, self.rows.len());
                // May begin the next segment.
                self.commit(wal, random)?;
                if let Some(begun) = begun {
                    wal.end_sync(begun.run())?;
                }
                self.durable = self.durable.max(durable);
                Ok(())
            }
            _ => {
                wal.sync()?;
                self.durable = self.rows.len();
                Ok(())
            }
        }
    }

    pub fn commit(&mut self, wal: &mut Wal, random: &mut Random) -> Result<(), WalError> {
        let row_count = if random.below(8) == 0 { 60 } else { 1 + random.below(6) };
        let mut rows: Vec<Row> = Vec::new();
        for _ in 0..row_count {
            if self.live.is_empty() || random.below(10) == 0 {
                self.next += 1;
                wal.log_series(SeriesRef(self.next), &labels(self.next));
                let (help, unit) = ("What it is.".to_owned(), "x".repeat(self.next as usize % 50));
                wal.log_metadata("m", &FamilyMetadata { kind: FamilyKind::Gauge, help, unit });
                self.live.insert(self.next);
            }
            let nth = random.below(self.live.len() as u64) as usize;
            let reference = *self.live.iter().nth(nth).expect("below the length");
            self.next += 1;
            rows.push((reference, self.next as i64, random.bits() << (8 * random.below(9)).min(63)));
        }
        for part in rows.chunks(7) {
            match random.below(6) {
                0 | 1 => with_rows(part, |rows| wal.log_rows(rows)),
                2 => {
                    for (series, exemplar) in part.iter().map(as_exemplar) {
                        wal.log_exemplars(&series, &[&exemplar]);
                    }
                }
                _ => log_rows(part, |refs, times, values| wal.log_samples(refs, times, values)),
            }
        }
        self.in_flight = rows;
        if let Err(error) = wal.commit() {
            self.refused.extend(&self.in_flight);
            return Err(error);
        }
        self.rows.append(&mut self.in_flight);
        if self.options.durability == Durability::Fsync {
            self.durable = self.rows.len();
        }
        Ok(())
    }

    pub fn checkpoint(&mut self, wal: &mut Wal, random: &mut Random) -> Result<(), WalError> {
        let segment = wal.rotate()?;
        self.durable = self.rows.len();
        let (low, high) = (self.watermark_max(), self.rows.len());
        let watermark = low + random.below((high - low) as u64 + 1) as usize;
        let (rows, series) = (self.rows[watermark..].to_vec(), self.live.clone());
        if random.below(2) == 0 {
            self.commit(wal, random)?;
        }
        self.watermarks.entry(segment.0).or_default().push(watermark);
        let mut writer = wal.checkpoint(segment)?;
        for reference in series {
            writer.log_series(SeriesRef(reference), &labels(reference))?;
        }
        let mut written = Ok(());
        for part in rows.chunks(50) {
            if random.one_in(4) {
                for (series, exemplar) in part.iter().map(as_exemplar) {
                    writer.log_exemplars(&series, &[&exemplar])?;
                }
                continue;
            }
            if random.one_in(3) {
                with_rows(part, |rows| {
                    if written.is_ok() {
                        written = writer.log_rows(rows);
                    }
                });
                continue;
            }
            log_rows(part, |refs, times, values| {
                if written.is_ok() {
                    written = writer.log_samples(refs, times, values);
                }
            });
        }
        written?;
        writer.publish()?;
        self.published = segment.0;
        if random.below(4) > 0 {
            wal.truncate_before(segment)?;
        }
        Ok(())
    }

    fn watermark_max(&self) -> usize {
        self.watermarks.values().flatten().copied().max().unwrap_or(0)
    }

    /// Compares a replay with what must and may be there, and takes over what was there.
    pub fn check(&mut self, replayed: &Replayed, power_lost: bool) {
        let report = &replayed.report;
        assert!(report.is_clean(), "a crash was taken for damage: {report:#?}");
        assert_eq!(replayed.unknown_refs, 0, "samples without a series");
        for (reference, found) in &replayed.series {
            assert_eq!(found, &labels(*reference));
        }
        let checkpoint = report.checkpoint.map_or(0, |id| id.0);
        assert!(checkpoint >= self.published, "checkpoint {} was published, {checkpoint} replayed", self.published);
        let none = vec![0];
        let watermarks = if checkpoint == 0 { &none } else { &self.watermarks[&checkpoint] };
        let mut all = self.rows.clone();
        all.extend(&self.in_flight);
        let must = if power_lost { self.durable } else { self.rows.len() };
        let matching = watermarks.iter().find(|&&from| {
            all.get(from..from + replayed.rows.len()) == Some(&replayed.rows) && from + replayed.rows.len() >= must
        });
        let Some(from) = matching else {
            let times = |rows: &[Row]| rows.iter().map(|row| row.1).collect::<Vec<_>>();
            panic!(
                "replayed {:?}\nof {:?}\nmust {must} from {watermarks:?}\n{report:#?}",
                times(&replayed.rows),
                times(&all)
            );
        };
        all.truncate(from + replayed.rows.len());
        self.rows = all;
        self.in_flight.clear();
        self.durable = if power_lost { self.rows.len() } else { self.durable };
        self.live = replayed.series.keys().copied().collect();
    }

    /// Replays, checks, and opens for writing.
    pub fn reopen(&mut self, disk: &SimDisk, power_lost: bool) -> Result<Wal, WalError> {
        let replayed = read(disk)?;
        self.check(&replayed, power_lost);
        let wal = Wal::open(Arc::new(disk.clone()), Path::new(DIR), self.options, &replayed.report)?;
        self.durable = self.rows.len();
        Ok(wal)
    }
}

/// A row as an exemplar of its series.
fn as_exemplar(row: &Row) -> (Labels, Exemplar) {
    let trace = Labels::from_pairs([("trace_id", "0af7651916cd43dd")]);
    (labels(row.0), Exemplar { timestamp_ms: row.1, value: f64::from_bits(row.2), labels: trace })
}

fn log_rows(rows: &[Row], log: impl FnOnce(&[SeriesRef], &[i64], &[f64])) {
    let refs: Vec<_> = rows.iter().map(|row| SeriesRef(row.0)).collect();
    let times: Vec<_> = rows.iter().map(|row| row.1).collect();
    let values: Vec<_> = rows.iter().map(|row| f64::from_bits(row.2)).collect();
    log(&refs, &times, &values);
}

/// The same rows as a record of both kinds with start times: every other row is a histogram, whose bytes are its bits.
fn with_rows(rows: &[Row], log: impl FnOnce(&Rows<'_>)) {
    let bytes: Vec<[u8; 8]> = rows.iter().map(|row| row.2.to_le_bytes()).collect();
    let histograms: Vec<(u32, &[u8])> = (0u32..).zip(&bytes).step_by(2).map(|(row, bytes)| (row, &bytes[..])).collect();
    let starts: Vec<i64> = rows.iter().map(|row| row.1 / 2).collect();
    log_rows(rows, |refs, timestamps_ms, values| {
        log(&Rows { refs, timestamps_ms, starts_ms: &starts, values, histograms: &histograms });
    });
}
