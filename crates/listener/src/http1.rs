//! Follows the requests of an HTTP/1 connection, and escapes in their targets what people type and parsers refuse.
//!
//! URLs in shells, scripts and old libraries hold quotes, brackets and braces as they are, and Go's servers take them.
//! The parser behind this one refuses some. So those bytes of a target, and no others, are passed on escaped (RFC 3986,
//! section 2.1), and a target that is too long is cut.
//!
//! Invariant P: where the length of a body cannot be told for sure, everything that follows passes unchanged. A body
//! that was taken for a head would be corrupted; a head that was taken for a body is at worst refused.

/// Longest method, in bytes.
const METHOD_BYTES_MAX: usize = 32;
/// What is kept of a header line: enough for those that say how long the body is.
const LINE_BYTES_MAX: usize = 128;
/// Longest line before a chunk, its extensions included.
const CHUNK_LINE_BYTES_MAX: usize = 64;

/// Where in its requests a connection is.
#[derive(Debug)]
pub(crate) struct Http1 {
    target_bytes_max: Option<usize>,
    at: At,
    /// The line being read, as far as it is kept.
    line: Vec<u8>,
    /// Bytes of the method or the target so far, as passed on.
    word_bytes: usize,
    /// What the head says of its body.
    body: Body,
    /// Whether the version allows bodies in chunks.
    chunks_allowed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before a request.
    Start,
    Method,
    Target,
    Version,
    Header,
    /// So many bytes of a body are to come.
    Body(u64),
    ChunkSize,
    /// So many bytes of a chunk are to come, with the end of its line.
    Chunk(u64),
    Trailer,
    /// Nobody knows; see invariant P.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    None,
    Bytes(u64),
    Chunks,
    Unclear,
}

impl Http1 {
    pub(crate) fn new(target_bytes_max: Option<usize>) -> Self {
        Self {
            target_bytes_max,
            at: At::Start,
            line: Vec::new(),
            word_bytes: 0,
            body: Body::None,
            chunks_allowed: false,
        }
    }

    pub(crate) fn is_pending(&self) -> bool {
        matches!(self.at, At::Method | At::Target | At::Version | At::Header)
    }

