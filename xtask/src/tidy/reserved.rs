//! The rule about names of another crate that only some files of a crate may import.

use super::uses::uses;
use super::{File, Finding};

/// Where it holds, which name, and the files that may.
const RESERVED: [(&str, [&str; 2], &[&str]); 1] = [(
    "crates/promql/src/",
    ["mytsdb_promql_syntax", "Expr"],
    &["query.rs", "plan/mod.rs", "plan/build.rs", "plan/text.rs", "plan/tests.rs"],
)];

/// Finds imports of names that are reserved for others.
pub(super) fn names(file: &File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, name, allowed) in RESERVED {
        let Some(inside) = file.path.strip_prefix(folder).filter(|_| file.has_extension("rs")) else { continue };
        let text = String::from_utf8_lossy(&file.bytes);
        let named = uses(&text).iter().any(|found| found.path.iter().eq(&name));
        if named && !allowed.contains(&inside) {
            let what = format!("imports {}, which is for {}", name.join("::"), allowed.join(", "));
            let fix = "take a node of the plan, or what its inputs evaluated to";
            findings.push(Finding { path: file.path.clone(), line: 0, what, fix });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(path: &str, text: &str) -> usize {
        names(&File { path: path.into(), bytes: text.into() }).len()
    }

    #[test]
    fn the_syntax_tree_is_for_those_who_build_plans() {
        let text = "use mytsdb_promql_syntax::{BinaryOp, Expr};\n";
        assert_eq!(findings("crates/promql/src/plan/build.rs", text), 0);
        assert_eq!(findings("crates/promql/src/plan/push.rs", text), 1);
        assert_eq!(findings("crates/promql/src/operators/selector.rs", text), 1);
        assert_eq!(findings("crates/promql/src/plan/push.rs", "use mytsdb_promql_syntax::BinaryOp;\n"), 0);
        assert_eq!(findings("crates/query/src/lib.rs", text), 0);
    }
}
