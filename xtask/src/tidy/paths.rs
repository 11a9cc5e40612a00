//! The rule about paths in the guides: a file that `docs/how-to/` or `docs/architecture.md` names must be there.

use super::{File, Finding};

/// Folders of the root that a path in back quotes begins with.
const FOLDERS: [&str; 8] = ["bins/", "conformance/", "crates/", "deploy/", "docs/", "e2e/", "fuzz/", "xtask/"];

/// Finds names of files that do not exist. A part in capitals, such as `NAME`, stands for any name and is not checked.
pub(super) fn missing_paths(files: &[File]) -> Vec<Finding> {
    let exists = |path: &str| {
        let path = path.trim_end_matches('/');
        files
            .iter()
            .any(|file| file.path == path || file.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    };
    let mut findings = Vec::new();
    for page in files.iter().filter(|file| is_guide(file)) {
        for (line, text) in page.lines() {
            let quoted = text.split('`').skip(1).step_by(2).filter(|text| is_path(text)).map(str::to_owned);
            let linked = links(text).map(|link| resolve(&page.path, link));
            for path in quoted.chain(linked).filter(|path| !exists(path)) {
                let what = format!("{path} does not exist");
                let fix = "name the file where it is now";
                findings.push(Finding { path: page.path.clone(), line, what, fix });
            }
        }
    }
    findings
}

fn is_guide(file: &File) -> bool {
    file.path == "docs/architecture.md" || file.path.starts_with("docs/how-to/") && file.has_extension("md")
}

fn is_path(text: &str) -> bool {
    let is_to_be_filled_in = |part: &str| part.len() > 1 && part.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    FOLDERS.iter().any(|folder| text.starts_with(folder))
        && !text.contains([' ', '*', '<', '{'])
        && !text.split(['/', '.', '-']).any(|part| is_to_be_filled_in(part) && part != "README")
}

/// Targets of Markdown links that stay in the repository.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    let inside = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    inside.map(|target| target.split('#').next().unwrap_or_default())
}

/// A link of `page` as a path from the root.
fn resolve(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.trim_end_matches('/').split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(page: &str, text: &str, expected: &[&str]) {
        let file = |path: &str, text: &str| File { path: path.to_owned(), bytes: text.into() };
        let files = [file(page, text), file("crates/wal/src/log.rs", ""), file("docs/glossary.md", "")];
        let found: Vec<String> = missing_paths(&files).into_iter().map(|finding| finding.what).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_file_that_is_named_must_exist() {
        let page = "docs/how-to/record.md";
        check(page, "open `crates/wal/src/log.rs` or `crates/wal/src`, `crates/wal/`\n", &[]);
        check(page, "open `crates/wal/src/logs.rs`\n", &["crates/wal/src/logs.rs does not exist"]);
        check(page, "open `crates/wal/src/lo`\n", &["crates/wal/src/lo does not exist"]);
        check(page, "new file `crates/wal/src/NAME.rs` or `docs/format/NAME-chunk.md`, run `cargo test`\n", &[]);
        check("docs/perf/README.md", "was in `crates/gone.rs`\n", &[]);
    }

    #[test]
    fn a_link_must_lead_to_a_file() {
        let page = "docs/how-to/record.md";
        check(page, "[words](../glossary.md#a), [here](#b), [there](https://example.org/)\n", &[]);
        check(page, "[words](glossary.md)\n", &["docs/how-to/glossary.md does not exist"]);
        check("docs/architecture.md", "[words](glossary.md)\n", &[]);
    }
}
