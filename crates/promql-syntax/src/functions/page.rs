//! The page of functions, `docs/promql.md`, written from the table; the test fails when the page is stale.

use super::{BucketUse, Function, FunctionRow, LabelUse, SampleUse, StepUse};
use crate::ast::AggregateOp;
use std::fmt::Write;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/promql.md");

const HEAD: &str = "\
# Functions of PromQL

`cargo xtask docs` writes this page from the table in `crates/promql-syntax/src/functions/table.rs`.

The language is that of Prometheus 3.16, and so are the answers. What Prometheus has behind a feature flag is always there and
is called experimental here. `?` marks an argument that may be left out, `…` one that may be given any number of times.

- *Labels*: those of the series that come in are kept, kept without the metric name, or others are made.
- *Samples*: the samples that are looked at; the others are left out.
- *Steps*: what makes one step different from another besides the arguments. What is the same at every step is evaluated once.

| function | what it gives | labels | samples | steps | more |
|---|---|---|---|---|---|
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    for function in Function::ALL {
        let row = function.row();
        let signature = row.signature().replace('|', "\\|");
        let (labels, samples, steps) = (labels(row.labels), samples(row.samples), steps(row.steps));
        writeln!(page, "| `{signature}` | {} | {labels} | {samples} | {steps} | {} |", row.doc, more(row)).unwrap();
    }
    let names = |experimental: bool| {
        let all = AggregateOp::ALL.into_iter().filter(|op| op.is_experimental() == experimental);
        all.map(|op| format!("`{}`", op.as_str())).collect::<Vec<_>>().join(", ")
    };
    write!(page, "\nAggregations: {}; experimental: {}.\n", names(false), names(true)).unwrap();
    page
}

fn labels(labels: LabelUse) -> &'static str {
    match labels {
        LabelUse::Keeps => "kept",
        LabelUse::DropsName => "without name",
        LabelUse::Makes => "made",
        LabelUse::Nothing => "none",
    }
}

fn samples(samples: SampleUse) -> &'static str {
    match samples {
        SampleUse::All => "all",
        SampleUse::Floats => "floats",
        SampleUse::Histograms => "native histograms",
    }
}

fn steps(steps: StepUse) -> &'static str {
    match steps {
        StepUse::Arguments => "",
        StepUse::Query => "the query's bounds",
        StepUse::Time => "the time",
        StepUse::TimeWithoutArgument => "the time, without argument",
        StepUse::TimeUnlessSelector => "the time, unless of a selector",
        StepUse::Order => "the order",
        StepUse::FirstArgument => "the order; the first argument alone counts",
    }
}

fn more(row: &FunctionRow) -> String {
    let facts = [
        (row.experimental, "experimental"),
        (row.anchored, "`anchored`"),
        (row.smoothed, "`smoothed`"),
        (row.order_sensitive, "of equals the first wins"),
        (row.wants_counter, "remarks on names that are not those of counters"),
        (row.buckets == BucketUse::Summary, "needs no buckets"),
        (row.buckets == BucketUse::Buckets, "needs buckets"),
    ];
    facts.into_iter().filter_map(|(holds, text)| holds.then_some(text)).collect::<Vec<_>>().join(", ")
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a page of the documentation, not stored data")]
fn the_page_of_functions_is_the_table() {
    if std::env::var_os("MYTSDB_UPDATE").is_some() {
        std::fs::write(PAGE, page()).unwrap();
    }
    let found = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(found == page(), "docs/promql.md is stale; `cargo xtask docs` writes it anew");
}
