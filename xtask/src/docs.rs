//! `cargo xtask docs`: writes the pages anew that are made from code.

use crate::workspace::{cargo_with, succeed};

/// The tests that compare a page with its table: where they are, and their names.
const TESTS: [(&[&str], &str); 2] = [
    (&["--package", "mytsdb", "--bin", "mytsdb"], "settings::page::the_page_of_settings_is_the_table"),
    (&["--package", "mytsdb-promql-syntax", "--lib"], "functions::page::the_page_of_functions_is_the_table"),
];

/// Runs the tests so that they write their pages instead.
///
/// # Errors
///
/// If a crate does not compile, or a page cannot be written.
pub(crate) fn run() -> anyhow::Result<()> {
    for (place, test) in TESTS {
        let arguments = [&["test"], place, &["--", "--exact", test]].concat();
        succeed(cargo_with(&arguments).env("MYTSDB_UPDATE", "1"))?;
    }
    Ok(())
}
