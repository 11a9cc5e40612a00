//! The tables that are made of what each part found.

use serde_json::{Map, Value};

use super::table::{Better, Row, Table, id};
use Better::{Higher, Lower, Neither};

/// A figure of a report: what it is called, where it is, and how it is judged.
type Figure = (&'static str, &'static str, Better);

/// Of the ingest benchmark.
const INGEST: [Figure; 9] = [
    ("samples acknowledged a second", "samples_per_second", Higher),
    ("new series a second", "new_series_per_second", Higher),
    ("server CPU seconds a million samples", "cpu_seconds_per_million", Lower),
    ("server CPU seconds a million new series", "cpu_seconds_per_million_new_series", Lower),
    ("memory at the end, bytes a series", "rss_bytes_per_series", Lower),
    ("memory at its peak, bytes", "peak_rss_bytes", Lower),
    ("bytes on disk, log and blocks", "disk_bytes", Lower),
    ("ready again after a kill -9, s", "restart_seconds", Lower),
    ("acknowledged samples that the kill -9 cost", "lost_samples", Lower),
];

/// Of real scrapes.
const DISK: [Figure; 6] = [
    ("bytes a sample after compaction, blocks and indexes", "compacted_bytes_per_sample", Lower),
    ("bytes of everything on disk after compaction", "compacted_disk_bytes", Lower),
    ("samples acknowledged in all", "acknowledged_samples", Neither),
    ("samples acknowledged a second", "samples_per_second", Higher),
    ("server CPU seconds a million samples", "cpu_seconds_per_million", Lower),
    ("ready again after a kill -9, s", "restart_seconds", Lower),
];

/// Of the cluster.
const K8S: [Figure; 8] = [
    ("samples acknowledged a second", "samples_per_second", Higher),
    ("queries answered a second", "queries_per_second", Higher),
    ("server CPU seconds a million samples, queries included", "cpu_seconds_per_million", Lower),
    ("memory at the end, bytes a series", "rss_bytes_per_series", Lower),
    ("memory at its peak, bytes", "peak_rss_bytes", Lower),
    ("bytes on disk, log and blocks", "disk_bytes", Neither),
    ("samples acknowledged in all", "acknowledged_samples", Neither),
    ("ready again after a kill -9, s", "restart_seconds", Lower),
];

/// A distribution of a report: what it is called, and where it is.
type Times = (&'static str, &'static str);
const ACK: Times = ("acknowledged after, ms", "ack_us");
const HOT: Times = ("hot answers after, ms", "hot_us");
const COLD: Times = ("cold answers after, ms", "cold_us");

/// The tables of a part.
pub(super) fn of(part: &str, found: &Value) -> Vec<Table> {
    match part {
        "ingest" => ingest(found),
        "simulate" => simulate(found),
        "query" => query(found),
        "disk" => found.as_object().map_or_else(Vec::new, |targets| {
            vec![reports("disk", "Scrapes of a node_exporter", targets, &DISK, &[ACK])]
        }),
        "k8s" => found.as_object().map_or_else(Vec::new, k8s),
        "core" => core(found),
        _ => Vec::new(),
    }
}

fn ingest(found: &Value) -> Vec<Table> {
    let sizes = found["sizes"].as_object().into_iter().flatten();
    let table =
        |(title, targets): (&String, &Value)| Some(reports("ingest", title, targets.as_object()?, &INGEST, &[ACK]));
    sizes.filter_map(table).collect()
}

/// What arithmetic says, beside what was measured; and what it says of more than was.
fn simulate(found: &Value) -> Vec<Table> {
    let quantities = found["quantities"].as_object().into_iter().flatten();
    let row = |(name, quantity): (&String, &Value)| {
        let formula = ["fixed", "per_series", "per_sample"].map(|key| quantity["formula"][key].as_f64());
        let compared = ["predicted", "measured"].map(|key| quantity[key].as_f64());
        let percent = quantity["off"].as_f64().map(|off| off * 100.0);
        let cells = formula.into_iter().chain(compared).chain([percent]).collect();
        Row { id: id(&["simulate", name]), name: format!("{name}, bytes"), better: Neither, cells }
    };
    let columns = ["fixed", "a series", "a sample", "predicted", "measured", "off by, %"];
    let measured = found["measured_series"].as_u64().unwrap_or_default();
    let rounds = found["rounds"].as_u64().unwrap_or_default();
    let formula = Table {
        title: format!("{measured} series x {rounds} samples, predicted and measured"),
        what: "quantity",
        columns: columns.map(str::to_owned).into(),
        rows: quantities.map(row).collect(),
    };
    let paper = found["paper"].as_object().into_iter().flatten();
    let row = |(name, value): (&String, &Value)| Row {
        id: id(&["simulate paper", name]),
        name: name.replace('_', " "),
        better: Neither,
        cells: vec![value.as_f64()],
    };
    let paper = Table {
        title: "The asked number of series, a sample of each at every 15 s, on paper".to_owned(),
        what: "figure",
        columns: vec!["mytsdb".to_owned()],
        rows: paper.map(row).collect(),
    };
    vec![formula, paper]
}

