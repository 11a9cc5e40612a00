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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            label_count_max: 64,
            name_bytes_max: 256,
            value_bytes_max: 2 << 10,
            labels_bytes_max: 8 << 10,
            bucket_count_max: 1024,
        }
    }
}

impl Limits {
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
        let refuse = |message: String| {
            let metric =
                pairs.clone().find(|(name, _)| *name == LABEL_NAME.as_bytes()).map_or(&[][..], |(_, value)| value);
            Err(Refused::new(RefusalReason::Limit, format!("metric {:?}: {message}", shown(metric, 128))))
        };
        let count = pairs.clone().count();
        if count > self.label_count_max {
            let limit = self.label_count_max;
            return refuse(format!("{count} labels, the limit is {limit} (--max-labels-per-series)"));
        }
        let mut total = 0;
        for (name, value) in pairs.clone() {
            let label = shown(name, 64);
            if name.len() > self.name_bytes_max {
                return refuse(format!(
                    "label name {label:?}... has {} bytes, the limit is {} (--max-label-name-bytes)",
                    name.len(),
                    self.name_bytes_max
                ));
            }
            if value.len() > self.value_bytes_max {
                return refuse(format!(
                    "value of label {label:?} has {} bytes, the limit is {} (--max-label-value-bytes)",
                    value.len(),
                    self.value_bytes_max
                ));
            }
            total += name.len() + value.len();
        }
        if total > self.labels_bytes_max {
            return refuse(format!(
                "labels have {total} bytes, the limit is {} (--max-labels-bytes)",
                self.labels_bytes_max
            ));
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
