//! `series`, `labels` and `label/<name>/values`: what there is, without samples.

use crate::answer::{Answer, Outcome, Remarks};
use crate::api::Shared;
use crate::encoding::Encoding;
use crate::error::ApiError;
use crate::job::{self, Run};
use crate::json::Chunks;
use crate::label_name;
use crate::params::Params;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use http::Response;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_promql::{LabelStorage, SelectHints, StorageError};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The parameters that all three take.
struct Lookup {
    selectors: Vec<Vec<Matcher>>,
    range: TimeRange,
    /// `None`: not given. `Some(0)`: none.
    limit: Option<usize>,
}

impl Lookup {
    fn read(params: &Params) -> Result<Self, ApiError> {
        Ok(Self { limit: params.limit()?, range: params.range()?, selectors: params.selectors()? })
    }

    /// How many the storage is asked for, to notice that there are more.
    fn asked(limit: usize) -> usize {
        if limit == 0 { 0 } else { limit + 1 }
    }
}

pub(crate) async fn series(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let read = |params: &Params| {
        if params.all("match[]").next().is_none() {
            return Err(ApiError::bad_data("no match[] parameter provided"));
        }
        Lookup::read(params)
    };
    answer(shared, request, Answered::Later, read, |storage, lookup, run, out| {
        let limit = lookup.limit.unwrap_or(0);
        let hints = SelectHints { func: Some("series"), ..SelectHints::new(lookup.range, &run.cancel) };
        let select = |matchers| storage.select(&hints, matchers).map_err(|error| run.failure(error));
        let bounded = |len: usize| if limit == 0 { len } else { len.min(limit) };
        let len = if let [matchers] = &lookup.selectors[..] {
            // In order and each once already.
            let set = select(matchers)?;
            out.list((0..bounded(set.len())).map(|index| set.labels(index)), Chunks::labels);
            set.len()
        } else {
            let mut found: BTreeSet<Labels> = BTreeSet::new();
            for matchers in &lookup.selectors {
                run.cancel.check()?;
                let set = select(matchers)?;
                let asked = if limit == 0 { set.len() } else { set.len().min(Lookup::asked(limit)) };
                found.extend((0..asked).map(|index| set.labels(index).clone()));
            }
            out.list(found.iter().take(bounded(found.len())), Chunks::labels);
            found.len()
        };
        let truncated = limit > 0 && len > limit;
        Ok(Outcome::Data(Remarks::truncated(truncated)))
    })
    .await
}

pub(crate) async fn label_names(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    answer(shared, request, Answered::AtOnce, Lookup::read, |storage, lookup, run, out| {
        let limit = lookup.limit.unwrap_or(0);
        let names = union(lookup, run, |matchers| {
            storage.label_names(lookup.range, matchers, Lookup::asked(limit), &run.cancel)
        })?;
        Ok(write_strings(out, names, limit))
    })
    .await
}

pub(crate) async fn label_values(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    request: Request,
) -> Response<Body> {
    let name = label_name::unescape(&name);
    if name.is_empty() {
        return Answer::error(&ApiError::bad_data(format!("invalid label name: {name:?}"))).into_response();
    }
    let values_max = shared.options.label_values_max;
    answer(shared, request, Answered::AtOnce, Lookup::read, move |storage, lookup, run, out| {
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
    answered: Answered,
    read: impl FnOnce(&Params) -> Result<Lookup, ApiError>,
    find: impl Fn(&dyn LabelStorage, &Lookup, &Run, &mut Chunks) -> Result<Outcome, ApiError> + Send + 'static,
) -> Response<Body> {
    let encoding = Encoding::negotiate(request.headers());
    let lookup = match Params::read(request).await.and_then(|params| read(&params)) {
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
