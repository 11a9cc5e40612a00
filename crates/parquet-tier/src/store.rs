//! Objects under a prefix of a store: with timeouts, attempts, and a limit of the bandwidth.

use crate::error::{Result, TierError};
use crate::pace::Pace;
use crate::sink::Digest;
use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use std::future::Future;
use std::io::{Read, Seek};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How a store is asked.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct StoreOptions {
    /// How long one attempt may take, 30 s unless set.
    pub timeout: Duration,
    /// How often a request is repeated that failed, 4 times unless set. What cannot succeed is not repeated.
    pub retries: u32,
    /// Pause before the first repetition, 200 ms unless set; each further one is twice as long, at most 10 s.
    pub retry_pause: Duration,
    /// Bytes a second that uploads and reads may take together; no limit unless set.
    pub bytes_per_second: Option<u64>,
    /// Bytes of one part of an upload, 8 MiB unless set; from 5 MiB, the least that S3 takes, to 256 MiB. An upload
    /// holds one.
    pub part_bytes: usize,
    /// Whether a local folder that is not there is made, as it is unless set. Who only reads wants an error.
    pub make_folder: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            retries: 4,
            retry_pause: Duration::from_millis(200),
            bytes_per_second: None,
            part_bytes: 8 << 20,
            make_folder: true,
        }
    }
}

/// What the store says of an object.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    /// Path below the prefix.
    pub path: String,
    /// When it was last written, in ms since the epoch, by the store's clock.
    pub modified_ms: i64,
}

/// A prefix of an object store. Its futures need a tokio runtime with a timer.
#[derive(Debug)]
pub struct Store {
    inner: Arc<dyn ObjectStore>,
    prefix: Path,
    /// The folder, if it is a local one.
    folder: Option<PathBuf>,
    options: StoreOptions,
    pace: Option<Pace>,
}

impl Store {
    /// A prefix of any store.
    ///
    /// # Errors
    /// [`TierError::BadUrl`] if the prefix is no path.
    pub fn new(inner: Arc<dyn ObjectStore>, prefix: &str, options: StoreOptions) -> Result<Self> {
        let bad =
            |error: object_store::path::Error| TierError::BadUrl { url: prefix.into(), reason: error.to_string() };
        let prefix = Path::parse(prefix).map_err(bad)?;
        let pace = options.bytes_per_second.map(Pace::new);
        let part_bytes = options.part_bytes.clamp(5 << 20, 256 << 20);
        Ok(Self { inner, prefix, folder: None, options: StoreOptions { part_bytes, ..options }, pace })
    }

    /// A store in memory, for tests.
    pub fn memory() -> Self {
        let options = StoreOptions::default();
        let pace = None;
        Self { inner: Arc::new(InMemory::new()), prefix: Path::default(), folder: None, options, pace }
    }

    /// A local folder, which is made if need be and wanted. What is written is synced before it counts as written.
    ///
    /// # Errors
    /// [`TierError::Io`] if the folder cannot be made, [`TierError::BadUrl`] if it cannot be opened or is not there.
    #[expect(clippy::disallowed_methods, reason = "the store in the folder writes by its own calls too")]
    pub fn local(folder: impl Into<PathBuf>, options: StoreOptions) -> Result<Self> {
        let folder = folder.into();
        if options.make_folder {
            std::fs::create_dir_all(&folder).map_err(TierError::io("make the folder of the cold tier"))?;
        }
        let inner = LocalFileSystem::new_with_prefix(&folder)
            .map_err(|error| TierError::BadUrl { url: folder.display().to_string(), reason: error.to_string() })?
            .with_fsync(true);
        Ok(Self { folder: Some(folder), ..Self::new(Arc::new(inner), "", options)? })
    }

