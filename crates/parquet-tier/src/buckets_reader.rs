//! Reads rows of `buckets.parquet`.

use crate::day_reader::Part;
use crate::error::{Result, TierError};
use crate::remote::RemoteFile;
use mytsdb_downsample::{Buckets, Resolution};
use parquet::basic::Type as Physical;
use parquet::data_type::{DoubleType, Int32Type, Int64Type};
use std::ops::Range;

/// Columns that are read.
pub(crate) const COLUMNS: [&str; 9] =
    ["timestamp", "first_timestamp", "count", "sum", "min", "max", "first", "last", "resets"];

/// Reads rows of series in a row group, and appends them to what each series has.
pub(crate) async fn read_buckets(
    file: &RemoteFile,
    group: usize,
    parts: &[Part],
    resolution: Resolution,
    out: &mut [Buckets],
) -> Result<()> {
    let mut places = [0; COLUMNS.len()];
    for (at, (place, name)) in places.iter_mut().zip(COLUMNS).enumerate() {
        let physical = match at {
            0 | 1 => Physical::INT64,
            2 => Physical::INT32,
            _ => Physical::DOUBLE,
        };
        *place = file.column(name, physical, (0, 0))?;
    }
    let rows: Vec<Range<u64>> = parts.iter().map(|(_, rows)| rows.clone()).collect();
    let fetched = file.fetch(group, &places, &rows).await?;
    let mut times = [fetched.reader::<Int64Type>(places[0])?, fetched.reader::<Int64Type>(places[1])?];
    let mut count_rows = fetched.reader::<Int32Type>(places[2])?;
    let mut counts: Vec<i32> = Vec::new();
    for (series, rows) in parts {
        let into = &mut out[*series];
        times[0].read(rows.clone(), &mut into.lasts_ms)?;
        times[1].read(rows.clone(), &mut into.firsts_ms)?;
        counts.clear();
        count_rows.read(rows.clone(), &mut counts)?;
        for &count in &counts {
            let count = u32::try_from(count);
            into.counts.push(count.map_err(|_| TierError::corrupt(file.path(), "count", "it is negative"))?);
        }
        into.widths_ms.resize(into.lasts_ms.len(), resolution.ms());
    }
    // One column after the other: each has pages of its own.
    for (at, &place) in places.iter().enumerate().skip(3) {
        let mut numbers = fetched.reader::<DoubleType>(place)?;
        for (series, rows) in parts {
            let Buckets { sums, minima, maxima, firsts, lasts, resets, .. } = &mut out[*series];
            let column = [sums, minima, maxima, firsts, lasts, resets].into_iter().nth(at - 3).expect("six columns");
            numbers.read(rows.clone(), column)?;
        }
    }
    Ok(())
}

/// What is wrong with buckets that were read, if anything is.
pub(crate) fn fault_of(buckets: &Buckets) -> Option<&'static str> {
    let Buckets { firsts_ms, lasts_ms, .. } = buckets;
    if !lasts_ms.is_sorted_by(|a, b| a < b) {
        return Some("times of its buckets do not ascend");
    }
    let is_sound = |(first_ms, last_ms): (&i64, &i64)| first_ms <= last_ms;
    if !firsts_ms.iter().zip(lasts_ms).all(is_sound) {
        return Some("a bucket ends before it begins");
    }
    None
}
