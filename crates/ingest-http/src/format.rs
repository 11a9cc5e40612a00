//! The two forms of a request, told by its content type.

use http::{HeaderMap, HeaderValue, header};

/// How a request and its answer are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Protobuf,
    Json,
}

impl Format {
    /// The form a request announces; parameters such as a charset change nothing.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_TYPE)?.as_bytes();
        let media_type = value.split(|b| *b == b';').next().unwrap_or_default().trim_ascii();
        if media_type.eq_ignore_ascii_case(b"application/x-protobuf") {
            Some(Self::Protobuf)
        } else if media_type.eq_ignore_ascii_case(b"application/json") {
            Some(Self::Json)
        } else {
            None
        }
    }

    /// The content type of an answer.
    pub fn content_type(self) -> HeaderValue {
        match self {
            Self::Protobuf => HeaderValue::from_static("application/x-protobuf"),
            Self::Json => HeaderValue::from_static("application/json"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_of_a_content_type_do_not_matter() {
        let of = |value: &'static str| {
            Format::of(&[(header::CONTENT_TYPE, HeaderValue::from_static(value))].into_iter().collect())
        };
        assert_eq!(of("application/json"), Some(Format::Json));
        assert_eq!(of("Application/JSON; charset=utf-8"), Some(Format::Json));
        assert_eq!(of("application/x-protobuf ;a=b"), Some(Format::Protobuf));
        for other in ["", "text/plain", "application/jsonp", "application/json+x", "application/grpc", ";"] {
            assert_eq!(of(other), None, "{other}");
        }
        assert_eq!(Format::of(&HeaderMap::new()), None);
    }
}
