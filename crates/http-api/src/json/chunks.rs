//! The writer: text goes straight into the chunks that the connection will send.

use super::number::{NUMBER_BYTES_MAX, format_timestamp, format_value, put_integer};
use super::text::{escape, plain_prefix};
use bytes::Bytes;
use mytsdb_model::Labels;

/// Size of the first chunk, which most answers fit into.
const FIRST_CHUNK_BYTES: usize = 4 << 10;
/// Size of all others.
const CHUNK_BYTES: usize = 128 << 10;
/// The longest `[t,"`: a timestamp of up to 21 characters and three more.
const POINT_START_BYTES: usize = 24;

/// Bytes being written, as a list of chunks. Nothing is moved once written.
pub(crate) struct Chunks {
    full: Vec<Bytes>,
    /// The chunk being written, zeroed ahead so that fixed-size copies need no length checks of their own.
    current: Vec<u8>,
    at: usize,
}

/// `[t,"`, ready to be copied before a value.
#[derive(Clone, Copy)]
pub(crate) struct PointStart {
    text: [u8; POINT_START_BYTES],
    len: u8,
}

impl PointStart {
    pub(crate) fn new(timestamp_ms: i64) -> Self {
        let mut number = [0; NUMBER_BYTES_MAX];
        let len = format_timestamp(timestamp_ms, &mut number);
        let mut text = [0; POINT_START_BYTES];
        text[0] = b'[';
        text[1..=len].copy_from_slice(&number[..len]);
        text[len + 1] = b',';
        text[len + 2] = b'"';
        Self { text, len: (len + 3) as u8 }
    }
}

impl Chunks {
    pub(crate) fn new() -> Self {
        Self { full: Vec::new(), current: vec![0; FIRST_CHUNK_BYTES], at: 0 }
    }

    /// What was written, in order.
    pub(crate) fn finish(mut self) -> Vec<Bytes> {
        self.current.truncate(self.at);
        if self.at > 0 {
            self.full.push(Bytes::from(self.current));
        }
        self.full
    }

    /// Makes sure that `n` more bytes fit into the current chunk.
    #[inline]
    fn reserve(&mut self, n: usize) {
        if self.current.len() - self.at < n {
            self.next_chunk(n);
        }
    }

    #[cold]
    fn next_chunk(&mut self, n: usize) {
        let mut full = std::mem::replace(&mut self.current, vec![0; CHUNK_BYTES.max(n)]);
        full.truncate(self.at);
        if self.at > 0 {
            self.full.push(Bytes::from(full));
        }
        self.at = 0;
    }

    /// Bytes as they are.
    #[inline]
    pub(crate) fn raw(&mut self, text: &str) {
        self.raw_bytes(text.as_bytes());
    }

    pub(crate) fn raw_bytes(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        self.current[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    /// A quoted, escaped string.
    pub(crate) fn string(&mut self, text: &str) {
        self.raw_bytes(b"\"");
        let mut rest = text.as_bytes();
        loop {
            let plain = plain_prefix(rest);
            self.raw_bytes(&rest[..plain]);
            rest = &rest[plain..];
            if rest.is_empty() {
                break;
            }
            let (escaped, len, taken) = escape(rest);
            self.raw_bytes(&escaped[..len]);
            rest = &rest[taken..];
        }
        self.raw_bytes(b"\"");
    }

    /// `"a","b"` in brackets.
    pub(crate) fn strings<S: AsRef<str>>(&mut self, texts: impl IntoIterator<Item = S>) {
        self.list(texts, |out, text| out.string(text.as_ref()));
    }

    /// A list, one call of `item` for each element.
    pub(crate) fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Self, T)) {
        self.raw("[");
        for (i, element) in items.into_iter().enumerate() {
            if i > 0 {
                self.raw(",");
            }
            item(self, element);
        }
        self.raw("]");
    }

