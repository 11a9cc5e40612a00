//! Types of settings: how each is read from text and shown.

use anyhow::Context;
use mytsdb_cold::{Interop, Unreachable};
use mytsdb_engine::Durability;
use mytsdb_otlp::{DeltaMode, TranslationStrategy};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Something that a setting may be.
pub(crate) trait Value: Sized {
    /// May be given more than once.
    const MANY: bool = false;
    /// The only values, if they are few.
    const CHOICES: &'static [Choice] = &[];

    /// Reads what was given; one text unless `MANY`.
    ///
    /// # Errors
    ///
    /// What is expected instead.
    fn read(given: &[OsString]) -> anyhow::Result<Self>;

    /// The texts that would be read as this value; one unless `MANY`.
    fn show(&self) -> Vec<String>;

    /// What bounds are compared by: a count, bytes or milliseconds.
    fn amount(&self) -> Option<u64> {
        None
    }
}

/// One of the few values of a setting.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
}

/// A span of time in whole milliseconds, never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Millis(i64);

impl Millis {
    pub(crate) fn ms(self) -> i64 {
        self.0
    }

    pub(crate) fn duration(self) -> Duration {
        Duration::from_millis(self.0.unsigned_abs())
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Lines that a person reads.
    Text,
    /// One JSON object a line.
    Json,
}

/// A part of PromQL that Prometheus has a feature flag for, by its name there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Feature {
    /// Start timestamps tell of resets.
    UseStartTimestamps,
    /// Letters of any script, and dots, in names without quotes.
    UnquotedNames,
    /// Metric names are dropped at the end of a query.
    DelayedNameRemoval,
    /// What is always on here.
    ExperimentalFunctions,
    DurationExpressions,
    FillModifiers,
}

fn text(given: &[OsString]) -> anyhow::Result<&str> {
    given.last().context("a value is missing")?.to_str().context("the value is not UTF-8")
}

fn number<T: std::str::FromStr<Err = std::num::ParseIntError>>(given: &[OsString]) -> anyhow::Result<T> {
    text(given)?.parse().context("expected a whole number")
}

impl Value for usize {
    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        number(given)
    }

    fn show(&self) -> Vec<String> {
        vec![self.to_string()]
    }

    fn amount(&self) -> Option<u64> {
        Some(*self as u64)
    }
}

impl Value for u64 {
    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        number(given)
    }

    fn show(&self) -> Vec<String> {
        vec![self.to_string()]
    }

    fn amount(&self) -> Option<u64> {
        Some(*self)
    }
}

impl Value for u32 {
    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        number(given)
    }

    fn show(&self) -> Vec<String> {
        vec![self.to_string()]
    }

    fn amount(&self) -> Option<u64> {
        Some(u64::from(*self))
    }
}

/// `auto`, or a number.
impl Value for Option<u64> {
    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        if text(given)? == "auto" { Ok(None) } else { number(given).map(Some).context("or auto") }
    }

    fn show(&self) -> Vec<String> {
        vec![self.map_or_else(|| "auto".to_owned(), |number| number.to_string())]
    }

    fn amount(&self) -> Option<u64> {
        *self
    }
}

impl Value for Millis {
    /// `15d`, `1h30m`, `500ms` or `0`, as Prometheus writes durations.
    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        match text(given)? {
            "0" => Ok(Millis(0)),
            text => mytsdb_promql_syntax::parse_duration_ms(text)
                .map(Millis)
                .map_err(|error| anyhow::anyhow!("{error}"))
                .context("write it as 15d, 1h30m or 500ms"),
        }
    }

    fn show(&self) -> Vec<String> {
        vec![format!("{}ms", self.0)]
    }

    fn amount(&self) -> Option<u64> {
        Some(self.0.unsigned_abs())
    }
}

impl Value for PathBuf {
    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        Ok(given.last().context("a value is missing")?.into())
    }

    fn show(&self) -> Vec<String> {
        vec![self.display().to_string()]
    }
}

