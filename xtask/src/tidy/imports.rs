//! The rules about imports within a crate: circles are small, and parts import only what they may.
//!
//! Files of a circle can only be understood together, so they must be few. A crate may also be divided into parts: see `PARTS`.
//!
//! A file imports another if it names one of its items behind `crate::` or `super::`. A name that a module re-exports
//! counts for the file that it comes from. What a module says about modules inside it is its table of contents and no
//! import. Tests do not count.

use std::collections::{BTreeMap, BTreeSet};

use super::uses::{Use, uses};
use super::{File, Finding};

/// Files in a circle above which the circle is refused.
const CIRCLE_FILES_MAX: usize = 5;

/// Parts of crates, each a folder of `src`: crate, part, other parts that it may import.
const PARTS: [(&str, &str, &[&str]); 11] = [
    ("engine", "log", &[]),
    ("engine", "head", &[]),
    ("engine", "blocks", &[]),
    ("engine", "reader", &[]),
    ("engine", "engine", &["log", "head", "blocks", "reader"]),
    ("promql", "kernels", &[]),
    ("promql", "rows", &["kernels"]),
    ("promql", "operators", &["rows", "kernels"]),
    ("promql", "plan", &["operators", "rows", "kernels"]),
    ("promql", "exec", &["plan", "operators", "rows", "kernels"]),
    ("promql", "query", &["exec", "plan", "operators", "rows", "kernels"]),
];

/// Finds the circles of more than [`CIRCLE_FILES_MAX`] files.
pub(super) fn circles(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, files) in crates(files) {
        let circles = Crate::new(&files).circles();
        let large = circles.iter().filter(|circle| circle.len() > CIRCLE_FILES_MAX);
        findings.extend(large.map(|circle| circle_finding(folder, circle)));
    }
    findings
}

/// Finds imports of a part of a crate by another one that may not.
pub(super) fn parts(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, files) in crates(files) {
        let name = name_of(folder);
        let parts: Vec<_> = PARTS.iter().filter(|part| part.0 == name).collect();
        if parts.is_empty() {
            continue;
        }
        let own = Crate::new(&files);
        for (module, imports) in own.imports() {
            let Some((_, part, allowed)) = parts.iter().find(|part| module.first().is_some_and(|m| m == part.1)) else {
                continue;
            };
            let others = imports.iter().filter_map(|import| import.first());
            for other in others.filter(|other| other != part && parts.iter().any(|part| part.1 == *other)) {
                if !allowed.contains(&other.as_str()) {
                    let path = own.modules[module].file.to_owned();
                    let what = format!("the part `{part}` of {name} imports the part `{other}`");
                    let fix =
                        "let the part that joins them pass it as an argument, or change `PARTS` of tidy/imports.rs";
                    findings.push(Finding { path, line: 0, what, fix });
                }
            }
        }
    }
    findings
}

/// The sources of each crate, by its folder.
fn crates(files: &[File]) -> BTreeMap<&str, Vec<&File>> {
    let mut crates: BTreeMap<&str, Vec<&File>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.has_extension("rs")) {
        if let Some((folder, _)) = file.path.split_once("/src/") {
            crates.entry(folder).or_default().push(file);
        }
    }
    crates
}

fn name_of(folder: &str) -> &str {
    folder.rsplit('/').next().unwrap_or(folder)
}

fn circle_finding(folder: &str, circle: &[String]) -> Finding {
    let what = format!("a circle of imports of {} files: {}", circle.len(), circle.join(", "));
    let fix = "move what both sides need into a file below both, or pass it as an argument";
    Finding { path: folder.to_owned(), line: 0, what, fix }
}

type Path = Vec<String>;

/// The modules of a crate, and what they import.
struct Crate<'a> {
    /// By module path; the root's is empty.
    modules: BTreeMap<Path, Module<'a>>,
}

struct Module<'a> {
    file: &'a str,
    uses: Vec<Use>,
}

