//! The manifest: which files are live. One immutable JSON object for each change.

use crate::deletion::{DELETIONS_MAX, Deletion, DeletionJson};
use crate::error::{Result, TierError};
use crate::schema::{FileKind, VERSION};
use crate::sink::{Digest, FileDigest};
use crate::{Day, FileId};
use mytsdb_downsample::Resolution;
use mytsdb_model::TimeRange;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// Bytes that a manifest may have.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// The files of one day's folder, as a manifest names them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LiveDay {
    /// The day.
    pub day: Day,
    /// Name of the folder under the day.
    pub id: FileId,
    /// Number of series.
    pub series: u64,
    /// Number of float samples.
    pub samples: u64,
    /// Number of histograms.
    pub histograms: u64,
    /// Times of the first and the last sample.
    pub range: TimeRange,
    /// Place in the order of writing of whoever wrote it, 0 if that does not count: see [`Uploaded::numbered`](crate::Uploaded::numbered).
    pub number: u64,
    /// All samples are floats without start times; `false` if that is not known.
    pub plain: bool,
    /// The width of its buckets, if it has buckets and no samples.
    pub resolution: Option<Resolution>,
    /// Number of buckets.
    pub buckets: u64,
    /// Names of the folders whose samples became the buckets.
    pub made_from: Vec<FileId>,
    /// The files, with length and checksum.
    pub files: Vec<(FileKind, FileDigest)>,
}

impl LiveDay {
    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, digest)| digest.whole.bytes).sum()
    }

    /// Path of its folder, relative to the store's prefix.
    pub fn folder(&self) -> String {
        format!("day={}/{}", self.day, self.id)
    }

    /// Path of its file of a kind, relative to the store's prefix.
    pub fn path(&self, kind: FileKind) -> String {
        format!("{}/{}", self.folder(), kind.name())
    }

    /// Path of a file, and its length and checksum, if there is one of this kind.
    pub(crate) fn file(&self, kind: FileKind) -> Option<(String, FileDigest)> {
        let (_, digest) = self.files.iter().find(|(other, _)| *other == kind)?;
        Some((self.path(kind), *digest))
    }
}

/// One state of the tier.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Manifest {
    /// Its number: 1 for the first that was written, 0 for a prefix without any.
    pub seq: u64,
    /// When it was written, in ms since the epoch, by the clock of its writer.
    pub created_ms: u64,
    /// What is live, by day and then by id.
    pub days: Vec<LiveDay>,
    /// What is deleted and still in files, by id.
    pub deletions: Vec<Deletion>,
}

impl Manifest {
    /// Path of the manifest of a number, relative to the store's prefix.
    pub(crate) fn path(seq: u64) -> String {
        format!("manifest/{seq:020}.json")
    }

    /// The number in the name of a manifest.
    pub(crate) fn seq_of(name: &str) -> Option<u64> {
        let digits = name.strip_suffix(".json").filter(|digits| digits.len() == 20)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    }

