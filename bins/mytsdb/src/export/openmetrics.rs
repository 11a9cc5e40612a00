//! OpenMetrics: comments of a family, then a line for each sample.

use super::{Series, Writer};
use mytsdb_engine::Engine;
use mytsdb_model::{FamilyKind, FamilyMetadata, is_stale_nan};
use mytsdb_text_format::{write_family, write_sample};

/// Samples that the format cannot express are counted.
#[derive(Debug, Default)]
pub(super) struct OpenMetrics {
    histograms: u64,
    markers: u64,
    exemplars: u64,
    nameless: u64,
}

/// The suffixes of series of a family, by its kind.
fn suffixes(kind: FamilyKind) -> &'static [&'static str] {
    match kind {
        FamilyKind::Counter => &["_total", "_created"],
        FamilyKind::Histogram | FamilyKind::GaugeHistogram => {
            &["_bucket", "_sum", "_count", "_created", "_gsum", "_gcount"]
        }
        FamilyKind::Summary => &["_sum", "_count", "_created"],
        FamilyKind::Info => &["_info"],
        _ => &[],
    }
}

/// The family that a metric's name belongs to, with its metadata.
fn find<'n>(engine: &Engine, name: &'n str) -> (&'n str, Option<FamilyMetadata>) {
    if let Some(metadata) = engine.metadata(name) {
        return (name, Some(metadata));
    }
    let mut at = name.len();
    while let Some(end) = name[..at].rfind('_') {
        let (family, suffix) = name.split_at(end);
        if let Some(metadata) = engine.metadata(family).filter(|m| suffixes(m.kind).contains(&suffix)) {
            return (family, Some(metadata));
        }
        at = end;
    }
    (name, None)
}

impl Writer for OpenMetrics {
    fn family<'n>(&self, engine: &Engine, name: &'n str) -> &'n str {
        find(engine, name).0
    }

    fn begin(&mut self, engine: &Engine, family: &str, out: &mut String) {
        if family.is_empty() {
            return;
        }
        let nothing = || FamilyMetadata { kind: FamilyKind::Unknown, help: String::new(), unit: String::new() };
        write_family(out, family, &engine.metadata(family).unwrap_or_else(nothing));
    }

    fn series(&mut self, series: Series<'_>, out: &mut String) {
        let Series { labels, columns, mut exemplars } = series;
        self.histograms += columns.histograms.len() as u64;
        if labels.metric_name().is_empty() {
            self.nameless += columns.values.len() as u64;
            return;
        }
        for (&timestamp_ms, &value) in columns.timestamps_ms.iter().zip(&columns.values) {
            if is_stale_nan(value) {
                self.markers += 1;
                continue;
            }
            // An exemplar is written with the first sample that is as old or newer.
            let exemplar = exemplars.pop_front_if(|exemplar| exemplar.timestamp_ms <= timestamp_ms);
            write_sample(out, labels, timestamp_ms, value, exemplar.as_ref());
        }
        self.exemplars += exemplars.len() as u64;
    }

    fn end(&mut self, out: &mut String) -> Option<String> {
        out.push_str("# EOF\n");
        let counts = [
            (self.histograms, "native histograms"),
            (self.markers, "staleness markers"),
            (self.exemplars, "exemplars that no sample follows"),
            (self.nameless, "samples without a metric's name"),
        ];
        let left: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        (!left.is_empty())
            .then(|| format!("left out, as OpenMetrics has no form for them: {}; see --format jsonl", left.join(", ")))
    }
}
