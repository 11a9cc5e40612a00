//! One request's way from its bytes to the store, for all protocols.

use crate::admission::Admission;
use crate::batch_sink::{PointRows, RefusedRows};
use crate::gzip::gunzip_plain;
use crate::inflate::{Cap, declared_bytes, inflate};
use crate::pace::Pace;
use crate::{Appender, BatchSink, Buffers, Encoding, IngestMetrics, IngestOptions, Refusal, Room, Unavailable};
use bytes::Bytes;
use mytsdb_engine::{Batch, EngineError, Outcome};
use mytsdb_model::SeriesRef;
use mytsdb_otlp::{Translation, Translator};
use mytsdb_remote_write::{Receiver, Version, Written};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::oneshot;

/// Longest name of a metric in a message, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// Times a request is translated anew because series it named were dropped meanwhile.
const ATTEMPTS_MAX: usize = 3;

/// What all requests of all protocols share: the store, the translator, and the room for bytes.
#[derive(Debug)]
pub struct Ingest<A> {
    appender: Arc<A>,
    translator: Arc<Translator>,
    options: IngestOptions,
    admission: Admission,
    pace: Pace,
    buffers: Buffers,
}

impl<A: Appender> Ingest<A> {
    /// A way into `appender`, with nothing in flight.
    pub fn new(appender: Arc<A>, translator: Arc<Translator>, options: IngestOptions) -> Self {
        let admission = Admission::new(&options);
        let pace = Pace::new(options.max_new_series_per_second, options.max_new_series_burst);
        Self { appender, translator, options, admission, pace, buffers: Buffers::default() }
    }

    pub(crate) fn translator(&self) -> &Translator {
        &self.translator
    }

    /// The bounds.
    pub fn options(&self) -> &IngestOptions {
        &self.options
    }

