//! What can be wrong with chunk bytes, and with samples offered to a chunk.

use mytsdb_histogram::HistogramError;

/// Errors of this crate.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The bytes end before the sample count they announce.
    #[error("chunk cut short: {field} does not fit into {bytes} bytes")]
    Truncated {
        /// What was being read.
        field: &'static str,
        /// Size of the whole chunk.
        bytes: usize,
    },
    /// The bytes cannot have been written by an encoder.
    #[error("damaged chunk: {reason}")]
    Damaged {
        /// What is wrong.
        reason: &'static str,
    },
    /// A sample is not later than the last one of the chunk.
    #[error("sample at {timestamp_ms} is not later than the chunk's last at {last_ms}")]
    OutOfOrder {
        /// Time of the refused sample.
        timestamp_ms: i64,
        /// Time of the chunk's last sample.
        last_ms: i64,
    },
    /// The chunk holds as many samples as its count field can say.
    #[error("chunk is full: {count} samples")]
    Full {
        /// The number of samples in the chunk.
        count: usize,
    },
    /// Two columns that are not one chunk: unequal, empty, or longer than [`DX_SAMPLES_MAX`](crate::DX_SAMPLES_MAX).
    #[error("{timestamps} times and {values} values do not make a chunk of 1 to 65,536 samples")]
    Columns {
        /// The number of times.
        timestamps: usize,
        /// The number of values.
        values: usize,
    },
    /// A histogram that is not valid, read or to be written.
    #[error("histogram {sample}: {source}")]
    Histogram {
        /// Its number in the chunk or among the samples to be encoded, from 0.
        sample: usize,
        /// What is wrong with it.
        source: HistogramError,
    },
    /// A histogram with more parts than [`HISTOGRAM_PARTS_MAX`](crate::HISTOGRAM_PARTS_MAX).
    #[error("a histogram of {parts} buckets, spans and bounds; 65,536 are the most that can be stored")]
    HistogramTooLarge {
        /// Its buckets, spans and custom bounds.
        parts: usize,
    },
    /// No encoding has this number.
    #[error("unknown chunk encoding {number}")]
    UnknownEncoding {
        /// The number found.
        number: u8,
    },
}
