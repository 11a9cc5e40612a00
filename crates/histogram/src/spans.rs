//! Spans: the sparse layout of buckets, walked from both ends and built anew.

/// A run of consecutive buckets.
///
/// `offset` is the distance from the end of the run before (for the first: from index 0), so it is negative only in
/// a first span. Zero-length spans are legal and only move the position.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// Distance to the preceding span's end, or the first bucket's index.
    pub offset: i32,
    /// Number of buckets in the run.
    pub length: u32,
}

/// Pairs of index and count, ascending by index, without gaps being written out.
pub(super) type Sparse = Vec<(i64, f64)>;

/// Walks the buckets of one side with their indices.
///
/// Ends where spans or buckets end, whichever is first, so a mismatch of the two cannot panic. Building it costs one
/// pass over the spans.
#[derive(Debug, Clone)]
pub(super) struct IndexedBuckets<'a> {
    spans: &'a [Span],
    buckets: &'a [f64],
    front: Position,
    back: Position,
}

/// A position between two buckets.
#[derive(Debug, Clone, Copy)]
struct Position {
    /// Span in which the next (front) or last (back) bucket lies; may be one past the last span.
    span: usize,
    /// Buckets of that span lying before the position.
    within: u32,
    /// Index of the bucket behind the position.
    index: i64,
    /// Position in the list of values.
    bucket: usize,
}

impl<'a> IndexedBuckets<'a> {
    pub(super) fn new(spans: &'a [Span], buckets: &'a [f64]) -> Self {
        let first = spans.first().map_or(0, |span| i64::from(span.offset));
        let front = Position { span: 0, within: 0, index: first, bucket: 0 };
        let mut back = front;
        for (number, span) in spans.iter().enumerate() {
            let taken = (buckets.len() - back.bucket).min(span.length as usize);
            let start = if number == 0 { first } else { back.index + i64::from(span.offset) };
            back = Position {
                span: number,
                within: taken as u32,
                index: start + taken as i64,
                bucket: back.bucket + taken,
            };
            if back.bucket == buckets.len() {
                break;
            }
        }
        Self { spans, buckets: &buckets[..back.bucket], front, back }
    }
}

impl Iterator for IndexedBuckets<'_> {
    type Item = (i64, f64);

    fn next(&mut self) -> Option<(i64, f64)> {
        if self.front.bucket >= self.back.bucket {
            return None;
        }
        while self.front.within >= self.spans.get(self.front.span)?.length {
            self.front.span += 1;
            self.front.within = 0;
            self.front.index += i64::from(self.spans.get(self.front.span)?.offset);
        }
        let item = (self.front.index, self.buckets[self.front.bucket]);
        self.front.within += 1;
        self.front.index += 1;
        self.front.bucket += 1;
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.back.bucket.saturating_sub(self.front.bucket);
        (left, Some(left))
    }
}

impl DoubleEndedIterator for IndexedBuckets<'_> {
    fn next_back(&mut self) -> Option<(i64, f64)> {
        if self.front.bucket >= self.back.bucket {
            return None;
        }
        while self.back.within == 0 {
            self.back.index -= i64::from(self.spans.get(self.back.span)?.offset);
            self.back.span = self.back.span.checked_sub(1)?;
            self.back.within = self.spans.get(self.back.span)?.length;
        }
        self.back.within -= 1;
        self.back.index -= 1;
        self.back.bucket -= 1;
        Some((self.back.index, self.buckets[self.back.bucket]))
    }
}

impl ExactSizeIterator for IndexedBuckets<'_> {}

/// The index of the bucket of that number, if spans have so many.
pub(super) fn index_of(spans: &[Span], number: usize) -> Option<i64> {
    let (mut end, mut left) = (0i64, number as u64);
    for span in spans {
        let start = end + i64::from(span.offset);
        if left < u64::from(span.length) {
            return Some(start + left as i64);
        }
        left -= u64::from(span.length);
        end = start + i64::from(span.length);
    }
    None
}

