//! Metric names: escaping, and the suffixes for unit and type.

use crate::TranslationStrategy;
use crate::unit::{clean, unit_name, words};
use crate::wire::MetricData;

/// The part of a metric's kind that its name shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A sum that never falls; its name ends in `total`.
    MonotonicSum,
    /// A gauge; its name ends in `ratio` if its unit is `1`.
    Gauge,
    /// Everything else.
    Other,
}

impl From<MetricData> for NameKind {
    fn from(data: MetricData) -> Self {
        match data {
            MetricData::Sum { monotonic: true, .. } => Self::MonotonicSum,
            MetricData::Gauge => Self::Gauge,
            _ => Self::Other,
        }
    }
}

/// The series name of a metric.
///
/// # Errors
/// A sentence, if nothing usable is left of the name.
pub fn metric_name(
    strategy: TranslationStrategy,
    namespace: &str,
    name: &str,
    unit: &str,
    kind: NameKind,
) -> Result<String, String> {
    let result = match (strategy.allows_utf8(), strategy.adds_suffixes()) {
        (true, false) => with_namespace(namespace, name),
        (true, true) => with_namespace(namespace, &utf8_with_suffixes(name, unit, kind)),
        (false, false) => escaped(namespace, name),
        (false, true) => escaped_with_suffixes(namespace, name, unit, kind),
    };
    if result.is_empty() {
        return Err(format!("normalization for metric {name:?} resulted in empty name"));
    }
    if result != name && result.bytes().all(|b| b == b'_') {
        return Err(format!("normalization for metric {name:?} resulted in invalid name {result:?}"));
    }
    Ok(result)
}

/// The unit in metadata.
pub fn metadata_unit(strategy: TranslationStrategy, unit: &str) -> String {
    unit_name(unit, strategy.allows_utf8())
}

fn with_namespace(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}_{name}") }
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':' || c == '_'
}

fn join_tokens(text: &str, keep: impl Fn(char) -> bool) -> String {
    text.split(|c: char| !keep(c)).filter(|token| !token.is_empty()).collect::<Vec<_>>().join("_")
}

fn escaped(namespace: &str, name: &str) -> String {
    let name = join_tokens(name, is_name_char);
    if namespace.is_empty() {
        return guard_digit(name);
    }
    format!("{}_{name}", join_tokens(namespace, is_name_char))
}

fn guard_digit(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn escaped_with_suffixes(namespace: &str, name: &str, unit: &str, kind: NameKind) -> String {
    let mut tokens: Vec<&str> =
        name.split(|c: char| !(c.is_ascii_alphanumeric() || c == ':')).filter(|t| !t.is_empty()).collect();
    let (main, per) = words(unit);
    let (mut main, mut per) = (clean(&main), clean(&per));
    if tokens.contains(&main.as_str()) {
        main.clear();
    }
    if per == "per_" {
        per.clear();
    } else {
        per = per.strip_suffix('_').unwrap_or(&per).to_owned();
        if tokens.contains(&per.as_str()) {
            per.clear();
        }
    }
    if !per.is_empty() {
        main = main.strip_suffix('_').unwrap_or(&main).to_owned();
    }
    tokens.extend([main.as_str(), per.as_str()].into_iter().filter(|t| !t.is_empty()));
    if kind == NameKind::MonotonicSum {
        tokens.retain(|t| *t != "total");
        tokens.push("total");
    }
    if kind == NameKind::Gauge && unit == "1" {
        tokens.retain(|t| *t != "ratio");
        tokens.push("ratio");
    }
    let namespace = join_tokens(namespace, is_name_char);
    if !namespace.is_empty() {
        tokens.insert(0, &namespace);
    }
    guard_digit(tokens.join("_"))
}

fn utf8_with_suffixes(name: &str, unit: &str, kind: NameKind) -> String {
    let (main, per) = words(unit);
    let total = if kind == NameKind::MonotonicSum { "total" } else { "" };
    let ratio = if kind == NameKind::Gauge && unit == "1" { "ratio" } else { "" };
    // Suffixes that the name has already are removed from the end inwards and appended again in the reverse order.
    let base = [ratio, total, &per].into_iter().fold(name, trim_suffix);
    let mut name = base.to_owned();
    let main = if base.ends_with(&main) { "" } else { &main };
    for suffix in [main, &per, total, ratio].into_iter().filter(|s| !s.is_empty()) {
        name.push('_');
        name.push_str(suffix);
    }
    name
}

/// Takes `suffix` and the character before it off, if it is there.
fn trim_suffix<'a>(name: &'a str, suffix: &str) -> &'a str {
    match name.strip_suffix(suffix) {
        Some(rest) if !suffix.is_empty() => {
            let mut chars = rest.chars();
            chars.next_back();
            chars.as_str()
        }
        _ => name,
    }
}
