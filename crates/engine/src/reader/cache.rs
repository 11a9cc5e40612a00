//! What matchers found before, source by source.
//!
//! Whether a list is still true its source decides, and brings it up to date. Names and values of labels are kept for the live source and
//! some versions of fixed ones together. So the cache never decides an answer; it only saves the way to it.

use super::findings::{Finding, Findings};
use super::texts::Texts;
use crate::source::{Asked, Known, Source, SourceId};
use mytsdb_model::Matcher;
use mytsdb_telemetry::Counter;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

/// Matchers as they are compared: two that differ only in form are two.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question(Box<[u8]>);

impl Question {
    pub(super) fn new(matchers: &[Matcher]) -> Self {
        Self(Self::put_matchers(Vec::with_capacity(64), matchers).into())
    }

    /// The question for names or values of labels in the live source and these; `None` if one of them may change at any time.
    pub(super) fn of_texts<'a>(
        asked: Asked<'_>,
        matchers: &[Matcher],
        sources: impl Iterator<Item = &'a dyn Source>,
    ) -> Option<Self> {
        // No operator of a matcher, so no question for series.
        const TEXTS: u8 = u8::MAX;
        let mut bytes = vec![TEXTS];
        match asked {
            Asked::Names => bytes.push(0),
            Asked::Values(name) => {
                bytes.push(1);
                put_text(&mut bytes, name);
            }
        }
        let count_at = bytes.len();
        bytes.extend_from_slice(&[0; 8]);
        let mut count = 0u64;
        for source in sources {
            let (kind, number) = match source.id() {
                SourceId::Outside(number) => (0, number),
                SourceId::Damage => (1, 0),
                SourceId::Block(number) => (2, number),
                SourceId::Head => (3, 0),
            };
            bytes.push(kind);
            bytes.extend_from_slice(&number.to_le_bytes());
            bytes.extend_from_slice(&source.version()?.to_le_bytes());
            count += 1;
        }
        bytes[count_at..count_at + 8].copy_from_slice(&count.to_le_bytes());
        Some(Self(Self::put_matchers(bytes, matchers).into()))
    }

    fn put_matchers(mut bytes: Vec<u8>, matchers: &[Matcher]) -> Vec<u8> {
        for matcher in matchers {
            bytes.push(matcher.op() as u8);
            put_text(&mut bytes, matcher.name());
            put_text(&mut bytes, matcher.value());
        }
        bytes
    }
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// What a source wants to remember of a question, and what others found out about the series.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) known: Known,
    /// Goes on to the next list if that has the same series.
    pub(super) findings: Arc<Findings>,
}

impl Listed {
    fn bytes(&self) -> usize {
        self.known.bytes + self.findings.bytes()
    }
}

#[derive(Debug, Clone)]
enum Found {
    Series(Arc<Listed>),
    Texts(Arc<Texts>),
}

#[derive(Debug)]
struct Entry {
    found: Found,
    bytes: usize,
    used: u64,
}

#[derive(Debug, Default)]
struct State {
    /// By question and source; `None` is all sources.
    entries: HashMap<(Question, Option<SourceId>), Entry>,
    bytes: usize,
    clock: u64,
}

/// Lists of series by source and matchers, and of names and values of labels; the least recently used go when it is full.
#[derive(Debug)]
pub(crate) struct SelectionCache {
    state: Mutex<State>,
    bytes_max: usize,
    asked: Asks,
}

/// How often a list was there when it was asked for, and how often it was not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asks {
    pub(crate) hits: Counter,
    pub(crate) misses: Counter,
}

impl SelectionCache {
    /// A cache of at most `bytes_max` bytes; 0 keeps nothing.
    pub(crate) fn new(bytes_max: usize, asked: Asks) -> Self {
        Self { state: Mutex::default(), bytes_max, asked }
    }

    pub(super) fn listed(&self, question: &Question, source: SourceId) -> Option<Arc<Listed>> {
        match self.get(question, Some(source))? {
            Found::Series(listed) => Some(listed),
            Found::Texts(_) => None,
        }
    }

    pub(super) fn texts(&self, question: &Question) -> Option<Arc<Texts>> {
        match self.get(question, None)? {
            Found::Texts(texts) => Some(texts),
            Found::Series(_) => None,
        }
    }

    pub(super) fn put_texts(&self, question: &Question, texts: &Arc<Texts>) {
        self.put(question, None, Found::Texts(texts.clone()), texts.bytes());
    }

    pub(super) fn put_listed(&self, question: &Question, source: SourceId, listed: &Arc<Listed>) {
        self.put(question, Some(source), Found::Series(listed.clone()), listed.bytes());
    }

    /// Keeps a finding with a list, if that is kept itself. All findings on a list take at most as much
    /// as the list, so that they drive out no more lists than one.
    pub(super) fn put_finding(
        &self,
        (question, source, listed): (&Question, SourceId, &Arc<Listed>),
        about: (bool, &[u8]),
        finding: Finding,
        bytes: usize,
    ) {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(entry) = state.entries.get_mut(&(question.clone(), Some(source))) else { return };
        let own_bytes = question.0.len() + size_of::<Entry>();
        let list_bytes = listed.known.bytes;
        let fits = 2 * list_bytes + own_bytes <= self.bytes_max;
        if !fits || !matches!(&entry.found, Found::Series(kept) if Arc::ptr_eq(kept, listed)) {
            return;
        }
        listed.findings.put(about, finding, bytes, list_bytes);
        state.bytes -= entry.bytes;
        entry.bytes = listed.bytes() + own_bytes;
        state.bytes += entry.bytes;
        let gone = state.make_room(self.bytes_max);
        drop(guard);
        drop(gone);
    }

