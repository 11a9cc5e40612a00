//! The operations on a block of 128 integers, with the fastest instructions that this CPU has.
//!
//! - `unpack`: bit-packed entries to integers, plus a base;
//! - `expand`: stored entries to the places that a bitmap marks, zero elsewhere;
//! - `sum`: running sum;
//! - `line`: adds `start + i * step`;
//! - `quotients`: the bits of `f64(x) / divisor`.
//!
//! Every kernel is bit-equal to `scalar`, the reference. Kernels take buffers of fixed size and slices, never pointers:
//! damaged input can give wrong numbers, which the callers check for, but no access out of bounds. `unsafe` is in this folder
//! alone: the calls below, which need a CPU that has the instructions, and loads and stores through references.
#![expect(clippy::inline_always, reason = "compiled anew for each instruction set, which only inlined code is")]

mod scalar;
mod tables;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(test)]
mod tests;

use super::BLOCK_SAMPLES;
use std::sync::OnceLock;

/// Integers of one block, with room for whole vectors.
#[derive(Clone)]
#[repr(align(64))]
pub(super) struct Lanes(pub(super) [i64; BLOCK_SAMPLES]);

/// An instruction set.
///
/// Invariant K: a value other than `Scalar` exists only if this CPU has the instructions; `Kernel::available` makes
/// them, nothing else does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kernel {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

/// Work that profits from being compiled for the instructions at hand; see [`Kernel::run`].
pub(super) trait Work {
    type Output;
    /// To be marked `#[inline(always)]`, with all that it calls: only what is inlined is compiled anew.
    fn run(self) -> Self::Output;
}

/// Calls the kernel of that name in the module of the instruction set.
macro_rules! dispatch {
    ($kernel:expr, $name:ident($($argument:expr),*)) => {
        match $kernel {
            Kernel::Scalar => scalar::$name($($argument),*),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: Invariant K.
            Kernel::Avx2 => unsafe { avx2::$name($($argument),*) },
        }
    };
}

impl Kernel {
    /// The kernels of this CPU, the slowest first.
    pub(super) fn available() -> Vec<Self> {
        let mut kernels = vec![Self::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            let has_avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt");
            if has_avx2 {
                kernels.push(Self::Avx2);
            }
        }
        kernels
    }

    /// The fastest of them; looked up once.
    #[inline]
    pub(super) fn best() -> Self {
        static BEST: OnceLock<Kernel> = OnceLock::new();
        *BEST.get_or_init(|| Self::available().pop().unwrap_or(Self::Scalar))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => "avx2",
        }
    }

    /// Entry j becomes bits `j * width ..` of `packed`, plus `base`, for all j < `count` at least; entries up to the next
    /// multiple of 8 may be written with anything.
    ///
    /// Invariant W: `width` is at most 57, or 64; `count` is at most 128; `packed` holds `count * width` bits or more.
    #[inline]
    pub(super) fn unpack(self, packed: &[u8], width: u32, count: usize, base: i64, out: &mut Lanes) {
        assert!(width <= 57 || width == 64);
        assert!(count <= BLOCK_SAMPLES && packed.len() * 8 >= count * width as usize);
        dispatch!(self, unpack(packed, width, count, base, out));
    }

    /// Writes `stored[0]`, `stored[1]`, .. to the places of the set bits of `bitmap`, at most 16 bytes, and 0 to those of
    /// the others.
    #[inline]
    pub(super) fn expand(self, bitmap: &[u8], stored: &Lanes, out: &mut Lanes) {
        assert!(bitmap.len() <= BLOCK_SAMPLES / 8);
        dispatch!(self, expand(bitmap, stored, out));
    }

    /// Replaces the first `count` integers, rounded up to a multiple of 8, by `start` plus the sum up to and including them.
    #[inline]
    pub(super) fn sum(self, start: i64, count: usize, lanes: &mut Lanes) {
        assert!(count <= BLOCK_SAMPLES);
        dispatch!(self, sum(start, count, lanes));
    }

    /// Adds `start + i * step` to integer i.
    #[inline]
    pub(super) fn line(self, start: i64, step: i64, lanes: &mut Lanes) {
        dispatch!(self, line(start, step, lanes));
    }

    /// Replaces the first `count` integers, rounded up to a multiple of 8, by the bits of `f64(integer) / divisor`.
    ///
    /// In place, since a second buffer would cost as much to clear as the conversion.
    #[inline]
    pub(super) fn quotients(self, count: usize, divisor: f64, lanes: &mut Lanes) {
        assert!(count <= BLOCK_SAMPLES);
        dispatch!(self, quotients(count, divisor, lanes));
    }

    /// Whether the integers ascend strictly.
    #[inline]
    pub(super) fn ascends(self, integers: &[i64]) -> bool {
        self.run(Ascends(integers))
    }

    /// Runs the work, compiled for these instructions.
    #[inline]
    pub(super) fn run<W: Work>(self, work: W) -> W::Output {
        match self {
            Self::Scalar => work.run(),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: Invariant K.
            Self::Avx2 => unsafe { avx2::run(work) },
        }
    }
}

struct Ascends<'a>(&'a [i64]);

impl Work for Ascends<'_> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        // The loop has no early exit, so that the compiler can compare many pairs at once.
        let later = self.0.get(1..).unwrap_or_default();
        self.0.iter().zip(later).fold(0, |steps_back, (a, b)| steps_back | u8::from(a >= b)) == 0
    }
}
