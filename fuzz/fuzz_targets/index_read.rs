//! Arbitrary bytes as an index of either form: no panic, whatever is asked, and what verifies can be read and agrees with
//! itself.
//!
//! Input: a byte that says which form, for the first form the length of its symbols as a `u16`, then the sections.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mytsdb_index::{IndexError, IndexReader, PackedIndex};
use mytsdb_model::{MatchOp, Matcher};
use mytsdb_stop::StopSign;

const STOP: StopSign<'static> = StopSign::NEVER;
/// A few bytes may announce any number of series, and all of them are asked for; whoever embeds the index checks that.
const SERIES_MAX: u32 = 1 << 20;

fuzz_target!(|data: &[u8]| {
    let Some((&form, rest)) = data.split_first() else { return };
    if form % 2 == 1 {
        let Ok(index) = PackedIndex::new(rest) else { return };
        let sound = index.verify().is_ok();
        let answered = ask_packed(&index, sound);
        assert!(answered.is_ok() || !sound, "what verifies can be read: {answered:?}");
        return;
    }
    let Some((length, rest)) = rest.split_at_checked(2) else { return };
    let length = usize::from(u16::from_le_bytes([length[0], length[1]])).min(rest.len());
    let (symbols, postings) = rest.split_at(length);
    let Ok(index) = IndexReader::new(symbols, postings) else { return };
    let sound = index.verify().is_ok();
    let answered = ask(&index, sound);
    assert!(answered.is_ok() || !sound, "what verifies can be read: {answered:?}");
});

fn ask(index: &IndexReader<'_>, sound: bool) -> Result<(), IndexError> {
    if index.series_count() > SERIES_MAX {
        return index.verify();
    }
    let all = index.select(&[], STOP)?;
    check(sound, &all, index.series_count());
    let names = index.label_names(STOP)?;
    index.label_names_of(&all, STOP)?;
    for name in names.into_iter().take(20) {
        index.has_label_name(name)?;
        let values = index.label_values(name, STOP)?;
        index.label_values_of(name, &all, STOP)?;
        for matchers in questions(name, values.first().copied().unwrap_or("")) {
            check(sound, &index.select(&matchers, STOP)?, index.series_count());
        }
    }
    Ok(())
}

fn ask_packed(index: &PackedIndex<'_>, sound: bool) -> Result<(), IndexError> {
    if index.series_count() > SERIES_MAX {
        return index.verify();
    }
    let all = index.select(&[], STOP)?;
    check(sound, &all, index.series_count());
    index.label_names_of(&all, STOP)?;
    let names: Vec<String> = index.label_names(STOP)?.iter().take(20).map(str::to_owned).collect();
    for name in &names {
        index.has_label_name(name)?;
        let first = index.label_values(name, STOP)?.iter().next().unwrap_or("").to_owned();
        index.label_values_of(name, &all, STOP)?;
        for matchers in questions(name, &first) {
            check(sound, &index.select(&matchers, STOP)?, index.series_count());
        }
    }
    Ok(())
}

/// What verifies finds series in order, each once, among those there are. In damaged bytes a posting may be any number.
fn check(sound: bool, found: &[u32], series_count: u32) {
    assert!(!sound || found.is_sorted_by(|a, b| a < b) && found.last().is_none_or(|&last| last < series_count));
}

fn questions(name: &str, value: &str) -> [Vec<Matcher>; 4] {
    let matcher = |op, value| Matcher::new(op, name, value).expect("a pattern");
    [
        vec![Matcher::equal(name, value)],
        vec![matcher(MatchOp::NotEqual, value), Matcher::equal("__name__", "up")],
        vec![matcher(MatchOp::Regex, "a.*|.*b")],
        vec![matcher(MatchOp::NotRegex, "|up|x.+")],
    ]
}
