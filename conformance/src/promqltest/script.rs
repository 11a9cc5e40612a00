//! The test language: lines to commands.

use mytsdb_model::Labels;
use mytsdb_promql_syntax::parse_duration_ms;
use mytsdb_promql_testkit::{SequenceItem, parse_series_description};
use regex_automata::meta::Regex;

/// One command of a script.
#[derive(Debug)]
pub enum Command {
    Clear,
    /// The whole block, head included.
    Load {
        line: usize,
        block: String,
    },
    Eval(Box<Eval>),
}

/// An `eval` command with all that is expected of it.
#[derive(Debug, Default)]
pub struct Eval {
    pub line: usize,
    pub query: String,
    pub start_ms: i64,
    pub end_ms: i64,
    /// 0 for an instant query.
    pub step_ms: i64,
    pub ordered: bool,
    /// The run must fail, with this message if any.
    pub fail: Option<Expected>,
    pub warn: Vec<Expected>,
    pub info: Vec<Expected>,
    pub no_warn: bool,
    pub no_info: bool,
    pub string: Option<String>,
    pub scalar: Option<f64>,
    /// `expect range vector`: start, end, step.
    pub range_vector: Option<(i64, i64, i64)>,
    pub series: Vec<(Labels, Vec<SequenceItem>)>,
}

/// What a message has to be.
#[derive(Debug)]
pub enum Expected {
    Any,
    Exact(String),
    Pattern(Regex),
}

impl Expected {
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Expected::Any => true,
            Expected::Exact(expected) => expected == text,
            Expected::Pattern(regex) => regex.is_match(text),
        }
    }
}

type Parsed<T> = Result<T, String>;

/// Parses a whole script.
pub fn parse(text: &str) -> Parsed<Vec<Command>> {
    let lines: Vec<&str> =
        text.split('\n').map(str::trim).map(|line| if line.starts_with('#') { "" } else { line }).collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let number = at + 1;
        let head = lines[at];
        if head.is_empty() {
            at += 1;
            continue;
        }
        let length = lines[at..].iter().take_while(|line| !line.is_empty()).count();
        let word = head.split(['\t', ' ']).next().unwrap_or("").to_lowercase();
        if word == "clear" {
            commands.push(Command::Clear);
            at += 1;
        } else if word.starts_with("load") {
            commands.push(Command::Load { line: number, block: lines[at..at + length].join("\n") });
            at += length;
        } else if word.starts_with("eval") {
            let (eval, used) =
                parse_eval(head, &lines[at + 1..at + length], number).map_err(|e| format!("line {number}: {e}"))?;
            commands.push(Command::Eval(Box::new(eval)));
            at += 1 + used;
        } else {
            return Err(format!("line {number}: unknown command {head:?}"));
        }
    }
    Ok(commands)
}

fn captures<'t>(pattern: &str, text: &'t str) -> Option<Vec<Option<&'t str>>> {
    let regex = Regex::new(pattern).expect("the patterns of the test language are valid");
    let mut captures = regex.create_captures();
    regex.captures(text, &mut captures);
    captures.is_match().then(|| captures.iter().map(|span| span.map(|s| &text[s.start..s.end])).collect())
}

fn parse_eval(head: &str, body: &[&str], line: usize) -> Parsed<(Eval, usize)> {
    const INSTANT: &str = r"^eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)$";
    const RANGE: &str = r"^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$";
    let mut eval = Eval { line, ..Eval::default() };
    let group = |groups: &[Option<&str>], i: usize| groups[i].unwrap_or("").to_owned();
    let mode;
    if let Some(groups) = captures(INSTANT, head) {
        mode = group(&groups, 1);
        eval.start_ms = parse_duration_ms(&group(&groups, 2))?;
        eval.end_ms = eval.start_ms;
        eval.query = group(&groups, 3);
    } else if let Some(groups) = captures(RANGE, head) {
        mode = group(&groups, 1);
        eval.start_ms = parse_duration_ms(&group(&groups, 2))?;
        eval.end_ms = parse_duration_ms(&group(&groups, 3))?;
        eval.step_ms = parse_duration_ms(&group(&groups, 4))?;
        eval.query = group(&groups, 5);
        if eval.end_ms < eval.start_ms || eval.step_ms == 0 {
            return Err("invalid range".into());
        }
    } else {
        return Err(format!("invalid eval command {head:?}"));
    }
    match mode.as_str() {
        "fail" => eval.fail = Some(Expected::Any),
        "warn" => eval.warn.push(Expected::Any),
        "info" => eval.info.push(Expected::Any),
        "ordered" => eval.ordered = true,
        _ => {}
    }
    let mut used = 0;
    for text in body {
        used += 1;
        if text.split(['\t', ' ']).next() == Some("expect") {
            expectation(&mut eval, text)?;
            continue;
        }
        if let Some(number) = bare_number(text) {
            eval.scalar = Some(number);
            break;
        }
        let description = parse_series_description(text).map_err(|e| e.to_string())?;
        eval.series.push((description.labels, description.values));
    }
    if (!eval.warn.is_empty() && eval.no_warn) || (!eval.info.is_empty() && eval.no_info) {
        return Err("contradicting expectations".into());
    }
    if eval.step_ms > 0 && eval.scalar.is_some() {
        return Err("a range query gives no scalar".into());
    }
    Ok((eval, used))
}

fn bare_number(text: &str) -> Option<f64> {
    if text.contains([' ', '\t', '{']) {
        return None;
    }
    match mytsdb_promql_syntax::parse(text).ok()? {
        mytsdb_promql_syntax::Expr::Number(number) if !number.duration => Some(number.value),
        _ => None,
    }
}

fn expectation(eval: &mut Eval, text: &str) -> Parsed<()> {
    if let Some(groups) = captures(r"^expect range vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)$", text) {
        let time = |i: usize| parse_duration_ms(groups[i].unwrap_or(""));
        let range: (i64, i64, i64) = (time(1)?, time(2)?, time(3)?);
        eval.end_ms = range.1;
        eval.start_ms = range.1;
        eval.range_vector = Some(range);
        return Ok(());
    }
    if let Some(literal) = text.strip_prefix("expect string") {
        let expr = mytsdb_promql_syntax::parse(literal.trim()).map_err(|e| e.to_string())?;
        let mytsdb_promql_syntax::Expr::String(literal) = expr else { return Err(format!("not a string: {text:?}")) };
        eval.string = Some(literal.text().into_owned());
        return Ok(());
    }
    let Some(groups) = captures(r"^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?$", text)
    else {
        return Err(format!("invalid expectation {text:?}"));
    };
    let message = groups[3].unwrap_or("").trim().to_owned();
    let expected = match groups[2] {
        Some("regex") => Expected::Pattern(Regex::new(&message).map_err(|e| e.to_string())?),
        Some(_) => Expected::Exact(message),
        None => Expected::Any,
    };
    match groups[1] {
        Some("ordered") => eval.ordered = true,
        Some("fail") => eval.fail = Some(expected),
        Some("warn") => eval.warn.push(expected),
        Some("info") => eval.info.push(expected),
        Some("no_warn") => eval.no_warn = true,
        _ => eval.no_info = true,
    }
    Ok(())
}
