//! The plan of a query as JSON, part of the answer to `stats=all`.

use crate::json::Chunks;
use mytsdb_promql::{Plan, PlanNode};

/// `{"rewrites":[…],"ms":n,"tree":{…},"text":"…"}`
pub(crate) fn write_plan(out: &mut Chunks, plan: &Plan) {
    out.raw("{\"rewrites\":");
    out.strings(&plan.rewrites);
    if let Some(took) = plan.took {
        out.raw(",\"ms\":");
        out.float(took.as_secs_f64() * 1e3);
    }
    out.raw(",\"tree\":");
    write_node(out, &plan.root);
    out.raw(",\"text\":");
    out.string(&plan.to_string());
    out.raw("}");
}

/// A node; what was not counted is left out. Trees are no deeper than queries.
fn write_node(out: &mut Chunks, node: &PlanNode) {
    out.raw("{\"id\":");
    out.integer(node.id as u64);
    out.raw(",\"operator\":");
    out.string(&node.operator);
    out.raw(",\"expression\":");
    out.string(&node.expression);
    for (name, texts) in [(",\"pushedMatchers\":", &node.pushed_matchers), (",\"strategies\":", &node.strategies)] {
        if !texts.is_empty() {
            out.raw(name);
            out.strings(texts);
        }
    }
    for (name, count) in [(",\"series\":", node.series), (",\"samples\":", node.samples), (",\"rows\":", node.rows)] {
        if let Some(count) = count {
            out.raw(name);
            out.integer(count);
        }
    }
    if let Some(took) = node.took {
        out.raw(",\"ms\":");
        out.float(took.as_secs_f64() * 1e3);
    }
    if !node.children.is_empty() {
        out.raw(",\"children\":");
        out.list(&node.children, write_node);
    }
    out.raw("}");
}
