//! How large a pattern may be.

use crate::RegexError;

/// Bounds of patterns that come from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest accepted pattern, in bytes.
    pub pattern_bytes_max: usize,
    /// The flag that sets it, for the refusal.
    pub setting: &'static str,
}

impl Limits {
    /// Longest accepted pattern unless somebody says otherwise: a MiB.
    pub const PATTERN_BYTES_DEFAULT: usize = 1 << 20;

    /// What is accepted unless somebody says otherwise.
    pub const DEFAULT: Limits =
        Limits { pattern_bytes_max: Self::PATTERN_BYTES_DEFAULT, setting: "--query-max-pattern-bytes" };

    /// Memory of any compiled pattern.
    const COMPILED_BYTES_MIN: usize = 1 << 20;
    /// Memory for each byte of a longer one: a byte that stands for itself takes some thirty.
    const COMPILED_BYTES_PER_BYTE: usize = 64;

    /// Most memory of a pattern of `pattern_bytes` when it is compiled: a MiB, or 64 bytes for each of its own.
    pub fn compiled_bytes_max(pattern_bytes: usize) -> usize {
        pattern_bytes.saturating_mul(Self::COMPILED_BYTES_PER_BYTE).max(Self::COMPILED_BYTES_MIN)
    }

    pub(crate) fn check(&self, pattern: &str) -> Result<(), RegexError> {
        if pattern.len() > self.pattern_bytes_max {
            return Err(RegexError::TooLong {
                bytes: pattern.len(),
                limit_bytes: self.pattern_bytes_max,
                setting: self.setting,
            });
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
