//! Reads a request's body with room taken for its bytes before they are kept.

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::header;
use http_body::Body as _;
use http_body_util::BodyExt;
use mytsdb_ingest::{Appender, BodyPace, Buffer, Encoding, Ingest, IngestMetrics, Refusal, Room, Unavailable};

/// Room that is taken at first for a body that does not say how long it is; then it doubles.
const ROOM_BYTES: usize = 64 << 10;

/// Memory that is reserved for a body because of its declared length alone.
const RESERVE_BYTES_MAX: usize = 1 << 20;

/// Reads a request's body in bounded time and undoes its compression.
pub(crate) async fn receive<A: Appender>(
    request: Request,
    encoding: Encoding,
    ingest: &Ingest<A>,
    metrics: &IngestMetrics,
) -> Result<(Bytes, Room), Refusal> {
    let waits_for_leave = request.headers().contains_key(header::EXPECT);
    let mut body = request.into_body();
    let timeout = ingest.options().body_timeout;
    let mut pace = BodyPace::new(ingest.options());
    let read = async {
        let read = read((&mut body, &mut pace), encoding, ingest, metrics).await;
        // A sender that asked first sends nothing if it hears no.
        if read.is_err() && !waits_for_leave {
            drain((&mut body, &mut pace), 2 * ingest.options().max_message_bytes).await;
        }
        read
    };
    let slow = |_| Refusal::slow_body(timeout);
    let (message, mut room) = tokio::time::timeout(timeout, read).await.map_err(slow)??;
    let request = ingest.inflate(message, encoding, &mut room).await?;
    room.shrink(request.len());
    Ok((request, room))
}

/// Reads a body that is not wanted, in bounded time.
pub(crate) async fn discard<A: Appender>(request: Request, ingest: &Ingest<A>) {
    if !request.headers().contains_key(header::EXPECT) {
        let (mut body, options) = (request.into_body(), ingest.options());
        let mut pace = BodyPace::new(options);
        let drained = drain((&mut body, &mut pace), 2 * options.max_message_bytes);
        // It does not matter whether the body ends in time.
        drop(tokio::time::timeout(options.body_timeout, drained).await);
    }
}

/// Reads all of a body, or as much of it as shows that it is too large.
async fn read<A: Appender>(
    (body, pace): (&mut Body, &mut BodyPace),
    encoding: Encoding,
    ingest: &Ingest<A>,
    metrics: &IngestMetrics,
) -> Result<(Bytes, Room), Refusal> {
    // What the length header says, or nothing for a body in chunks.
    let declared = body.size_hint().exact().map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if let Some(length) = declared {
        ingest.check_length(length, encoding)?;
    }
    let mut room = ingest.admit(declared.unwrap_or(ROOM_BYTES), metrics).await?;
    let mut only = Bytes::new();
    let mut all: Option<Buffer> = None;
    while let Some(piece) = piece(body, pace).await? {
        let length = all.as_ref().map_or(only.len(), Buffer::len) + piece.len();
        ingest.check_length(length, encoding)?;
        if length > room.bytes() {
            let more = (length - room.bytes()).max(room.bytes());
            ingest.enlarge(&mut room, more).await?;
        }
        if length == piece.len() && declared.is_none_or(|declared| declared <= length) {
            // A body that arrives in one piece is not copied.
            only = piece;
            continue;
        }
        // Others are copied piece by piece, so that the connection can read into the same memory again.
        let reserved = declared.unwrap_or(length).min(RESERVE_BYTES_MAX);
        let all = all.get_or_insert_with(|| ingest.buffers().take(reserved));
        all.extend_from_slice(&std::mem::take(&mut only));
        all.extend_from_slice(&piece);
    }
    Ok((all.map_or(only, Buffer::freeze), room))
}

/// Reads the rest of a body that is not wanted and keeps nothing of it, so that the sender comes to read the answer
/// instead of losing the connection; at most `bytes_max`, and no longer than the pace allows.
async fn drain((body, pace): (&mut Body, &mut BodyPace), bytes_max: usize) {
    let mut rest = bytes_max;
    while let Ok(Some(piece)) = piece(body, pace).await {
        match rest.checked_sub(piece.len()) {
            Some(less) => rest = less,
            None => return,
        }
    }
}

/// The next piece of the body, `None` at its end. Never empty.
async fn piece(body: &mut Body, pace: &mut BodyPace) -> Result<Option<Bytes>, Refusal> {
    while let Some(frame) = pace.wait_for(body.frame()).await? {
        // A body that breaks off is the connection's fault, not the data's.
        let frame =
            frame.map_err(|error| Refusal::unavailable(Unavailable::Transfer, format!("request body: {error}")))?;
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            pace.arrived(data.len());
            return Ok(Some(data));
        }
    }
    Ok(None)
}
