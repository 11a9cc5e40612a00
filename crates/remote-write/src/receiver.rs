//! Walks a request, finds each series through the cache, and hands samples to the sink.

use crate::labels::{LABEL_COUNT_MAX, LabelsError, SentLabels, too_many};
use crate::metadata::{record_v1, record_v2};
use crate::sample::Sample;
use crate::series::{Fields, Parts, gather_labels};
use crate::symbols::Symbols;
use crate::tags::bytes;
use crate::{RemoteWriteError, Sink, Version, Written};
use crate::{exemplar, histogram};
use mytsdb_histogram::FloatHistogram;
use mytsdb_intake::{Found, Limits, Metadata, RefusalReason, Refused, SeriesCache, chain};
use mytsdb_model::{LABEL_NAME, SeriesRef};
use mytsdb_protobuf::Reader;
use std::sync::Arc;

/// Memory that the samples and histograms of one request may take.
pub const MEMORY_BYTES_MAX: usize = 128 << 20;

/// What a row costs beside a histogram: reference, two times, value.
const ROW_BYTES: usize = 32;

/// What an exemplar costs beside its labels.
const EXEMPLAR_BYTES: usize = 96;

/// What a series costs: where its rows begin, and where it is in the request.
const SERIES_BYTES: usize = 24;

/// Series that are looked up together, so that a shard of the cache is locked once for several of them.
const TOGETHER: usize = 256;

/// Settings of a [`Receiver`].
#[derive(Debug, Clone)]
pub struct Options {
    /// Bounds on series and histograms.
    pub limits: Limits,
    /// Which series have which references; may be shared with translations of other protocols.
    pub cache: Arc<SeriesCache>,
    /// What is known of metric families; may be shared likewise.
    pub metadata: Arc<Metadata>,
    /// Seed of the fingerprints, so that nobody can prepare labels that collide. Random at the edge, fixed in tests.
    pub fingerprint_seed: u64,
}

/// Translates requests; shared by all of them.
///
/// A series that the cache knows costs a hash of its encoded labels and a compare; nothing is decoded or allocated.
#[derive(Debug)]
pub struct Receiver {
    options: Options,
}

impl Receiver {
    /// A receiver with these settings.
    pub fn new(options: Options) -> Self {
        Self { options }
    }

    /// The settings.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Translates the bytes of a request. `epoch` is the engine's, read before the call.
    ///
    /// Every sample has its own outcome: it reaches the sink, or it is counted as refused.
    ///
    /// # Errors
    /// [`RemoteWriteError`] if the bytes are not such a request or ask too much; the caller then drops what the sink has
    /// taken.
    pub fn translate<S: Sink>(
        &self,
        version: Version,
        request: &[u8],
        epoch: u64,
        sink: &mut S,
    ) -> Result<Written, RemoteWriteError> {
        let symbols = match version {
            Version::V1 => None,
            Version::V2 => Some(Symbols::read(request, self.options.fingerprint_seed)?),
        };
        let mut pass = Pass {
            options: &self.options,
            version,
            symbols,
            parent: chain(u128::from(self.options.fingerprint_seed), version.message_name().as_bytes()),
            epoch: self.options.cache.begin(epoch),
            sink,
            written: Written::new(version),
            memory: 0,
            waiting: Vec::new(),
            keys: Vec::new(),
            found: Vec::new(),
            refs: Vec::new(),
            scratch: Vec::new(),
        };
        let (series, metadata) = match version {
            Version::V1 => (bytes(1), Some(bytes(3))),
            Version::V2 => (bytes(5), None),
        };
        let known = if version == Version::V1 { 1 << 1 | 1 << 3 } else { 1 << 4 | 1 << 5 };
        let mut reader = Reader::new(request);
        while let Some(tag) = reader.tag()? {
            if tag == series {
                let message = reader.bytes()?;
                pass.wait(message, reader.position())?;
            } else if Some(tag) == metadata {
                record_v1(reader.bytes()?, &self.options.metadata)?;
                pass.written.describes = true;
            } else if version == Version::V2 && tag == bytes(4) {
                // Symbols were read before.
                reader.bytes()?;
            } else {
                reader.skip(tag, known)?;
            }
        }
        pass.work_off()?;
        Ok(pass.written)
    }
}

