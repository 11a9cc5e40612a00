//! What is written is read back by a reader of its own, byte by byte as the page of the format says; and crashes leave all or nothing.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use mytsdb_codec::decode;
use mytsdb_columns::Columns;
use mytsdb_histogram::{FloatHistogram, Span};
use mytsdb_io::{Disk, SimDisk};
use mytsdb_model::Labels;
use mytsdb_testkit::{Random, seed};
use mytsdb_tsdb_block::{BlockWriter, Details, TsdbBlockError, Written};
use mytsdb_varint::{take_uvarint, take_varint};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const ULID: &str = "01ARYZ6S410000000000000007";

type Samples = Vec<(i64, u64)>;

/// A part with its length in front and its checksum behind.
fn section(file: &[u8], at: u64) -> &[u8] {
    let at = at as usize;
    let length = u32::from_be_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let body = &file[at + 4..at + 4 + length];
    let sum = u32::from_be_bytes(file[at + 4 + length..at + 8 + length].try_into().unwrap());
    assert_eq!(sum, crc32c::crc32c(body));
    body
}

fn take_u32(rest: &mut &[u8]) -> u32 {
    let (number, behind) = rest.split_at(4);
    *rest = behind;
    u32::from_be_bytes(number.try_into().unwrap())
}

fn take_text(rest: &mut &[u8]) -> String {
    let length = take_uvarint(rest).unwrap() as usize;
    let (text, behind) = rest.split_at(length);
    *rest = behind;
    String::from_utf8(text.to_vec()).unwrap()
}

struct Reader {
    index: Vec<u8>,
    chunks: Vec<u8>,
    contents: [u64; 6],
    symbols: Vec<String>,
}

impl Reader {
    fn open(disk: &SimDisk, block: &Path) -> Self {
        let read = |name: &str| disk.map(&block.join(name)).unwrap().to_vec();
        let (index, chunks) = (read("index"), read("chunks/000001"));
        assert_eq!(index[..5], [0xba, 0xaa, 0xd7, 0x00, 2]);
        assert_eq!(chunks[..8], [0x85, 0xbd, 0x40, 0xdd, 1, 0, 0, 0]);
        let end = index.len() - 52;
        let sum = u32::from_be_bytes(index[end + 48..].try_into().unwrap());
        assert_eq!(sum, crc32c::crc32c(&index[end..end + 48]));
        let place = |n: usize| u64::from_be_bytes(index[end + 8 * n..end + 8 * n + 8].try_into().unwrap());
        let contents = [0, 1, 2, 3, 4, 5].map(place);
        let mut rest = section(&index, contents[0]);
        let symbols: Vec<String> = (0..take_u32(&mut rest)).map(|_| take_text(&mut rest)).collect();
        assert!(rest.is_empty() && symbols.is_sorted_by(|a, b| a < b));
        Self { index, chunks, contents, symbols }
    }

    /// A table of texts and places.
    fn table(&self, at: u64, texts: u8) -> Vec<(Vec<String>, u64)> {
        let mut rest = section(&self.index, at);
        let entries = (0..take_u32(&mut rest)).map(|_| {
            assert_eq!(rest[0], texts);
            rest = &rest[1..];
            let texts = (0..texts).map(|_| take_text(&mut rest)).collect();
            (texts, take_uvarint(&mut rest).unwrap())
        });
        entries.collect()
    }

