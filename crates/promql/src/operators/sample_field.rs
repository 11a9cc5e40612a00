//! What is asked of the samples of a selector.

/// What a row of an instant selector tells about the sample of each step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SampleField {
    Value,
    /// Its time, in seconds.
    Timestamp,
    /// Its time, in seconds, if it is a float, else the histogram.
    TimestampOfFloat,
    /// Its start time, in seconds, 0 where it is unknown; nothing if start times are not used.
    StartTimestamp,
}
