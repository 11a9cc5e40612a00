//! Settings: one table of them, and everything that is made from it.

mod closest;
mod command_line;
mod config;
mod file;
#[cfg(test)]
mod page;
mod row;
mod sources;
mod table;
mod value;

pub(crate) use command_line::{arguments, command};
pub(crate) use config::load;
pub(crate) use table::Config;
pub(crate) use value::{Feature, LogFormat};
