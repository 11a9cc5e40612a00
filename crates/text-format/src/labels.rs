//! Labels in braces, with the name of the metric before them or in quotes among them.

use crate::Problem;
use crate::cursor::{Cursor, Trouble};
use mytsdb_model::{LABEL_NAME, Labels};
use std::borrow::Cow;

/// Most labels of a line, and of an exemplar.
pub const LABEL_COUNT_MAX: usize = 1_024;

type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// The labels of a sample. Blanks may stand between all parts of them.
pub(crate) fn series(cursor: &mut Cursor<'_>) -> Result<Labels, Trouble> {
    let mut pairs = Pairs::new();
    if let Some(name) = cursor.classic_name(true) {
        pairs.push((Cow::Borrowed(LABEL_NAME), Cow::Borrowed(name)));
        // Mostly the value follows at once; blanks before a brace are fine too.
        let mut ahead = cursor.clone();
        ahead.skip_blanks();
        if ahead.rest().starts_with('{') {
            *cursor = ahead;
            braces(cursor, &mut pairs, false)?;
        }
    } else if cursor.rest().starts_with('{') {
        let from = cursor.at();
        braces(cursor, &mut pairs, true)?;
        if !pairs.iter().any(|(name, value)| name == LABEL_NAME && !value.is_empty()) {
            return Err((from, Problem::NoName));
        }
    } else {
        return cursor.trouble(Problem::NoName);
    }
    Ok(set(pairs))
}

/// The labels of an exemplar.
pub(crate) fn exemplar(cursor: &mut Cursor<'_>) -> Result<Labels, Trouble> {
    let mut pairs = Pairs::new();
    braces(cursor, &mut pairs, false)?;
    Ok(set(pairs))
}

fn set(mut pairs: Pairs<'_>) -> Labels {
    pairs.retain(|(_, value)| !value.is_empty());
    Labels::from_pairs(pairs)
}

/// `{a="1","b.c"="2",}`; with `named` one text in quotes without a value is the name of the metric.
fn braces<'a>(cursor: &mut Cursor<'a>, pairs: &mut Pairs<'a>, named: bool) -> Result<(), Trouble> {
    cursor.expect("{")?;
    loop {
        cursor.skip_blanks();
        if cursor.eat("}") {
            return Ok(());
        }
        let from = cursor.at();
        let is_quoted = cursor.rest().starts_with('"');
        let name = if is_quoted {
            cursor.quoted()?
        } else if let Some(name) = cursor.classic_name(false) {
            Cow::Borrowed(name)
        } else {
            return cursor.trouble(Problem::Expected("the name of a label"));
        };
        cursor.skip_blanks();
        let pair = if cursor.eat("=") {
            cursor.skip_blanks();
            (name, cursor.quoted()?)
        } else if is_quoted && named {
            (Cow::Borrowed(LABEL_NAME), name)
        } else {
            return cursor.trouble(Problem::Expected("="));
        };
        if pair.0.is_empty() {
            return Err((from, Problem::Expected("the name of a label")));
        }
        if pairs.iter().any(|(known, _)| *known == pair.0) {
            return Err((from, Problem::LabelTwice));
        }
        if pairs.len() > LABEL_COUNT_MAX {
            return Err((from, Problem::Labels { limit: LABEL_COUNT_MAX }));
        }
        pairs.push(pair);
        cursor.skip_blanks();
        if !cursor.eat(",") {
            cursor.expect("}")?;
            return Ok(());
        }
    }
}
