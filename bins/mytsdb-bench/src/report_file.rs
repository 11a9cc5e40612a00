//! Files that runs write their figures to.

use anyhow::{Context, Result};
use serde_json::Value;
use std::path::Path;

/// Writes figures as JSON.
#[expect(clippy::disallowed_methods, reason = "a load generator's report")]
pub(crate) fn write(path: &Path, figures: &Value) -> Result<()> {
    std::fs::write(path, serde_json::to_vec_pretty(figures)?).with_context(|| path.display().to_string())
}
