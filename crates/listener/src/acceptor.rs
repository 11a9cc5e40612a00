//! The loop that takes connections in.

use crate::metrics::{Ended, Metrics};
use crate::options::ListenerOptions;
use crate::slot::Connections;
use crate::stream::Stream;
use mytsdb_access::Access;
use mytsdb_telemetry::Registry;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Pause after a failed accept, which usually means that descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Accepts the connections of one listener, bounds them, and speaks TLS on them.
#[derive(Debug, Clone)]
pub struct Acceptor {
    connections: Arc<Connections>,
    access: Access,
}

impl Acceptor {
    /// An acceptor with no connections yet. Its metrics go to `registry` with the label `listener`.
    pub fn new(listener: &str, options: ListenerOptions, registry: &Registry) -> Self {
        Self { connections: Connections::new(options, Metrics::new(listener, registry)), access: Access::default() }
    }

    /// The same, with TLS as `access` has it; and [`serve`](crate::serve) asks it for leave for every request.
    #[must_use]
    pub fn guarded_by(self, access: Access) -> Self {
        Self { access, ..self }
    }

    pub(crate) fn access(&self) -> &Access {
        &self.access
    }

    pub(crate) fn options(&self) -> &ListenerOptions {
        &self.connections.options
    }

    /// The next connection that has a slot. Others are closed at once. Failures are logged and tried again.
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn accept(&self, listener: &TcpListener) -> Stream<TcpStream> {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "connection without TCP_NODELAY");
                    }
                    if let Some(slot) = self.connections.admit() {
                        return Stream::new(stream, self.access.tls(), slot);
                    }
                    tracing::debug!(reason = ?Ended::Refused, "connection closed: every slot is busy");
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    self.connections.evict_idle();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}
