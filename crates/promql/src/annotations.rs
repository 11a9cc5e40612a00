//! Warnings and infos: remarks about a result. The result is given all the same.

use mytsdb_promql_syntax::PosRange;
use std::collections::HashMap;

/// The remarks of one evaluation, each text once; the position is that of the expression that is evaluated last, so
/// that it does not depend on the order in which the parts of a query are evaluated.
#[derive(Debug, Clone, Default)]
pub struct Annotations {
    list: Vec<Annotation>,
    /// For each of them, the expression whose evaluation told it last.
    told_by: Vec<PosRange>,
    /// Where each text is in `list`.
    known: HashMap<(bool, String), usize>,
}

/// One remark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// A warning; otherwise an info.
    pub warning: bool,
    /// The text, without prefix and position.
    pub message: String,
    /// The expression that it is about.
    pub pos: PosRange,
}

impl Annotation {
    /// The text as the HTTP API shows it: `PromQL warning: … (1:5)`.
    pub fn render(&self, query: &str) -> String {
        let kind = if self.warning { "warning" } else { "info" };
        format!("PromQL {kind}: {} ({})", self.message, self.pos.line_column(query))
    }
}

impl Annotations {
    /// Adds a remark, or moves the one with the same text to `pos` if that is evaluated later.
    pub fn add(&mut self, warning: bool, message: String, pos: PosRange) {
        self.add_by(warning, message, pos, pos);
    }

    /// The same for a remark about `pos`, a part of the expression at `told_by` that is being evaluated.
    fn add_by(&mut self, warning: bool, message: String, pos: PosRange, told_by: PosRange) {
        let key = (warning, message);
        if let Some(&at) = self.known.get(&key) {
            // An expression is evaluated after those within it, and after those before it.
            let order = |pos: PosRange| (pos.end, std::cmp::Reverse(pos.start));
            if (order(told_by), order(pos)) > (order(self.told_by[at]), order(self.list[at].pos)) {
                self.list[at].pos = pos;
                self.told_by[at] = told_by;
            }
            return;
        }
        self.told_by.push(told_by);
        self.list.push(Annotation { warning, message: key.1.clone(), pos });
        self.known.insert(key, self.list.len() - 1);
    }

    pub(crate) fn warn(&mut self, message: impl Into<String>, pos: PosRange) {
        self.add(true, message.into(), pos);
    }

    /// A warning about a parameter at `pos` of the call or aggregation at `told_by`.
    pub(crate) fn warn_by(&mut self, message: impl Into<String>, pos: PosRange, told_by: PosRange) {
        self.add_by(true, message.into(), pos, told_by);
    }

    /// The same for an info.
    pub(crate) fn info_by(&mut self, message: impl Into<String>, pos: PosRange, told_by: PosRange) {
        self.add_by(false, message.into(), pos, told_by);
    }

    pub(crate) fn info(&mut self, message: impl Into<String>, pos: PosRange) {
        self.add(false, message.into(), pos);
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: Annotations) {
        for (a, told_by) in other.list.into_iter().zip(other.told_by) {
            self.add_by(a.warning, a.message, a.pos, told_by);
        }
    }

    /// All remarks, in the order in which their texts came up.
    pub fn iter(&self) -> impl Iterator<Item = &Annotation> {
        self.list.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// At most `limit` warnings (0 = all) as the HTTP API shows them.
    pub fn warnings(&self, query: &str, limit: usize) -> Vec<String> {
        self.render(true, query, limit)
    }

    /// At most `limit` infos (0 = all) as the HTTP API shows them.
    pub fn infos(&self, query: &str, limit: usize) -> Vec<String> {
        self.render(false, query, limit)
    }

    fn render(&self, warning: bool, query: &str, limit: usize) -> Vec<String> {
        let limit = if limit == 0 { usize::MAX } else { limit };
        let all = self.list.iter().filter(|a| a.warning == warning);
        let mut out: Vec<String> = all.clone().take(limit).map(|a| a.render(query)).collect();
        let left = all.count().saturating_sub(limit);
        if left > 0 {
            let kind = if warning { "warning" } else { "info" };
            out.push(format!("{left} more {kind} annotations omitted"));
        }
        out
    }
}
