//! The writer: text goes straight into the chunks that the connection will send.

use super::number::{NUMBER_BYTES_MAX, format_timestamp, format_value, put_integer};
use super::spare::{self, BUFFER_BYTES};
use super::text::{escape, plain_prefix};
use bytes::Bytes;
use mytsdb_model::Labels;

/// Size of the first chunk, which most answers fit into. All others have [`BUFFER_BYTES`].
const FIRST_CHUNK_BYTES: usize = 4 << 10;
/// Room for the start of a point: a timestamp of up to 21 characters and three more.
const POINT_START_BYTES: usize = 32;
/// Room for a point and a comma.
const POINT_BYTES: usize = POINT_START_BYTES + NUMBER_BYTES_MAX;
/// Points for which room is made at once.
const POINTS_PER_RESERVE: usize = 32;

/// Where full chunks go while more are written.
pub(crate) trait Outlet {
    /// Is shown the full chunks each time there is one more, and may take them out. Says whether more are wanted.
    fn offer(&mut self, full: &mut Vec<Bytes>) -> bool;
}

/// Bytes being written, as a list of chunks. Bytes that are written are never moved.
pub(crate) struct Chunks<'a> {
    full: Vec<Bytes>,
    /// The chunk being written; behind `at` it may hold anything, so that copies of a fixed size need no checks.
    current: Box<[u8]>,
    at: usize,
    outlet: Option<&'a mut dyn Outlet>,
    wanted: bool,
}

/// `[t,"`, ready to be copied before a value.
#[derive(Clone, Copy)]
pub(crate) struct PointStart {
    text: [u8; POINT_START_BYTES],
    len: usize,
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
        Self { text, len: len + 3 }
    }

    /// Writes `[t,"v"],` and returns the length.
    #[inline]
    fn write(&self, value: f64, out: &mut [u8; POINT_BYTES]) -> usize {
        const END: [u8; 4] = *b"\"],\0";
        out[..POINT_START_BYTES].copy_from_slice(&self.text);
        // Has no effect but to show the compiler that the number fits.
        let start = self.len % POINT_START_BYTES;
        let number = out[start..].first_chunk_mut().expect("a number fits behind any start");
        let end = start + format_value(value, number);
        out[end..end + END.len()].copy_from_slice(&END);
        end + 3
    }
}

impl<'a> Chunks<'a> {
    pub(crate) fn new() -> Self {
        let current = vec![0; FIRST_CHUNK_BYTES].into_boxed_slice();
        Self { full: Vec::new(), current, at: 0, outlet: None, wanted: true }
    }

    /// A writer that shows `outlet` each full chunk.
    pub(crate) fn with_outlet(outlet: &'a mut dyn Outlet) -> Self {
        Self { outlet: Some(outlet), ..Self::new() }
    }

    /// What was written and not taken by the outlet, in order.
    pub(crate) fn finish(mut self) -> Vec<Bytes> {
        self.put_aside(Box::default());
        self.full
    }

