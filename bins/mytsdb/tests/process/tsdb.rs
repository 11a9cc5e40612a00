//! `mytsdb tsdb`: what is listed, what is verified and what is found damaged, of a data folder and of a store.

use crate::raw::now_s;
use crate::server::{Server, eventually};
use std::path::{Path, PathBuf};
use std::process::Command;

const DAY_MS: u64 = 86_400_000;

/// Runs a command: whether it succeeded, what it printed, and what it complained about.
fn tsdb(args: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_mytsdb")).arg("tsdb").args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

fn json(args: &[&str]) -> serde_json::Value {
    let (success, text, errors) = tsdb(&[args, &["--json"]].concat());
    assert!(success, "{args:?}: {errors}{text}");
    serde_json::from_str(&text).unwrap()
}

fn tier<'a>(listing: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    listing["tiers"].as_array().unwrap().iter().find(|tier| tier["tier"] == name).unwrap_or(&serde_json::Value::Null)
}

/// Stores 50 samples of each of two series, an hour three days ago, and one of now.
fn fill(server: &Server) {
    let old_s = now_s() - 3 * DAY_MS / 1_000;
    let mut text = "newest 1\n".to_owned();
    for at in 0..50 {
        for env in ["dev", "prod"] {
            let line = format!("old{{env=\"{env}\"}} {at} {}\n", (old_s + at * 60) * 1_000);
            text.push_str(&line);
        }
    }
    let sent = ureq::post(format!("{}/api/v1/import/prometheus", server.http)).send(&text).unwrap();
    assert!(sent.status().is_success());
    eventually(server, "/metrics", "\nmytsdb_engine_flushes_total 1");
}

/// The only file below a folder whose name ends so.
fn find(folder: &Path, end: &str) -> PathBuf {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        #[expect(clippy::disallowed_methods, reason = "what a test made is looked at from outside")]
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(end) {
                found.push(path);
            }
        }
    }
    found.sort();
    found.into_iter().next().unwrap()
}

/// Changes a byte of a file, `at` from its start.
#[expect(clippy::disallowed_methods, reason = "damage is done from outside")]
fn damage(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x20;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn a_data_folder_is_looked_at_beside_its_server_and_damage_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_str().unwrap();
    let server = Server::start_with(dir.path(), &["--self-metrics-interval", "0"]);
    fill(&server);
    let listing = json(&["ls", "--data-dir", data]);
    assert_eq!(tier(&listing, "blocks")["samples"], 100);
    assert!(tier(&listing, "log")["bytes"].as_u64().unwrap() > 0);
    assert!(tier(&listing, "cold").is_null());
    let (success, text, _) = tsdb(&["ls", "--data-dir", data]);
    assert!(success && text.starts_with("TIER") && text.contains("2d ") && text.contains("blocks"), "{text}");
    assert_eq!(json(&["verify", "--data-dir", data])["problems"], serde_json::json!([]));

    let rule = "{env=\"dev\"}: 1d";
    let preview = json(&["ls", "--data-dir", data, "--preview-retention", rule]);
    let of_rule = &preview["retention"][0];
    assert_eq!(of_rule["rule"], rule);
    let of = |tier: &str| of_rule["tiers"].as_array().unwrap().iter().find(|of| of["tier"] == tier).unwrap();
    assert_eq!((&of("blocks")["samples"], &of("blocks")["series"]), (&50.into(), &1.into()));
    assert!(of("blocks")["bytes"].as_u64().unwrap() > 0);
    let (success, _, error) = tsdb(&["ls", "--data-dir", data, "--preview-retention", "{env=\"dev\"}: 1h"]);
    assert!(!success && error.contains("at least 1d"), "{error}");

    let output = dir.path().join("blocks-of-prometheus");
    let (success, _, error) = tsdb(&["export", "--data-dir", data, "--output", output.to_str().unwrap()]);
    assert!(!success && error.contains("in use"), "{error}");
    server.signal("TERM");
    server.wait();
    let exported = json(&["export", "--data-dir", data, "--output", output.to_str().unwrap()]);
    let samples: u64 = exported["blocks"].as_array().unwrap().iter().map(|b| b["samples"].as_u64().unwrap()).sum();
    assert_eq!(samples, 101);

    let block = find(&dir.path().join("blocks"), "");
    damage(&block, 60);
    let (success, text, error) = tsdb(&["verify", "--data-dir", data]);
    assert!(!success && error.contains("is not as it was written"), "{error}");
    assert!(text.contains("problem: blocks: "), "{text}");
    damage(&block, 60);
    assert!(tsdb(&["verify", "--data-dir", data]).0);
    let (success, _, error) = tsdb(&["ls", "--data-dir", dir.path().join("none").to_str().unwrap()]);
    assert!(!success && error.contains("no such folder"), "{error}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "damage is done from outside")]
fn a_store_is_looked_at_without_a_data_folder_and_damage_is_found() {
    let (dir, store) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start_with(dir.path(), &["--self-metrics-interval", "0"]);
    fill(&server);
    server.signal("TERM");
    server.wait();
    let url = format!("file://{}", store.path().display());
    let server = Server::start_with(dir.path(), &["--self-metrics-interval", "0", "--cold-url", &url]);
    eventually(&server, "/metrics", "\nmytsdb_cold_samples 100");
    drop(server);
    let listing = json(&["ls", "--cold-url", &url]);
    assert_eq!(tier(&listing, "cold")["samples"], 100);
    assert!(tier(&listing, "blocks").is_null());
    let both = json(&["ls", "--cold-url", &url, "--data-dir", dir.path().to_str().unwrap()]);
    assert_eq!((&tier(&both, "cold")["samples"], &tier(&both, "blocks")["samples"]), (&100.into(), &0.into()));
    let preview = json(&["ls", "--cold-url", &url, "--preview-retention", "old{env=\"prod\"}: 1d"]);
    assert_eq!(preview["retention"][0]["tiers"][0]["samples"], 50);
    let report = json(&["verify", "--cold-url", &url]);
    assert_eq!((&report["problems"], &report["notes"]), (&serde_json::json!([]), &serde_json::json!([])));
    let output = dir.path().join("out");
    let exported = json(&["export", "--cold-url", &url, "--output", output.to_str().unwrap()]);
    let samples: u64 = exported["blocks"].as_array().unwrap().iter().map(|b| b["samples"].as_u64().unwrap()).sum();
    assert_eq!(samples, 100);

    let check = |part: &str| {
        let (success, text, error) = tsdb(&["verify", "--cold-url", &url]);
        assert!(!success && (text.contains(part) || error.contains(part)), "{part}: {text}{error}");
    };
    let samples = find(store.path(), "samples.parquet");
    damage(&samples, 30);
    check("samples.parquet");
    damage(&samples, 30);
    assert!(tsdb(&["verify", "--cold-url", &url]).0);
    // A file that nobody names is no damage.
    std::fs::write(samples.with_file_name("other.parquet"), "x").unwrap();
    let report = json(&["verify", "--cold-url", &url]);
    assert_eq!(report["notes"].as_array().unwrap().len(), 1);
    let labels = find(store.path(), "labels.parquet");
    std::fs::remove_file(&labels).unwrap();
    check("labels.parquet");
    let manifest = find(store.path(), ".json");
    damage(&manifest, 40);
    check("manifest");
}
