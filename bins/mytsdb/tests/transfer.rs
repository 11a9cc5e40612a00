//! `mytsdb import` and `mytsdb export`: what is exported is imported again, and wrong lines are named.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test with files of its own, which stops at the first surprise"
)]

use flate2::Compression;
use flate2::write::GzEncoder;
use mytsdb_model::{Exemplar, FamilyKind, FamilyMetadata, Labels};
use mytsdb_testkit::{Random, seed};
use mytsdb_text_format::{write_family, write_sample};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

fn mytsdb(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mytsdb")).args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn import(data: &Path, files: &[&Path]) -> String {
    let files = files.iter().map(|file| file.to_str().unwrap());
    let args: Vec<&str> = ["import", "--data-dir", data.to_str().unwrap()].into_iter().chain(files).collect();
    let done = mytsdb(&args);
    assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
    text(&done.stdout)
}

#[track_caller]
fn export(data: &Path, more: &[&str]) -> String {
    let args: Vec<&str> = [&["export", "--data-dir", data.to_str().unwrap()], more].concat();
    let done = mytsdb(&args);
    assert!(done.status.success(), "{}", text(&done.stderr));
    text(&done.stdout)
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// A text as `export` writes it: families by name, series by labels, samples by time, each at its own time.
fn random_text(random: &mut Random) -> (String, u64) {
    let (mut out, mut count) = (String::new(), 0);
    for metric in ["a_total", "b.dotted", "c_bytes"] {
        let (family, kind) = match metric {
            "a_total" => ("a", FamilyKind::Counter),
            "b.dotted" => (metric, FamilyKind::Unknown),
            _ => (metric, FamilyKind::Gauge),
        };
        let help = if kind == FamilyKind::Unknown { "" } else { "What it \"is\"\\\nin two lines." };
        let unit = if metric == "c_bytes" { "bytes" } else { "" };
        write_family(&mut out, family, &FamilyMetadata { kind, help: help.into(), unit: unit.into() });
        for series in 0..=random.below(3) {
            let labels = Labels::from_pairs([("__name__", metric), ("i", &series.to_string()), ("odd.ü", "\"\\\n")]);
            let mut timestamp_ms = now_ms() - 13 * 86_400_000;
            for _ in 0..200 {
                timestamp_ms += 1 + random.below(8_000_000) as i64;
                let value = match random.below(6) {
                    0 => f64::INFINITY,
                    1 => f64::NAN,
                    2 => f64::from_bits(random.bits() >> 2),
                    n => n as f64 / 8.0,
                };
                let labels_of_exemplar = Labels::from_pairs([("trace_id", &random.bits().to_string())]);
                let exemplar = Exemplar { timestamp_ms, value: 0.5, labels: labels_of_exemplar };
                let exemplar = Some(exemplar).filter(|_| kind == FamilyKind::Counter && random.one_in(9));
                write_sample(&mut out, &labels, timestamp_ms, value, exemplar.as_ref());
                count += 1;
            }
        }
    }
    out.push_str("# EOF\n");
    (out, count)
}

#[test]
fn what_is_exported_is_imported_and_exported_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::new(seed(11));
    for round in 0..4 {
        let (written, count) = random_text(&mut random);
        let (file, first, second) = (
            dir.path().join("file.om"),
            dir.path().join(format!("first{round}")),
            dir.path().join(format!("second{round}")),
        );
        std::fs::write(&file, &written).unwrap();
        let said = import(&first, &[&file]);
        assert_eq!(said, format!("{count} samples stored, 0 refused, 0 lines not read\n"));
        let exported = export(&first, &[]);
        assert!(exported == written, "the export differs from what was imported");
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(exported.as_bytes()).unwrap();
        let packed = dir.path().join("file.om.gz");
        std::fs::write(&packed, gzip.finish().unwrap()).unwrap();
        import(&second, &[&packed]);
        assert!(export(&second, &[]) == exported);
        assert!(
            import(&second, &[&packed, &file]).starts_with(&format!("{} samples stored", 2 * count)),
            "again is fine"
        );
        assert!(export(&second, &[]) == exported);
    }
}

