//! The wording of warnings and infos.

use super::window::Remarks;
use crate::annotations::Annotations;
use mytsdb_downsample::Resolution;
use mytsdb_promql_syntax::PosRange;
use mytsdb_promql_syntax::quote;

fn width(width_ms: i64) -> String {
    Resolution::of_ms(width_ms).map_or_else(|| "5m or 1h".to_owned(), |resolution| resolution.to_string())
}

fn with_metric(text: &str, metric: &str) -> String {
    if metric.is_empty() { text.to_owned() } else { format!("{text} for metric name {}", quote(metric)) }
}

impl Remarks<'_> {
    pub fn mixed_floats_histograms(&mut self) {
        let text = format!("encountered a mix of histograms and floats for metric name {}", quote(self.metric));
        self.annotations.warn_by(text, self.pos, self.told_by);
    }

    pub fn histograms_ignored_in_range(&mut self) {
        let text = format!(
            "ignored histograms in a range containing both floats and histograms for metric name {}",
            quote(self.metric)
        );
        self.annotations.info_by(text, self.pos, self.told_by);
    }

    pub fn not_a_counter(&mut self) {
        let text = format!("this native histogram metric is not a counter: {}", quote(self.metric));
        self.annotations.warn_by(text, self.pos, self.told_by);
    }

    pub fn not_a_gauge(&mut self) {
        let text = format!("this native histogram metric is not a gauge: {}", quote(self.metric));
        self.annotations.warn_by(text, self.pos, self.told_by);
    }

    pub fn mixed_schemas(&mut self) {
        self.annotations.warn_by(mixed_schemas_text(self.metric), self.pos, self.told_by);
    }

    pub fn bounds_reconciled(&mut self, operation: &str) {
        self.annotations.info_by(bounds_reconciled_text(operation), self.pos, self.told_by);
    }

    pub fn reset_collision(&mut self, operation: &str) {
        self.annotations.warn_by(reset_collision_text(operation), self.pos, self.told_by);
    }

    pub fn start_time_overlap(&mut self) {
        let text = format!(
            "sample has start time that overlaps with previous sample timestamp for metric {}",
            quote(self.metric)
        );
        self.annotations.warn_by(text, self.pos, self.told_by);
    }

    /// Buckets were computed with, the widest of this width.
    pub fn used_buckets(&mut self, width_ms: i64, is_whole: bool) {
        let text = format!("downsampled data was used, in buckets of {}", width(width_ms));
        let rest =
            if is_whole { "" } else { ": steps and ranges are not whole buckets, each is counted where it ends" };
        self.annotations.info_by(text + rest, self.pos, self.told_by);
    }

    /// Of buckets the last samples were taken for all.
    pub fn used_last_samples(&mut self, width_ms: i64) {
        let text = format!("downsampled data was used: only the last sample of each bucket of {}", width(width_ms));
        self.annotations.info_by(text, self.pos, self.told_by);
    }

    /// Of buckets the last samples were shown, at steps that may lie behind the ends of buckets.
    pub fn used_latest_samples(&mut self, width_ms: i64, is_late: bool) {
        let text = format!("downsampled data was used: the last sample of each bucket of {}", width(width_ms));
        let rest = if is_late { ", steps within a bucket show what was there when it began" } else { "" };
        self.annotations.info_by(text + rest, self.pos, self.told_by);
    }

    pub fn maybe_not_a_counter(&mut self) {
        let text = format!(
            "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
            quote(self.metric)
        );
        self.annotations.info_by(text, self.pos, self.told_by);
    }
}

fn mixed_schemas_text(metric: &str) -> String {
    let text = "vector contains a mix of histograms with exponential and custom buckets schemas";
    format!("{text} for metric name {}", quote(metric))
}

fn bounds_reconciled_text(operation: &str) -> String {
    format!("mismatched custom buckets were reconciled during {operation}")
}

fn reset_collision_text(operation: &str) -> String {
    format!("conflicting counter resets during histogram {operation}")
}

pub(crate) fn mixed_schemas(annotations: &mut Annotations, metric: &str, pos: PosRange) {
    annotations.warn(mixed_schemas_text(metric), pos);
}

