//! `label_replace` and `label_join`.

use super::string_arg;
use crate::ast::Call;
use crate::error::EvalError;
use crate::eval::context::Context;
use crate::eval::expr::eval_vector;
use crate::eval::grid::Grid;
use crate::eval::groups::all_unique;
use crate::eval::label_key::with_labels;
use crate::eval::rows::{Rows, Vector, merge_equal};
use crate::token::quote_bytes;
use mytsdb_model::{LABEL_NAME, Labels};
use regex_automata::meta::Regex;
use regex_automata::util::captures::Captures;
use std::collections::HashMap;

/// Longest label value that a function makes; nested calls could double it at every level.
const VALUE_BYTES_MAX: usize = 64 << 10;

fn too_long(function: &str) -> EvalError {
    EvalError::Execution(format!("{function}() makes a label value of more than {VALUE_BYTES_MAX} bytes"))
}

/// Largest compiled pattern.
const COMPILED_BYTES_MAX: usize = 1 << 20;

fn label_name<'e>(bytes: &'e [u8], what: &str, function: &str) -> Result<&'e str, EvalError> {
    match std::str::from_utf8(bytes) {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => Err(EvalError::Execution(format!("invalid {what} label name in {function}(): {}", shown(bytes)))),
    }
}

fn shown(bytes: &[u8]) -> String {
    let quoted = quote_bytes(bytes);
    quoted[1..quoted.len() - 1].to_owned()
}

/// Compiles an RE2 pattern that has to match the whole text; classes like `\d` mean ASCII, as in RE2.
fn compile(pattern: &str) -> Result<Regex, EvalError> {
    let syntax = regex_automata::util::syntax::Config::new();
    Regex::builder()
        .configure(Regex::config().nfa_size_limit(Some(COMPILED_BYTES_MAX)))
        .syntax(syntax)
        .build(&format!("^(?s:{})$", ascii_classes(pattern)))
        .map_err(|_| EvalError::Execution(format!("invalid regular expression in label_replace(): {pattern}")))
}

/// Spells out the Perl classes, which RE2 limits to ASCII.
fn ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let next = chars.next();
                let (inside, outside) = match next {
                    Some('d') => ("0-9", "[0-9]"),
                    Some('w') => ("0-9A-Za-z_", "[0-9A-Za-z_]"),
                    Some('s') => ("\\t\\n\\f\\r ", "[\\t\\n\\f\\r ]"),
                    Some('D') => ("[^0-9]", "[^0-9]"),
                    Some('W') => ("[^0-9A-Za-z_]", "[^0-9A-Za-z_]"),
                    Some('S') => ("[^\\t\\n\\f\\r ]", "[^\\t\\n\\f\\r ]"),
                    Some('b') if !in_class => ("", "(?-u:\\b)"),
                    Some('Q') => {
                        let rest: String = chars.by_ref().collect();
                        let (literal, tail) = rest.split_once("\\E").unwrap_or((&rest, ""));
                        out.push_str(&regex_syntax::escape(literal));
                        out.push_str(&ascii_classes(tail));
                        return out;
                    }
                    _ => {
                        out.push('\\');
                        out.extend(next);
                        continue;
                    }
                };
                out.push_str(if in_class { inside } else { outside });
            }
            '[' if !in_class => {
                in_class = true;
                out.push('[');
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            c => out.push(c),
        }
    }
    out
}

/// Replaces `$1`, `${name}` and `$$` in `template` as Go's `Expand` does: a bare name is as long as possible. `None` if
/// the result is too long.
fn expand(template: &str, regex: &Regex, captures: &Captures, text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix('$') {
            out.push('$');
            rest = tail;
            continue;
        }
        let braced = rest.starts_with('{');
        let body = if braced { &rest[1..] } else { rest };
        let length = body.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(body.len());
        let (name, tail) = body.split_at(length);
        if name.is_empty() || (braced && !tail.starts_with('}')) {
            out.push('$');
            continue;
        }
        rest = if braced { &tail[1..] } else { tail };
        let group = match name.parse::<usize>() {
            Ok(index) => captures.get_group(index),
            Err(_) => regex
                .group_info()
                .to_index(regex_automata::PatternID::ZERO, name)
                .and_then(|index| captures.get_group(index)),
        };
        if let Some(span) = group {
            out.push_str(&text[span.start..span.end]);
        }
        if out.len() > VALUE_BYTES_MAX {
            return None;
        }
    }
    out.push_str(rest);
    (out.len() <= VALUE_BYTES_MAX).then_some(out)
}