/// Builds spans and values from ascending pairs. Gaps of at most `gap_max` are filled with empty buckets.
///
/// A distance outside of `i32` can only come from spans that validation refuses; it is cut to the range then.
pub(super) fn build(pairs: impl IntoIterator<Item = (i64, f64)>, gap_max: u32) -> (Vec<Span>, Vec<f64>) {
    let mut spans: Vec<Span> = Vec::new();
    let mut buckets = Vec::new();
    let mut end = 0i64;
    for (index, count) in pairs {
        let gap = index.saturating_sub(end);
        match spans.last_mut() {
            Some(span) if (0..=i64::from(gap_max)).contains(&gap) => {
                span.length = span.length.saturating_add(gap as u32).saturating_add(1);
                buckets.resize(buckets.len() + gap as usize, 0.0);
            }
            _ => {
                let offset = gap.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
                spans.push(Span { offset, length: 1 });
            }
        }
        buckets.push(count);
        end = index + 1;
    }
    (spans, buckets)
}

/// Joins two ascending lists; each index of either appears once, with the counts found for it.
pub(super) fn join<'a>(
    left: impl Iterator<Item = (i64, f64)> + 'a,
    right: impl Iterator<Item = (i64, f64)> + 'a,
) -> impl Iterator<Item = (i64, Option<f64>, Option<f64>)> + 'a {
    let (mut left, mut right) = (left.peekable(), right.peekable());
    std::iter::from_fn(move || {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return None,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let a = if order.is_le() { left.next() } else { None };
        let b = if order.is_ge() { right.next() } else { None };
        a.or(b).map(|(index, _)| (index, a.map(|(_, count)| count), b.map(|(_, count)| count)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(list: &[(i32, u32)]) -> Vec<Span> {
        list.iter().map(|&(offset, length)| Span { offset, length }).collect()
    }

    #[test]
    fn buckets_are_the_same_from_both_ends() {
        let spans = spans(&[(-2, 1), (1, 0), (0, 2), (3, 0), (2, 2)]);
        let buckets = [1.0, 2.0, 3.0, 4.0, 5.0];
        let forward: Sparse = IndexedBuckets::new(&spans, &buckets).collect();
        assert_eq!(forward, [(-2, 1.0), (0, 2.0), (1, 3.0), (7, 4.0), (8, 5.0)]);
        let mut backward: Sparse = IndexedBuckets::new(&spans, &buckets).rev().collect();
        backward.reverse();
        assert_eq!(forward, backward);
        let mut both = IndexedBuckets::new(&spans, &buckets);
        assert_eq!(both.next(), Some((-2, 1.0)));
        assert_eq!(both.next_back(), Some((8, 5.0)));
        assert_eq!(both.len(), 3);
    }

    #[test]
    fn mismatched_spans_end_the_walk_without_panic() {
        for (list, buckets) in [
            (&[(i32::MAX, u32::MAX), (i32::MAX, u32::MAX)][..], &[1.0, 2.0][..]),
            (&[(i32::MIN, 0), (i32::MIN, 1)], &[1.0, 2.0, 3.0]),
            (&[], &[1.0]),
            (&[(0, 0), (0, 0)], &[1.0]),
            (&[(0, 3), (0, 0)], &[]),
        ] {
            let spans = spans(list);
            let forward: Sparse = IndexedBuckets::new(&spans, buckets).collect();
            let mut backward: Sparse = IndexedBuckets::new(&spans, buckets).rev().collect();
            backward.reverse();
            assert_eq!(forward, backward);
        }
    }

    #[test]
    fn built_spans_fill_small_gaps_only() {
        let (built, buckets) = build([(-3, 1.0), (-1, 2.0), (5, 3.0)], 1);
        assert_eq!(built, spans(&[(-3, 3), (5, 1)]));
        assert_eq!(buckets, [1.0, 0.0, 2.0, 3.0]);
    }
}
