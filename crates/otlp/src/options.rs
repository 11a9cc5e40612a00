//! How requests are translated, and the bounds that hold.

use mytsdb_intake::Limits;

/// What happens to names on their way into labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TranslationStrategy {
    /// `http.server.duration` in `ms` becomes `http_server_duration_milliseconds`.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// Characters are escaped, unit and type are not appended.
    UnderscoreEscapingWithoutSuffixes,
    /// Names stay as they are, unit and type are appended.
    NoUtf8EscapingWithSuffixes,
    /// Names stay as they are.
    NoTranslation,
}

impl TranslationStrategy {
    /// Whether names keep every character.
    pub fn allows_utf8(self) -> bool {
        matches!(self, Self::NoUtf8EscapingWithSuffixes | Self::NoTranslation)
    }

    /// Whether unit and type are appended to metric names.
    pub fn adds_suffixes(self) -> bool {
        matches!(self, Self::UnderscoreEscapingWithSuffixes | Self::NoUtf8EscapingWithSuffixes)
    }
}

/// What becomes of points of delta temporality, each of which counts from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeltaMode {
    /// They are refused.
    Refuse,
    /// They are stored as they are: counts as a type of their own, histograms as gauges.
    Keep,
    /// The store adds them up, series by series in the order of time, so that counters come out.
    #[default]
    Accumulate,
}

/// Which resource attributes become labels of every series of the resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Promotion {
    /// Those named here, by their original names.
    Only(Vec<String>),
    /// All but those named here.
    AllExcept(Vec<String>),
}

impl Default for Promotion {
    fn default() -> Self {
        Self::Only(Vec::new())
    }
}

/// Settings of a [`Translator`](crate::Translator); the defaults are those of Prometheus 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What happens to names.
    pub strategy: TranslationStrategy,
    /// Prepended to every metric name; empty for none.
    pub namespace: String,
    /// Resource attributes that become labels.
    pub promotion: Promotion,
    /// Whether `target_info` also carries `service.name`, `service.namespace` and `service.instance.id`.
    pub keep_identifying_resource_attributes: bool,
    /// Whether series carry `otel_scope_name`, `_version`, `_schema_url` and the scope's attributes.
    pub promote_scope_metadata: bool,
    /// Whether a label name that starts with a single `_` gets `key` in front.
    pub label_name_underscore_sanitization: bool,
    /// Whether runs of `_` in label names stay as long as they are.
    pub label_name_preserve_multiple_underscores: bool,
    /// Whether each resource yields a `target_info` series.
    pub target_info: bool,
    /// Whether histogram points with explicit bounds become native histograms with custom buckets instead of classic ones.
    pub custom_bucket_histograms: bool,
    /// Whether series carry `__type__` and `__unit__`.
    pub type_and_unit_labels: bool,
    /// What becomes of points of delta temporality.
    pub delta: DeltaMode,
    /// Whether a number point without a value is stored as 0, which Prometheus does, instead of refused as the
    /// OpenTelemetry specification calls it: invalid.
    pub missing_value_is_zero: bool,
    /// The query engine's lookback in milliseconds, > 0: `target_info` is repeated twice as often.
    pub lookback_ms: i64,
    /// Bounds on series and points.
    pub limits: Limits,
    /// Entries and series references the series cache holds, about 40 bytes each; it starts anew when it is full.
    pub cache_entries_max: usize,
    /// Metric families whose metadata is kept, unless somebody else keeps it; further ones have none.
    pub metadata_families_max: usize,
    /// Seed of the fingerprints, so that nobody can prepare attributes that collide. Random at the edge, fixed in tests.
    pub fingerprint_seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            strategy: TranslationStrategy::default(),
            namespace: String::new(),
            promotion: Promotion::default(),
            keep_identifying_resource_attributes: false,
            promote_scope_metadata: false,
            label_name_underscore_sanitization: true,
            label_name_preserve_multiple_underscores: true,
            target_info: true,
            custom_bucket_histograms: false,
            type_and_unit_labels: false,
            delta: DeltaMode::default(),
            missing_value_is_zero: false,
            lookback_ms: 300_000,
            limits: Limits::default(),
            cache_entries_max: 2_000_000,
            metadata_families_max: 50_000,
            fingerprint_seed: 0,
        }
    }
}
