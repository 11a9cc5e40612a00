//! Conditions on one label.

use crate::{LABEL_NAME, Labels, ModelError};
use mytsdb_go_regex::{AnchoredRegex, Limits};
use std::borrow::Cow;
use std::fmt;

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

impl MatchOp {
    /// The operator as PromQL writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            MatchOp::Equal => "=",
            MatchOp::NotEqual => "!=",
            MatchOp::Regex => "=~",
            MatchOp::NotRegex => "!~",
        }
    }
}

/// A condition on the value of one label. An absent label has the value `""`.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: Cow<'static, str>,
    op: MatchOp,
    value: String,
    regex: Option<Box<AnchoredRegex>>,
}

impl Matcher {
    /// Builds a matcher; for the regex operators the pattern is compiled here, once, within the default [`Limits`].
    ///
    /// # Errors
    /// [`ModelError::Regex`] if the pattern is not one that Go reads, or exceeds the limits.
    pub fn new(op: MatchOp, name: impl Into<String>, value: impl Into<String>) -> Result<Self, ModelError> {
        Self::within(&Limits::default(), op, name, value)
    }

    /// As [`Matcher::new`], for patterns within `limits`.
    ///
    /// # Errors
    /// [`ModelError::Regex`] if the pattern is not one that Go reads, or exceeds the limits.
    pub fn within(
        limits: &Limits,
        op: MatchOp,
        name: impl Into<String>,
        value: impl Into<String>,
    ) -> Result<Self, ModelError> {
        let value = value.into();
        let regex = match op {
            MatchOp::Regex | MatchOp::NotRegex => Some(Box::new(AnchoredRegex::new(&value, limits)?)),
            MatchOp::Equal | MatchOp::NotEqual => None,
        };
        Ok(Self { name: Cow::Owned(name.into()), op, value, regex })
    }

    /// `name="value"`, which cannot fail.
    pub fn equal(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: Cow::Owned(name.into()), op: MatchOp::Equal, value: value.into(), regex: None }
    }

    /// `__name__="name"`, the commonest matcher of all.
    pub fn metric(name: impl Into<String>) -> Self {
        Self { name: Cow::Borrowed(LABEL_NAME), op: MatchOp::Equal, value: name.into(), regex: None }
    }

    /// The label's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the value is compared.
    pub fn op(&self) -> MatchOp {
        self.op
    }

    /// The value or pattern as written.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The compiled pattern of the regex operators.
    pub fn regex(&self) -> Option<&AnchoredRegex> {
        self.regex.as_deref()
    }

    /// Whether a label of this value satisfies the condition. Cost: a string comparison, or one anchored
    /// regex match, linear in `value`.
    pub fn matches(&self, value: &str) -> bool {
        match (self.op, &self.regex) {
            (MatchOp::Equal, _) => value == self.value,
            (MatchOp::NotEqual, _) => value != self.value,
            (MatchOp::Regex, Some(regex)) => regex.is_match(value),
            (MatchOp::NotRegex, Some(regex)) => !regex.is_match(value),
            (MatchOp::Regex | MatchOp::NotRegex, None) => {
                unreachable!("a regex matcher is only built with its pattern compiled")
            }
        }
    }

    /// Whether a series with these labels satisfies the condition.
    pub fn matches_labels(&self, labels: &Labels) -> bool {
        self.matches(labels.get(&self.name).unwrap_or(""))
    }

    /// Whether a series without the label satisfies the condition.
    pub fn matches_empty(&self) -> bool {
        self.matches("")
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.op == other.op && self.name == other.name && self.value == other.value
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:?}", self.name, self.op.as_str(), self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(op: MatchOp, pattern: &str, value: &str, expected: bool) {
        let matcher = Matcher::new(op, "l", pattern).unwrap();
        assert_eq!(matcher.matches(value), expected, "{matcher} on {value:?}");
    }

    #[test]
    fn operators_compare_as_promql_says() {
        check(MatchOp::Equal, "a", "a", true);
        check(MatchOp::Equal, "a", "b", false);
        check(MatchOp::NotEqual, "a", "", true);
        check(MatchOp::Regex, "a|b", "b", true);
        check(MatchOp::Regex, "a|b", "ab", false);
        check(MatchOp::Regex, "a.c", "a\nc", true);
        check(MatchOp::NotRegex, "a.*", "abc", false);
        check(MatchOp::NotRegex, "a.*", "bc", true);
        check(MatchOp::Regex, ".*", "", true);
    }
}
