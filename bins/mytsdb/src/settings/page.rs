//! The page of settings, `docs/settings.md`, written from the table; the test fails when the page is stale.

use super::row::Row;
use super::table::ROWS;
use std::fmt::Write;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md");

const HEAD: &str = "\
# Settings

`cargo xtask docs` writes this page from the table in `bins/mytsdb/src/settings/table.rs`.

The command line wins over the environment, that over the file, that over the default. `--config FILE`, or
`MYTSDB_CONFIG`, names the file, which is YAML. Durations are written as 15d, 1h30m or 500ms, sizes in bytes.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut heading = "";
    for row in ROWS {
        if row.heading != heading {
            heading = row.heading;
            write!(page, "\n## {heading}\n").unwrap();
        }
        entry(&mut page, row);
    }
    page
}

fn entry(page: &mut String, row: &Row) {
    write!(page, "\n### `{} {}`\n\n{}.\n\n", row.flag(), row.value, row.help()).unwrap();
    for choice in row.choices {
        writeln!(page, "- `{}`: {}", choice.name, choice.help).unwrap();
    }
    let variable = row.variable().map_or_else(|| "none".to_owned(), |name| format!("`{name}`"));
    writeln!(page, "- environment: {variable}; file: `{}`", row.key).unwrap();
    if !row.formerly.is_empty() {
        writeln!(page, "- formerly `--{}`, which is still taken", row.formerly.replace('_', "-")).unwrap();
    }
    let because = if row.because.is_empty() { String::new() } else { format!(", {}", row.because) };
    for (word, bound) in [("at least", row.least), ("at most", row.most)].iter().filter(|(_, bound)| !bound.is_empty())
    {
        writeln!(page, "- {word} {bound}{because}").unwrap();
    }
    writeln!(page, "- default: {}", row.default_told().unwrap_or("none")).unwrap();
    writeln!(page, "- a change is taken up {}", if row.reloaded { "at once" } else { "at the next start" }).unwrap();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a page of the documentation, not stored data")]
fn the_page_of_settings_is_the_table() {
    if std::env::var_os("MYTSDB_UPDATE").is_some() {
        std::fs::write(PAGE, page()).unwrap();
    }
    let found = std::fs::read_to_string(PAGE).unwrap_or_default();
    assert!(found == page(), "docs/settings.md is stale; `cargo xtask docs` writes it anew");
}
