//! Undoes a request's compression, never past the limit.

use crate::IngestOptions;
use crate::status::{invalid, too_large};
use bytes::Bytes;
use http::HeaderValue;
use libdeflater::{DecompressionError, Decompressor};
use std::cell::RefCell;
use std::io::Read;
use tonic::Status;

/// Compressed bytes beyond which the ratio of sizes is bounded: small requests may be as repetitive as they like.
const RATIO_FREE_BYTES: usize = 1 << 20;

/// log2 of the largest window a zstd frame may ask for: 64 MiB, as large as a message.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

/// Bytes of a gzip header without optional fields, and of the trailer.
const GZIP_HEADER_BYTES: usize = 10;
const GZIP_TRAILER_BYTES: usize = 8;

/// How a request is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// What the `grpc-accept-encoding` header offers.
pub(crate) const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip,zstd");

impl Encoding {
    /// Reads a `grpc-encoding` header; `Err` holds a name that is not known here.
    pub fn from_header(header: Option<&HeaderValue>) -> Result<Self, String> {
        match header.map(HeaderValue::as_bytes) {
            None | Some(b"identity") => Ok(Self::Identity),
            Some(b"gzip") => Ok(Self::Gzip),
            Some(b"zstd") => Ok(Self::Zstd),
            Some(other) => Err(String::from_utf8_lossy(&other[..other.len().min(32)]).into_owned()),
        }
    }
}

/// A limit on decompressed bytes, and how to name it.
#[derive(Debug, Clone, Copy)]
struct Cap {
    bytes: usize,
    flag: &'static str,
}

impl Cap {
    fn new(compressed_bytes: usize, options: &IngestOptions) -> Self {
        let ratio = compressed_bytes.saturating_mul(options.max_compression_ratio).max(RATIO_FREE_BYTES);
        if ratio < options.max_message_bytes {
            Self { bytes: ratio, flag: "--otlp-max-compression-ratio" }
        } else {
            Self { bytes: options.max_message_bytes, flag: "--otlp-max-message-bytes" }
        }
    }

    fn exceeded(self) -> Status {
        too_large(format!("decompressed request of more than {} bytes, the limit ({})", self.bytes, self.flag))
    }
}

/// The bytes a message will probably take, for admission: what a gzip trailer says, else the most that is allowed.
///
/// # Errors
/// `RESOURCE_EXHAUSTED` if a gzip trailer already says that the message is over the limit.
pub(crate) fn expected_bytes(message: &[u8], encoding: Encoding, options: &IngestOptions) -> Result<usize, Status> {
    let cap = Cap::new(message.len(), options);
    match (encoding, message.last_chunk::<4>()) {
        (Encoding::Gzip, Some(size)) => {
            let size = u32::from_le_bytes(*size) as usize;
            // A second member may hide a larger size, which inflating then finds; a larger size here is final.
            if size > cap.bytes { Err(cap.exceeded()) } else { Ok(size) }
        }
        _ => Ok(cap.bytes),
    }
}

/// Undoes the compression.
///
/// # Errors
/// `INVALID_ARGUMENT` if the bytes are damaged, `RESOURCE_EXHAUSTED` if they unpack to more than allowed.
pub(crate) fn inflate(message: &[u8], encoding: Encoding, options: &IngestOptions) -> Result<Bytes, Status> {
    let cap = Cap::new(message.len(), options);
    match encoding {
        Encoding::Identity => Ok(Bytes::copy_from_slice(message)),
        Encoding::Gzip => match gunzip_plain(message, cap) {
            Some(bytes) => Ok(bytes),
            None => read_capped(flate2::read::MultiGzDecoder::new(message), "gzip", cap),
        },
        Encoding::Zstd => {
            let broken = |error: std::io::Error| invalid(format!("zstd: {error}"));
            let mut decoder = zstd::stream::read::Decoder::with_buffer(message).map_err(broken)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
            read_capped(decoder, "zstd", cap)
        }
    }
}

/// Inflates what senders send: a single member with a plain header. `None` sends everything else, damage included, to
/// the general reader, whose word is final.
fn gunzip_plain(message: &[u8], cap: Cap) -> Option<Bytes> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Decompressor> = RefCell::new(Decompressor::new());
    }
    let body = message.strip_prefix(&[0x1f, 0x8b, 8, 0])?.get(GZIP_HEADER_BYTES - 4..)?;
    let (deflated, trailer) = body.split_at_checked(body.len().checked_sub(GZIP_TRAILER_BYTES)?)?;
    let (crc, size) = trailer.split_first_chunk::<4>()?;
    let size = u32::from_le_bytes(*size.first_chunk::<4>()?) as usize;
    if size > cap.bytes || may_hold_a_member(deflated) {
        return None;
    }
    let mut out = vec![0; size];
    let inflated = DECOMPRESSOR.with_borrow_mut(|decompressor| decompressor.deflate_decompress(deflated, &mut out));
    match inflated {
        Ok(written) if written == size && libdeflater::crc32(&out) == u32::from_le_bytes(*crc) => Some(out.into()),
        Ok(_) | Err(DecompressionError::BadData | DecompressionError::InsufficientSpace) => None,
    }
}

