//! `format_query` and `parse_query`: answers that come from a query's text alone.

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
