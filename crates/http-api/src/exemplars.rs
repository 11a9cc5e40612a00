//! `query_exemplars`: the exemplars of the series that a query selects.

use crate::answer::{Outcome, Remarks};
use crate::asked::Asked;
use crate::error::{ApiError, ErrorKind};
use crate::exemplar_source::{Exemplars, SeriesExemplars};
use crate::job::Run;
use crate::json::Chunks;
use crate::queries::Queries;
use axum::body::Body;
use axum::extract::State;
use http::Response;
use mytsdb_model::Matcher;
use mytsdb_promql_syntax::Expr;
use std::sync::Arc;

/// Series between two looks at the clock.
const SERIES_PER_CHECK: usize = 256;

pub(crate) async fn answer(
    State(queries): State<Arc<Queries>>,
    State(exemplars): State<Exemplars>,
    asked: Asked,
) -> Result<Response<Body>, ApiError> {
    let range = asked.params.range()?;
    if range.is_empty() {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let params = asked.params;
    let work = move |run: &Run, out: &mut Chunks| {
        let expr = params.expression().map_err(|error| ApiError::bad_data(error.to_string()))?;
        let selectors = selectors(&expr);
        if selectors.is_empty() {
            return Ok(Outcome::NoContent);
        }
        let found = match exemplars.source() {
            Some(source) => source.exemplars(range, &selectors, &run.cancel),
            None => Ok(Vec::new()),
        };
        let found = found.map_err(|reason| match run.cancel.check() {
            Ok(()) => ApiError::new(ErrorKind::Internal, reason),
            Err(error) => error.into(),
        })?;
        write(&found, run, out)?;
        Ok(Outcome::Data(Remarks::default()))
    };
    Ok(queries.lookup(asked.encoding, work).await)
}

/// The matchers of each selector in a query.
fn selectors(expr: &Expr) -> Vec<Vec<Matcher>> {
    let mut selectors = Vec::new();
    expr.walk(&mut |e| {
        match e {
            Expr::Vector(vector) => selectors.push(vector.matchers.clone()),
            Expr::Matrix(matrix) => selectors.push(matrix.selector.matchers.clone()),
            _ => {}
        }
        true
    });
    selectors
}

fn write(found: &[SeriesExemplars], run: &Run, out: &mut Chunks) -> Result<(), ApiError> {
    out.raw("[");
    for (at, (labels, exemplars)) in found.iter().enumerate() {
        if at % SERIES_PER_CHECK == 0 {
            run.cancel.check()?;
        }
        out.raw(if at == 0 { "{\"seriesLabels\":" } else { ",{\"seriesLabels\":" });
        out.labels(labels);
        out.raw(",\"exemplars\":");
        out.list(exemplars, |out, exemplar| {
            out.raw("{\"labels\":");
            out.labels(&exemplar.labels);
            out.raw(",\"value\":");
            out.value(exemplar.value);
            out.raw(",\"timestamp\":");
            out.timestamp(exemplar.timestamp_ms);
            out.raw("}");
        });
        out.raw("}");
    }
    out.raw("]");
    Ok(())
}