#[test]
fn json_lines_have_what_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let (file, data) = (dir.path().join("file.om"), dir.path().join("data"));
    let second = now_ms() / 1_000 - 100;
    let lines = format!(
        "up{{job=\"a\"}} 1 {second}\nup{{job=\"a\"}} NaN {}\nup{{job=\"b\"}} 7 {second}\ndown 1 {second} # {{trace_id=\"x\"}} 0.5\n# EOF\n",
        second + 1
    );
    std::fs::write(&file, lines).unwrap();
    import(&data, &[&file]);
    let range = [&second.to_string()[..], &(second + 1).to_string()];
    let out = dir.path().join("out.jsonl");
    let asked = ["--format", "jsonl", "--match", "up{job=\"a\"}", "--match", "{__name__=~\"u.*|down\",job=\"\"}"];
    let to = ["--start", range[0], "--end", range[1], "--output", out.to_str().unwrap()];
    assert_eq!(export(&data, &[&asked[..], &to[..]].concat()), "");
    let wanted = format!(
        "{{\"metric\":{{\"__name__\":\"down\"}},\"timestamps\":[{second}000],\"values\":[1.0]}}\n\
         {{\"metric\":{{\"__name__\":\"down\"}},\"exemplars\":[{{\"timestamp\":{second}000,\"value\":0.5,\"labels\":{{\"trace_id\":\"x\"}}}}]}}\n\
         {{\"metric\":{{\"__name__\":\"up\",\"job\":\"a\"}},\"timestamps\":[{second}000,{}000],\"values\":[1.0,\"NaN\"]}}\n",
        second + 1
    );
    assert_eq!(std::fs::read_to_string(&out).unwrap(), wanted);
    assert_eq!(export(&data, &["--end", "1"]), "# EOF\n");
}

