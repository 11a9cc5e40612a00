//! The loop that takes connections in.

use crate::metrics::{Ended, Metrics};
use crate::options::ListenerOptions;
use crate::place::Table;
use crate::stream::Stream;
use mytsdb_telemetry::Registry;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// Pause after a failed accept, which usually means that descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Gives connections of one listener their places.
#[derive(Debug, Clone)]
pub struct Door {
    table: Arc<Table>,
}

impl Door {
    /// A door with no connections yet. Its metrics go to `registry` with the label `listener`.
    pub fn new(listener: &str, options: ListenerOptions, registry: &Registry) -> Self {
        Self { table: Table::new(options, Metrics::new(listener, registry)) }
    }

    /// The next connection that there is a place for. Others are closed at once. Failures are logged and tried again.
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn accept(&self, listener: &TcpListener) -> Stream<TcpStream> {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "connection without TCP_NODELAY");
                    }
                    if let Some(place) = self.table.sit() {
                        return Stream::new(stream, place);
                    }
                    tracing::debug!(reason = ?Ended::Refused, "connection closed: every place is busy");
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    self.table.make_room();
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}