    /// Bytes and entries that are kept.
    pub(crate) fn level(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.bytes, state.entries.len())
    }

    /// Forgets the lists of the live source, which keep removed series in memory, and what was made of them.
    pub(crate) fn forget_live(&self) {
        self.retain(|source| source.is_some_and(|source| source != SourceId::Head));
    }

    /// Forgets the lists of a source.
    pub(crate) fn forget(&self, id: SourceId) {
        self.retain(|source| source != Some(id));
    }

    fn retain(&self, keep: impl Fn(Option<SourceId>) -> bool) {
        let mut state = self.state.lock();
        let gone: Vec<Entry> =
            state.entries.extract_if(|(_, source), _| !keep(*source)).map(|(_, entry)| entry).collect();
        state.bytes = state.entries.values().map(|e| e.bytes).sum();
        // The entries are dropped after the lock is released: freeing a long list takes long.
        drop(state);
        drop(gone);
    }

    fn get(&self, question: &Question, source: Option<SourceId>) -> Option<Found> {
        let state = &mut *self.state.lock();
        state.clock += 1;
        let entry = state.entries.get_mut(&(question.clone(), source));
        if entry.is_some() {
            self.asked.hits.inc();
        } else {
            self.asked.misses.inc();
        }
        let entry = entry?;
        entry.used = state.clock;
        Some(entry.found.clone())
    }

    fn put(&self, question: &Question, source: Option<SourceId>, found: Found, bytes: usize) {
        let bytes = bytes + question.0.len() + size_of::<Entry>();
        if bytes > self.bytes_max {
            return;
        }
        let mut state = self.state.lock();
        state.clock += 1;
        let entry = Entry { found, bytes, used: state.clock };
        let old = state.entries.insert((question.clone(), source), entry);
        state.bytes -= old.as_ref().map_or(0, |old| old.bytes);
        state.bytes += bytes;
        let gone = state.make_room(self.bytes_max);
        drop(state);
        drop((old, gone));
    }
}

impl State {
    /// Drops the least recently used entries if all take more than `bytes_max`; a quarter at a time, so that its sort is
    /// rarely paid for. A long list takes long to give back, which is for the caller to do when others can go on.
    #[must_use]
    fn make_room(&mut self, bytes_max: usize) -> Vec<Entry> {
        if self.bytes <= bytes_max {
            return Vec::new();
        }
        let mut by_use: Vec<(u64, usize)> = self.entries.values().map(|e| (e.used, e.bytes)).collect();
        by_use.sort_unstable();
        let mut oldest = 0;
        for (used, entry_bytes) in by_use {
            if self.bytes <= bytes_max - bytes_max / 4 {
                break;
            }
            self.bytes -= entry_bytes;
            oldest = used;
        }
        self.entries.extract_if(|_, entry| entry.used <= oldest).map(|(_, entry)| entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(cache: &SelectionCache, question: &Question) {
        let known = Known { what: Arc::new(()), bytes: 100 };
        cache.put_listed(question, SourceId::Head, &Arc::new(Listed { known, findings: Arc::default() }));
    }

    fn has(cache: &SelectionCache, question: &Question) -> bool {
        cache.listed(question, SourceId::Head).is_some()
    }

    fn question(i: usize) -> Question {
        Question::new(&[Matcher::equal("l", i.to_string())])
    }

    #[test]
    fn the_cache_stays_within_its_bytes_and_keeps_what_was_used_last() {
        let cache = SelectionCache::new(8_000, Asks::default());
        for i in 0..1_000 {
            put(&cache, &question(i));
            assert!(cache.state.lock().bytes <= 8_000);
            assert!(has(&cache, &question(0)), "used all the time, gone at {i}");
        }
        assert!(!has(&cache, &question(1)));
        assert!(has(&cache, &question(999)));
        let totals = || {
            let state = cache.state.lock();
            (state.bytes, state.entries.values().map(|e| e.bytes).sum::<usize>())
        };
        assert_eq!(totals().0, totals().1);
        assert_eq!(cache.level().0, totals().0);
        assert!(cache.level().1 > 1);
        cache.forget_live();
        assert_eq!(totals(), (0, 0));
    }

    #[test]
    fn questions_differ_when_matchers_do() {
        let of = |name: &str, value: &str| Question::new(&[Matcher::equal(name, value)]);
        assert_ne!(of("ab", "c"), of("a", "bc"));
        assert_ne!(of("a", "b"), Question::new(&[Matcher::equal("a", "b"), Matcher::equal("a", "b")]));
        assert_eq!(of("a", "b"), of("a", "b"));
        let cache = SelectionCache::new(0, Asks::default());
        put(&cache, &of("a", "b"));
        assert!(!has(&cache, &of("a", "b")), "a cache of no bytes keeps nothing");
    }
}
