//! `cargo xtask layers`: the edges between our crates against the table in `docs/architecture.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

use crate::workspace::{cargo_with, root, shown};

const PAGE: &str = "docs/architecture.md";
const TABLE_HEAD: [&str; 2] = ["crate", "may import"];

/// Compares the workspace with the table.
///
/// # Errors
///
/// If an edge, a crate or a row is found on one side only, or if a permission is used by nobody; every finding is
/// printed with its fix.
pub(crate) fn run() -> anyhow::Result<()> {
    let path = root().join(PAGE);
    let page = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let table = parse_table(&page)?;
    let edges = parse_metadata(&metadata()?)?;
    let findings = compare(&table, &edges);
    for finding in &findings {
        println!("{finding}");
    }
    ensure!(findings.is_empty(), "{} findings", findings.len());
    let edge_count: usize = edges.values().map(|imports| imports.code.len()).sum();
    println!("layers: {} crates, {edge_count} edges, all in the table", edges.len());
    Ok(())
}

/// What a crate may import.
#[derive(Debug, PartialEq, Eq)]
enum Allowed {
    Anything,
    Only(BTreeSet<String>),
}

/// What a crate does import, of ours.
#[derive(Debug, Default, PartialEq, Eq)]
struct Imports {
    /// In its code or its build script.
    code: BTreeSet<String>,
    /// In its tests, benches and examples.
    tests: BTreeSet<String>,
}

/// Our crates, by the name without `mytsdb-`.
type Edges = BTreeMap<String, Imports>;
/// The page's table, by the same names.
type Table = BTreeMap<String, Allowed>;

fn metadata() -> anyhow::Result<Value> {
    let mut command = cargo_with(&["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start {}", shown(&command)))?;
    ensure!(output.status.success(), "{} failed: {}", shown(&command), output.status);
    serde_json::from_slice(&output.stdout).context("cargo metadata: not JSON")
}

fn parse_metadata(metadata: &Value) -> anyhow::Result<Edges> {
    let packages = metadata["packages"].as_array().context("cargo metadata: no packages")?;
    let mut edges = Edges::new();
    for package in packages {
        let name = package["name"].as_str().context("cargo metadata: package without a name")?;
        let dependencies = package["dependencies"].as_array().context("cargo metadata: no dependencies")?;
        let mut imports = Imports::default();
        // Only dependencies inside the workspace have a path.
        for dependency in dependencies.iter().filter(|dependency| dependency["path"].is_string()) {
            let import = short(dependency["name"].as_str().context("cargo metadata: dependency without a name")?);
            let kind = if dependency["kind"] == "dev" { &mut imports.tests } else { &mut imports.code };
            kind.insert(import);
        }
        edges.insert(short(name), imports);
    }
    Ok(edges)
}

fn short(package: &str) -> String {
    package.strip_prefix("mytsdb-").unwrap_or(package).to_owned()
}

fn parse_table(page: &str) -> anyhow::Result<Table> {
    let cells = |line: &str| -> Option<Vec<String>> {
        let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
        Some(inner.split('|').map(|cell| cell.trim().replace('`', "")).collect())
    };
    let mut rows = page.lines().map(cells).skip_while(|row| row.as_deref().is_none_or(|row| row != TABLE_HEAD));
    if rows.next().is_none() {
        bail!("{PAGE}: no table headed `| {} |`", TABLE_HEAD.join(" | "));
    }
    let mut table = BTreeMap::new();
    for row in rows.skip(1).map_while(|row| row) {
        let [name, imports] = row.as_slice() else { bail!("{PAGE}: a row of two cells expected, found {row:?}") };
        let allowed = match imports.as_str() {
            "anything" => Allowed::Anything,
            "nothing" => Allowed::Only(BTreeSet::new()),
            list => Allowed::Only(list.split(',').map(|name| name.trim().to_owned()).collect()),
        };
        ensure!(table.insert(name.clone(), allowed).is_none(), "{PAGE}: two rows for {name}");
    }
    Ok(table)
}

fn compare(table: &Table, edges: &Edges) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, imports) in edges {
        match table.get(name) {
            None => findings.push(format!(
                "{name}: a crate without a row in {PAGE}\n  fix: add `| {name} | ... |` with what it may import"
            )),
            Some(Allowed::Anything) => {}
            Some(Allowed::Only(allowed)) => {
                findings.extend(imports.code.difference(allowed).map(|import| {
                    format!(
                        "{name} -> {import}: an edge that {PAGE} does not allow\n  \
                         fix: remove the dependency, or argue for the edge in a commit of its own that changes the table"
                    )
                }));
                findings.extend(imports.tests.difference(&below(table, name)).map(|import| {
                    format!(
                        "{name} -> {import} (tests): not below {name}\n  \
                         fix: test it where both may be imported"
                    )
                }));
            }
        }
    }
    for (name, allowed) in table {
        if !edges.contains_key(name) {
            findings.push(format!("{name}: a row in {PAGE} for no crate\n  fix: remove the row"));
        }
        let Allowed::Only(allowed) = allowed else { continue };
        findings.extend(allowed.iter().filter(|import| !edges.contains_key(*import)).map(|import| {
            format!("{name} -> {import}: {PAGE} allows an import of no crate\n  fix: correct the name or remove it")
        }));
        let Some(imports) = edges.get(name) else { continue };
        let used = |import: &&String| imports.code.contains(*import) || imports.tests.contains(*import);
        let known = allowed.iter().filter(|import| edges.contains_key(*import));
        findings.extend(known.filter(|import| !used(import)).map(|import| {
            format!("{name} -> {import}: {PAGE} allows an import that nobody uses\n  fix: remove it from the row")
        }));
    }
    findings
}

