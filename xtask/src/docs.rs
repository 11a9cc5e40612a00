//! `cargo xtask docs`: writes the pages anew that are made from code.

use crate::workspace::{cargo_with, succeed};

/// Runs the test that compares the page of settings with the table, so that it writes the page instead.
///
/// # Errors
///
/// If the server does not compile, or the page cannot be written.
pub(crate) fn run() -> anyhow::Result<()> {
    let test = "settings::page::the_page_of_settings_is_the_table";
    let mut command = cargo_with(&["test", "--package", "mytsdb", "--bin", "mytsdb", "--", "--exact", test]);
    succeed(command.env("MYTSDB_UPDATE", "1"))
}
