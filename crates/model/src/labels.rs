//! Label sets: sorted, unique, one allocation each.
//!
//! Byte form (also what logs and blocks store): for each label in ascending name order
//! `varint(name bytes) name varint(value bytes) value`, LEB128, no terminator. Empty values are never stored.

use crate::ModelError;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The label that holds the metric's name.
pub const LABEL_NAME: &str = "__name__";

/// An immutable, sorted set of labels with unique names and non-empty values.
///
/// A clone costs one reference count. Order and equality are those of Prometheus' `labels.Compare`:
/// label by label, name before value, bytewise.
#[derive(Clone)]
pub struct Labels(Arc<[u8]>);

impl Labels {
    /// The set without labels.
    pub fn empty() -> Self {
        Self(Arc::from([]))
    }

    /// Builds a set from pairs in any order. Empty values are left out; of a repeated name the last value stays.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut builder = LabelsBuilder::new();
        for (name, value) in pairs {
            builder.set(name.as_ref(), value.as_ref());
        }
        builder.build()
    }

    /// Builds a set from pairs that are already in ascending name order, without repeats and empty values.
    ///
    /// # Panics
    /// If the order is not strictly ascending or a value is empty.
    pub fn from_sorted<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut bytes = Vec::with_capacity(128);
        let mut last: Option<&str> = None;
        for (name, value) in pairs {
            assert!(last.is_none_or(|l| l < name), "labels out of order at {name:?}");
            assert!(!value.is_empty(), "empty value of label {name:?}");
            put_str(&mut bytes, name);
            put_str(&mut bytes, value);
            last = Some(name);
        }
        Self(Arc::from(bytes))
    }

    /// Reads the byte form and checks all of it.
    ///
    /// # Errors
    /// [`ModelError::LabelEncoding`] if lengths leave the slice, text is not UTF-8, names are not strictly
    /// ascending or a value is empty.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ModelError> {
        let mut at = 0;
        let mut last: Option<&str> = None;
        while at < bytes.len() {
            let start = at;
            let name = take_str(bytes, &mut at)?;
            let value = take_str(bytes, &mut at)?;
            let err = |reason| Err(ModelError::LabelEncoding { reason, offset: start });
            if last.is_some_and(|l| l >= name) {
                return err("names not strictly ascending");
            }
            if value.is_empty() {
                return err("empty value");
            }
            last = Some(name);
        }
        Ok(Self(Arc::from(bytes)))
    }

    /// The byte form; equal sets have equal bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The labels in ascending name order.
    pub fn iter(&self) -> LabelsIter<'_> {
        LabelsIter { bytes: &self.0 }
    }

    /// The number of labels. Linear in their number.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is no label.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of `name`. Linear in the number of labels.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut rest = &self.0[..];
        while !rest.is_empty() {
            let (n, v) = (split_text(&mut rest), split_text(&mut rest));
            match n.cmp(name.as_bytes()) {
                Ordering::Less => {}
                Ordering::Equal => return Some(checked_text(v)),
                Ordering::Greater => return None,
            }
        }
        None
    }

    /// The metric's name, `""` if there is none.
    pub fn metric_name(&self) -> &str {
        self.get(LABEL_NAME).unwrap_or("")
    }

    /// The labels for which `keep(name)` holds.
    #[must_use]
    pub fn filter(&self, mut keep: impl FnMut(&str) -> bool) -> Labels {
        Self::from_sorted(self.iter().filter(|(name, _)| keep(name)))
    }

    /// XXH3-64 of the byte form: stable across processes and versions.
    pub fn hash64(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(&self.0)
    }
}

impl Default for Labels {
    fn default() -> Self {
        Self::empty()
    }
}

impl PartialEq for Labels {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for Labels {}

impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(&self.0);
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Labels {
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        // Names and values in turn, as bytes: UTF-8 sorts like its text, and sorting compares millions of times.
        let (mut a, mut b) = (&self.0[..], &other.0[..]);
        loop {
            match (a.is_empty(), b.is_empty()) {
                (true, true) => return Ordering::Equal,
                (true, false) => return Ordering::Less,
                (false, true) => return Ordering::Greater,
                (false, false) => {}
            }
            match split_text(&mut a).cmp(split_text(&mut b)) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
        }
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = LabelsIter<'a>;
    fn into_iter(self) -> LabelsIter<'a> {
        self.iter()
    }
}

impl fmt::Display for Labels {
    /// `{a="1", b="2"}`, values quoted as Go's `%q` quotes plain text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Iterates over `(name, value)` in ascending name order.
#[derive(Debug, Clone)]
pub struct LabelsIter<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for LabelsIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.bytes.is_empty() {
            return None;
        }
        let (name, value) = (split_text(&mut self.bytes), split_text(&mut self.bytes));
        Some((checked_text(name), checked_text(value)))
    }
}

