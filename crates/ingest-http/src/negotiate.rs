//! What a remote-write request says of its form, read as Prometheus reads it.

use http::{HeaderMap, header};
use mytsdb_remote_write::Version;
use std::fmt;

const MEDIA_TYPE: &str = "application/x-protobuf";

/// Bytes of a header's value that an answer repeats.
const SHOWN_BYTES_MAX: usize = 64;

/// A form of request that is not taken; holds the header's value, cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unsupported {
    ContentType(String),
    Message(String),
    Encoding(String),
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ContentType(got) => write!(f, "expected content type {MEDIA_TYPE}, got {got:?}"),
            Self::Message(got) => {
                let [old, new] = Version::ALL.map(Version::message_name);
                write!(f, "unknown type for remote write protobuf message {got:?}, supported: {old}, {new}")
            }
            Self::Encoding(got) => {
                write!(f, "{got:?} encoding (compression) is not accepted by this server; only snappy is acceptable")
            }
        }
    }
}

/// The version that the content type names: 1.0 if there is none, or it names no message.
pub(crate) fn version(headers: &HeaderMap) -> Result<Version, Unsupported> {
    let value = only(headers, &header::CONTENT_TYPE).map_err(Unsupported::ContentType)?;
    if value.is_empty() {
        return Ok(Version::V1);
    }
    let mut parts = value.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    if !media_type.eq_ignore_ascii_case(MEDIA_TYPE) {
        return Err(Unsupported::ContentType(cut(value)));
    }
    let mut version = Version::V1;
    for part in parts {
        let Some((name, message)) = part.split_once('=') else {
            return Err(Unsupported::ContentType(cut(value)));
        };
        if name.trim().eq_ignore_ascii_case("proto") {
            let message = message.trim().trim_matches('"');
            let known = Version::ALL.into_iter().find(|version| version.message_name() == message);
            version = known.ok_or_else(|| Unsupported::Message(cut(message)))?;
        }
    }
    Ok(version)
}

/// Whether the body is a snappy block, which it is too if nothing is said of it.
pub(crate) fn snappy(headers: &HeaderMap) -> Result<(), Unsupported> {
    let value = only(headers, &header::CONTENT_ENCODING).map_err(Unsupported::Encoding)?;
    if value.is_empty() || value.eq_ignore_ascii_case("snappy") {
        Ok(())
    } else {
        Err(Unsupported::Encoding(cut(value)))
    }
}

/// The value of a header that may be there once; empty without one.
fn only<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Result<&'a str, String> {
    let mut values = headers.get_all(name).iter();
    let value = match values.next() {
        Some(value) => value.as_bytes().trim_ascii(),
        None => &[],
    };
    match std::str::from_utf8(value) {
        Ok(text) if values.next().is_none() => Ok(text),
        _ => Err(cut(&String::from_utf8_lossy(value))),
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(SHOWN_BYTES_MAX)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn with(name: header::HeaderName, value: &'static str) -> HeaderMap {
        [(name, HeaderValue::from_static(value))].into_iter().collect()
    }

    #[test]
    fn the_content_type_names_the_version() {
        let of = |value| version(&with(header::CONTENT_TYPE, value));
        assert_eq!(version(&HeaderMap::new()), Ok(Version::V1));
        for v1 in [
            "",
            "application/x-protobuf",
            "Application/X-Protobuf",
            "application/x-protobuf;charset=utf-8",
            "application/x-protobuf;proto=prometheus.WriteRequest",
            "application/x-protobuf; PROTO = \"prometheus.WriteRequest\"",
        ] {
            assert_eq!(of(v1), Ok(Version::V1), "{v1}");
        }
        for v2 in [
            "application/x-protobuf;proto=io.prometheus.write.v2.Request",
            "application/x-protobuf;x=y; proto=io.prometheus.write.v2.Request",
        ] {
            assert_eq!(of(v2), Ok(Version::V2), "{v2}");
        }
        for other in ["application/json", "text/plain", "application/x-protobuf;", "application/x-protobufs"] {
            assert_eq!(of(other), Err(Unsupported::ContentType(other.into())), "{other}");
        }
        let message = "application/x-protobuf;proto=io.prometheus.write.v3.Request";
        assert_eq!(of(message), Err(Unsupported::Message("io.prometheus.write.v3.Request".into())));
    }

    #[test]
    fn only_snappy_is_taken() {
        let of = |value| snappy(&with(header::CONTENT_ENCODING, value));
        assert!(snappy(&HeaderMap::new()).is_ok() && of("").is_ok() && of("snappy").is_ok());
        for other in ["gzip", "zstd", "identity", "snappy, gzip", "x-snappy-framed"] {
            assert_eq!(of(other), Err(Unsupported::Encoding(other.into())), "{other}");
        }
        let mut twice = with(header::CONTENT_ENCODING, "snappy");
        twice.append(header::CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        assert!(snappy(&twice).is_err());
    }
}