    /// Labels and float samples of a series, and the times that its entry says it has.
    fn series(&self, number: u32) -> (Labels, Samples) {
        let mut rest = &self.index[number as usize * 16..];
        let length = take_uvarint(&mut rest).unwrap() as usize;
        let (mut body, behind) = rest.split_at(length);
        assert_eq!(u32::from_be_bytes(behind[..4].try_into().unwrap()), crc32c::crc32c(body));
        let symbol = |body: &mut &[u8]| self.symbols[take_uvarint(body).unwrap() as usize].clone();
        let count = take_uvarint(&mut body).unwrap();
        let labels: Vec<(String, String)> = (0..count).map(|_| (symbol(&mut body), symbol(&mut body))).collect();
        let mut samples = Samples::new();
        let (mut last_ms, mut place) = (0, 0);
        for at in 0..take_uvarint(&mut body).unwrap() {
            let mint = if at == 0 {
                take_varint(&mut body).unwrap()
            } else {
                last_ms + take_uvarint(&mut body).unwrap() as i64
            };
            let maxt = mint + take_uvarint(&mut body).unwrap() as i64;
            place = if at == 0 {
                take_uvarint(&mut body).unwrap()
            } else {
                place.wrapping_add_signed(take_varint(&mut body).unwrap())
            };
            assert_eq!(place >> 32, 0);
            let of_chunk = self.chunk(place, mint, maxt);
            samples.extend(of_chunk);
            last_ms = maxt;
        }
        assert!(body.is_empty());
        (Labels::from_pairs(labels.iter().map(|(name, value)| (&**name, &**value))), samples)
    }

    fn chunk(&self, place: u64, mint: i64, maxt: i64) -> Samples {
        let mut rest = &self.chunks[place as usize..];
        let length = take_uvarint(&mut rest).unwrap() as usize;
        let sum = u32::from_be_bytes(rest[length + 1..length + 5].try_into().unwrap());
        assert_eq!(sum, crc32c::crc32c(&rest[..=length]));
        if rest[0] != 1 {
            // Prometheus reads those of histograms in the end-to-end test.
            return Vec::new();
        }
        let (mut times, mut values) = (Vec::new(), Vec::new());
        decode(&rest[1..=length], &mut times, &mut values).unwrap();
        assert_eq!((times[0], times[times.len() - 1]), (mint, maxt));
        times.into_iter().zip(values.into_iter().map(f64::to_bits)).collect()
    }
}

fn random_series(random: &mut Random) -> BTreeMap<Labels, Columns> {
    let mut all = BTreeMap::new();
    for _ in 0..=random.below(20) {
        let (a, b) = (random.below(4).to_string(), random.below(3).to_string());
        let pairs = [("__name__", "m"), ("a", &*a), ("ü", &*b)];
        let kept: Vec<_> = pairs.into_iter().filter(|_| !random.one_in(5)).collect();
        let mut columns = Columns::default();
        let mut time = random.below(1_000) as i64 - 500;
        for _ in 0..random.below(400) {
            time += 1 + random.below(100_000) as i64;
            if random.one_in(40) {
                let histogram = FloatHistogram {
                    count: 3.0,
                    positive_spans: vec![Span { offset: 0, length: 1 }],
                    positive_buckets: vec![3.0],
                    ..FloatHistogram::default()
                };
                columns.push_histogram(time, Arc::new(histogram));
            } else {
                columns.push_float(time, f64::from_bits(random.bits()));
            }
        }
        all.insert(Labels::from_pairs(kept), columns);
    }
    all
}

fn write(disk: &SimDisk, all: &BTreeMap<Labels, Columns>) -> Result<Option<Written>, TsdbBlockError> {
    let mut writer = BlockWriter::create(Arc::new(disk.clone()), Path::new("/out"), ULID)?;
    for (labels, columns) in all {
        writer.push(labels, columns)?;
    }
    let details = Details { external_labels: [("a".to_owned(), "b".to_owned())].into(), source: "test".to_owned() };
    writer.finish(&details)
}

