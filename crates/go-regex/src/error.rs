//! Why a pattern is refused, or a template not expanded.

/// Errors of this crate. Those about patterns begin as Go's do: `error parsing regexp: `.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegexError {
    /// The syntax is not Go's.
    #[error("error parsing regexp: {message}")]
    Syntax {
        /// What is wrong and where, in Go's words.
        message: String,
    },
    /// The text of the pattern is longer than [`Limits::pattern_bytes_max`](crate::Limits::pattern_bytes_max).
    #[error("error parsing regexp: pattern of {bytes} bytes exceeds the limit of {limit_bytes} bytes ({setting})")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit_bytes: usize,
        /// The flag that sets the limit.
        setting: &'static str,
    },
    /// The compiled pattern would take more memory than [`Limits::compiled_bytes_max`](crate::Limits::compiled_bytes_max)
    /// allows for a pattern of this length.
    #[error("error parsing regexp: expression too large")]
    TooLarge,
    /// What a template expands to is longer than the caller allows.
    #[error("the expanded text has more than {limit_bytes} bytes")]
    ExpansionTooLong {
        /// The limit.
        limit_bytes: usize,
    },
}

impl RegexError {
    pub(crate) fn syntax(message: impl Into<String>) -> Self {
        RegexError::Syntax { message: message.into() }
    }
}
