//! Undoes a request's compression, never past the limit.

use crate::{Buffers, Encoding, IngestOptions, Refusal};
use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use std::io::Read;

/// Decompressed bytes beyond which the ratio of sizes is bounded: small requests may be as repetitive as they like, for
/// room is taken before it is filled.
const RATIO_FREE_BYTES: usize = 1 << 20;

/// log2 of the largest window a zstd frame may ask for: 64 MiB, as large as a message.
const ZSTD_WINDOW_LOG_MAX: u32 = 26;

/// What a stream of snappy frames begins with. No block does: its first element would copy from before the start.
const SNAPPY_FRAMES: &[u8] = b"\xff\x06\x00\x00sNaPpY";

/// What every gzip member begins with.
const GZIP_MAGIC: &[u8] = b"\x1f\x8b";

/// More bytes than a byte of a deflate stream can stand for (1,032).
const DEFLATE_RATIO_MAX: usize = 1040;

/// Bytes by which the room for inflated data grows.
const STEP_BYTES: usize = 64 << 10;

/// A limit on decompressed bytes, and how to name it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cap {
    pub bytes: usize,
    limit: usize,
    flag: &'static str,
}

impl Cap {
    pub fn new(compressed_bytes: usize, options: &IngestOptions) -> Self {
        let ratio = compressed_bytes.saturating_mul(options.max_compression_ratio).max(RATIO_FREE_BYTES);
        if ratio < options.max_message_bytes {
            let limit = options.max_compression_ratio;
            Self { bytes: ratio, limit, flag: "--max-compression-ratio" }
        } else {
            let limit = options.max_message_bytes;
            Self { bytes: limit, limit, flag: "--max-request-bytes" }
        }
    }

    fn exceeded(self) -> Refusal {
        let what = format!("decompressed request of more than {} bytes", self.bytes);
        Refusal::too_large(&what, self.limit, self.flag)
    }
}

/// The bytes a message says it becomes, for admission; the most that is allowed if it does not say.
///
/// # Errors
/// [`Refusal::TooLarge`] if the message itself says that it is over the limit.
pub(crate) fn declared_bytes(message: &[u8], encoding: Encoding, cap: Cap) -> Result<usize, Refusal> {
    let declared = match encoding {
        Encoding::Identity => Some(message.len()),
        Encoding::Gzip => gzip_declared_bytes(message)?,
        Encoding::Snappy if is_snappy_frames(message) => None,
        Encoding::Snappy | Encoding::SnappyBlock => Some(block_bytes(message)?),
        Encoding::Zstd => match zstd::zstd_safe::get_frame_content_size(message) {
            // The first of several frames: a larger size is final, a smaller one is not.
            Ok(Some(size)) if size > cap.bytes as u64 => return Err(cap.exceeded()),
            _ => None,
        },
        Encoding::Deflate => None,
    };
    match declared {
        Some(bytes) if bytes > cap.bytes => Err(cap.exceeded()),
        declared => Ok(declared.unwrap_or(cap.bytes)),
    }
}

/// Undoes the compression. Takes as many bytes as it says, at most those of `cap` and [`STEP_BYTES`].
///
/// # Errors
/// [`Refusal::Malformed`] if the bytes are damaged, [`Refusal::TooLarge`] if they unpack to more than allowed.
pub(crate) fn inflate(message: &[u8], encoding: Encoding, cap: Cap, buffers: &Buffers) -> Result<Bytes, Refusal> {
    match encoding {
        Encoding::Identity => Ok(Bytes::copy_from_slice(message)),
        Encoding::Gzip => read_capped(flate2::read::MultiGzDecoder::new(message), "gzip", cap),
        Encoding::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(message).map_err(|error| broken("zstd", error))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(|error| broken("zstd", error))?;
            read_capped(decoder, "zstd", cap)
        }
        Encoding::Snappy if is_snappy_frames(message) => {
            read_capped(snap::read::FrameDecoder::new(message), "snappy", cap)
        }
        Encoding::Snappy | Encoding::SnappyBlock => inflate_block(message, cap, buffers),
        Encoding::Deflate => inflate_deflate(message, cap),
    }
}

/// What the trailer of the last gzip member says; inflating shows whether it is true.
fn gzip_declared_bytes(message: &[u8]) -> Result<Option<usize>, Refusal> {
    if !message.is_empty() && !message.starts_with(GZIP_MAGIC) {
        return Err(broken("gzip", "the data does not begin as gzip does"));
    }
    let Some(size) = message.last_chunk::<4>() else { return Ok(None) };
    let size = u32::from_le_bytes(*size) as usize;
    if size / DEFLATE_RATIO_MAX > message.len() {
        return Err(broken("gzip", "the size at the end is impossible, the data is damaged or cut short"));
    }
    Ok(Some(size))
}

/// The bytes that a snappy block says it becomes.
fn block_bytes(message: &[u8]) -> Result<usize, Refusal> {
    if message.is_empty() {
        return Err(broken("snappy", "no bytes are no block"));
    }
    snap::raw::decompress_len(message).map_err(|error| broken_block(&error))
}

