//! Which parts of the language are accepted, and how long texts may be.

/// Longest query that is accepted unless [`TextLimits`] say otherwise, in bytes: dashboards name thousands of values.
pub const QUERY_BYTES_MAX: usize = 4 << 20;

/// How long the texts of a query may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextLimits {
    /// The whole query, in bytes.
    pub query_bytes_max: usize,
    /// The flag that sets it, for the refusal.
    pub query_setting: &'static str,
    /// A single regular expression.
    pub pattern: mytsdb_go_regex::Limits,
}

impl TextLimits {
    /// What is accepted unless somebody says otherwise.
    pub const DEFAULT: TextLimits = TextLimits {
        query_bytes_max: QUERY_BYTES_MAX,
        query_setting: "--query-max-text-bytes",
        pattern: mytsdb_go_regex::Limits::DEFAULT,
    };
}

impl Default for TextLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Which parts of the language are accepted beyond the stable ones, and how long texts may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseOptions {
    /// Functions and aggregations that Prometheus calls experimental.
    pub experimental_functions: bool,
    /// Arithmetic in `[…]` and after `offset`.
    pub duration_expressions: bool,
    /// `fill`, `fill_left` and `fill_right`.
    pub fill_modifiers: bool,
    /// Names without quotes that have letters of any script, and dots behind the first character.
    pub unquoted_names: bool,
    /// How long the query and its patterns may be.
    pub limits: TextLimits,
}

impl ParseOptions {
    /// The language without feature flags.
    pub const STABLE: ParseOptions = ParseOptions {
        experimental_functions: false,
        duration_expressions: false,
        fill_modifiers: false,
        unquoted_names: false,
        limits: TextLimits::DEFAULT,
    };
    /// Everything but unquoted names, which make texts legal that Prometheus refuses; the default.
    pub const ALL: ParseOptions = ParseOptions {
        experimental_functions: true,
        duration_expressions: true,
        fill_modifiers: true,
        unquoted_names: false,
        limits: TextLimits::DEFAULT,
    };

    /// [`ParseOptions::ALL`] for texts within `limits`.
    pub const fn within(limits: TextLimits) -> ParseOptions {
        ParseOptions { limits, ..ParseOptions::ALL }
    }
}

impl Default for ParseOptions {
    fn default() -> Self {
        Self::ALL
    }
}
