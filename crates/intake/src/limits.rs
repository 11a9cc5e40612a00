//! Bounds on one series.

use crate::{RefusalReason, Refused};
use mytsdb_model::LABEL_NAME;

/// Bounds on one series or point; what exceeds one is refused with a message that names the bound's flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Labels per series, the name included (`--max-labels-per-series`).
    pub label_count_max: usize,
    /// Bytes of a label's name (`--max-label-name-bytes`).
    pub name_bytes_max: usize,
    /// Bytes of a label's value (`--max-label-value-bytes`).
    pub value_bytes_max: usize,
    /// Bytes of all names and values of a series (`--max-labels-bytes`).
    pub labels_bytes_max: usize,
    /// Buckets of a histogram point, quantiles of a summary point (`--max-buckets-per-point`).
    pub bucket_count_max: usize,
    /// Attributes of an OTLP resource, scope or point, whether they become labels or not (`--max-attributes`).
    pub attribute_count_max: usize,
    /// Arrays and maps inside each other in the value of an attribute (`--max-attribute-nesting`).
    pub nesting_max: usize,
}

/// One of [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PointLimit {
    /// Of [`Limits::label_count_max`].
    Labels,
    /// Of [`Limits::name_bytes_max`].
    LabelName,
    /// Of [`Limits::value_bytes_max`].
    LabelValue,
    /// Of [`Limits::labels_bytes_max`].
    LabelsBytes,
    /// Of [`Limits::bucket_count_max`].
    Buckets,
    /// Of [`Limits::attribute_count_max`].
    Attributes,
    /// Of [`Limits::nesting_max`].
    Nesting,
}

impl PointLimit {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Labels,
        Self::LabelName,
        Self::LabelValue,
        Self::LabelsBytes,
        Self::Buckets,
        Self::Attributes,
        Self::Nesting,
    ];

    /// The name of its setting; with two dashes before it, it is the flag.
    pub fn setting(self) -> &'static str {
        match self {
            Self::Labels => "max-labels-per-series",
            Self::LabelName => "max-label-name-bytes",
            Self::LabelValue => "max-label-value-bytes",
            Self::LabelsBytes => "max-labels-bytes",
            Self::Buckets => "max-buckets-per-point",
            Self::Attributes => "max-attributes",
            Self::Nesting => "max-attribute-nesting",
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            label_count_max: 64,
            name_bytes_max: 256,
            value_bytes_max: 2 << 10,
            labels_bytes_max: 8 << 10,
            bucket_count_max: 1024,
            attribute_count_max: 1024,
            nesting_max: 64,
        }
    }
}

impl Limits {
    /// How much of it is allowed.
    pub fn most(&self, limit: PointLimit) -> usize {
        match limit {
            PointLimit::Labels => self.label_count_max,
            PointLimit::LabelName => self.name_bytes_max,
            PointLimit::LabelValue => self.value_bytes_max,
            PointLimit::LabelsBytes => self.labels_bytes_max,
            PointLimit::Buckets => self.bucket_count_max,
            PointLimit::Attributes => self.attribute_count_max,
            PointLimit::Nesting => self.nesting_max,
        }
    }

    /// The refusal of what is over `limit`; `what` says what has how much of it.
    pub fn over(&self, limit: PointLimit, what: impl std::fmt::Display) -> Refused {
        let message = format!("{what}, the limit is {} (--{})", self.most(limit), limit.setting());
        Refused::new(RefusalReason::Limit(limit), message)
    }

    /// Checks the labels of a series.
    ///
    /// # Errors
    /// [`RefusalReason::Limit`] with a message that names the metric, the limit and its flag.
    pub fn check(&self, pairs: &[(&str, &str)]) -> Result<(), Refused> {
        self.check_bytes(pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
    }

    /// Checks labels by their lengths alone, which may come before anything that reads them; a label without value is none.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub fn check_bytes<'a>(&self, pairs: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Result<(), Refused> {
        let pairs = pairs.filter(|(_, value)| !value.is_empty());
        let refuse = |limit, what: String| {
            let metric =
                pairs.clone().find(|(name, _)| *name == LABEL_NAME.as_bytes()).map_or(&[][..], |(_, value)| value);
            Err(self.over(limit, format_args!("metric {:?}: {what}", shown(metric, 128))))
        };
        let count = pairs.clone().count();
        if count > self.label_count_max {
            return refuse(PointLimit::Labels, format!("{count} labels"));
        }
        let mut total = 0;
        for (name, value) in pairs.clone() {
            let label = shown(name, 64);
            if name.len() > self.name_bytes_max {
                return refuse(PointLimit::LabelName, format!("label name {label:?}... has {} bytes", name.len()));
            }
            if value.len() > self.value_bytes_max {
                return refuse(PointLimit::LabelValue, format!("value of label {label:?} has {} bytes", value.len()));
            }
            total += name.len() + value.len();
        }
        if total > self.labels_bytes_max {
            return refuse(PointLimit::LabelsBytes, format!("labels have {total} bytes"));
        }
        Ok(())
    }
}

/// The first characters of a text, in at most `bytes_max`; up to the first that is none.
fn shown(text: &[u8], bytes_max: usize) -> &str {
    let cut = &text[..text.len().min(bytes_max)];
    let good = std::str::from_utf8(cut).map_or_else(|error| error.valid_up_to(), str::len);
    std::str::from_utf8(&cut[..good]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_named_with_its_flag_and_texts_are_cut() {
        let limits = Limits { label_count_max: 3, labels_bytes_max: 600, value_bytes_max: 500, ..Limits::default() };
        let long = "é".repeat(400);
        let refused = |pairs: &[(&str, &str)]| limits.check(pairs).unwrap_err().message;
        let name = ("__name__", &long[..201 - 1]);
        let many = refused(&[name, ("a", "1"), ("b", "1"), ("c", "1")]);
        assert_eq!(many, format!("metric {:?}: 4 labels, the limit is 3 (--max-labels-per-series)", "é".repeat(64)));
        let label = refused(&[("m", "1"), (&long, "1")]);
        let wanted = "é".repeat(32);
        assert_eq!(
            label,
            format!("metric \"\": label name {wanted:?}... has 800 bytes, the limit is 256 (--max-label-name-bytes)")
        );
        assert!(
            refused(&[("a", &long)])
                .ends_with("value of label \"a\" has 800 bytes, the limit is 500 (--max-label-value-bytes)")
        );
        let total = refused(&[("a", &long[..400]), ("b", &long[..400])]);
        assert_eq!(total, "metric \"\": labels have 802 bytes, the limit is 600 (--max-labels-bytes)");
        assert_eq!(limits.check(&[("a", ""), ("b", ""), ("c", ""), ("d", "")]), Ok(()), "no values, no labels");
    }

    #[test]
    fn bytes_that_are_no_text_are_not_shown() {
        let bytes = [(&b"a\xff"[..], &[b'x'; 9000][..])];
        let refused = Limits::default().check_bytes(bytes.into_iter()).unwrap_err().message;
        assert!(refused.starts_with("metric \"\": value of label \"a\" has 9000 bytes"), "{refused}");
    }
}
