//! `format_query`, `parse_query` and `query_exemplars`: answers that come from a query's text alone.

use crate::answer::Outcome;
use crate::asked::Asked;
use crate::error::ApiError;
use crate::json::Chunks;
use crate::queries::Queries;
use crate::syntax_tree::write_expr;
use axum::body::Body;
use axum::extract::State;
use http::Response;
use mytsdb_promql_syntax::{Expr, ParseError};
use std::sync::Arc;

pub(crate) async fn format_query(State(queries): State<Arc<Queries>>, asked: Asked) -> Response<Body> {
    answer(&queries, asked, in_query, |expr, out| {
        out.string(&mytsdb_promql_syntax::prettify(expr));
        Outcome::data()
    })
    .await
}

pub(crate) async fn parse_query(State(queries): State<Arc<Queries>>, asked: Asked) -> Response<Body> {
    answer(&queries, asked, in_query, |expr, out| {
        write_expr(out, expr);
        Outcome::data()
    })
    .await
}

/// There are no exemplars here, so only the request is checked; a query without selectors gets no data at all.
pub(crate) async fn exemplars(State(queries): State<Arc<Queries>>, asked: Asked) -> Result<Response<Body>, ApiError> {
    if asked.params.range()?.is_empty() {
        return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
    }
    let refuse = |error: &ParseError| ApiError::bad_data(error.to_string());
    let work = |expr: &Expr, out: &mut Chunks| {
        let mut selects = false;
        expr.walk(&mut |e| {
            selects |= matches!(e, Expr::Vector(_) | Expr::Matrix(_));
            !selects
        });
        if !selects {
            return Outcome::NoContent;
        }
        out.raw("[]");
        Outcome::data()
    };
    Ok(answer(&queries, asked, refuse, work).await)
}

fn in_query(error: &ParseError) -> ApiError {
    ApiError::parse("query", error)
}

/// Parses the query in its turn: a long one takes a while.
async fn answer(
    queries: &Queries,
    asked: Asked,
    refuse: fn(&ParseError) -> ApiError,
    write: impl FnOnce(&Expr, &mut Chunks) -> Outcome + Send + 'static,
) -> Response<Body> {
    let params = asked.params;
    let work = move |_: &_, out: &mut Chunks| {
        let expr = params.expression().map_err(|error| refuse(&error))?;
        Ok(write(&expr, out))
    };
    queries.lookup(asked.encoding, work).await
}