pub(crate) fn bounds_reconciled(annotations: &mut Annotations, operation: &str, pos: PosRange) {
    annotations.info(bounds_reconciled_text(operation), pos);
}

pub(crate) fn reset_collision(annotations: &mut Annotations, operation: &str, pos: PosRange) {
    annotations.warn(reset_collision_text(operation), pos);
}

pub(crate) fn mixed_aggregation(annotations: &mut Annotations, pos: PosRange) {
    annotations.warn("encountered a mix of histograms and floats for aggregation", pos);
}

pub(crate) fn ignored_in_aggregation(annotations: &mut Annotations, aggregation: &str, pos: PosRange) {
    annotations.info(format!("ignored histogram in {aggregation} aggregation"), pos);
}

/// `whole`: the call or aggregation of which the quantile at `pos` is a parameter.
pub(crate) fn invalid_quantile(annotations: &mut Annotations, quantile: f64, pos: PosRange, whole: PosRange) {
    let shown = mytsdb_promql_syntax::format_general(quantile);
    annotations.warn_by(format!("quantile value should be between 0 and 1, got {shown}"), pos, whole);
}

/// `whole`: the aggregation of which the ratio at `pos` is the parameter.
pub(crate) fn unknown_strategy(annotations: &mut Annotations, strategy: f64, pos: PosRange, whole: PosRange) {
    let shown = mytsdb_promql_syntax::format_general(strategy);
    annotations.warn_by(format!("strategy should be 0, 1, or 2 (default), using 2, got {shown}"), pos, whole);
}

pub(crate) fn invalid_ratio(annotations: &mut Annotations, ratio: f64, pos: PosRange, whole: PosRange) {
    let shown = mytsdb_promql_syntax::format_general(ratio);
    let capped = mytsdb_promql_syntax::format_general(ratio.clamp(-1.0, 1.0));
    let text = format!("ratio value should be between -1 and 1, got {shown}, capping to {capped}");
    annotations.warn_by(text, pos, whole);
}

pub(crate) fn sort_in_range_query(annotations: &mut Annotations, pos: PosRange) {
    annotations.warn("sort is ineffective for range queries since results are always ordered by labels", pos);
}

pub(crate) fn incompatible_types(annotations: &mut Annotations, operator: &str, lhs: &str, rhs: &str, pos: PosRange) {
    let text =
        format!("incompatible sample types encountered for binary operator \"{operator}\": {lhs} {operator} {rhs}");
    annotations.info(text, pos);
}

pub(crate) fn incompatible_layout(annotations: &mut Annotations, operator: &str, pos: PosRange) {
    annotations.warn(format!("incompatible bucket layout encountered for binary operator {operator}"), pos);
}

pub(crate) fn bad_bucket_label(annotations: &mut Annotations, label: &str, metric: &str, pos: PosRange) {
    let text = format!("bucket label \"le\" is missing or has a malformed value of {}", quote(label));
    annotations.warn(with_metric(&text, metric), pos);
}

pub(crate) fn mixed_classic_native(annotations: &mut Annotations, metric: &str, pos: PosRange) {
    annotations.warn(with_metric("vector contains a mix of classic and native histograms", metric), pos);
}

pub(crate) fn forced_monotonicity(annotations: &mut Annotations, metric: &str, pos: PosRange) {
    let text = "input to histogram_quantile needed to be fixed for monotonicity \
                (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
    annotations.info(with_metric(text, metric), pos);
}

pub(crate) fn quantile_is_nan(annotations: &mut Annotations, metric: &str, pos: PosRange) {
    let text = "input to histogram_quantile has NaN observations, result is NaN";
    annotations.info(with_metric(text, metric), pos);
}

pub(crate) fn quantile_is_skewed(annotations: &mut Annotations, metric: &str, pos: PosRange) {
    let text = "input to histogram_quantile has NaN observations, result is skewed higher";
    annotations.info(with_metric(text, metric), pos);
}

pub(crate) fn fraction_has_nans(annotations: &mut Annotations, metric: &str, pos: PosRange) {
    let text = "input to histogram_fraction has NaN observations, which are excluded from all fractions";
    annotations.info(with_metric(text, metric), pos);
}
