//! `histogram_quantile`, `histogram_quantiles` and `histogram_fraction`, over classic and native histograms.

use crate::annotations::Annotations;
use crate::error::EvalError;
use crate::kernels::cells::{Cells, EMPTY, FLOAT, HISTOGRAM, Row};
use crate::kernels::grid::Grid;
use crate::kernels::remarks;
use crate::kernels::scalar::Scalar;
use crate::options::Kernels;
use crate::rows::context::Context;
use crate::rows::label_key::LabelKey;
use crate::rows::numbers::Numbers;
use crate::rows::vector::{Vector, merge_equal};
use crate::rows::workers::CANCEL_ROWS;
use mytsdb_histogram::FloatHistogram;
use mytsdb_model::{Labels, LabelsBuilder};
use mytsdb_promql_syntax::PosRange;
use mytsdb_promql_syntax::format_open_metrics;
use mytsdb_promql_syntax::parse_number;
use std::collections::HashMap;

/// Counts that differ relatively by less than this are taken for equal.
const SMALL_DELTA: f64 = 1e-12;

/// A cumulative bucket of a classic histogram.
#[derive(Debug, Clone, Copy)]
struct Classic {
    upper: f64,
    count: f64,
}

/// The series of one histogram: classic buckets, or a native one.
struct Group {
    labels: Labels,
    drop_name: bool,
    /// Upper bound and row.
    buckets: Vec<(f64, usize)>,
    native: Option<Native>,
}

/// The row of a native histogram.
#[derive(Clone, Copy)]
struct Native {
    row: usize,
    /// The row has what is asked of the histograms, and not them.
    is_computed: bool,
}

/// One function over the histograms of a vector.
struct Input {
    rows: Vec<Row>,
    groups: Vec<Group>,
    /// Place of the vector in the query.
    pos: PosRange,
}

/// Reads a vector. Of rows of nothing but histograms, `native` is asked at once, on the thread that computes the row, so that they need not
/// be held; where it gives none at some step, because there is something to remark, the row stays as it is.
fn input<'a>(
    context: &'a Context<'a>,
    (vector, pos): (Vector<'a>, PosRange),
    grid: Grid,
    native: impl Fn(&FloatHistogram, usize) -> Option<f64> + Sync,
) -> Result<Input, EvalError> {
    // Rows that are held already are counted as they are.
    let at_once = context.kernels == Kernels::Columnar && matches!(vector, Vector::Lazy(_));
    let (rows, computed) = vector.keep_changed(context, |cells| at_once && replace_histograms(cells, &native))?;
    let mut groups: Vec<Group> = Vec::with_capacity(rows.len());
    let mut numbers = Numbers::with_capacity(rows.len());
    let (all, bound) = (LabelKey::but(&[]), LabelKey::but(&["le"]));
    let mut group_of = |groups: &mut Vec<Group>, row: &Row, key: &LabelKey<'_>| {
        // Labels of a group are the whole key.
        let same = |other: u32| key.equals(&row.labels, &all, &groups[other as usize].labels);
        let group = numbers.of(key.hash(&row.labels), groups.len() as u32, same) as usize;
        if group == groups.len() {
            let labels = key.labels(&row.labels);
            groups.push(Group { labels, drop_name: row.drop_name, buckets: Vec::new(), native: None });
        }
        group
    };
    context.stoppable(|looks| {
        for ((at, row), is_computed) in rows.iter().enumerate().zip(computed) {
            looks.before(4 + grid.count / 64)?;
            if is_computed || row.cells.kinds.contains(&HISTOGRAM) {
                let group = group_of(&mut groups, row, &all);
                groups[group].native = Some(Native { row: at, is_computed });
            }
            if is_computed {
                continue;
            }
            if row.cells.kinds.contains(&FLOAT) {
                let le = row.labels.get("le").unwrap_or("");
                let Some(upper) = parse_bound(le).filter(|upper| !upper.is_nan()) else {
                    context.annotate(|a| remarks::bad_bucket_label(a, le, shown_name(context, &row.labels), pos));
                    continue;
                };
                let group = group_of(&mut groups, row, &bound);
                groups[group].buckets.push((upper, at));
            }
        }
        Ok(())
    })?;
    Ok(Input { rows, groups, pos })
}

