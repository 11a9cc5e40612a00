//! `features`: what this server can do, as clients that adapt themselves ask.

use crate::answer::Answer;
use crate::encoding::Encoding;
use crate::options::ApiOptions;
use axum::extract::State;
use mytsdb_promql_syntax::Function;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

type Feature = (&'static str, bool);

const ADMIN: &str = "admin";
const DELAYED_NAME_REMOVAL: &str = "delayed_name_removal";
const UNQUOTED_NAMES: &str = "unquoted_utf8_names";

/// What depends on settings is filled in by [`api`].
const API: [Feature; 10] = [
    (ADMIN, false),
    ("exclude_alerts", false),
    ("label_values_match", true),
    ("lifecycle", false),
    ("otlp_write_receiver", true),
    ("query_stats", true),
    ("query_warnings", true),
    ("remote_write_receiver", true),
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
#[derive(Serialize)]
pub(crate) struct Features(BTreeMap<&'static str, BTreeMap<&'static str, bool>>);

impl Features {
    pub(crate) fn new(options: &ApiOptions) -> Self {
        let functions = Function::ALL.iter().map(|function| (function.name(), true));
        Self(BTreeMap::from([
            ("api", BTreeMap::from(api(options))),
            ("prometheus", BTreeMap::from(PROMETHEUS)),
            ("promql", BTreeMap::from(promql(options))),
            ("promql_functions", functions.collect()),
            ("promql_operators", OPERATORS.map(|name| (name, true)).into()),
        ]))
    }
}

fn api(options: &ApiOptions) -> [Feature; 10] {
    API.map(|(name, fixed)| match name {
        ADMIN => (name, options.admin.is_enabled()),
        _ => (name, fixed),
    })
}

fn promql(options: &ApiOptions) -> [Feature; 21] {
    PROMQL.map(|(name, fixed)| match name {
        DELAYED_NAME_REMOVAL => (name, options.query.delayed_name_removal),
        UNQUOTED_NAMES => (name, options.unquoted_names),
        _ => (name, fixed),
    })
}

pub(crate) async fn answer(State(features): State<Arc<Features>>, encoding: Encoding) -> Answer {
    Answer::data(encoding, &*features)
}