    /// Memory for requests on their way in.
    pub fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Checks the length of a request as it arrives, to be called before anything is made ready for it.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`].
    pub fn check_length(&self, bytes: usize, encoding: Encoding) -> Result<(), Refusal> {
        let (what, limit, flag) = if encoding == Encoding::Identity {
            ("request", self.options.max_message_bytes, "--max-request-bytes")
        } else {
            ("compressed request", self.options.max_compressed_bytes, "--max-compressed-bytes")
        };
        if bytes > limit {
            return Err(Refusal::too_large(&format!("{what} of {bytes} bytes"), limit, flag));
        }
        Ok(())
    }

    /// The refusal of a request that is over [`IngestOptions::max_message_bytes`] in the form that `what` names.
    pub fn message_too_large(&self, what: &str) -> Refusal {
        let limit = self.options.max_message_bytes;
        Refusal::too_large(&format!("{what} of more than {limit} bytes"), limit, "--max-request-bytes")
    }

    /// Takes room for the bytes of a request before they are read; waits a bounded time for it.
    ///
    /// # Errors
    /// [`Refusal::Overloaded`] if there was none within [`IngestOptions::queue_timeout`].
    pub async fn admit(&self, bytes: usize, metrics: &IngestMetrics) -> Result<Room, Refusal> {
        self.admission.admit(bytes, metrics).await
    }

    /// Takes room for `bytes` more.
    ///
    /// # Errors
    /// As for [`admit`](Self::admit).
    pub async fn enlarge(&self, room: &mut Room, bytes: usize) -> Result<(), Refusal> {
        self.admission.enlarge(room, bytes).await
    }

    /// Undoes the compression of a request, with room taken for what it becomes before that exists.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for damage, [`Refusal::TooLarge`] for a request that is or becomes too large,
    /// [`Refusal::Overloaded`] if there is no room.
    pub async fn inflate(&self, message: Bytes, encoding: Encoding, room: &mut Room) -> Result<Bytes, Refusal> {
        if encoding == Encoding::Identity {
            return Ok(message);
        }
        let cap = Cap::new(message.len(), &self.options);
        let declared = declared_bytes(&message, encoding, cap)?;
        self.enlarge(room, declared).await?;
        if encoding == Encoding::Gzip {
            if let Some(inflated) = gunzip_plain(&message, declared, &self.buffers) {
                return Ok(inflated);
            }
            // The trailer was of no use: there are several members, or it is wrong.
            self.enlarge(room, cap.bytes - declared).await?;
        }
        inflate(&message, encoding, cap, &self.buffers)
    }

    /// Stores the points of an encoded `ExportMetricsServiceRequest`, and waits until they are durable.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if the bytes are no such request, else as for [`store`](Self::store).
    pub async fn store_otlp(
        &self,
        request: &[u8],
        room: Room,
        metrics: &IngestMetrics,
    ) -> Result<Translation, Refusal> {
        metrics.count_bytes(request.len());
        let (mut translation, refused) = self
            .store(room, metrics, |sink, epoch| {
                self.translator
                    .translate(request, epoch, sink)
                    .map_err(|error| Refusal::malformed(format!("undecodable request: {error}")))
            })
            .await?;
        translation.accepted_points -= refused.count(&mut translation.refused);
        metrics.count_points(translation.accepted_points, &translation.refused);
        metrics.cache_entries.set(self.translator.cache().len() as f64);
        Ok(translation)
    }

    /// Stores the samples of a remote-write request, and waits until they are durable.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] if the bytes are no such request, else as for [`store`](Self::store).
    pub async fn store_remote_write(
        &self,
        receiver: &Receiver,
        (version, request): (Version, &[u8]),
        room: Room,
        metrics: &IngestMetrics,
    ) -> Result<Written, Refusal> {
        metrics.count_bytes(request.len());
        let (mut written, refused) = self
            .store(room, metrics, |sink, epoch| {
                let translated = receiver.translate(version, request, epoch, sink);
                if translated.as_ref().is_ok_and(|written| written.describes) {
                    sink.describe();
                }
                translated.map_err(|error| Refusal::malformed(format!("undecodable request: {error}")))
            })
            .await?;
        written.exemplars = u64::from(refused.exemplars_stored());
        written.refuse_rows(request, refused.rows().map(|(row, refusal)| (row, prometheus_words(refusal))));
        metrics.count_points(written.samples + written.histograms, &written.refused);
        metrics.cache_entries.set(receiver.options().cache.len() as f64);
        Ok(written)
    }

    /// Stores what `translate` gives to its sink, and waits until it is durable. Returns what it returned, and what the
    /// store refused of it.
    ///
    /// `translate` is called with the store's epoch, and again if series it named were dropped before they were
    /// appended to. `room` is kept by the batch, not by this call: a sender that goes away does not take its bytes off
    /// the count while they are still in memory.
    ///
    /// # Errors
    /// What `translate` returns; [`Refusal::Overloaded`] or [`Refusal::Unavailable`] if the store does not take the
    /// batch.
    pub async fn store<T>(
        &self,
        mut room: Room,
        metrics: &IngestMetrics,
        mut translate: impl FnMut(&mut BatchSink<'_, A>, u64) -> Result<T, Refusal>,
    ) -> Result<(T, RefusedRows), Refusal> {
        for _ in 0..ATTEMPTS_MAX {
            let begun = Instant::now();
            let (translation, batch, points) = self.collect(&mut translate)?;
            let translated = Instant::now();
            if batch.is_empty() {
                return Ok((translation, RefusedRows::default()));
            }
            let (outcome, returned) = self.append(batch, room).await?;
            metrics.count_stages(translated - begun, translated.elapsed());
            match outcome {
                Ok(outcome) => {
                    return Ok((translation, RefusedRows::new(points, outcome, |series| self.metric_of(series))));
                }
                // The epoch changed between translating and appending: with the new one the series resolve again.
                Err(EngineError::UnknownSeries) => room = returned,
                Err(error) => return Err(Refusal::from(&error)),
            }
        }
        let message = "series kept being dropped while the request was worked on";
        Err(Refusal::unavailable(Unavailable::Internal, message))
    }

    /// The name of the metric that a series is of, cut if it is long; empty if it is not known any more.
    fn metric_of(&self, series: SeriesRef) -> String {
        let Some(labels) = self.appender.labels_of(series) else { return String::new() };
        let name = labels.metric_name();
        name[..name.floor_char_boundary(NAME_BYTES_MAX)].to_owned()
    }

    fn collect<T>(
        &self,
        translate: &mut impl FnMut(&mut BatchSink<'_, A>, u64) -> Result<T, Refusal>,
    ) -> Result<(T, Batch, PointRows), Refusal> {
        let mut sink = BatchSink::new(&*self.appender, &self.pace);
        let translation = translate(&mut sink, self.appender.epoch())?;
        let (batch, rows) = sink.finish()?;
        Ok((translation, batch, rows))
    }

    async fn append(&self, batch: Batch, room: Room) -> Result<(Result<Outcome, EngineError>, Room), Refusal> {
        let (send, receive) = oneshot::channel();
        self.appender.submit(
            batch,
            Box::new(move |outcome| {
                // Nobody listens any more if the sender has gone away.
                send.send((outcome, room)).unwrap_or_default();
            }),
        );
        let dropped = "the batch was dropped, its outcome is not known";
        receive.await.map_err(|_| Refusal::unavailable(Unavailable::Internal, dropped))
    }
}

/// A sample's refusal as Prometheus says it, and then as the engine does.
fn prometheus_words(refusal: mytsdb_engine::Refusal) -> String {
    let words = match refusal {
        mytsdb_engine::Refusal::TooOld => "too old sample",
        mytsdb_engine::Refusal::TooFarAhead => "out of bounds",
        mytsdb_engine::Refusal::Conflict => "duplicate sample for timestamp",
        _ => return refusal.to_string(),
    };
    format!("{words}: {refusal}")
}
