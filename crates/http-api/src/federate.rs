//! `/federate`: the newest samples of series, in the text format, for another server to collect.

use crate::answer::{Frame, Outcome, Remarks, plain};
use crate::asked::Asked;
use crate::error::ApiError;
use crate::job::Run;
use crate::json::Chunks;
use crate::queries::Queries;
use crate::readiness::Readiness;
use crate::time::now_ms;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use mytsdb_columns::Columns;
use mytsdb_model::{LABEL_NAME, Labels, Matcher, TimeRange, is_stale_nan};
use mytsdb_promql::{LabelStorage, MemoryHold, SelectHints};
use mytsdb_promql_syntax::format_general;
use std::sync::Arc;

/// What a sample takes while it is held, its labels not counted, about.
const SAMPLE_BYTES: u64 = 64;
/// Series between two looks at the clock.
const SERIES_PER_CHECK: usize = 256;

/// How names are written that the classic text format cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Names {
    /// What does not fit becomes an underscore.
    Underscores,
    /// In quotes.
    Utf8,
}

impl Names {
    /// By the `escaping` of the first accepted type that is text; nothing else is spoken here.
    fn negotiate(headers: &HeaderMap) -> Self {
        let accepted = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
        let is_text = |range: &&str| {
            let kind = range.split(';').next().unwrap_or("").trim();
            matches!(kind, "text/plain" | "text/*" | "*/*")
        };
        let escaping = |range: &str| {
            range
                .split(';')
                .filter_map(|p| p.split_once('='))
                .find(|(n, _)| n.trim() == "escaping")
                .map(|(_, v)| v.trim() == "allow-utf-8")
        };
        let utf8 = accepted.split(',').find(is_text).and_then(escaping);
        if utf8 == Some(true) { Names::Utf8 } else { Names::Underscores }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Names::Underscores => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            Names::Utf8 => "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8",
        }
    }
}

pub(crate) async fn answer(
    State(readiness): State<Arc<Readiness>>,
    State(queries): State<Arc<Queries>>,
    asked: Result<Asked, ApiError>,
) -> Response<Body> {
    if !readiness.is_ready() {
        return readiness.not_ready();
    }
    let read = asked.and_then(|asked| {
        let selectors = asked.params.selectors()?;
        Ok((selectors, asked.encoding, Names::negotiate(&asked.headers)))
    });
    let (selectors, encoding, names) = match read {
        Ok(read) => read,
        Err(error) => return plain(StatusCode::BAD_REQUEST, format!("{}\n", error.message)),
    };
    let (storage, options) = (Arc::clone(&queries.storage), queries.options.clone());
    let work = move |run: &Run, out: &mut Chunks| {
        let now = now_ms();
        let range = TimeRange::new(now - options.lookback_ms + 1, now);
        let mut hold = MemoryHold::new(&options);
        let samples = newest(&*storage, &selectors, range, run, &mut hold)?;
        write(&samples, names, run, out)?;
        Ok(Outcome::Data(Remarks::default()))
    };
    let framed = (encoding, Frame::Bare(names.content_type()));
    let mut response = queries.query(queries.timeout, framed, work).await;
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    response
}

struct Newest {
    labels: Labels,
    timestamp_ms: i64,
    value: f64,
}

/// The newest sample of each series that has one in `range`, by name and then by labels, each series once.
fn newest(
    storage: &dyn LabelStorage,
    selectors: &[Vec<Matcher>],
    range: TimeRange,
    run: &Run,
    hold: &mut MemoryHold,
) -> Result<Vec<Newest>, ApiError> {
    let (mut samples, mut columns, mut held_bytes) = (Vec::new(), Columns::default(), 0);
    for matchers in selectors {
        run.cancel.check()?;
        let set = storage.select(&SelectHints::new(range, &run.cancel), matchers).map_err(|e| run.failure(e))?;
        for index in 0..set.len() {
            if index % SERIES_PER_CHECK == 0 {
                run.cancel.check()?;
                hold.grow_to(held_bytes)?;
            }
            columns.clear();
            set.read(index, range, &mut columns).map_err(|e| run.failure(e))?;
            let newest = columns.timestamps_ms.last().zip(columns.values.last());
            if let Some((&timestamp_ms, &value)) = newest.filter(|(_, value)| !is_stale_nan(**value)) {
                samples.push(Newest { labels: set.labels(index).clone(), timestamp_ms, value });
                held_bytes += SAMPLE_BYTES;
            }
        }
    }
    hold.grow_to(held_bytes)?;
    samples.sort_by(|a, b| (a.labels.metric_name(), &a.labels).cmp(&(b.labels.metric_name(), &b.labels)));
    samples.dedup_by(|a, b| a.labels == b.labels);
    Ok(samples)
}

