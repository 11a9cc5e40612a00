//! `read`: raw samples for another Prometheus, as one sampled message or as a stream of chunks.

use crate::answer::{Frame, Outcome, Remarks, plain};
use crate::encoding::Encoding;
use crate::error::{ApiError, ErrorKind};
use crate::job::Run;
use crate::json::Chunks;
use crate::queries::Queries;
use axum::body::Body;
use axum::extract::{Request, State};
use http::{HeaderValue, Response, StatusCode, header};
use mytsdb_columns::Columns;
use mytsdb_promql::{LabelStorage, MemoryHold, SelectHints};
use mytsdb_remote_read::{Query, ReadRequest, ResponseType, Sampled, Streamed};
use std::sync::Arc;
use std::time::Duration;

/// Largest request, in bytes as it arrives and unpacked: matchers and ranges.
const PACKED_BYTES_MAX: usize = 4 << 20;
const REQUEST_BYTES_MAX: usize = 16 << 20;

/// Longest time for a request to arrive.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(30);

const SAMPLED: &str = "application/x-protobuf";
const STREAMED: &str = "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse";

pub(crate) async fn answer(State(queries): State<Arc<Queries>>, request: Request) -> Response<Body> {
    let request = match receive(request).await {
        Ok(request) => request,
        Err(problem) => return plain(StatusCode::BAD_REQUEST, format!("{problem}\n")),
    };
    let storage = Arc::clone(&queries.storage);
    let streams = request.accepted[0] == ResponseType::StreamedXorChunks;
    let (options, content_type) = (queries.options.clone(), if streams { STREAMED } else { SAMPLED });
    let work = move |run: &Run, out: &mut Chunks| {
        let mut hold = MemoryHold::new(&options);
        let reading = Reading { storage: &*storage, run, samples_left: options.max_samples };
        if streams {
            reading.stream(&request.queries, out)?;
        } else {
            reading.sample(&request.queries, &mut hold, out)?;
        }
        Ok(Outcome::Data(Remarks::default()))
    };
    let mut response = queries.query(queries.timeout, (Encoding::Identity, Frame::Bare(content_type)), work).await;
    if !streams && response.status() == StatusCode::OK {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("snappy"));
    }
    response
}

/// Reads a request, a snappy block, in bounded time and memory.
async fn receive(request: Request) -> Result<ReadRequest, String> {
    let body = axum::body::to_bytes(request.into_body(), PACKED_BYTES_MAX);
    let arrived = tokio::time::timeout(ARRIVAL_TIMEOUT, body).await;
    let packed = arrived
        .map_err(|_| format!("the request did not arrive within {ARRIVAL_TIMEOUT:?}"))?
        .map_err(|error| format!("read the request, of at most {PACKED_BYTES_MAX} bytes: {error}"))?;
    let length =
        snap::raw::decompress_len(&packed).map_err(|error| format!("the request is no snappy block: {error}"))?;
    if length > REQUEST_BYTES_MAX {
        return Err(format!("request of {length} bytes, the limit is {REQUEST_BYTES_MAX}"));
    }
    let message = snap::raw::Decoder::new().decompress_vec(&packed);
    let message = message.map_err(|error| format!("the request is no snappy block: {error}"))?;
    ReadRequest::parse(&message).map_err(|error| error.to_string())
}

struct Reading<'a> {
    storage: &'a dyn LabelStorage,
    run: &'a Run,
    samples_left: u64,
}

impl Reading<'_> {
    fn stream(mut self, queries: &[Query], out: &mut Chunks) -> Result<(), ApiError> {
        let mut frames = Vec::new();
        for (index, query) in queries.iter().enumerate() {
            let stream = Streamed::new(index);
            self.each(query, &mut |labels, columns| {
                frames.clear();
                let failed = |error| ApiError::new(ErrorKind::Internal, format!("{labels}: {error}"));
                stream.series(labels, columns, &mut frames).map_err(failed)?;
                out.raw_bytes(&frames);
                Ok(())
            })?;
        }
        Ok(())
    }

    fn sample(mut self, queries: &[Query], hold: &mut MemoryHold, out: &mut Chunks) -> Result<(), ApiError> {
        let mut answer = Sampled::default();
        for query in queries {
            self.each(query, &mut |labels, columns| {
                answer.series(labels, columns);
                // With the packed form, which may be as large.
                Ok(hold.grow_to(2 * answer.bytes() as u64)?)
            })?;
            answer.end_query();
        }
        let message = answer.finish();
        let failed =
            |error| ApiError::new(ErrorKind::Execution, format!("the answer is too large for snappy: {error}"));
        out.raw_bytes(&snap::raw::Encoder::new().compress_vec(&message).map_err(failed)?);
        Ok(())
    }

    /// Reads the series of a query, one after the other, ascending by labels.
    fn each(
        &mut self,
        query: &Query,
        take: &mut dyn FnMut(&mytsdb_model::Labels, &Columns) -> Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let hints = SelectHints::new(query.range, &self.run.cancel);
        let set = self.storage.select(&hints, &query.matchers).map_err(|error| self.run.failure(error))?;
        let (mut columns, limit) = (Columns::default(), self.samples_left);
        for index in 0..set.len() {
            self.run.cancel.check()?;
            columns.clear();
            set.read(index, query.range, &mut columns).map_err(|error| self.run.failure(error))?;
            let count = (columns.values.len() + columns.histograms.len()) as u64;
            self.samples_left = self.samples_left.checked_sub(count).ok_or_else(|| {
                let reason = format!("more than {limit} samples, the limit (--query-max-samples)");
                ApiError::new(ErrorKind::Execution, reason)
            })?;
            take(set.labels(index), &columns)?;
        }
        Ok(())
    }
}
