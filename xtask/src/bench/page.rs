//! The pages of `docs/perf` that are written from what was found.
#![expect(clippy::format_push_string, reason = "a page is written once; what reads best is cheapest")]

use std::path::PathBuf;

use anyhow::Context;
use serde_json::Value;

use super::plot::short;
use super::table::{Row, Table, id};
use super::tables;
use crate::workspace::root;

/// A part, the title of its page, and what is to be known about it.
const PAGES: [(&str, &str, &str); 6] = [
    (
        "ingest",
        "Ingest",
        "OTLP of gauges with two decimals, 1,000 points a request, uncompressed, to each the same bytes over HTTP; over gRPC to mytsdb \
         alone, since no\npeer takes it. The client runs on the same cores. New series are those of the first round; all other figures are \
         of the rounds after it, rates\nare medians of rounds. A time to the ack is the time from sending. After the load all samples are \
         counted and one series is compared in\nfull, the server is killed by `kill -9`, started again, and the samples are counted again.",
    ),
    (
        "simulate",
        "Scale, on paper",
        "Three small runs give what a series, a sample and the server itself cost; the run fails if that arithmetic misses a \
         large run by more than a\nfifth. Bytes of memory and log are those when the load ends, blocks those after its flush. Of \
         the asked number of series the head holds 2 h 15 min\nof samples, a block's and those that are too young for one.",
    ),
    (
        "query",
        "Queries",
        "Every question is asked of each in turn, over HTTP, uncompressed, after a run that is not counted. Answers are compared with \
         Prometheus'\n(relative 1e-9; `topk` by the values of each time, labels as sets); one of mytsdb that differs fails the run. p99 is \
         the slowest where there are\nfewer than 100 runs. mytsdb and VictoriaMetrics are asked with their caches of results and without.",
    ),
    (
        "disk",
        "Disk",
        "A node_exporter's scrapes, 1 s apart and with the jitter of a real one, sent as 12 hosts' scrapes at 15 s, which end six hours \
         ago. Hosts\nbegin at different scrapes, none sends one twice, and counters go on counting. Then the server is\nkilled and started again, a sample of now is sent, and when blocks are written and merged and files do not \
         change any more, they are\nmeasured, and all samples counted again. VictoriaMetrics is not killed, and is asked for a merge.",
    ),
    (
        "k8s",
        "A Kubernetes cluster, written and asked at once",
        "102 metrics of pods, nodes and services, and 49 queries of dashboards, four hot ones for a cold one. 4 connections write as fast \
         as they are\nacknowledged, 4 ask. Then the server is killed in mid-load (VictoriaMetrics is not, it does not promise to survive \
         that), what was acknowledged is\ncounted, and answers are compared with a model's. A peer's answers differ where it means something \
         else by a function.",
    ),
    (
        "core",
        "Suites beside the crates",
        "Criterion's medians with its interval of 95 %, short runs: on a shared machine read differences of 10 % as none. Each suite \
         asserts its\nresults.",
    ),
];

/// Writes the pages of the parts that were run; says which.
pub(super) fn write(found: &Value) -> anyhow::Result<Vec<PathBuf>> {
    let mut written = Vec::new();
    for (part, title, about) in PAGES {
        if found[part].is_null() {
            continue;
        }
        let path = root().join(format!("docs/perf/{part}.md"));
        std::fs::write(&path, page(found, part, title, about)).with_context(|| path.display().to_string())?;
        written.push(path);
    }
    if let Some(figures) = figures(found) {
        let path = root().join("README.md");
        let readme = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let readme = between(&readme, &figures).with_context(|| format!("{}: no place for figures", path.display()))?;
        std::fs::write(&path, readme).with_context(|| path.display().to_string())?;
        written.push(path);
    }
    Ok(written)
}

/// Where the README has figures.
const BEGIN: &str = "<!-- figures of `cargo xtask bench all --peers` -->\n";
const END: &str = "<!-- end of figures -->\n";

/// Rows of the README: part, table, and the row's name.
const CHOSEN: [(&str, &str, &str); 11] = [
    ("ingest", "100,000 series", "samples acknowledged a second"),
    ("ingest", "100,000 series", "server CPU seconds a million samples"),
    ("ingest", "100,000 series", "acknowledged after, ms, p99"),
    ("ingest", "1,000,000 series", "samples acknowledged a second"),
    ("ingest", "1,000,000 series", "server CPU seconds a million samples"),
    ("ingest", "1,000,000 series", "memory at the end, bytes a series"),
    ("ingest", "1,000,000 series", "ready again after a kill -9, s"),
    ("ingest", "1,000,000 series", "acknowledged samples that the kill -9 cost"),
    ("disk", "Scrapes of a node_exporter", "bytes a sample after compaction, blocks and indexes"),
    ("k8s", "A cluster, written and asked at once", "hot answers after, ms, p50"),
    ("k8s", "A cluster, written and asked at once", "hot answers after, ms, p99"),
];