/// A column for each report, a row for each figure.
fn reports(part: &str, title: &str, targets: &Map<String, Value>, figures: &[Figure], times: &[Times]) -> Table {
    let cells = |of: &dyn Fn(&Value) -> Option<f64>| targets.values().map(of).collect::<Vec<_>>();
    let row = |name: String, better: Better, cells: Vec<Option<f64>>| Row {
        id: id(&[part, title, &name]),
        name,
        better,
        cells,
    };
    let mut rows: Vec<Row> = figures
        .iter()
        .map(|(name, key, better)| row((*name).to_owned(), *better, cells(&|report| report[*key].as_f64())))
        .collect();
    for (name, key) in times {
        for (quantile, shown) in [(0.5, "p50"), (0.99, "p99")] {
            let at = |report: &Value| {
                let pair = report[*key].as_array()?.iter().find(|pair| pair[0].as_f64() == Some(quantile))?;
                Some(pair[1].as_f64()? / 1e3)
            };
            rows.push(row(format!("{name}, {shown}"), Lower, cells(&at)));
        }
    }
    Table { title: title.to_owned(), what: "figure", columns: targets.keys().cloned().collect(), rows }
}

fn k8s(targets: &Map<String, Value>) -> Vec<Table> {
    let title = "A cluster, written and asked at once";
    let mut all = reports("k8s", title, targets, &K8S, &[ACK, HOT, COLD]);
    for (name, counts) in
        [("answers that are the model's, of 49", "agrees"), ("answers that are not empty, of 49", "points")]
    {
        let count = |report: &Value| {
            let queries = report["queries"].as_array()?;
            let counted = |query: &&Value| query[counts] == true || query[counts].as_u64().is_some_and(|n| n > 0);
            (!queries.is_empty()).then(|| queries.iter().filter(counted).count() as f64)
        };
        let cells = targets.values().map(count).collect();
        all.rows.push(Row { id: id(&["k8s", name]), name: name.to_owned(), better: Higher, cells });
    }
    let first = targets.values().find_map(|report| report["queries"].as_array());
    let queries = first.into_iter().flatten().enumerate().map(|(number, query)| {
        let of = |report: &Value, key: &str| report["queries"][number][key].as_f64();
        let pair = |report: &Value| [of(report, "median_ms"), of(report, "p99_ms")];
        let cells: Vec<Option<f64>> = targets.values().flat_map(pair).collect();
        (query["query"].as_str().unwrap_or_default().to_owned(), cells)
    });
    let queries: Vec<_> = queries.collect();
    let names = targets.keys();
    vec![all, times("k8s", "Each query under that load, ms", names, queries)]
}

/// A table of a median and a 99th percentile each; who is ahead is said of the medians.
fn times<'a>(
    part: &str,
    title: &str,
    names: impl Iterator<Item = &'a String>,
    queries: Vec<(String, Vec<Option<f64>>)>,
) -> Table {
    let columns: Vec<String> = names.flat_map(|name| [format!("{name} p50"), format!("{name} p99")]).collect();
    let row = |(query, cells): (String, Vec<Option<f64>>)| Row {
        id: id(&[part, &query]),
        name: format!("`{query}`"),
        better: Better::LowerOfPairs,
        cells,
    };
    Table { title: title.to_owned(), what: "query", columns, rows: queries.into_iter().map(row).collect() }
}

fn query(found: &Value) -> Vec<Table> {
    let questions = || found["questions"].as_array().into_iter().flatten();
    let Some(names) = questions().next().and_then(|question| question["times"].as_object()) else {
        return Vec::new();
    };
    let rows = questions().map(|question| {
        let pair = |name: &String| {
            let cell = &question["times"][name];
            [cell["median_ms"].as_f64(), cell["p99_ms"].as_f64()]
        };
        (question["query"].as_str().unwrap_or_default().to_owned(), names.keys().flat_map(pair).collect())
    });
    let mut tables = vec![times("query", "Each query alone, ms", names.keys(), rows.collect())];
    let ratios = [
        ("of all, in terms of mytsdb's without its cache", 0),
        ("of those that dashboards are made of, label lookups as one", 1),
        ("of all, in terms of mytsdb's with its cache", 2),
        ("of those that dashboards are made of, label lookups as one, with its cache", 3),
    ];
    let ratios = ratios.map(|(name, place)| Row {
        id: id(&["query ratio", name]),
        name: name.to_owned(),
        better: Neither,
        cells: names.keys().map(|column| found["ratios"][column][place].as_f64()).collect(),
    });
    tables.push(Table {
        title: "Median of the ratios of medians to mytsdb's".to_owned(),
        what: "queries",
        columns: names.keys().cloned().collect(),
        rows: ratios.into(),
    });
    if let Some(servers) = found["servers"].as_object() {
        let figures = [("memory at rest, bytes", "rss_bytes", Lower), ("more while asked, bytes", "more_bytes", Lower)];
        tables.push(reports("query", "Memory", servers, &figures, &[]));
    }
    tables
}

