//! Requests byte by byte, as no library would send them, and messages of the write protocols made by hand.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address.trim_start_matches("http://").split('/').next().unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Reads until the other side closes. A reset connection counts as closed.
pub(crate) fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stream.read(&mut piece) {
        all.extend_from_slice(&piece[..length]);
    }
    all
}

/// An answer over HTTP/1.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

/// Posts a body of which the head says what `headers` say; the length is added unless they give one.
pub(crate) fn post(url: &str, headers: &str, body: &[u8]) -> Answer {
    let length = if headers.to_lowercase().contains("content-length") || headers.contains("chunked") {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    let path = url.trim_start_matches("http://").split_once('/').map_or("", |(_, path)| path);
    let mut stream = connect(url);
    let head = format!("POST /{path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n{headers}{length}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    // A server that has answered already may have closed.
    drop(stream.write_all(body));
    let answer = String::from_utf8_lossy(&read_all(&mut stream)).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field of protobuf with bytes in it.
pub(crate) fn field(number: u64, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(number << 3 | 2, &mut out);
    varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

/// A field of protobuf with a number in it.
pub(crate) fn number(field: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3, &mut out);
    varint(value, &mut out);
    out
}

/// A field of protobuf with eight bytes in it.
pub(crate) fn fixed(field: u64, value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    varint(field << 3 | 1, &mut out);
    out.extend_from_slice(&value.to_le_bytes());
    out
}

/// A snappy block of one literal.
pub(crate) fn snappy(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(message.len() as u64, &mut out);
    // 62: the length less one in three bytes.
    out.push(62 << 2);
    out.extend_from_slice(&(message.len() as u32 - 1).to_le_bytes()[..3]);
    out.extend_from_slice(message);
    out
}

/// `prometheus.WriteRequest` of one series.
pub(crate) fn write_v1(labels: &[(&str, &[u8])], samples: &[(i64, f64)]) -> Vec<u8> {
    let mut series = Vec::new();
    for (name, value) in labels {
        series.extend(field(1, &[field(1, name.as_bytes()), field(2, value)].concat()));
    }
    for (time_ms, value) in samples {
        series.extend(field(2, &[fixed(1, value.to_bits()), number(2, *time_ms as u64)].concat()));
    }
    field(1, &series)
}

/// `io.prometheus.write.v2.Request` of one series with these samples.
pub(crate) fn write_v2(name: &str, samples: &[(i64, f64)]) -> Vec<u8> {
    let symbols = ["", "__name__", name].map(|symbol| field(4, symbol.as_bytes())).concat();
    let mut series = field(1, &[1, 2]);
    for (time_ms, value) in samples {
        series.extend(field(2, &[fixed(1, value.to_bits()), number(2, *time_ms as u64)].concat()));
    }
    [symbols, field(5, &series)].concat()
}

/// An export of one gauge with these attributes, as JSON.
pub(crate) fn export_json(name: &str, time_s: u64, attributes: &str) -> String {
    format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"{name}","gauge":{{"dataPoints":[
            {{"timeUnixNano":"{time_s}000000000","asInt":"42","attributes":[{attributes}]}}]}}}}]}}]}}]}}"#
    )
}

/// The same as protobuf, with one attribute whose value is `value`, an encoded `AnyValue`.
pub(crate) fn export_protobuf(name: &str, time_s: u64, value: &[u8]) -> Vec<u8> {
    let attribute = field(7, &[field(1, b"a"), field(2, value)].concat());
    let point = [fixed(3, time_s * 1_000_000_000), fixed(4, 42_f64.to_bits()), attribute].concat();
    let metric = [field(1, name.as_bytes()), field(5, &field(1, &point))].concat();
    field(1, &field(2, &field(2, &metric)))
}

/// The clock, in seconds since the epoch.
pub(crate) fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}
