//! Columns of the files, and the names that labels have in them.
//!
//! The page of the format is `docs/format/parquet-tier.md`.

use crate::error::{Result, TierError};
use mytsdb_model::LABEL_NAME;
use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::schema::types::{Type, TypePtr};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Version of the format, in every footer and manifest.
pub(crate) const VERSION: u64 = 1;
/// Footer key of the version.
pub(crate) const VERSION_KEY: &str = "mytsdb.schema_version";
/// Label columns that a file may have.
pub(crate) const LABEL_COLUMNS_MAX: usize = 500;
/// Bytes that the name of a label may have.
const LABEL_NAME_BYTES_MAX: usize = 4096;

/// Columns of the histograms file behind the labels; each list is one column of the file.
pub(crate) const HISTOGRAM_COLUMNS: [&str; 16] = [
    "series_id",
    "timestamp",
    "start_timestamp",
    "counter_reset",
    "schema",
    "zero_threshold",
    "zero_count",
    "count",
    "sum",
    "positive_offsets",
    "positive_lengths",
    "positive_buckets",
    "negative_offsets",
    "negative_lengths",
    "negative_buckets",
    "custom_values",
];

/// Columns of the buckets file behind the labels that the samples file has not.
pub(crate) const BUCKET_COLUMNS: [&str; 8] =
    ["first_timestamp", "count", "sum", "min", "max", "first", "last", "resets"];

/// The files of a day's folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKind {
    /// A row per float sample.
    Samples,
    /// A row per series.
    Labels,
    /// A row per histogram sample.
    Histograms,
    /// A row per bucket of samples, in folders of downsampled days.
    Buckets,
    /// A row per series, with its samples once more as chunks of Prometheus; only where somebody wants it.
    Chunks,
}

impl FileKind {
    /// All of them, in the order in which they are uploaded.
    pub const ALL: [Self; 5] = [Self::Samples, Self::Histograms, Self::Chunks, Self::Buckets, Self::Labels];

    /// Its name in the folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Samples => "samples.parquet",
            Self::Labels => "labels.parquet",
            Self::Histograms => "hist.parquet",
            Self::Buckets => "buckets.parquet",
            Self::Chunks => "chunks.parquet",
        }
    }

    /// Whether a name is that of a column that is no label, in any case; a label of such a name gets a prefix.
    fn is_reserved(self, name: &str) -> bool {
        /// Columns of samples, and what names of folders tell.
        const NAMES: [&str; 7] = ["series_id", "timestamp", "start_timestamp", "value", "day", "node", "tenant"];
        let is_one_of = |names: &[&str]| names.iter().any(|reserved| reserved.eq_ignore_ascii_case(name));
        match self {
            Self::Samples => is_one_of(&NAMES),
            Self::Labels | Self::Chunks => false,
            Self::Histograms => is_one_of(&NAMES) || is_one_of(&HISTOGRAM_COLUMNS),
            Self::Buckets => is_one_of(&NAMES) || is_one_of(&BUCKET_COLUMNS),
        }
    }

    /// The column of a label.
    pub(crate) fn column_of(self, label: &str) -> String {
        if self == Self::Labels || self.needs_prefix(label) { format!("l_{label}") } else { label.to_owned() }
    }

    /// Whether a label is called like a column of ours, or like such a label with prefixes: so that names stay different.
    fn needs_prefix(self, label: &str) -> bool {
        self.is_reserved(label.trim_start_matches("l_"))
    }
}

/// The labels of a file: the metric's name first, then the others in ascending order.
#[derive(Debug, Clone)]
pub(crate) struct LabelNames(Vec<String>);

