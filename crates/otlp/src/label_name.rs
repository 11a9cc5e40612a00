//! Label names: what becomes of characters, digits and underscores.

use crate::Options;

/// The rules for label names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelNamer {
    /// Whether names keep every character.
    pub utf8_allowed: bool,
    /// Whether a name that starts with a single `_` gets `key` in front.
    pub underscore_sanitization: bool,
    /// Whether runs of `_` stay as long as they are.
    pub preserve_multiple_underscores: bool,
}

impl From<&Options> for LabelNamer {
    fn from(options: &Options) -> Self {
        Self {
            utf8_allowed: options.strategy.allows_utf8(),
            underscore_sanitization: options.label_name_underscore_sanitization,
            preserve_multiple_underscores: options.label_name_preserve_multiple_underscores,
        }
    }
}

impl LabelNamer {
    /// The label name for an attribute's key.
    ///
    /// # Errors
    /// A sentence, if nothing usable is left of the key.
    pub fn name(self, key: &str) -> Result<String, String> {
        if key.is_empty() {
            return Err("label name is empty".to_owned());
        }
        let only_underscores = |text: &str| text.bytes().all(|b| b == b'_');
        if self.utf8_allowed {
            if only_underscores(key) {
                return Err(format!("label name {key:?} contains only underscores"));
            }
            return Ok(key.to_owned());
        }
        let mut name = self.escape(key);
        // Judged before anything is put in front: of `é` is left `_`, which becomes `key_`; of `ключ` nothing but `____`.
        if only_underscores(&name) && !(self.underscore_sanitization && name == "_") {
            return Err(format!("normalization for label name {key:?} resulted in invalid name {name:?}"));
        }
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            name.insert_str(0, "key_");
        } else if self.underscore_sanitization && name.starts_with('_') && !name.starts_with("__") {
            name.insert_str(0, "key");
        }
        Ok(name)
    }

    fn escape(self, key: &str) -> String {
        if self.preserve_multiple_underscores {
            return key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        }
        // A reserved name keeps its frame of double underscores.
        match key.strip_prefix("__").and_then(|rest| rest.strip_suffix("__")) {
            Some(inner) => format!("__{}__", collapse(inner)),
            None => collapse(key),
        }
    }
}

fn collapse(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c);
        } else if !out.ends_with('_') {
            out.push('_');
        }
    }
    out
}
