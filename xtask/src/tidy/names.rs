//! The rule about public names: a crate that others build on shows few of them, all in its `lib.rs`.

use super::{File, Finding};

/// Crates whose public names are counted, and how many they may have. A number here may only fall.
const NAMES_MAX: [(&str, usize); 2] = [("crates/promql/src/lib.rs", 45), ("crates/promql-syntax/src/lib.rs", 50)];

/// What begins an item that others can see.
const ITEMS: [&str; 8] =
    ["pub fn ", "pub struct ", "pub enum ", "pub trait ", "pub type ", "pub const ", "pub static ", "pub mod "];

pub(super) fn public_names(file: &File) -> Vec<Finding> {
    let Some((_, most)) = NAMES_MAX.iter().find(|(path, _)| *path == file.path) else { return Vec::new() };
    let text = str::from_utf8(&file.bytes).unwrap_or_default();
    let finding = |what| Finding { path: file.path.clone(), line: 0, what, fix: "hide what nobody needs" };
    if text.contains("\npub mod ") || text.contains("::*") {
        return vec![finding("a public module or a `*`, whose names cannot be counted here".to_owned())];
    }
    let count = re_exported(text) + ITEMS.iter().map(|item| text.matches(&format!("\n{item}")).count()).sum::<usize>();
    if count > *most {
        return vec![finding(format!("{count} public names, of which there may be {most}"))];
    }
    Vec::new()
}

/// How many names stand in `pub use` statements.
fn re_exported(text: &str) -> usize {
    let statements = text.split("\npub use ").skip(1);
    let names = statements.filter_map(|rest| rest.split(';').next()).map(|statement| match statement.split_once('{') {
        Some((_, list)) => {
            list.trim_end_matches(['}', '\n', ' ']).split(',').filter(|name| !name.trim().is_empty()).count()
        }
        None => 1,
    });
    names.sum()
}
