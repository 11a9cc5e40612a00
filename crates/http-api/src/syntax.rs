//! `format_query`, `parse_query` and `query_exemplars`: answers that come from a query's text alone.

use crate::answer::{Answer, Outcome};
use crate::api::Shared;
use crate::encoding::Encoding;
use crate::error::ApiError;
use crate::job;
use crate::json::Chunks;
use crate::params::{Forms, Params};
use crate::syntax_tree::write_expr;
use axum::body::Body;
use axum::extract::{Request, State};
use http::Response;
use mytsdb_promql_syntax::{Expr, ParseError};
use std::sync::Arc;

pub(crate) async fn format_query(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    answer(
        shared,
        request,
        |_| Ok(()),
        in_query,
        |expr, out| {
            out.string(&mytsdb_promql_syntax::prettify(expr));
            Ok(Outcome::data())
        },
    )
    .await
}

pub(crate) async fn parse_query(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    answer(
        shared,
        request,
        |_| Ok(()),
        in_query,
        |expr, out| {
            write_expr(out, expr);
            Ok(Outcome::data())
        },
    )
    .await
}

/// There are no exemplars here, so only the request is checked; a query without selectors gets no data at all.
pub(crate) async fn exemplars(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let check = |params: &Params| {
        if params.range()?.is_empty() {
            return Err(ApiError::bad_data("end timestamp must not be before start timestamp"));
        }
        Ok(())
    };
    answer(
        shared,
        request,
        check,
        |error| ApiError::bad_data(error.to_string()),
        |expr, out| {
            let mut selects = false;
            expr.walk(&mut |e| {
                selects |= matches!(e, Expr::Vector(_) | Expr::Matrix(_));
                !selects
            });
            if !selects {
                return Ok(Outcome::NoContent);
            }
            out.raw("[]");
            Ok(Outcome::data())
        },
    )
    .await
}

fn in_query(error: &ParseError) -> ApiError {
    ApiError::parse("query", error)
}

async fn answer(
    shared: Arc<Shared>,
    request: Request,
    check: impl FnOnce(&Params) -> Result<(), ApiError>,
    refuse: fn(&ParseError) -> ApiError,
    write: impl FnOnce(&Expr, &mut Chunks) -> Result<Outcome, ApiError> + Send + 'static,
) -> Response<Body> {
    let encoding = Encoding::negotiate(request.headers());
    let read = Params::read(&shared, request, Forms::All).await;
    let params = match read.and_then(|params| check(&params).map(|()| params)) {
        Ok(params) => params,
        Err(error) => return Answer::error(&error).into_response(),
    };
    let work = move |_: &job::Run, out: &mut Chunks| {
        let expr = params.expression().map_err(|error| refuse(&error))?;
        write(&expr, out)
    };
    job::run(&shared.lookups, &shared.options.query, shared.options.query_timeout, encoding, work).await
}