impl LabelNames {
    /// Takes names in any order. Whatever they are, there is a column of the metric's name.
    pub fn new(names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self> {
        let mut all: BTreeSet<String> = names.into_iter().map(Into::into).collect();
        all.remove(LABEL_NAME);
        if all.len() >= LABEL_COLUMNS_MAX {
            let (found, limit) = (all.len() as u64 + 1, LABEL_COLUMNS_MAX as u64);
            return Err(TierError::TooMuch { what: "label columns of a file", found, limit });
        }
        for name in &all {
            if name.is_empty() || name.len() > LABEL_NAME_BYTES_MAX || name.contains('\0') {
                let reason = "empty, longer than 4096 bytes, or with a NUL: no name of a column";
                return Err(TierError::BadLabel { label: name.clone(), reason });
            }
        }
        Ok(Self(std::iter::once(LABEL_NAME.to_owned()).chain(all).collect()))
    }

    /// Those of a file without labels.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// The column of a label.
    pub fn place(&self, name: &str) -> Option<usize> {
        if name == LABEL_NAME {
            return Some(0);
        }
        Some(self.0[1..].binary_search_by(|other| other.as_str().cmp(name)).ok()? + 1)
    }
}

/// An optional column of text.
pub(crate) fn text(name: &str) -> Type {
    Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(LogicalType::String))
        .with_converted_type(ConvertedType::UTF8)
        .build()
        .expect("a column of text is valid whatever its name")
}

/// A column of numbers or bytes.
pub(crate) fn plain(name: &str, physical: Physical, repetition: Repetition) -> Type {
    Type::primitive_type_builder(name, physical)
        .with_repetition(repetition)
        .build()
        .expect("a column without a logical type is valid")
}

/// A column of times: ms, UTC.
pub(crate) fn time(name: &str, repetition: Repetition) -> Type {
    let unit = parquet::basic::TimeUnit::MILLIS;
    Type::primitive_type_builder(name, Physical::INT64)
        .with_repetition(repetition)
        .with_logical_type(Some(LogicalType::timestamp(true, unit)))
        .with_converted_type(ConvertedType::TIMESTAMP_MILLIS)
        .build()
        .expect("INT64 holds timestamps")
}

/// A list that is always there and whose elements always are.
pub(crate) fn list(name: &str, element: Physical) -> Type {
    let element = Arc::new(plain("element", element, Repetition::REQUIRED));
    let repeated = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![element])
        .build()
        .expect("a group of one column is valid");
    Type::group_type_builder(name)
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::List))
        .with_converted_type(ConvertedType::LIST)
        .with_fields(vec![Arc::new(repeated)])
        .build()
        .expect("a list of three levels is valid")
}

/// The schema of a file: its label columns, then `rest`.
pub(crate) fn file(kind: FileKind, labels: &LabelNames, rest: Vec<Type>) -> TypePtr {
    let fields = labels.iter().map(|name| text(&kind.column_of(name))).chain(rest).map(Arc::new).collect();
    Arc::new(Type::group_type_builder("schema").with_fields(fields).build().expect("names of columns differ"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_labels_differ_from_each_other_and_from_ours() {
        let kind = FileKind::Samples;
        let labels = ["value", "l_value", "l_l_value", "Value", "job", "l_job", "count", "le", "day", "TENANT"];
        let columns: BTreeSet<String> = labels.iter().map(|label| kind.column_of(label)).collect();
        assert_eq!(columns.len(), labels.len());
        assert!(!columns.iter().any(|column| kind.is_reserved(column)));
        assert_eq!(kind.column_of("value"), "l_value");
        assert_eq!(kind.column_of("job"), "job");
        assert_eq!(kind.column_of("l_job"), "l_job");
        assert_eq!(FileKind::Histograms.column_of("count"), "l_count");
        assert_eq!(FileKind::Labels.column_of("job"), "l_job");
    }

    #[test]
    fn too_many_and_impossible_labels_are_refused() {
        assert!(LabelNames::new((0..499).map(|n| format!("l{n}"))).is_ok());
        assert!(LabelNames::new((0..500).map(|n| format!("l{n}"))).is_err());
        assert!(LabelNames::new([""]).is_err());
        let names = LabelNames::new(["job", "Env", LABEL_NAME]).unwrap();
        assert_eq!(names.iter().collect::<Vec<_>>(), [LABEL_NAME, "Env", "job"]);
        assert_eq!(names.place("job"), Some(2));
        assert_eq!(names.place("x"), None);
    }
}