struct Relabelled<'a> {
    inner: Vector<'a>,
    names: Vec<(Labels, bool)>,
}

impl Rows for Relabelled<'_> {
    fn give_back(self: Box<Self>, context: &Context<'_>) -> Result<(), EvalError> {
        context.give_back(self.names)?;
        self.inner.give_back(context)
    }

    fn len(&self) -> usize {
        self.names.len()
    }

    fn steps(&self) -> usize {
        self.inner.steps()
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.names[index].0
    }

    fn drop_name(&self, index: usize) -> bool {
        self.names[index].1
    }

    fn read(
        &self,
        index: usize,
        scratch: &mut crate::eval::context::Scratch<'_>,
        out: &mut crate::eval::cells::Cells,
    ) -> Result<(), EvalError> {
        self.inner.read(index, scratch, out)
    }
}

/// Sets label `dst` of every row to what `relabel` makes of its labels, and joins rows that become equal.
fn relabelled<'a>(
    context: &'a Context<'a>,
    inner: Vector<'a>,
    dst: &str,
    mut relabel: impl FnMut(&Labels) -> Result<Option<String>, EvalError>,
) -> Result<Vector<'a>, EvalError> {
    let mut touched = false;
    let mut names: Vec<(Labels, bool)> = Vec::with_capacity(inner.len());
    for i in 0..inner.len() {
        context.cancel.check()?;
        let (labels, drop_name) = (inner.labels(i), inner.drop_name(i));
        names.push(match relabel(&labels)? {
            // A name that was just written is meant to stay.
            Some(value) => {
                touched = true;
                let labels = with_labels(&labels, |_| true, &[(dst, &value)]);
                context.hold_bytes(labels.as_bytes().len() as u64)?;
                (labels, drop_name && dst != LABEL_NAME)
            }
            None => (labels, drop_name),
        });
    }
    let unique = !touched || all_unique(context, names.iter().map(|(labels, _)| labels))?;
    let rows = Vector::Lazy(Box::new(Relabelled { inner, names }));
    if unique { Ok(rows) } else { Ok(Vector::Kept(merge_equal(context, rows.keep(context)?)?)) }
}

pub(super) fn replace<'a>(context: &'a Context<'a>, call: &'a Call, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let dst = label_name(string_arg(&call.args[1])?, "destination", "label_replace")?;
    let replacement = String::from_utf8_lossy(string_arg(&call.args[2])?).into_owned();
    let src = String::from_utf8_lossy(string_arg(&call.args[3])?).into_owned();
    let regex = compile(&String::from_utf8_lossy(string_arg(&call.args[4])?))?;
    let inner = eval_vector(context, &call.args[0], grid)?;
    let mut captures = regex.create_captures();
    // Few values of a label come many times.
    let mut known: HashMap<String, Option<String>> = HashMap::new();
    relabelled(context, inner, dst, |labels| {
        let value = labels.get(&src).unwrap_or("");
        if let Some(known) = known.get(value) {
            return Ok(known.clone());
        }
        regex.captures(value, &mut captures);
        let new = if captures.is_match() {
            Some(expand(&replacement, &regex, &captures, value).ok_or_else(|| too_long("label_replace"))?)
        } else {
            None
        };
        if known.len() < KNOWN_VALUES_MAX {
            known.insert(value.to_owned(), new.clone());
        }
        Ok(new)
    })
}

/// Values of which the replacement is remembered.
const KNOWN_VALUES_MAX: usize = 1 << 10;

pub(super) fn join<'a>(context: &'a Context<'a>, call: &'a Call, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let dst = label_name(string_arg(&call.args[1])?, "destination", "label_join")?;
    let separator = String::from_utf8_lossy(string_arg(&call.args[2])?).into_owned();
    let mut sources = Vec::new();
    for arg in &call.args[3..] {
        sources.push(label_name(string_arg(arg)?, "source", "label_join")?);
    }
    let inner = eval_vector(context, &call.args[0], grid)?;
    relabelled(context, inner, dst, |labels| {
        let values: Vec<&str> = sources.iter().map(|name| labels.get(name).unwrap_or("")).collect();
        let made_bytes: usize = values.iter().map(|value| value.len() + separator.len()).sum();
        if made_bytes > VALUE_BYTES_MAX {
            return Err(too_long("label_join"));
        }
        Ok(Some(values.join(&separator)))
    })
}
