//! Both indexes against a list of label sets that is searched from end to end.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use mytsdb_index::{
    IndexError, IndexReader, IndexSections, IndexWriter, Lend, MemIndex, PackedIndex, PackedSection, Snapshot, TextList,
};
use mytsdb_model::{Labels, MatchOp, Matcher, SeriesRef};
use mytsdb_stop::StopSign;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

const NAMES: [&str; 5] = ["a", "b", "c", "job", "x1"];
const VALUES: [&str; 8] = ["x1", "x2", "x", "foo", "foobar", "b", "ü\n", "1"];
const PATTERNS: [&str; 20] = [
    "",
    ".*",
    ".+",
    "x.*",
    "x1|x2",
    "x1|",
    "foo(bar)?",
    "f.*r",
    "(foo|x).*",
    "[^x].*",
    "x?",
    "b|c|zzz",
    "nothing",
    "()",
    "(.*)",
    "foo.+",
    ".*\n",
    "x|.*b.*",
    "[a-z]+[0-9]",
    "x1||foo",
];

fn labels() -> impl Strategy<Value = Labels> {
    let pair = (prop::sample::select(&NAMES[..]), prop::sample::select(&VALUES[..]));
    prop::collection::vec(pair, 0..5).prop_map(Labels::from_pairs)
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let name = prop_oneof![5 => prop::sample::select(&NAMES[..]), 1 => Just("absent")];
    let equal = prop_oneof![5 => prop::sample::select(&VALUES[..]), 1 => Just(""), 1 => Just("absent")];
    let pattern = prop::sample::select(&PATTERNS[..]);
    (name, 0..4, equal, pattern).prop_map(|(name, op, equal, pattern)| {
        let (op, value) = match op {
            0 => (MatchOp::Equal, equal),
            1 => (MatchOp::NotEqual, equal),
            2 => (MatchOp::Regex, pattern),
            _ => (MatchOp::NotRegex, pattern),
        };
        Matcher::new(op, name, value).unwrap()
    })
}

fn satisfies(labels: &Labels, matchers: &[Matcher]) -> bool {
    matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or("")))
}

fn names_of<'a>(all: impl IntoIterator<Item = &'a Labels>) -> Vec<String> {
    let names: BTreeSet<&str> = all.into_iter().flat_map(|l| l.iter().map(|(n, _)| n)).collect();
    names.into_iter().map(str::to_owned).collect()
}

fn values_of<'a>(name: &str, all: impl IntoIterator<Item = &'a Labels>) -> Vec<String> {
    let values: BTreeSet<&str> = all.into_iter().filter_map(|l| l.get(name)).collect();
    values.into_iter().map(str::to_owned).collect()
}

fn freeze(series: &[Labels]) -> IndexSections {
    let mut writer = IndexWriter::new();
    for (ordinal, labels) in series.iter().enumerate() {
        assert_eq!(writer.add(labels).unwrap(), ordinal as u32);
    }
    writer.finish().unwrap()
}

fn pack(series: &[Labels]) -> PackedSection {
    let mut writer = IndexWriter::new();
    for labels in series {
        writer.add(labels).unwrap();
    }
    writer.finish_packed().unwrap()
}

fn texts(list: &TextList) -> Vec<&str> {
    list.iter().collect()
}

fn check_mem(index: &Snapshot<impl Lend>, series: &[(SeriesRef, Labels)], matchers: &[Matcher]) {
    let mut expected: Vec<(SeriesRef, &Labels)> =
        series.iter().filter(|(_, l)| satisfies(l, matchers)).map(|(r, l)| (*r, l)).collect();
    expected.sort_by_key(|e| e.0);
    let refs: Vec<SeriesRef> = expected.iter().map(|e| e.0).collect();
    assert_eq!(index.select(matchers, StopSign::NEVER).unwrap(), refs, "{matchers:?}");
    let names = index.label_names_of(&refs, StopSign::NEVER).unwrap();
    assert_eq!(texts(&names), names_of(expected.iter().map(|e| e.1)));
    let names = index.label_names(StopSign::NEVER).unwrap();
    assert_eq!(texts(&names), names_of(series.iter().map(|s| &s.1)));
    for name in NAMES.iter().chain(&["absent"]) {
        let values = index.label_values_of(name, &refs, StopSign::NEVER).unwrap();
        assert_eq!(texts(&values), values_of(name, expected.iter().map(|e| e.1)));
        let values = index.label_values(name, StopSign::NEVER).unwrap();
        assert_eq!(texts(&values), values_of(name, series.iter().map(|s| &s.1)));
    }
}

