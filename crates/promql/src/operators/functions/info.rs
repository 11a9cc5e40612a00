//! `info`: adds the labels of info metrics, like `target_info`, to the series of the same instance and job.

use crate::error::EvalError;
use crate::kernels::cells::{Cells, EMPTY, HISTOGRAM, Row};
use crate::kernels::grid::Grid;
use crate::names::is_schema;
use crate::operators::binary::shown;
use crate::operators::sample_field::SampleField;
use crate::operators::selector::{Asked, Selector, select_instant};
use crate::rows::context::Context;
use crate::rows::vector::{Vector, merge_equal};
use mytsdb_model::{LABEL_NAME, Labels, LabelsBuilder, MatchOp, Matcher};
use mytsdb_promql_syntax::PosRange;
use std::collections::{HashMap, HashSet};

/// A time to which something is pinned by `@`, and, if there is none, its offset.
pub(crate) type Shift = (Option<i64>, i64);

/// Labels that tell which target a series belongs to.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// What the second argument selects.
struct Selection {
    /// Which metrics are info metrics.
    names: Vec<Matcher>,
    /// Which labels are taken, and the values they must have; empty = all labels.
    data: Vec<Matcher>,
}

impl Selection {
    /// What the `matchers` of the second argument select.
    fn new(matchers: &[Matcher]) -> Result<Self, EvalError> {
        let (mut names, mut data) = (Vec::new(), Vec::new());
        for matcher in matchers {
            if matcher.name() == LABEL_NAME { &mut names } else { &mut data }.push(matcher.clone());
        }
        if names.is_empty() {
            names.push(Matcher::equal(LABEL_NAME, "target_info"));
        } else if names.iter().all(|m| matches!(m.op(), MatchOp::NotEqual | MatchOp::NotRegex)) {
            // Exclusions alone do not make every metric an info metric.
            let convention = Matcher::new(MatchOp::Regex, LABEL_NAME, ".+_info");
            names.push(convention.map_err(|e| EvalError::Execution(e.to_string()))?);
        }
        Ok(Self { names, data })
    }

    fn is_info_metric(&self, labels: &Labels) -> bool {
        let name = labels.metric_name();
        self.names.iter().all(|m| m.matches(name))
    }

    fn takes(&self, label: &str) -> bool {
        !is_schema(label)
            && !IDENTIFYING.contains(&label)
            && (self.data.is_empty() || self.data.iter().any(|m| m.name() == label))
    }

    /// Whether a series may stay as it is where no info series matches it.
    fn may_be_missing(&self) -> bool {
        self.data.iter().all(Matcher::matches_empty)
    }
}

fn identity(labels: &Labels) -> [String; 2] {
    IDENTIFYING.map(|name| labels.get(name).unwrap_or("").to_owned())
}

/// Info series of one target; the cells hold the times of the samples.
type InfoSeries = HashMap<[String; 2], Vec<Row>>;

fn info_series<'a>(
    context: &'a Context<'a>,
    selection: &Selection,
    (pinned, offset_ms): Shift,
    bases: &[Row],
    grid: Grid,
) -> Result<InfoSeries, EvalError> {
    let mut out = InfoSeries::new();
    let mut needed: HashSet<[String; 2]> = HashSet::new();
    context.stoppable(|looks| {
        for row in bases {
            looks.before(4)?;
            if !selection.is_info_metric(&row.labels) {
                needed.insert(identity(&row.labels));
            }
        }
        Ok(())
    })?;
    if needed.is_empty() {
        return Ok(out);
    }
    let selector = Selector {
        matchers: selection.names.iter().chain(&selection.data).cloned().collect(),
        offset_ms,
        timestamp_ms: pinned,
        anchored: false,
        smoothed: false,
        any_order: false,
        summarised: false,
        pos: PosRange::default(),
    };
    let asked = Asked { selector: &selector, meter: None };
    let rows = select_instant(context, asked, grid, SampleField::TimestampOfFloat)?;
    let rows = rows.keep(context)?;
    context.stoppable(|looks| {
        for row in rows {
            looks.before(4)?;
            let identity = identity(&row.labels);
            if identity.iter().any(|value| !value.is_empty()) && needed.contains(&identity) {
                out.entry(identity).or_default().push(row);
            }
        }
        Ok(())
    })?;
    Ok(out)
}

/// The labels of `base` with those of the info series that are present at `step`. `None` if there are none.
fn enriched(
    selection: &Selection,
    base: &Labels,
    candidates: &[Row],
    step: usize,
) -> Result<Option<Labels>, EvalError> {
    // The newest series of each info metric: older ones only linger within the lookback.
    let mut newest: Vec<&Row> = Vec::new();
    for row in candidates.iter().filter(|row| row.cells.kinds[step] != EMPTY) {
        if row.cells.kinds[step] == HISTOGRAM {
            let shown = shown(&row.labels);
            return Err(EvalError::Execution(format!("this should be an info metric, with float samples: {shown}")));
        }
        let name = row.labels.metric_name();
        match newest.iter_mut().find(|known| known.labels.metric_name() == name) {
            None => newest.push(row),
            Some(known) => {
                let (old, new) = (known.cells.values[step], row.cells.values[step]);
                if new == old {
                    return Err(EvalError::Execution(format!(
                        "found duplicate series for info metric: existing {} @ {old}, new {} @ {new}",
                        known.labels, row.labels
                    )));
                }
                if new > old {
                    *known = row;
                }
            }
        }
    }
    if newest.is_empty() {
        return Ok(None);
    }
    let mut builder = LabelsBuilder::from_labels(base);
    for row in newest {
        for (name, value) in row.labels.iter().filter(|(name, _)| selection.takes(name)) {
            if base.get(name).is_some() {
                continue;
            }
            if builder.get(name).is_some_and(|known| known != value) {
                return Err(EvalError::Execution(format!("conflicting label: {name}")));
            }
            builder.set(name, value);
        }
    }
    Ok(Some(builder.build()))
}

/// `info(vector, selector)`: info series are those of the time that `shift` says, by the `matchers` of the selector.
pub(crate) fn info<'a>(
    context: &'a Context<'a>,
    matchers: &[Matcher],
    shift: Shift,
    vector: Vector<'a>,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let selection = Selection::new(matchers)?;
    let bases = vector.keep(context)?;
    let infos = info_series(context, &selection, shift, &bases, grid)?;
    let mut out: Vec<Row> = Vec::new();
    for base in bases {
        if selection.is_info_metric(&base.labels) {
            out.push(base);
            continue;
        }
        context.cancel.check()?;
        let candidates = infos.get(&identity(&base.labels)).map_or(&[][..], Vec::as_slice);
        let mut rows: Vec<Row> = Vec::new();
        for step in 0..base.cells.len() {
            let Some(cell) = base.cells.get(step) else { continue };
            let labels = match enriched(&selection, &base.labels, candidates, step)? {
                Some(labels) => labels,
                None if selection.may_be_missing() => base.labels.clone(),
                None => continue,
            };
            let row = if let Some(known) = rows.iter().position(|row| row.labels == labels) {
                known
            } else {
                let cells = Cells::empty(base.cells.len());
                rows.push(Row { labels, drop_name: base.drop_name, cells });
                rows.len() - 1
            };
            rows[row].cells.set_cell(step, cell);
        }
        out.append(&mut rows);
    }
    merge_equal(context, out).map(Vector::Kept)
}