    /// The store of an address: `file:///path`, `memory:///`, and `s3://`, `gs://`, `az://` if the crate is built with
    /// that feature. `settings` are those of the `object_store` crate: `aws_endpoint`, `aws_region`, credentials ...
    ///
    /// # Errors
    /// [`TierError::BadUrl`] if that is no address of a store, or one whose kind is not built in.
    pub fn open(url: &str, settings: Vec<(String, String)>, options: StoreOptions) -> Result<Self> {
        let bad = |reason: String| TierError::BadUrl { url: url.to_owned(), reason };
        let parsed = url::Url::parse(url).map_err(|error| bad(error.to_string()))?;
        if parsed.scheme() == "file" {
            let folder = parsed.to_file_path().map_err(|()| bad("not the path of a folder".into()))?;
            return Self::local(folder, options);
        }
        let (inner, prefix) =
            object_store::parse_url_opts(&parsed, settings).map_err(|error| bad(error.to_string()))?;
        Self::new(Arc::from(inner), prefix.as_ref(), options)
    }

    /// A prefix below this one, of the same store.
    ///
    /// # Errors
    /// [`TierError::BadUrl`] if the prefix is no path.
    pub fn below(&self, prefix: &str) -> Result<Self> {
        let full =
            if self.prefix.as_ref().is_empty() { prefix.to_owned() } else { format!("{}/{prefix}", self.prefix) };
        let folder = self.folder.as_ref().map(|folder| folder.join(prefix));
        Ok(Self { folder, ..Self::new(self.inner.clone(), &full, self.options)? })
    }

    /// The options.
    pub fn options(&self) -> StoreOptions {
        self.options
    }

    fn path(&self, below: &str) -> Path {
        below.split('/').filter(|part| !part.is_empty()).fold(self.prefix.clone(), Path::join)
    }

    /// Asks until there is an answer that counts.
    async fn ask<T, F>(&self, operation: &'static str, path: &str, mut request: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = object_store::Result<T>>,
    {
        let mut attempt = 0;
        loop {
            let error = match tokio::time::timeout(self.options.timeout, request()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(object_store::Error::NotFound { .. })) => {
                    return Err(TierError::Missing { path: path.to_owned() });
                }
                Ok(Err(source)) => {
                    let error = TierError::Store { operation, path: path.to_owned(), source };
                    if is_final(&error) {
                        return Err(error);
                    }
                    error
                }
                Err(_) => TierError::Timeout {
                    operation,
                    path: path.to_owned(),
                    timeout: self.options.timeout,
                    attempts: attempt + 1,
                },
            };
            if attempt >= self.options.retries {
                return Err(error);
            }
            let pause = self.options.retry_pause.saturating_mul(1 << attempt.min(10));
            tokio::time::sleep(pause.min(Duration::from_secs(10))).await;
            attempt += 1;
        }
    }

    async fn wait_for_bandwidth(&self, bytes: u64) {
        if let Some(pace) = &self.pace {
            pace.take(bytes).await;
        }
    }

    /// Reads parts of an object; those that are near each other by one request.
    pub(crate) async fn read_ranges(&self, path: &str, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        self.wait_for_bandwidth(ranges.iter().map(|range| range.end - range.start).sum()).await;
        let object = self.path(path);
        let parts = self.ask("read", path, || self.inner.get_ranges(&object, ranges)).await?;
        let whole = parts.len() == ranges.len()
            && parts.iter().zip(ranges).all(|(part, range)| part.len() as u64 == range.end - range.start);
        if whole { Ok(parts) } else { Err(TierError::corrupt(path, "length", "shorter than the manifest says")) }
    }

