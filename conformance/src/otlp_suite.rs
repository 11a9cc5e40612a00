//! The tables of OTLP translation: names, labels, bucket layouts, points, temporality, whole requests.

use crate::score::{Options, Score, files, read};
use anyhow::Context;
use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};
use mytsdb_model::{LABEL_NAME, Labels, SeriesRef, companion_times};
use mytsdb_otlp::histograms::{custom_layout, exponential_layout};
use mytsdb_otlp::{
    DeltaMode, Exemplar, LabelNamer, NameKind, Options as Translation, Promotion, Refused, Sink, TargetInfo,
    TranslationStrategy, Translator, metadata_unit, metric_name,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Bytes of a request that are enough for every case.
const REQUEST_BYTES_MAX: usize = 16 << 20;

/// Runs every table in `dir`.
pub fn run(dir: &Path, options: &Options) -> anyhow::Result<Score> {
    let mut score = Score::default();
    for (name, path) in files(dir, "json", options)? {
        let table: Value = serde_json::from_str(&read(&path)?)?;
        let check: fn(&Value) -> Result<(), String> = match name.as_str() {
            "bucket_layout.json" => bucket_layout,
            "create_attributes.json" => attributes,
            "data_points.json" | "temporality.json" => points,
            "histogram_points.json" => histogram_point,
            "label_namer.json" => label_name,
            "metric_namer.json" => name_and_unit,
            "write_handler.json" => whole_request,
            other => anyhow::bail!("unknown table {other}"),
        };
        let mut file = Score::default();
        for case in table["cases"].as_array().with_context(|| format!("{name} has no cases"))? {
            file.check(options, &format!("{name} {}", text(&case["name"])), &check(case));
        }
        score.file(&name, file);
    }
    Ok(score)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(|v| text(v).to_owned()).collect()
}

#[expect(clippy::needless_pass_by_value, reason = "what is compared is often made for it")]
fn equal<T: PartialEq + std::fmt::Debug>(what: &str, want: T, got: T) -> Result<(), String> {
    if want == got { Ok(()) } else { Err(format!("{what}: expected {want:?}, got {got:?}")) }
}

fn strategy(utf8: bool, suffixes: bool) -> TranslationStrategy {
    match (utf8, suffixes) {
        (false, true) => TranslationStrategy::UnderscoreEscapingWithSuffixes,
        (false, false) => TranslationStrategy::UnderscoreEscapingWithoutSuffixes,
        (true, true) => TranslationStrategy::NoUtf8EscapingWithSuffixes,
        (true, false) => TranslationStrategy::NoTranslation,
    }
}

fn name_and_unit(case: &Value) -> Result<(), String> {
    let strategy = strategy(flag(&case["utf8_allowed"]), flag(&case["with_suffixes"]));
    let metric = &case["metric"];
    let kind = match text(&metric["type"]) {
        "monotonic_counter" => NameKind::MonotonicSum,
        "gauge" => NameKind::Gauge,
        _ => NameKind::Other,
    };
    let (name, unit) = (text(&metric["name"]), text(&metric["unit"]));
    let got = metric_name(strategy, text(&case["namespace"]), name, unit, kind);
    match text(&case["want_error"]) {
        "" => {
            equal("name", Ok(text(&case["want_metric_name"])), got.as_deref())?;
            match case["want_unit_name"].as_str() {
                Some(want) => equal("unit", want.to_owned(), metadata_unit(strategy, unit)),
                None => Ok(()),
            }
        }
        error => equal("name", Err(error.to_owned()), got),
    }
}

fn label_name(case: &Value) -> Result<(), String> {
    let namer = LabelNamer {
        utf8_allowed: flag(&case["utf8_allowed"]),
        underscore_sanitization: flag(&case["underscore_label_sanitization"]),
        preserve_multiple_underscores: flag(&case["preserve_multiple_underscores"]),
    };
    let got = namer.name(text(&case["label"]));
    match text(&case["want_error"]) {
        "" => equal("label", Ok(text(&case["want"])), got.as_deref()),
        error => equal("label", Err(error.to_owned()), got),
    }
}

fn spans(value: &Value) -> Vec<Span> {
    let span = |pair: &Value| Span {
        offset: pair[0].as_i64().unwrap_or(0) as i32,
        length: pair[1].as_u64().unwrap_or(0) as u32,
    };
    list(value).iter().map(span).collect()
}

/// Deltas between neighbours to counts.
fn counts(value: &Value) -> Vec<f64> {
    let add = |sum: &mut i64, delta: &Value| {
        *sum += delta.as_i64().unwrap_or(0);
        Some(*sum as f64)
    };
    list(value).iter().scan(0, add).collect()
}

fn bucket_layout(case: &Value) -> Result<(), String> {
    let numbers = |value: &Value| -> Vec<u64> { list(value).iter().filter_map(Value::as_u64).collect() };
    let got = if flag(&case["adjust_offset"]) {
        let scale_down = case["scale_down"].as_u64().unwrap_or(0) as u32;
        exponential_layout(case["offset"].as_i64().unwrap_or(0) as i32, numbers(&case["bucket_counts"]), scale_down)
    } else {
        custom_layout(numbers(&case["bucket_counts_full"]))
    };
    equal("layout", (spans(&case["want_spans"]), counts(&case["want_deltas"])), got)
}

/// A sample of either kind with everything the tables say of it.
#[derive(Debug, PartialEq)]
struct Row {
    labels: Labels,
    timestamp_ms: i64,
    start_ms: i64,
    /// The bits of a float.
    value: Option<u64>,
    histogram: Option<FloatHistogram>,
    /// Labels, bits of the value, and the time.
    exemplars: Vec<(Labels, u64, Option<i64>)>,
}

/// Keeps everything; series get ascending references.
#[derive(Default)]
struct Rows {
    series: Vec<Labels>,
    all: Vec<Row>,
    point_start: usize,
    resource_start: usize,
}

impl Rows {
    fn push(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64) -> &mut Row {
        let labels = self.labels(series);
        self.all.push(Row { labels, timestamp_ms, start_ms, value: None, histogram: None, exemplars: Vec::new() });
        let last = self.all.len() - 1;
        &mut self.all[last]
    }

    fn labels(&self, series: SeriesRef) -> Labels {
        self.series[series.0 as usize - 1].clone()
    }
}

impl Sink for Rows {
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, Refused> {
        let index = self.series.iter().position(|known| known == labels).unwrap_or_else(|| {
            self.series.push(labels.clone());
            self.series.len() - 1
        });
        Ok(SeriesRef(index as u64 + 1))
    }

    fn touch(&mut self, _: SeriesRef) -> bool {
        true
    }

    fn append(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64, value: f64) {
        self.push(series, timestamp_ms, start_ms).value = Some(value.to_bits());
    }

    fn append_delta(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64, value: f64) {
        self.append(series, timestamp_ms, start_ms, value);
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        timestamp_ms: i64,
        start_ms: i64,
        histogram: FloatHistogram,
        _: bool,
    ) -> Result<(), Refused> {
        self.push(series, timestamp_ms, start_ms).histogram = Some(histogram);
        Ok(())
    }

    fn wants_exemplars(&self) -> bool {
        true
    }

    fn append_exemplar(&mut self, exemplar: Exemplar) {
        let labels = self.labels(exemplar.series);
        let row = self.all[self.point_start..].iter_mut().find(|row| row.labels == labels);
        if let Some(row) = row {
            row.exemplars.push((exemplar.labels, exemplar.value.to_bits(), exemplar.timestamp_ms));
        }
    }

    fn end_point(&mut self) {
        self.point_start = self.all.len();
    }

    /// Writes `target_info` as a store does that accepts every point.
    fn end_resource(&mut self, target_info: Option<TargetInfo>) {
        if let Some(TargetInfo { series, step_ms }) = target_info {
            let mut times: Vec<i64> = self.all[self.resource_start..].iter().map(|row| row.timestamp_ms).collect();
            times.sort_unstable();
            times.dedup();
            let mut due = Vec::new();
            companion_times(&times, step_ms, &mut 1_000, |_| true, |time| due.push(time));
            for time in due {
                self.append(series, time, 0, 1.0);
            }
            self.point_start = self.all.len();
        }
        self.resource_start = self.all.len();
    }
}

/// What became of a request.
struct Outcome {
    rows: Vec<Row>,
    /// Why points were refused.
    refused: Vec<String>,
    warnings: Vec<String>,
}

fn translate(translator: &Translator, request: &Value) -> Result<Outcome, String> {
    // The tables write infinity as Go does; protobuf's JSON has another word.
    let request = request.to_string().replace("\"+Inf\"", "\"Infinity\"").replace("\"-Inf\"", "\"-Infinity\"");
    let bytes = request.into_bytes();
    let request = mytsdb_otlp_json::transcode(&bytes, REQUEST_BYTES_MAX).map_err(|error| error.to_string())?;
    let mut sink = Rows::default();
    let out = translator.translate(&request, 0, &mut sink).map_err(|error| error.to_string())?;
    Ok(Outcome { rows: sink.all, refused: out.refused.messages().to_vec(), warnings: out.warnings })
}

/// Attributes as OTLP has them, of a JSON object of texts.
fn key_values(object: &Value, leave_out: &[String]) -> Value {
    let pairs = object.as_object().into_iter().flatten().filter(|(key, _)| !leave_out.contains(key));
    pairs.map(|(key, value)| json!({"key": key, "value": {"stringValue": value}})).collect()
}

fn attributes(case: &Value) -> Result<(), String> {
    let settings = &case["settings"];
    let promotion = if flag(&settings["promote_all_resource_attributes"]) {
        Promotion::AllExcept(texts(&settings["ignore_resource_attributes"]))
    } else {
        Promotion::Only(texts(&settings["promote_resource_attributes"]))
    };
    let utf8 = flag(&settings["utf8_allowed"]);
    let options = Translation {
        strategy: strategy(utf8, false),
        promotion,
        promote_scope_metadata: flag(&settings["promote_scope_metadata"]),
        label_name_underscore_sanitization: flag(&settings["label_name_underscore_sanitization"]),
        label_name_preserve_multiple_underscores: flag(&settings["label_name_preserve_multiple_underscores"]),
        target_info: false,
        ..Translation::default()
    };
    let scope = &case["scope"];
    // The attributes that are to be left out say what another caller does with the same rules: he passes fewer.
    let request = json!({"resourceMetrics": [{
        "resource": {"attributes": key_values(&case["resource_attributes"], &[])},
        "scopeMetrics": [{
            "scope": {
                "name": scope["name"], "version": scope["version"],
                "attributes": key_values(&scope["attributes"], &[]),
            },
            "schemaUrl": scope["schemaURL"],
            "metrics": [{"name": case["metric_name"], "gauge": {"dataPoints": [{
                "attributes": key_values(&case["attributes"], &texts(&case["ignore_attrs"])),
                "asDouble": 1.0,
            }]}}],
        }],
    }]});
    let outcome = translate(&Translator::new(options), &request)?;
    let [row] = &outcome.rows[..] else {
        return Err(format!("{} rows, refused: {:?}", outcome.rows.len(), outcome.refused));
    };
    let want = labels(&case["expected_labels"]);
    equal("labels", &want, &row.labels)?;
    let (mut want, mut got) = (texts(&case["expected_warnings_any_order"]), outcome.warnings);
    want.sort();
    got.sort();
    equal("warnings", want, got)
}

/// The labels of an object; the name of a Go constant stands in some tables where its value was meant.
fn labels(object: &Value) -> Labels {
    let pairs: BTreeMap<&str, &str> = object
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| (if name == "model.BucketLabel" { "le" } else { name.as_str() }, text(value)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    Labels::from_pairs(pairs)
}

fn histogram(value: &Value) -> FloatHistogram {
    let number = |key: &str| value[key].as_f64().unwrap_or(0.0);
    FloatHistogram {
        counter_reset_hint: match text(&value["counter_reset_hint"]) {
            "gauge" => CounterResetHint::Gauge,
            "reset" | "counter_reset" => CounterResetHint::CounterReset,
            "not_reset" | "not_counter_reset" => CounterResetHint::NotCounterReset,
            _ => CounterResetHint::Unknown,
        },
        schema: value["schema"].as_i64().unwrap_or(0) as i32,
        zero_threshold: number("zero_threshold"),
        zero_count: number("zero_count"),
        count: number("count"),
        sum: number("sum"),
        positive_spans: spans(&value["positive_spans"]),
        negative_spans: spans(&value["negative_spans"]),
        positive_buckets: counts(&value["positive_deltas"]),
        negative_buckets: counts(&value["negative_deltas"]),
        custom_values: list(&value["custom_values"]).iter().filter_map(Value::as_f64).collect(),
    }
}

fn row(sample: &Value) -> Row {
    let exemplar = |e: &Value| {
        let at = flag(&e["has_ts"]).then(|| e["ts_ms"].as_i64().unwrap_or(0));
        (labels(&e["labels"]), e["value"].as_f64().unwrap_or(0.0).to_bits(), at)
    };
    Row {
        labels: labels(&sample["labels"]),
        timestamp_ms: sample["t_ms"].as_i64().unwrap_or(0),
        start_ms: sample["st_ms"].as_i64().unwrap_or(0),
        value: sample["value"].as_f64().map(f64::to_bits),
        histogram: sample.get("histogram").map(histogram),
        exemplars: list(&sample["exemplars"]).iter().map(exemplar).collect(),
    }
}

/// Compares every row, and the metadata that the table says of it.
fn check(case: &Value, options: Translation) -> Result<(), String> {
    let translator = Translator::new(options);
    let outcome = translate(&translator, &case["request"])?;
    match text(&case["expected_error"]) {
        "" => equal("refused", Vec::new(), outcome.refused)?,
        error => {
            // Where the table has an error for the whole request, a warning about an empty metric is enough here.
            let said = [outcome.refused, outcome.warnings].concat();
            if !said.iter().any(|message| message.contains(error)) {
                return Err(format!("expected {error:?}, got {said:?}"));
            }
        }
    }
    let expected = list(&case["expected_samples"]);
    equal("rows", expected.iter().map(row).collect(), outcome.rows)?;
    for sample in expected.iter().filter(|sample| sample.get("metadata").is_some()) {
        let (family, want) = (text(&sample["metric_family"]), &sample["metadata"]);
        let known = translator.metadata().get(family).ok_or_else(|| format!("nothing is known of {family}"))?;
        let known = (known.kind.as_str(), known.unit.as_str(), known.help.as_str());
        equal(family, (text(&want["type"]), text(&want["unit"]), text(&want["help"])), known)?;
    }
    Ok(())
}

/// The settings of tables that do not translate names. A number without a value is 0 there.
fn plain() -> Translation {
    Translation {
        strategy: TranslationStrategy::UnderscoreEscapingWithoutSuffixes,
        label_name_underscore_sanitization: false,
        label_name_preserve_multiple_underscores: false,
        missing_value_is_zero: true,
        ..Translation::default()
    }
}

fn points(case: &Value) -> Result<(), String> {
    let settings = &case["settings"];
    let options = Translation {
        promote_scope_metadata: flag(&settings["promote_scope_metadata"]),
        delta: if flag(&settings["allow_delta_temporality"]) { DeltaMode::Keep } else { DeltaMode::Refuse },
        custom_bucket_histograms: flag(&settings["convert_histograms_to_nhcb"]),
        ..plain()
    };
    check(case, options)
}

fn whole_request(case: &Value) -> Result<(), String> {
    let config = &case["config"];
    let strategy = match text(&config["translation_strategy"]) {
        "NoTranslation" => TranslationStrategy::NoTranslation,
        "NoUTF8EscapingWithSuffixes" => TranslationStrategy::NoUtf8EscapingWithSuffixes,
        "UnderscoreEscapingWithoutSuffixes" => TranslationStrategy::UnderscoreEscapingWithoutSuffixes,
        "UnderscoreEscapingWithSuffixes" => TranslationStrategy::UnderscoreEscapingWithSuffixes,
        other => return Err(format!("unknown strategy {other}")),
    };
    let options = Translation {
        strategy,
        label_name_underscore_sanitization: flag(&config["label_name_underscore_sanitization"]),
        label_name_preserve_multiple_underscores: flag(&config["label_name_preserve_multiple_underscores"]),
        type_and_unit_labels: flag(&case["type_and_unit_labels"]),
        ..plain()
    };
    check(case, options)
}

fn histogram_point(case: &Value) -> Result<(), String> {
    let (data, custom) = match text(&case["kind"]) {
        "exponential" => ("exponentialHistogram", false),
        "explicit_to_nhcb" => ("histogram", true),
        other => return Err(format!("unknown kind {other}")),
    };
    let metric = json!({"name": "m", data: {"aggregationTemporality": 2, "dataPoints": [case["data_point"]]}});
    let request = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]});
    let options = Translation { custom_bucket_histograms: custom, ..plain() };
    let outcome = translate(&Translator::new(options), &request)?;
    match text(&case["want_error_contains"]) {
        "" => {
            let got = outcome.rows.first().and_then(|row| row.histogram.as_ref());
            equal("name", Some("m"), outcome.rows.first().and_then(|row| row.labels.get(LABEL_NAME)))?;
            equal("histogram", Some(&histogram(&case["want"])), got)
        }
        error if outcome.refused.iter().any(|message| message.contains(error)) => equal("rows", 0, outcome.rows.len()),
        error => Err(format!("expected {error:?}, got {:?}", outcome.refused)),
    }
}
