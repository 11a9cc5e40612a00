//! A disk in memory. A crash loses writes that were not synced, as on a real disk; a seed decides which.

mod content;
mod rng;
mod tree;

use crate::{Disk, DiskFile, DiskLock, Mapped};
use parking_lot::Mutex;
use rng::Rng;
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tree::{NodeId, Tree};

/// A simulated disk; clones share it. Time does not pass in it: nothing becomes durable but by a sync.
///
/// A crash image is what was synced, plus a random choice of the rest: 512-byte sectors each survive or
/// not, in any order, lengths apart from data, and names apart from both, though a rename is atomic.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

struct State {
    tree: Tree,
    capacity_bytes: u64,
    used_bytes: u64,
    ops: u64,
    stop_at: u64,
    stopped: bool,
    locks: BTreeSet<PathBuf>,
}

const POWER_LOSS: &str = "simulated power loss";

impl State {
    fn new(tree: Tree, capacity_bytes: u64) -> Self {
        let used_bytes = tree.used_bytes();
        Self { tree, capacity_bytes, used_bytes, ops: 0, stop_at: u64::MAX, stopped: false, locks: BTreeSet::new() }
    }

    fn check_power(&self) -> io::Result<()> {
        if self.stopped { Err(io::Error::other(POWER_LOSS)) } else { Ok(()) }
    }

    /// Counts a call that changes the disk; the one past the limit, and all calls after it, are refused.
    fn begin_op(&mut self) -> io::Result<()> {
        self.stopped |= self.ops >= self.stop_at;
        self.check_power()?;
        self.ops += 1;
        Ok(())
    }

    /// Writes what fits, as file systems do, and then says that the disk is full.
    fn write(&mut self, id: NodeId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let len = self.tree.file(id).bytes().len() as u64;
        let room_to = len + self.capacity_bytes.saturating_sub(self.used_bytes);
        let end = (offset + bytes.len() as u64).min(room_to.max(offset));
        let fits = (end - offset) as usize;
        if fits > 0 {
            self.tree.file_mut(id).write(offset, &bytes[..fits]);
            self.used_bytes += end.saturating_sub(len);
        }
        if fits < bytes.len() { Err(Errno::NOSPC.into()) } else { Ok(()) }
    }

    fn set_len(&mut self, id: NodeId, len: u64) -> io::Result<()> {
        let before = self.tree.file(id).bytes().len() as u64;
        let used = self.used_bytes - before.min(self.used_bytes) + len;
        if len > before && used > self.capacity_bytes {
            return Err(Errno::NOSPC.into());
        }
        self.used_bytes = used;
        self.tree.file_mut(id).set_len(len);
        Ok(())
    }
}

impl SimDisk {
    /// An empty disk without a limit of size.
    pub fn new() -> Self {
        Self::with_tree(Tree::new(), u64::MAX)
    }

    fn with_tree(tree: Tree, capacity_bytes: u64) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(tree, capacity_bytes))) }
    }

    /// Limits the bytes of all files together; writes past it fail with ENOSPC after filling what fits.
    pub fn set_capacity(&self, bytes: u64) {
        self.state.lock().capacity_bytes = bytes;
    }

    /// A new disk as it might be after a power cut now: durable state plus what `seed` lets survive.
    ///
    /// The new disk has power, no locks, a count of 0 and the same capacity; this one is unchanged.
    #[must_use]
    pub fn crash(&self, seed: u64) -> SimDisk {
        let state = self.state.lock();
        Self::with_tree(state.tree.crash(Some(&mut Rng::new(seed))), state.capacity_bytes)
    }

    /// As [`crash`](Self::crash), with the durable state alone.
    #[must_use]
    pub fn crash_losing_everything_unsynced(&self) -> SimDisk {
        let state = self.state.lock();
        Self::with_tree(state.tree.crash(None), state.capacity_bytes)
    }

    /// Lets `ops` more calls that change the disk succeed; the next one and every call after it fail.
    ///
    /// Counted are create, write, truncate, both syncs, rename, remove, create_dir_all and lock.
    pub fn stop_after(&self, ops: u64) {
        let mut state = self.state.lock();
        state.stop_at = state.ops.saturating_add(ops);
    }

    /// Whether `error` is the one that a disk without power answers.
    pub fn is_power_loss(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|e| e.to_string() == POWER_LOSS)
    }

    /// Whether a call has been refused because of [`stop_after`](Self::stop_after).
    pub fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// How many calls have changed the disk; see [`stop_after`](Self::stop_after).
    pub fn op_count(&self) -> u64 {
        self.state.lock().ops
    }

    /// Flips the bits of `xor` in one byte of a file, for good. An offset behind the end changes nothing.
    ///
    /// # Errors
    /// `NotFound` if there is no such file.
    pub fn corrupt(&self, path: &Path, offset: u64, xor: u8) -> io::Result<()> {
        let mut state = self.state.lock();
        let id = state.tree.file_id(path)?;
        state.tree.file_mut(id).corrupt(offset as usize, xor);
        Ok(())
    }

    fn handle(&self, id: NodeId) -> Box<dyn DiskFile> {
        Box::new(SimFile { state: Arc::clone(&self.state), id })
    }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.lock();
        write!(f, "SimDisk({} bytes, {} ops)", state.used_bytes, state.ops)
    }
}

