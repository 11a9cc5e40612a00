//! Chooses how integers are written: the mode of a column, width and base of a block, from counts of bits alone.
//!
//! No candidate is written for comparison. The measure is the number of bits of the zigzag form: 0 for 0, w for what fits into
//! w bits with a sign.
#![expect(clippy::inline_always, reason = "compiled anew for each instruction set, which only inlined code is")]

use super::{BLOCK_SAMPLES, NARROW_WIDTH_MAX, mode};

/// Columns of up to this many integers are examined whole. Of longer ones four windows are.
const WHOLE_MAX: usize = 192;
const WINDOWS: usize = 4;
const WINDOW: usize = 48;

/// How a block is packed, without its entries.
#[derive(Debug, Clone, Copy)]
pub(super) struct BlockPlan {
    pub(super) width: u32,
    pub(super) base: i64,
    pub(super) has_patches: bool,
    pub(super) is_sparse: bool,
    bytes: usize,
}

/// Mode of a column of at least 3 integers that are not exactly a line of that `step`.
#[inline(always)]
pub(super) fn choose_mode(x: &[i64], step: i64) -> u8 {
    let n = x.len();
    let line = |i: usize| x[i].wrapping_sub(step.wrapping_mul(i as i64));
    let delta = |i: usize| x[i].wrapping_sub(x[i - 1]);
    let (a, b, c) = (n.div_ceil(4), n.div_ceil(2), n - 1);
    let plain_center = median(x[a], x[b], x[c]);
    let delta_center = median(delta(a), delta(b), delta(c));

    let whole = [(2, n)];
    let windows: [(usize, usize); WINDOWS] = std::array::from_fn(|i| {
        let begin = (n - WINDOW.min(n)) * i / (WINDOWS - 1);
        (begin.max(2), (begin + WINDOW).min(n))
    });
    let windows: &[(usize, usize)] = if n <= WHOLE_MAX { &whole } else { &windows };
    let [mut plain, mut deltas, mut dods, mut lines] = [0u32; 4];
    let mut seen = 0;
    for &(begin, end) in windows {
        let window = end - begin;
        let (mut last, mut last_delta) = (x[begin - 1], delta(begin - 1));
        let line_center = median(line(begin), line(usize::midpoint(begin, end)), line(end - 1));
        let mut on_line = line_center.wrapping_add(step.wrapping_mul(begin as i64));
        let mut tallies = [Tally::EMPTY; 4];
        for &next in &x[begin..end] {
            let delta = next.wrapping_sub(last);
            tallies[0].add(next.wrapping_sub(plain_center));
            tallies[1].add(delta);
            tallies[2].add(delta.wrapping_sub(last_delta));
            tallies[3].add(next.wrapping_sub(on_line));
            on_line = on_line.wrapping_add(step);
            (last, last_delta) = (next, delta);
        }
        plain += tallies[0].packed_bits(window);
        deltas += tallies[1].packed_bits(window);
        dods += tallies[2].packed_bits(window);
        lines += tallies[3].packed_bits(window);
        seen += window;
    }

    // What a mode costs beside its entries: parameters, once, and bases, in every block.
    let blocks = n.div_ceil(BLOCK_SAMPLES);
    let cost = |entry_bits: u32, parameter_bytes: usize, base_bytes: usize| {
        entry_bits as usize * n / seen.max(1) + 8 * (parameter_bytes + base_bytes * blocks)
    };
    let start_bytes = varint_bytes(x[0]);
    let mut best = (mode::DELTAS, cost(deltas, start_bytes, varint_bytes(delta_center)));
    for (mode, cost) in [
        (mode::PLAIN, cost(plain, 0, varint_bytes(plain_center))),
        (mode::LINE, cost(lines, start_bytes + varint_bytes(step), 1)),
        (mode::DELTAS_OF_DELTAS, cost(dods, start_bytes + varint_bytes(delta_center), 1)),
    ] {
        if cost < best.1 {
            best = (mode, cost);
        }
    }
    best.0
}

/// Statistics of entries.
#[derive(Clone, Copy)]
struct Tally {
    bits: u32,
    min: i64,
    max: i64,
}

impl Tally {
    const EMPTY: Self = Self { bits: 0, min: i64::MAX, max: i64::MIN };

    #[inline(always)]
    fn add(&mut self, entry: i64) {
        self.bits += bits(entry);
        self.min = self.min.min(entry);
        self.max = self.max.max(entry);
    }

    /// About as many bits as these entries will take.
    ///
    /// Their span decides, unless a few outliers do: then it is what entries need on average, with what the largest of
    /// them need more than that.
    #[inline(always)]
    fn packed_bits(&self, count: usize) -> u32 {
        let count = count as u32;
        let span = legal_width(self.max.wrapping_sub(self.min) as u64);
        (span * count).min(self.bits + 2 * count.min(self.bits))
    }
}

