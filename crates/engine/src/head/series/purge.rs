//! Cutting samples out of a series: what is deleted must not be there, to be read or to be in conflict with.

use super::{MemSeries, State};
use crate::head::chunk::{SealedChunk, Sealer};
use crate::head::late::Late;
use crate::value::Value;
use mytsdb_blocks::keep;
use mytsdb_codec::CodecError;
use mytsdb_columns::Columns;
use mytsdb_model::{Sample, TimeRange};

impl MemSeries {
    /// Forgets the samples in a range. After an error all of them are still there.
    pub(crate) fn delete(&self, range: TimeRange, sealer: &mut Sealer) -> Result<(), CodecError> {
        let mut state = self.state.lock();
        let forgets_newest = state.newest.is_some_and(|newest| range.contains(newest.timestamp_ms));
        if !forgets_newest && !state.range().overlaps(range) {
            return Ok(());
        }
        if state.open.range().overlaps(range) {
            state.seal_open(sealer)?;
        }
        if state.more.as_ref().is_some_and(|more| more.histograms().overlaps(range)) {
            state.seal_runs(sealer)?;
        }
        if let Some(late) = &mut state.late {
            late.seal_all(sealer)?;
        }
        let sealed = without(&state.sealed, range, sealer)?;
        let late = state.late.as_ref().map(|late| without(late.all_sealed(), range, sealer)).transpose()?;
        let late = late.filter(|chunks| !chunks.is_empty()).map(Late::of).transpose()?;
        state.sealed = sealed;
        state.late = late.map(Box::new);
        if forgets_newest {
            state.find_newest()?;
        }
        Ok(())
    }
}

impl State {
    /// Finds out what is the newest sample now. A time after it is in no chunk, late ones included.
    fn find_newest(&mut self) -> Result<(), CodecError> {
        self.newest = None;
        let range = self.range();
        if range.is_empty() {
            return Ok(());
        }
        let timestamp_ms = range.maxt;
        let is_float = match self.get(timestamp_ms)? {
            Some(Value::Float(value)) => {
                self.newest = Some(Sample { timestamp_ms, value });
                true
            }
            Some(Value::Encoded(_) | Value::Histogram(_)) | None => {
                self.newest = Some(Sample { timestamp_ms, value: f64::NAN });
                false
            }
        };
        if !is_float || self.more.is_some() {
            self.more.get_or_insert_default().newest_is_histogram = !is_float;
        }
        Ok(())
    }
}

/// Chunks with the samples outside a range, in the order of those that are given.
fn without(chunks: &[SealedChunk], range: TimeRange, sealer: &mut Sealer) -> Result<Vec<SealedChunk>, CodecError> {
    let mut left = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        if !chunk.range.overlaps(range) {
            left.push(chunk.clone());
        } else if !range.encloses(chunk.range) {
            let (mut columns, mut kept) = (Columns::default(), Columns::default());
            chunk.decode(&mut columns)?;
            keep(&columns, TimeRange::ALL, &mut [range], &mut kept);
            left.extend(sealer.seal(&kept, usize::MAX)?);
        }
    }
    Ok(left)
}
