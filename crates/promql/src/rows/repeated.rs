//! Rows that were evaluated once, for several nodes or for all steps.

use super::context::{Context, Scratch};
use super::vector::{Rows, Vector};
use crate::error::EvalError;
use crate::kernels::cells::{Cells, Row};
use mytsdb_model::Labels;
use std::sync::Arc;

/// Rows in memory that several nodes have.
pub(crate) struct SharedRows(pub Arc<Vec<Row>>);

impl Rows for SharedRows {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn steps(&self) -> usize {
        self.0.first().map_or(0, |row| row.cells.len())
    }

    fn height(&self) -> usize {
        1
    }

    fn labels(&self, index: usize) -> &Labels {
        &self.0[index].labels
    }

    fn drop_name(&self, index: usize) -> bool {
        self.0[index].drop_name
    }

    fn read(&self, index: usize, _scratch: &mut Scratch<'_>, out: &mut Cells) -> Result<(), EvalError> {
        out.copy_from(&self.0[index].cells);
        Ok(())
    }
}

/// Rows of one step, repeated.
pub(crate) struct Repeated<'a> {
    pub inner: Vector<'a>,
    pub count: usize,
}

impl Rows for Repeated<'_> {
    fn give_back(self: Box<Self>, context: &Context<'_>) -> Result<(), EvalError> {
        self.inner.give_back(context)
    }

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn steps(&self) -> usize {
        self.count
    }

    fn height(&self) -> usize {
        1 + self.inner.height()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.inner.source_labels(index)
    }

    fn nameless(&self) -> bool {
        self.inner.nameless()
    }

    fn same_schema(&self) -> bool {
        self.inner.same_schema()
    }

    fn drop_name(&self, index: usize) -> bool {
        self.inner.drop_name(index)
    }

    fn read(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut Cells) -> Result<(), EvalError> {
        self.inner.read(index, scratch, out)?;
        out.broadcast(self.count);
        Ok(())
    }
}
