//! The settings file: YAML, one level of keys, each a row of the table.

use super::closest::closest;
use super::row::Row;
use super::table::ROWS;
use anyhow::{Context, Result, bail};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

/// Largest settings file, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a file sets, by key: one text, or the items of a list.
#[derive(Debug, Default)]
pub(super) struct FileSettings(BTreeMap<&'static str, Vec<String>>);

impl FileSettings {
    pub(super) fn get(&self, row: &Row) -> Option<&[String]> {
        self.0.get(row.key).map(Vec::as_slice)
    }
}

/// Reads a settings file.
///
/// # Errors
///
/// If it cannot be read, is longer than a MiB, is no YAML, or has a key that is no setting.
pub(super) fn read(path: &Path) -> Result<FileSettings> {
    let name = || format!("--config {}", path.display());
    parse(&read_text(path).with_context(name)?).with_context(name)
}

fn parse(text: &str) -> Result<FileSettings> {
    // A file of comments sets nothing.
    if text.lines().all(|line| line.trim_start().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(FileSettings::default());
    }
    let parsed = serde_saphyr::with_deserializer_from_str(text, |deserializer| Keys.deserialize(deserializer));
    parsed.map_err(|error| anyhow::anyhow!("{error}"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a settings file is not stored data; nothing of it is at stake in a crash"
)]
fn read_text(path: &Path) -> Result<String> {
    let length = std::fs::metadata(path)?.len();
    if length > FILE_BYTES_MAX {
        bail!("{length} bytes, more than the limit of {FILE_BYTES_MAX}");
    }
    Ok(std::fs::read_to_string(path)?)
}

/// Reads keys, and values as text: they are checked where those of the command line are.
struct Keys;

impl<'de> DeserializeSeed<'de> for Keys {
    type Value = FileSettings;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Keys {
    type Value = FileSettings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("settings, such as `retention: 15d`, one a line")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut settings = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let row = ROWS
                .iter()
                .find(|row| row.keys().any(|name| name == key))
                .ok_or_else(|| A::Error::custom(unknown(&key)))?;
            // A key without a value sets nothing.
            let texts = if row.many {
                map.next_value::<Option<Vec<String>>>()?
            } else {
                map.next_value::<Option<String>>()?.map(|text| vec![text])
            };
            let Some(texts) = texts else { continue };
            if settings.insert(row.key, texts).is_some() {
                return Err(A::Error::custom(format!("duplicate key `{key}`")));
            }
        }
        Ok(FileSettings(settings))
    }
}

fn unknown(key: &str) -> String {
    match closest(key, ROWS.iter().map(|row| row.key)) {
        Some(meant) => format!("unknown key `{key}`, did you mean `{meant}`?"),
        None => format!("unknown key `{key}`; `mytsdb --help` lists all settings"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get<'a>(settings: &'a FileSettings, key: &str) -> Option<&'a [String]> {
        settings.get(ROWS.iter().find(|row| row.key == key).unwrap())
    }

    #[test]
    fn values_are_kept_as_they_are_written() {
        let text = "max_series: 7\nretention: \"4d\"\nlog:\notlp_promote_resource_attribute: [a, b]\n";
        let settings = parse(text).unwrap();
        assert_eq!(get(&settings, "max_series").unwrap(), ["7"]);
        assert_eq!(get(&settings, "retention").unwrap(), ["4d"]);
        assert_eq!(get(&settings, "otlp_promote_resource_attribute").unwrap(), ["a", "b"]);
        assert_eq!(get(&settings, "log"), None);
        assert!(parse("# nothing yet\n\n").unwrap().0.is_empty());
    }

    #[test]
    fn an_unknown_key_is_named_with_what_was_meant() {
        let error = |text| format!("{:#}", parse(text).unwrap_err());
        let retension = error("max_series: 7\nretension: 4d\n");
        assert!(retension.contains("`retension`") && retension.contains("`retention`"), "{retension}");
        assert!(error("max-series: 7\n").contains("`max_series`"), "{}", error("max-series: 7\n"));
        assert!(error("zzz: 4d\n").contains("`zzz`"));
        assert!(error("retention: 4d\nretention: 5d\n").contains("retention"));
        assert!(
            parse("max_series: [7]\n").is_err() && parse("- a\n").is_err() && parse("retention: {a: b}\n").is_err()
        );
    }
}
