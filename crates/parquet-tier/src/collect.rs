//! Deleting what nobody needs any more.

use crate::error::{Result, TierError};
use crate::manifest::Manifest;
use crate::store::Store;
use crate::tier::read_known;
use crate::{Day, FileId};
use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Collected {
    /// Files of days.
    pub files: u64,
    /// Manifests.
    pub manifests: u64,
    /// Leftovers of uploads that were cut off, in a local folder.
    pub uploads: u64,
}

pub(crate) async fn collect(
    store: &Store,
    newest: &Manifest,
    now_ms: u64,
    grace_ms: u64,
    manifests_min: u64,
) -> Result<Collected> {
    let mut collected = Collected::default();
    let before_ms = now_ms.saturating_sub(grace_ms);
    // Files are listed before manifests are read: whatever was committed before then is in one that is read.
    let listed = store.list("").await?;
    let mut kept: HashSet<FileId> = newest.days.iter().map(|day| day.id).collect();
    let mut numbers: Vec<u64> = listed
        .iter()
        .filter_map(|object| Manifest::seq_of(object.path.strip_prefix("manifest/")?))
        .filter(|seq| *seq < newest.seq)
        .collect();
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    let mut replaced_ms = newest.created_ms;
    let mut old = Vec::new();
    for seq in numbers {
        if !old.is_empty() || (seq + manifests_min.max(1) <= newest.seq && replaced_ms < before_ms) {
            old.push(seq);
            continue;
        }
        let manifest = read_known(store, seq).await?;
        kept.extend(manifest.days.iter().map(|day| day.id));
        replaced_ms = manifest.created_ms;
    }
    for object in &listed {
        let Some(id) = file_of_a_day(&object.path) else { continue };
        if !kept.contains(&id) && object.modified_ms < before_ms as i64 {
            store.delete(&object.path).await?;
            collected.files += 1;
        }
    }
    // Manifests go last, from the oldest on: one that is left names files that are left, or is left beside newer ones.
    for seq in old.into_iter().rev() {
        store.delete(&Manifest::path(seq)).await?;
        collected.manifests += 1;
    }
    if let Some(folder) = store.folder() {
        collected.uploads = clean_folder(folder, before_ms)?;
    }
    Ok(collected)
}

/// The id in the path of a file of a day; none for what is not ours, which is not touched.
fn file_of_a_day(path: &str) -> Option<FileId> {
    let mut parts = path.split('/');
    let (day, id, _name) = (parts.next()?, parts.next()?, parts.next()?);
    day.strip_prefix("day=")?.parse::<Day>().ok()?;
    if parts.next().is_some() { None } else { id.parse().ok() }
}

/// Deletes what cut off uploads left in a local folder, `NAME#NUMBER`, which listing does not show.
#[expect(
    clippy::disallowed_methods,
    reason = "the files are those of object_store, which writes them by its own calls"
)]
fn clean_folder(folder: &Path, before_ms: u64) -> Result<u64> {
    let failed = || TierError::io("clean the folder of the cold tier");
    let mut removed = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = match std::fs::read_dir(&next) {
            // Nothing was uploaded yet.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            entries => entries.map_err(failed())?,
        };
        for entry in entries {
            let entry = entry.map_err(failed())?;
            if entry.file_type().map_err(failed())?.is_dir() {
                folders.push(entry.path());
                continue;
            }
            let name = entry.file_name();
            let cut_off = name.to_str().and_then(|name| name.rsplit_once('#')).is_some_and(|(name, number)| {
                let ours = matches!(name.rsplit_once('.'), Some((_, "parquet" | "json")));
                ours && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
            });
            let modified = entry.metadata().and_then(|metadata| metadata.modified()).map_err(failed())?;
            let age = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
            if cut_off && age.as_millis() < u128::from(before_ms) {
                std::fs::remove_file(entry.path()).map_err(failed())?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}
