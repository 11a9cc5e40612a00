//! What has to be equal for two series to match.

use crate::error::EvalError;
use crate::kernels::cells::Row;
use crate::names::is_schema;
use crate::rows::context::Context;
use crate::rows::label_key::LabelKey;
use mytsdb_model::Labels;
use mytsdb_promql_syntax::{VectorMatching, label_name, quote};
use std::collections::HashMap;

/// The labels that have to be equal for two series to match.
pub(crate) fn signature_labels(labels: &Labels, matching: &VectorMatching) -> Labels {
    let listed = |name: &str| matching.labels.iter().any(|l| l == name);
    if matching.on { labels.filter(listed) } else { labels.filter(|name| !is_schema(name) && !listed(name)) }
}

/// The key that has to be equal for two series to match.
pub(crate) fn signature_key(matching: &VectorMatching, nameless: bool) -> LabelKey<'_> {
    if matching.on { LabelKey::only(&matching.labels, nameless) } else { LabelKey::without(&matching.labels) }
}

/// Numbers for signatures.
pub(crate) struct Signatures<'m> {
    matching: &'m VectorMatching,
    known: HashMap<Labels, usize>,
}

impl<'m> Signatures<'m> {
    pub fn new(matching: &'m VectorMatching) -> Self {
        Self { matching, known: HashMap::new() }
    }

    pub fn of(&mut self, labels: &Labels) -> usize {
        let next = self.known.len();
        *self.known.entry(signature_labels(labels, self.matching)).or_insert(next)
    }

    /// Those of rows in memory.
    pub fn of_all(&mut self, context: &Context<'_>, rows: &[Row]) -> Result<Vec<usize>, EvalError> {
        context.stoppable(|looks| {
            let mut all = Vec::with_capacity(rows.len());
            for row in rows {
                looks.before(4)?;
                all.push(self.of(&row.labels));
            }
            Ok(all)
        })
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }
}

/// The labels with names quoted where they would not be legal without.
pub(crate) fn shown(labels: &Labels) -> String {
    let pair = |(name, value): (&str, &str)| format!("{}={}", label_name(name), quote(value));
    format!("{{{}}}", labels.iter().map(pair).collect::<Vec<_>>().join(", "))
}
