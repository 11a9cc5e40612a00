//! `series`, `labels` and `label/<name>/values`: what there is, without samples.

use crate::answer::{Outcome, Remarks};
use crate::asked::{Asked, AskedPlainly};
use crate::error::{ApiError, quoted};
use crate::form;
use crate::job::Run;
use crate::json::Chunks;
use crate::label_name;
use crate::params::Params;
use crate::queries::Queries;
use axum::body::Body;
use axum::extract::State;
use http::{Response, Uri};
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_promql::{LabelStorage, MemoryHold, SelectHints, SeriesSet, StorageError};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

/// What a series that was selected takes, about.
const SELECTED_BYTES: u64 = 16;
/// What a selection takes beside its series, about.
const SET_BYTES: u64 = 1 << 10;
/// Series between two looks at the clock.
const SERIES_PER_CHECK: usize = 1024;

/// The parameters that all three take.
struct Lookup {
    selectors: Vec<Vec<Matcher>>,
    range: TimeRange,
    /// `None`: not given. `Some(0)`: none.
    limit: Option<usize>,
    /// What the form takes of the budget for forms is given back when the lookup ends.
    _params: Params,
}

impl Lookup {
    /// Errors of `match[]` come as `named` makes them: `series` names the parameter, the others do not.
    fn read(params: Params, named: fn(ApiError) -> ApiError) -> Result<Self, ApiError> {
        let (limit, range) = (params.limit()?, params.range()?);
        Ok(Self { limit, range, selectors: params.selectors().map_err(named)?, _params: params })
    }

    /// How many the storage is asked for, to notice that there are more.
    fn asked(limit: usize) -> usize {
        if limit == 0 { 0 } else { limit + 1 }
    }
}

pub(crate) async fn series(
    State(queries): State<Arc<Queries>>,
    AskedPlainly(asked): AskedPlainly,
) -> Result<Response<Body>, ApiError> {
    if let Some(reason) = asked.params.malformed() {
        return Err(ApiError::bad_data(format!("error parsing form values: {reason}")));
    }
    if asked.params.all("match[]").next().is_none() {
        return Err(ApiError::bad_data("no match[] parameter provided"));
    }
    let lookup = Lookup::read(asked.params, |error| ApiError::parameter("match[]", error.message))?;
    let (storage, options) = (Arc::clone(&queries.storage), queries.options.clone());
    let work = move |run: &Run, out: &mut Chunks| {
        let limit = lookup.limit.unwrap_or(0);
        let hints = SelectHints { stored: true, ..SelectHints::new(lookup.range, &run.cancel) };
        let mut hold = MemoryHold::new(&options);
        let mut held_bytes = 0;
        let mut sets = Vec::with_capacity(lookup.selectors.len());
        for matchers in &lookup.selectors {
            run.cancel.check()?;
            let set = storage.select(&hints, matchers).map_err(|error| run.failure(error))?;
            held_bytes += set.len() as u64 * SELECTED_BYTES + SET_BYTES;
            hold.grow_to(held_bytes)?;
            sets.push(set);
        }
        let truncated = write_series(&sets, limit, run, out)?;
        Ok(Outcome::Data(Remarks::truncated(truncated).warned(storage.warnings(lookup.range))))
    };
    Ok(queries.lookup(asked.encoding, work).await)
}