impl<'a> Crate<'a> {
    fn new(files: &[&'a File]) -> Self {
        let mut modules = BTreeMap::new();
        for file in files {
            let Some(path) = module_path(&file.path) else { continue };
            let text = String::from_utf8_lossy(&file.bytes);
            modules.insert(path, Module { file: &file.path, uses: uses(&text) });
        }
        Crate { modules }
    }

    /// The file that a name comes from: the deepest module on the way, or the one that it is re-exported from.
    fn owner(&self, path: &[String], steps_left: u32) -> Path {
        let module =
            (0..=path.len()).rev().map(|length| &path[..length]).find(|start| self.modules.contains_key(*start));
        let module = module.unwrap_or_default();
        let (Some(name), true) = (path.get(module.len()), steps_left > 0) else { return module.to_vec() };
        let exports = self.modules.get(module).into_iter().flat_map(|module| &module.uses);
        let mut exports = exports.filter(|found| found.exported && found.name.as_ref() == Some(name));
        match exports.find_map(|found| self.absolute(module, &found.path)) {
            Some(target) => self.owner(&target, steps_left - 1),
            None => module.to_vec(),
        }
    }

    /// A path from the crate's root; none if it leads out of the crate.
    fn absolute(&self, module: &[String], path: &[String]) -> Option<Path> {
        match path.first()?.as_str() {
            "crate" => Some(path[1..].to_vec()),
            "self" => Some([module, &path[1..]].concat()),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                let kept = module.len().checked_sub(ups)?;
                Some([&module[..kept], &path[ups..]].concat())
            }
            // A module inside this one, named without `self::`.
            first => {
                let inside = [module, &[first.to_owned()]].concat();
                self.modules.contains_key(&inside).then(|| [module, path].concat())
            }
        }
    }

    /// The files that each file imports.
    fn imports(&self) -> BTreeMap<&Path, BTreeSet<Path>> {
        /// Re-exports of re-exports that are followed; none of ours has as many.
        const REEXPORTS_MAX: u32 = 8;
        let of_module = |module: &Path, uses: &[Use]| -> BTreeSet<Path> {
            let targets = uses.iter().filter_map(|found| self.absolute(module, &found.path));
            let owners = targets.map(|target| self.owner(&target, REEXPORTS_MAX));
            owners.filter(|owner| !owner.starts_with(module)).collect()
        };
        self.modules.iter().map(|(path, module)| (path, of_module(path, &module.uses))).collect()
    }

    /// Sets of files each of which imports, over others, every other; those of one file are left out.
    fn circles(&self) -> Vec<Vec<String>> {
        let imports = self.imports();
        let reached: BTreeMap<&Path, BTreeSet<&Path>> =
            imports.keys().map(|start| (*start, reach(&imports, start))).collect();
        let (mut circles, mut seen) = (Vec::new(), BTreeSet::new());
        for (start, all) in &reached {
            let circle: Vec<&&Path> = all.iter().filter(|other| reached[**other].contains(*start)).collect();
            if circle.len() > 1 && seen.insert(circle.clone()) {
                circles.push(circle.iter().map(|path| self.modules[**path].file.to_owned()).collect());
            }
        }
        circles
    }
}

/// Everything that is imported from `start` on; `start` itself only if it is in a circle.
fn reach<'a>(imports: &'a BTreeMap<&'a Path, BTreeSet<Path>>, start: &'a Path) -> BTreeSet<&'a Path> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![start]);
    while let Some(module) = open.pop() {
        for import in imports.get(module).into_iter().flatten() {
            if reached.insert(import) {
                open.push(import);
            }
        }
    }
    reached
}

