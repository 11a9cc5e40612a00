//! One `Export` call: bytes in, samples stored, outcome out.

use crate::admission::Admission;
use crate::batch_sink::{BatchSink, PointRows};
use crate::frame::FrameReader;
use crate::inflate::{Encoding, expected_bytes, inflate};
use crate::response::ExportResponse;
use crate::status::{from_engine, invalid, unavailable};
use crate::{Appender, IngestMetrics, IngestOptions};
use bytes::Bytes;
use mytsdb_engine::{Batch, EngineError, Outcome};
use mytsdb_otlp::{Translation, Translator};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tonic::Status;
use tonic::body::Body;

/// Times a request is translated anew because series it named were dropped meanwhile.
const ATTEMPTS_MAX: usize = 3;

/// What all requests share.
pub(crate) struct Exporter<A> {
    pub engine: Arc<A>,
    pub translator: Arc<Translator>,
    pub options: IngestOptions,
    pub metrics: IngestMetrics,
    pub admission: Admission,
}

impl<A: Appender> Exporter<A> {
    /// Works on a request until it is stored or refused.
    pub async fn export(&self, body: Body, encoding: Encoding) -> Result<ExportResponse, Status> {
        let (request, permits) = self.read(body, encoding).await?;
        self.metrics.count_bytes(request.len());
        self.metrics.in_flight_bytes.set(self.admission.taken_bytes() as f64);
        let translation = self.store(&request, permits).await?;
        self.metrics.count_points(translation.accepted_points, &translation.refused);
        self.metrics.cache_entries.set(self.translator.cache().len() as f64);
        Ok(ExportResponse::from(&translation))
    }

    /// Reads and decompresses the message, with room taken for both forms before they exist.
    async fn read(&self, body: Body, encoding: Encoding) -> Result<(Bytes, OwnedSemaphorePermit), Status> {
        let read = async {
            let mut frames = FrameReader::new(body);
            let prefix = frames.prefix(encoding, &self.options).await?;
            let permits = self.admission.admit(prefix.length).await?;
            let message = frames.message(prefix.length).await?;
            Ok::<_, Status>((prefix, message, permits))
        };
        let (prefix, message, mut permits) = tokio::time::timeout(self.options.body_timeout, read)
            .await
            .map_err(|_| unavailable(format!("request body took over {:?}", self.options.body_timeout)))??;
        if !prefix.compressed {
            return Ok((message, permits));
        }
        let expected = expected_bytes(&message, encoding, &self.options)?;
        permits.merge(self.admission.admit(expected).await?);
        Ok((inflate(&message, encoding, &self.options)?, permits))
    }

    async fn store(&self, request: &[u8], permits: OwnedSemaphorePermit) -> Result<Translation, Status> {
        let mut permits = Some(permits);
        for _ in 0..ATTEMPTS_MAX {
            let (mut translation, batch, rows) = self.translate(request)?;
            if batch.is_empty() {
                return Ok(translation);
            }
            match self.append(batch, &mut permits).await? {
                Ok(outcome) => {
                    let refused = rows.count_refused(&outcome, &mut translation.refused);
                    translation.accepted_points -= refused;
                    return Ok(translation);
                }
                // The epoch changed between translating and appending: with the new one the series resolve again.
                Err(EngineError::UnknownSeries) => {}
                Err(error) => return Err(from_engine(&error)),
            }
        }
        Err(unavailable("series kept being dropped while the request was worked on"))
    }

    fn translate(&self, request: &[u8]) -> Result<(Translation, Batch, PointRows), Status> {
        let mut sink = BatchSink::new(&*self.engine);
        let translation = self
            .translator
            .translate(request, self.engine.epoch(), &mut sink)
            .map_err(|error| invalid(format!("undecodable request: {error}")))?;
        let (batch, rows) = sink.finish().map_err(|error| from_engine(&error))?;
        Ok((translation, batch, rows))
    }

    /// Waits until the batch is durable. Room is kept by the batch, not by this call: a sender that goes away does not
    /// take its bytes off the count while they are still in memory.
    async fn append(
        &self,
        batch: Batch,
        permits: &mut Option<OwnedSemaphorePermit>,
    ) -> Result<Result<Outcome, EngineError>, Status> {
        let (send, receive) = oneshot::channel();
        let held = permits.take();
        self.engine.submit(
            batch,
            Box::new(move |outcome| {
                // Nobody listens any more if the sender has gone away.
                send.send((outcome, held)).unwrap_or_default();
            }),
        );
        let (outcome, held) =
            receive.await.map_err(|_| unavailable("the batch was dropped, its outcome is not known"))?;
        *permits = held;
        Ok(outcome)
    }
}
