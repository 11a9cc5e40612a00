//! Keys of series: some of their labels, hashed and compared in place, without a label set of their own.

use crate::names::SCHEMA_LABELS;
use mytsdb_model::{LABEL_NAME, Labels};
use std::cmp::Ordering;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Labels that count for no key, whatever is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ignored {
    Nothing,
    /// All that describes the metric as a whole.
    Schema,
}

impl Ignored {
    #[inline]
    fn covers(self, name: &[u8]) -> bool {
        match self {
            Ignored::Nothing => false,
            Ignored::Schema => is_schema_bytes(name),
        }
    }
}

/// Which labels of a series make its key.
#[derive(Debug, Clone)]
pub(crate) struct LabelKey<'q> {
    names: Vec<&'q str>,
    /// The names are those that count; else those that do not.
    listed: bool,
    ignored: Ignored,
}

impl<'q> LabelKey<'q> {
    /// Only the labels called `names`. Rows that are `nameless` have no metric name, whatever their labels say.
    pub fn only(names: &'q [String], nameless: bool) -> Self {
        let ignored = if nameless { Ignored::Schema } else { Ignored::Nothing };
        Self { names: sorted(names), listed: true, ignored }
    }

    /// All but `names`, which ascend.
    pub fn but(names: &[&'q str]) -> Self {
        debug_assert!(names.is_sorted());
        Self { names: names.to_vec(), listed: false, ignored: Ignored::Nothing }
    }

    /// All but `names` and the labels that describe the metric.
    pub fn without(names: &'q [String]) -> Self {
        Self { names: sorted(names), listed: false, ignored: Ignored::Schema }
    }

    /// Whether every series has the same, empty key.
    pub fn is_empty(&self) -> bool {
        self.listed && self.names.is_empty()
    }

    #[inline]
    fn counts(&self, name: &[u8]) -> bool {
        !self.ignored.covers(name) && self.names.iter().any(|listed| listed.as_bytes() == name) == self.listed
    }

    /// The byte form of each label that counts.
    #[inline]
    fn pairs<'l>(&'l self, labels: &'l Labels) -> KeyPairs<'l, 'q> {
        KeyPairs {
            pairs: Pairs { rest: labels.as_bytes() },
            names: &self.names,
            listed: self.listed,
            ignored: self.ignored,
        }
    }

    /// Appends the key's bytes to `out`, which are equal for equal keys, and returns its [hash](Self::hash).
    #[inline]
    pub fn write(&self, labels: &Labels, out: &mut Vec<u8>) -> u64 {
        self.pairs(labels).fold(seed(), |hash, pair| {
            out.extend_from_slice(pair);
            xxh3_64_with_seed(pair, hash)
        })
    }

    /// Bytes that are equal for equal choices of labels.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.listed), self.ignored as u8];
        for name in &self.names {
            bytes.extend_from_slice(&(name.len() as u64).to_le_bytes());
            bytes.extend_from_slice(name.as_bytes());
        }
        bytes
    }

    /// Whether few labels count, so that keys are short.
    pub fn is_listed(&self) -> bool {
        self.listed
    }

    /// A hash of the key; it differs from process to process.
    #[inline]
    pub fn hash(&self, labels: &Labels) -> u64 {
        self.pairs(labels).fold(seed(), |hash, pair| xxh3_64_with_seed(pair, hash))
    }

    /// Whether the key of `a` is the key that `key` makes of `b`.
    #[inline]
    pub fn equals(&self, a: &Labels, key: &LabelKey<'_>, b: &Labels) -> bool {
        self.pairs(a).eq(key.pairs(b))
    }

    /// The key as a label set.
    pub fn labels(&self, labels: &Labels) -> Labels {
        labels.filter(|name| self.counts(name.as_bytes()))
    }
}

fn sorted(names: &[String]) -> Vec<&str> {
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names
}

#[inline]
fn is_schema_bytes(name: &[u8]) -> bool {
    SCHEMA_LABELS.iter().any(|schema| schema.as_bytes() == name)
}

/// Secret, so that nobody can choose labels whose hashes collide.
fn seed() -> u64 {
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| RandomState::new().build_hasher().finish())
}

/// Hash of a whole label set.
pub(crate) fn hash_all(labels: &Labels) -> u64 {
    xxh3_64_with_seed(labels.as_bytes(), seed())
}

/// The labels of a set in their byte form: the name, and name and value with their lengths.
struct Pairs<'l> {
    rest: &'l [u8],
}

impl<'l> Iterator for Pairs<'l> {
    type Item = (&'l [u8], &'l [u8]);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let (name_start, name_length) = length(self.rest, 0);
        let name_end = name_start + name_length;
        let (value_start, value_length) = length(self.rest, name_end);
        let (pair, rest) = self.rest.split_at(value_start + value_length);
        self.rest = rest;
        Some((&pair[name_start..name_end], pair))
    }
}

