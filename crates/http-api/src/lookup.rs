//! `series`, `labels` and `label/<name>/values`: what there is, without samples.

use crate::answer::{Answer, Outcome, Remarks};
use crate::api::Shared;
use crate::encoding::Encoding;
use crate::error::{ApiError, quoted};
use crate::form;
use crate::job::{self, Run};
use crate::json::Chunks;
use crate::label_name;
use crate::params::{Forms, Params};
use axum::body::Body;
use axum::extract::{Request, State};
use http::Response;
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
    /// Errors of `match[]` come as `named` makes them: the three endpoints do not agree.
    fn read(params: Params, named: fn(ApiError) -> ApiError) -> Result<Self, ApiError> {
        let (limit, range) = (params.limit()?, params.range()?);
        Ok(Self { limit, range, selectors: params.selectors().map_err(named)?, _params: params })
    }

    /// For `labels` and values: errors of `match[]` without the name of the parameter.
    fn of_labels(params: Params) -> Result<Self, ApiError> {
        Self::read(params, |error| error)
    }

    /// How many the storage is asked for, to notice that there are more.
    fn asked(limit: usize) -> usize {
        if limit == 0 { 0 } else { limit + 1 }
    }
}

pub(crate) async fn series(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let read = |params: Params| {
        if let Some(reason) = params.malformed() {
            return Err(ApiError::bad_data(format!("error parsing form values: {reason}")));
        }
        if params.all("match[]").next().is_none() {
            return Err(ApiError::bad_data("no match[] parameter provided"));
        }
        Lookup::read(params, |error| ApiError::parameter("match[]", error.message))
    };
    let options = shared.options.query.clone();
    answer(shared, request, (Answered::Later, Forms::UrlEncoded), read, move |storage, lookup, run, out| {
        let limit = lookup.limit.unwrap_or(0);
        let hints = SelectHints { func: Some("series"), ..SelectHints::new(lookup.range, &run.cancel) };
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
        Ok(Outcome::Data(Remarks::truncated(truncated)))
    })
    .await
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

pub(crate) async fn label_names(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    answer(shared, request, (Answered::AtOnce, Forms::All), Lookup::of_labels, |storage, lookup, run, out| {
        let limit = lookup.limit.unwrap_or(0);
        let names = union(lookup, run, |matchers| {
            storage.label_names(lookup.range, matchers, Lookup::asked(limit), &run.cancel)
        })?;
        Ok(write_strings(out, names, limit))
    })
    .await
}

pub(crate) async fn label_values(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    // By hand: a router's own reading refuses what is no UTF-8 in words of its own.
    let segment = request.uri().path().rsplit('/').nth(1).unwrap_or("");
    let Ok(name) = String::from_utf8(form::decode_path(segment.as_bytes())) else {
        let bytes = form::decode_path(segment.as_bytes());
        return Answer::error(&ApiError::bad_data(format!("invalid label name: {}", quoted(&bytes)))).into_response();
    };
    let name = label_name::unescape(&name);
    if name.is_empty() {
        return Answer::error(&ApiError::bad_data(format!("invalid label name: {name:?}"))).into_response();
    }
    let values_max = shared.options.label_values_max;
    answer(shared, request, (Answered::AtOnce, Forms::All), Lookup::of_labels, move |storage, lookup, run, out| {
        let limit = lookup.limit.unwrap_or(values_max);
        let asked = Lookup::asked(limit);
        let values =
            union(lookup, run, |matchers| storage.label_values(&name, lookup.range, matchers, asked, &run.cancel))?;
        Ok(write_strings(out, values, limit))
    })
    .await
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

fn write_strings(out: &mut Chunks, mut texts: Vec<String>, limit: usize) -> Outcome {
    let truncated = limit > 0 && texts.len() > limit;
    if truncated {
        texts.truncate(limit);
    }
    out.strings(texts);
    Outcome::Data(Remarks::truncated(truncated))
}

/// Whether a lookup is tried on the connection's thread.
enum Answered {
    /// Most of it is remembered and short.
    AtOnce,
    /// It mostly takes longer, so that trying is a waste.
    Later,
}

async fn answer(
    shared: Arc<Shared>,
    request: Request,
    (answered, forms): (Answered, Forms),
    read: impl FnOnce(Params) -> Result<Lookup, ApiError>,
    find: impl Fn(&dyn LabelStorage, &Lookup, &Run, &mut Chunks) -> Result<Outcome, ApiError> + Send + 'static,
) -> Response<Body> {
    let encoding = Encoding::negotiate(request.headers());
    let lookup = match Params::read(&shared, request, forms).await.and_then(read) {
        Ok(lookup) => lookup,
        Err(error) => return Answer::error(&error).into_response(),
    };
    let storage = Arc::clone(&shared.storage);
    let work = move |run: &Run, out: &mut Chunks| find(&*storage, &lookup, run, out);
    if matches!(answered, Answered::AtOnce)
        && let Some(response) = job::at_once(&shared.lookups, encoding, &work)
    {
        return response;
    }
    job::run(&shared.lookups, &shared.options.query, shared.options.query_timeout, encoding, work).await
}
