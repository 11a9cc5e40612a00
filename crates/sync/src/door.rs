//! The names of std's synchronisation types, or of loom's under `cfg(mytsdb_loom)`.
//!
//! Only names that both have, with the same meaning, are listed. Code that needs more cannot be modelled and should say so.

#[cfg(mytsdb_loom)]
pub use loom::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock};
#[cfg(not(mytsdb_loom))]
pub use std::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock};

/// Atomic integers, pointers and fences.
pub mod atomic {
    #[cfg(mytsdb_loom)]
    pub use loom::sync::atomic::{
        AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
    };
    #[cfg(not(mytsdb_loom))]
    pub use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
}

/// Threads: starting, parking, yielding.
pub mod thread {
    #[cfg(mytsdb_loom)]
    pub use loom::thread::{Builder, JoinHandle, Thread, current, park, spawn, yield_now};
    #[cfg(not(mytsdb_loom))]
    pub use std::thread::{Builder, JoinHandle, Thread, current, park, spawn, yield_now};
}

/// Spin-loop hints.
pub mod hint {
    #[cfg(mytsdb_loom)]
    pub use loom::hint::spin_loop;
    #[cfg(not(mytsdb_loom))]
    pub use std::hint::spin_loop;
}

/// Interior mutability whose every access loom can see.
pub mod cell {
    #[cfg(mytsdb_loom)]
    pub use loom::cell::UnsafeCell;

    /// [`std::cell::UnsafeCell`] behind loom's closure-shaped interface; costs nothing.
    #[cfg(not(mytsdb_loom))]
    #[derive(Debug, Default)]
    pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    #[cfg(not(mytsdb_loom))]
    impl<T> UnsafeCell<T> {
        /// Wraps `value`.
        pub const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        /// Calls `read` with a pointer to the value; the caller answers for there being no writer meanwhile.
        #[inline]
        pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        /// Calls `write` with a pointer to the value; the caller answers for there being no other access meanwhile.
        #[inline]
        pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }

        /// The value itself.
        #[inline]
        pub fn into_inner(self) -> T {
            self.0.into_inner()
        }
    }
}
