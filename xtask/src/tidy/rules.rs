//! The rules: each a function from a file to its findings.

use super::{File, Finding, imports, names, paths, reserved};

/// Lines above which a source file is refused.
const LINES_MAX: usize = 1_000;
/// Lines above which its header must say why.
const LINES_EXPLAINED: usize = 600;
/// What the header of a long file must contain.
const EXPLANATION: &str = "long because";
/// Lines at which a `lib.rs` is no table of contents any more.
const LIB_LINES_MAX: usize = 119;
/// Bytes above which a file is taken for a stray artefact.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Extensions that the text rules read.
const TEXT: [&str; 7] = ["rs", "md", "toml", "yaml", "yml", "sh", "txt"];
/// Crates whose `lib.rs` need not forbid unsafe code: it sits there in named files.
const UNSAFE_CRATES: [&str; 6] = ["cache", "codec", "engine", "index", "io", "sync"];

/// Words for unfinished work, spelled so that this file does not break its own rule.
const UNFINISHED: [&str; 3] = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("X", "XX")];

/// A phrase that may not occur, and what to do instead.
struct Banned {
    phrase: &'static str,
    /// Only in `.rs` files.
    code_only: bool,
    fix: &'static str,
}

const NO_REGISTRIES: &str = "say what is meant without the host: where packages come from is the builder's business";
const BANNED: [Banned; 9] = [
    Banned { phrase: concat!("to", "do!("), code_only: true, fix: "write it, or leave the function out" },
    Banned { phrase: concat!("unimplem", "ented!("), code_only: true, fix: "write it, or leave the function out" },
    Banned { phrase: concat!("#[ign", "ore"), code_only: true, fix: "make the test fast enough to run, or delete it" },
    Banned {
        phrase: concat!("in produc", "tion this would"),
        code_only: false,
        fix: "do what it would, or describe what it does",
    },
    Banned { phrase: concat!("crates", ".io"), code_only: false, fix: NO_REGISTRIES },
    Banned { phrase: concat!("proxy.gol", "ang.org"), code_only: false, fix: NO_REGISTRIES },
    Banned { phrase: concat!("registry.np", "mjs.org"), code_only: false, fix: NO_REGISTRIES },
    Banned { phrase: concat!("pypi", ".org"), code_only: false, fix: NO_REGISTRIES },
    Banned { phrase: concat!("pythonho", "sted.org"), code_only: false, fix: NO_REGISTRIES },
];

/// All findings, file by file.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let per_file: [fn(&File) -> Vec<Finding>; 10] = [
        header,
        unfinished_work,
        banned_phrases,
        source_length,
        table_of_contents,
        stray_binary,
        trailing_whitespace,
        unsafe_forbidden,
        names::public_names,
        reserved::names,
    ];
    let mut findings: Vec<Finding> =
        files.iter().flat_map(|file| per_file.iter().flat_map(move |rule| rule(file))).collect();
    findings.extend(licence(files));
    findings.extend(imports::circles(files));
    findings.extend(imports::parts(files));
    findings.extend(paths::missing_paths(files));
    findings
}

fn finding(file: &File, line: usize, what: impl Into<String>, fix: &'static str) -> Finding {
    Finding { path: file.path.clone(), line, what: what.into(), fix }
}

fn is_text(file: &File) -> bool {
    TEXT.iter().any(|extension| file.has_extension(extension)) || file.path == ".ci/run"
}

fn header(file: &File) -> Vec<Finding> {
    let first = file.lines().next().map_or("", |(_, line)| line);
    let described = first.strip_prefix("//! ").is_some_and(|text| !text.trim().is_empty());
    if !file.has_extension("rs") || described {
        return Vec::new();
    }
    vec![finding(file, 1, "the first line is no `//!` sentence", "begin the file with `//!` and what it holds")]
}

