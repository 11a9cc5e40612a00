//! The newest floats of one series: the last of them as they are, those before in an XOR chunk.
//!
//! A sample is written once, next to the one before it. When the ring is full of samples that are nowhere else they go into the chunk together,
//! some 8 ns each, while everything that needs is in the caches.

use super::recent::{self, Recent};
use mytsdb_codec::{ChunkEncoding, CodecError, XorAppender};
use mytsdb_columns::Columns;
use mytsdb_model::TimeRange;

/// Floats in strictly ascending order of time, to which newer ones can be added.
///
/// Invariant G: the newest `loose` samples are in the ring, all others in the chunk.
#[derive(Debug, Default)]
pub(super) struct OpenFloats {
    recent: Recent,
    first_ms: i64,
    last_ms: i64,
    /// All samples.
    count: u16,
    loose: u8,
    packed: Option<Box<XorAppender>>,
}

impl OpenFloats {
    pub(super) fn len(&self) -> usize {
        usize::from(self.count)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// First and last time; [`TimeRange::EMPTY`] without samples.
    pub(super) fn range(&self) -> TimeRange {
        if self.is_empty() { TimeRange::EMPTY } else { TimeRange::new(self.first_ms, self.last_ms) }
    }

    /// Adds a sample, which is newer than all others. Series of different `number` pack at different samples, but for their first ones.
    ///
    /// # Errors
    /// Those of the chunk: the sample is not added.
    #[inline]
    pub(super) fn push(&mut self, timestamp_ms: i64, value: f64, number: u64) -> Result<(), CodecError> {
        let is_turn = || self.packed.is_some() && self.recent.next() == number as usize % recent::SAMPLES;
        if usize::from(self.loose) == recent::SAMPLES || !self.recent.goes_on(timestamp_ms) || is_turn() {
            self.pack()?;
        }
        if self.is_empty() {
            self.first_ms = timestamp_ms;
        }
        self.recent.push(timestamp_ms, value);
        self.last_ms = timestamp_ms;
        self.count += 1;
        self.loose += 1;
        Ok(())
    }

    #[inline(never)]
    fn pack(&mut self) -> Result<(), CodecError> {
        if self.loose > 0 {
            let packed = self.packed.get_or_insert_default();
            for (timestamp_ms, value) in self.recent.newest(self.loose) {
                packed.push(timestamp_ms, value)?;
                self.loose -= 1;
            }
        }
        Ok(())
    }

    /// The bytes of an XOR chunk of all samples.
    pub(super) fn chunk(&mut self) -> Result<&[u8], CodecError> {
        self.pack()?;
        Ok(self.packed_bytes())
    }

    fn packed_bytes(&self) -> &[u8] {
        self.packed.as_ref().map_or(&[], |packed| packed.bytes())
    }

    /// Appends the samples in `range` if none of them can be missing among the newest; tells whether it did.
    #[inline]
    pub(super) fn read_newest(&self, range: TimeRange, out: &mut Columns) -> bool {
        self.recent.read(range, self.len(), &mut out.timestamps_ms, &mut out.values)
    }

    /// The value at a time. Cost: a decode of the chunk, unless the time is among the newest.
    pub(super) fn get(&self, timestamp_ms: i64) -> Result<Option<f64>, CodecError> {
        if !self.range().contains(timestamp_ms) {
            return Ok(None);
        }
        let mut columns = Columns::default();
        if !self.read_newest(TimeRange::new(timestamp_ms, timestamp_ms), &mut columns) {
            self.decode(&[], &mut columns)?;
        }
        let at = columns.timestamps_ms.binary_search(&timestamp_ms);
        Ok(at.ok().map(|at| columns.values[at]))
    }

    /// Appends all samples, which have as many start times, or none.
    pub(super) fn decode(&self, starts_ms: &[i64], out: &mut Columns) -> Result<(), CodecError> {
        decode(self.packed_bytes(), self.recent.newest(self.loose), starts_ms, out)
    }

    /// What there is, to be decoded without the lock.
    pub(super) fn copy(&self, starts_ms: &[i64]) -> OpenCopy {
        OpenCopy {
            packed: self.packed_bytes().to_vec(),
            loose: self.recent.newest(self.loose).collect(),
            starts_ms: starts_ms.to_vec(),
        }
    }

    /// Bytes of samples.
    pub(super) fn bytes(&self) -> usize {
        self.packed_bytes().len() + usize::from(self.loose) * (size_of::<u32>() + size_of::<f64>())
    }
}

/// What was open at some time.
pub(super) struct OpenCopy {
    packed: Vec<u8>,
    loose: Vec<(i64, f64)>,
    starts_ms: Vec<i64>,
}

impl OpenCopy {
    /// Appends the samples.
    pub(super) fn decode(self, out: &mut Columns) -> Result<(), CodecError> {
        decode(&self.packed, self.loose.into_iter(), &self.starts_ms, out)
    }
}

fn decode(
    packed: &[u8],
    loose: impl Iterator<Item = (i64, f64)>,
    starts_ms: &[i64],
    out: &mut Columns,
) -> Result<(), CodecError> {
    let before = out.timestamps_ms.len();
    if !packed.is_empty() {
        ChunkEncoding::Xor.decode(packed, out)?;
    }
    for (timestamp_ms, value) in loose {
        out.timestamps_ms.push(timestamp_ms);
        out.values.push(value);
    }
    if starts_ms.is_empty() {
        out.pad_starts();
    } else {
        out.start_timestamps_ms.resize(before, 0);
        out.start_timestamps_ms.extend_from_slice(starts_ms);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_samples_are_there_wherever_they_are() {
        for number in [0, 7, 23] {
            let mut open = OpenFloats::default();
            let (mut all, mut time) = (Vec::new(), -5_000i64);
            for i in 0..120usize {
                // Two gaps are too wide for the ring.
                time += if i == 30 || i == 77 { 1 << 40 } else { 15_000 };
                open.push(time, i as f64, number).unwrap();
                all.push((time, i as f64));
                let samples =
                    |columns: Columns| columns.timestamps_ms.into_iter().zip(columns.values).collect::<Vec<_>>();
                let (mut decoded, mut copied) = (Columns::default(), Columns::default());
                open.decode(&[], &mut decoded).unwrap();
                open.copy(&[]).decode(&mut copied).unwrap();
                assert_eq!(samples(decoded), all, "{number}, {i}");
                assert_eq!(samples(copied), all, "{number}, {i}");
                assert_eq!((open.len(), open.range()), (all.len(), TimeRange::new(all[0].0, time)));
                for &(time, value) in &all {
                    assert_eq!((open.get(time).unwrap(), open.get(time + 1).unwrap()), (Some(value), None));
                }
            }
            assert!(usize::from(open.loose) <= recent::SAMPLES && open.packed.is_some());
            let bytes = open.chunk().unwrap().to_vec();
            let mut columns = Columns::default();
            ChunkEncoding::Xor.decode(&bytes, &mut columns).unwrap();
            assert!(columns.timestamps_ms.into_iter().zip(columns.values).eq(all));
        }
    }

    #[test]
    fn what_is_known_of_the_start_stands_beside_each_sample() {
        let mut open = OpenFloats::default();
        (0..40).for_each(|i| open.push(i, 1.0, 3).unwrap());
        let starts: Vec<i64> = (100..140).collect();
        let mut columns = Columns::default();
        columns.timestamps_ms.push(-1);
        columns.values.push(0.0);
        open.decode(&starts, &mut columns).unwrap();
        assert_eq!(columns.start_timestamps_ms, [&[0][..], &starts].concat());
        open.decode(&[], &mut columns).unwrap();
        assert_eq!(columns.start_timestamps_ms.len(), 81);
    }
}
