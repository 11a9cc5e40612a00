//! Reads the one message of a unary gRPC request: a flag, a big-endian length, that many bytes.

use bytes::{Buf, Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use mytsdb_ingest::{BodyPace, Buffers, Encoding, Refusal, Unavailable};
use std::pin::Pin;
use tonic::body::Body;

/// Bytes of flag and length in front of a message.
const PREFIX_BYTES: usize = 5;

/// Room that is made for a message because of its declared length alone.
const RESERVE_BYTES_MAX: usize = 1 << 20;

/// Length and compression of a message whose bytes have not been read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Prefix {
    pub encoding: Encoding,
    pub length: usize,
}

/// A request body, read up to some point.
pub(crate) struct FrameReader {
    body: Body,
    pace: BodyPace,
    /// Bytes that arrived and were not used yet.
    pending: Bytes,
}

impl FrameReader {
    pub fn new(body: Body, pace: BodyPace) -> Self {
        Self { body, pace, pending: Bytes::new() }
    }

    /// The next piece of the body, `None` at its end. Never empty.
    async fn piece(&mut self) -> Result<Option<Bytes>, Refusal> {
        while let Some(frame) = self.pace.wait_for(self.body.frame()).await? {
            // A body that breaks off is the connection's fault, not the data's.
            let frame =
                frame.map_err(|error| Refusal::unavailable(Unavailable::Transfer, format!("request body: {error}")))?;
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                self.pace.arrived(data.len());
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    /// Reads flag and length; nothing is made ready for the message yet. `encoding` is what the headers announce.
    pub async fn prefix(&mut self, encoding: Encoding) -> Result<Prefix, Refusal> {
        let mut head = BytesMut::with_capacity(PREFIX_BYTES);
        while head.len() < PREFIX_BYTES {
            if self.pending.is_empty() {
                self.pending = self.piece().await?.ok_or_else(|| Refusal::malformed("request without a message"))?;
            }
            let take = (PREFIX_BYTES - head.len()).min(self.pending.len());
            head.extend_from_slice(&self.pending.split_to(take));
        }
        let flag = head.get_u8();
        let length = head.get_u32() as usize;
        let encoding = match flag {
            0 => Encoding::Identity,
            1 if encoding == Encoding::Identity => {
                return Err(Refusal::malformed("message is compressed, but grpc-encoding does not say how"));
            }
            1 => encoding,
            other => return Err(Refusal::malformed(format!("gRPC frame flag {other}"))),
        };
        Ok(Prefix { encoding, length })
    }

    /// Reads the message and the end of the body. A message that arrived in one piece is not copied.
    pub async fn message(mut self, length: usize, buffers: &Buffers) -> Result<Bytes, Refusal> {
        let message = if self.pending.len() >= length {
            self.pending.split_to(length)
        } else {
            let mut all = buffers.take(length.min(RESERVE_BYTES_MAX));
            all.extend_from_slice(&self.pending);
            self.pending = Bytes::new();
            while all.len() < length {
                let mut piece =
                    self.piece().await?.ok_or_else(|| Refusal::malformed("request body ends inside its message"))?;
                let rest = length - all.len();
                all.extend_from_slice(&piece.split_to(rest.min(piece.len())));
                self.pending = piece;
            }
            all.freeze()
        };
        let ended =
            self.pending.is_empty() && (Pin::new(&mut self.body).is_end_stream() || self.piece().await?.is_none());
        if ended { Ok(message) } else { Err(Refusal::malformed("more than one message in a unary request")) }
    }
}
