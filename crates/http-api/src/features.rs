//! `features`: what this server can do, as clients that adapt themselves ask.

use crate::api::Shared;
use crate::json::Chunks;

type Feature = (&'static str, bool);

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
const PROMQL: [Feature; 18] = [
    ("anchored", true),
    ("at_modifier", true),
    ("bool", true),
    ("by", true),
    ("delayed_name_removal", false),
    ("duration_expr", true),
    ("fill", true),
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
pub(crate) fn write(_: &Shared, out: &mut Chunks) {
    out.raw("{");
    group(out, "api", API);
    out.raw(",");
    group(out, "prometheus", PROMETHEUS);
    out.raw(",");
    group(out, "promql", PROMQL);
    out.raw(",");
    group(out, "promql_functions", mytsdb_promql::FUNCTIONS.iter().map(|f| (f.name, true)));
    out.raw(",");
    group(out, "promql_operators", OPERATORS.map(|name| (name, true)));
    out.raw("}");
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
