//! A row of the table of settings, and the macro that makes the rows and the typed values from one text.

use super::value::{Choice, Value};

/// What is known about a setting before anybody sets it.
#[derive(Debug)]
pub(crate) struct Row {
    /// Name in the settings file; flag and environment variable are made from it.
    pub(super) key: &'static str,
    /// Group in `--help` and in the page of settings.
    pub(super) heading: &'static str,
    /// One sentence without its full stop, with white space around it.
    pub(super) help: &'static str,
    /// Word for the value in `--help`; it says the unit.
    pub(super) value: &'static str,
    pub(super) default: Default,
    /// Smallest value, written like a value; empty for none.
    pub(super) least: &'static str,
    /// Largest value, written like a value; empty for none.
    pub(super) most: &'static str,
    /// Why the bound is where it is; empty if that is plain.
    pub(super) because: &'static str,
    /// What it was called before; that name is taken too, and is shown nowhere but on the page of settings. Empty for none.
    pub(super) formerly: &'static str,
    /// A change is taken up while the server runs.
    #[cfg_attr(not(test), expect(dead_code, reason = "the page of settings says it, and a test writes that"))]
    pub(super) reloaded: bool,
    /// May be given more than once.
    pub(super) many: bool,
    /// The only values, if they are few.
    pub(super) choices: &'static [Choice],
}

/// What a setting is when nobody sets it.
#[derive(Debug)]
pub(super) enum Default {
    /// As a person would write it.
    Text(&'static str),
    /// Found out at the start.
    Computed { told: &'static str, text: fn() -> String },
    /// An empty list, or nothing where something may be.
    Nothing,
}

impl Row {
    /// A row with what most rows have: no bounds, and taken up at the start.
    pub(super) const fn new<T: Value>(
        key: &'static str,
        heading: &'static str,
        help: &'static str,
        value: &'static str,
        default: Default,
    ) -> Self {
        let (many, choices) = (T::MANY, T::CHOICES);
        Row {
            key,
            heading,
            help,
            value,
            default,
            least: "",
            most: "",
            because: "",
            formerly: "",
            reloaded: false,
            many,
            choices,
        }
    }

    /// `max-series`; with two dashes before it, it is the flag.
    pub(super) fn name(&self) -> String {
        self.key.replace('_', "-")
    }

    /// `--max-series`
    pub(super) fn flag(&self) -> String {
        format!("--{}", self.name())
    }

    /// `MYTSDB_MAX_SERIES`; a list has none, there is no character that could not be in its items.
    pub(super) fn variable(&self) -> Option<String> {
        (!self.many).then(|| format!("MYTSDB_{}", self.key.to_uppercase()))
    }

    /// The names in settings files: the one that is shown, then the earlier one.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static str> {
        [self.key, self.formerly].into_iter().filter(|key| !key.is_empty())
    }

    /// The environment variable that is set, by its earlier name if only that one is.
    pub(super) fn variable_in_use(&self) -> Option<String> {
        let former = Some(format!("MYTSDB_{}", self.formerly.to_uppercase())).filter(|_| !self.formerly.is_empty());
        let is_set = |name: &String| std::env::var_os(name).is_some();
        let variable = self.variable()?;
        former.filter(|former| !is_set(&variable) && is_set(former)).or(Some(variable))
    }

    /// The help without white space around it.
    pub(super) fn help(&self) -> &'static str {
        self.help.trim()
    }

    /// What the default is called in texts for people.
    pub(super) fn default_told(&self) -> Option<&'static str> {
        match self.default {
            Default::Text(text) | Default::Computed { told: text, .. } => Some(text),
            Default::Nothing => None,
        }
    }
}

/// Makes `Config`, with a typed field for each row, and `ROWS`, in the same order.
macro_rules! settings {
    ($($heading:literal { $(
        $(#[doc = $help:literal])+
        $key:ident: $type:ty = $value:literal, $default:expr, { $($field:ident: $given:expr),* };
    )+ })+) => {
        /// The value of every setting, read and within its bounds.
        #[derive(Debug, Clone)]
        pub(crate) struct Config {
            $($( $(#[doc = $help])+ pub(crate) $key: $type, )+)+
        }

        /// Every setting but `--config`.
        pub(super) static ROWS: &[$crate::settings::row::Row] = &[$($(
            $crate::settings::row::Row {
                $($field: $given,)*
                ..$crate::settings::row::Row::new::<$type>(
                    stringify!($key), $heading, concat!($($help),+), $value, $default,
                )
            },
        )+)+];

        impl Config {
            /// Reads each setting from where it is set.
            ///
            /// # Errors
            ///
            /// If a value cannot be read or is out of bounds: where it is set, the value, and the bound.
            pub(super) fn read(sources: &$crate::settings::sources::Sources) -> anyhow::Result<Config> {
                let mut rows = ROWS.iter();
                // Fields are evaluated in the order in which they are written, which is that of the rows.
                let config = Config { $($(
                    $key: sources.read::<$type>(rows.next().expect("a row for each field"))?,
                )+)+ };
                Ok(config)
            }

            /// Every setting with its value as text, in the order of the table.
            pub(super) fn shown(&self) -> Vec<(&'static $crate::settings::row::Row, Vec<String>)> {
                let values = [$($( $crate::settings::value::Value::show(&self.$key), )+)+];
                ROWS.iter().zip(values).collect()
            }
        }
    };
}
pub(super) use settings;