fn unfinished_work(file: &File) -> Vec<Finding> {
    if !is_text(file) {
        return Vec::new();
    }
    let is_word = |character: char| character.is_alphanumeric() || character == '_';
    let mut findings = Vec::new();
    for (number, line) in file.lines() {
        if let Some(word) = line.split(|character| !is_word(character)).find(|word| UNFINISHED.contains(word)) {
            findings.push(finding(file, number, format!("{word} in the tree"), "do it now, or open an issue for it"));
        }
    }
    findings
}

fn banned_phrases(file: &File) -> Vec<Finding> {
    if !is_text(file) {
        return Vec::new();
    }
    let is_code = file.has_extension("rs");
    let mut findings = Vec::new();
    for (number, line) in file.lines() {
        let line = line.to_lowercase();
        for banned in BANNED.iter().filter(|banned| (is_code || !banned.code_only) && line.contains(banned.phrase)) {
            findings.push(finding(file, number, format!("`{}` is banned", banned.phrase), banned.fix));
        }
    }
    findings
}

fn source_length(file: &File) -> Vec<Finding> {
    if !file.has_extension("rs") {
        return Vec::new();
    }
    let count = file.lines().count();
    let explained =
        || file.lines().take_while(|(_, line)| line.starts_with("//!")).any(|(_, line)| line.contains(EXPLANATION));
    if count > LINES_MAX {
        let what = format!("{count} lines, more than {LINES_MAX}");
        return vec![finding(file, 0, what, "split it at its seam; one noun per file")];
    }
    if count > LINES_EXPLAINED && !explained() {
        let what = format!("{count} lines, more than {LINES_EXPLAINED}, without a reason");
        return vec![finding(file, 0, what, "split it, or say `long because ...` in the `//!` header")];
    }
    Vec::new()
}

fn table_of_contents(file: &File) -> Vec<Finding> {
    let count = file.lines().count();
    if file.name() != "lib.rs" || count <= LIB_LINES_MAX {
        return Vec::new();
    }
    let what = format!("{count} lines, more than {LIB_LINES_MAX}: a lib.rs is a table of contents");
    vec![finding(file, 0, what, "move code into the file of its noun")]
}

fn stray_binary(file: &File) -> Vec<Finding> {
    let expected = format!("/{}", file.path);
    if ["/tests/golden/", "/assets/", "/fuzz/seeds/"].iter().any(|dir| expected.contains(dir)) {
        return Vec::new();
    }
    if file.bytes.len() > FILE_BYTES_MAX {
        let what = format!("{} bytes, more than 1 MiB", file.bytes.len());
        return vec![finding(file, 0, what, "remove it, or generate it where it is needed")];
    }
    if file.bytes.contains(&0) {
        return vec![finding(file, 0, "a binary file", "remove it, or move it to tests/golden, assets or fuzz/seeds")];
    }
    Vec::new()
}

fn trailing_whitespace(file: &File) -> Vec<Finding> {
    if !is_text(file) {
        return Vec::new();
    }
    let trailing = |line: &str| line.ends_with([' ', '\t', '\r']);
    let lines = file.lines().filter(|(_, line)| trailing(line));
    lines.map(|(number, _)| finding(file, number, "white space at the end", "remove it")).collect()
}

fn unsafe_forbidden(file: &File) -> Vec<Finding> {
    let crate_name = file.path.strip_prefix("crates/").and_then(|path| path.strip_suffix("/src/lib.rs"));
    let Some(crate_name) = crate_name else { return Vec::new() };
    let forbids = file.lines().any(|(_, line)| line.trim() == "#![forbid(unsafe_code)]");
    if forbids || UNSAFE_CRATES.contains(&crate_name) {
        return Vec::new();
    }
    vec![finding(file, 0, "unsafe code is not forbidden", "add `#![forbid(unsafe_code)]` below the header")]
}

fn licence(files: &[File]) -> Option<Finding> {
    let present = files.iter().any(|file| file.path == "LICENSE" && !file.bytes.is_empty());
    let what = "no licence file".to_owned();
    (!present).then(|| Finding { path: "LICENSE".to_owned(), line: 0, what, fix: "add the text of Apache-2.0" })
}
