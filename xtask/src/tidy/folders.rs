//! The rule about folders that are layers of a crate: imports point down, and some names are for a few files only.

use super::uses::{Use, uses};
use super::{File, Finding};

/// Crates whose top modules are layers, from the top down; see their design page.
const LAYERS: [(&str, &[&str]); 1] = [("crates/promql/src/", &["query", "exec", "plan", "eval"])];

/// A name of another crate that only some files of a crate may import.
const RESERVED: [(&str, [&str; 2], &[&str]); 1] = [(
    "crates/promql/src/",
    ["mytsdb_promql_syntax", "Expr"],
    &["query.rs", "plan/mod.rs", "plan/build.rs", "plan/text.rs", "plan/tests.rs"],
)];

/// Finds imports that point up, and of names that are reserved for others.
pub(super) fn imports(file: &File) -> Vec<Finding> {
    let text = String::from_utf8_lossy(&file.bytes);
    let mut findings = Vec::new();
    for (folder, layers) in LAYERS {
        let Some(inside) = file.path.strip_prefix(folder) else { continue };
        let Some(own) = layer(layers, inside.trim_end_matches(".rs")) else { continue };
        for path in uses(&text).into_iter().filter_map(|found| from_root(inside, &found)) {
            if let Some(up) = layer(layers, &path).filter(|up| *up < own) {
                let what = format!("{} imports {}, which stands above it", layers[own], layers[up]);
                findings.push(finding(file, what, "take what is needed as an argument, or move it into a lower layer"));
            }
        }
    }
    for (folder, name, allowed) in RESERVED {
        let Some(inside) = file.path.strip_prefix(folder) else { continue };
        let named = uses(&text).iter().any(|found| found.path.iter().eq(&name));
        if named && !allowed.contains(&inside) {
            let what = format!("imports {}, which is for {}", name.join("::"), allowed.join(", "));
            findings.push(finding(file, what, "take a node of the plan, or what its inputs evaluated to"));
        }
    }
    findings
}

fn finding(file: &File, what: String, fix: &'static str) -> Finding {
    Finding { path: file.path.clone(), line: 0, what, fix }
}

/// The number of the layer that a path from the crate's root leads into.
fn layer(layers: &[&str], path: &str) -> Option<usize> {
    let first = path.split('/').next()?;
    layers.iter().position(|layer| *layer == first)
}

/// Where an import of the crate itself leads, from its root.
fn from_root(file: &str, found: &Use) -> Option<String> {
    let mut folders: Vec<&str> = file.split('/').collect();
    let name = folders.pop()?.trim_end_matches(".rs");
    if name != "mod" {
        folders.push(name);
    }
    let ups = found.path.iter().take_while(|part| *part == "super").count();
    let rest = match found.path.first()?.as_str() {
        "crate" => return Some(found.path[1..].join("/")),
        "super" => &found.path[ups..],
        _ => return None,
    };
    let kept = folders.len().checked_sub(ups)?;
    let mut path: Vec<&str> = folders[..kept].to_vec();
    path.extend(rest.iter().map(String::as_str));
    Some(path.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> Vec<String> {
        let file = File { path: format!("crates/promql/src/{path}"), bytes: text.into() };
        imports(&file).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn imports_that_point_up_are_found() {
        assert_eq!(
            findings("eval/rows.rs", "use crate::plan::NodeId;\nuse crate::error::EvalError;\n"),
            ["eval imports plan, which stands above it"]
        );
        assert_eq!(findings("plan/mod.rs", "use super::exec::Run;\n"), ["plan imports exec, which stands above it"]);
        assert_eq!(findings("eval/binary/join.rs", "use super::super::super::query::range;\n").len(), 1);
        assert_eq!(findings("exec/calls.rs", "fn f() { crate::query::range() }\n").len(), 1);
    }

    #[test]
    fn imports_that_point_down_are_not() {
        assert!(findings("exec/mod.rs", "use crate::plan::NodeId;\nuse crate::eval::rows::Vector;\n").is_empty());
        assert!(findings("query.rs", "use crate::exec::Run;\nuse mytsdb_promql_syntax::Expr;\n").is_empty());
        assert!(findings("eval/rows.rs", "use super::groups::Numbers;\n// see crate::plan\n").is_empty());
        assert!(findings("eval/rows.rs", "#[cfg(test)]\nmod tests {\n    use crate::plan::NodeId;\n}\n").is_empty());
        let other = File { path: "crates/wal/src/eval/a.rs".into(), bytes: b"use crate::plan::X;\n".to_vec() };
        assert!(imports(&other).is_empty());
    }

    #[test]
    fn the_syntax_tree_is_for_those_who_build_plans() {
        let text = "use mytsdb_promql_syntax::{BinaryOp, Expr};\n";
        assert!(findings("plan/build.rs", text).is_empty());
        assert_eq!(findings("plan/push.rs", text).len(), 1);
        assert!(findings("plan/push.rs", "use mytsdb_promql_syntax::BinaryOp;\n").is_empty());
    }
}
