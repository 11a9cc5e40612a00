//! What queries and lookups are answered from, and the limits that they share.

use crate::answer::{Frame, Outcome};
use crate::encoding::Encoding;
use crate::error::ApiError;
use crate::gate::Gate;
use crate::job::{self, Limits, Run};
use crate::json::Chunks;
use crate::options::ApiOptions;
use crate::query_metrics::QueryMetrics;
use axum::body::Body;
use http::Response;
use mytsdb_promql::{LabelStorage, QueryOptions};
use mytsdb_telemetry::Registry;
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Queries {
    pub(crate) storage: Arc<dyn LabelStorage>,
    /// Limits and switches of one evaluation.
    pub(crate) options: QueryOptions,
    /// Longest time from a query's arrival to its answer.
    pub(crate) timeout: Duration,
    /// Most points that a range query may ask for per series, its first point not counted.
    pub(crate) range_points_max: i64,
    /// Label values in an answer to a request without `limit`.
    pub(crate) label_values_max: usize,
    query_turns: Gate,
    lookup_turns: Gate,
    pub(crate) metrics: QueryMetrics,
}

impl Queries {
    pub(crate) fn new(storage: Arc<dyn LabelStorage>, options: &ApiOptions, registry: &Registry) -> Self {
        let gate = |name| {
            let (running_max, waiting_max) = (options.queries_running_max, options.queries_waiting_max);
            Gate::new(name, running_max, waiting_max, options.queue_wait_max, registry)
        };
        Self {
            storage,
            options: options.query.clone(),
            timeout: options.query_timeout,
            range_points_max: options.range_points_max,
            label_values_max: options.label_values_max,
            query_turns: gate("query"),
            lookup_turns: gate("lookup"),
            metrics: QueryMetrics::new(registry),
        }
    }

    /// Answers with what `work` writes in its turn among the queries.
    pub(crate) async fn query(
        &self,
        timeout: Duration,
        framed: (Encoding, Frame),
        work: impl FnOnce(&Run, &mut Chunks) -> Result<Outcome, ApiError> + Send + 'static,
    ) -> Response<Body> {
        job::run(&self.query_turns, Limits { options: &self.options, timeout }, framed, work).await
    }

    /// Answers with what `work` writes in its turn among the lookups: what reads no samples.
    pub(crate) async fn lookup(
        &self,
        encoding: Encoding,
        work: impl FnOnce(&Run, &mut Chunks) -> Result<Outcome, ApiError> + Send + 'static,
    ) -> Response<Body> {
        let limits = Limits { options: &self.options, timeout: self.timeout };
        job::run(&self.lookup_turns, limits, (encoding, Frame::Envelope), work).await
    }

    /// The same on this thread, if it takes no more than a moment; see [`job::at_once`].
    pub(crate) fn lookup_at_once(
        &self,
        encoding: Encoding,
        work: impl FnOnce(&Run, &mut Chunks) -> Result<Outcome, ApiError>,
    ) -> Option<Response<Body>> {
        job::at_once(&self.lookup_turns, encoding, work)
    }
}