/// No text, or an empty one, is none.
impl Value for Option<PathBuf> {
    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        Ok(given.last().filter(|text| !text.is_empty()).map(PathBuf::from))
    }

    fn show(&self) -> Vec<String> {
        vec![self.as_ref().map_or_else(String::new, |path| path.display().to_string())]
    }
}

impl Value for SocketAddr {
    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        text(given)?.parse().context("expected an address and a port, such as 127.0.0.1:9090")
    }

    fn show(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl Value for bool {
    const CHOICES: &'static [Choice] = &[Choice { name: "true", help: "Yes" }, Choice { name: "false", help: "No" }];

    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        choose(given, Self::CHOICES, &[true, false])
    }

    fn show(&self) -> Vec<String> {
        vec![self.to_string()]
    }
}

impl Value for String {
    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        Ok(text(given)?.to_owned())
    }

    fn show(&self) -> Vec<String> {
        vec![self.clone()]
    }
}

impl Value for Vec<String> {
    const MANY: bool = true;

    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        given.iter().map(|item| Ok(item.to_str().context("the value is not UTF-8")?.to_owned())).collect()
    }

    fn show(&self) -> Vec<String> {
        self.clone()
    }
}

/// The variant whose name is given; `variants` are in the order of `choices`.
fn choose<T: Copy>(given: &[OsString], choices: &[Choice], variants: &[T]) -> anyhow::Result<T> {
    let text = text(given)?;
    let index = choices.iter().position(|choice| choice.name == text);
    index.and_then(|index| variants.get(index)).copied().with_context(|| {
        let names: Vec<&str> = choices.iter().map(|choice| choice.name).collect();
        format!("expected one of {}", names.join(", "))
    })
}

impl Value for Durability {
    const CHOICES: &'static [Choice] = &[
        Choice { name: "fsync", help: "After the log is synced to disk: an acknowledged sample survives a power cut" },
        Choice {
            name: "interval",
            help: "After the log is written: it survives a crash of the process; \
                   a power cut costs at most the last 250 ms",
        },
        Choice {
            name: "buffered",
            help: "After the log is written: it survives a crash of the process; a power cut costs what the operating \
                   system has not written back, at most the last 64 MiB of the log",
        },
    ];

    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        choose(given, Self::CHOICES, &[Durability::Fsync, Durability::Interval, Durability::Buffered])
    }

    fn show(&self) -> Vec<String> {
        let name = match self {
            Durability::Fsync => "fsync",
            Durability::Interval => "interval",
            Durability::Buffered => "buffered",
        };
        vec![name.to_owned()]
    }
}

impl Value for DeltaMode {
    const CHOICES: &'static [Choice] = &[
        Choice {
            name: "accumulate",
            help: "Added up, series by series in the order of time, so that counters come out",
        },
        Choice { name: "keep", help: "Stored as they are" },
        Choice { name: "refuse", help: "Refused" },
    ];

    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        choose(given, Self::CHOICES, &[DeltaMode::Accumulate, DeltaMode::Keep, DeltaMode::Refuse])
    }

    fn show(&self) -> Vec<String> {
        let name = match self {
            DeltaMode::Accumulate => "accumulate",
            DeltaMode::Keep => "keep",
            DeltaMode::Refuse => "refuse",
        };
        vec![name.to_owned()]
    }
}