impl Disk for SimDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state.lock();
        state.begin_op()?;
        let (id, new) = state.tree.create_file(path)?;
        if !new {
            state.set_len(id, 0)?;
        }
        Ok(self.handle(id))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let state = self.state.lock();
        state.check_power()?;
        Ok(self.handle(state.tree.file_id(path)?))
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        let state = self.state.lock();
        state.check_power()?;
        let id = state.tree.file_id(path)?;
        Ok(Mapped::from(state.tree.file(id).bytes().to_vec()))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin_op()?;
        let replaced = state.tree.rename(from, to)?;
        state.used_bytes = state.used_bytes.saturating_sub(replaced);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin_op()?;
        let freed = state.tree.remove(path)?;
        state.used_bytes = state.used_bytes.saturating_sub(freed);
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin_op()?;
        state.tree.sync_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state.lock();
        state.check_power()?;
        state.tree.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin_op()?;
        state.tree.create_dirs(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let state = self.state.lock();
        state.check_power()?;
        Ok(state.tree.lookup(path).is_some())
    }

    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        let mut state = self.state.lock();
        state.begin_op()?;
        if state.locks.contains(path) {
            let message = format!("{} is locked by process {}", path.display(), std::process::id());
            return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
        }
        state.tree.create_file(path)?;
        state.locks.insert(path.to_path_buf());
        Ok(DiskLock::new(SimLock { state: Arc::clone(&self.state), path: path.to_path_buf() }))
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let state = self.state.lock();
        state.check_power()?;
        Ok(state.capacity_bytes.saturating_sub(state.used_bytes))
    }

    fn total_bytes(&self, _dir: &Path) -> io::Result<u64> {
        let state = self.state.lock();
        state.check_power()?;
        Ok(state.capacity_bytes)
    }
}

struct SimLock {
    state: Arc<Mutex<State>>,
    path: PathBuf,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.state.lock().locks.remove(&self.path);
    }
}

struct SimFile {
    state: Arc<Mutex<State>>,
    id: NodeId,
}

impl DiskFile for SimFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin_op()?;
        let end = state.tree.file(self.id).bytes().len() as u64;
        state.write(self.id, end, bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin_op()?;
        state.write(self.id, offset, bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let state = self.state.lock();
        state.check_power()?;
        let bytes = state.tree.file(self.id).bytes();
        let rest = bytes.get(offset as usize..).unwrap_or(&[]);
        let n = rest.len().min(buffer.len());
        buffer[..n].copy_from_slice(&rest[..n]);
        Ok(n)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin_op()?;
        state.tree.file_mut(self.id).sync();
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let state = self.state.lock();
        state.check_power()?;
        Ok(state.tree.file(self.id).bytes().len() as u64)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin_op()?;
        state.set_len(self.id, len)
    }

    fn reserve(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        state.begin_op()?;
        let now = state.tree.file(self.id).bytes().len() as u64;
        state.set_len(self.id, len.max(now))
    }
}
