//! The tier: a store, the newest manifest, and what changes it.

use crate::collect::Collected;
use crate::day_writer::{DayWriter, WriteOptions, WrittenDay};
use crate::deletion::Deletion;
use crate::error::{Result, TierError};
use crate::manifest::{LiveDay, MANIFEST_BYTES_MAX, Manifest};
use crate::schema::FileKind;
use crate::store::Store;
use crate::{Day, FileId};
use bytes::Bytes;
use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Files that were uploaded and verified, and that a commit may make live.
#[derive(Debug)]
pub struct Uploaded(LiveDay);

impl Uploaded {
    /// What a manifest will say of them.
    pub fn day(&self) -> &LiveDay {
        &self.0
    }

    /// The same with a place in an order of writing, which the manifest keeps; 0 for none. What it is good for, the writer knows.
    #[must_use]
    pub fn numbered(mut self, number: u64) -> Self {
        self.0.number = number;
        self
    }

    /// The same for buckets that were made from the samples of these folders, which the manifest keeps.
    #[must_use]
    pub fn made_from(mut self, ids: Vec<FileId>) -> Self {
        self.0.made_from = ids;
        self
    }
}

/// A tier under a prefix that has one writer. Readers may be many, also on other machines.
#[derive(Debug)]
pub struct Tier {
    pub(crate) store: Arc<Store>,
    manifest: Mutex<Arc<Manifest>>,
    /// One change at a time.
    changes: tokio::sync::Mutex<()>,
}

impl Tier {
    /// Opens the tier under a prefix, which may be empty. `seq_min` is the number of a manifest that is known to have
    /// been written, 0 without one: a store that lists too little is noticed by it.
    ///
    /// # Errors
    /// Those of the store; [`TierError::Missing`] if there is no manifest of number `seq_min` or later; those of
    /// [`Manifest::decode`].
    pub async fn open(store: Arc<Store>, seq_min: u64) -> Result<Self> {
        let listed = store.list("manifest").await?;
        let names = listed.iter().filter_map(|object| object.path.rsplit('/').next());
        let start = names.filter_map(Manifest::seq_of).max().unwrap_or(0).max(seq_min);
        let begun = if start == 0 { Manifest::default() } else { read_known(&store, start).await? };
        let newest = follow(&store, begun).await?;
        Ok(Self { store, manifest: Mutex::new(Arc::new(newest)), changes: tokio::sync::Mutex::new(()) })
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The newest manifest that is known here.
    pub fn manifest(&self) -> Arc<Manifest> {
        self.manifest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn publish(&self, manifest: Manifest) -> Arc<Manifest> {
        let manifest = Arc::new(manifest);
        *self.manifest.lock().unwrap_or_else(PoisonError::into_inner) = manifest.clone();
        manifest
    }

    /// Looks whether there are newer manifests, as a reader beside a writer does. Costs one request if there are none.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub async fn refresh(&self) -> Result<Arc<Manifest>> {
        let _one = self.changes.lock().await;
        let known = self.manifest();
        let newest = follow(&self.store, (*known).clone()).await?;
        Ok(if newest.seq == known.seq { known } else { self.publish(newest) })
    }

    /// Begins the files of a day, in files without a name in a local folder: a crash leaves nothing of them.
    ///
    /// # Errors
    /// As for [`DayWriter::new`].
    pub fn writer(
        day: Day,
        label_names: impl IntoIterator<Item = impl Into<String>>,
        options: WriteOptions,
        spool: &Path,
    ) -> Result<DayWriter<File>> {
        let spool = spool.to_owned();
        DayWriter::new(day, label_names, options, move |_| {
            tempfile::tempfile_in(&spool).map_err(TierError::io("make a file for the cold tier"))
        })
    }

    /// Uploads what a writer wrote, and verifies length and checksum by reading it back. Nothing of it is live before
    /// [`commit`](Self::commit). `id` is a new one.
    ///
    /// # Errors
    /// Those of the store, after its attempts; [`TierError::Unverified`]. What was uploaded by then stays until
    /// [`collect`](Self::collect) cleans it up.
    pub async fn upload<F: Read + Seek>(&self, written: WrittenDay<F>, id: FileId) -> Result<Uploaded> {
        if written.is_empty() {
            return Err(TierError::BadCommit { id: id.to_string(), reason: "without samples" });
        }
        let mut live = LiveDay {
            day: written.day,
            id,
            series: written.series,
            samples: written.samples,
            histograms: written.histograms,
            range: written.range,
            number: 0,
            plain: written.plain,
            resolution: written.resolution,
            buckets: written.buckets,
            made_from: Vec::new(),
            files: Vec::new(),
        };
        let folder = live.folder();
        for (kind, mut file, digest) in written.files {
            self.store.upload(&format!("{folder}/{}", kind.name()), &mut file, digest.whole).await?;
            live.files.push((kind, digest));
        }
        Ok(Uploaded(live))
    }

    /// Makes files live and others not, in one step: readers see all of the change or nothing. Files that are removed
    /// stay in the store until [`collect`](Self::collect) deletes them. `now_ms` is the time, in ms since the epoch.
    ///
    /// # Errors
    /// [`TierError::BadCommit`] if a file to remove is not live, or one to add is; [`TierError::Conflict`] if somebody
    /// else wrote the next manifest; those of the store: then the outcome is not known, and [`refresh`](Self::refresh)
    /// or the next `open` tells it.
    pub async fn commit(&self, add: Vec<Uploaded>, remove: &[FileId], now_ms: u64) -> Result<Arc<Manifest>> {
        self.change(add, remove, None, now_ms).await
    }

    /// The same, and says in the same step what is deleted of the files that are live then: `deletions` ascend by id, and take the place
    /// of those that the manifest had.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    pub async fn commit_with(
        &self,
        add: Vec<Uploaded>,
        remove: &[FileId],
        deletions: Vec<Deletion>,
        now_ms: u64,
    ) -> Result<Arc<Manifest>> {
        self.change(add, remove, Some(deletions), now_ms).await
    }

