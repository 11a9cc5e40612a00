//! Follows what a connection reads, to know whether the head of a request is on its way.

use crate::http1::Http1;
use crate::http2::Http2;

/// What every HTTP/2 connection begins with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The heads of the requests of one connection.
#[derive(Debug)]
pub(crate) struct Heads {
    target_bytes_max: Option<usize>,
    protocol: Protocol,
}

#[derive(Debug)]
enum Protocol {
    /// So many bytes, all of the preface.
    Open(usize),
    Http1(Http1),
    Http2(Http2),
}

impl Heads {
    pub(crate) fn new(target_bytes_max: Option<usize>) -> Self {
        Self { target_bytes_max, protocol: Protocol::Open(0) }
    }

    /// Takes the bytes that were read next, and gives those to be passed on in their place, if they are others.
    pub(crate) fn follow(&mut self, mut bytes: &[u8]) -> Option<Vec<u8>> {
        if let Protocol::Open(known) = self.protocol {
            let rest = &PREFACE[known..];
            let same = bytes.iter().zip(rest).take_while(|(a, b)| a == b).count();
            if same == rest.len() {
                self.protocol = Protocol::Http2(Http2::default());
                bytes = &bytes[same..];
            } else if same == bytes.len() {
                self.protocol = Protocol::Open(known + same);
                return None;
            } else {
                let mut http1 = Http1::new(self.target_bytes_max);
                // Nothing in the preface is ever changed.
                http1.follow(&PREFACE[..known]);
                self.protocol = Protocol::Http1(http1);
            }
        }
        match &mut self.protocol {
            Protocol::Open(_) => None,
            Protocol::Http1(http1) => http1.follow(bytes),
            Protocol::Http2(http2) => {
                http2.follow(bytes);
                None
            }
        }
    }

    /// Whether an HTTP library has something to do: the protocol is HTTP/2, where the server speaks first, or a whole
    /// head of HTTP/1 is there.
    pub(crate) fn is_ripe(&self) -> bool {
        match &self.protocol {
            Protocol::Open(_) => false,
            Protocol::Http1(http1) => !http1.is_pending(),
            Protocol::Http2(_) => true,
        }
    }

    /// Whether a head has begun and not ended.
    pub(crate) fn is_pending(&self) -> bool {
        match &self.protocol {
            Protocol::Open(known) => *known > 0,
            Protocol::Http1(http1) => http1.is_pending(),
            Protocol::Http2(http2) => http2.is_pending(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads() -> Heads {
        Heads::new(Some(100))
    }

    #[test]
    fn the_protocol_is_told_by_the_first_bytes_in_any_pieces() {
        let post: &[u8] = b"POST /\"a HTTP/1.1\r\n\r\n";
        let mut whole = heads();
        assert_eq!(whole.follow(post).unwrap(), b"POST /%22a HTTP/1.1\r\n\r\n");
        let mut pieces = heads();
        let passed: Vec<u8> = post.iter().flat_map(|b| pieces.follow(&[*b]).unwrap_or_else(|| vec![*b])).collect();
        assert_eq!(passed, b"POST /%22a HTTP/1.1\r\n\r\n");
        assert!(!pieces.is_pending());
    }

    #[test]
    fn nothing_of_http2_is_changed() {
        let mut heads = heads();
        let mut bytes = PREFACE.to_vec();
        bytes.extend(b"\0\0\x11\x01\x04\0\0\0\x01GET /\"<> HTTP/1.1");
        for byte in &bytes {
            assert!(heads.follow(&[*byte]).is_none());
        }
        assert!(!heads.is_pending());
    }

    #[test]
    fn half_a_preface_is_pending() {
        let mut heads = heads();
        assert!(!heads.is_pending());
        heads.follow(&PREFACE[..5]);
        assert!(heads.is_pending());
        heads.follow(&PREFACE[5..]);
        assert!(!heads.is_pending());
    }
}
