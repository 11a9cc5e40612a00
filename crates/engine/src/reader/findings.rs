//! What users of a selection found out about its series, kept with the list of series that it is true for.

use parking_lot::Mutex;
use std::any::Any;
use std::sync::Arc;

/// Anything; who remembered it knows its type.
pub type Finding = Arc<dyn Any + Send + Sync>;

/// Findings of one list.
const FINDINGS_MAX: usize = 8;

#[derive(Debug)]
struct Entry {
    /// Whether it is about the series in the order of labels, or in that of their references.
    by_labels: bool,
    key: Box<[u8]>,
    finding: Finding,
    bytes: usize,
}

/// Findings on one list of series, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Findings(Mutex<Vec<Entry>>);

impl Findings {
    pub(super) fn get(&self, by_labels: bool, key: &[u8]) -> Option<Finding> {
        let entries = self.0.lock();
        entries.iter().find(|e| e.by_labels == by_labels && *e.key == *key).map(|e| e.finding.clone())
    }

    /// Adds a finding unless it is too large; the oldest go until all take no more than `bytes_max`.
    pub(super) fn put(&self, (by_labels, key): (bool, &[u8]), finding: Finding, bytes: usize, bytes_max: usize) {
        let entry = Entry { by_labels, key: key.into(), finding, bytes: bytes + key.len() + size_of::<Entry>() };
        if entry.bytes > bytes_max {
            return;
        }
        let mut entries = self.0.lock();
        entries.retain(|e| e.by_labels != by_labels || *e.key != *key);
        entries.push(entry);
        let mut bytes: usize = entries.iter().map(|e| e.bytes).sum();
        let mut gone = 0;
        while bytes > bytes_max || entries.len() - gone > FINDINGS_MAX {
            bytes -= entries[gone].bytes;
            gone += 1;
        }
        entries.drain(..gone);
    }

    pub(super) fn bytes(&self) -> usize {
        self.0.lock().iter().map(|e| e.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_findings_make_room() {
        let findings = Findings::default();
        let number = |by_labels, key: &[u8]| findings.get(by_labels, key).map(|f| *f.downcast::<u8>().unwrap());
        for i in 0..100 {
            findings.put((i % 2 == 0, &[i / 2]), Arc::new(i), 1_000, 4_000);
            assert!(findings.bytes() <= 4_000);
            assert_eq!(number(i % 2 == 0, &[i / 2]), Some(i));
        }
        assert_eq!(number(false, &[49]), Some(99));
        assert_eq!(number(true, &[49]), Some(98));
        assert_eq!(number(false, &[40]), None);
        findings.put((false, &[49]), Arc::new(7u8), 1_000, 4_000);
        assert_eq!(number(false, &[49]), Some(7), "the latest one counts");
        findings.put((false, &[49]), Arc::new(8u8), 5_000, 4_000);
        assert_eq!(number(false, &[49]), Some(7), "what is too large drives out nothing");
        for i in 0..100 {
            findings.put((true, &[i]), Arc::new(i), 0, usize::MAX);
        }
        assert_eq!(findings.0.lock().len(), FINDINGS_MAX);
    }
}
