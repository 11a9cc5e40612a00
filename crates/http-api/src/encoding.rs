//! Compression of answers, by Prometheus' rule: the first token of `Accept-Encoding` that is exactly `gzip` or `deflate`.

use axum::extract::FromRequestParts;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::request::Parts;
use http::{HeaderMap, header};
use std::convert::Infallible;
use std::io::Write;

/// Bodies below this are sent as they are: they fit one packet, and setting up a compressor costs more than sending.
const COMPRESSED_BYTES_MIN: usize = 1 << 10;
/// Compressed bytes that are worth a write of their own.
const SENT_BYTES_MIN: usize = 64 << 10;
const MEMORY: &str = "writing to memory does not fail";

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    /// The zlib format, as HTTP defines the word.
    Deflate,
}

impl Encoding {
    /// What the client accepts. Tokens with a q-value are not understood, as in Prometheus.
    pub(crate) fn negotiate(headers: &HeaderMap) -> Self {
        let accepted = headers.get(header::ACCEPT_ENCODING).and_then(|v| v.to_str().ok()).unwrap_or("");
        let known = |token: &str| match token.trim() {
            "gzip" => Some(Encoding::Gzip),
            "deflate" => Some(Encoding::Deflate),
            _ => None,
        };
        accepted.split(',').find_map(known).unwrap_or(Encoding::Identity)
    }

    /// Compresses `chunks` and says how; [`Encoding::Identity`] if they are too small to be worth it.
    pub(crate) fn apply(self, chunks: Vec<Bytes>) -> (Self, Vec<Bytes>) {
        if self == Encoding::Identity || chunks.iter().map(Bytes::len).sum::<usize>() < COMPRESSED_BYTES_MIN {
            return (Encoding::Identity, chunks);
        }
        let mut encoder = self.encoder();
        let mut encoded: Vec<Bytes> = chunks.into_iter().filter_map(|chunk| encoder.encode(chunk)).collect();
        encoded.extend(encoder.finish());
        (self, encoded)
    }

    /// For a body that comes in pieces.
    pub(crate) fn encoder(self) -> Encoder {
        match self {
            Encoding::Identity => Encoder::Identity,
            Encoding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            Encoding::Deflate => Encoder::Deflate(ZlibEncoder::new(Vec::new(), Compression::fast())),
        }
    }

    /// The value of `Content-Encoding`.
    pub(crate) const fn header(self) -> Option<&'static str> {
        match self {
            Encoding::Identity => None,
            Encoding::Gzip => Some("gzip"),
            Encoding::Deflate => Some("deflate"),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Encoding {
    type Rejection = Infallible;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::negotiate(&head.headers))
    }
}

/// Encodes one body, chunk by chunk.
pub(crate) enum Encoder {
    Identity,
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
}

impl Encoder {
    /// Takes a chunk and returns one if there is enough to send.
    pub(crate) fn encode(&mut self, chunk: Bytes) -> Option<Bytes> {
        let (written, encoded) = match self {
            Encoder::Identity => return Some(chunk),
            Encoder::Gzip(encoder) => (encoder.write_all(&chunk), encoder.get_mut()),
            Encoder::Deflate(encoder) => (encoder.write_all(&chunk), encoder.get_mut()),
        };
        written.expect(MEMORY);
        (encoded.len() >= SENT_BYTES_MIN).then(|| Bytes::from(std::mem::take(encoded)))
    }

    /// What is left to send.
    pub(crate) fn finish(self) -> Option<Bytes> {
        match self {
            Encoder::Identity => None,
            Encoder::Gzip(encoder) => Some(Bytes::from(encoder.finish().expect(MEMORY))),
            Encoder::Deflate(encoder) => Some(Bytes::from(encoder.finish().expect(MEMORY))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn the_first_exact_token_wins() {
        for (accepted, expected) in [
            ("gzip", Encoding::Gzip),
            ("br, deflate, gzip", Encoding::Deflate),
            ("gzip;q=0.8", Encoding::Identity),
            ("gzip;q=0.8, deflate", Encoding::Deflate),
            ("GZIP", Encoding::Identity),
            ("", Encoding::Identity),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, accepted.parse().unwrap());
            assert_eq!(Encoding::negotiate(&headers), expected, "{accepted}");
        }
    }

    #[test]
    fn compressed_bodies_read_back() {
        let chunks = vec![Bytes::from(vec![b'a'; 700]), Bytes::from(vec![b'b'; 700])];
        let (encoding, gzip) = Encoding::Gzip.apply(chunks.clone());
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&gzip[0][..]).read_to_end(&mut back).unwrap();
        assert_eq!((encoding, back), (Encoding::Gzip, chunks.concat()));
        let (_, deflate) = Encoding::Deflate.apply(chunks.clone());
        let mut back = Vec::new();
        flate2::read::ZlibDecoder::new(&deflate[0][..]).read_to_end(&mut back).unwrap();
        assert_eq!(back, chunks.concat());
        assert_eq!(Encoding::Gzip.apply(vec![Bytes::from_static(b"{}")]).0, Encoding::Identity);
    }

    #[test]
    fn long_bodies_come_in_pieces() {
        let noise = |n: u32| n.wrapping_mul(2_654_435_761).rotate_left(n % 31) ^ n.wrapping_mul(40_503);
        let chunks: Vec<Bytes> =
            (0..100).map(|i| (0..4_000).flat_map(|j| noise(i * 4_000 + j).to_le_bytes()).collect()).collect();
        let (_, gzip) = Encoding::Gzip.apply(chunks.clone());
        assert!(gzip.len() > 2);
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&gzip.concat()[..]).read_to_end(&mut back).unwrap();
        assert!(back == chunks.concat());
    }
}