#[test]
fn json_lines_go_into_a_folder_and_a_server_and_come_out_alike() {
    let dir = tempfile::tempdir().unwrap();
    let (file, folder, served) = (dir.path().join("file.jsonl"), dir.path().join("folder"), dir.path().join("served"));
    let at = now_ms() - 100_000;
    let histogram = format!(
        "{{\"timestamp\":{at},\"start\":5,\"gauge\":true,\"schema\":1,\"count\":3.0,\"sum\":0.1,\"zero_threshold\":0.001,\
         \"zero_count\":1.0,\"positive_spans\":[[-2,2]],\"positive_buckets\":[1.0,1.0],\"negative_spans\":[],\
         \"negative_buckets\":[]}}"
    );
    let lines = format!(
        "{{\"metric\":{{\"__name__\":\"both\",\"\u{fc}.x\":\"a\\\"b\"}},\"timestamps\":[{},{at}],\"values\":[0.1,\"stale\"],\"starts\":[0,7]}}\n\
         {{\"metric\":{{\"__name__\":\"latency\"}},\"histograms\":[{histogram}]}}\n\
         {{\"metric\":{{\"__name__\":\"latency\"}},\"exemplars\":[{{\"timestamp\":{at},\"value\":1.0,\"labels\":{{\"id\":\"1\"}}}}]}}\n",
        at - 1
    );
    // What VictoriaMetrics writes has its columns in another order, and null for what is no number.
    let of_others =
        format!("\n{{\"metric\":{{\"__name__\":\"vm\"}},\"values\":[1,null],\"timestamps\":[{},{at}]}}\n", at - 1);
    std::fs::write(&file, format!("{lines}{of_others}")).unwrap();
    let args = ["--format", "jsonl", file.to_str().unwrap()];
    let done = mytsdb(&[&["import", "--data-dir", folder.to_str().unwrap()], &args[..]].concat());
    assert_eq!(text(&done.stdout), "5 samples stored, 0 refused, 0 lines not read\n", "{}", text(&done.stderr));
    let wanted = format!(
        "{lines}{{\"metric\":{{\"__name__\":\"vm\"}},\"timestamps\":[{},{at}],\"values\":[1.0,\"NaN\"]}}\n",
        at - 1
    );
    let asked = ["--format", "jsonl", "--match", "{__name__=~\"both|latency|vm\"}"];
    assert_eq!(export(&folder, &asked), wanted);

    let server = Server::start(&served);
    let done = mytsdb(&[&["import", "--url", &server.url], &args[..]].concat());
    assert_eq!(text(&done.stdout), "5 samples stored, 0 refused, 0 lines not read\n", "{}", text(&done.stderr));
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let bad = format!(
        "{{\"metric\":{{\"__name__\":\"old\"}},\"timestamps\":[1,{at}],\"values\":[1,2]}}\n{{\"metric\"\n\
         {{\"metric\":{{}},\"timestamps\":[1],\"values\":[1]}}\n"
    );
    let mut answer = agent.post(format!("{}/api/v1/import", server.url)).send(bad).unwrap();
    let said = answer.body_mut().read_to_string().unwrap();
    assert_eq!(answer.status().as_u16(), 400);
    for part in [
        "line 2: EOF while parsing",
        "line 3: a series without labels",
        "line 1: timestamp is older than the retention (--retention)",
        "3 lines were refused, 1 samples are stored\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    drop(server);
    assert_eq!(export(&served, &asked), wanted);
}

#[test]
fn wrong_lines_are_named_and_the_others_stored() {
    let dir = tempfile::tempdir().unwrap();
    let (file, data) = (dir.path().join("file.om"), dir.path().join("data"));
    let second = now_ms() / 1_000 - 100;
    std::fs::write(&file, format!("up 1 {second}\nup{{ 1\nup 1 1\nup 2 {second}\n")).unwrap();
    let done = mytsdb(&["import", "--data-dir", data.to_str().unwrap(), file.to_str().unwrap()]);
    let said = text(&done.stderr);
    assert!(!done.status.success());
    for part in ["file.om: line 2, column 5: expected the name of a label", "does not end with # EOF"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    for part in ["line 3: timestamp is older than the retention (--retention), which is 15d", "line 4: a sample with"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert_eq!(export(&data, &[]), format!("# TYPE up unknown\nup 1.0 {second}.000\n# EOF\n"));
    let missing = mytsdb(&["import", "--data-dir", data.to_str().unwrap(), "/nonexistent.om"]);
    assert!(text(&missing.stderr).contains("/nonexistent.om"));
    let selector = mytsdb(&["export", "--data-dir", data.to_str().unwrap(), "--match", "up{"]);
    assert!(text(&selector.stderr).contains("--match up{"), "{}", text(&selector.stderr));
}

/// A running server; killed at the end.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(data: &Path) -> Self {
        const ANY: &str = "127.0.0.1:0";
        let mut child = Command::new(env!("CARGO_BIN_EXE_mytsdb"))
            .args(["--http-listen", ANY, "--otlp-grpc-listen", ANY, "--otlp-http-listen", ANY, "--data-dir"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = |line: String| line.trim().strip_prefix("plot and query").map(|url| url.trim().to_owned());
        let url = lines.map_while(Result::ok).find_map(url).unwrap();
        Self { child, url: url.trim_end_matches('/').to_owned() }
    }

    fn get(&self, path: &str) -> String {
        ureq::get(format!("{}{path}", self.url)).call().unwrap().body_mut().read_to_string().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_running_server_takes_files_and_text_and_has_them_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let (file, data) = (dir.path().join("file.om"), dir.path().join("data"));
    let second = now_ms() / 1_000 - 8 * 86_400;
    let lines = format!(
        "# TYPE old gauge\n# HELP old As old as the hills.\nold 1.5 {second} # {{trace_id=\"t\"}} 0.5\n# EOF\n"
    );
    std::fs::write(&file, lines).unwrap();
    let server = Server::start(&data);
    let done = mytsdb(&["import", "--url", &server.url, file.to_str().unwrap()]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(text(&done.stdout), "1 samples stored, 0 refused, 0 lines not read\n");
    let url = format!("{}/api/v1/import/prometheus", server.url);
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(format!("fresh 1\nfresh{{x=\"y\"}} 2 {second}123\nwrong{{\nold 1.5 1\n").as_bytes()).unwrap();
    let mut answer = agent.post(&url).header("content-encoding", "gzip").send(&gzip.finish().unwrap()[..]).unwrap();
    assert_eq!(answer.status().as_u16(), 400);
    let said = answer.body_mut().read_to_string().unwrap();
    let wanted = "line 3, column 7: expected the name of a label\n\
                  line 4: timestamp is older than the retention (--retention)\n\
                  2 lines were refused, 2 samples are stored\n";
    assert_eq!(said, wanted);
    assert_eq!(agent.get(&url).call().unwrap().status().as_u16(), 405);
    assert_eq!(agent.post(&url).send("# nothing\n").unwrap().status().as_u16(), 204);
    assert_eq!(agent.post(&url).header("content-encoding", "br").send("x 1").unwrap().status().as_u16(), 415);
    let check = |server: &Server| {
        assert!(server.get(&format!("/api/v1/query?query=old&time={second}")).contains("\"1.5\"]"));
        assert!(server.get(&format!("/api/v1/query?query=fresh&time={second}.2")).contains(",\"2\"]"));
        assert!(server.get("/api/v1/query?query=fresh{x=%22%22}").contains(",\"1\"]"));
        assert!(server.get("/api/v1/metadata?metric=old").contains("As old as the hills."));
        assert!(server.get("/api/v1/query_exemplars?query=old").contains("\"trace_id\":\"t\""));
    };
    check(&server);
    drop(server);
    check(&Server::start(&data));
}
