//! Merges and scrubs of blocks, as others may ask for them.

use super::Engine;
use crate::blocks::Wanted;
use crate::source::SourceId;
use crate::{CompactionDone, EngineError, Scrubbed};
use mytsdb_stop::StopSign;

impl Engine {
    /// Merges some blocks, if that is worth it now; `None` if not. To be called again until it is.
    ///
    /// Runs beside everything else, for as long as some 30 ns a sample take; `stop` ends it within about a millisecond, but
    /// for the verification of what has been written. `pace` hears how many bytes have been written since it was last asked, and
    /// may wait. Without room on the disk nothing is merged.
    ///
    /// # Errors
    /// [`EngineError::Block`] or [`EngineError::Io`]: blocks are as they were, and those that are damaged are not tried
    /// again before the next start. [`EngineError::Canceled`].
    pub fn compact(
        &self,
        stop: StopSign<'_>,
        pace: &mut dyn FnMut(u64),
    ) -> Result<Option<CompactionDone>, EngineError> {
        self.merge(Wanted::All, stop, pace)
    }

    /// Merges some of the blocks that are wanted.
    ///
    /// # Errors
    /// As [`compact`](Engine::compact).
    pub(super) fn merge(
        &self,
        wanted: Wanted,
        stop: StopSign<'_>,
        pace: &mut dyn FnMut(u64),
    ) -> Result<Option<CompactionDone>, EngineError> {
        let merged = self.blocks.compact(wanted, self.head.flushed_until_ms(), stop, pace)?;
        let Some(merged) = merged else { return Ok(None) };
        merged.gone.iter().for_each(|id| self.reader.forget(SourceId::Block(*id)));
        Ok(Some(merged.done))
    }

    /// Reads all blocks and finds what is damaged of them, before a query does. A damaged chunk is left out of answers from then on, a
    /// block of which another part is damaged is moved to `quarantine/`; [`warnings`](Engine::warnings) tells both.
    ///
    /// Runs beside everything else. `pace` hears how many bytes have been read since it was last asked, and may wait.
    ///
    /// # Errors
    /// [`EngineError::Canceled`]; [`EngineError::Io`] or [`EngineError::Block`] if the disk refuses.
    pub fn scrub(&self, stop: StopSign<'_>, pace: &mut dyn FnMut(u64)) -> Result<Scrubbed, EngineError> {
        self.blocks.scrub(stop, pace, |id| self.reader.forget(SourceId::Block(id)))
    }
}