/// Errors of blocks say themselves what they are of.
fn broken_block(error: &snap::Error) -> Refusal {
    Refusal::malformed(error.to_string())
}

fn inflate_block(message: &[u8], cap: Cap, buffers: &Buffers) -> Result<Bytes, Refusal> {
    let length = block_bytes(message)?;
    if length > cap.bytes {
        return Err(cap.exceeded());
    }
    let mut out = buffers.take(length);
    let decompressed = snap::raw::Decoder::new().decompress(message, out.set_len(length));
    let written = decompressed.map_err(|error| broken_block(&error))?;
    out.set_len(written);
    Ok(out.freeze())
}

/// No bytes are no frames, but never a block.
fn is_snappy_frames(message: &[u8]) -> bool {
    message.is_empty() || message.starts_with(SNAPPY_FRAMES)
}

fn broken(name: &str, error: impl std::fmt::Display) -> Refusal {
    Refusal::malformed(format!("{name}: {error}"))
}

fn read_capped(reader: impl Read, name: &str, cap: Cap) -> Result<Bytes, Refusal> {
    let mut out = Vec::new();
    match reader.take(cap.bytes as u64 + 1).read_to_end(&mut out) {
        Ok(_) if out.len() > cap.bytes => Err(cap.exceeded()),
        Ok(_) => Ok(out.into()),
        Err(error) => Err(broken(name, error)),
    }
}

