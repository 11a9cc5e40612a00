//! A client of the Prometheus HTTP API, as far as this test asks.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// Bytes of the largest answer that is read.
const ANSWER_BYTES_MAX: u64 = 1 << 30;

/// Talks to one server.
pub(crate) struct Client {
    agent: ureq::Agent,
    base: String,
    authorization: Option<String>,
}

/// What a client needs where TLS is spoken and credentials are asked for.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    /// The certificate that signs the server's, as PEM.
    pub(crate) authority: String,
    /// The header.
    pub(crate) authorization: String,
}

/// A series of an answer: its labels, and its samples in order of time.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: BTreeMap<String, String>,
    /// (milliseconds since the epoch, value)
    pub(crate) samples: Vec<(i64, f64)>,
    /// Native histograms with their times, as the server writes them.
    pub(crate) histograms: Vec<String>,
}

impl Client {
    pub(crate) fn new(address: &str) -> Self {
        Self { agent: settings().build().into(), base: format!("http://{address}"), authorization: None }
    }

    /// The same over TLS and with credentials.
    ///
    /// # Panics
    /// If the authority is no PEM.
    pub(crate) fn guarded(address: &str, credentials: &Credentials) -> Self {
        let authority = ureq::tls::Certificate::from_pem(credentials.authority.as_bytes()).expect("a certificate");
        let tls = ureq::tls::TlsConfig::builder().root_certs(ureq::tls::RootCerts::from(vec![authority])).build();
        let agent = settings().tls_config(tls).build().into();
        Self { agent, base: format!("https://{address}"), authorization: Some(credentials.authorization.clone()) }
    }

    fn get(&self, path: &str) -> ureq::RequestBuilder<ureq::typestate::WithoutBody> {
        let request = self.agent.get(format!("{}{path}", self.base));
        self.authorization.iter().fold(request, |request, value| request.header("authorization", value))
    }

    /// Whether `/-/ready` answers 200.
    pub(crate) fn is_ready(&self) -> bool {
        let answer = self.get("/-/ready").call();
        answer.is_ok_and(|answer| answer.status().as_u16() == 200)
    }

    /// An instant query, now or at `time_ms`; a vector's series have one sample, a matrix' all.
    pub(crate) fn query(&self, expression: &str, time_ms: Option<i64>) -> anyhow::Result<Vec<Series>> {
        let time = time_ms.map(|time_ms| format!("{}.{:03}", time_ms / 1_000, time_ms % 1_000));
        let mut form = vec![("query", expression)];
        form.extend(time.as_deref().map(|time| ("time", time)));
        let request = self.agent.post(format!("{}/api/v1/query", self.base));
        let request = self.authorization.iter().fold(request, |request, value| request.header("authorization", value));
        let mut answer = request.send_form(form)?;
        let status = answer.status();
        let text = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string()?;
        ensure!(status.as_u16() == 200, "query {expression}: {status}: {text}");
        let body: Value = serde_json::from_str(&text).with_context(|| format!("query {expression}: not JSON"))?;
        parse_result(&body).with_context(|| format!("query {expression}"))
    }

    /// The type of a metric by `/api/v1/metadata`; none if the server keeps no metadata of it.
    pub(crate) fn metric_type(&self, metric: &str) -> anyhow::Result<Option<String>> {
        let mut answer = self.get(&format!("/api/v1/metadata?metric={metric}")).call()?;
        if answer.status().as_u16() != 200 {
            return Ok(None);
        }
        let body: Value = serde_json::from_str(&answer.body_mut().read_to_string()?).context("metadata: not JSON")?;
        Ok(body["data"][metric][0]["type"].as_str().map(str::to_owned))
    }

    /// The body of a GET, for text that is no JSON.
    pub(crate) fn text(&self, path: &str) -> anyhow::Result<String> {
        let mut answer = self.get(path).call()?;
        ensure!(answer.status().as_u16() == 200, "{path}: {}", answer.status());
        Ok(answer.body_mut().read_to_string()?)
    }
}

/// Talks to anybody on loopback.
pub(crate) fn agent() -> ureq::Agent {
    settings().build().into()
}

fn settings() -> ureq::config::ConfigBuilder<ureq::typestate::AgentScope> {
    ureq::Agent::config_builder().timeout_global(Some(Duration::from_mins(1))).http_status_as_error(false).proxy(None)
}

fn parse_result(body: &Value) -> anyhow::Result<Vec<Series>> {
    ensure!(body["status"] == "success", "status {}: {}", body["status"], body["error"]);
    ensure!(body["warnings"].is_null(), "warnings: {}", body["warnings"]);
    let samples_of: fn(&Value) -> Option<Vec<Value>> = match body["data"]["resultType"].as_str() {
        Some("vector") => |series| Some(series.get("value").into_iter().cloned().collect()),
        Some("matrix") => |series| series.get("values").map_or(Some(Vec::new()), |values| values.as_array().cloned()),
        other => bail!("unexpected result type {other:?}"),
    };
    let result = body["data"]["result"].as_array().context("no result")?;
    result
        .iter()
        .map(|series| {
            let labels = series["metric"].as_object().context("no metric")?;
            let label = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
            let labels = labels.iter().map(label).collect::<Option<_>>().context("a label that is no string")?;
            let samples = samples_of(series).context("no samples")?;
            let samples = samples.iter().map(parse_sample).collect::<Option<_>>().context("a malformed sample")?;
            let histograms = series["histograms"].as_array().into_iter().flatten().chain(series.get("histogram"));
            Ok(Series { labels, samples, histograms: histograms.map(Value::to_string).collect() })
        })
        .collect()
}

/// `[seconds, "value"]`; times are read to the millisecond, as the store keeps them.
fn parse_sample(sample: &Value) -> Option<(i64, f64)> {
    let timestamp_ms = (sample[0].as_f64()? * 1_000.0).round() as i64;
    Some((timestamp_ms, sample[1].as_str()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn vectors_and_matrices_are_read_to_the_millisecond() {
        let vector = json!({"status": "success", "data": {"resultType": "vector", "result": [
            {"metric": {"__name__": "up"}, "value": [1700000000.123, "1"]}]}});
        let series = parse_result(&vector).unwrap();
        assert_eq!(series[0].labels["__name__"], "up");
        assert_eq!(series[0].samples, [(1_700_000_000_123, 1.0)]);
        let histograms = json!({"status": "success", "data": {"resultType": "matrix", "result": [
            {"metric": {}, "histograms": [[1, {"count": "2"}]]}]}});
        let series = parse_result(&histograms).unwrap();
        assert_eq!((series[0].samples.len(), &series[0].histograms[0][..]), (0, r#"[1,{"count":"2"}]"#));
        let matrix = json!({"status": "success", "data": {"resultType": "matrix", "result": [
            {"metric": {}, "values": [[1, "0.5"], [1.001, "+Inf"]]}]}});
        assert_eq!(parse_result(&matrix).unwrap()[0].samples, [(1_000, 0.5), (1_001, f64::INFINITY)]);
    }

    #[test]
    fn errors_and_warnings_are_not_taken_for_answers() {
        assert!(parse_result(&json!({"status": "error", "error": "x"})).is_err());
        let warned = json!({"status": "success", "warnings": ["cut"], "data": {"resultType": "vector", "result": []}});
        assert!(parse_result(&warned).is_err());
    }
}
