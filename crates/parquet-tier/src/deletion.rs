//! Deletions, as a manifest names them: samples that are in files, and that readers are not to show.

use mytsdb_model::{MatchOp, Matcher, TimeRange};
use serde::{Deserialize, Serialize};

/// Deletions of a manifest at most.
pub(crate) const DELETIONS_MAX: usize = 1_000;

const OPS: [MatchOp; 4] = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];

/// Hides samples of the series that satisfy all matchers of one of the selectors.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deletion {
    /// Its own number.
    pub id: u64,
    /// It hides what is in files with lower numbers ([`LiveDay::number`](crate::LiveDay::number)).
    pub below: u64,
    /// Times of the samples that are hidden.
    pub range: TimeRange,
    /// At least one.
    pub selectors: Vec<Vec<Matcher>>,
}

impl Deletion {
    /// One of these parts.
    pub fn new(id: u64, below: u64, range: TimeRange, selectors: Vec<Vec<Matcher>>) -> Self {
        Self { id, below, range, selectors }
    }

    /// Bytes that it takes in a manifest, about.
    pub fn json_bytes(&self) -> usize {
        serde_json::to_vec_pretty(&DeletionJson::of(self)).map_or(usize::MAX, |json| json.len())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeletionJson {
    id: u64,
    below: u64,
    min_t: i64,
    max_t: i64,
    /// Operator, name, value.
    selectors: Vec<Vec<(String, String, String)>>,
}

impl DeletionJson {
    pub fn of(deletion: &Deletion) -> Self {
        let matcher = |m: &Matcher| (m.op().as_str().to_owned(), m.name().to_owned(), m.value().to_owned());
        let selectors = deletion.selectors.iter().map(|selector| selector.iter().map(matcher).collect());
        let TimeRange { mint, maxt } = deletion.range;
        Self { id: deletion.id, below: deletion.below, min_t: mint, max_t: maxt, selectors: selectors.collect() }
    }

    pub fn read(self) -> Result<Deletion, String> {
        let id = self.id;
        let range = TimeRange::new(self.min_t, self.max_t);
        if range.is_empty() || self.selectors.is_empty() {
            return Err(format!("deletion {id} hides nothing"));
        }
        let matcher = |(op, name, value): (String, String, String)| {
            let known = OPS.into_iter().find(|known| known.as_str() == op);
            let known =
                known.ok_or_else(|| format!("deletion {id} has a matcher with {op:?}, which is no operator"))?;
            Matcher::new(known, name, value).map_err(|error| format!("deletion {id}: {error}"))
        };
        let selector = |selector: Vec<_>| selector.into_iter().map(matcher).collect::<Result<Vec<Matcher>, String>>();
        let selectors = self.selectors.into_iter().map(selector).collect::<Result<_, String>>()?;
        Ok(Deletion { id, below: self.below, range, selectors })
    }
}
