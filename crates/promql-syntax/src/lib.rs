//! The syntax of PromQL: text to tree, tree to text, and what each function is.
//!
//! The crate sees no samples: it tells what a query says, not what it answers. Time is linear in the length of the text,
//! which [`TextLimits`] bound; trees are at most [`DEPTH_MAX`] levels high.
#![forbid(unsafe_code)]

mod ast;
mod chain;
mod error;
mod functions;
mod lexer;
mod literal;
mod number_text;
mod parser;
mod pos;
mod prettify;
mod printer;
mod token;
mod visit;

pub use ast::{
    AggregateExpr, AggregateOp, AtBound, BinaryExpr, BinaryOp, Call, Cardinality, DurationExpr, DurationOp,
    DurationOperation, Expr, MatrixSelector, NumberLiteral, ParenExpr, StringLiteral, SubqueryExpr, UnaryExpr,
    ValueType, VectorMatching, VectorSelector,
};
pub use error::ParseError;
pub use functions::{BucketUse, Function, FunctionRow, LabelUse, SampleUse, StepUse};
pub use literal::{format_duration_ms, parse_duration_ms, parse_number};
pub use number_text::{format_fixed, format_general, format_open_metrics};
pub use parser::{
    DEPTH_MAX, ParseOptions, QUERY_BYTES_MAX, TextLimits, parse, parse_metric, parse_selector, parse_with,
};
pub use pos::{LineColumn, PosRange};
pub use prettify::{prettify, prettify_to};
pub use printer::label_name;
pub use token::quote;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
