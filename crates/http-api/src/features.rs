//! `features`: what this server can do, as clients that adapt themselves ask.

use crate::api::Shared;
use crate::json::Chunks;
use crate::options::ApiOptions;

type Feature = (&'static str, bool);

const DELAYED_NAME_REMOVAL: &str = "delayed_name_removal";
const UNQUOTED_NAMES: &str = "unquoted_utf8_names";

const API: [Feature; 10] = [
    ("admin", false),
    ("exclude_alerts", false),
    ("label_values_match", true),
    ("lifecycle", false),
    ("otlp_write_receiver", false),
    ("query_stats", true),
    ("query_warnings", true),
    ("remote_write_receiver", false),
    ("time_range_labels", true),
    ("time_range_series", true),
];
const PROMETHEUS: [Feature; 3] = [("agent_mode", false), ("auto_reload_config", false), ("server_mode", true)];
/// What depends on settings is filled in by [`promql`].
const PROMQL: [Feature; 21] = [
    ("anchored", true),
    ("at_modifier", true),
    ("bool", true),
    ("by", true),
    (DELAYED_NAME_REMOVAL, false),
    ("duration_expr", true),
    ("fill", true),
    ("fill_left", true),
    ("fill_right", true),
    ("group_left", true),
    ("group_right", true),
    ("ignoring", true),
    ("negative_offset", true),
    ("offset", true),
    ("on", true),
    ("per_query_lookback_delta", true),
    ("per_step_stats", false),
    ("smoothed", true),
    ("subqueries", true),
    (UNQUOTED_NAMES, false),
    ("without", true),
];
const OPERATORS: [&str; 35] = [
    "!=",
    "!~",
    "%",
    "*",
    "+",
    "-",
    "/",
    "<",
    "</",
    "<=",
    "==",
    "=~",
    ">",
    ">/",
    ">=",
    "@",
    "^",
    "and",
    "atan2",
    "avg",
    "bottomk",
    "count",
    "count_values",
    "group",
    "limit_ratio",
    "limitk",
    "max",
    "min",
    "or",
    "quantile",
    "stddev",
    "stdvar",
    "sum",
    "topk",
    "unless",
];

/// An object of objects of booleans, as Prometheus has it.
pub(crate) fn write(shared: &Shared, out: &mut Chunks) {
    out.raw("{");
    group(out, "api", API);
    out.raw(",");
    group(out, "prometheus", PROMETHEUS);
    out.raw(",");
    group(out, "promql", promql(&shared.options));
    out.raw(",");
    group(out, "promql_functions", mytsdb_promql_syntax::FUNCTIONS.iter().map(|f| (f.name, true)));
    out.raw(",");
    group(out, "promql_operators", OPERATORS.map(|name| (name, true)));
    out.raw("}");
}

fn promql(options: &ApiOptions) -> [Feature; 21] {
    PROMQL.map(|(name, fixed)| match name {
        DELAYED_NAME_REMOVAL => (name, options.query.delayed_name_removal),
        UNQUOTED_NAMES => (name, options.unquoted_names),
        _ => (name, fixed),
    })
}

fn group(out: &mut Chunks, name: &str, features: impl IntoIterator<Item = Feature>) {
    out.string(name);
    out.raw(":");
    let mut separator = "{";
    for (name, is_on) in features {
        out.raw(separator);
        out.string(name);
        out.raw(if is_on { ":true" } else { ":false" });
        separator = ",";
    }
    out.raw("}");
}