/// What every crate's tests may import.
const OF_ALL_TESTS: [&str; 2] = ["testkit", "promql-testkit"];

/// What a crate may reach through others: its tests may set those up.
fn below(table: &Table, name: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::from(OF_ALL_TESTS.map(str::to_owned));
    let mut open = vec![name];
    while let Some(name) = open.pop() {
        let Some(Allowed::Only(imports)) = table.get(name) else { continue };
        for import in imports {
            if reached.insert(import.clone()) {
                open.push(import);
            }
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
text

| crate | may import |
|---|---|
| `model` | nothing |
| `wal` | model |
| mytsdb | anything |

| crate | something else |
|---|---|
| other | wal |
";

    fn edges(pairs: &[(&str, &[&str])]) -> Edges {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let code = |imports| Imports { code: owned(imports), tests: BTreeSet::new() };
        pairs.iter().map(|(name, imports)| ((*name).to_owned(), code(imports))).collect()
    }

    #[track_caller]
    fn check(pairs: &[(&str, &[&str])], expected: &[&str]) {
        let findings = compare(&parse_table(TABLE).unwrap(), &edges(pairs));
        let facts: Vec<&str> = findings.iter().filter_map(|finding| finding.split(": ").next()).collect();
        assert_eq!(facts, expected);
        assert!(findings.iter().all(|finding| finding.contains("\n  fix: ")));
    }

    #[test]
    fn edges_in_the_table_pass() {
        check(&[("model", &[]), ("wal", &["model"]), ("mytsdb", &["model", "wal"])], &[]);
    }

    #[test]
    fn a_permission_that_nobody_uses_is_found() {
        check(&[("model", &[]), ("wal", &[]), ("mytsdb", &[])], &["wal -> model"]);
        let mut edges = edges(&[("model", &[]), ("wal", &[]), ("mytsdb", &[])]);
        edges.get_mut("wal").unwrap().tests.insert("model".to_owned());
        assert_eq!(compare(&parse_table(TABLE).unwrap(), &edges), [""; 0]);
    }

    #[test]
    fn a_planted_edge_is_found() {
        check(&[("model", &["wal"]), ("wal", &["model"]), ("mytsdb", &[])], &["model -> wal"]);
    }

    #[test]
    fn tests_may_import_what_is_below_and_nothing_else() {
        let table = parse_table("| crate | may import |\n|---|---|\n| a | b |\n| b | c |\n| c | nothing |\n").unwrap();
        let mut edges = edges(&[("a", &["b"]), ("b", &["c"]), ("c", &[])]);
        edges.get_mut("a").unwrap().tests.insert("c".to_owned());
        assert_eq!(compare(&table, &edges), [""; 0]);
        edges.get_mut("c").unwrap().tests.insert("b".to_owned());
        assert!(compare(&table, &edges)[0].starts_with("c -> b (tests): "));
    }

    #[test]
    fn a_crate_without_a_row_and_a_row_without_a_crate_are_found() {
        check(&[("model", &[]), ("wal", &["model"]), ("mytsdb", &[]), ("cache", &[])], &["cache"]);
        check(&[("wal", &[]), ("mytsdb", &[])], &["model", "wal -> model"]);
    }

    #[test]
    fn a_page_without_the_table_is_an_error() {
        assert!(parse_table("| crate | x |\n|---|---|\n").is_err());
        assert!(parse_table("| crate | may import |\n|---|---|\n| a | b | c |\n").is_err());
        assert!(parse_table("| crate | may import |\n|---|---|\n| a | nothing |\n| a | nothing |\n").is_err());
    }

    #[test]
    fn metadata_counts_dependencies_with_a_path_only() {
        let metadata = serde_json::json!({"packages": [
            {"name": "mytsdb-wal", "dependencies": [
                {"name": "mytsdb-model", "path": "/x/crates/model", "kind": null},
                {"name": "mytsdb-io", "path": "/x/crates/io", "kind": "dev"},
                {"name": "serde", "kind": null}]},
            {"name": "xtask", "dependencies": []},
        ]});
        let mut expected = edges(&[("wal", &["model"]), ("xtask", &[])]);
        expected.get_mut("wal").unwrap().tests.insert("io".to_owned());
        assert_eq!(parse_metadata(&metadata).unwrap(), expected);
    }
}