    async fn change(
        &self,
        add: Vec<Uploaded>,
        remove: &[FileId],
        deletions: Option<Vec<Deletion>>,
        now_ms: u64,
    ) -> Result<Arc<Manifest>> {
        let _one = self.changes.lock().await;
        let known = self.manifest();
        let mut days = known.days.clone();
        for id in remove {
            let Some(place) = days.iter().position(|day| day.id == *id) else {
                return Err(TierError::BadCommit { id: id.to_string(), reason: "to be removed, and not live" });
            };
            days.remove(place);
        }
        for Uploaded(added) in add {
            if days.iter().any(|day| day.id == added.id) || known.days.iter().any(|day| day.id == added.id) {
                let reason = "to be added, and live already";
                return Err(TierError::BadCommit { id: added.id.to_string(), reason });
            }
            days.push(added);
        }
        days.sort_by_key(|day| (day.day, day.id));
        let deletions = deletions.unwrap_or_else(|| known.deletions.clone());
        let next = Manifest { seq: known.seq + 1, created_ms: now_ms, days, deletions };
        let (path, bytes) = (Manifest::path(next.seq), Bytes::from(next.encode()));
        if bytes.len() as u64 > MANIFEST_BYTES_MAX {
            let (found, limit) = (bytes.len() as u64, MANIFEST_BYTES_MAX);
            return Err(TierError::TooMuch { what: "bytes of a manifest", found, limit });
        }
        // What is written is read as a reader will read it, before anybody can.
        if Manifest::decode(&path, next.seq, &bytes)? != next {
            return Err(TierError::corrupt(&path, "manifest", "not read as it was written"));
        }
        if !self.store.create(&path, bytes).await? {
            return Err(TierError::Conflict { path });
        }
        Ok(self.publish(next))
    }

    /// Reads every live file and compares length and checksum with the manifest. Reads all that there is.
    ///
    /// # Errors
    /// [`TierError::Unverified`] for the first file that differs; those of the store.
    pub async fn verify(&self) -> Result<()> {
        for day in &self.manifest().days {
            for (kind, _) in &day.files {
                self.verify_file(day, *kind).await?;
            }
        }
        Ok(())
    }

    /// Reads one file of a day and compares length and checksum with what the manifest says; gives its length.
    ///
    /// # Errors
    /// [`TierError::Unverified`] if they differ; [`TierError::Missing`] if there is no such file; those of the store.
    pub async fn verify_file(&self, day: &LiveDay, kind: FileKind) -> Result<u64> {
        let (path, expected) = day.file(kind).ok_or_else(|| TierError::Missing { path: day.path(kind) })?;
        let found = self.store.digest(&path, expected.whole.bytes).await?;
        if found == expected.whole {
            return Ok(found.bytes);
        }
        let (expected, found) = (expected.whole.to_string(), found.to_string());
        Err(TierError::Unverified { path, expected, found })
    }

    /// The files in the store that the manifest does not name: of uploads that did not end in a commit, or replaced and not
    /// yet deleted. Lists all that there is.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn unnamed(&self) -> Result<Vec<String>> {
        let manifest = self.manifest();
        let live: HashSet<String> =
            manifest.days.iter().flat_map(|day| day.files.iter().map(|(kind, _)| day.path(*kind))).collect();
        let listed = self.store.list("").await?;
        let paths = listed.into_iter().map(|object| object.path);
        Ok(paths.filter(|path| !live.contains(path) && !path.starts_with("manifest/")).collect())
    }

    /// Deletes what nobody needs any more: files that no kept manifest names, and manifests that were replaced.
    ///
    /// A manifest is kept while it is one of the last `manifests_min`, or was the newest within `grace_ms`: readers may
    /// still use it. A file that no kept manifest names goes when it is older than `grace_ms`: younger ones may be an
    /// upload that is not committed yet. Uploads of several parts that were cut off go by the same age in a local folder;
    /// other stores have rules of their own for them.
    ///
    /// # Errors
    /// Those of the store. What was deleted by then is gone, the rest stays until the next call.
    pub async fn collect(&self, now_ms: u64, grace_ms: u64, manifests_min: u64) -> Result<Collected> {
        let _one = self.changes.lock().await;
        crate::collect::collect(&self.store, &self.manifest(), now_ms, grace_ms, manifests_min).await
    }
}

/// Reads a manifest that must be there.
pub(crate) async fn read_known(store: &Store, seq: u64) -> Result<Manifest> {
    let path = Manifest::path(seq);
    let bytes = store.read_small(&path, MANIFEST_BYTES_MAX).await?;
    let bytes = bytes.ok_or_else(|| TierError::Missing { path: path.clone() })?;
    Manifest::decode(&path, seq, &bytes)
}

/// The newest manifest, from one that is known: each number that follows is asked for, until there is none.
async fn follow(store: &Store, mut known: Manifest) -> Result<Manifest> {
    loop {
        let path = Manifest::path(known.seq + 1);
        match store.read_small(&path, MANIFEST_BYTES_MAX).await? {
            Some(bytes) => known = Manifest::decode(&path, known.seq + 1, &bytes)?,
            None => return Ok(known),
        }
    }
}