    /// Reads a small object; `None` if there is none.
    pub(crate) async fn read_small(&self, path: &str, bytes_max: u64) -> Result<Option<Bytes>> {
        let object = self.path(path);
        let asked = self
            .ask("read", path, || async {
                let result = self.inner.get(&object).await?;
                let bytes = result.meta.size;
                if bytes > bytes_max {
                    return Ok(Err(bytes));
                }
                Ok(Ok(result.bytes().await?))
            })
            .await;
        match asked {
            Ok(Ok(bytes)) => Ok(Some(bytes)),
            Ok(Err(found)) => Err(TierError::TooMuch { what: "bytes of an object", found, limit: bytes_max }),
            Err(TierError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes an object that does not exist yet; `false` if it exists with other content.
    ///
    /// An attempt that was cut off may have succeeded. So if there is an object, what is in it decides.
    pub(crate) async fn create(&self, path: &str, bytes: Bytes) -> Result<bool> {
        let object = self.path(path);
        let options = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let put = || self.inner.put_opts(&object, PutPayload::from_bytes(bytes.clone()), options());
        match self.ask("create", path, put).await {
            Ok(_) => Ok(true),
            Err(TierError::Store { source: object_store::Error::AlreadyExists { .. }, .. }) => {
                match self.read_small(path, bytes.len() as u64).await {
                    Ok(found) => Ok(found.as_ref() == Some(&bytes)),
                    Err(TierError::TooMuch { .. }) => Ok(false),
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Uploads a file, then reads it back and compares length and checksum.
    ///
    /// # Errors
    /// [`TierError::Unverified`] if the store, or the local file, is not what was written.
    pub(crate) async fn upload(&self, path: &str, file: &mut (impl Read + Seek), expected: Digest) -> Result<()> {
        let mut attempt = 0;
        loop {
            match self.upload_once(path, file, expected).await {
                Ok(()) => break,
                Err(error) if attempt >= self.options.retries || is_final(&error) => return Err(error),
                Err(_) => {
                    let pause = self.options.retry_pause.saturating_mul(1 << attempt.min(10));
                    tokio::time::sleep(pause.min(Duration::from_secs(10))).await;
                    attempt += 1;
                }
            }
        }
        let found = self.digest(path, expected.bytes).await?;
        if found != expected {
            let (expected, found) = (expected.to_string(), found.to_string());
            return Err(TierError::Unverified { path: path.to_owned(), expected, found });
        }
        Ok(())
    }

    async fn upload_once(&self, path: &str, file: &mut (impl Read + Seek), expected: Digest) -> Result<()> {
        file.rewind().map_err(TierError::io("read a file before it is sent"))?;
        let object = self.path(path);
        let mut sent = Digest::EMPTY;
        let store_error = |source| TierError::Store { operation: "upload", path: path.to_owned(), source };
        let late = |_| TierError::Timeout {
            operation: "upload",
            path: path.to_owned(),
            timeout: self.options.timeout,
            attempts: 1,
        };
        let within = |future| tokio::time::timeout(self.options.timeout, future);
        let first = self.next_part(file, &mut sent)?;
        if sent.bytes >= expected.bytes {
            Self::check_sent(path, sent, expected)?;
            self.wait_for_bandwidth(first.len() as u64).await;
            let put = tokio::time::timeout(self.options.timeout, self.inner.put(&object, first.into()));
            return put.await.map_err(late)?.map(|_| ()).map_err(store_error);
        }
        let mut upload = tokio::time::timeout(self.options.timeout, self.inner.put_multipart(&object))
            .await
            .map_err(late)?
            .map_err(store_error)?;
        let mut part = first;
        let outcome = loop {
            self.wait_for_bandwidth(part.len() as u64).await;
            match within(upload.put_part(part.into())).await.map_err(late).and_then(|put| put.map_err(store_error)) {
                Ok(()) => {}
                Err(error) => break Err(error),
            }
            match self.next_part(file, &mut sent) {
                Ok(next) if next.is_empty() => break Self::check_sent(path, sent, expected),
                Ok(next) => part = next,
                Err(error) => break Err(error),
            }
        };
        if let Err(error) = outcome {
            // What cannot be taken back now is cleaned up later; the first error is the one that counts.
            drop(tokio::time::timeout(self.options.timeout, upload.abort()).await);
            return Err(error);
        }
        let complete = tokio::time::timeout(self.options.timeout, upload.complete()).await;
        complete.map_err(late)?.map(|_| ()).map_err(store_error)
    }

    fn next_part(&self, file: &mut impl Read, sent: &mut Digest) -> Result<Bytes> {
        let mut part = Vec::with_capacity(self.options.part_bytes);
        file.take(self.options.part_bytes as u64)
            .read_to_end(&mut part)
            .map_err(TierError::io("read a file before it is sent"))?;
        sent.update(&part);
        Ok(part.into())
    }

    /// The local file must still be what the writer wrote.
    fn check_sent(path: &str, sent: Digest, expected: Digest) -> Result<()> {
        if sent == expected {
            return Ok(());
        }
        let found = format!("no copy, since the local file has changed to {sent}");
        Err(TierError::Unverified { path: path.to_owned(), expected: expected.to_string(), found })
    }

    /// Length and checksum of what the store has.
    pub(crate) async fn digest(&self, path: &str, bytes: u64) -> Result<Digest> {
        let object = self.path(path);
        let found = self.ask("look at", path, || self.inner.head(&object)).await?.size;
        let mut digest = Digest::EMPTY;
        if found != bytes {
            return Ok(Digest { bytes: found, crc32c: 0 });
        }
        while digest.bytes < found {
            let end = found.min(digest.bytes + self.options.part_bytes as u64);
            let parts = self.read_ranges(path, std::slice::from_ref(&(digest.bytes..end))).await?;
            digest.update(&parts[0]);
        }
        Ok(digest)
    }

    /// The objects below a path.
    pub(crate) async fn list(&self, below: &str) -> Result<Vec<Object>> {
        let prefix = self.path(below);
        let found = self.ask("list", below, || self.inner.list(Some(&prefix)).try_collect::<Vec<_>>()).await?;
        let cut = self.prefix.as_ref().len() + usize::from(!self.prefix.as_ref().is_empty());
        Ok(found
            .into_iter()
            .filter_map(|meta| {
                let path = meta.location.as_ref().get(cut..)?.to_owned();
                Some(Object { path, modified_ms: meta.last_modified.timestamp_millis() })
            })
            .collect())
    }

    /// Names of the folders below a path, ascending. One request for each thousand of them.
    ///
    /// # Errors
    /// [`TierError::Store`] or [`TierError::Timeout`], after its attempts.
    pub async fn folders(&self, below: &str) -> Result<Vec<String>> {
        let prefix = self.path(below);
        let found = match self.ask("list", below, || self.inner.list_with_delimiter(Some(&prefix))).await {
            Err(TierError::Missing { .. }) => return Ok(Vec::new()),
            found => found?,
        };
        let names = found.common_prefixes.iter().filter_map(|folder| Some(folder.filename()?.to_owned()));
        let mut names: Vec<String> = names.collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Deletes an object; one that is gone already is no error.
    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        let object = self.path(path);
        match self.ask("delete", path, || self.inner.delete(&object)).await {
            Err(TierError::Missing { .. }) => Ok(()),
            other => other,
        }
    }

    /// The folder of a local store.
    pub fn folder(&self) -> Option<&std::path::Path> {
        self.folder.as_deref()
    }
}

/// Whether asking again cannot help.
fn is_final(error: &TierError) -> bool {
    use object_store::Error as E;
    match error {
        TierError::Timeout { .. } => false,
        TierError::Store { source, .. } => matches!(
            source,
            E::InvalidPath { .. }
                | E::NotSupported { .. }
                | E::AlreadyExists { .. }
                | E::Precondition { .. }
                | E::NotModified { .. }
                | E::NotImplemented { .. }
                | E::PermissionDenied { .. }
                | E::Unauthenticated { .. }
                | E::UnknownConfigurationKey { .. }
        ),
        _ => true,
    }
}
