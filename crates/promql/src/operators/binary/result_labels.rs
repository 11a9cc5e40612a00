//! Labels of the results of operators between two vectors.

use super::arithmetic::{Operation, changes_quantity};
use crate::names::is_schema;
use crate::rows::context::Context;
use crate::rows::label_key::with_labels;
use mytsdb_model::Labels;
use mytsdb_promql_syntax::{Cardinality, VectorMatching};

/// Labels of a result; the "many" side may be nameless.
pub(crate) fn result_labels(
    context: &Context<'_>,
    binary: &Operation,
    matching: &VectorMatching,
    (many, nameless): (&Labels, bool),
    one: &Labels,
) -> Labels {
    let listed = |name: &str| matching.labels.iter().any(|l| l == name);
    let one_to_one = matching.cardinality == Cardinality::OneToOne;
    let drops_name = nameless || drops_name(context, binary);
    let keeps = |name: &str| (!drops_name || !is_schema(name)) && (!one_to_one || listed(name) == matching.on);
    let mut included: Vec<(&str, &str)> =
        matching.include.iter().map(|name| (name.as_str(), one.get(name).unwrap_or(""))).collect();
    included.sort_unstable();
    included.dedup();
    with_labels(many, keeps, &included)
}

/// Whether the metric name goes away at the end of the evaluation. As in Prometheus, that it was to go away before, since
/// an operand is the result of a function, is forgotten.
pub(crate) fn drops_name_late(context: &Context<'_>, binary: &Operation) -> bool {
    context.options.delayed_name_removal && binary.return_bool
}

/// Whether the metric name goes away at once.
pub(crate) fn drops_name(context: &Context<'_>, binary: &Operation) -> bool {
    changes_quantity(binary.op) || (binary.return_bool && !context.options.delayed_name_removal)
}