/// Puts a number in the place of each histogram, if there is nothing else and each has one; tells whether it did.
fn replace_histograms(cells: &mut Cells, native: impl Fn(&FloatHistogram, usize) -> Option<f64>) -> bool {
    if !cells.has_histograms() || cells.kinds.contains(&FLOAT) {
        return false;
    }
    for step in 0..cells.len() {
        let Some(histogram) = cells.histogram(step) else { continue };
        let Some(number) = native(histogram, step) else { return false };
        cells.values[step] = number;
    }
    // Now that all of them are there.
    for kind in &mut cells.kinds {
        *kind = if *kind == HISTOGRAM { FLOAT } else { EMPTY };
    }
    cells.histograms.clear();
    true
}

/// The name that remarks show: none if names are dropped at once.
fn shown_name<'l>(context: &Context<'_>, labels: &'l Labels) -> &'l str {
    if context.options.delayed_name_removal { labels.metric_name() } else { "" }
}

fn parse_bound(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && !text.contains('_');
    // Unlike numbers in queries, bounds with leading zeros are decimal.
    if plain && text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) {
        return text.parse().ok();
    }
    if plain { parse_number(text).ok() } else { None }
}

/// Computes a number from each histogram of each step.
fn each_histogram(
    context: &Context<'_>,
    input: &Input,
    count: usize,
    classic: impl Fn(&mut [Classic], usize, &mut Annotations, &str) -> f64,
    native: impl Fn(&FloatHistogram, usize, &mut Annotations, &str) -> f64,
) -> Result<Vec<Cells>, EvalError> {
    let mut out = Vec::with_capacity(input.groups.len());
    let mut buckets = Vec::new();
    let mut annotations = Annotations::default();
    for (at, group) in input.groups.iter().enumerate() {
        let metric = shown_name(context, &group.labels);
        let mut cells = Cells::empty(count);
        if let (Some(Native { row, is_computed: true }), []) = (group.native, &group.buckets[..]) {
            if at % CANCEL_ROWS == 0 {
                context.cancel.check()?;
            }
            cells.copy_from(&input.rows[row].cells);
            out.push(cells);
            continue;
        }
        for step in 0..count {
            // Thousands of buckets take a millisecond to sort.
            if group.buckets.len() >= BUCKETS_MANY || (step == 0 && (count >= CANCEL_ROWS || at % CANCEL_ROWS == 0)) {
                context.cancel.check()?;
            }
            buckets.clear();
            for &(upper, row) in &group.buckets {
                let cells = &input.rows[row].cells;
                if cells.kinds[step] == FLOAT {
                    buckets.push(Classic { upper, count: cells.values[step] });
                }
            }
            let found = group.native.and_then(|native| found(&input.rows[native.row].cells, native.is_computed, step));
            match (found, buckets.is_empty()) {
                (Some(_), false) => remarks::mixed_classic_native(&mut annotations, metric, input.pos),
                (Some(Found::Number(number)), true) => cells.set(step, number),
                (Some(Found::Histogram(histogram)), true) => {
                    cells.set(step, native(histogram, step, &mut annotations, metric));
                }
                (None, false) => cells.set(step, classic(&mut buckets, step, &mut annotations, metric)),
                (None, true) => {}
            }
        }
        out.push(cells);
    }
    context.annotate(|a| a.merge(annotations));
    Ok(out)
}

/// What a step of a native histogram has.
enum Found<'h> {
    Histogram(&'h FloatHistogram),
    /// What is asked of it.
    Number(f64),
}

fn found(cells: &Cells, is_computed: bool, step: usize) -> Option<Found<'_>> {
    if is_computed {
        return (cells.kinds[step] == FLOAT).then(|| Found::Number(cells.values[step]));
    }
    cells.histogram(step).map(|histogram| Found::Histogram(histogram))
}