fn core(found: &Value) -> Vec<Table> {
    let suites = found.as_object().into_iter().flatten();
    let rows = suites.map(|(name, figures)| Row {
        id: id(&["core", name]),
        name: name.clone(),
        better: Neither,
        cells: ["median_ns", "low_ns", "high_ns"].map(|key| figures[key].as_f64()).into(),
    });
    vec![Table {
        title: "Suites beside the crates".to_owned(),
        what: "bench",
        columns: ["median ns", "low", "high"].map(str::to_owned).into(),
        rows: rows.collect(),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn markdown(part: &str, found: &Value) -> String {
        of(part, found).iter().map(Table::markdown).collect()
    }

    #[test]
    fn every_target_has_a_cell_in_every_row() {
        let report = json!({
            "samples_per_second": 5.0, "ack_us": [[0.5, 1500]],
            "queries": [{"query": "a | b", "median_ms": 2.5, "p99_ms": 3.5, "agrees": true, "points": 4}],
        });
        let page = markdown("k8s", &json!({"a": report, "b": {}}));
        assert!(page.contains("samples acknowledged a second | 5.00 | - |"), "{page}");
        assert!(page.contains("acknowledged after, ms, p50 | 1.50 | - |"), "{page}");
        assert!(page.contains("the model's, of 49 | 1.00 | - |"), "{page}");
        assert!(page.contains("`a \\| b` | 2.50 | 3.50 | - | - |"), "{page}");
    }

    #[test]
    fn ingest_has_a_table_for_each_size_and_says_who_is_ahead() {
        let report = |rate: f64, cpu: f64| json!({"samples_per_second": rate, "cpu_seconds_per_million": cpu});
        let found = json!({"sizes": {"100 k": {"a": report(2.0, 3.0), "b": report(1.0, 2.0)}, "1 M": {"a": {}}}});
        let page = markdown("ingest", &found);
        assert!(page.contains("samples acknowledged a second | **2.00** | 1.00 | a |"), "{page}");
        assert!(page.contains("CPU seconds a million samples | 3.00 | **2.00** | b |"), "{page}");
        assert!(page.contains("## 100 k") && page.contains("## 1 M"), "{page}");
    }

    #[test]
    fn medians_of_queries_say_who_is_ahead() {
        let times = json!({"a": {"median_ms": 2.0, "p99_ms": 1.0}, "b": {"median_ms": 1.0, "p99_ms": 9.0}});
        let found =
            json!({"questions": [{"query": "q", "times": times}], "ratios": {"a": [1.0, 1.0], "b": [0.5, null]}});
        let page = markdown("query", &found);
        assert!(page.contains("`q` | 2.00 | 1.00 | **1.00** | 9.00 | b p50 |"), "{page}");
        assert!(page.contains("mytsdb's without its cache | 1.00 | 0.5000 |"), "{page}");
    }

    #[test]
    fn a_prediction_stands_beside_what_was_measured() {
        let memory = json!({
            "formula": {"fixed": 1.0, "per_series": 2.0, "per_sample": 3.0}, "predicted": 110, "measured": 100, "off": 0.1,
        });
        let found =
            json!({"measured_series": 7, "rounds": 4, "quantities": {"memory": memory}, "paper": {"series": 9}});
        let page = markdown("simulate", &found);
        assert!(page.contains("memory, bytes | 1.00 | 2.00 | 3.00 | 110 | 100 | 10.0 |"), "{page}");
        assert!(page.contains("## 7 series x 4 samples") && page.contains("series | 9.00 |"), "{page}");
    }

    #[test]
    fn suites_have_rows() {
        let page = markdown("core", &json!({"g/f": {"median_ns": 5.5, "low_ns": 5, "high_ns": 6}}));
        assert!(page.contains("g/f | 5.50 | 5.00 | 6.00 |"), "{page}");
    }
}