fn write(samples: &[Newest], names: Names, run: &Run, out: &mut Chunks) -> Result<(), ApiError> {
    let mut line = String::new();
    let mut family = None;
    for (i, sample) in samples.iter().enumerate() {
        if i % SERIES_PER_CHECK == 0 {
            run.cancel.check()?;
        }
        let name = sample.labels.metric_name();
        // A series without a name cannot be scraped by others.
        if name.is_empty() {
            continue;
        }
        line.clear();
        if family != Some(name) {
            family = Some(name);
            line.push_str("# TYPE ");
            put_name(&mut line, name, names, true);
            line.push_str(" untyped\n");
        }
        put_sample(&mut line, name, sample, names);
        out.raw(&line);
    }
    Ok(())
}

fn put_sample(line: &mut String, name: &str, sample: &Newest, names: Names) {
    let quoted = names == Names::Utf8 && !is_classic(name, true);
    let mut separator = '{';
    if quoted {
        line.push('{');
        put_name(line, name, names, true);
        separator = ',';
    } else {
        put_name(line, name, names, true);
    }
    let labels = sample.labels.iter().filter(|(label, _)| *label != LABEL_NAME);
    // Whoever collects this keeps an instance that is there, and must not put its own where there is none.
    let none = sample.labels.get("instance").is_none().then_some(("instance", ""));
    for (label, value) in labels.chain(none) {
        line.push(separator);
        separator = ',';
        put_name(line, label, names, false);
        line.push('=');
        put_quoted(line, value);
    }
    let value = format_general(sample.value);
    line.push_str(&["} ", &value, " ", &sample.timestamp_ms.to_string(), "\n"].concat());
}

fn is_classic(name: &str, is_metric: bool) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || (is_metric && b == b':');
    !name.is_empty() && name.bytes().all(fits) && !name.as_bytes()[0].is_ascii_digit()
}

fn put_name(line: &mut String, name: &str, names: Names, is_metric: bool) {
    if is_classic(name, is_metric) {
        line.push_str(name);
    } else if names == Names::Utf8 {
        put_quoted(line, name);
    } else {
        for (at, c) in name.char_indices() {
            let fits = c == '_' || c.is_ascii_alphabetic() || (is_metric && c == ':') || (at > 0 && c.is_ascii_digit());
            line.push(if fits { c } else { '_' });
        }
    }
}

fn put_quoted(line: &mut String, text: &str) {
    line.push('"');
    for c in text.chars() {
        match c {
            '\\' => line.push_str("\\\\"),
            '"' => line.push_str("\\\""),
            '\n' => line.push_str("\\n"),
            _ => line.push(c),
        }
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(labels: &[(&str, &str)], value: f64, names: Names) -> String {
        let labels = Labels::from_pairs(labels.iter().copied());
        let sample = Newest { labels: labels.clone(), timestamp_ms: 7, value };
        let mut line = String::new();
        put_sample(&mut line, labels.metric_name(), &sample, names);
        line
    }

    #[test]
    fn samples_are_lines_of_the_text_format() {
        let labels = [("__name__", "a:b"), ("x", "1\"\\\n")];
        assert_eq!(line(&labels, 1.5, Names::Underscores), "a:b{x=\"1\\\"\\\\\\n\",instance=\"\"} 1.5 7\n");
        let labels = [("__name__", "a.b"), ("instance", "i"), ("x.y", "1")];
        assert_eq!(line(&labels, f64::INFINITY, Names::Underscores), "a_b{instance=\"i\",x_y=\"1\"} +Inf 7\n");
        assert_eq!(line(&labels, 1e21, Names::Utf8), "{\"a.b\",instance=\"i\",\"x.y\"=\"1\"} 1e+21 7\n");
    }

    #[test]
    fn names_are_written_as_the_client_accepts_them() {
        for (accept, expected) in [
            ("text/plain;version=0.0.4;escaping=allow-utf-8", Names::Utf8),
            ("application/openmetrics-text;escaping=allow-utf-8,text/plain;escaping=underscores", Names::Underscores),
            ("*/*", Names::Underscores),
            ("", Names::Underscores),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]);
            assert_eq!(Names::negotiate(&headers), expected, "{accept}");
        }
    }
}