    /// `{"name":"value",…}`, names ascending bytewise.
    pub(crate) fn labels(&mut self, labels: &Labels) {
        let mut separator = "{";
        for (name, value) in labels {
            self.raw(separator);
            self.string(name);
            self.raw(":");
            self.string(value);
            separator = ",";
        }
        self.raw(if labels.is_empty() { "{}" } else { "}" });
    }

    /// A sample value in quotes.
    pub(crate) fn value(&mut self, value: f64) {
        self.raw("\"");
        self.number(|out| format_value(value, out));
        self.raw("\"");
    }

    /// Milliseconds as seconds.
    pub(crate) fn timestamp(&mut self, timestamp_ms: i64) {
        self.number(|out| format_timestamp(timestamp_ms, out));
    }

    /// A count.
    pub(crate) fn integer(&mut self, n: u64) {
        self.number(|out| put_integer(out, 0, n));
    }

    /// A number without quotes; 0 if it is not finite, which JSON cannot say.
    pub(crate) fn float(&mut self, value: f64) {
        self.number(|out| format_value(if value.is_finite() { value } else { 0.0 }, out));
    }

    /// `[t,"v"]`.
    #[inline]
    pub(crate) fn point(&mut self, start: &PointStart, value: f64) {
        const END_BYTES: usize = 2;
        self.reserve(POINT_START_BYTES + NUMBER_BYTES_MAX + END_BYTES);
        let mut number = [0; NUMBER_BYTES_MAX];
        let number_len = format_value(value, &mut number);
        let mut at = self.at;
        self.current[at..at + POINT_START_BYTES].copy_from_slice(&start.text);
        at += usize::from(start.len);
        self.current[at..at + NUMBER_BYTES_MAX].copy_from_slice(&number);
        at += number_len;
        self.current[at..at + END_BYTES].copy_from_slice(b"\"]");
        self.at = at + END_BYTES;
    }

    #[inline]
    fn number(&mut self, format: impl FnOnce(&mut [u8; NUMBER_BYTES_MAX]) -> usize) {
        self.reserve(NUMBER_BYTES_MAX);
        let mut number = [0; NUMBER_BYTES_MAX];
        let len = format(&mut number);
        self.current[self.at..self.at + NUMBER_BYTES_MAX].copy_from_slice(&number);
        self.at += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Chunks)) -> String {
        let mut out = Chunks::new();
        write(&mut out);
        String::from_utf8(out.finish().concat()).unwrap()
    }

    #[test]
    fn strings_are_escaped_as_go_escapes_them() {
        for (input, expected) in [
            ("", r#""""#),
            ("plain", r#""plain""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\n\r\t\0\u{1f}", r#""\n\r\t\u0000\u001f""#),
            ("<a href='x'>&", r#""\u003ca href='x'\u003e\u0026""#),
            ("ü€\u{2028}\u{2029}∑", "\"ü€\\u2028\\u2029∑\""),
            ("\u{7f}", "\"\u{7f}\""),
        ] {
            assert_eq!(text(|out| out.string(input)), expected);
        }
    }

    #[test]
    fn labels_are_an_object_in_name_order() {
        let labels = Labels::from_pairs([("job", "a<b"), ("__name__", "up")]);
        assert_eq!(text(|out| out.labels(&labels)), r#"{"__name__":"up","job":"a\u003cb"}"#);
        assert_eq!(text(|out| out.labels(&Labels::empty())), "{}");
    }

    #[test]
    fn text_of_any_length_crosses_chunks_unchanged() {
        let long = "x".repeat(3 * CHUNK_BYTES + 17);
        let written = text(|out| {
            for i in 0..100_000 {
                out.point(&PointStart::new(i64::MIN), f64::from(i));
            }
            out.string(&long);
        });
        let points: Vec<String> = (0..100_000).map(|i| format!("[-9223372036854775.808,\"{i}\"]")).collect();
        let mut expected = points.concat();
        expected.push('"');
        expected.push_str(&long);
        expected.push('"');
        assert!(written == expected);
    }
}