/// The labels of a set that count for a key. Both are sorted by name, so each is walked once.
struct KeyPairs<'l, 'q> {
    pairs: Pairs<'l>,
    /// Names not yet passed.
    names: &'l [&'q str],
    listed: bool,
    ignored: Ignored,
}

impl<'l> Iterator for KeyPairs<'l, '_> {
    type Item = &'l [u8];

    #[inline]
    fn next(&mut self) -> Option<&'l [u8]> {
        loop {
            if self.listed && self.names.is_empty() {
                return None;
            }
            let (name, pair) = self.pairs.next()?;
            let mut is_named = false;
            while let Some((first, later)) = self.names.split_first() {
                match first.as_bytes().cmp(name) {
                    Ordering::Less => self.names = later,
                    order => {
                        is_named = order == Ordering::Equal;
                        break;
                    }
                }
            }
            if is_named == self.listed && !self.ignored.covers(name) {
                return Some(pair);
            }
        }
    }
}

/// The LEB128 length at `at`, in bytes that were checked when the set was built, and where it ends.
#[inline]
fn length(bytes: &[u8], mut at: usize) -> (usize, usize) {
    let (mut length, mut shift) = (0, 0);
    loop {
        let byte = bytes[at];
        at += 1;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return (at, length);
        }
        shift += 7;
    }
}

/// The value of `__name__` and whether other labels describe the metric. Cost: looks at the first labels only.
pub(crate) fn schema(labels: &Labels) -> (&[u8], bool) {
    let (mut name, mut others) = (&[][..], false);
    for (label, pair) in (Pairs { rest: labels.as_bytes() }) {
        match label.cmp(b"__unit__".as_slice()) {
            Ordering::Greater => break,
            _ if label == LABEL_NAME.as_bytes() => name = pair,
            _ => others |= is_schema_bytes(label),
        }
    }
    (name, others)
}

/// The labels of `labels` for which `keep` holds, and `set` (ascending, unique names) in place of any of the same name.
pub(crate) fn with_labels(labels: &Labels, keep: impl Fn(&str) -> bool, set: &[(&str, &str)]) -> Labels {
    let mut kept = labels.iter().filter(|(name, _)| keep(name) && !set.iter().any(|(n, _)| n == name)).peekable();
    let mut set = set.iter().copied().filter(|(_, value)| !value.is_empty()).peekable();
    Labels::from_sorted(std::iter::from_fn(|| match (kept.peek(), set.peek()) {
        (Some((a, _)), Some((b, _))) => {
            if a < b {
                kept.next()
            } else {
                set.next()
            }
        }
        (Some(_), None) => kept.next(),
        (None, _) => set.next(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mytsdb_model::LabelsBuilder;
    use proptest::prelude::*;

    fn some_labels() -> impl Strategy<Value = Labels> {
        let name = prop::sample::select(vec!["A", "__name__", "__type__", "__unit__", "__zone", "a", "job", "z", "ß"]);
        let value = prop_oneof![4 => "[ab]{1,2}", 1 => Just("v".repeat(300))];
        prop::collection::vec((name, value), 0..7).prop_map(Labels::from_pairs)
    }

    fn names() -> impl Strategy<Value = Vec<String>> {
        prop::collection::vec(prop::sample::select(vec!["z", "job", "__name__", "a", "none", "A"]), 0..4)
            .prop_map(|names| names.into_iter().map(str::to_owned).collect())
    }

    proptest! {
        #[test]
        fn keys_agree_with_label_sets(a in some_labels(), b in some_labels(), names in names(), nameless in any::<bool>()) {
            for key in [LabelKey::only(&names, nameless), LabelKey::without(&names)] {
                let same = key.labels(&a) == key.labels(&b);
                prop_assert_eq!(key.equals(&a, &key, &b), same);
                prop_assert_eq!(key.hash(&a) == key.hash(&b), same);
            }
            let (name, others) = schema(&a);
            let described = ["__type__", "__unit__"].iter().any(|l| a.get(l).is_some());
            prop_assert_eq!(others, described);
            prop_assert_eq!(name.is_empty(), a.metric_name().is_empty());
        }

        #[test]
        fn setting_labels_agrees_with_the_builder(a in some_labels(), value in "[ab]{0,2}", other in "[ab]{0,2}") {
            let set = [("job", value.as_str()), ("other", other.as_str())];
            let mut builder = LabelsBuilder::from_labels(&a.filter(|name| name != "z"));
            for (name, value) in set {
                builder.set(name, value);
            }
            prop_assert_eq!(with_labels(&a, |name| name != "z", &set), builder.build());
        }
    }
}