    /// Whether anybody wants more than there is.
    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted
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
        let next = if n <= BUFFER_BYTES { spare::take() } else { vec![0; n].into_boxed_slice() };
        self.put_aside(next);
        if let Some(outlet) = &mut self.outlet {
            self.wanted = outlet.offer(&mut self.full);
        }
        if !self.wanted {
            self.full.clear();
        }
    }

    fn put_aside(&mut self, next: Box<[u8]>) {
        let full = std::mem::replace(&mut self.current, next);
        if self.at > 0 {
            self.full.push(spare::lend(full, self.at));
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
        let mut rest = text.as_bytes();
        let mut plain = plain_prefix(rest);
        if plain == rest.len() {
            self.reserve(plain + 2);
            let out = &mut self.current[self.at..self.at + plain + 2];
            out[0] = b'"';
            out[1..=plain].copy_from_slice(rest);
            out[plain + 1] = b'"';
            self.at += plain + 2;
            return;
        }
        self.raw_bytes(b"\"");
        loop {
            self.raw_bytes(&rest[..plain]);
            rest = &rest[plain..];
            if rest.is_empty() {
                break;
            }
            let (escaped, len, taken) = escape(rest);
            self.raw_bytes(&escaped[..len]);
            rest = &rest[taken..];
            plain = plain_prefix(rest);
        }
        self.raw_bytes(b"\"");
    }

    /// `"a","b"` in brackets.
    pub(crate) fn strings<S: AsRef<str>>(&mut self, texts: impl IntoIterator<Item = S>) {
        self.list(texts, |out, text| out.string(text.as_ref()));
    }

    /// A list, one call of `item` for each element; cut short once nobody wants it.
    pub(crate) fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Self, T)) {
        self.raw("[");
        for (i, element) in items.into_iter().enumerate() {
            if !self.wanted {
                break;
            }
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
    pub(crate) fn point(&mut self, start: &PointStart, value: f64) {
        self.points_and_commas(std::slice::from_ref(start), &[value]);
        self.at -= 1;
    }

    /// `[t,"v"],` for each pair of a start and a value. To be followed by [`Chunks::end_points`].
    #[inline]
    pub(crate) fn points_and_commas(&mut self, starts: &[PointStart], values: &[f64]) {
        for (starts, values) in starts.chunks(POINTS_PER_RESERVE).zip(values.chunks(POINTS_PER_RESERVE)) {
            self.reserve(POINTS_PER_RESERVE * POINT_BYTES);
            let mut at = self.at;
            for (start, &value) in starts.iter().zip(values) {
                let out = self.current[at..].first_chunk_mut().expect("there is room for so many points");
                at += start.write(value, out);
            }
            self.at = at;
        }
    }

    /// Makes the comma behind the last point the end of the list.
    pub(crate) fn end_points(&mut self) {
        self.current[self.at - 1] = b']';
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

    /// Takes the chunks that it is shown until it wants no more.
    struct Taker {
        taken: Vec<Bytes>,
        taken_max: usize,
    }

    impl Outlet for Taker {
        fn offer(&mut self, full: &mut Vec<Bytes>) -> bool {
            self.taken.append(full);
            self.taken.len() < self.taken_max
        }
    }

    #[test]
    fn an_outlet_gets_all_chunks_in_order_and_ends_lists_when_it_has_enough() {
        let write = |taken_max| {
            let mut taker = Taker { taken: Vec::new(), taken_max };
            let mut out = Chunks::with_outlet(&mut taker);
            let mut asked = 0;
            out.list(0..100_000_u64, |out, n| {
                asked += 1;
                out.integer(n);
            });
            let rest = out.finish();
            let taken: Vec<u8> = taker.taken.into_iter().chain(rest).flatten().collect();
            (String::from_utf8(taken).unwrap(), asked)
        };
        let numbers: Vec<String> = (0..100_000).map(|n| n.to_string()).collect();
        assert_eq!(write(usize::MAX), (format!("[{}]", numbers.join(",")), 100_000));
        assert!(write(2).1 < 50_000);
    }

    #[test]
    fn text_of_any_length_crosses_chunks_unchanged() {
        let long = "x".repeat(3 * BUFFER_BYTES + 17);
        let written = text(|out| {
            for i in 0..100_000 {
                out.point(&PointStart::new(i64::MIN), f64::from(i));
            }
            let starts = [PointStart::new(i64::MIN); 70];
            out.points_and_commas(&starts, &[-f64::MIN_POSITIVE; 70]);
            out.end_points();
            out.string(&long);
        });
        let points: Vec<String> = (0..100_000).map(|i| format!("[-9223372036854775.808,\"{i}\"]")).collect();
        let mut expected = points.concat();
        expected.push_str(&["[-9223372036854775.808,\"-2.2250738585072014e-308\"]"; 70].join(","));
        expected.push(']');
        expected.push('"');
        expected.push_str(&long);
        expected.push('"');
        assert!(written == expected);
    }
}
