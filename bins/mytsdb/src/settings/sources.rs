//! Where settings come from: the command line wins over the environment, that over the file, that over the default.

use super::command_line::CONFIG;
use super::file::{self, FileSettings};
use super::row::{Default, Row};
use super::value::Value;
use anyhow::{Context, Result, ensure};
use clap::ArgMatches;
use clap::parser::ValueSource;
use std::ffi::OsString;
use std::path::PathBuf;

/// Everything that was set, still text.
pub(crate) struct Sources {
    /// Of the command line and of the environment.
    matches: ArgMatches,
    file: FileSettings,
    file_path: PathBuf,
}

/// What is set, and how to say where.
struct Given {
    texts: Vec<OsString>,
    place: String,
}

impl Sources {
    /// Reads the settings file, if the command line names one.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is no settings file.
    pub(super) fn open(matches: ArgMatches) -> Result<Self> {
        let path = matches.get_one::<PathBuf>(CONFIG);
        let file = path.map(|path| file::read(path)).transpose()?.unwrap_or_default();
        let file_path = path.cloned().unwrap_or_default();
        Ok(Sources { matches, file, file_path })
    }

    /// The value of a setting.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is out of bounds; the error says where it is set, and names the flag.
    pub(super) fn read<T: Value>(&self, row: &Row) -> Result<T> {
        let given = self.find(row);
        let value = T::read(&given.texts).with_context(|| given.place.clone())?;
        check_bounds(row, &value).with_context(|| given.place)?;
        Ok(value)
    }

    fn find(&self, row: &Row) -> Given {
        let flag = row.flag();
        let shown = |texts: &[OsString]| {
            let texts: Vec<_> = texts.iter().map(|text| text.to_string_lossy()).collect();
            texts.join(", ")
        };
        if let Some(texts) = self.matches.get_raw(row.key) {
            let texts: Vec<OsString> = texts.map(OsString::from).collect();
            let variable =
                row.variable_in_use().filter(|_| self.matches.value_source(row.key) == Some(ValueSource::EnvVariable));
            let place = match variable {
                Some(variable) => format!("{variable}={} ({flag})", shown(&texts)),
                None => format!("{flag} {}", shown(&texts)),
            };
            return Given { texts, place };
        }
        if let Some(texts) = self.file.get(row) {
            let texts: Vec<OsString> = texts.iter().map(OsString::from).collect();
            let path = self.file_path.display();
            let place = format!("--config {path}: {}: {} ({flag})", row.key, shown(&texts));
            return Given { texts, place };
        }
        let texts = match row.default {
            Default::Text(text) => vec![text.into()],
            Default::Computed { text, .. } => vec![text().into()],
            Default::Nothing => Vec::new(),
        };
        Given { texts, place: format!("{flag}, default") }
    }
}

fn check_bounds<T: Value>(row: &Row, value: &T) -> Result<()> {
    let because = if row.because.is_empty() { String::new() } else { format!(", {}", row.because) };
    let amount = |text: &str| T::read(&[text.into()]).map(|bound| bound.amount());
    if !row.least.is_empty() {
        ensure!(value.amount() >= amount(row.least)?, "must be at least {}{because}", row.least);
    }
    if !row.most.is_empty() {
        ensure!(value.amount() <= amount(row.most)?, "must be at most {}{because}", row.most);
    }
    Ok(())
}
