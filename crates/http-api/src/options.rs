//! Settings of the API.

use crate::admin::Administration;
use crate::exemplar_source::Exemplars;
use mytsdb_access::Access;
use mytsdb_listener::ListenerOptions;
use mytsdb_promql::QueryOptions;
use mytsdb_promql_syntax::ParseOptions;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Limits and facts that the API works with. The defaults are the server's.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Limits and switches of one evaluation.
    pub query: QueryOptions,
    /// Names without quotes may have letters of any script, and dots behind the first character.
    pub unquoted_names: bool,
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
    /// Bounds on connections. The longest URL is its `target_bytes_max` (`--http-max-url-bytes`), at most
    /// [`ApiOptions::URL_BYTES_MAX`] and that if there is none.
    pub listener: ListenerOptions,
    /// Who may do what, and how TLS is spoken; by default everybody may do everything, without TLS.
    pub access: Access,
    /// Largest form body (`--http-max-form-bytes`).
    pub form_bytes_max: usize,
    /// Bytes of all forms that are being read or worked on, the first 64 KiB of each not counted.
    pub forms_bytes_max: usize,
    /// Asked for what is wrong with the storage: what it says is why the server is not ready.
    pub fault: Fault,
    /// Asked for what people should know of a storage that is ready: readiness says it too.
    pub caution: Fault,
    /// Who changes stored data when a client asks for it; by default nobody.
    pub admin: Administration,
    /// Where exemplars come from; by default there are none.
    pub exemplars: Exemplars,
    /// Port of the OTLP/gRPC receiver, which the page shows in its example.
    pub otlp_grpc_port: u16,
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

impl ApiOptions {
    /// The longest URL that can be told from one that is too long, in bytes and escaped: one less than parsers take.
    pub const URL_BYTES_MAX: usize = 65_533;

    /// What the texts of queries and selectors may be.
    pub(crate) fn language(&self) -> ParseOptions {
        ParseOptions { unquoted_names: self.unquoted_names, ..ParseOptions::within(self.query.texts) }
    }

    pub(crate) fn url_bytes_max(&self) -> usize {
        self.listener.target_bytes_max.unwrap_or(Self::URL_BYTES_MAX).min(Self::URL_BYTES_MAX)
    }
}

/// Says what is wrong with a storage that cannot be written any more; by default nothing ever is.
#[derive(Clone, Default)]
pub struct Fault(Option<Arc<dyn Fn() -> Option<String> + Send + Sync>>);

impl Fault {
    /// Asks `find`, which must not wait for anything.
    pub fn new(find: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(find)))
    }

    pub(crate) fn find(&self) -> Option<String> {
        self.0.as_ref().and_then(|find| find())
    }
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Fault").field(&self.0.is_some()).finish()
    }
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            query: QueryOptions::default(),
            unquoted_names: false,
            query_timeout: Duration::from_mins(2),
            queries_running_max: 20,
            queries_waiting_max: 100,
            queue_wait_max: Duration::from_secs(10),
            range_points_max: 11_000,
            label_values_max: 30_000,
            listener: ListenerOptions { target_bytes_max: Some(Self::URL_BYTES_MAX), ..ListenerOptions::default() },
            access: Access::default(),
            form_bytes_max: 10 << 20,
            forms_bytes_max: 64 << 20,
            fault: Fault::default(),
            caution: Fault::default(),
            admin: Administration::default(),
            exemplars: Exemplars::default(),
            otlp_grpc_port: 4317,
            drain: Duration::from_secs(5),
            cors_origin: ".*".to_owned(),
            flags: BTreeMap::new(),
            config_yaml: String::new(),
            retention: String::new(),
            revision: String::new(),
        }
    }
}