    /// Takes the bytes that were read next, and gives those to be passed on in their place, if they are others.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        // The bytes before `i` as they are passed on, once that differs from what was read.
        let mut changed: Option<Vec<u8>> = None;
        let mut i = 0;
        while i < bytes.len() {
            let taken = match self.at {
                At::Unknown => bytes.len() - i,
                At::Body(rest) => {
                    let taken = at_most(rest, bytes.len() - i);
                    let rest = rest - taken as u64;
                    self.at = if rest == 0 { At::Start } else { At::Body(rest) };
                    taken
                }
                At::Chunk(rest) => {
                    let taken = at_most(rest, bytes.len() - i);
                    let rest = rest - taken as u64;
                    self.at = if rest == 0 { At::ChunkSize } else { At::Chunk(rest) };
                    taken
                }
                At::Target => {
                    if self.target(bytes[i], &bytes[..i], &mut changed) {
                        i += 1;
                        continue;
                    }
                    self.byte(bytes[i]);
                    1
                }
                _ => {
                    self.byte(bytes[i]);
                    1
                }
            };
            if let Some(changed) = &mut changed {
                changed.extend_from_slice(&bytes[i..i + taken]);
            }
            i += taken;
        }
        changed
    }

    /// A byte of a target, which comes after `before`. Says whether it was passed on here, changed or not at all.
    fn target(&mut self, byte: u8, before: &[u8], changed: &mut Option<Vec<u8>>) -> bool {
        let Some(bytes_max) = self.target_bytes_max else { return false };
        if matches!(byte, b' ' | b'\r' | b'\n') {
            return false;
        }
        // One byte beyond the limit is let through, as a sign that there were more.
        let room = (bytes_max + 1).saturating_sub(self.word_bytes);
        if room > 0 && !is_escaped(byte) {
            return false;
        }
        let [high, low] = [byte >> 4, byte & 15].map(|digit| b"0123456789ABCDEF"[usize::from(digit)]);
        let escaped = [b'%', high, low];
        let passed = if is_escaped(byte) { &escaped[..room.min(3)] } else { &[] };
        changed.get_or_insert_with(|| before.to_vec()).extend_from_slice(passed);
        self.word_bytes += passed.len();
        true
    }

    /// A byte that is passed on as it is, of anything but a body.
    fn byte(&mut self, byte: u8) {
        match self.at {
            At::Start => {
                // Empty lines before a request are skipped (RFC 9112, section 2.2).
                if !matches!(byte, b'\r' | b'\n') {
                    (self.at, self.word_bytes, self.body) = (At::Method, 1, Body::None);
                    self.line.clear();
                    self.line.push(byte);
                }
            }
            At::Method if byte == b' ' => {
                (self.at, self.word_bytes) = if self.line == b"CONNECT" { (At::Unknown, 0) } else { (At::Target, 0) };
                self.line.clear();
            }
            At::Method => {
                self.word_bytes += 1;
                self.line.push(byte);
                if self.word_bytes > METHOD_BYTES_MAX || !byte.is_ascii_graphic() {
                    self.at = At::Unknown;
                }
            }
            At::Target => match byte {
                b' ' => self.at = At::Version,
                b'\r' | b'\n' => self.at = At::Unknown,
                _ => self.word_bytes += 1,
            },
            At::Version | At::Header | At::Trailer | At::ChunkSize => {
                let kept_max = if self.at == At::ChunkSize { CHUNK_LINE_BYTES_MAX } else { LINE_BYTES_MAX };
                if byte == b'\n' {
                    self.end_line();
                } else if self.line.len() <= kept_max {
                    self.line.push(byte);
                }
            }
            At::Body(_) | At::Chunk(_) | At::Unknown => unreachable!("bodies are skipped"),
        }
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        let text = line.strip_suffix(b"\r").unwrap_or(&line);
        self.at = match self.at {
            At::Version if text == b"HTTP/1.1" || text == b"HTTP/1.0" => {
                self.chunks_allowed = text == b"HTTP/1.1";
                At::Header
            }
            At::Header if text.is_empty() => match self.body {
                Body::None | Body::Bytes(0) => At::Start,
                Body::Bytes(bytes) => At::Body(bytes),
                Body::Chunks => At::ChunkSize,
                Body::Unclear => At::Unknown,
            },
            At::Header => {
                self.header(text);
                At::Header
            }
            At::ChunkSize => match chunk_bytes(text) {
                Some(0) => At::Trailer,
                // And the two bytes that end its line.
                Some(bytes) => At::Chunk(bytes + 2),
                None => At::Unknown,
            },
            At::Trailer if text.is_empty() => At::Start,
            At::Trailer => At::Trailer,
            _ => At::Unknown,
        };
        line.clear();
        self.line = line;
    }

    fn header(&mut self, line: &[u8]) {
        let (name, value) = match line.iter().position(|&b| b == b':') {
            Some(colon) => (&line[..colon], line[colon + 1..].trim_ascii()),
            None => (line, &b""[..]),
        };
        let is = |known: &str| name.trim_ascii().eq_ignore_ascii_case(known.as_bytes());
        let of_body = is("content-length") || is("transfer-encoding");
        // A line that goes on from the one before could change what that one said.
        let unclear = line.starts_with(b" ") || line.starts_with(b"\t") || is("upgrade");
        if unclear || (of_body && (line.len() > LINE_BYTES_MAX || self.body != Body::None)) {
            self.body = Body::Unclear;
        } else if is("content-length") {
            self.body = decimal(value).map_or(Body::Unclear, Body::Bytes);
        } else if is("transfer-encoding") {
            let chunks = self.chunks_allowed && value.eq_ignore_ascii_case(b"chunked");
            self.body = if chunks { Body::Chunks } else { Body::Unclear };
        }
    }
}

/// What is passed on escaped: all that may not stand in a URL but is printable, and the mark of a fragment, which no
/// client sends as such.
fn is_escaped(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' | b'#') || byte >= 0x80
}

fn at_most(rest: u64, len: usize) -> usize {
    usize::try_from(rest).unwrap_or(usize::MAX).min(len)
}

fn decimal(text: &[u8]) -> Option<u64> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    digits.then(|| std::str::from_utf8(text).ok()?.parse().ok()).flatten()
}

/// The length of a chunk, of at most 60 bits.
fn chunk_bytes(line: &[u8]) -> Option<u64> {
    if line.len() >= CHUNK_LINE_BYTES_MAX {
        return None;
    }
    let digits = line.split(|&b| b == b';').next()?.trim_ascii();
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests;
