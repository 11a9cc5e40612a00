//! Samples as requests of the write protocols: what does not change is encoded once, so that a client costs little.

mod otlp;
mod protobuf;
mod remote_write;

use super::metrics::{BOUNDS, NATIVE_BUCKETS};
use clap::ValueEnum;

/// How samples get in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    OtlpGrpc,
    OtlpHttp,
    /// Prometheus remote write 1.0
    Rw1,
    /// Prometheus remote write 2.0
    Rw2,
}

/// What the values of a series are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    /// Named as its buckets are.
    Classic,
    Native,
}

/// A series to be sent; neighbours of one name are one metric in OTLP.
#[derive(Debug)]
pub(crate) struct Described {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) labels: Vec<(String, String)>,
}

/// Value of a series at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Datum {
    Number(f64),
    /// Counts by bucket, not cumulative.
    Classic {
        counts: [u64; BOUNDS.len() + 1],
        sum: f64,
    },
    Native {
        counts: [u64; NATIVE_BUCKETS],
        sum: f64,
    },
}

/// Series whose unchanging bytes are there.
#[derive(Debug)]
pub(crate) enum Prepared {
    Otlp(otlp::Prepared),
    Rw1(remote_write::PreparedV1),
    Rw2(remote_write::PreparedV2),
}

/// Series and the times at which they have samples.
pub(crate) struct Part<'a> {
    pub(crate) series: &'a Prepared,
    pub(crate) times_ms: &'a [i64],
}

/// The value of a series (part, its number there) at a time (its number there); `None` if it has none.
pub(crate) type Data<'a> = &'a dyn Fn(usize, usize, usize) -> Option<Datum>;

impl Protocol {
    pub(crate) fn prepare(self, series: &[Described]) -> Prepared {
        match self {
            Self::OtlpGrpc | Self::OtlpHttp => Prepared::Otlp(otlp::Prepared::new(series)),
            Self::Rw1 => Prepared::Rw1(remote_write::PreparedV1::new(series)),
            Self::Rw2 => Prepared::Rw2(remote_write::PreparedV2::new(series)),
        }
    }

    /// The request's body, compressed where the protocol wants it.
    pub(crate) fn encode(self, parts: &[Part<'_>], data: Data<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        let mut symbols = remote_write::Symbols::default();
        for (number, part) in parts.iter().enumerate() {
            let data = |row: usize, time: usize| data(number, row, time);
            match part.series {
                Prepared::Otlp(series) => series.encode(part.times_ms, &data, &mut out),
                Prepared::Rw1(series) => series.encode(part.times_ms, &data, &mut out),
                Prepared::Rw2(series) => series.encode(part.times_ms, &data, &mut symbols, &mut out),
            }
        }
        match self {
            Self::OtlpGrpc | Self::OtlpHttp => out,
            Self::Rw1 => remote_write::compress(&out),
            Self::Rw2 => {
                symbols.append_to(&mut out);
                remote_write::compress(&out)
            }
        }
    }

    /// Headers of its requests over HTTP.
    pub(crate) fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::OtlpGrpc | Self::OtlpHttp => &[("content-type", "application/x-protobuf")],
            Self::Rw1 => &[
                ("content-type", "application/x-protobuf"),
                ("content-encoding", "snappy"),
                ("x-prometheus-remote-write-version", "0.1.0"),
            ],
            Self::Rw2 => &[
                ("content-type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
                ("content-encoding", "snappy"),
                ("x-prometheus-remote-write-version", "2.0.0"),
            ],
        }
    }
}

#[cfg(test)]
mod tests;
