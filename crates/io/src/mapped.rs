//! The bytes of an immutable file, mapped or in memory.

use std::ops::Deref;
use std::sync::Arc;

/// The bytes of an immutable file. A clone costs one reference count; the bytes live until the last clone goes.
#[derive(Clone)]
pub struct Mapped(Inner);

#[derive(Clone)]
enum Inner {
    Map(Arc<memmap2::Mmap>),
    Bytes(Arc<[u8]>),
}

impl Mapped {
    pub(crate) fn from_map(map: memmap2::Mmap) -> Self {
        Self(Inner::Map(Arc::new(map)))
    }
}

impl From<Vec<u8>> for Mapped {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Inner::Bytes(Arc::from(bytes)))
    }
}

impl Deref for Mapped {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Inner::Map(map) => map,
            Inner::Bytes(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for Mapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mapped({} bytes)", self.len())
    }
}
