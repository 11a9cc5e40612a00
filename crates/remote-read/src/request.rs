//! Requests.

use crate::RemoteReadError;
use mytsdb_model::{MatchOp, Matcher, TimeRange};
use mytsdb_protobuf::Reader;

const QUERIES_MAX: usize = 100;
const MATCHERS_MAX: usize = 1_000;

const fn varint(field: u32) -> u32 {
    field << 3
}

const fn bytes(field: u32) -> u32 {
    field << 3 | 2
}

/// A form of answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseType {
    /// One `prometheus.ReadResponse`, as a snappy block.
    Samples,
    /// Frames of `prometheus.ChunkedReadResponse`.
    StreamedXorChunks,
}

/// One query: a range and matchers, all of which must hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Both ends included, in ms.
    pub range: TimeRange,
    /// Empty for all series.
    pub matchers: Vec<Matcher>,
}

/// A `prometheus.ReadRequest`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadRequest {
    /// To be answered in this order.
    pub queries: Vec<Query>,
    /// What the client takes and we know, the one that it likes best first; never empty.
    pub accepted: Vec<ResponseType>,
}

impl ReadRequest {
    /// Reads an uncompressed request.
    ///
    /// # Errors
    /// [`RemoteReadError`].
    pub fn parse(request: &[u8]) -> Result<Self, RemoteReadError> {
        const QUERY: u32 = bytes(1);
        const ACCEPTED: u32 = varint(2);
        const ACCEPTED_PACKED: u32 = bytes(2);
        let mut reader = Reader::new(request);
        let (mut queries, mut accepted) = (Vec::new(), Vec::new());
        while let Some(tag) = reader.tag()? {
            match tag {
                QUERY if queries.len() == QUERIES_MAX => {
                    return Err(RemoteReadError::TooMany { what: "queries", limit: QUERIES_MAX });
                }
                QUERY => queries.push(query(reader.bytes()?)?),
                ACCEPTED => accept(reader.varint()?, &mut accepted),
                ACCEPTED_PACKED => {
                    let packed = reader.bytes()?;
                    let mut numbers = Reader::new(packed);
                    while numbers.position() < packed.len() {
                        accept(numbers.varint()?, &mut accepted);
                    }
                }
                _ => reader.skip(tag, 0b110)?,
            }
        }
        let known: Vec<_> = accepted.iter().filter_map(|number| response_type(*number)).collect();
        match (accepted.is_empty(), known.is_empty()) {
            (true, _) => Ok(Self { queries, accepted: vec![ResponseType::Samples] }),
            (false, false) => Ok(Self { queries, accepted: known }),
            (false, true) => Err(RemoteReadError::ResponseType(accepted)),
        }
    }
}

fn response_type(number: u64) -> Option<ResponseType> {
    match number {
        0 => Some(ResponseType::Samples),
        1 => Some(ResponseType::StreamedXorChunks),
        _ => None,
    }
}

/// Keeps the first few different numbers.
fn accept(number: u64, accepted: &mut Vec<u64>) {
    if accepted.len() < 8 && !accepted.contains(&number) {
        accepted.push(number);
    }
}

fn query(message: &[u8]) -> Result<Query, RemoteReadError> {
    const START: u32 = varint(1);
    const END: u32 = varint(2);
    const MATCHER: u32 = bytes(3);
    let mut reader = Reader::new(message);
    let (mut start_ms, mut end_ms, mut matchers) = (0, 0, Vec::new());
    while let Some(tag) = reader.tag()? {
        match tag {
            START => start_ms = reader.varint()? as i64,
            END => end_ms = reader.varint()? as i64,
            MATCHER if matchers.len() == MATCHERS_MAX => {
                return Err(RemoteReadError::TooMany { what: "matchers", limit: MATCHERS_MAX });
            }
            MATCHER => matchers.push(matcher(reader.bytes()?)?),
            _ => reader.skip(tag, 0b1110)?,
        }
    }
    Ok(Query { range: TimeRange::new(start_ms, end_ms), matchers })
}

fn matcher(message: &[u8]) -> Result<Matcher, RemoteReadError> {
    const TYPE: u32 = varint(1);
    const NAME: u32 = bytes(2);
    const VALUE: u32 = bytes(3);
    let mut reader = Reader::new(message);
    let (mut kind, mut name, mut value) = (0, &[][..], &[][..]);
    while let Some(tag) = reader.tag()? {
        match tag {
            TYPE => kind = reader.varint()?,
            NAME => name = reader.bytes()?,
            VALUE => value = reader.bytes()?,
            _ => reader.skip(tag, 0b1110)?,
        }
    }
    let op = match kind {
        0 => MatchOp::Equal,
        1 => MatchOp::NotEqual,
        2 => MatchOp::Regex,
        3 => MatchOp::NotRegex,
        other => return Err(RemoteReadError::MatcherType(other)),
    };
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| RemoteReadError::NotUtf8);
    Ok(Matcher::new(op, text(name)?, text(value)?)?)
}
