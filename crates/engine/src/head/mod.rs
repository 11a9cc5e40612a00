//! The hot tier: every series that has recent samples, its open and its sealed chunks, all in memory.

mod catalog;
mod late;
mod recent;
mod run;
mod series;
mod view;

pub(crate) use catalog::{Catalog, CatalogState};
pub(crate) use run::Run;
pub(crate) use series::{Appended, Frozen, MemSeries};
pub(crate) use view::{HeadView, TURN_SERIES};
