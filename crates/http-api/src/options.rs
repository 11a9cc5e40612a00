//! Settings of the API.

use mytsdb_promql::QueryOptions;
use std::collections::BTreeMap;
use std::time::Duration;

/// Limits and facts that the API works with. The defaults are the server's.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Limits of one evaluation.
    pub query: QueryOptions,
    /// Longest time from a query's arrival to its answer; the `timeout` parameter can only shorten it.
    pub query_timeout: Duration,
    /// Queries that are worked on at the same time; as many lookups of series and labels again.
    pub queries_running_max: usize,
    /// Queries that wait for a turn; more are refused.
    pub queries_waiting_max: usize,
    /// Longest wait for a turn.
    pub queue_wait_max: Duration,
    /// Most points that a range query may ask for per series, its first point not counted.
    pub range_points_max: i64,
    /// Label values in an answer to a request without `limit`.
    pub label_values_max: usize,
    /// Connections served at the same time; more wait to be accepted.
    pub connections_max: usize,
    /// How long requests may take to finish once the server is told to stop.
    pub drain: Duration,
    /// Origins that browsers may send requests from: a regular expression over the whole `Origin` header.
    pub cors_origin: String,
    /// What `status/flags` shows. Keep secrets out.
    pub flags: BTreeMap<String, String>,
    /// What `status/config` shows, as YAML. Keep secrets out.
    pub config_yaml: String,
    /// What `status/runtimeinfo` calls `storageRetention`, e.g. `15d`.
    pub retention: String,
    /// The commit that the program was built from, for `status/buildinfo`; may be empty.
    pub revision: String,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            query: QueryOptions::default(),
            query_timeout: Duration::from_mins(2),
            queries_running_max: 20,
            queries_waiting_max: 100,
            queue_wait_max: Duration::from_secs(10),
            range_points_max: 11_000,
            label_values_max: 30_000,
            connections_max: 512,
            drain: Duration::from_secs(5),
            cors_origin: ".*".to_owned(),
            flags: BTreeMap::new(),
            config_yaml: String::new(),
            retention: String::new(),
            revision: String::new(),
        }
    }
}