/// Buckets of one histogram that are worth a look at the stop sign.
const BUCKETS_MANY: usize = 1 << 10;

/// The results for `input`, which is given back.
fn rows(context: &Context<'_>, input: Input, cells: Vec<Cells>) -> Result<Vector<'static>, EvalError> {
    let mut out = Vec::with_capacity(cells.len());
    context.stoppable(|looks| {
        for (group, cells) in input.groups.into_iter().zip(cells) {
            looks.before(3)?;
            if !cells.is_blank() {
                let (labels, drop_name) = context.without_name(&group.labels);
                out.push(Row { labels, drop_name: drop_name || group.drop_name, cells });
            }
        }
        Ok(())
    })?;
    context.give_back(input.rows)?;
    Ok(Vector::Kept(if context.options.delayed_name_removal { out } else { merge_equal(context, out)? }))
}

/// Where a call and its arguments stand in the query.
#[derive(Clone, Copy)]
pub(crate) struct Places<'p> {
    pub call: PosRange,
    pub vector: PosRange,
    /// Those of the scalar arguments.
    pub scalars: &'p [PosRange],
}

/// `histogram_quantile(q, vector)`.
pub(crate) fn quantile<'a>(
    context: &'a Context<'a>,
    places: Places<'_>,
    vector: Vector<'a>,
    q: &Scalar,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let native = |histogram: &FloatHistogram, step| {
        let q = q.at(step);
        (!has_skewed_quantile(q, histogram)).then(|| histogram.quantile(q))
    };
    let input = input(context, (vector, places.vector), grid, native)?;
    note_invalid_quantiles(context, places, std::slice::from_ref(q), grid);
    let cells = quantile_cells(context, &input, grid.count, &[], q)?;
    rows(context, input, cells)
}

/// Remarks on quantiles that are none. What is remarked more than once is so step by step.
fn note_invalid_quantiles(context: &Context<'_>, places: Places<'_>, quantiles: &[Scalar], grid: Grid) {
    let constant = quantiles.iter().all(|q| matches!(q, Scalar::Constant(_)));
    let mut told: HashMap<u64, PosRange> = HashMap::new();
    let mut order = Vec::new();
    for step in 0..if constant { grid.count.min(1) } else { grid.count } {
        for (q, &place) in quantiles.iter().zip(places.scalars) {
            let q = q.at(step);
            if !(0.0..=1.0).contains(&q) && told.insert(q.to_bits(), place).is_none() {
                order.push(q);
            }
        }
    }
    for q in order {
        context.annotate(|a| remarks::invalid_quantile(a, q, told[&q.to_bits()], places.call));
    }
}

/// The quantile `q`. Prometheus computes the quantiles `before` it of the same buckets, and leaves them as they became:
/// where bounds were equal, the last ones are joined again and again.
fn quantile_cells(
    context: &Context<'_>,
    input: &Input,
    count: usize,
    before: &[Scalar],
    q: &Scalar,
) -> Result<Vec<Cells>, EvalError> {
    let pos = input.pos;
    each_histogram(
        context,
        input,
        count,
        |buckets, step, annotations, metric| {
            for q in before {
                classic_quantile(q.at(step), buckets);
            }
            let (value, forced) = classic_quantile(q.at(step), buckets);
            if forced {
                remarks::forced_monotonicity(annotations, metric, pos);
            }
            value
        },
        |histogram, step, annotations, metric| native_quantile(q.at(step), histogram, annotations, metric, pos),
    )
}

/// The label that `histogram_quantiles` tells quantiles apart by.
pub(crate) fn quantiles_label(text: &[u8]) -> Result<String, EvalError> {
    let label = String::from_utf8_lossy(text).into_owned();
    if label.is_empty() {
        return Err(EvalError::execution("invalid label name in histogram_quantiles(): \"\""));
    }
    Ok(label)
}

