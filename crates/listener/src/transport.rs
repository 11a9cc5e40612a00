//! The bytes of a connection, behind TLS or not.
//!
//! The handshake is part of the first read or write, so that a slow one delays nobody else.

use rustls::ServerConfig;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

/// A connection of either kind.
pub(crate) enum Transport<S> {
    Plain(S),
    Handshake(Box<Accept<S>>),
    Tls(Box<TlsStream<S>>),
    /// The handshake failed; nothing can be read or written.
    Failed,
}

/// Calls a method on what is there, once the handshake is over.
macro_rules! once_open {
    ($this:expr, $context:expr, $io:ident => $call:expr) => {{
        let this = $this.get_mut();
        ready!(this.poll_open($context))?;
        match this {
            Transport::Plain(io) => {
                let $io = Pin::new(io);
                $call
            }
            Transport::Tls(stream) => {
                let $io = Pin::new(&mut **stream);
                $call
            }
            Transport::Handshake(_) | Transport::Failed => Poll::Ready(Err(closed())),
        }
    }};
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> {
    /// A connection over `io`, behind TLS if `tls` says how it is spoken.
    pub(crate) fn new(io: S, tls: Option<Arc<ServerConfig>>) -> Self {
        match tls {
            Some(config) => Self::Handshake(Box::new(TlsAcceptor::from(config).accept(io))),
            None => Self::Plain(io),
        }
    }

    /// Whether the handshake is still on its way.
    pub(crate) fn is_in_handshake(&self) -> bool {
        matches!(self, Self::Handshake(_))
    }

    /// Whether the handshake failed.
    pub(crate) fn is_failed(&self) -> bool {
        matches!(self, Self::Failed)
    }

    /// Ready once bytes can be read and written.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self::Handshake(accept) = self else { return Poll::Ready(Ok(())) };
        let accepted = ready!(Pin::new(&mut **accept).poll(context));
        let (next, result) = match accepted {
            Ok(stream) => (Self::Tls(Box::new(stream)), Ok(())),
            Err(error) => (Self::Failed, Err(error)),
        };
        *self = next;
        Poll::Ready(result)
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the TLS handshake failed")
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Transport<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        once_open!(self, context, io => io.poll_read(context, buf))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        once_open!(self, context, io => io.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        once_open!(self, context, io => io.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(context),
            // Nothing was said yet: there is nothing to end.
            Self::Handshake(_) | Self::Failed => Poll::Ready(Ok(())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        once_open!(self, context, io => io.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
            Self::Handshake(_) | Self::Failed => false,
        }
    }
}
