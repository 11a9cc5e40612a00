//! A disk that fails the n-th call of a kind, to test how errors are handled.

use crate::{Disk, DiskFile, DiskLock, Mapped};
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The kinds of calls that [`FaultDisk`] counts and fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Call {
    /// [`Disk::create`].
    Create,
    /// [`Disk::open`] and [`Disk::map`].
    Open,
    /// [`DiskFile::append`] and [`DiskFile::write_at`].
    Write,
    /// [`DiskFile::sync_data`].
    Sync,
    /// [`DiskFile::truncate`] and [`DiskFile::reserve`].
    Truncate,
    /// [`DiskFile::read_at`].
    Read,
    /// [`Disk::rename`].
    Rename,
    /// [`Disk::remove`].
    Remove,
    /// [`Disk::sync_dir`].
    SyncDir,
    /// [`Disk::list`].
    List,
}

impl Call {
    /// Every kind, in declaration order.
    pub const ALL: [Call; 10] = [
        Call::Create,
        Call::Open,
        Call::Write,
        Call::Sync,
        Call::Truncate,
        Call::Read,
        Call::Rename,
        Call::Remove,
        Call::SyncDir,
        Call::List,
    ];
}

struct Fault {
    call: Call,
    first: u64,
    last: u64,
    errno: i32,
    /// Bytes of a write that reach the disk before the error.
    written_bytes: usize,
}

#[derive(Default)]
struct Plan {
    counts: [u64; Call::ALL.len()],
    faults: Vec<Fault>,
    fired: u64,
    retried_syncs: u64,
}

impl Plan {
    /// Counts the call; `Err` holds the errno and how much of a write still happens.
    fn count(&mut self, call: Call) -> Result<(), (i32, usize)> {
        let count = &mut self.counts[call as usize];
        *count += 1;
        let n = *count;
        match self.faults.iter().find(|f| f.call == call && (f.first..=f.last).contains(&n)) {
            Some(fault) => {
                self.fired += 1;
                Err((fault.errno, fault.written_bytes))
            }
            None => Ok(()),
        }
    }
}

/// Wraps a disk and fails chosen calls; clones share counts and plan. Calls are counted from 1.
#[derive(Clone)]
pub struct FaultDisk<D> {
    inner: D,
    plan: Arc<Mutex<Plan>>,
}

impl<D: Disk> FaultDisk<D> {
    /// Wraps `inner`; without a plan nothing fails.
    pub fn new(inner: D) -> Self {
        Self { inner, plan: Arc::default() }
    }

    /// Fails the `n`-th call of a kind, once, with a raw OS error such as 5 (EIO) or 28 (ENOSPC).
    pub fn fail_nth(&self, call: Call, n: u64, errno: i32) {
        self.fail_range(call, n, n, errno);
    }

    /// Fails the calls `first..=last` of a kind.
    pub fn fail_range(&self, call: Call, first: u64, last: u64, errno: i32) {
        self.plan.lock().faults.push(Fault { call, first, last, errno, written_bytes: 0 });
    }

    /// Lets the `n`-th write put `bytes` bytes on the disk and then fail.
    pub fn cut_nth_write(&self, n: u64, bytes: usize, errno: i32) {
        self.plan.lock().faults.push(Fault { call: Call::Write, first: n, last: n, errno, written_bytes: bytes });
    }

    /// How often a kind was called.
    pub fn count(&self, call: Call) -> u64 {
        self.plan.lock().counts[call as usize]
    }

    /// How many calls were failed.
    pub fn fired(&self) -> u64 {
        self.plan.lock().fired
    }

    /// How often `sync_data` was called on a handle whose `sync_data` had failed before: must stay 0.
    pub fn retried_syncs(&self) -> u64 {
        self.plan.lock().retried_syncs
    }

    /// The wrapped disk.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    fn pass(&self, call: Call) -> io::Result<()> {
        self.plan.lock().count(call).map_err(|(errno, _)| io::Error::from_raw_os_error(errno))
    }

    fn wrap(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(FaultFile { inner: file, plan: Arc::clone(&self.plan), sync_failed: false })
    }
}

impl<D: Disk> Disk for FaultDisk<D> {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.pass(Call::Create)?;
        Ok(self.wrap(self.inner.create(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.pass(Call::Open)?;
        Ok(self.wrap(self.inner.open(path)?))
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.pass(Call::Open)?;
        self.inner.map(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass(Call::Rename)?;
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.pass(Call::Remove)?;
        self.inner.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.pass(Call::SyncDir)?;
        self.inner.sync_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.pass(Call::List)?;
        self.inner.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir_all(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.exists(path)
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        self.inner.lock(path)
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.inner.free_bytes(dir)
    }

    fn total_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.inner.total_bytes(dir)
    }
}

struct FaultFile {
    inner: Box<dyn DiskFile>,
    plan: Arc<Mutex<Plan>>,
    sync_failed: bool,
}

impl FaultFile {
    fn pass(&self, call: Call) -> Result<(), (i32, usize)> {
        self.plan.lock().count(call)
    }
}

impl DiskFile for FaultFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err((errno, written)) = self.pass(Call::Write) {
            self.inner.append(&bytes[..written.min(bytes.len())])?;
            return Err(io::Error::from_raw_os_error(errno));
        }
        self.inner.append(bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if let Err((errno, written)) = self.pass(Call::Write) {
            self.inner.write_at(offset, &bytes[..written.min(bytes.len())])?;
            return Err(io::Error::from_raw_os_error(errno));
        }
        self.inner.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.pass(Call::Read).map_err(|(errno, _)| io::Error::from_raw_os_error(errno))?;
        self.inner.read_at(offset, buffer)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        if self.sync_failed {
            self.plan.lock().retried_syncs += 1;
        }
        let passed = self.pass(Call::Sync).map_err(|(errno, _)| io::Error::from_raw_os_error(errno));
        let synced = passed.and_then(|()| self.inner.sync_data());
        self.sync_failed |= synced.is_err();
        synced
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.pass(Call::Truncate).map_err(|(errno, _)| io::Error::from_raw_os_error(errno))?;
        self.inner.truncate(len)
    }

    fn reserve(&mut self, len: u64) -> io::Result<()> {
        self.pass(Call::Truncate).map_err(|(errno, _)| io::Error::from_raw_os_error(errno))?;
        self.inner.reserve(len)
    }
}
