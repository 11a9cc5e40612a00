//! The compressions that requests may have.

/// How a request is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// gzip members, one after the other (RFC 1952).
    Gzip,
    /// zstd frames, one after the other (RFC 8878).
    Zstd,
    /// One snappy block, or snappy frames; which of both is told by how they begin.
    Snappy,
    /// One snappy block and nothing else, as remote write has it. No name stands for it in [`from_name`](Self::from_name).
    SnappyBlock,
    /// A zlib stream (RFC 1950), or the bare deflate stream that some senders take for it (RFC 1951).
    Deflate,
}

impl Encoding {
    /// The encoding of that name in any case, as HTTP and gRPC write it; an empty name is identity.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        let known: [(&[u8], Self); 8] = [
            (b"", Self::Identity),
            (b"identity", Self::Identity),
            (b"gzip", Self::Gzip),
            (b"x-gzip", Self::Gzip),
            (b"zstd", Self::Zstd),
            (b"snappy", Self::Snappy),
            (b"x-snappy-framed", Self::Snappy),
            (b"deflate", Self::Deflate),
        ];
        known.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, encoding)| *encoding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case() {
        assert_eq!(Encoding::from_name(b"GZip"), Some(Encoding::Gzip));
        assert_eq!(Encoding::from_name(b""), Some(Encoding::Identity));
        assert_eq!(Encoding::from_name(b"br"), None);
        assert_eq!(Encoding::from_name(b"gzip, gzip"), None);
    }
}
