//! A store in memory that fails when it is told to.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use std::fmt;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Refused before anything is done.
    Error,
    /// Done, and then reported as failed.
    ErrorAfter,
    /// Never answered.
    Hang,
    /// Stored with a byte changed.
    FlipByte,
    /// Stored without its last byte.
    CutByte,
}

/// When faults happen.
#[derive(Debug, Clone, Copy, Default)]
struct Plan {
    /// Requests that still go well.
    good: u64,
    /// Requests that then fail.
    bad: u64,
    fault: Option<Fault>,
}

/// The store. Writes and reads count as requests; lists never fail.
#[derive(Debug, Default)]
pub struct Faulty {
    inner: InMemory,
    plan: Arc<Mutex<Plan>>,
}

impl Faulty {
    pub fn fail_next(&self, bad: u64, fault: Fault) {
        self.set(Plan { good: 0, bad, fault: Some(fault) });
    }

    pub fn fail_all_after(&self, good: u64, fault: Fault) {
        self.set(Plan { good, bad: u64::MAX, fault: Some(fault) });
    }

    pub fn heal(&self) {
        self.set(Plan::default());
    }

    fn set(&self, plan: Plan) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    }

    /// Paths of all objects.
    pub async fn paths(&self) -> Vec<String> {
        self.inner.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap()
    }
}

/// The fault of the next request, if it has one.
fn next(plan: &Mutex<Plan>) -> Option<Fault> {
    let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
    if plan.good > 0 {
        plan.good -= 1;
        return None;
    }
    plan.bad = plan.bad.checked_sub(1)?;
    plan.fault
}

fn error() -> Error {
    Error::Generic { store: "faulty", source: "as told".into() }
}

/// Does a request, or not.
async fn with<T>(fault: Option<Fault>, work: impl Future<Output = Result<T>>) -> Result<T> {
    match fault {
        Some(Fault::Error) => Err(error()),
        Some(Fault::Hang) => pending().await,
        Some(Fault::ErrorAfter) => work.await.and(Err(error())),
        Some(Fault::FlipByte | Fault::CutByte) | None => work.await,
    }
}

fn changed(fault: Option<Fault>, payload: PutPayload) -> PutPayload {
    let mut bytes: Vec<u8> = payload.iter().flat_map(|part| part.iter().copied()).collect();
    match fault {
        Some(Fault::FlipByte) => bytes[20] ^= 1,
        Some(Fault::CutByte) => drop(bytes.pop()),
        _ => return payload,
    }
    Bytes::from(bytes).into()
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let fault = next(&self.plan);
        with(fault, self.inner.put_opts(location, changed(fault, payload), options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = with(next(&self.plan), self.inner.put_multipart_opts(location, options)).await?;
        Ok(Box::new(FaultyUpload { inner: upload, plan: self.plan.clone() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        with(next(&self.plan), self.inner.get_opts(location, options)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    plan: Arc<Mutex<Plan>>,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let fault = next(&self.plan);
        Box::pin(with(fault, self.inner.put_part(changed(fault, data))))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        with(next(&self.plan), self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