impl Value for TranslationStrategy {
    const CHOICES: &'static [Choice] = &[
        Choice {
            name: "UnderscoreEscapingWithSuffixes",
            help: "`http.server.duration` in `ms` becomes `http_server_duration_milliseconds`",
        },
        Choice { name: "UnderscoreEscapingWithoutSuffixes", help: "Escaped, without the suffixes of unit and type" },
        Choice { name: "NoUTF8EscapingWithSuffixes", help: "Every character stays; suffixes are appended" },
        Choice { name: "NoTranslation", help: "Names stay as they are" },
    ];

    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        let variants = [
            TranslationStrategy::UnderscoreEscapingWithSuffixes,
            TranslationStrategy::UnderscoreEscapingWithoutSuffixes,
            TranslationStrategy::NoUtf8EscapingWithSuffixes,
            TranslationStrategy::NoTranslation,
        ];
        choose(given, Self::CHOICES, &variants)
    }

    fn show(&self) -> Vec<String> {
        let name = match self {
            TranslationStrategy::UnderscoreEscapingWithSuffixes => "UnderscoreEscapingWithSuffixes",
            TranslationStrategy::UnderscoreEscapingWithoutSuffixes => "UnderscoreEscapingWithoutSuffixes",
            TranslationStrategy::NoUtf8EscapingWithSuffixes => "NoUTF8EscapingWithSuffixes",
            TranslationStrategy::NoTranslation => "NoTranslation",
        };
        vec![name.to_owned()]
    }
}

impl Feature {
    /// In the order of the choices.
    const ALL: [Feature; 6] = [
        Feature::UseStartTimestamps,
        Feature::UnquotedNames,
        Feature::DelayedNameRemoval,
        Feature::ExperimentalFunctions,
        Feature::DurationExpressions,
        Feature::FillModifiers,
    ];
}

impl Value for Vec<Feature> {
    const MANY: bool = true;
    const CHOICES: &'static [Choice] = &[
        Choice {
            name: "use-start-timestamps",
            help: "Start timestamps tell of resets, as far as samples have them; \
                   the header X-Prometheus-Use-Start-Timestamps decides for one query",
        },
        Choice {
            name: "promql-unquoted-utf8-names",
            help: "Names need no quotes for letters of any script, and dots behind the first",
        },
        Choice {
            name: "promql-delayed-name-removal",
            help: "Metric names are dropped at the end of a query, not at once",
        },
        Choice { name: "promql-experimental-functions", help: "Always on" },
        Choice { name: "promql-duration-expr", help: "Always on" },
        Choice { name: "promql-binop-fill-modifiers", help: "Always on" },
    ];

    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        given.iter().map(|item| choose(std::slice::from_ref(item), Self::CHOICES, &Feature::ALL)).collect()
    }

    fn show(&self) -> Vec<String> {
        let name = |feature| Feature::ALL.iter().zip(Self::CHOICES).find(|(known, _)| *known == feature);
        self.iter().filter_map(|feature| name(feature).map(|(_, choice)| choice.name.to_owned())).collect()
    }
}

impl Value for Unreachable {
    const CHOICES: &'static [Choice] = &[
        Choice { name: "warn", help: "What there is elsewhere, with a warning" },
        Choice { name: "error", help: "An error" },
    ];

    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        choose(given, Self::CHOICES, &[Unreachable::Warn, Unreachable::Error])
    }

    fn show(&self) -> Vec<String> {
        let name = match self {
            Unreachable::Warn => "warn",
            Unreachable::Error => "error",
        };
        vec![name.to_owned()]
    }
}

impl Value for Interop {
    const CHOICES: &'static [Choice] = &[
        Choice { name: "rows", help: "Programs that read Parquet" },
        Choice {
            name: "parquet-common",
            help: "Cortex and others with parquet-common too, by a second copy of all samples",
        },
    ];

    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        choose(given, Self::CHOICES, &[Interop::Rows, Interop::ParquetCommon])
    }

    fn show(&self) -> Vec<String> {
        let name = match self {
            Interop::Rows => "rows",
            Interop::ParquetCommon => "parquet-common",
        };
        vec![name.to_owned()]
    }
}

impl Value for LogFormat {
    const CHOICES: &'static [Choice] =
        &[Choice { name: "text", help: "For people" }, Choice { name: "json", help: "One JSON object a line" }];

    fn read(given: &[OsString]) -> anyhow::Result<Self> {
        choose(given, Self::CHOICES, &[LogFormat::Text, LogFormat::Json])
    }

    fn show(&self) -> Vec<String> {
        let name = match self {
            LogFormat::Text => "text",
            LogFormat::Json => "json",
        };
        vec![name.to_owned()]
    }
}