/// The README's table, of a run that has all of it: each row links to the one that it comes from.
fn figures(found: &Value) -> Option<String> {
    let columns = ["mytsdb", "prometheus", "victoriametrics"];
    let mut out = format!(
        "Measured on {}, commit {}:\n\n| | {} | ahead |\n|---|{}---|\n",
        found["machine"].as_str()?,
        found["commit"].as_str()?,
        columns.join(" | "),
        "--:|".repeat(columns.len())
    );
    for (part, title, name) in CHOSEN {
        let tables = tables::of(part, &found[part]);
        let table = tables.iter().find(|table| table.title == title)?;
        let row = table.rows.iter().find(|row| row.name == name)?;
        let cell = |column: &&str| row.cells[table.columns.iter().position(|known| known == *column)?];
        let cells: Vec<Option<f64>> = columns.iter().map(cell).collect();
        let shown: Vec<String> = cells.iter().map(|cell| cell.map_or_else(|| "-".to_owned(), short)).collect();
        let own = Row { id: String::new(), name: String::new(), better: row.better, cells };
        let ahead = own.best().map_or("", |column| columns[column]);
        let prefix = if part == "ingest" { format!("{title}: ") } else { String::new() };
        out += &format!("| [{prefix}{name}](docs/perf/{part}.md#{}) | {} | {ahead} |\n", row.id, shown.join(" | "));
    }
    let ratios = &found["query"]["ratios"];
    let ratio = |name: &str, place: usize| ratios[name][place].as_f64();
    let rows = [
        ("queries asked for the first time", "of all, in terms of mytsdb's without its cache", 0, "victoria, no cache"),
        ("queries asked again", "of all, in terms of mytsdb's with its cache", 2, "victoria"),
    ];
    for (shown, name, place, victoria) in rows {
        let theirs = [ratio("prometheus", place), ratio(victoria, place)];
        let ahead = if theirs[1].is_some_and(|ratio| ratio < 1.0) { "victoriametrics" } else { "mytsdb" };
        let [prometheus, victoria] = theirs.map(|ratio| ratio.map_or_else(|| "-".to_owned(), short));
        let link = format!("docs/perf/query.md#{}", id(&["query ratio", name]));
        out += &format!(
            "| [{shown}, median of times in terms of mytsdb's]({link}) | 1 | {prometheus} | {victoria} | {ahead} |\n"
        );
    }
    Some(out)
}

/// A text with `new` between the marks.
fn between(text: &str, new: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{new}{END}{after}"))
}

fn page(found: &Value, part: &str, title: &str, about: &str) -> String {
    let text = |name: &str| found[name].as_str().unwrap_or_default();
    let mut out = format!(
        "# {title}\n\n`cargo xtask bench {part} --peers` writes this page; [README.md](README.md) says how, \
         [peers.md](peers.md) with which settings. {about}\n\nMachine: {}. Commit: {}.\n\n",
        text("machine"),
        text("commit")
    );
    let failed = found["failed"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for failure in failed {
        out += &format!("**Failed**: {}\n\n", failure.replace('\n', " "));
    }
    let said = versions(&found[part]);
    for line in &said {
        out += &format!("- {line}\n");
    }
    if !said.is_empty() {
        out += "\n";
    }
    out += &tables::of(part, &found[part]).iter().map(Table::markdown).collect::<String>();
    out.truncate(out.trim_end().len());
    out + "\n"
}

/// What each that was measured calls itself, and how it was loaded.
pub(super) fn versions(found: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    collect("", found, &mut lines);
    lines
}

fn collect(name: &str, value: &Value, lines: &mut Vec<String>) {
    if let Some(version) = value["version"].as_str() {
        let setting = value["setting"].as_str().map_or_else(String::new, |setting| format!("; {setting}"));
        lines.push(format!("{name}: {version}{setting}"));
    } else if let Some(fields) = value.as_object() {
        if let Some(setting) = fields.get("setting").and_then(Value::as_str) {
            lines.push(setting.to_owned());
        }
        fields.iter().filter(|(_, value)| value.is_object()).for_each(|(name, value)| collect(name, value, lines));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_readme_has_figures_that_link_to_their_rows() {
        let report = json!({
            "samples_per_second": 5.0, "cpu_seconds_per_million": 1.0, "ack_us": [[0.99, 1500]], "rss_bytes_per_series": 9.0,
            "restart_seconds": 1.0, "lost_samples": 0, "compacted_bytes_per_sample": 0.5, "hot_us": [[0.5, 100], [0.99, 200]],
        });
        let all = json!({"mytsdb": report, "prometheus": {"samples_per_second": 6.0}});
        let found = json!({
            "machine": "m", "commit": "c", "disk": all, "k8s": all,
            "ingest": {"sizes": {"100,000 series": all, "1,000,000 series": all}},
            "query": {"ratios": {"prometheus": [20.0, 1.0, 40.0], "victoria": [0.25, 1.0, 0.5], "victoria, no cache": [8.0]}},
        });
        let figures = figures(&found).unwrap();
        let row = "| [1,000,000 series: samples acknowledged a second](docs/perf/ingest.md#ingest-1-000-000-series-samples-\
                   acknowledged-a-second) | 5.00 | 6.00 | - | prometheus |";
        assert!(figures.contains(row), "{figures}");
        for row in
            ["first time, median of times in terms of mytsdb's](docs/perf/query.md#", ") | 1 | 20.0 | 8.00 | mytsdb |"]
        {
            assert!(figures.contains(row), "{figures}");
        }
        assert!(figures.contains(") | 1 | 40.0 | 0.5000 | victoriametrics |"), "{figures}");
        let page = super::page(&found, "ingest", "", "");
        assert!(page.contains("<a id=\"ingest-1-000-000-series-samples-acknowledged-a-second\"></a>"), "{page}");
        let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
        assert!(between(&readme, &figures).unwrap().contains(row));
        assert!(super::figures(&json!({"machine": "m", "commit": "c"})).is_none());
    }

    #[test]
    fn a_page_names_machine_versions_and_settings() {
        let report = json!({"version": "1.0", "setting": "fast", "samples_per_second": 5.0});
        let found = json!({"machine": "m", "commit": "c", "ingest": {"sizes": {"few": {"a": report}}}});
        let page = page(&found, "ingest", "Ingest", "About.");
        assert!(page.contains("Machine: m. Commit: c.") && page.contains("- a: 1.0; fast\n"), "{page}");
        assert!(page.contains("## few") && page.ends_with("|\n"), "{page}");
    }
}