/// `histogram_quantiles(vector, label, quantiles...)`.
pub(crate) fn quantiles<'a>(
    context: &'a Context<'a>,
    places: Places<'_>,
    (vector, label): (Vector<'a>, &str),
    quantiles: &[Scalar],
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let input = input(context, (vector, places.vector), grid, |_, _| None)?;
    let mut out: Vec<Row> = Vec::new();
    for (at, q) in quantiles.iter().enumerate() {
        let all_cells = quantile_cells(context, &input, grid.count, &quantiles[..at], q)?;
        for (group, cells) in input.groups.iter().zip(all_cells) {
            context.cancel.check()?;
            let (labels, drop_name) = context.without_name(&group.labels);
            // Each step's quantile names its own series.
            let mut by_value: Vec<(u64, Cells)> = Vec::new();
            for step in 0..grid.count {
                if cells.kinds[step] == EMPTY {
                    continue;
                }
                let bits = q.at(step).to_bits();
                let slot = if let Some(slot) = by_value.iter().position(|(b, _)| *b == bits) {
                    slot
                } else {
                    by_value.push((bits, Cells::empty(grid.count)));
                    by_value.len() - 1
                };
                by_value[slot].1.set(step, cells.values[step]);
            }
            for (bits, cells) in by_value {
                let mut builder = LabelsBuilder::from_labels(&labels);
                builder.set(label, &format_open_metrics(f64::from_bits(bits)));
                out.push(Row { labels: builder.build(), drop_name: drop_name || group.drop_name, cells });
            }
        }
    }
    note_invalid_quantiles(context, places, quantiles, grid);
    merge_equal(context, out).map(Vector::Kept)
}

/// `histogram_fraction(lower, upper, vector)`.
pub(crate) fn fraction<'a>(
    context: &'a Context<'a>,
    places: Places<'_>,
    vector: Vector<'a>,
    (lower, upper): (&Scalar, &Scalar),
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let has_nans =
        |histogram: &FloatHistogram, step| lower.at(step) < upper.at(step) && has_nan_observations(histogram);
    let native = |histogram: &FloatHistogram, step| {
        (!has_nans(histogram, step)).then(|| histogram.fraction(lower.at(step), upper.at(step)))
    };
    let input = input(context, (vector, places.vector), grid, native)?;
    let pos = input.pos;
    let cells = each_histogram(
        context,
        &input,
        grid.count,
        |buckets, step, _, _| classic_fraction(lower.at(step), upper.at(step), buckets),
        |histogram, step, annotations, metric| {
            if has_nans(histogram, step) {
                remarks::fraction_has_nans(annotations, metric, pos);
            }
            histogram.fraction(lower.at(step), upper.at(step))
        },
    )?;
    rows(context, input, cells)
}

/// Sorts and joins equal bounds; what is left over stays behind the buckets that it gives. `None` without a `+Inf` bucket.
fn prepare(buckets: &mut [Classic]) -> Option<&mut [Classic]> {
    buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
    if buckets.last().is_none_or(|b| b.upper != f64::INFINITY) {
        return None;
    }
    let mut last = 0;
    for at in 1..buckets.len() {
        if buckets[at].upper == buckets[last].upper {
            buckets[last].count += buckets[at].count;
        } else {
            last += 1;
            buckets[last] = buckets[at];
        }
    }
    Some(&mut buckets[..=last])
}

/// Flattens counts that decrease; `true` if that is worth a remark.
fn flatten(buckets: &mut [Classic]) -> bool {
    let mut forced = false;
    let mut previous = buckets[0].count;
    for bucket in &mut buckets[1..] {
        if bucket.count == previous {
            continue;
        }
        let close = (bucket.count - previous).abs() < SMALL_DELTA * (bucket.count.abs() + previous.abs());
        if close || bucket.count < previous {
            forced |= !close;
            bucket.count = previous;
            continue;
        }
        previous = bucket.count;
    }
    forced
}

