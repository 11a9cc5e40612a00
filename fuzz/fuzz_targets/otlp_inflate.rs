//! Arbitrary bytes as a compressed request: no panic, never more than the limit, and what was compressed comes back.
//!
//! Input: a byte that says how it is compressed, then the request.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mytsdb_engine::{Batch, Done, EngineError, Outcome};
use mytsdb_ingest::{Appender, Encoding, Ingest, IngestMetrics, IngestOptions, Refusal};
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_otlp::{Options, Translator};
use std::io::Write;
use std::sync::{Arc, LazyLock};
use tokio::runtime::{Builder, Runtime};

const ENCODINGS: [Encoding; 6] =
    [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Snappy, Encoding::Identity, Encoding::SnappyBlock];
const LIMITS: [usize; 2] = [1 << 10, 1 << 20];

/// Nothing is stored here.
struct Nowhere;

impl Appender for Nowhere {
    fn resolve(&self, _: &Labels) -> Result<SeriesRef, EngineError> {
        Ok(SeriesRef(1))
    }
    fn epoch(&self) -> u64 {
        0
    }
    fn touch(&self, _: SeriesRef) -> bool {
        true
    }
    fn keeps_exemplars(&self) -> bool {
        true
    }

    fn submit(&self, _: Batch, done: Done) {
        done(Ok(Outcome::default()));
    }
}

struct Setup {
    runtime: Runtime,
    ingests: [Ingest<Nowhere>; 2],
    metrics: IngestMetrics,
}

static SETUP: LazyLock<Setup> = LazyLock::new(|| {
    let ingest = |limit| {
        let options = IngestOptions { max_message_bytes: limit, ..IngestOptions::default() };
        Ingest::new(Arc::new(Nowhere), Arc::new(Translator::new(Options::default())), options)
    };
    Setup {
        runtime: Builder::new_current_thread().enable_all().build().expect("a runtime"),
        ingests: LIMITS.map(ingest),
        metrics: IngestMetrics::new(&mytsdb_telemetry::Registry::new(), "fuzz", &["fine", "refused"]),
    }
});

fn inflate(ingest: &Ingest<Nowhere>, message: Vec<u8>, encoding: Encoding) -> Result<Bytes, Refusal> {
    SETUP.runtime.block_on(async {
        ingest.check_length(message.len(), encoding)?;
        let mut room = ingest.admit(message.len(), &SETUP.metrics).await?;
        ingest.inflate(message.into(), encoding, &mut room).await
    })
}

fn compress(bytes: &[u8], encoding: Encoding) -> Vec<u8> {
    let done = "writing to memory";
    match encoding {
        Encoding::Identity => bytes.to_vec(),
        Encoding::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect(done);
            encoder.finish().expect(done)
        }
        Encoding::Deflate => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect(done);
            encoder.finish().expect(done)
        }
        Encoding::Zstd => zstd::encode_all(bytes, 1).expect(done),
        Encoding::Snappy | Encoding::SnappyBlock => snap::raw::Encoder::new().compress_vec(bytes).expect(done),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&kind, message)) = data.split_first() else { return };
    let encoding = ENCODINGS[usize::from(kind) % ENCODINGS.len()];
    let results = [0, 1].map(|i| inflate(&SETUP.ingests[i], message.to_vec(), encoding));
    for (result, limit) in results.iter().zip(LIMITS) {
        match result {
            Ok(bytes) => assert!(bytes.len() <= limit),
            Err(Refusal::Malformed { .. } | Refusal::TooLarge { .. }) => {}
            Err(other) => panic!("nobody else asks for room: {other}"),
        }
    }
    if let [Ok(less), Ok(more)] = &results {
        assert_eq!(less, more, "the limit changes nothing of what is within it");
    }
    let again = inflate(&SETUP.ingests[1], compress(message, encoding), encoding).expect("just compressed");
    assert_eq!(again, message);
});
