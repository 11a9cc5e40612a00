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
        let refuse = |message: String| {
            let metric = pairs.iter().find(|(name, _)| *name == LABEL_NAME).map_or("", |(_, value)| value);
            let shown = &metric[..metric.floor_char_boundary(128)];
            Err(Refused::new(RefusalReason::Limit, format!("metric {shown:?}: {message}")))
        };
        if pairs.len() > self.label_count_max {
            return refuse(format!(
                "{} labels, the limit is {} (--max-labels-per-series)",
                pairs.len(),
                self.label_count_max
            ));
        }
        let mut total = 0;
        for (name, value) in pairs {
            let shown = &name[..name.floor_char_boundary(64)];
            if name.len() > self.name_bytes_max {
                return refuse(format!(
                    "label name {shown:?}... has {} bytes, the limit is {} (--max-label-name-bytes)",
                    name.len(),
                    self.name_bytes_max
                ));
            }
            if value.len() > self.value_bytes_max {
                return refuse(format!(
                    "value of label {shown:?} has {} bytes, the limit is {} (--max-label-value-bytes)",
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