/// The first bucket that reaches `rank`, searched for as Go does: where counts are NaN it matters which are looked at.
fn first_not_below(buckets: &[Classic], rank: f64) -> usize {
    let (mut from, mut to) = (0, buckets.len());
    while from < to {
        let middle = usize::midpoint(from, to);
        if buckets[middle].count >= rank {
            to = middle;
        } else {
            from = middle + 1;
        }
    }
    from
}

fn classic_quantile(q: f64, buckets: &mut [Classic]) -> (f64, bool) {
    if q.is_nan() {
        return (f64::NAN, false);
    }
    if q < 0.0 {
        return (f64::NEG_INFINITY, false);
    }
    if q > 1.0 {
        return (f64::INFINITY, false);
    }
    let Some(buckets) = prepare(buckets) else { return (f64::NAN, false) };
    let forced = flatten(buckets);
    let last = buckets.len() - 1;
    if last == 0 {
        return (f64::NAN, false);
    }
    let observations = buckets[last].count;
    if observations == 0.0 {
        return (f64::NAN, false);
    }
    let mut rank = q * observations;
    let index = first_not_below(&buckets[..last], rank);
    if index == last {
        return (buckets[last - 1].upper, forced);
    }
    if index == 0 && buckets[0].upper <= 0.0 {
        return (buckets[0].upper, forced);
    }
    let (mut start, mut count) = (0.0, buckets[index].count);
    if index > 0 {
        start = buckets[index - 1].upper;
        count -= buckets[index - 1].count;
        rank -= buckets[index - 1].count;
    }
    (start + (buckets[index].upper - start) * (rank / count), forced)
}

fn classic_fraction(lower: f64, upper: f64, buckets: &mut [Classic]) -> f64 {
    let Some(buckets) = prepare(buckets) else { return f64::NAN };
    let total = buckets[buckets.len() - 1].count;
    if total == 0.0 || lower.is_nan() || upper.is_nan() {
        return f64::NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let mut start = if buckets[0].upper > 0.0 { 0.0 } else { f64::NEG_INFINITY };
    let mut before = 0.0;
    let (mut lower_rank, mut upper_rank) = (None, None);
    for bucket in buckets.iter() {
        let inside = |value: f64| before + (bucket.count - before) * (value - start) / (bucket.upper - start);
        for (bound, rank) in [(lower, &mut lower_rank), (upper, &mut upper_rank)] {
            if rank.is_none() {
                if start >= bound {
                    *rank = Some(before);
                } else if bucket.upper > bound {
                    // A bucket without end has no inside: as if all its observations were at its finite bound.
                    *rank = Some(match (start.is_infinite(), bucket.upper.is_infinite()) {
                        (true, _) => bucket.count,
                        (_, true) => before,
                        _ => inside(bound),
                    });
                }
            }
        }
        before = bucket.count;
        start = bucket.upper;
    }
    let clamp = |rank: Option<f64>| rank.filter(|&r| r <= total).unwrap_or(total);
    (clamp(upper_rank) - clamp(lower_rank)) / total
}

/// Whether some observations were NaN: those are in the count, but in no bucket. A sum of infinities is NaN without them.
fn has_nan_observations(histogram: &FloatHistogram) -> bool {
    histogram.sum.is_nan() && histogram.iter_all().map(|bucket| bucket.count).sum::<f64>() < histogram.count
}

/// Whether a quantile, if it is one, depends on observations of NaN.
fn has_skewed_quantile(q: f64, histogram: &FloatHistogram) -> bool {
    (0.0..=1.0).contains(&q) && has_nan_observations(histogram)
}

/// The codec's quantile, with remarks about observations of NaN, which are counted but in no bucket.
fn native_quantile(
    q: f64,
    histogram: &FloatHistogram,
    annotations: &mut Annotations,
    metric: &str,
    pos: PosRange,
) -> f64 {
    let value = histogram.quantile(q);
    if has_skewed_quantile(q, histogram) {
        if value.is_nan() {
            remarks::quantile_is_nan(annotations, metric, pos);
        } else {
            remarks::quantile_is_skewed(annotations, metric, pos);
        }
    }
    value
}
