//! One `Export` call: bytes in, samples stored, outcome out.

use crate::frame::FrameReader;
use crate::response::ExportResponse;
use bytes::Bytes;
use mytsdb_ingest::{Appender, BodyPace, Encoding, Ingest, IngestMetrics, Refusal, Report, Room};
use std::sync::Arc;
use tonic::body::Body;

/// What all requests share.
pub(crate) struct Exporter<A> {
    pub ingest: Arc<Ingest<A>>,
    pub metrics: IngestMetrics,
}

impl<A: Appender> Exporter<A> {
    /// Works on a request until it is stored or refused.
    pub async fn export(&self, body: Body, encoding: Encoding) -> Result<ExportResponse, Refusal> {
        let stored = async {
            let (request, room) = self.read(body, encoding).await?;
            self.ingest.store_otlp(&request, room, &self.metrics).await
        };
        let translation = stored.await.inspect_err(|refusal| self.metrics.count_refusal(refusal))?;
        Ok(ExportResponse::from(Report::of(&translation)))
    }

    /// Reads and decompresses the message, with room taken for both forms before they exist.
    async fn read(&self, body: Body, encoding: Encoding) -> Result<(Bytes, Room), Refusal> {
        let timeout = self.ingest.options().body_timeout;
        let read = async {
            let mut frames = FrameReader::new(body, BodyPace::new(self.ingest.options()));
            let prefix = frames.prefix(encoding).await?;
            self.ingest.check_length(prefix.length, prefix.encoding)?;
            let room = self.ingest.admit(prefix.length, &self.metrics).await?;
            let message = frames.message(prefix.length, self.ingest.buffers()).await?;
            Ok::<_, Refusal>((prefix, message, room))
        };
        let slow = |_| Refusal::slow_body(timeout);
        let (prefix, message, mut room) = tokio::time::timeout(timeout, read).await.map_err(slow)??;
        let request = self.ingest.inflate(message, prefix.encoding, &mut room).await?;
        Ok((request, room))
    }
}