/// Collects labels in any order; setting an empty value removes the label.
#[derive(Debug, Clone, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// A builder without labels.
    pub fn new() -> Self {
        Self::default()
    }

    /// A builder that starts from `labels`.
    pub fn from_labels(labels: &Labels) -> Self {
        Self { pairs: labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }

    /// Sets `name` to `value`; an empty value removes the label. Linear in the number of labels.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        if value.is_empty() {
            return self.remove(name);
        }
        match self.pairs.iter_mut().find(|(n, _)| n == name) {
            Some((_, v)) => value.clone_into(v),
            None => self.pairs.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Removes `name` if it is there.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.pairs.retain(|(n, _)| n != name);
        self
    }

    /// The value that `name` has now.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Sorts and freezes.
    pub fn build(mut self) -> Labels {
        self.pairs.sort_unstable();
        Labels::from_sorted(self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())))
    }
}

fn put_str(out: &mut Vec<u8>, text: &str) {
    let mut n = text.len();
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out.extend_from_slice(text.as_bytes());
}

/// A name or value of a set.
#[inline]
fn checked_text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("label bytes were checked when the set was built")
}

/// Takes the first name or value from bytes that were checked when the set was built.
#[inline]
fn split_text<'a>(bytes: &mut &'a [u8]) -> &'a [u8] {
    let (mut length, mut at) = (usize::from(bytes[0] & 0x7f), 1);
    while bytes[at - 1] >= 0x80 {
        length |= usize::from(bytes[at] & 0x7f) << (7 * at);
        at += 1;
    }
    let (text, rest) = bytes[at..].split_at(length);
    *bytes = rest;
    text
}

#[inline]
fn take_str<'a>(bytes: &'a [u8], at: &mut usize) -> Result<&'a str, ModelError> {
    let err = |reason, offset| ModelError::LabelEncoding { reason, offset };
    let start = *at;
    let mut n = 0usize;
    let mut shift = 0;
    loop {
        let byte = *bytes.get(*at).ok_or_else(|| err("length cut short", start))?;
        *at += 1;
        n |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
        shift += 7;
        if shift > 28 {
            return Err(err("length over 32 bits", start));
        }
    }
    let end = at.checked_add(n).filter(|&e| e <= bytes.len()).ok_or_else(|| err("text cut short", start))?;
    let text = std::str::from_utf8(&bytes[*at..end]).map_err(|_| err("text is not UTF-8", start))?;
    *at = end;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_sorted_and_unique() {
        let l = Labels::from_pairs([("z", "1"), ("a", "2"), ("z", "3"), ("gone", "")]);
        assert_eq!(l.iter().collect::<Vec<_>>(), [("a", "2"), ("z", "3")]);
        assert_eq!(l.len(), 2);
        assert_eq!(l.get("z"), Some("3"));
        assert_eq!(l.get("gone"), None);
    }

    #[test]
    fn order_is_label_by_label() {
        let check = |a: &[(&str, &str)], b: &[(&str, &str)]| {
            assert!(Labels::from_pairs(a.iter().copied()) < Labels::from_pairs(b.iter().copied()), "{a:?} < {b:?}");
        };
        check(&[], &[("a", "1")]);
        check(&[("a", "1")], &[("a", "2")]);
        check(&[("a", "1")], &[("a", "1"), ("b", "1")]);
        check(&[("a", "2"), ("b", "1")], &[("b", "0")]);
        check(&[("a", &"x".repeat(20_000))], &[("a", &"x".repeat(20_001))]);
        // A long value does not sort behind a short one because of its length prefix.
        check(&[("a", &"x".repeat(300))], &[("a", "y")]);
    }

    #[test]
    fn byte_form_survives_and_damage_is_refused() {
        let long = "v".repeat(20_000);
        let l = Labels::from_pairs([("__name__", "m"), ("long", long.as_str()), ("ü", "ß")]);
        assert_eq!(Labels::from_bytes(l.as_bytes()).unwrap(), l);
        for cut in 1..l.as_bytes().len() {
            if let Ok(shorter) = Labels::from_bytes(&l.as_bytes()[..cut]) {
                assert!(shorter.len() < l.len());
            }
        }
        assert!(Labels::from_bytes(&[1, b'b', 1, b'x', 1, b'a', 1, b'x']).is_err(), "order");
        assert!(Labels::from_bytes(&[1, b'b', 0]).is_err(), "empty value");
        assert!(Labels::from_bytes(&[0xff; 12]).is_err(), "endless length");
        assert!(Labels::from_bytes(&[1, 0xc3, 1, b'x']).is_err(), "utf-8");
    }

    #[test]
    fn hash_is_stable() {
        assert_eq!(Labels::empty().hash64(), 0x2d06_8005_38d3_94c2);
    }
}
