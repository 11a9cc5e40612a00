//! Every rule finds what it is for, and leaves alone what it is not.

use super::{File, read_files, rules};

fn file(path: &str, content: impl AsRef<[u8]>) -> File {
    File { path: path.to_owned(), bytes: content.as_ref().to_vec() }
}

/// What is found in one file beside a licence: `line: what`, up to the first comma.
#[track_caller]
fn check(path: &str, content: impl AsRef<[u8]>, expected: &[&str]) {
    let findings = rules::check(&[file("LICENSE", "text"), file(path, content)]);
    let found: Vec<String> = findings
        .iter()
        .map(|finding| format!("{}: {}", finding.line, finding.what.split(',').next().unwrap_or_default()))
        .collect();
    assert_eq!(found, expected);
    assert!(findings.iter().all(|finding| !finding.fix.is_empty()));
}

fn lines(header: &str, count: usize) -> String {
    format!("{header}\n{}", "let x = 1;\n".repeat(count - 1))
}

#[test]
fn a_source_file_begins_with_a_sentence_about_itself() {
    check("a.rs", "//! What it holds.\n", &[]);
    check("a.rs", "use std::fmt;\n", &["1: the first line is no `//!` sentence"]);
    check("a.rs", "//!\n", &["1: the first line is no `//!` sentence"]);
    check("a.rs", "", &["1: the first line is no `//!` sentence"]);
    check("a.md", "# No source\n", &[]);
}

#[test]
fn unfinished_work_is_found_as_a_word_only() {
    check("a.md", concat!("one\nTO", "DO: two\n"), &[concat!("2: TO", "DO in the tree")]);
    check("a.rs", concat!("//! A.\n// FIX", "ME(me)\n"), &[concat!("2: FIX", "ME in the tree")]);
    check("a.toml", concat!("# X", "XX\n"), &[concat!("1: X", "XX in the tree")]);
    check("a.sh", "mktemp /tmp/a.XXXXXX\n", &[]);
    check("a.bin", concat!("TO", "DO"), &[]);
}

#[test]
fn banned_phrases_are_found_where_they_are_banned() {
    check("a.rs", concat!("//! A.\nfn a() { to", "do!() }\n"), &[concat!("2: `to", "do!(` is banned")]);
    check("a.rs", concat!("//! A.\n#[ign", "ore]\n"), &[concat!("2: `#[ign", "ore` is banned")]);
    check(
        "a.rs",
        concat!("//! A.\n// In produc", "tion this would\n"),
        &[concat!("2: `in produc", "tion this would` is banned")],
    );
    check("a.rs", concat!("//! A.\nunimplem", "ented!()\n"), &[concat!("2: `unimplem", "ented!(` is banned")]);
    check("a.md", concat!("see crates", ".io\n"), &[concat!("1: `crates", ".io` is banned")]);
    check("a.md", concat!("the to", "do!( macro\n"), &[]);
    check("Cargo.lock", concat!("crates", ".io-index\n"), &[]);
}

#[test]
fn a_planted_file_of_1200_lines_is_refused_with_or_without_a_reason() {
    check("a.rs", lines("//! A.", 1_200), &["0: 1200 lines"]);
    check("a.rs", lines("//! A, long because of everything.", 1_200), &["0: 1200 lines"]);
}

#[test]
fn a_file_above_600_lines_says_why() {
    check("a.rs", lines("//! A.", 600), &[]);
    check("a.rs", lines("//! A.", 601), &["0: 601 lines"]);
    check("a.rs", lines("//! A.\n//!\n//! It is long because a table is.", 601), &[]);
    check("a.rs", lines("//! A.\n// long because here it does not count", 601), &["0: 602 lines"]);
    check("a.md", lines("text", 2_000), &[]);
}

#[test]
fn a_lib_is_a_table_of_contents() {
    check("conformance/src/lib.rs", lines("//! A.", 119), &[]);
    check("conformance/src/lib.rs", lines("//! A.", 120), &["0: 120 lines"]);
    check("src/glib.rs", lines("//! A.", 120), &[]);
}

#[test]
fn binaries_live_in_golden_and_assets() {
    check("crates/wal/x", b"a\0b", &["0: a binary file"]);
    check("crates/wal/tests/golden/x", b"a\0b", &[]);
    check("assets/logo.png", b"a\0b", &[]);
    check("x.json", vec![b'1'; (1 << 20) + 1], &["0: 1048577 bytes"]);
    check("x.json", vec![b'1'; 1 << 20], &[]);
}

#[test]
fn white_space_at_the_end_of_a_line_is_found() {
    check("a.md", "one \ntwo\n\tthree\t\n", &["1: white space at the end", "3: white space at the end"]);
    check(".ci/run", "set -e \n", &["1: white space at the end"]);
    check("a.json", "{} \n", &[]);
}

#[test]
fn libs_forbid_unsafe_code_unless_listed() {
    check("crates/wal/src/lib.rs", "//! A.\n#![forbid(unsafe_code)]\n", &[]);
    check("crates/wal/src/lib.rs", "//! A.\n// #![forbid(unsafe_code)]\n", &["0: unsafe code is not forbidden"]);
    check("crates/codec/src/lib.rs", "//! A.\n", &[]);
}

#[test]
fn a_repository_without_a_licence_is_found() {
    assert_eq!(rules::check(&[file("a.md", "text\n")]).len(), 1);
    assert_eq!(rules::check(&[file("LICENSE", "")]).len(), 1);
    assert_eq!(rules::check(&[file("LICENSE", "text")]).len(), 0);
}

#[test]
fn reading_skips_what_git_and_cargo_keep() {
    let root = tempfile::tempdir().unwrap();
    for dir in [".git", "src", ".ci", "built-here", "target/debug"] {
        std::fs::create_dir_all(root.path().join(dir)).unwrap();
    }
    for path in [".git/index", "src/a.rs", ".ci/run", "built-here/CACHEDIR.TAG", "built-here/b", "target/debug/c"] {
        std::fs::write(root.path().join(path), "text").unwrap();
    }
    let files = read_files(root.path()).unwrap();
    assert_eq!(files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), [".ci/run", "src/a.rs"]);
}

#[test]
fn public_names_of_the_language_are_few() {
    let lib = |names: usize, more: &str| {
        let list: Vec<String> = (0..names).map(|i| format!("N{i}")).collect();
        format!("//! A.\n#![forbid(unsafe_code)]\nmod a;\npub use a::{{{}}};\npub use b::One;\n{more}", list.join(", "))
    };
    check("crates/promql/src/lib.rs", lib(44, ""), &[]);
    check("crates/promql/src/lib.rs", lib(45, ""), &["0: 46 public names"]);
    check("crates/promql/src/lib.rs", lib(44, "pub fn f() {}\n"), &["0: 46 public names"]);
    check("crates/promql/src/lib.rs", lib(1, "pub mod c;\n"), &["0: a public module or a `*`"]);
    check("crates/model/src/lib.rs", lib(99, ""), &[]);
}