/// One call of [`Receiver::translate`].
struct Pass<'a, S> {
    options: &'a Options,
    version: Version,
    symbols: Option<Symbols<'a>>,
    /// What all fingerprints of this version begin with.
    parent: u128,
    epoch: u32,
    sink: &'a mut S,
    written: Written,
    /// Bytes that the rows so far take.
    memory: usize,
    /// Series whose turn comes when they have been looked up together, with the fingerprint of each and what was found.
    waiting: Vec<Waiting<'a>>,
    keys: Vec<u128>,
    found: Vec<Option<SeriesRef>>,
    refs: Vec<u32>,
    /// What is hashed of a series, if it does not stand in the request as it is.
    scratch: Vec<u8>,
}

/// A series that was read and not worked on.
struct Waiting<'a> {
    message: &'a [u8],
    /// Where the message ends in the request.
    end: usize,
    /// Where its samples begin in the message.
    points_start: usize,
    /// It has a fingerprint, by which it can be found with others.
    has_key: bool,
}

impl<'a, S: Sink> Pass<'a, S> {
    /// Takes a series whose message ends at that offset of the request.
    fn wait(&mut self, message: &'a [u8], end: usize) -> Result<(), RemoteWriteError> {
        let mut refs = std::mem::take(&mut self.refs);
        refs.clear();
        let parts = Parts::find(message, self.version, &mut refs, 2 * LABEL_COUNT_MAX)?;
        let key = self.key(&parts, &refs);
        self.refs = refs;
        self.waiting.push(Waiting { message, end, points_start: parts.points_start, has_key: key.is_some() });
        self.keys.push(key.unwrap_or_default());
        if self.waiting.len() == TOGETHER { self.work_off() } else { Ok(()) }
    }

    /// The fingerprint of a series that has samples and labels as senders have them; others are worked on one by one.
    fn key(&mut self, parts: &Parts<'_>, refs: &[u32]) -> Option<u128> {
        if parts.scattered || parts.sample_count + parts.histogram_count == 0 {
            return None;
        }
        let Some(symbols) = &self.symbols else { return Some(chain(self.parent, parts.label_run)) };
        self.scratch.clear();
        for number in refs {
            self.scratch.extend_from_slice(&symbols.fingerprint(*number)?.to_le_bytes());
        }
        (refs.len().is_multiple_of(2) && refs.len() <= 2 * LABEL_COUNT_MAX).then(|| chain(self.parent, &self.scratch))
    }

    /// Works on the series that wait, in their order.
    fn work_off(&mut self) -> Result<(), RemoteWriteError> {
        self.options.cache.find_singles(&self.keys, self.epoch, &mut self.found);
        self.keys.clear();
        let (mut waiting, found) = (std::mem::take(&mut self.waiting), std::mem::take(&mut self.found));
        for (Waiting { message, end, points_start, has_key }, found) in waiting.drain(..).zip(&found) {
            match *found {
                Some(series) if has_key => self.known((message, end), points_start, series)?,
                _ => self.series(message, end)?,
            }
        }
        (self.waiting, self.found) = (waiting, found);
        Ok(())
    }

    /// The samples of a series that is known, which begin at `points_start` of its message.
    fn known(
        &mut self,
        (message, end): (&[u8], usize),
        points_start: usize,
        series: SeriesRef,
    ) -> Result<(), RemoteWriteError> {
        self.take_memory(SERIES_BYTES)?;
        self.written.begin_series(end - message.len(), end);
        self.samples((message, points_start), series)
    }

