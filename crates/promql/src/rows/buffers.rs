//! Memory of the kernels over columns.

use crate::kernels::columns::KnownFactor;
use crate::kernels::tables::TableWindow;
use mytsdb_downsample::Buckets;

/// Memory of the kernels over columns, reused from row to row.
#[derive(Debug, Default)]
pub(crate) struct KernelBuffers {
    pub indexes: Vec<u32>,
    pub numbers: Vec<f64>,
    pub prefix: Vec<(f64, f64)>,
    pub known_factor: KnownFactor,
    pub table_windows: Vec<TableWindow>,
    pub downsampled: Buckets,
}
