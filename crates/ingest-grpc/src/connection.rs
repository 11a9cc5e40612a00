//! Connections of a bounded listener in the form that the gRPC library takes.

use futures_util::stream::{Stream as Incoming, unfold};
use mytsdb_listener::{Acceptor, Slot, Stream};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::server::Connected;

/// Connections as they come, without an end.
pub(crate) fn incoming(acceptor: Acceptor, listener: TcpListener) -> impl Incoming<Item = io::Result<Connection>> {
    unfold((acceptor, listener), |(acceptor, listener)| async {
        let stream = acceptor.accept(&listener).await;
        Some((Ok(Connection(stream)), (acceptor, listener)))
    })
}

/// A connection; its requests know its slot.
pub(crate) struct Connection(Stream<TcpStream>);

impl Connected for Connection {
    type ConnectInfo = Slot;

    fn connect_info(&self) -> Slot {
        self.0.slot().clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
