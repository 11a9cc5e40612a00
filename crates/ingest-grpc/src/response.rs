//! The answer to a request that was worked on: `ExportMetricsServiceResponse`.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{BodyExt, Full};
use mytsdb_ingest::Report;
use prost::Message;
use tonic::body::Body;

/// `opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceResponse`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    pub partial_success: Option<PartialSuccess>,
}

/// `opentelemetry.proto.collector.metrics.v1.ExportMetricsPartialSuccess`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub rejected_data_points: i64,
    #[prost(string, tag = "2")]
    pub error_message: String,
}

impl From<Option<Report>> for ExportResponse {
    /// Unset if all is well; a warning alone comes with 0 rejected points.
    fn from(report: Option<Report>) -> Self {
        let partial_success = report.map(|report| PartialSuccess {
            rejected_data_points: report.rejected_points as i64,
            error_message: report.message,
        });
        Self { partial_success }
    }
}

/// Frames a message and adds the trailers of success.
pub(crate) fn ok(message: &ExportResponse) -> Response<Body> {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(length as u32);
    message.encode(&mut frame).expect("the buffer grows");
    let trailers = async {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        Some(Ok(trailers))
    };
    let body = Full::<Bytes>::new(frame.freeze()).with_trailers(trailers);
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