/// Readers of flate2 take a deflate stream that is cut short for one that ends, so its end is asked for here.
fn inflate_deflate(message: &[u8], cap: Cap) -> Result<Bytes, Refusal> {
    // RFC 1950, section 2.2: method 8, and the first two bytes are a multiple of 31.
    let zlib =
        matches!(message, [cmf, flags, ..] if cmf & 0x0f == 8 && (u16::from(*cmf) << 8 | u16::from(*flags)) % 31 == 0);
    let mut decoder = Decompress::new(zlib);
    let mut out = Vec::new();
    loop {
        out.reserve(STEP_BYTES);
        let before = (decoder.total_in(), decoder.total_out());
        let rest = &message[before.0 as usize..];
        let status =
            decoder.decompress_vec(rest, &mut out, FlushDecompress::None).map_err(|error| broken("deflate", error))?;
        if out.len() > cap.bytes {
            return Err(cap.exceeded());
        }
        match status {
            Status::StreamEnd if decoder.total_in() as usize == message.len() => return Ok(out.into()),
            Status::StreamEnd => return Err(broken("deflate", "bytes behind the end of the stream")),
            _ if before == (decoder.total_in(), decoder.total_out()) => {
                return Err(broken("deflate", "the stream is cut short"));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gzip::gunzip_plain;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn options() -> IngestOptions {
        IngestOptions { max_message_bytes: 2 << 20, ..IngestOptions::default() }
    }

    fn cap(packed: &[u8]) -> Cap {
        Cap::new(packed.len(), &options())
    }

    fn undo(packed: &[u8], encoding: Encoding) -> Result<Bytes, Refusal> {
        declared_bytes(packed, encoding, cap(packed))?;
        inflate(packed, encoding, cap(packed), &Buffers::default())
    }

    /// The data in every form that there is a way to undo.
    fn packings(data: &[u8]) -> Vec<(Vec<u8>, Encoding)> {
        let level = flate2::Compression::default();
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), level);
        zlib.write_all(data).unwrap();
        let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), level);
        deflate.write_all(data).unwrap();
        let mut frames = snap::write::FrameEncoder::new(Vec::new());
        frames.write_all(data).unwrap();
        vec![
            (gzip(data), Encoding::Gzip),
            (zstd::encode_all(data, 3).unwrap(), Encoding::Zstd),
            (snap::raw::Encoder::new().compress_vec(data).unwrap(), Encoding::Snappy),
            (snap::raw::Encoder::new().compress_vec(data).unwrap(), Encoding::SnappyBlock),
            (frames.into_inner().unwrap(), Encoding::Snappy),
            (zlib.finish().unwrap(), Encoding::Deflate),
            (deflate.finish().unwrap(), Encoding::Deflate),
        ]
    }

    #[test]
    fn every_encoding_comes_back_whole() {
        for size in [0, 1, 1000, 1 << 20] {
            let data: Vec<u8> = (0..size).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            let packed = gzip(&data);
            assert!(gunzip_plain(&packed, cap(&packed).bytes, &Buffers::default()).is_some(), "the fast way");
            for (packed, encoding) in packings(&data) {
                assert_eq!(undo(&packed, encoding).unwrap(), data, "{encoding:?}");
            }
        }
    }

    #[test]
    fn several_members_and_header_fields_are_read_too() {
        let two = [gzip(b"same"), gzip(b"same")].concat();
        assert_eq!(undo(&two, Encoding::Gzip).unwrap(), &b"samesame"[..]);
        let mut named = flate2::GzBuilder::new().filename("f").write(Vec::new(), flate2::Compression::fast());
        named.write_all(b"data").unwrap();
        assert_eq!(undo(&named.finish().unwrap(), Encoding::Gzip).unwrap(), &b"data"[..]);
    }

    #[test]
    fn damage_is_refused() {
        let data = [b'x'; 5000];
        for (packed, encoding) in packings(&data) {
            for cut in 1..packed.len() {
                // A stream of whole frames is whole.
                let cut_off = undo(&packed[..cut], encoding);
                let whole_frames = packed.starts_with(SNAPPY_FRAMES) && cut == SNAPPY_FRAMES.len();
                assert!(cut_off.is_err() || whole_frames, "{encoding:?} cut at {cut}");
            }
        }
        let packed = gzip(&data);
        for at in 10..packed.len() {
            let mut damaged = packed.clone();
            damaged[at] ^= 0x10;
            // The deflate stream ends with some bits that mean nothing.
            if let Ok(data) = undo(&damaged, Encoding::Gzip) {
                assert_eq!(data, [b'x'; 5000][..], "flipped at {at}");
            }
            if let Some(data) = gunzip_plain(&damaged, cap(&damaged).bytes, &Buffers::default()) {
                assert_eq!(data, [b'x'; 5000][..], "flipped at {at}");
            }
        }
        for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Snappy, Encoding::Deflate] {
            assert!(undo(b"not compressed", encoding).is_err(), "{encoding:?}");
        }
    }

    #[test]
    fn bombs_stop_at_the_limit_and_name_it() {
        let zeros = vec![0; 9 << 20];
        let roomy = IngestOptions { max_message_bytes: 12 << 20, ..IngestOptions::default() };
        let too_much = |refusal: &Refusal, wanted: &str| match refusal {
            Refusal::TooLarge { flag, message, .. } => assert!(*flag == wanted && message.contains(flag), "{refusal}"),
            other => panic!("{other}"),
        };
        for (packed, encoding) in packings(&zeros) {
            let ratio = Cap { bytes: 1 << 20, limit: 200, flag: "--max-compression-ratio" };
            too_much(&inflate(&packed, encoding, ratio, &Buffers::default()).unwrap_err(), "--max-compression-ratio");
            let by_size = Cap::new(packed.len(), &roomy);
            if by_size.bytes < zeros.len() {
                too_much(
                    &inflate(&packed, encoding, by_size, &Buffers::default()).unwrap_err(),
                    "--max-compression-ratio",
                );
            }
            too_much(&undo(&packed, encoding).unwrap_err(), cap(&packed).flag);
        }
        for (packed, encoding) in packings(&zeros[..RATIO_FREE_BYTES]) {
            let whole = inflate(&packed, encoding, Cap::new(packed.len(), &roomy), &Buffers::default());
            assert_eq!(whole.unwrap().len(), RATIO_FREE_BYTES, "{encoding:?}: small enough for any ratio");
        }
        let noise: Vec<u8> = (0..5u32 << 17).flat_map(|i| i.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
        for (packed, encoding) in packings(&noise) {
            too_much(
                &inflate(&packed, encoding, cap(&packed), &Buffers::default()).unwrap_err(),
                "--max-request-bytes",
            );
            too_much(&undo(&packed, encoding).unwrap_err(), "--max-request-bytes");
        }
        // A trailer that lies about the size does not help.
        let mut lying = gzip(&noise);
        let end = lying.len();
        lying[end - 4..].copy_from_slice(&100u32.to_le_bytes());
        assert_eq!(declared_bytes(&lying, Encoding::Gzip, cap(&lying)).unwrap(), 100);
        assert!(gunzip_plain(&lying, cap(&lying).bytes, &Buffers::default()).is_none());
        assert!(undo(&lying, Encoding::Gzip).is_err());
    }

    #[test]
    fn damaged_gzip_is_not_taken_for_large() {
        let noise: Vec<u8> = (0..10_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let packed = gzip(&noise);
        for damaged in [&packed[..packed.len() - 6], b"no gzip at all", &[0xff; 100]] {
            let refused = undo(damaged, Encoding::Gzip);
            assert!(matches!(refused, Err(Refusal::Malformed { .. })), "{refused:?}");
        }
    }

    #[test]
    fn frames_and_no_bytes_are_no_snappy_block() {
        let mut frames = snap::write::FrameEncoder::new(Vec::new());
        frames.write_all(b"data").unwrap();
        for message in [frames.into_inner().unwrap(), Vec::new()] {
            assert!(undo(&message, Encoding::Snappy).is_ok());
            let refused = undo(&message, Encoding::SnappyBlock);
            assert!(matches!(refused, Err(Refusal::Malformed { .. })), "{refused:?}");
        }
    }

    #[test]
    fn a_snappy_block_that_promises_too_much_takes_no_memory() {
        let promise = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        let refused = declared_bytes(&promise, Encoding::Snappy, cap(&promise));
        assert!(matches!(refused, Err(Refusal::TooLarge { .. })), "{refused:?}");
    }
}
