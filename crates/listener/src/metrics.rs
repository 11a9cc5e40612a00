//! What a listener counts.

use crate::turned_away::TurnedAway;
use mytsdb_telemetry::{Counter, Description, Gauge, Registry};

const OPEN: Description = Description::new("mytsdb_connections", "Open connections, by listener.");
const ACCEPTED: Description =
    Description::new("mytsdb_connections_accepted_total", "Connections that were accepted, by listener.");
const ENDED: Description = Description::new(
    "mytsdb_connections_ended_total",
    "Connections that the server ended or turned away, by listener and reason.",
);

const TURNED_AWAY: Description = Description::new(
    "mytsdb_requests_turned_away_total",
    "Requests that did not reach their handler, by listener and reason.",
);

const FULL: Description = Description::new(
    "mytsdb_connections_full_total",
    "Requests that took the last stream of their connection (--max-streams-per-connection), by listener.",
);

/// Why the server ends a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The head of a request did not arrive in time.
    HeadTimeout,
    /// There was no TLS handshake, or it failed: no TLS, another version, a certificate that is not taken.
    TlsHandshake,
    /// No request, or nobody reads the answer, for too long.
    IdleTimeout,
    /// It was quiet, and another one needed its slot.
    Evicted,
    /// Busy connections have all slots.
    Refused,
}

/// Handles of the metrics of one listener.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) open: Gauge,
    pub(crate) accepted: Counter,
    head_timeout: Counter,
    tls_handshake: Counter,
    idle_timeout: Counter,
    evicted: Counter,
    refused: Counter,
    crowded: Counter,
    headers: Counter,
    denied: Counter,
    pub(crate) full: Counter,
}

impl Metrics {
    pub(crate) fn new(listener: &str, registry: &Registry) -> Self {
        let turned_away = |reason| registry.counter(&TURNED_AWAY, &[("listener", listener), ("reason", reason)]);
        let ended = |reason| registry.counter(&ENDED, &[("listener", listener), ("reason", reason)]);
        Self {
            open: registry.gauge(&OPEN, &[("listener", listener)]),
            accepted: registry.counter(&ACCEPTED, &[("listener", listener)]),
            head_timeout: ended("head_timeout"),
            tls_handshake: ended("tls_handshake"),
            idle_timeout: ended("idle_timeout"),
            evicted: ended("evicted"),
            refused: ended("refused"),
            crowded: turned_away("max-connections"),
            headers: turned_away("max-header-bytes"),
            denied: turned_away("access"),
            full: registry.counter(&FULL, &[("listener", listener)]),
        }
    }

    pub(crate) fn count_turned_away(&self, why: &TurnedAway) {
        match why {
            TurnedAway::Crowded { .. } => self.crowded.inc(),
            TurnedAway::Headers { .. } => self.headers.inc(),
            TurnedAway::Denied(_) => self.denied.inc(),
        }
    }

    pub(crate) fn ended(&self, why: Ended) -> &Counter {
        match why {
            Ended::HeadTimeout => &self.head_timeout,
            Ended::TlsHandshake => &self.tls_handshake,
            Ended::IdleTimeout => &self.idle_timeout,
            Ended::Evicted => &self.evicted,
            Ended::Refused => &self.refused,
        }
    }
}