    /// A series whose message ends at that offset of the request, which is looked up by itself.
    fn series(&mut self, message: &'a [u8], end: usize) -> Result<(), RemoteWriteError> {
        let mut refs = std::mem::take(&mut self.refs);
        refs.clear();
        let parts = Parts::find(message, self.version, &mut refs, 2 * LABEL_COUNT_MAX)?;
        let points = parts.sample_count + parts.histogram_count;
        let found = match self.version {
            Version::V1 if points + parts.exemplar_count == 0 => Ok(None),
            Version::V1 => self.find_v1(message, &parts),
            Version::V2 => self.find_v2(&refs, &parts),
        };
        self.refs = refs;
        match found {
            Ok(Some(series)) => self.known((message, end), parts.points_start, series),
            Ok(None) => Ok(()),
            Err(LabelsError::Malformed(error)) => Err(error.into()),
            Err(LabelsError::Refused(refused)) => {
                self.written.refused.add(refused.reason, points, &refused.message);
                if points == 0 {
                    self.written.refused.note(&refused.message);
                }
                Ok(())
            }
        }
    }

    fn find_v1(&mut self, message: &[u8], parts: &Parts<'_>) -> Result<Option<SeriesRef>, LabelsError> {
        if !parts.scattered {
            let key = chain(self.parent, parts.label_run);
            return self.find(key, SentLabels::Fields(parts.label_run), None).map(Some);
        }
        let mut fields = std::mem::take(&mut self.scratch);
        fields.clear();
        gather_labels(message, &mut fields)?;
        let found = self.find(chain(self.parent, &fields), SentLabels::Fields(&fields), None);
        self.scratch = fields;
        found.map(Some)
    }

    fn find_v2(&mut self, refs: &[u32], parts: &Parts<'_>) -> Result<Option<SeriesRef>, LabelsError> {
        let Some(symbols) = self.symbols.take() else { return Ok(None) };
        let found = self.find_by_refs(refs, &symbols, parts);
        self.symbols = Some(symbols);
        found
    }

    fn find_by_refs(
        &mut self,
        refs: &[u32],
        symbols: &Symbols<'_>,
        parts: &Parts<'_>,
    ) -> Result<Option<SeriesRef>, LabelsError> {
        let refuse = |reason, message: String| Err(LabelsError::Refused(Refused::new(reason, message)));
        if refs.len() > 2 * LABEL_COUNT_MAX {
            return Err(LabelsError::Refused(too_many(&self.options.limits)));
        }
        if refs.len() % 2 == 1 {
            return refuse(RefusalReason::Invalid, format!("invalid labelRefs length {}", refs.len()));
        }
        self.scratch.clear();
        for number in refs {
            let Some(fingerprint) = symbols.fingerprint(*number) else {
                let message = format!("labelRef {number} outside of symbols table (size {})", symbols.len());
                return refuse(RefusalReason::Invalid, message);
            };
            self.scratch.extend_from_slice(&fingerprint.to_le_bytes());
        }
        let labels = SentLabels::Refs(refs, symbols);
        if parts.sample_count + parts.histogram_count == 0 {
            let message = "TimeSeries must contain at least one sample or histogram for series";
            return refuse(RefusalReason::Invalid, format!("{message} {}", labels.shown()));
        }
        let key = chain(self.parent, &self.scratch);
        self.find(key, labels, parts.metadata.map(|message| (message, symbols))).map(Some)
    }

