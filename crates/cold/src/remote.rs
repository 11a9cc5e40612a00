//! The threads on which the store is asked, and how a plain thread waits for them.

use crate::error::{ColdError, Result};
use mytsdb_engine::EngineError;
use mytsdb_parquet_tier::{DayReader, FileId, LiveDay, Store, TierError};
use mytsdb_stop::StopSign;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// Days whose footers are kept in memory.
const READERS_MAX: usize = 512;

/// Days that are opened at a time for questions to come.
const PATIENT_MAX: usize = 4;

/// Groups of buckets that are read at a time before a query waits for them.
const EAGER_MAX: usize = 8;

/// Between two looks at a stop sign, at first and later.
const LOOK: Duration = Duration::from_micros(200);
const LOOK_MAX: Duration = Duration::from_millis(10);

/// A store, and threads of its own.
pub(crate) struct Remote {
    /// `None` only while it is dropped.
    runtime: Option<tokio::runtime::Runtime>,
    store: Arc<Store>,
    /// How many days are opened at a time that no query asks for.
    patient: tokio::sync::Semaphore,
    /// How many reads are under way that a query will ask for.
    eager: tokio::sync::Semaphore,
    readers: Mutex<VecDeque<(FileId, Arc<DayReader>)>>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    Canceled,
    Failed(TierError),
    /// The task ended without an answer, which is a bug.
    Lost,
}

impl NoAnswer {
    pub fn into_cold(self) -> ColdError {
        match self {
            Self::Canceled => EngineError::Canceled.into(),
            Self::Failed(error) => error.into(),
            Self::Lost => ColdError::Threads(std::io::Error::other("a task of the cold tier ended without an answer")),
        }
    }
}

impl Remote {
    /// Starts the threads.
    pub fn new(store: Store) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("cold")
            .enable_all()
            .build()
            .map_err(ColdError::Threads)?;
        let [patient, eager] = [PATIENT_MAX, EAGER_MAX].map(tokio::sync::Semaphore::new);
        Ok(Self { runtime: Some(runtime), store: Arc::new(store), patient, eager, readers: Mutex::default() })
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    fn runtime(&self) -> &tokio::runtime::Runtime {
        self.runtime.as_ref().expect("there until it is dropped")
    }

    /// Does something that nobody waits for.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.runtime().spawn(work));
    }

    /// Waits until few others do what is not urgent.
    pub async fn turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        // Nobody closes it.
        self.patient.acquire().await.ok()
    }

    /// Waits until not too many others read for queries that do not wait for them yet.
    pub async fn eager_turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.eager.acquire().await.ok()
    }

    /// Waits for an answer of the store, on whichever thread. A stop ends the request too.
    pub fn ask<T: Send + 'static>(
        &self,
        stop: StopSign<'_>,
        work: impl Future<Output = Result<T, TierError>> + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let (tell, hear) = sync_channel(1);
        let task = self.runtime().spawn(async move {
            // Nobody hears it if the wait was stopped.
            drop(tell.send(work.await));
        });
        let mut look = LOOK;
        loop {
            match hear.recv_timeout(look) {
                Ok(answer) => return answer.map_err(NoAnswer::Failed),
                Err(RecvTimeoutError::Disconnected) => return Err(NoAnswer::Lost),
                Err(RecvTimeoutError::Timeout) => {
                    look = LOOK_MAX.min(look * 2);
                    if stop.check().is_err() {
                        task.abort();
                        return Err(NoAnswer::Canceled);
                    }
                }
            }
        }
    }

    /// The reader of the files of a day, if its footer is in memory.
    pub fn known_reader(&self, live: &LiveDay) -> Option<Arc<DayReader>> {
        let mut readers = self.readers.lock();
        let at = readers.iter().position(|(id, _)| *id == live.id)?;
        let found = readers.remove(at)?;
        readers.push_back(found.clone());
        Some(found.1)
    }

    /// The reader of the files of a day.
    pub async fn reader(self: Arc<Self>, live: Arc<LiveDay>) -> Result<Arc<DayReader>, TierError> {
        if let Some(reader) = self.known_reader(&live) {
            return Ok(reader);
        }
        let reader = Arc::new(DayReader::open(self.store.clone(), &live).await?);
        let mut readers = self.readers.lock();
        if readers.len() >= READERS_MAX {
            readers.pop_front();
        }
        readers.push_back((live.id, reader.clone()));
        Ok(reader)
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // The last one to let go may be a thread that must not wait.
            runtime.shutdown_background();
        }
    }
}
