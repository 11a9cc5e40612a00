//! Response bodies that are already in memory, as a list of chunks.

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Sends chunks one by one and gives each free once it is handed on. The length is known from the start.
pub(crate) struct ChunkBody {
    chunks: std::vec::IntoIter<Bytes>,
    bytes_left: u64,
}

impl ChunkBody {
    pub(crate) fn new(chunks: Vec<Bytes>) -> Self {
        let bytes_left = chunks.iter().map(|c| c.len() as u64).sum();
        Self { chunks: chunks.into_iter(), bytes_left }
    }
}

impl http_body::Body for ChunkBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.chunks.next();
        self.bytes_left -= next.as_ref().map_or(0, |c| c.len() as u64);
        Poll::Ready(next.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes_left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes_left)
    }
}