/// Whether another gzip member may start in `bytes`: the inflater would stop in front of it without a word, and if it
/// holds the same data even the checksum at the end would fit. Compressed data looks like that once in 16 MiB.
fn may_hold_a_member(bytes: &[u8]) -> bool {
    const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
    bytes.chunks(32).enumerate().any(|(i, chunk)| {
        // Without a branch per byte, so that the compiler compares 32 at a time.
        let candidate = chunk.iter().fold(0, |any, byte| any | u8::from(*byte == MAGIC[0])) != 0;
        candidate && (32 * i..32 * i + chunk.len()).any(|at| bytes[at..].starts_with(&MAGIC))
    })
}

fn read_capped(reader: impl Read, name: &str, cap: Cap) -> Result<Bytes, Status> {
    let mut out = Vec::new();
    match reader.take(cap.bytes as u64 + 1).read_to_end(&mut out) {
        Ok(_) if out.len() > cap.bytes => Err(cap.exceeded()),
        Ok(_) => Ok(out.into()),
        Err(error) => Err(invalid(format!("{name}: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn options() -> IngestOptions {
        IngestOptions { max_message_bytes: 4 << 20, ..IngestOptions::default() }
    }

    #[test]
    fn gzip_and_zstd_come_back_whole() {
        for size in [0, 1, 1000, 1 << 20] {
            let data: Vec<u8> = (0..size).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let packed = gzip(&data);
            assert!(gunzip_plain(&packed, Cap::new(packed.len(), &options())).is_some(), "the fast way");
            assert_eq!(inflate(&packed, Encoding::Gzip, &options()).unwrap(), data);
            let packed = zstd::encode_all(&data[..], 3).unwrap();
            assert_eq!(inflate(&packed, Encoding::Zstd, &options()).unwrap(), data);
        }
    }

    #[test]
    fn several_members_and_header_fields_are_read_too() {
        let two = [gzip(b"same"), gzip(b"same")].concat();
        assert_eq!(inflate(&two, Encoding::Gzip, &options()).unwrap(), &b"samesame"[..]);
        let mut named = flate2::GzBuilder::new().filename("f").write(Vec::new(), flate2::Compression::fast());
        named.write_all(b"data").unwrap();
        assert_eq!(inflate(&named.finish().unwrap(), Encoding::Gzip, &options()).unwrap(), &b"data"[..]);
    }

    #[test]
    fn damage_is_refused() {
        let packed = gzip(&[b'x'; 5000]);
        for cut in 0..packed.len() {
            let damaged = inflate(&packed[..cut], Encoding::Gzip, &options());
            assert!(damaged.is_err() || cut == 0, "cut at {cut}");
        }
        for at in 10..packed.len() {
            let mut damaged = packed.clone();
            damaged[at] ^= 0x10;
            // The deflate stream ends with some bits that mean nothing.
            if let Ok(data) = inflate(&damaged, Encoding::Gzip, &options()) {
                assert_eq!(data, [b'x'; 5000][..], "flipped at {at}");
            }
        }
        assert!(inflate(b"not zstd", Encoding::Zstd, &options()).is_err());
    }

    #[test]
    fn bombs_stop_at_the_limit_and_name_it() {
        let zeros = vec![0; 3 << 20];
        let bomb = gzip(&zeros);
        assert!(bomb.len() < 4000);
        let too_much = |status: Status, flag: &str| assert!(status.message().contains(flag), "{status}");
        for (packed, encoding) in [(bomb, Encoding::Gzip), (zstd::encode_all(&zeros[..], 3).unwrap(), Encoding::Zstd)] {
            too_much(inflate(&packed, encoding, &options()).unwrap_err(), "--otlp-max-compression-ratio");
        }
        let noise: Vec<u8> = (0..5u32 << 18).flat_map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
        let packed = gzip(&noise);
        too_much(inflate(&packed, Encoding::Gzip, &options()).unwrap_err(), "--otlp-max-message-bytes");
        too_much(expected_bytes(&packed, Encoding::Gzip, &options()).unwrap_err(), "--otlp-max-message-bytes");
        // A trailer that lies about the size does not help.
        let mut lying = gzip(&noise);
        let end = lying.len();
        lying[end - 4..].copy_from_slice(&100u32.to_le_bytes());
        assert_eq!(expected_bytes(&lying, Encoding::Gzip, &options()).unwrap(), 100);
        assert!(inflate(&lying, Encoding::Gzip, &options()).is_err());
    }
}
