//! Follows the frames of an HTTP/2 connection as far as needed to see unfinished heads (RFC 9113, sections 4.1 and 6).

const FRAME_HEAD_BYTES: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Where in the frames a connection is, after its preface.
#[derive(Debug, Default)]
pub(crate) struct Http2 {
    /// The frame's head as far as it has come.
    head: [u8; FRAME_HEAD_BYTES],
    head_len: usize,
    /// What is to come of the frame's content.
    rest: usize,
    /// Headers have begun, and the frame that ends them has not.
    in_headers: bool,
}

impl Http2 {
    pub(crate) fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.head_len < FRAME_HEAD_BYTES {
                let taken = bytes.len().min(FRAME_HEAD_BYTES - self.head_len);
                self.head[self.head_len..self.head_len + taken].copy_from_slice(&bytes[..taken]);
                self.head_len += taken;
                bytes = &bytes[taken..];
                if self.head_len == FRAME_HEAD_BYTES {
                    let [a, b, c, kind, ..] = self.head;
                    self.rest = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                    self.in_headers |= matches!(kind, HEADERS | CONTINUATION);
                    self.end_frame();
                }
            } else {
                let taken = bytes.len().min(self.rest);
                self.rest -= taken;
                bytes = &bytes[taken..];
                self.end_frame();
            }
        }
    }

    fn end_frame(&mut self) {
        if self.rest > 0 {
            return;
        }
        let [_, _, _, kind, flags, ..] = self.head;
        if matches!(kind, HEADERS | CONTINUATION) && flags & END_HEADERS != 0 {
            self.in_headers = false;
        }
        self.head_len = 0;
    }

    pub(crate) fn is_pending(&self) -> bool {
        self.in_headers || (1..FRAME_HEAD_BYTES).contains(&self.head_len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![0, 0, content.len() as u8, kind, flags, 0, 0, 0, 1];
        out.extend(content);
        out
    }

    #[test]
    fn heads_are_pending_until_their_last_frame_has_ended() {
        let data = 0;
        for piece_len in [1, 2, 7, 9, 1000] {
            let steps = [
                (frame(4, 0, &[]), false),
                (frame(HEADERS, 0, b"abc"), true),
                (frame(CONTINUATION, 0, b""), true),
                (frame(CONTINUATION, END_HEADERS, b"d"), false),
                (frame(data, 0, b"0123456789"), false),
                (frame(data, 0, b"0123456789")[..12].to_vec(), false),
                (b"3456789".to_vec(), false),
                (frame(HEADERS, END_HEADERS, b"e")[..4].to_vec(), true),
                (frame(HEADERS, END_HEADERS, b"e")[4..].to_vec(), false),
                (frame(HEADERS, END_HEADERS, b"ef")[..10].to_vec(), true),
            ];
            let mut http2 = Http2::default();
            for (i, (bytes, pending)) in steps.iter().enumerate() {
                bytes.chunks(piece_len).for_each(|piece| http2.follow(piece));
                assert_eq!(http2.is_pending(), *pending, "step {i} in pieces of {piece_len}");
            }
        }
    }
}