    /// The series with that fingerprint, by the cache or by its labels.
    fn find(
        &mut self,
        key: u128,
        labels: SentLabels<'_>,
        metadata: Option<(&[u8], &Symbols<'_>)>,
    ) -> Result<SeriesRef, LabelsError> {
        let mut shard = self.options.cache.shard(key);
        let found = shard.find(key, self.epoch);
        match found {
            Found::Current(slot) => return Ok(shard.single(slot)),
            Found::Old(slot) if self.sink.touch(shard.single(slot)) => {
                shard.renew(slot, self.epoch);
                return Ok(shard.single(slot));
            }
            _ => {}
        }
        let set = labels.decode(&self.options.limits)?;
        let resolved = self.sink.resolve(&set).map_err(|refused| {
            let message = format!("{} for series {}", refused.message, labels.shown());
            LabelsError::Refused(Refused { message, ..refused })
        });
        let series = resolved?;
        match found {
            Found::Old(slot) => shard.replace(slot, &[series], self.epoch),
            _ => self.options.cache.insert(&mut shard, key, &[series], self.epoch),
        }
        drop(shard);
        if let Some((message, symbols)) = metadata {
            let name = set.get(LABEL_NAME).unwrap_or_default();
            record_v2(message, name, symbols, &self.options.metadata)?;
        }
        Ok(series)
    }

    /// Hands the samples and histograms of a series on, which begin at `points_start` of its message.
    fn samples(&mut self, (message, points_start): (&[u8], usize), series: SeriesRef) -> Result<(), RemoteWriteError> {
        let fields = Fields::of(self.version);
        let mut name = None;
        let mut reader = Reader::new(&message[points_start..]);
        while let Some(tag) = reader.tag()? {
            if tag == fields.samples {
                let sample = Sample::parse(reader.bytes()?)?;
                self.take_memory(ROW_BYTES)?;
                self.sink.append(series, sample.timestamp_ms, sample.start_ms, sample.value);
                self.written.add_sample();
            } else if tag == fields.histograms {
                let parsed = histogram::parse(reader.bytes()?, &self.options.limits)?;
                let appended = match parsed.histogram {
                    Ok(histogram) => {
                        self.take_memory(ROW_BYTES + size_of::<FloatHistogram>() + histogram.heap_bytes())?;
                        self.sink.append_histogram(series, parsed.timestamp_ms, parsed.start_ms, histogram)
                    }
                    Err(refused) => Err(refused),
                };
                match appended {
                    Ok(()) => self.written.add_histogram(),
                    Err(refused) => self.refuse_histogram(&refused, message, &mut name),
                }
            } else if tag == fields.exemplars {
                // One that is none is left out: it costs no sample, and what is counted says that it is not there.
                if let Some(exemplar) = exemplar::parse(reader.bytes()?, self.version, self.symbols.as_ref())? {
                    self.take_memory(EXEMPLAR_BYTES + exemplar.labels.as_bytes().len())?;
                    self.sink.append_exemplar(series, exemplar);
                }
            } else {
                reader.skip(tag, 0)?;
            }
        }
        Ok(())
    }

    /// `name` is that of the series, once it was asked for: it takes a walk over all of the message.
    #[cold]
    fn refuse_histogram(&mut self, refused: &Refused, message: &[u8], name: &mut Option<String>) {
        let (version, symbols) = (self.version, self.symbols.as_ref());
        self.written.refused.add_with(refused.reason, 1, || {
            let name = name.get_or_insert_with(|| shown(message, version, symbols));
            format!("{} for series {name}", refused.message)
        });
    }

    fn take_memory(&mut self, bytes: usize) -> Result<(), RemoteWriteError> {
        self.memory += bytes;
        if self.memory > MEMORY_BYTES_MAX {
            return Err(RemoteWriteError::Memory { limit: MEMORY_BYTES_MAX });
        }
        Ok(())
    }
}

/// The labels of a series' message, for a text; the message was read before.
pub(crate) fn shown(message: &[u8], version: Version, symbols: Option<&Symbols<'_>>) -> String {
    let (mut refs, mut fields) = (Vec::new(), Vec::new());
    if Parts::find(message, version, &mut refs, 2 * LABEL_COUNT_MAX).is_err() {
        return String::new();
    }
    match symbols {
        Some(symbols) => SentLabels::Refs(&refs, symbols).shown(),
        None => {
            gather_labels(message, &mut fields).map_or_else(|_| String::new(), |()| SentLabels::Fields(&fields).shown())
        }
    }
}
