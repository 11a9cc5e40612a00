//! Series of a downsampled day that were found, and their buckets, which are read some series at a time.

use crate::series::{Listed, hidden};
use crate::source::DayFiles;
use mytsdb_blocks::Tombstone;
use mytsdb_columns::{Columns, Mark};
use mytsdb_downsample::Buckets;
use mytsdb_engine::{EngineError, SourceSeries};
use mytsdb_model::{Labels, TimeRange};
use mytsdb_parquet_tier::{DayReader, TierError};
use mytsdb_stop::StopSign;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Groups that a selection holds: threads of a query are at different places.
const GROUPS_HELD: usize = 3;

/// The buckets of a group that were read, by place in it. Who wants what is being read waits for it.
type Slot = Arc<OnceCell<Vec<Buckets>>>;

/// The series, readable.
pub(crate) struct CoarseSeries {
    files: Arc<DayFiles>,
    deletions: Arc<[Tombstone]>,
    list: Arc<Listed>,
    held: Mutex<VecDeque<(usize, Slot)>>,
}

impl CoarseSeries {
    pub fn new(files: Arc<DayFiles>, deletions: Arc<[Tombstone]>, list: Arc<Listed>) -> Self {
        Self { files, deletions, list, held: Mutex::default() }
    }

    /// A group, and whether it is new here.
    fn slot(&self, group: usize) -> (Slot, bool) {
        let mut held = self.held.lock();
        if let Some((_, slot)) = held.iter().find(|(number, _)| *number == group) {
            return (slot.clone(), false);
        }
        if held.len() >= GROUPS_HELD {
            held.pop_front();
        }
        let slot = Slot::default();
        held.push_back((group, slot.clone()));
        (slot, true)
    }

    /// Calls `use_it` with all buckets of a series.
    fn with<R>(&self, place: u32, use_it: impl FnOnce(&Buckets) -> R) -> Result<R, EngineError> {
        let group = self.list.group_of(place);
        let at = place as usize - self.list.group(group).start;
        let (slot, _) = self.slot(group);
        if slot.get().is_none() {
            let (list, slot) = (self.list.clone(), slot.clone());
            self.files.read(StopSign::NEVER, move |reader| async move { fetch(&reader, &list, group, &slot).await })?;
        }
        let all = slot.get().expect("it was read, or that failed");
        Ok(use_it(&all[at]))
    }
}

/// Reads the buckets of a group, unless somebody has.
async fn fetch(reader: &DayReader, list: &Listed, group: usize, slot: &Slot) -> Result<(), TierError> {
    slot.get_or_try_init(|| reader.read_buckets(&list.series()[list.group(group)])).await.map(drop)
}

impl SourceSeries for CoarseSeries {
    fn len(&self) -> usize {
        self.list.series().len()
    }

    fn by_labels(&self, _: StopSign<'_>) -> Result<Option<&Arc<Vec<u32>>>, EngineError> {
        Ok(self.list.order())
    }

    fn labels(&self, place: u32, _: [u32; 2]) -> &Labels {
        self.list.series()[place as usize].labels()
    }

    fn has(&self, place: u32, range: TimeRange) -> Result<bool, EngineError> {
        let series = &self.list.series()[place as usize];
        if !series.range().overlaps(range) {
            return Ok(false);
        }
        if hidden(&self.deletions, series.labels()).is_empty() {
            return Ok(true);
        }
        let mut buckets = Buckets::default();
        self.read_buckets(place, range, &mut buckets)?;
        Ok(!buckets.is_empty())
    }

    fn read(&self, place: u32, _: u32, range: TimeRange, out: &mut Columns, from: Mark) -> Result<bool, EngineError> {
        let mut buckets = Buckets::default();
        self.read_buckets(place, range, &mut buckets)?;
        let at = out.mark();
        buckets.append_lasts(out);
        Ok(out.continues_at(at, from))
    }

    fn begin_buckets(&self, place: u32) {
        let group = self.list.group_of(place);
        let (slot, true) = self.slot(group) else { return };
        let (files, list) = (self.files.clone(), self.list.clone());
        self.files.remote().spawn(async move {
            let remote = files.remote();
            let _turn = remote.eager_turn().await;
            if let Ok(reader) = remote.clone().reader(files.live.clone()).await {
                // What fails is tried again by who waits for it, and told there.
                drop(fetch(&reader, &list, group, &slot).await);
            }
        });
    }

    fn read_buckets(&self, place: u32, range: TimeRange, out: &mut Buckets) -> Result<(), EngineError> {
        let series = &self.list.series()[place as usize];
        if !series.range().overlaps(range) {
            return Ok(());
        }
        let hidden = hidden(&self.deletions, series.labels());
        self.with(place, |buckets| {
            let places = buckets.places_in(range);
            if hidden.is_empty() {
                out.extend_from(buckets, places);
                return;
            }
            let mut part = Buckets::default();
            part.extend_from(buckets, places);
            part.hide(&hidden);
            out.extend_from(&part, 0..part.len());
        })
    }
}