    /// The bytes that are stored.
    pub fn encode(&self) -> Vec<u8> {
        let days = self.days.iter().map(DayJson::of).collect();
        let deletions = self.deletions.iter().map(DeletionJson::of).collect();
        let json =
            ManifestJson { schema_version: VERSION, seq: self.seq, created_ms: self.created_ms, days, deletions };
        let mut bytes = serde_json::to_vec_pretty(&json).expect("numbers and text are JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Reads a manifest and checks all of it; `path` and the expected number are for the errors.
    ///
    /// # Errors
    /// [`TierError::UnknownVersion`] if a later release wrote it; [`TierError::Corrupt`] for anything that
    /// [`encode`](Self::encode) does not write.
    pub fn decode(path: &str, seq: u64, bytes: &[u8]) -> Result<Self> {
        let corrupt = |reason: String| TierError::corrupt(path, "manifest", reason);
        if bytes.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(corrupt(format!(
                "{} bytes, of which a manifest has at most {MANIFEST_BYTES_MAX}",
                bytes.len()
            )));
        }
        let version: VersionJson = serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
        if version.schema_version != VERSION {
            return Err(TierError::UnknownVersion { path: path.to_owned(), version: version.schema_version });
        }
        let json: ManifestJson = serde_json::from_slice(bytes).map_err(|error| corrupt(error.to_string()))?;
        if json.seq != seq {
            return Err(corrupt(format!("its number is {}, that of its name {seq}", json.seq)));
        }
        let days = json.days.iter().map(DayJson::read).collect::<Result<Vec<_>, String>>().map_err(corrupt)?;
        if !days.windows(2).all(|pair| (pair[0].day, pair[0].id) < (pair[1].day, pair[1].id)) {
            return Err(corrupt("days and ids do not ascend".into()));
        }
        let ids: HashSet<FileId> = days.iter().map(|day| day.id).collect();
        if ids.len() != days.len() {
            return Err(corrupt("an id stands there twice".into()));
        }
        if json.deletions.len() > DELETIONS_MAX {
            return Err(corrupt(format!(
                "{} deletions, of which it has at most {DELETIONS_MAX}",
                json.deletions.len()
            )));
        }
        let deletions = json.deletions.into_iter().map(DeletionJson::read);
        let deletions = deletions.collect::<Result<Vec<_>, String>>().map_err(corrupt)?;
        if !deletions.windows(2).all(|pair| pair[0].id < pair[1].id) {
            return Err(corrupt("ids of deletions do not ascend".into()));
        }
        Ok(Self { seq, created_ms: json.created_ms, days, deletions })
    }
}

#[derive(Deserialize)]
struct VersionJson {
    schema_version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestJson {
    schema_version: u64,
    seq: u64,
    created_ms: u64,
    days: Vec<DayJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deletions: Vec<DeletionJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DayJson {
    day: String,
    id: String,
    series: u64,
    samples: u64,
    histograms: u64,
    min_t: i64,
    max_t: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    number: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    plain: bool,
    #[serde(default, skip_serializing_if = "is_default")]
    resolution_ms: i64,
    #[serde(default, skip_serializing_if = "is_default")]
    buckets: u64,
    #[serde(default, skip_serializing_if = "is_default")]
    made_from: Vec<String>,
    files: Vec<FileJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileJson {
    name: String,
    bytes: u64,
    crc32c: String,
    tail_bytes: u64,
    tail_crc32c: String,
}

impl DayJson {
    fn of(day: &LiveDay) -> Self {
        let files = day.files.iter().map(|(kind, digest)| FileJson {
            name: kind.name().to_owned(),
            bytes: digest.whole.bytes,
            crc32c: format!("{:08x}", digest.whole.crc32c),
            tail_bytes: digest.tail.bytes,
            tail_crc32c: format!("{:08x}", digest.tail.crc32c),
        });
        Self {
            day: day.day.to_string(),
            id: day.id.to_string(),
            series: day.series,
            samples: day.samples,
            histograms: day.histograms,
            min_t: day.range.mint,
            max_t: day.range.maxt,
            number: day.number,
            plain: day.plain,
            resolution_ms: day.resolution.map_or(0, Resolution::ms),
            buckets: day.buckets,
            made_from: day.made_from.iter().map(FileId::to_string).collect(),
            files: files.collect(),
        }
    }

    fn read(&self) -> Result<LiveDay, String> {
        let day: Day = self.day.parse().map_err(|()| format!("{:?} is no day", self.day))?;
        let id: FileId = self.id.parse().map_err(|()| format!("{:?} is no ULID", self.id))?;
        let range = TimeRange::new(self.min_t, self.max_t);
        if range.is_empty() || !day.range().encloses(range) {
            return Err(format!("the samples of {id} are at {range}, which is not within {day}"));
        }
        let mut files: Vec<(FileKind, FileDigest)> = Vec::new();
        for file in &self.files {
            let kind = FileKind::ALL.into_iter().find(|kind| kind.name() == file.name);
            let kind = kind.ok_or_else(|| format!("{id} has a file {:?}, which is none of the format", file.name))?;
            let whole = Digest { bytes: file.bytes, crc32c: checksum(&file.crc32c)? };
            let tail = Digest { bytes: file.tail_bytes, crc32c: checksum(&file.tail_crc32c)? };
            if tail.bytes > whole.bytes {
                return Err(format!("the tail of {} of {id} is longer than the file", file.name));
            }
            if files.iter().any(|(other, _)| *other == kind) {
                return Err(format!("{id} has its file {} twice", file.name));
            }
            files.push((kind, FileDigest { whole, tail }));
        }
        let has = |kind| files.iter().any(|(other, _)| *other == kind);
        if !has(FileKind::Labels)
            || has(FileKind::Samples) != (self.samples > 0)
            || has(FileKind::Histograms) != (self.histograms > 0)
            || has(FileKind::Buckets) != (self.buckets > 0)
        {
            return Err(format!(
                "the files of {id} are not those of its {} samples, {} histograms and {} buckets",
                self.samples, self.histograms, self.buckets
            ));
        }
        let resolution = match self.resolution_ms {
            0 => None,
            ms => {
                Some(Resolution::of_ms(ms).ok_or_else(|| format!("{id} has buckets of {ms} ms, which there are not"))?)
            }
        };
        if resolution.is_some() != (self.buckets > 0) || (resolution.is_some() && self.samples + self.histograms > 0) {
            return Err(format!("{id} must have samples, or buckets and their resolution"));
        }
        if resolution.is_none() && !self.made_from.is_empty() {
            return Err(format!("{id} has samples, and is said to be made from others"));
        }
        let made_from = self.made_from.iter().map(|id| id.parse().map_err(|()| format!("{id:?} is no ULID")));
        let made_from: Vec<FileId> = made_from.collect::<Result<_, String>>()?;
        if self.plain && self.histograms > 0 {
            return Err(format!("{id} has histograms, and is said to have none"));
        }
        let (series, samples, histograms) = (self.series, self.samples, self.histograms);
        let (number, plain, buckets) = (self.number, self.plain, self.buckets);
        Ok(LiveDay {
            day,
            id,
            series,
            samples,
            histograms,
            range,
            number,
            plain,
            resolution,
            buckets,
            made_from,
            files,
        })
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Eight lower-case hexadecimal digits.
fn checksum(text: &str) -> Result<u32, String> {
    let hex = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    let checksum = u32::from_str_radix(text, 16).ok().filter(|_| hex);
    checksum.ok_or_else(|| format!("{text:?} is no checksum"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_model::{MatchOp, Matcher};

    fn digest(rows: u64) -> FileDigest {
        let whole = Digest { bytes: rows * 10, crc32c: rows as u32 * 77 };
        FileDigest { whole, tail: Digest { bytes: rows, crc32c: 1 } }
    }

    fn manifest() -> Manifest {
        let day = |at: i64, id: u128, samples: u64, histograms: u64| LiveDay {
            day: Day::of(at).unwrap(),
            id: FileId::new(1, id),
            series: 2,
            samples,
            histograms,
            range: TimeRange::new(at, at + 5),
            number: samples,
            plain: histograms == 0,
            resolution: None,
            buckets: 0,
            made_from: Vec::new(),
            files: [(FileKind::Samples, samples), (FileKind::Histograms, histograms), (FileKind::Labels, 1)]
                .into_iter()
                .filter(|(_, rows)| *rows > 0)
                .map(|(kind, rows)| (kind, digest(rows)))
                .collect(),
        };
        let coarse = LiveDay {
            resolution: Some(Resolution::Hour),
            buckets: 3,
            samples: 0,
            plain: true,
            made_from: vec![FileId::new(1, 1), FileId::new(1, 9)],
            files: vec![(FileKind::Buckets, digest(3)), (FileKind::Labels, digest(1))],
            ..day(0, 4, 3, 0)
        };
        let days = vec![day(0, 1, 5, 0), day(0, 2, 0, 4), coarse, day(crate::DAY_MS, 3, 1, 1)];
        let matcher = |op, name: &str, value: &str| Matcher::new(op, name, value).unwrap();
        let first = vec![
            vec![matcher(MatchOp::Equal, "__name__", "up"), matcher(MatchOp::Regex, "job", "a|b\"c")],
            vec![matcher(MatchOp::NotEqual, "\u{fc}", ""), matcher(MatchOp::NotRegex, "x", ".+")],
        ];
        let second = vec![vec![matcher(MatchOp::Equal, "job", "web")]];
        let deletions =
            vec![Deletion::new(3, 2, TimeRange::ALL, first), Deletion::new(4, 9, TimeRange::new(-5, 5), second)];
        Manifest { seq: 7, created_ms: 9, days, deletions }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let manifest = manifest();
        assert_eq!(Manifest::decode("m", 7, &manifest.encode()).unwrap(), manifest);
    }

    #[test]
    fn every_changed_fact_that_does_not_fit_is_refused() {
        let text = String::from_utf8(manifest().encode()).unwrap();
        for (from, to) in [
            ("\"seq\": 7", "\"seq\": 8"),
            ("1970-01-02", "1970-01-03"),
            ("1970-01-02", "../../etc"),
            ("samples.parquet", "../samples.parquet"),
            ("\"samples\": 5", "\"samples\": 0"),
            ("\"histograms\": 4", "\"histograms\": 4, \"more\": 1"),
            ("00000181", "0000018g"),
            ("\"min_t\": 0,", "\"min_t\": 6,"),
            ("00000181", "0000018A"),
            ("\"tail_bytes\": 5", "\"tail_bytes\": 51"),
            ("\"created_ms\": 9", "\"created_ms\": -9"),
            ("\"number\": 5", "\"number\": -5"),
            ("\"histograms\": 4,", "\"histograms\": 4, \"plain\": true,"),
            ("\"resolution_ms\": 3600000", "\"resolution_ms\": 3600001"),
            ("\"resolution_ms\": 3600000", "\"resolution_ms\": 0"),
            ("\"buckets\": 3", "\"buckets\": 0"),
            ("\"plain\": true,\n      \"files\"", "\"plain\": true,\n      \"buckets\": 3,\n      \"files\""),
            ("\"made_from\": [\n        \"", "\"made_from\": [\n        \"x"),
            ("\"id\": 4,", "\"id\": 3,"),
            ("\"!~\"", "\"~\""),
            ("\".+\"", "\"(\""),
            ("\"min_t\": -5,", "\"min_t\": 6,"),
        ] {
            let changed = text.replacen(from, to, 1);
            assert_ne!(changed, text, "{from} does not occur");
            let error = Manifest::decode("m", 7, changed.as_bytes()).unwrap_err();
            assert!(matches!(error, TierError::Corrupt { .. }), "{from} -> {to}: {error}");
        }
        let later = text.replacen("\"schema_version\": 1", "\"schema_version\": 2, \"new\": []", 1);
        let error = Manifest::decode("m", 7, later.as_bytes()).unwrap_err();
        assert!(matches!(error, TierError::UnknownVersion { version: 2, .. }), "{error}");
    }

    #[test]
    fn a_manifest_that_is_cut_anywhere_is_refused() {
        let bytes = manifest().encode();
        for end in 0..bytes.len() - 2 {
            assert!(Manifest::decode("m", 7, &bytes[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn changed_bytes_are_refused_or_read_as_they_are_written() {
        let mut random = mytsdb_testkit::Random::new(mytsdb_testkit::seed(4));
        let (sound, mut taken) = (manifest().encode(), 0);
        for _ in 0..3_000 {
            let mut bytes = sound.clone();
            for _ in 0..=random.below(3) {
                let at = random.index(bytes.len());
                bytes[at] =
                    if random.one_in(2) { b"0123456789\"{}[],:-"[random.index(18)] } else { random.bits() as u8 };
            }
            if let Ok(manifest) = Manifest::decode("m", 7, &bytes) {
                assert_eq!(Manifest::decode("m", 7, &manifest.encode()).unwrap(), manifest);
                taken += 1;
            }
        }
        assert!((1..1_500).contains(&taken), "{taken} taken of 3,000");
    }

    #[test]
    fn numbers_are_read_from_names() {
        assert_eq!(Manifest::seq_of("00000000000000000012.json"), Some(12));
        for name in
            ["12.json", "00000000000000000012.json.tmp", "+0000000000000000012.json", "99999999999999999999.json"]
        {
            assert_eq!(Manifest::seq_of(name), None, "{name}");
        }
    }
}
