//! PromQL: syntax tree to answer. The tree comes from `mytsdb-promql-syntax`.
//!
//! The crate sees samples only through [`Storage`]; it knows nothing of files, HTTP or threads' runtimes. Evaluation is
//! series-major: the samples of one series become one row of steps, and aggregations fold rows as they come.
//!
//! ```
//! use mytsdb_promql::{Cancel, QueryOptions, QueryValue, range};
//! use mytsdb_promql_testkit::TestStorage;
//! use mytsdb_promql_syntax::parse;
//!
//! let mut storage = TestStorage::new();
//! storage.load("load 15s\n http_requests_total{job=\"api\"} 0+30x40", 0)?;
//! let expr = parse("sum by (job) (rate(http_requests_total[5m]))")?;
//! let result = range(&storage, &expr, 300_000, 600_000, 60_000, &QueryOptions::default(), &Cancel::new())?;
//! let QueryValue::Matrix(series) = result.value else { panic!("a range query gives a matrix") };
//! assert_eq!(series[0].labels.to_string(), r#"{job="api"}"#);
//! assert!(series[0].values.iter().all(|rate| (rate - 2.0).abs() < 1e-9));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod annotations;
mod budget;
mod error;
mod exec;
mod kernels;
mod names;
mod operators;
mod options;
mod plan;
mod query;
mod result_cache;
mod rows;
mod storage;
mod value;
mod worker_pool;

pub use annotations::{Annotation, Annotations};
pub use budget::{MemoryBudget, MemoryHold};
pub use error::{EvalError, StorageError};
pub use options::{Cancel, Optimisations, QueryOptions};
pub use plan::{Plan, PlanNode};
pub use query::{explain, instant, range, range_into};
pub use result_cache::{ResultCache, ResultCacheLevel};
pub use storage::{DownsampledSet, Finding, LabelStorage, ReadStamp, SelectHints, SeriesSet, Storage};
pub use value::{
    QueryResult, QueryStats, QueryValue, ResultUse, SampleValue, Series, SeriesSink, SeriesView, Summary, VectorSample,
};
pub use worker_pool::WorkerPool;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
