//! `label_replace` and `label_join`.

use crate::error::EvalError;
use crate::operators::groups::all_unique;
use crate::rows::context::Context;
use crate::rows::label_key::with_labels;
use crate::rows::vector::{Rows, Vector, merge_equal};
use mytsdb_go_regex::{RegexError, Replacer};
use mytsdb_model::{LABEL_NAME, Labels};
use mytsdb_promql_syntax::quote;
use std::collections::HashMap;

/// Longest label value that a function makes; nested calls could double it at every level.
const VALUE_BYTES_MAX: usize = 64 << 10;

fn too_long(function: &str) -> EvalError {
    EvalError::Execution(format!("{function}() makes a label value of more than {VALUE_BYTES_MAX} bytes"))
}

/// Prometheus shows the pattern alone; what exceeds a limit of ours is told in full.
fn refused(pattern: &str, error: &RegexError) -> EvalError {
    EvalError::Execution(match error {
        RegexError::Syntax { .. } => format!("invalid regular expression in label_replace(): {pattern}"),
        limit => format!("invalid regular expression in label_replace(): {limit}"),
    })
}

fn label_name<'e>(bytes: &'e [u8], what: &str, function: &str) -> Result<&'e str, EvalError> {
    match std::str::from_utf8(bytes) {
        Ok(name) if !name.is_empty() => Ok(name),
        _ => Err(EvalError::Execution(format!("invalid {what} label name in {function}(): {}", shown(bytes)))),
    }
}

fn shown(bytes: &[u8]) -> String {
    let quoted = quote(bytes);
    quoted[1..quoted.len() - 1].to_owned()
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

    fn height(&self) -> usize {
        1 + self.inner.height()
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
        scratch: &mut crate::rows::context::Scratch<'_>,
        out: &mut crate::kernels::cells::Cells,
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
            // The label was just written, so it stays.
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

/// Values of which the replacement is remembered.
const KNOWN_VALUES_MAX: usize = 1 << 10;

/// `label_replace` with its texts.
pub(crate) struct Replace<'t> {
    dst: &'t str,
    replacement: String,
    src: String,
    replacer: Replacer,
}

impl<'t> Replace<'t> {
    /// Reads the texts behind the vector.
    pub fn new(context: &Context<'_>, texts: &[&'t [u8]]) -> Result<Self, EvalError> {
        let [dst, replacement, src, pattern] = texts else { return Err(missing_texts("label_replace")) };
        let dst = label_name(dst, "destination", "label_replace")?;
        let replacement = String::from_utf8_lossy(replacement).into_owned();
        let src = String::from_utf8_lossy(src).into_owned();
        let pattern = String::from_utf8_lossy(pattern);
        let replacer = Replacer::new(&pattern, &context.options.texts.pattern).map_err(|e| refused(&pattern, &e))?;
        Ok(Self { dst, replacement, src, replacer })
    }

    pub fn apply<'a>(self, context: &'a Context<'a>, vector: Vector<'a>) -> Result<Vector<'a>, EvalError> {
        // Few different values of a label occur many times, so replacements are remembered.
        let mut known: HashMap<String, Option<String>> = HashMap::new();
        relabelled(context, vector, self.dst, |labels| {
            let value = labels.get(&self.src).unwrap_or("");
            if let Some(known) = known.get(value) {
                return Ok(known.clone());
            }
            let new = self.replacer.expand(value, &self.replacement, VALUE_BYTES_MAX);
            let new = new.map_err(|_| too_long("label_replace"))?;
            if known.len() < KNOWN_VALUES_MAX {
                known.insert(value.to_owned(), new.clone());
            }
            Ok(new)
        })
    }
}

/// `label_join` with its texts.
pub(crate) struct Join<'t> {
    dst: &'t str,
    separator: String,
    sources: Vec<&'t str>,
}

impl<'t> Join<'t> {
    /// Reads the texts behind the vector.
    pub fn new(texts: &[&'t [u8]]) -> Result<Self, EvalError> {
        let [dst, separator, sources @ ..] = texts else { return Err(missing_texts("label_join")) };
        let dst = label_name(dst, "destination", "label_join")?;
        let separator = String::from_utf8_lossy(separator).into_owned();
        let sources = sources.iter().map(|source| label_name(source, "source", "label_join"));
        Ok(Self { dst, separator, sources: sources.collect::<Result<_, _>>()? })
    }

    pub fn apply<'a>(self, context: &'a Context<'a>, vector: Vector<'a>) -> Result<Vector<'a>, EvalError> {
        relabelled(context, vector, self.dst, |labels| {
            let values: Vec<&str> = self.sources.iter().map(|name| labels.get(name).unwrap_or("")).collect();
            let made_bytes: usize = values.iter().map(|value| value.len() + self.separator.len()).sum();
            if made_bytes > VALUE_BYTES_MAX {
                return Err(too_long("label_join"));
            }
            Ok(Some(values.join(&self.separator)))
        })
    }
}

/// The parser has seen to it that there are enough.
fn missing_texts(function: &str) -> EvalError {
    EvalError::Execution(format!("{function}() needs more texts"))
}
