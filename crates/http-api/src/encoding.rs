//! Compression of answers, by Prometheus' rule: the first token of `Accept-Encoding` that is exactly `gzip` or `deflate`.

use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::{HeaderMap, header};
use std::io::{self, Write};

/// Bodies below this are sent as they are: they fit one packet, and setting up a compressor costs more than sending.
const COMPRESSED_BYTES_MIN: usize = 1 << 10;

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
        if chunks.iter().map(Bytes::len).sum::<usize>() < COMPRESSED_BYTES_MIN {
            return (Encoding::Identity, chunks);
        }
        let compressed = match self {
            Encoding::Identity => return (self, chunks),
            Encoding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
                write_all(&mut encoder, &chunks).and_then(|()| encoder.finish())
            }
            Encoding::Deflate => {
                let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
                write_all(&mut encoder, &chunks).and_then(|()| encoder.finish())
            }
        };
        (self, vec![Bytes::from(compressed.expect("writing to memory does not fail"))])
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

fn write_all(out: &mut impl Write, chunks: &[Bytes]) -> io::Result<()> {
    chunks.iter().try_for_each(|chunk| out.write_all(chunk))
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
}
