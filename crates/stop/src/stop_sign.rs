//! The sign itself: a question that long work asks.

use crate::Looks;

/// Whoever asked does not want the answer any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("canceled")]
pub struct Canceled;

/// A question that long work asks again and again: shall I go on?
#[derive(Clone, Copy)]
pub struct StopSign<'a> {
    keep_going: &'a (dyn Fn() -> bool + Sync),
}

impl StopSign<'static> {
    /// Work that nobody stops.
    pub const NEVER: StopSign<'static> = StopSign { keep_going: &|| true };
}

impl<'a> StopSign<'a> {
    /// Work goes on for as long as `keep_going` says so; it is called every millisecond or so.
    pub fn new(keep_going: &'a (dyn Fn() -> bool + Sync)) -> Self {
        Self { keep_going }
    }

    /// Asks now.
    ///
    /// # Errors
    /// [`Canceled`] if the work is to stop.
    pub fn check(self) -> Result<(), Canceled> {
        if (self.keep_going)() { Ok(()) } else { Err(Canceled) }
    }

    /// Asks after every so many steps of work, the first time at the first step.
    pub fn looks(self) -> Looks<'a> {
        Looks::new(self)
    }
}

impl std::fmt::Debug for StopSign<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StopSign").finish_non_exhaustive()
    }
}