/// An index to which a series is added between any two turns.
struct Busy {
    index: RefCell<MemIndex>,
    more: Vec<Labels>,
    turns: Cell<usize>,
}

impl Lend for &Busy {
    fn lend<T>(&self, look: impl FnOnce(&MemIndex) -> T) -> T {
        let seen = look(&self.index.borrow());
        let turn = self.turns.replace(self.turns.get() + 1);
        // References below and above those that are there.
        let series = SeriesRef(if turn.is_multiple_of(3) { u64::MAX / 2 - turn as u64 } else { 10_000 + turn as u64 });
        self.index.borrow_mut().add(series, &self.more[turn % self.more.len()]);
        seen
    }
}

proptest! {
    #[test]
    fn the_head_index_agrees_with_a_list(
        series in prop::collection::vec(labels(), 0..150),
        queries in prop::collection::vec(prop::collection::vec(matcher(), 0..4), 12),
        shuffled in any::<bool>(),
        gone in prop::collection::btree_set(0u64..160, 0..160),
    ) {
        let name = |i: usize| SeriesRef(if shuffled { i as u64 * 7 % 151 + 1 } else { i as u64 + 1 });
        let mut series: Vec<(SeriesRef, Labels)> = series.into_iter().enumerate().map(|(i, l)| (name(i), l)).collect();
        let mut index = MemIndex::new();
        for (r, l) in &series {
            index.add(*r, l);
        }
        for matchers in &queries {
            check_mem(&index.snapshot(), &series, matchers);
        }

        let gone: Vec<SeriesRef> = gone.into_iter().map(SeriesRef).collect();
        index.remove(&gone);
        series.retain(|(r, _)| !gone.contains(r));
        let late = (SeriesRef(1_000), Labels::from_pairs([("a", "late")]));
        index.add(late.0, &late.1);
        series.push(late);
        prop_assert_eq!(index.series_count(), series.len());
        for matchers in &queries {
            check_mem(&index.snapshot(), &series, matchers);
        }
    }

    #[test]
    fn a_snapshot_does_not_see_what_comes_between_its_turns(
        series in prop::collection::vec(labels(), 0..60),
        more in prop::collection::vec(labels(), 1..20),
        queries in prop::collection::vec(prop::collection::vec(matcher(), 0..4), 4),
        shuffled in any::<bool>(),
    ) {
        let name = |i: usize| SeriesRef(if shuffled { i as u64 * 7 % 61 + 1 } else { i as u64 + 1 });
        let series: Vec<(SeriesRef, Labels)> = series.into_iter().enumerate().map(|(i, l)| (name(i), l)).collect();
        let mut index = MemIndex::new();
        for (r, l) in &series {
            index.add(*r, l);
        }
        let version = index.version();
        let busy = Busy { index: RefCell::new(index), more, turns: Cell::new(0) };
        let snapshot = Snapshot::new(&busy, version);
        for matchers in &queries {
            check_mem(&snapshot, &series, matchers);
        }
        prop_assert!(busy.turns.get() > queries.len());

        // Once a series is removed, the snapshot has no answer any more.
        busy.index.borrow_mut().remove(&[SeriesRef(10_001)]);
        for matchers in queries.iter().filter(|matchers| !matchers.is_empty()) {
            let found = snapshot.select(matchers, StopSign::NEVER);
            // Matchers that name no values need no turn to be answered.
            prop_assert!(found == Err(IndexError::Outdated) || found == Ok(Vec::new()), "{found:?}");
        }
        prop_assert_eq!(snapshot.label_names(StopSign::NEVER).err(), Some(IndexError::Outdated));
        prop_assert_eq!(snapshot.label_values("a", StopSign::NEVER).err(), Some(IndexError::Outdated));
        prop_assert_eq!(snapshot.label_values_of("a", &[SeriesRef(1)], StopSign::NEVER).err(), Some(IndexError::Outdated));
    }

    #[test]
    fn the_frozen_index_agrees_with_a_list(
        series in prop::collection::vec(labels(), 0..150),
        queries in prop::collection::vec(prop::collection::vec(matcher(), 0..4), 12),
    ) {
        let sections = freeze(&series);
        let reader = IndexReader::new(&sections.symbols, &sections.postings).unwrap();
        reader.verify().unwrap();
        prop_assert_eq!(reader.label_names(StopSign::NEVER).unwrap(), names_of(&series));
        for matchers in &queries {
            let expected: Vec<u32> =
                (0..series.len()).filter(|&i| satisfies(&series[i], matchers)).map(|i| i as u32).collect();
            prop_assert_eq!(&reader.select(matchers, StopSign::NEVER).unwrap(), &expected, "{:?}", matchers);
            let chosen = || expected.iter().map(|&i| &series[i as usize]);
            prop_assert_eq!(reader.label_names_of(&expected, StopSign::NEVER).unwrap(), names_of(chosen()));
            for name in NAMES {
                let has = series.iter().any(|l| l.get(name).is_some());
                prop_assert_eq!(reader.has_label_name(name).unwrap(), has);
                prop_assert_eq!(reader.label_values_of(name, &expected, StopSign::NEVER).unwrap(), values_of(name, chosen()));
                prop_assert_eq!(reader.label_values(name, StopSign::NEVER).unwrap(), values_of(name, &series));
            }
        }
        for (ordinal, labels) in series.iter().enumerate() {
            let symbols = sections.series_symbols(ordinal as u32);
            let text = |s| reader.symbol(s).unwrap();
            prop_assert!(symbols.iter().map(|&(n, v)| (text(n), text(v))).eq(labels.iter()));
        }
    }

    #[test]
    fn both_frozen_indexes_give_the_same_answers(
        series in prop::collection::vec(labels(), 0..150),
        queries in prop::collection::vec(prop::collection::vec(matcher(), 0..4), 12),
        times in 1usize..12,
    ) {
        // Repeated, so that lists of all kinds come about; ordinals need not be in the order of labels here.
        let series: Vec<Labels> = (0..times).flat_map(|_| series.iter().cloned()).collect();
        let sections = freeze(&series);
        let reader = IndexReader::new(&sections.symbols, &sections.postings).unwrap();
        let packed = pack(&series);
        let index = PackedIndex::new(&packed.section).unwrap();
        index.verify().unwrap();
        prop_assert_eq!(index.series_count() as usize, series.len());
        prop_assert_eq!(index.posting_count().unwrap() as usize, reader.posting_count());
        let names = index.label_names(StopSign::NEVER).unwrap();
        prop_assert_eq!(texts(&names), reader.label_names(StopSign::NEVER).unwrap());
        for matchers in &queries {
            let found = index.select(matchers, StopSign::NEVER).unwrap();
            prop_assert_eq!(&found, &reader.select(matchers, StopSign::NEVER).unwrap(), "{:?}", matchers);
            let names = index.label_names_of(&found, StopSign::NEVER).unwrap();
            prop_assert_eq!(texts(&names), reader.label_names_of(&found, StopSign::NEVER).unwrap());
            for name in NAMES.into_iter().chain(["absent"]) {
                prop_assert_eq!(index.has_label_name(name).unwrap(), reader.has_label_name(name).unwrap());
                let values = index.label_values_of(name, &found, StopSign::NEVER).unwrap();
                prop_assert_eq!(texts(&values), reader.label_values_of(name, &found, StopSign::NEVER).unwrap());
                let values = index.label_values(name, StopSign::NEVER).unwrap();
                prop_assert_eq!(texts(&values), reader.label_values(name, StopSign::NEVER).unwrap());
            }
        }
        for (ordinal, labels) in series.iter().enumerate() {
            let pairs = packed.series_numbers(ordinal as u32).iter().map(|&(name, value)| {
                let mut text = Vec::new();
                index.value_into(name, value, &mut text).unwrap();
                (index.name(name).unwrap().to_owned(), String::from_utf8(text).unwrap())
            });
            prop_assert!(pairs.eq(labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned()))));
        }
    }

    #[test]
    fn a_damaged_packed_section_never_panics(
        series in prop::collection::vec(labels(), 1..20),
        times in 1usize..30,
        matchers in prop::collection::vec(matcher(), 1..3),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let series: Vec<Labels> = (0..times).flat_map(|_| series.iter().cloned()).collect();
        let mut section = pack(&series).section;
        for (at, xor) in flips {
            let at = at.index(section.len());
            section[at] ^= xor;
        }
        section.truncate(section.len() - cut.index(section.len() + 1) / 8);
        // A block knows how many series it has, and does not ask an index that says something else.
        section.get_mut(4..8).into_iter().for_each(|count| count.copy_from_slice(&(series.len() as u32).to_le_bytes()));
        let questions = || -> Result<(), IndexError> {
            let index = PackedIndex::new(&section)?;
            let sound = index.verify();
            let chosen = index.select(&matchers, StopSign::NEVER)?;
            index.label_names_of(&chosen, StopSign::NEVER)?;
            index.label_values_of("a", &chosen, StopSign::NEVER)?;
            index.label_names(StopSign::NEVER)?;
            index.label_values("job", StopSign::NEVER)?;
            index.has_label_name("a")?;
            sound
        };
        match questions() {
            Ok(()) | Err(IndexError::Corrupt { .. }) => {}
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn damaged_sections_never_panic(
        series in prop::collection::vec(labels(), 1..20),
        matchers in prop::collection::vec(matcher(), 1..3),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let sections = freeze(&series);
        let mut bytes = [sections.symbols.as_slice(), sections.postings.as_slice()].concat();
        for (at, bit) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
        }
        let (symbols, postings) = bytes.split_at(sections.symbols.len());
        let postings = &postings[..postings.len() - cut.index(postings.len() + 1) / 8];
        let questions = || -> Result<(), IndexError> {
            let reader = IndexReader::new(symbols, postings)?;
            let sound = reader.verify();
            let chosen = reader.select(&matchers, StopSign::NEVER)?;
            reader.label_names_of(&chosen, StopSign::NEVER)?;
            reader.label_values_of("a", &chosen, StopSign::NEVER)?;
            reader.label_names(StopSign::NEVER)?;
            reader.has_label_name("a")?;
            sound
        };
        // Any answer will do here; checksums above this crate tell damage from truth.
        match questions() {
            Ok(()) | Err(IndexError::Corrupt { .. }) => {}
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

#[test]
fn a_cut_section_is_refused() {
    let sections = freeze(&[Labels::from_pairs([("a", "1"), ("b", "2")])]);
    for cut in 0..sections.postings.len() {
        assert!(IndexReader::new(&sections.symbols, &sections.postings[..cut]).is_err());
    }
    for cut in 0..sections.symbols.len() {
        let reader = IndexReader::new(&sections.symbols[..cut], &sections.postings);
        assert!(reader.and_then(|r| r.verify()).is_err());
    }
}

#[test]
fn a_cut_packed_section_is_refused() {
    let section = pack(&[Labels::from_pairs([("a", "1"), ("b", "2")]), Labels::from_pairs([("a", "2")])]).section;
    for cut in 0..section.len() {
        assert!(PackedIndex::new(&section[..cut]).and_then(|index| index.verify()).is_err(), "{cut}");
    }
}

#[test]
fn an_index_whose_series_have_all_gone_holds_no_names() {
    let mut index = MemIndex::new();
    index.add(SeriesRef(1), &Labels::from_pairs([("a", "1")]));
    index.remove(&[SeriesRef(1), SeriesRef(2)]);
    assert_eq!(index.snapshot().select(&[], StopSign::NEVER), Ok(Vec::new()));
    assert!(index.snapshot().label_names(StopSign::NEVER).unwrap().is_empty());
    assert_eq!((index.series_count(), index.label_pair_count()), (0, 0));
}