/// `nonzero` receives the entries that are not 0, if the plan is a sparse one.
#[inline(always)]
pub(super) fn plan_block(entries: &[i64], nonzero: &mut Vec<i64>) -> BlockPlan {
    let dense = plan_dense(entries);
    let nonzero_count: usize = entries.iter().map(|&entry| usize::from(entry != 0)).sum();
    let bitmap_bytes = entries.len().div_ceil(8);
    if nonzero_count == 0 || nonzero_count * 3 >= entries.len() * 2 || dense.bytes <= bitmap_bytes {
        return dense;
    }
    nonzero.clear();
    nonzero.extend(entries.iter().filter(|&&entry| entry != 0));
    let mut sparse = plan_dense(nonzero);
    sparse.bytes += bitmap_bytes;
    sparse.is_sparse = true;
    if sparse.bytes < dense.bytes { sparse } else { dense }
}

#[inline(always)]
fn plan_dense(entries: &[i64]) -> BlockPlan {
    let n = entries.len();
    let (mut min, mut max) = (i64::MAX, i64::MIN);
    for &entry in entries {
        min = if entry < min { entry } else { min };
        max = if entry > max { entry } else { max };
    }
    let whole = spanned(n, min, max);
    if whole.bytes <= 4 || n < 8 {
        return whole;
    }

    // A histogram of the signed bits that entries need, relative to a value that is probably not an outlier.
    let center = median(entries[n / 4], entries[n / 2], entries[n - 1 - n / 8]);
    // Four histograms: with one, each step would wait until the step before is stored.
    let mut bins = [[0u8; 72]; 4];
    let (quads, rest) = entries.as_chunks::<4>();
    for quad in quads {
        for (bins, &entry) in bins.iter_mut().zip(quad) {
            bins[bits(entry.wrapping_sub(center)) as usize] += 1;
        }
    }
    for &entry in rest {
        bins[0][bits(entry.wrapping_sub(center)) as usize] += 1;
    }
    let bin = |width: usize| bins.iter().map(|bins| usize::from(bins[width])).sum::<usize>();

    let widest = (0..=64).rev().find(|&width| bin(width) > 0).unwrap_or(0);
    let (mut best_width, mut best_bytes, mut patched) = (widest, whole.bytes, 0);
    for width in (0..widest).rev() {
        patched += bin(width + 1);
        if patched * 4 > n {
            break;
        }
        let bytes = (n * width).div_ceil(8) + 1 + patched * (1 + (widest - width + 1).div_ceil(7));
        if bytes < best_bytes && width <= NARROW_WIDTH_MAX as usize {
            (best_width, best_bytes) = (width, bytes);
        }
    }
    if best_width == widest {
        return whole;
    }

    // Only now the span of the remaining entries is known. It may be narrower than planned.
    let (mut low, mut high) = (center, center);
    for &entry in entries {
        let is_kept = bits(entry.wrapping_sub(center)) as usize <= best_width;
        low = if is_kept && entry < low { entry } else { low };
        high = if is_kept && entry > high { entry } else { high };
    }
    let mut patched_plan = spanned(n, low, high);
    let mut patch_bytes = 1;
    for &entry in entries {
        let high = high_part(entry, patched_plan.base, patched_plan.width);
        patch_bytes += if high == 0 { 0 } else { 1 + varint_bytes(high) };
    }
    patched_plan.has_patches = patch_bytes > 1;
    patched_plan.bytes += patch_bytes;
    if patched_plan.width <= NARROW_WIDTH_MAX && patched_plan.bytes < whole.bytes { patched_plan } else { whole }
}

/// The plan for entries from `min` to `max`.
#[inline(always)]
fn spanned(count: usize, min: i64, max: i64) -> BlockPlan {
    let width = legal_width(max.wrapping_sub(min) as u64);
    // No base if it would not make the width smaller.
    let base = if min >= 0 && legal_width(max as u64) == width { 0 } else { min };
    let base_bytes = if base == 0 { 0 } else { varint_bytes(base) };
    let bytes = (count * width as usize).div_ceil(8) + base_bytes;
    BlockPlan { width, base, has_patches: false, is_sparse: false, bytes }
}

/// The bits of an entry above its packed bits.
#[inline(always)]
pub(super) fn high_part(entry: i64, base: i64, width: u32) -> i64 {
    if width == 64 { 0 } else { entry.wrapping_sub(base) >> width }
}

#[inline(always)]
fn legal_width(span: u64) -> u32 {
    let width = 64 - span.leading_zeros();
    if width > NARROW_WIDTH_MAX { 64 } else { width }
}

/// Bits of the zigzag form.
#[inline(always)]
fn bits(value: i64) -> u32 {
    64 - ((value << 1) ^ (value >> 63)).leading_zeros()
}

#[inline(always)]
pub(super) fn varint_bytes(value: i64) -> usize {
    bits(value).max(1).div_ceil(7) as usize
}

#[inline(always)]
fn median(a: i64, b: i64, c: i64) -> i64 {
    a.min(b).max(a.max(b).min(c))
}
