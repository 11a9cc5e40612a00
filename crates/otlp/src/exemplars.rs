//! Exemplars of points: which series they belong to, and their labels.
//!
//! Source: OpenMetrics 1.0, "Exemplars", and what Prometheus makes of OTLP's.

use crate::Limits;
use crate::labels::read_attributes;
use crate::points::to_ms;
use crate::wire::{ExemplarView, NumberValue, Repeated};
use crate::{Exemplar, OtlpError};
use mytsdb_model::{Labels, SeriesRef};

/// Characters of all names and values of an exemplar's labels; attributes that do not fit are left out together.
const CHARACTERS_MAX: usize = 128;

/// Exemplars of one point that are read; further ones are passed over.
const EXEMPLARS_MAX: usize = 64;

/// The exemplars in field `field` of `point`, by ascending time. `series` chooses the series for a value. What cannot be an
/// exemplar is left out: one without a value, or with text that is not UTF-8.
///
/// # Errors
/// If the point is malformed.
pub(crate) fn exemplars(
    limits: &Limits,
    point: &[u8],
    field: u32,
    series: impl Fn(f64) -> Option<SeriesRef>,
) -> Result<Vec<Exemplar>, OtlpError> {
    let mut out = Vec::new();
    for bytes in Repeated::new(point, field) {
        let view = ExemplarView::parse(bytes?)?;
        let Some(value) = view.value.map(NumberValue::as_f64) else { continue };
        let (Some(series), Some(labels)) = (series(value), labels(limits, &view)) else { continue };
        let timestamp_ms = (view.time_unix_nano != 0).then(|| to_ms(view.time_unix_nano));
        if out.len() < EXEMPLARS_MAX {
            out.push(Exemplar { series, timestamp_ms, value, labels });
        }
    }
    out.sort_by_key(|exemplar| exemplar.timestamp_ms);
    Ok(out)
}

/// Ids as lower-case hexadecimal digits unless they are all zero, and the attributes if all of them fit.
fn labels(limits: &Limits, view: &ExemplarView<'_>) -> Option<Labels> {
    let mut pairs = Vec::new();
    for (name, id) in [("trace_id", view.trace_id), ("span_id", view.span_id)] {
        if id.len() <= 16 && id.iter().any(|byte| *byte != 0) {
            let digit = |value: u8| char::from_digit(value.into(), 16);
            let digits = id.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).flatten().collect();
            pairs.push((name.to_owned(), digits));
        }
    }
    let attributes = read_attributes(limits, view.attributes()).ok()?;
    let characters = |list: &[(String, String)]| -> usize {
        list.iter().map(|(name, value)| name.chars().count() + value.chars().count()).sum()
    };
    if characters(&pairs) + characters(&attributes) <= CHARACTERS_MAX {
        for (name, value) in attributes {
            if !name.is_empty() && !value.is_empty() && !pairs.iter().any(|(known, _)| *known == name) {
                pairs.push((name, value));
            }
        }
    }
    Some(Labels::from_pairs(pairs))
}
