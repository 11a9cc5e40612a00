//! Prometheus' own cases as data, from `shared/conformance/otlp-tables` beside the checkout.
//!
//! Left out, with a printed line: native histograms (exponential points and custom buckets) and what the tables say of
//! them (`bucket_layout`, `histogram_points`), exemplars, start timestamps, and lists of ignored attributes, which
//! Prometheus passes internally and no sender can.

use crate::label_name::LabelNamer;
use crate::labels::{LabelRules, LabelsError, ResourceLabels, point_labels, scope_labels};
use crate::metric_name::{NameKind, metadata_unit, metric_name};
use crate::tests::{MemorySink, json_request, key_values};
use crate::wire::Attributes;
use crate::{Options, Promotion, TranslationStrategy, Translator};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use serde_json::Value;
use std::collections::BTreeMap;

#[expect(clippy::disallowed_methods, reason = "test data beside the checkout is not storage")]
fn cases(table: &str) -> Vec<Value> {
    let path = format!("{}/../../../shared/conformance/otlp-tables/{table}.json", env!("CARGO_MANIFEST_DIR"));
    match std::fs::read_to_string(&path) {
        Ok(text) => serde_json::from_str::<Value>(&text).unwrap()["cases"].as_array().unwrap().clone(),
        Err(error) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{path}: {error}");
            println!("{path} is absent: nothing compared");
            Vec::new()
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn flag(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

fn strategy(utf8: bool, suffixes: bool) -> TranslationStrategy {
    match (utf8, suffixes) {
        (false, true) => TranslationStrategy::UnderscoreEscapingWithSuffixes,
        (false, false) => TranslationStrategy::UnderscoreEscapingWithoutSuffixes,
        (true, true) => TranslationStrategy::NoUtf8EscapingWithSuffixes,
        (true, false) => TranslationStrategy::NoTranslation,
    }
}

#[test]
fn metric_names_are_those_of_the_table() {
    for case in cases("metric_namer") {
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
            "" => assert_eq!(got.as_deref(), Ok(text(&case["want_metric_name"])), "{case}"),
            error => assert_eq!(got, Err(error.to_owned()), "{case}"),
        }
        if let (true, Some(want)) = (case["want_error"] == "", case["want_unit_name"].as_str()) {
            assert_eq!(metadata_unit(strategy, unit), want, "{case}");
        }
    }
}

#[test]
fn label_names_are_those_of_the_table() {
    for case in cases("label_namer") {
        let namer = LabelNamer {
            utf8_allowed: flag(&case["utf8_allowed"]),
            underscore_sanitization: flag(&case["underscore_label_sanitization"]),
            preserve_multiple_underscores: flag(&case["preserve_multiple_underscores"]),
        };
        let got = namer.name(text(&case["label"]));
        match text(&case["want_error"]) {
            "" => assert_eq!(got.as_deref(), Ok(text(&case["want"])), "{case}"),
            error => assert_eq!(got, Err(error.to_owned()), "{case}"),
        }
    }
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|v| text(v).to_owned()).collect()
}

#[test]
fn labels_of_points_are_those_of_the_table() {
    let mut left_out = 0;
    for case in cases("create_attributes") {
        if !case["ignore_attrs"].as_array().unwrap().is_empty() {
            left_out += 1;
            continue;
        }
        let settings = &case["settings"];
        let promotion = if flag(&settings["promote_all_resource_attributes"]) {
            Promotion::AllExcept(strings(&settings["ignore_resource_attributes"]))
        } else {
            Promotion::Only(strings(&settings["promote_resource_attributes"]))
        };
        let rules = LabelRules {
            namer: LabelNamer {
                utf8_allowed: flag(&settings["utf8_allowed"]),
                underscore_sanitization: flag(&settings["label_name_underscore_sanitization"]),
                preserve_multiple_underscores: flag(&settings["label_name_preserve_multiple_underscores"]),
            },
            promotion,
            keep_identifying: false,
        };
        let resource =
            Resource { attributes: key_values(&case["resource_attributes"]), ..Default::default() }.encode_to_vec();
        let point = Resource { attributes: key_values(&case["attributes"]), ..Default::default() }.encode_to_vec();
        let scope = InstrumentationScope {
            name: text(&case["scope"]["name"]).into(),
            version: text(&case["scope"]["version"]).into(),
            attributes: key_values(&case["scope"]["attributes"]),
            ..Default::default()
        };
        let expect = |result: Result<_, LabelsError>| result.unwrap_or_else(|_| panic!("refused: {case}"));
        let scope = if flag(&settings["promote_scope_metadata"]) {
            let schema_url = text(&case["scope"]["schemaURL"]).as_bytes();
            expect(scope_labels(&rules, &scope.encode_to_vec(), schema_url))
        } else {
            Vec::new()
        };
        let resource = ResourceLabels::new(&rules, &resource).unwrap_or_else(|_| panic!("refused: {case}"));
        let mut warnings = Vec::new();
        let mut warn = |warning: &str| warnings.push(warning.to_owned());
        let labels = expect(point_labels(&rules, &resource, &scope, Attributes::new(&point, 1), &mut warn));
        let mut got: BTreeMap<String, String> = labels.into_iter().collect();
        got.insert("__name__".into(), text(&case["metric_name"]).into());
        let want: BTreeMap<String, String> = serde_json::from_value(case["expected_labels"].clone()).unwrap();
        assert_eq!(got, want, "{case}");
        let mut want = strings(&case["expected_warnings_any_order"]);
        want.sort();
        warnings.sort();
        assert_eq!(warnings, want, "{case}");
    }
    println!("create_attributes: {left_out} cases with a list of ignored attributes left out");
}

/// Compares samples in order; native histograms are left out on both sides. Returns how many were.
fn check_request(case: &Value, options: Options) -> usize {
    let request = json_request(&case["request"]).encode_to_vec();
    let translator = Translator::new(options);
    let mut sink = MemorySink::default();
    let translation = translator.translate(&request, 0, &mut sink).unwrap();
    let mut got = sink.rows();
    let expected = case["expected_samples"].as_array().unwrap();
    let native = expected.iter().filter(|s| s.get("histogram").is_some()).count();
    let mut want = Vec::new();
    for sample in expected.iter().filter(|s| s.get("histogram").is_none()) {
        let labels: BTreeMap<String, String> = serde_json::from_value(sample["labels"].clone()).unwrap();
        let labels = mytsdb_model::Labels::from_pairs(labels.iter().map(|(name, value)| {
            // The table shows the name of a Go constant where its value was meant.
            (if name == "model.BucketLabel" { "le" } else { name }, value)
        }));
        want.push((labels, sample["t_ms"].as_i64().unwrap(), sample["value"].as_f64().unwrap()));
        if let Some(metadata) = sample.get("metadata") {
            let known = translator.metadata().get(text(&sample["metric_family"])).unwrap();
            let known = (known.kind.as_str(), known.unit.as_str(), known.help.as_str());
            assert_eq!(known, (text(&metadata["type"]), text(&metadata["unit"]), text(&metadata["help"])), "{case}");
        }
    }
    if native > 0 && !text(&case["expected_error"]).is_empty() {
        // The point that the table stores is refused here; only the other one's message is compared.
        got.clear();
        want.clear();
    }
    assert_eq!(got, want, "{case}");
    let messages = [translation.refused.messages(), &translation.warnings].concat().join("\n");
    match text(&case["expected_error"]) {
        "" => assert_eq!(translation.refused.total(), native as u64, "{messages} {case}"),
        error => assert!(messages.contains(error), "{messages:?} {case}"),
    }
    native
}

fn plain_options() -> Options {
    Options {
        strategy: TranslationStrategy::UnderscoreEscapingWithoutSuffixes,
        label_name_underscore_sanitization: false,
        label_name_preserve_multiple_underscores: false,
        missing_value_is_zero: true,
        ..Options::default()
    }
}

#[test]
fn data_points_are_those_of_the_table() {
    let (mut native, mut custom) = (0, 0);
    for case in cases("data_points") {
        if flag(&case["settings"]["convert_histograms_to_nhcb"]) {
            custom += 1;
            continue;
        }
        let promote_scope_metadata = flag(&case["settings"]["promote_scope_metadata"]);
        native += check_request(&case, Options { promote_scope_metadata, ..plain_options() });
    }
    println!("data_points: {native} native samples and {custom} cases with custom buckets left out");
}

#[test]
fn temporality_is_judged_as_in_the_table() {
    let (mut native, mut custom) = (0, 0);
    for case in cases("temporality") {
        if flag(&case["settings"]["convert_histograms_to_nhcb"]) {
            custom += 1;
            continue;
        }
        let accept_delta = flag(&case["settings"]["allow_delta_temporality"]);
        native += check_request(&case, Options { accept_delta, ..plain_options() });
    }
    println!("temporality: {native} native samples and {custom} cases with custom buckets left out");
}

#[test]
fn whole_requests_are_those_of_the_table() {
    for case in cases("write_handler") {
        let strategy = match text(&case["config"]["translation_strategy"]) {
            "NoTranslation" => TranslationStrategy::NoTranslation,
            "UnderscoreEscapingWithSuffixes" => TranslationStrategy::UnderscoreEscapingWithSuffixes,
            other => panic!("strategy {other}"),
        };
        let native = check_request(&case, Options { strategy, ..plain_options() });
        println!("write_handler: {native} native samples left out");
    }
}
