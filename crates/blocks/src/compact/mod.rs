//! Several blocks into one: series by label set, samples by time, each once.
//!
//! What may be merged and how the result is published is in `docs/compaction.md`; this is the merge alone.

mod cut;
mod series;
mod walk;

use crate::block::Block;
use crate::error::BlockError;
use crate::v2::BlockWriter;
use mytsdb_columns::{Columns, Mark};
use mytsdb_model::TimeRange;
use mytsdb_stop::StopSign;
use std::sync::Arc;

/// Times that count as deleted for a series of an input: asked with the input's index and the series' ordinal, it appends
/// ranges, in any order.
pub type Hidden<'a> = dyn Fn(usize, u32, &mut Vec<TimeRange>) + 'a;

/// What a merge is to leave out, and how it is stopped and slowed.
pub struct Compaction<'a> {
    /// Samples outside are left out.
    pub range: TimeRange,
    /// Samples that are left out.
    pub hidden: &'a Hidden<'a>,
    /// Ends the merge with [`BlockError::Canceled`]; asked for every series and chunk.
    pub stop: StopSign<'a>,
    /// Hears after every series how many bytes the new block has by now; may wait.
    pub pace: &'a mut dyn FnMut(u64),
}

/// What a merge did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Series that have samples left.
    pub series_count: u64,
    /// Samples decoded.
    pub samples_read: u64,
    /// Samples of the new block.
    pub samples_written: u64,
    /// Bytes of chunks that were read.
    pub bytes_read: u64,
}

/// Writes what `inputs`, in ascending order of age, hold between them to `writer`, which must be new.
///
/// Of two samples with one time the one of the earlier input stays, and within an input that of the earlier chunk. Chunks
/// that the inputs hold do not change. Cost: some 30 ns a sample. Memory: the samples of one series, and what `writer` says.
///
/// # Errors
/// What reading finds: [`BlockError::Corrupt`], [`BlockError::DamagedChunk`], [`BlockError::UnknownEncoding`];
/// [`BlockError::Canceled`]; what `writer` answers. Then `writer` is to be dropped.
pub fn compact(
    inputs: &[Arc<Block>],
    writer: &mut BlockWriter,
    how: &mut Compaction<'_>,
) -> Result<Compacted, BlockError> {
    let mut done = Compacted::default();
    let mut walk = walk::Walk::new(inputs)?;
    let mut reader = series::SeriesReader::default();
    let mut cutter = cut::Cutter::default();
    let mut columns = Columns::default();
    while let Some(labels) = walk.next(inputs)? {
        how.stop.check()?;
        columns.clear();
        reader.read(inputs, walk.found(), how, &mut columns, &mut done)?;
        if !columns.is_empty() {
            done.series_count += 1;
            done.samples_written += columns.len() as u64;
            cutter.write(&labels, &columns, writer)?;
        }
        (how.pace)(writer.bytes());
    }
    Ok(done)
}

/// Appends the samples of `part`, which is in order, that are in `range` and in none of `hidden`, which is sorted for that.
pub fn keep(part: &Columns, range: TimeRange, hidden: &mut [TimeRange], out: &mut Columns) {
    hidden.sort_unstable_by_key(|hidden| hidden.mint);
    let mut from = range.mint;
    for hidden in hidden.iter().filter(|hidden| !hidden.is_empty()) {
        if from > range.maxt {
            return;
        }
        if hidden.mint > from {
            out.extend_from(part, TimeRange::new(from, range.maxt.min(hidden.mint - 1)));
        }
        let Some(behind) = hidden.maxt.checked_add(1) else { return };
        from = from.max(behind);
    }
    if from <= range.maxt {
        out.extend_from(part, TimeRange::new(from, range.maxt));
    }
}

/// The begin of columns.
const START: Mark = Mark { floats: 0, histograms: 0 };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_cut_out_and_both_ends_of_time_are_times() {
        let mut part = Columns::default();
        let times = [i64::MIN, -5, 0, 5, 7, 9, i64::MAX];
        for time in times {
            part.push_float(time, 1.0);
        }
        let kept = |range, hidden: &[(i64, i64)]| {
            let mut out = Columns::default();
            let mut hidden: Vec<_> = hidden.iter().map(|&(mint, maxt)| TimeRange::new(mint, maxt)).collect();
            keep(&part, range, &mut hidden, &mut out);
            out.timestamps_ms
        };
        assert_eq!(kept(TimeRange::ALL, &[]), times);
        assert_eq!(kept(TimeRange::ALL, &[(7, 9), (0, 0), (8, 20), (3, 1)]), [i64::MIN, -5, 5, i64::MAX]);
        assert_eq!(kept(TimeRange::ALL, &[(i64::MIN, 5)]), [7, 9, i64::MAX]);
        assert_eq!(kept(TimeRange::ALL, &[(6, i64::MAX)]), [i64::MIN, -5, 0, 5]);
        assert_eq!(kept(TimeRange::new(0, 8), &[(5, 6)]), [0, 7]);
        assert_eq!(kept(TimeRange::new(0, 8), &[(-9, 100)]), []);
        assert_eq!(kept(TimeRange::ALL, &[(i64::MIN, i64::MAX)]), []);
        assert_eq!(kept(TimeRange::new(-9, 1), &[(4, 6), (8, 9)]), [-5, 0], "two behind the range");
        assert_eq!(kept(TimeRange::new(8, 8), &[(-9, 1), (3, 4), (6, 8), (9, 9)]), []);
    }
}