#[test]
fn series_chunks_postings_and_lists_are_where_the_index_says() {
    let seed = seed(1);
    for case in 0..60 {
        let mut random = Random::of_case(seed, case);
        let (disk, all) = (SimDisk::new(), random_series(&mut random));
        let Some(written) = write(&disk, &all).unwrap() else {
            assert!(all.values().all(Columns::is_empty), "seed {seed} case {case}");
            assert_eq!(disk.list(Path::new("/out")).unwrap(), [""; 0]);
            continue;
        };
        let reader = Reader::open(&disk, &written.path);
        let postings = reader.table(reader.contents[5], 2);
        assert!(postings.is_sorted_by(|a, b| a.0 < b.0));
        assert_eq!(postings[0].0, ["", ""]);
        let list = |at: u64| -> Vec<u32> {
            assert_eq!(at % 4, 0);
            let mut rest = section(&reader.index, at);
            (0..take_u32(&mut rest)).map(|_| take_u32(&mut rest)).collect()
        };
        let numbers = list(postings[0].1);
        let found: Vec<(Labels, Samples)> = numbers.iter().map(|number| reader.series(*number)).collect();
        let expected: Vec<(Labels, Samples)> = all
            .iter()
            .filter(|(_, columns)| !columns.is_empty())
            .map(|(labels, columns)| {
                let bits = columns.values.iter().map(|value| value.to_bits());
                (labels.clone(), columns.timestamps_ms.iter().copied().zip(bits).collect())
            })
            .collect();
        assert_eq!(found, expected, "seed {seed} case {case}");
        for (label, at) in &postings[1..] {
            let having = numbers.iter().zip(&found).filter(|(_, (labels, _))| labels.get(&label[0]) == Some(&label[1]));
            assert_eq!(list(*at), having.map(|(number, _)| *number).collect::<Vec<_>>());
        }
        let names: BTreeSet<&str> = postings[1..].iter().map(|(label, _)| &*label[0]).collect();
        let indices = reader.table(reader.contents[3], 1);
        assert_eq!(indices.iter().map(|(name, _)| &*name[0]).collect::<BTreeSet<_>>(), names);
        for (name, at) in indices {
            let mut rest = section(&reader.index, at);
            assert_eq!(take_u32(&mut rest), 1);
            let values = (0..take_u32(&mut rest)).map(|_| &*reader.symbols[take_u32(&mut rest) as usize]);
            let expected = postings.iter().filter(|(label, _)| label[0] == name[0]).map(|(label, _)| &*label[1]);
            assert!(values.eq(expected));
        }
        let meta: serde_json::Value =
            serde_json::from_slice(&disk.map(&written.path.join("meta.json")).unwrap()).unwrap();
        assert_eq!(meta["ulid"], ULID);
        assert_eq!(meta["maxTime"], written.range.maxt + 1);
        assert_eq!(meta["stats"]["numSamples"], written.samples);
        assert_eq!(meta["thanos"]["labels"]["a"], "b");
    }
}

#[test]
fn after_a_crash_a_block_is_there_whole_or_not_at_all() {
    let all = random_series(&mut Random::new(2));
    let whole = SimDisk::new();
    write(&whole, &all).unwrap().unwrap();
    let block = Path::new("/out").join(ULID);
    let bytes = |disk: &SimDisk, name: &str| disk.map(&block.join(name)).unwrap().to_vec();
    for stop in 0..whole.op_count() {
        let disk = SimDisk::new();
        disk.stop_after(stop);
        assert!(write(&disk, &all).is_err());
        for crash in [disk.crash(stop), disk.crash_losing_everything_unsynced()] {
            if crash.exists(&block).unwrap() {
                for name in ["index", "chunks/000001", "meta.json"] {
                    assert_eq!(bytes(&crash, name), bytes(&whole, name), "stopped after {stop}: {name}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_block_is_refused() {
    let disk = Arc::new(SimDisk::new());
    let create = |name: &str| BlockWriter::create(disk.clone(), Path::new("/out"), name);
    for name in ["", "01ARYZ6S41000000000000000", "81ARYZ6S410000000000000007", "../../../../../../../../a0"] {
        assert!(matches!(create(name).unwrap_err(), TsdbBlockError::BadName { .. }), "{name}");
    }
    let mut writer = create(ULID).unwrap();
    assert!(matches!(create(ULID).unwrap_err(), TsdbBlockError::Exists { .. }));
    let mut columns = Columns::default();
    columns.push_float(0, 1.0);
    let labels = |value: &str| Labels::from_pairs([("a", value)]);
    writer.push(&labels("2"), &columns).unwrap();
    for value in ["2", "1"] {
        let error = writer.push(&labels(value), &columns).unwrap_err();
        assert!(matches!(error, TsdbBlockError::SeriesOutOfOrder { .. }), "{error}");
    }
}
