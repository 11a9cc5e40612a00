//! Why a request is none.

/// Errors of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteReadError {
    /// The bytes are not a `prometheus.ReadRequest`.
    #[error("malformed request: {0}")]
    Malformed(#[from] mytsdb_protobuf::ProtobufError),
    /// A name or value of a matcher that is not UTF-8.
    #[error("a matcher is not UTF-8")]
    NotUtf8,
    /// A kind of matcher that is not known.
    #[error("matcher of unknown type {0}")]
    MatcherType(u64),
    /// A pattern that is no regular expression.
    #[error(transparent)]
    Pattern(#[from] mytsdb_model::ModelError),
    /// More queries or matchers than a request may have.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit in force.
        limit: usize,
    },
    /// None of the forms of answers that the client takes is known.
    #[error("none of the accepted response types is known: {0:?}")]
    ResponseType(Vec<u64>),
}