/// Writes the series of all sets, each once and in order; at most `limit` (0 = all). Says whether there were more. Holds
/// one series of each set.
fn write_series(sets: &[Box<dyn SeriesSet + '_>], limit: usize, run: &Run, out: &mut Chunks) -> Result<bool, ApiError> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    // The next series of each set that is not at its end, least labels first.
    let first = |set: usize| sets[set].labels(0);
    let mut next: BinaryHeap<Reverse<(&Labels, usize, usize)>> =
        (0..sets.len()).filter(|&set| !sets[set].is_empty()).map(|set| Reverse((first(set), set, 0))).collect();
    let mut last: Option<&Labels> = None;
    let (mut count, mut steps, mut more) = (0, 0, false);
    out.raw("[");
    while let Some(Reverse((labels, set, index))) = next.pop() {
        steps += 1;
        if steps % SERIES_PER_CHECK == 0 {
            run.cancel.check()?;
        }
        if index + 1 < sets[set].len() {
            next.push(Reverse((sets[set].labels(index + 1), set, index + 1)));
        }
        if last == Some(labels) {
            continue;
        }
        more = count == limit;
        if more || !out.is_wanted() {
            break;
        }
        if count > 0 {
            out.raw(",");
        }
        out.labels(labels);
        last = Some(labels);
        count += 1;
    }
    out.raw("]");
    Ok(more)
}

pub(crate) async fn label_names(State(queries): State<Arc<Queries>>, asked: Asked) -> Result<Response<Body>, ApiError> {
    names_or_values(&queries, asked, 0, |storage, lookup, matchers, asked, run| {
        storage.label_names(lookup.range, matchers, asked, &run.cancel)
    })
    .await
}

pub(crate) async fn label_values(
    State(queries): State<Arc<Queries>>,
    uri: Uri,
    asked: Asked,
) -> Result<Response<Body>, ApiError> {
    // Reads the name itself: the router would refuse invalid UTF-8 with another text.
    let segment = uri.path().rsplit('/').nth(1).unwrap_or("");
    let name = String::from_utf8(form::decode_path(segment.as_bytes()))
        .map_err(|error| ApiError::bad_data(format!("invalid label name: {}", quoted(error.as_bytes()))))?;
    let name = label_name::unescape(&name);
    if name.is_empty() {
        return Err(ApiError::bad_data(format!("invalid label name: {name:?}")));
    }
    names_or_values(&queries, asked, queries.label_values_max, move |storage, lookup, matchers, asked, run| {
        storage.label_values(&name, lookup.range, matchers, asked, &run.cancel)
    })
    .await
}

/// Answers with what `find` gives for one selector after the other; at most `limit` if the request names none (0 = all).
/// Tried on the connection's thread first: most of it is remembered and short.
async fn names_or_values(
    queries: &Queries,
    asked: Asked,
    limit: usize,
    find: impl Fn(&dyn LabelStorage, &Lookup, &[Matcher], usize, &Run) -> Result<Vec<String>, StorageError> + Send + 'static,
) -> Result<Response<Body>, ApiError> {
    let lookup = Lookup::read(asked.params, |error| error)?;
    let storage = Arc::clone(&queries.storage);
    let work = move |run: &Run, out: &mut Chunks| {
        let limit = lookup.limit.unwrap_or(limit);
        let find = |matchers: &[Matcher]| find(&*storage, &lookup, matchers, Lookup::asked(limit), run);
        let texts = union(&lookup, run, find)?;
        Ok(Outcome::Data(write_strings(out, texts, limit).warned(storage.warnings(lookup.range))))
    };
    match queries.lookup_at_once(asked.encoding, &work) {
        Some(response) => Ok(response),
        None => Ok(queries.lookup(asked.encoding, work).await),
    }
}

/// What one selector after the other gives; of all series if there is no selector.
fn union(
    lookup: &Lookup,
    run: &Run,
    mut find: impl FnMut(&[Matcher]) -> Result<Vec<String>, StorageError>,
) -> Result<Vec<String>, ApiError> {
    if lookup.selectors.is_empty() {
        return find(&[]).map_err(|error| run.failure(error));
    }
    let mut all = Vec::new();
    for matchers in &lookup.selectors {
        run.cancel.check()?;
        all.append(&mut find(matchers).map_err(|error| run.failure(error))?);
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn write_strings(out: &mut Chunks, mut texts: Vec<String>, limit: usize) -> Remarks {
    let truncated = limit > 0 && texts.len() > limit;
    if truncated {
        texts.truncate(limit);
    }
    out.strings(texts);
    Remarks::truncated(truncated)
}
