//! The traits: what a disk and an open file can do, and what each call promises about a power cut.

use crate::Mapped;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The operations of a file system that a database needs. Paths are full paths.
///
/// Promises about a power cut: file bytes are durable after [`DiskFile::sync_data`], names (create,
/// rename, remove) after [`sync_dir`](Disk::sync_dir) of their directory. What is not synced may be there
/// afterwards, wholly, partly or not at all, in any order; a rename is atomic.
pub trait Disk: Send + Sync {
    /// Creates a file for reading and writing, or truncates it to nothing if it exists.
    ///
    /// # Errors
    /// Whatever the file system answers; `NotFound` if the directory does not exist.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// `NotFound` if there is no such file, or whatever the file system answers.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// The bytes of a file that is published and never changed again.
    ///
    /// Costs a system call on [`RealDisk`](crate::RealDisk) (pages are read when touched), a copy on
    /// [`SimDisk`](crate::SimDisk). The file may be removed or renamed while the map lives.
    ///
    /// # Errors
    /// `NotFound` if there is no such file, or whatever the file system answers.
    fn map(&self, path: &Path) -> io::Result<Mapped>;

    /// Moves a file or directory, replacing a file of that name. Atomic; durable after `sync_dir`.
    ///
    /// # Errors
    /// `NotFound` if `from` does not exist, or whatever the file system answers.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file or an empty directory. Durable after `sync_dir`.
    ///
    /// # Errors
    /// `NotFound` if it does not exist, or whatever the file system answers.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in `dir` durable.
    ///
    /// # Errors
    /// Whatever the file system answers.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// The names in `dir`, files and directories, sorted bytewise. Names that are not UTF-8 are left out.
    ///
    /// # Errors
    /// `NotFound` if there is no such directory, or whatever the file system answers.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Creates `dir` and its missing parents. What was created is durable on return.
    ///
    /// # Errors
    /// Whatever the file system answers.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Whether a file or directory of this name exists.
    ///
    /// # Errors
    /// Whatever the file system answers, other than that it does not exist.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Takes the lock file at `path` for this process, creating it if needed, and writes the process id into it.
    ///
    /// # Errors
    /// `WouldBlock`, naming the holder, if it is taken; else whatever the file system answers.
    fn lock(&self, path: &Path) -> io::Result<DiskLock>;

    /// Bytes that may still be written to the file system that holds `dir`.
    ///
    /// # Errors
    /// Whatever the file system answers.
    fn free_bytes(&self, dir: &Path) -> io::Result<u64>;

    /// Bytes that the file system that holds `dir` can hold in all.
    ///
    /// # Errors
    /// Whatever the file system answers.
    fn total_bytes(&self, dir: &Path) -> io::Result<u64>;
}

/// An open file. One handle writes; any number may read.
pub trait DiskFile: Send + Sync {
    /// Writes all of `bytes` behind the end of the file, in one system call where the system allows.
    ///
    /// # Errors
    /// Whatever the file system answers. Some of the bytes may then be in the file.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`; a gap behind the end reads as zeros.
    ///
    /// # Errors
    /// Whatever the file system answers. Some of the bytes may then be in the file.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reads at `offset` until `buffer` is full or the file ends; returns the bytes read.
    ///
    /// # Errors
    /// Whatever the file system answers.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Makes bytes and length durable (`fdatasync`).
    ///
    /// # Errors
    /// Whatever the file system answers. After an error the unsynced bytes are in an unknown state for
    /// good: a second call may return `Ok` without having written them, so never retry.
    fn sync_data(&mut self) -> io::Result<()>;

    /// The length in bytes.
    ///
    /// # Errors
    /// Whatever the file system answers.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// Whatever the file system answers.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Sets the length; growing fills with zeros. Durable after `sync_data`.
    ///
    /// # Errors
    /// Whatever the file system answers.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// Grows to a length, with room on the disk for all of it; what is new reads as zeros. Durable after `sync_data`.
    ///
    /// # Errors
    /// Whatever the file system answers: that there is no room, or that it cannot set any aside.
    fn reserve(&mut self, len: u64) -> io::Result<()>;
}

/// Holds a lock file until dropped.
pub struct DiskLock {
    _guard: Box<dyn Send + Sync>,
}

impl DiskLock {
    pub(crate) fn new(guard: impl Send + Sync + 'static) -> Self {
        Self { _guard: Box::new(guard) }
    }
}

impl std::fmt::Debug for DiskLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DiskLock")
    }
}

impl<D: Disk + ?Sized> Disk for Arc<D> {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        (**self).create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        (**self).open(path)
    }
    fn map(&self, path: &Path) -> io::Result<Mapped> {
        (**self).map(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        (**self).rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        (**self).remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        (**self).sync_dir(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        (**self).list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        (**self).create_dir_all(dir)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        (**self).exists(path)
    }
    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        (**self).lock(path)
    }
    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        (**self).free_bytes(dir)
    }
    fn total_bytes(&self, dir: &Path) -> io::Result<u64> {
        (**self).total_bytes(dir)
    }
}