/// `crates/a/src/b/c.rs` is the module `b::c`; none for tests and for programs beside the crate's own.
fn module_path(file: &str) -> Option<Path> {
    let (_, inside) = file.split_once("/src/")?;
    let mut path: Path = inside.strip_suffix(".rs")?.split('/').map(str::to_owned).collect();
    if path.iter().any(|part| part == "tests") || path[0] == "bin" {
        return None;
    }
    if path == ["lib"] || path == ["main"] || path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files `m0` to `mN`, each with the text that `text` gives it.
    fn files(count: usize, text: impl Fn(usize) -> String) -> Vec<File> {
        let file = |index| File { path: format!("crates/a/src/m{index}.rs"), bytes: text(index).into_bytes() };
        (0..count).map(file).collect()
    }

    fn ring(count: usize) -> Vec<File> {
        files(count, |index| format!("//! A.\nuse crate::m{}::{{X, Y as Z}};\n", (index + 1) % count))
    }

    #[test]
    fn a_circle_of_six_files_is_found_and_one_of_five_is_not() {
        assert!(circles(&ring(5)).is_empty());
        let findings = circles(&ring(6));
        assert_eq!(findings.len(), 1);
        assert!(findings[0].what.contains("6 files"), "{}", findings[0].what);
        assert!((0..6).all(|index| findings[0].what.contains(&format!("crates/a/src/m{index}.rs"))));
    }

    #[test]
    fn a_part_imports_only_what_it_may() {
        let file = |path: &str, text: &str| File { path: path.to_owned(), bytes: text.into() };
        let with = |part: &str, import: &str| {
            let mut files: Vec<File> = ["log", "head", "reader"]
                .iter()
                .map(|part| file(&format!("crates/engine/src/{part}/mod.rs"), "pub(crate) struct X;\n"))
                .collect();
            files.push(file("crates/engine/src/value.rs", ""));
            files.push(file(&format!("crates/engine/src/{part}/a.rs"), &format!("use crate::{import};\n")));
            files
        };
        for (part, fine) in [("engine", "head::X"), ("reader", "value::X"), ("reader", "reader::X")] {
            assert!(parts(&with(part, fine)).is_empty(), "{fine}");
        }
        let findings = parts(&with("reader", "log::X"));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].path, "crates/engine/src/reader/a.rs");
        assert!(findings[0].what.contains("`reader` of engine imports the part `log`"));
    }

    #[test]
    fn a_chain_and_imports_of_tests_make_no_circle() {
        let chain = |index: usize| if index < 8 { format!("use super::m{}::X;\n", index + 1) } else { String::new() };
        assert!(circles(&files(9, chain)).is_empty());
        let back = |index| match index {
            8 => "#[cfg(test)]\nmod tests {\n    use crate::m0::X;\n}\n".to_owned(),
            _ => chain(index),
        };
        assert!(circles(&files(9, back)).is_empty());
    }

    #[test]
    fn a_path_in_the_middle_of_code_counts_and_a_comment_does_not() {
        let with = |last: &'static str| {
            files(6, move |index| if index < 5 { format!("use crate::m{};\n", index + 1) } else { last.to_owned() })
        };
        assert_eq!(circles(&with("fn f() -> u8 { crate::m0::g() }\n")).len(), 1);
        assert!(circles(&with("// see crate::m0::g\n")).is_empty());
    }

    #[test]
    fn a_reexport_counts_for_the_file_it_comes_from() {
        let file = |path: &str, text: &str| File { path: path.to_owned(), bytes: text.into() };
        let mut all = files(5, |index| match index {
            4 => "use crate::inner::Thing;\n".to_owned(),
            _ => format!("use crate::m{}::X;\n", index + 1),
        });
        all.push(file("crates/a/src/inner/mod.rs", "mod thing;\npub(crate) use thing::Thing;\n"));
        all.push(file("crates/a/src/inner/thing.rs", "use crate::m0::X;\nuse super::Other;\n"));
        let findings = circles(&all);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].what.contains("6 files") && findings[0].what.contains("inner/thing.rs"));
        // The module itself lists what is in it, which is no import.
        assert!(!findings[0].what.contains("inner/mod.rs"));
    }
}
