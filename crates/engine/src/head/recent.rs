//! The newest samples of what is open, as they are.
//!
//! Dashboards and rules ask for the last minutes of many series. Decoding an XOR chunk for them, some 10 ns a sample
//! because its branches cannot be predicted, would be most of what such a query costs. And whoever stores a sample puts it here and nowhere else.

use mytsdb_model::TimeRange;

/// Samples that are kept: five minutes of one every 15 s, and a few.
pub(super) const SAMPLES: usize = 24;

/// A ring of samples in ascending order of time.
///
/// Invariant F: a ring that is not full begins at index 0.
#[derive(Debug)]
pub(super) struct Recent {
    /// What the offsets count from.
    base_ms: i64,
    offsets_ms: [u32; SAMPLES],
    values: [f64; SAMPLES],
    /// Samples in the ring.
    len: u8,
    /// Where the next one goes.
    next: u8,
}

impl Default for Recent {
    fn default() -> Self {
        Self { base_ms: 0, offsets_ms: [0; SAMPLES], values: [0.0; SAMPLES], len: 0, next: 0 }
    }
}

impl Recent {
    /// Where the next sample goes.
    #[inline]
    pub(super) fn next(&self) -> usize {
        usize::from(self.next)
    }

    /// Whether a sample, which is newer than all others, can be added without that all others go: there is no gap of 49 days.
    #[inline]
    pub(super) fn goes_on(&self, timestamp_ms: i64) -> bool {
        self.len == 0
            || timestamp_ms.checked_sub(self.base_ms).is_some_and(|offset_ms| u32::try_from(offset_ms).is_ok())
    }

    /// The newest samples, as many as are asked for, which are there, ascending.
    pub(super) fn newest(&self, count: u8) -> impl Iterator<Item = (i64, f64)> {
        let from = self.next() + SAMPLES - usize::from(count);
        (from..from + usize::from(count)).map(|at| {
            let at = at % SAMPLES;
            (self.base_ms + i64::from(self.offsets_ms[at]), self.values[at])
        })
    }

    /// Adds a sample, which is newer than all others. After a gap of 49 days the others go.
    #[inline]
    pub(super) fn push(&mut self, timestamp_ms: i64, value: f64) {
        let known = if self.len == 0 { None } else { timestamp_ms.checked_sub(self.base_ms) };
        let offset_ms = known.and_then(|offset_ms| u32::try_from(offset_ms).ok()).unwrap_or_else(|| {
            (self.base_ms, self.len, self.next) = (timestamp_ms, 0, 0);
            0
        });
        let next = usize::from(self.next);
        (self.offsets_ms[next], self.values[next]) = (offset_ms, value);
        self.next = if next + 1 == SAMPLES { 0 } else { self.next + 1 };
        self.len = (self.len + 1).min(SAMPLES as u8);
    }

    /// Appends the samples in `range` to two columns, if no sample of the chunk, which has `chunk_samples`, can be
    /// missing among them; tells whether it did.
    #[inline]
    pub(super) fn read(
        &self,
        range: TimeRange,
        chunk_samples: usize,
        timestamps_ms: &mut Vec<i64>,
        values: &mut Vec<f64>,
    ) -> bool {
        let len = usize::from(self.len);
        // Invariant F.
        let oldest = if len == SAMPLES { usize::from(self.next) } else { 0 };
        let covers = len == chunk_samples || len > 0 && self.base_ms + i64::from(self.offsets_ms[oldest]) <= range.mint;
        if !covers {
            return false;
        }
        // Counts without a branch per sample: the start of the range differs from series to series, so branches would be mispredicted.
        let offsets = &self.offsets_ms[..len];
        let up_to = |end_ms: i64| {
            let after = end_ms.saturating_sub(self.base_ms);
            let Ok(last) = u32::try_from(after) else { return if after < 0 { 0 } else { len } };
            // Mostly the newest sample decides where the range ends. In an empty ring there is nothing to count.
            let newest = offsets[..usize::from(self.next)].last().or(offsets.last());
            if newest.is_some_and(|&newest| newest <= last) {
                return len;
            }
            offsets.iter().map(|&offset| u32::from(offset <= last)).sum::<u32>() as usize
        };
        let before = if range.mint == i64::MIN { 0 } else { up_to(range.mint - 1) };
        let (from, to) = (oldest + before, oldest + up_to(range.maxt).max(before));
        let parts = [from.min(len)..to.min(len), from.saturating_sub(len)..to.saturating_sub(len)];
        for part in parts {
            timestamps_ms.extend(self.offsets_ms[part.clone()].iter().map(|&o| self.base_ms + i64::from(o)));
            values.extend_from_slice(&self.values[part]);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ring_gives_all_samples_from_a_time_on_or_says_that_it_cannot() {
        let gaps = [15_000i64, 1, 15_000, 15_001, 60_000, 1 << 40, 15_000, 15_000];
        let mut all: Vec<(i64, f64)> = Vec::new();
        let mut recent = Recent::default();
        let mut time = i64::MIN + 7;
        for i in 0..200usize {
            // The wide gap only now and then, so that the ring fills in between.
            time += if i % 61 == 60 { gaps[5] } else { gaps[i % 5] };
            recent.push(time, i as f64);
            all.push((time, i as f64));
            for back in 0..all.len().min(40) {
                for mint_ms in [-1, 0, 1].map(|d| all[all.len() - 1 - back].0 + d) {
                    let (mut t, mut v) = (vec![1], vec![1.0]);
                    let expected: Vec<_> = all.iter().copied().filter(|s| s.0 >= mint_ms).collect();
                    let done = recent.read(TimeRange::new(mint_ms, i64::MAX), all.len(), &mut t, &mut v);
                    let read: Vec<_> = t.into_iter().zip(v).skip(1).collect();
                    assert_eq!(read, if done { expected.clone() } else { Vec::new() }, "{i}, {back}");
                    for maxt in [time - 1, time - 15_001, mint_ms, mint_ms - 1] {
                        let (mut t, mut v) = (Vec::new(), Vec::new());
                        assert_eq!(recent.read(TimeRange::new(mint_ms, maxt), all.len(), &mut t, &mut v), done);
                        let inside = expected.iter().copied().filter(|s| done && s.0 <= maxt);
                        assert!(t.into_iter().zip(v).eq(inside), "{i}, {back}, up to {maxt}");
                    }
                    assert!(done || back + 1 >= SAMPLES || i >= 60, "{i}, {back}: it is in the ring");
                }
            }
        }
        let recent = Recent::default();
        assert!(!recent.read(TimeRange::new(time, time), all.len(), &mut Vec::new(), &mut Vec::new()));
        assert!(
            recent.read(TimeRange::new(time, time), 0, &mut Vec::new(), &mut Vec::new()),
            "of an empty chunk it has everything"
        );
    }
}
