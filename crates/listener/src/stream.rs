//! A connection as the HTTP library sees it: it ends by itself when it is told to go or takes too long.

use crate::head::Heads;
use crate::metrics::Ended;
use crate::slot::Slot;
use crate::transport::Transport;
use rustls::ServerConfig;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Bytes of a first head with which an HTTP library is called, whether it is whole or not; and how many are read at once.
const SEEN_BYTES_MAX: usize = 4 << 10;
const SEEN_BYTES_AT_ONCE: usize = 1 << 10;

/// The bytes of a connection, and its slot.
///
/// Reading fails once the connection has to go: it was quiet and another one needed its slot, the TLS handshake or the
/// head of a request took too long, or there was none for too long. Writing fails if the other side takes nothing for
/// too long.
pub struct Stream<S> {
    io: Transport<S>,
    slot: Slot,
    heads: Heads,
    /// When the head that is on its way began.
    head_began: Option<Instant>,
    /// What was read and is not passed on yet, from `passed` on: it was changed, or a first head was waited for.
    changed: Vec<u8>,
    passed: usize,
    read_timer: Pin<Box<Sleep>>,
    /// Set while the other side takes nothing: since when, and the timer that ends it.
    write_timer: Option<Pin<Box<Sleep>>>,
}

impl<S> std::fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("slot", &self.slot).finish_non_exhaustive()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    pub(crate) fn new(io: S, tls: Option<Arc<ServerConfig>>, slot: Slot) -> Self {
        let heads = Heads::new(slot.options().target_bytes_max);
        let read_timer = Box::pin(sleep_until(Instant::now() + recheck(&slot)));
        let io = Transport::new(io, tls);
        // A handshake has as long as a head.
        let head_began = io.is_in_handshake().then(Instant::now);
        Self { io, slot, heads, head_began, changed: Vec::new(), passed: 0, read_timer, write_timer: None }
    }

    /// The slot of this connection.
    pub fn slot(&self) -> &Slot {
        &self.slot
    }

    /// Waits for the first whole head, or for enough of it that an HTTP library should look, or for the end. What was
    /// read until then is read again afterwards.
    ///
    /// # Errors
    ///
    /// Those of reading.
    pub(crate) async fn wait_for_head(&mut self) -> io::Result<()> {
        let mut seen = Vec::new();
        while !self.heads.is_ripe() && seen.len() < SEEN_BYTES_MAX {
            let read = poll_fn(|context| {
                let mut bytes = [MaybeUninit::uninit(); SEEN_BYTES_AT_ONCE];
                let mut buf = ReadBuf::uninit(&mut bytes);
                ready!(Pin::new(&mut *self).poll_read(context, &mut buf))?;
                seen.extend_from_slice(buf.filled());
                Poll::Ready(Ok::<_, io::Error>(buf.filled().len()))
            });
            if read.await? == 0 {
                break;
            }
        }
        seen.extend_from_slice(&self.changed[self.passed..]);
        (self.changed, self.passed) = (seen, 0);
        Ok(())
    }

    /// When this connection has waited too long, and over what. `None` while a request is worked on.
    fn due(&self) -> Option<(Instant, Ended)> {
        if self.slot.is_busy() {
            return None;
        }
        let now = Instant::now();
        let quiet_since = now.checked_sub(self.slot.quiet_for()).unwrap_or(now);
        let options = self.slot.options();
        Some(match self.head_began {
            Some(began) => (began.max(quiet_since) + options.head_timeout, Ended::HeadTimeout),
            None => (quiet_since + options.idle_timeout, Ended::IdleTimeout),
        })
    }

    /// Ready when the connection has waited too long.
    fn poll_due(&mut self, context: &mut Context<'_>) -> Poll<Ended> {
        loop {
            let due = self.due();
            if let Some((at, _)) = due
                && at < self.read_timer.deadline()
            {
                self.read_timer.as_mut().reset(at);
            }
            ready!(self.read_timer.as_mut().poll(context));
            let now = Instant::now();
            match due {
                Some((at, why)) if at <= now => return Poll::Ready(why),
                Some((at, _)) => self.read_timer.as_mut().reset(at),
                None => {
                    let again = now + recheck(&self.slot);
                    self.read_timer.as_mut().reset(again);
                }
            }
        }
    }

    /// Notes that the handshake is over, if it was going on before.
    fn note_handshake(&mut self, in_handshake: bool) {
        if in_handshake && !self.io.is_in_handshake() {
            self.head_began = None;
            if self.io.is_failed() {
                self.slot.count_ended(Ended::TlsHandshake);
            }
        }
    }

    /// Follows what `buf` holds from `start` on, and puts what is passed on in its slot.
    fn follow(&mut self, start: usize, buf: &mut ReadBuf<'_>) {
        if let Some(changed) = self.heads.follow(&buf.filled()[start..]) {
            buf.set_filled(start);
            (self.changed, self.passed) = (changed, 0);
            self.pass_on(buf);
        }
        self.head_began = self.heads.is_pending().then(|| self.head_began.unwrap_or_else(Instant::now));
    }

    fn pass_on(&mut self, buf: &mut ReadBuf<'_>) {
        let rest = &self.changed[self.passed..];
        let len = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..len]);
        self.passed += len;
        if self.passed == self.changed.len() {
            (self.changed, self.passed) = (Vec::new(), 0);
        }
    }

    /// Lets a write through unless the other side has taken nothing for too long.
    fn watch_write<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_timer = None;
            return written;
        }
        let options = self.slot.options();
        let timeout = if self.io.is_in_handshake() { options.head_timeout } else { options.idle_timeout };
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + timeout)));
        ready!(timer.as_mut().poll(context));
        self.slot.count_ended(Ended::IdleTimeout);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "nobody reads the answer")))
    }
}

/// How often a connection is looked at, whatever it does.
fn recheck(slot: &Slot) -> Duration {
    slot.options().head_timeout.min(slot.options().idle_timeout).max(Duration::from_millis(1))
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.slot.poll_evicted(context) {
            let reason = "another connection needed the slot of this quiet one";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, reason)));
        }
        if this.passed < this.changed.len() {
            this.pass_on(buf);
            return Poll::Ready(Ok(()));
        }
        loop {
            let start = buf.filled().len();
            let in_handshake = this.io.is_in_handshake();
            let read = Pin::new(&mut this.io).poll_read(context, buf);
            this.note_handshake(in_handshake);
            if let Poll::Ready(read) = read {
                let ended = read.is_ok() && buf.filled().len() == start;
                this.follow(start, buf);
                // If nothing is passed on of the bytes read, that must not look like the end of the stream.
                if read.is_ok() && !ended && buf.filled().len() == start {
                    continue;
                }
                return Poll::Ready(read);
            }
            let why = ready!(this.poll_due(context));
            this.slot.count_ended(why);
            let reason = match why {
                Ended::HeadTimeout => "the head of a request took too long",
                _ => "there was no request for too long",
            };
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, reason)));
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let in_handshake = this.io.is_in_handshake();
        let written = Pin::new(&mut this.io).poll_write(context, bytes);
        this.note_handshake(in_handshake);
        this.watch_write(context, written)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let in_handshake = this.io.is_in_handshake();
        let written = Pin::new(&mut this.io).poll_write_vectored(context, slices);
        this.note_handshake(in_handshake);
        this.watch_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;
    use crate::options::ListenerOptions;
    use crate::slot::Connections;
    use mytsdb_telemetry::Registry;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const HEAD: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_mins(5);

    fn connections() -> Arc<Connections> {
        let options = ListenerOptions { connections_max: 1, target_bytes_max: Some(100), ..ListenerOptions::default() };
        Connections::new(options, Metrics::new("test", &Registry::new()))
    }

    fn connection(connections: &Arc<Connections>) -> (Stream<DuplexStream>, DuplexStream) {
        let (io, client) = duplex(64);
        (Stream::new(io, None, connections.admit().unwrap()), client)
    }

    async fn ends_after(stream: &mut Stream<DuplexStream>) -> (Duration, String) {
        let began = Instant::now();
        let error = loop {
            match stream.read(&mut [0; 100]).await {
                Ok(0) => panic!("the client has not gone"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        (began.elapsed(), error.to_string())
    }

    #[track_caller]
    fn check(ended: &(Duration, String), after: Duration, reason: &str) {
        let late = ended.0.checked_sub(after).expect("it ended too early");
        assert!(late < Duration::from_millis(20) && ended.1.contains(reason), "{ended:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_head_has_ten_seconds_however_it_drips() {
        let (mut stream, mut client) = connection(&connections());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_mins(1)).await;
            for byte in b"GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaa" {
                if client.write_all(&[*byte]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_secs(3)).await;
            }
        });
        check(&ends_after(&mut stream).await, Duration::from_mins(1) + HEAD, "head of a request");
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_has_five_minutes_from_its_last_request() {
        let connections = connections();
        let (mut stream, _client) = connection(&connections);
        check(&ends_after(&mut stream).await, IDLE, "no request");
        drop(stream);
        let (mut stream, mut client) = connection(&connections);
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        let busy = stream.slot().begin_request();
        tokio::spawn(async move {
            tokio::time::sleep(3 * IDLE).await;
            drop(busy);
        });
        check(&ends_after(&mut stream).await, 4 * IDLE, "no request");
        assert_eq!(connections.metrics.ended(Ended::IdleTimeout).get(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_quiet_connection_makes_room_at_once() {
        let connections = connections();
        let (mut stream, _client) = connection(&connections);
        let waiting = tokio::spawn(async move { ends_after(&mut stream).await });
        tokio::task::yield_now().await;
        let (_second, _) = connection(&connections);
        check(&waiting.await.unwrap(), Duration::ZERO, "another connection");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_ends_the_connection() {
        let (mut stream, mut client) = connection(&connections());
        let began = Instant::now();
        let reader = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_mins(4)).await;
            client.read_exact(&mut [0; 10]).await.unwrap();
            client
        });
        let error = stream.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), 9 * 60);
        drop(reader.await.unwrap());
    }

    #[tokio::test]
    async fn small_buffers_get_changed_bytes_bit_by_bit() {
        let (mut stream, mut client) = connection(&connections());
        client.write_all(b"GET /\"\"\" HTTP/1.1\r\n\r\n").await.unwrap();
        drop(client);
        let (mut all, mut byte) = (Vec::new(), [0; 2]);
        loop {
            match stream.read(&mut byte).await.unwrap() {
                0 => break,
                n => all.extend_from_slice(&byte[..n]),
            }
        }
        assert_eq!(all, b"GET /%22%22%22 HTTP/1.1\r\n\r\n");
    }

    #[tokio::test]
    async fn a_piece_of_which_nothing_is_left_is_not_the_end() {
        let (mut stream, mut client) = connection(&connections());
        let target = "x".repeat(300);
        let writer = tokio::spawn(async move {
            client.write_all(format!("GET /{target} HTTP/1.1\r\n\r\n").as_bytes()).await.unwrap();
        });
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        writer.await.unwrap();
        assert_eq!(all.len(), "GET  HTTP/1.1\r\n\r\n".len() + 101);
    }

    async fn waits_for(client_sends: &[u8], then_ends: bool) -> (bool, Vec<u8>) {
        let (mut stream, mut client) = connection(&connections());
        let sent = client_sends.to_vec();
        let writer = tokio::spawn(async move {
            client.write_all(&sent).await.unwrap();
            (!then_ends).then_some(client)
        });
        let waited = tokio::time::timeout(HEAD / 2, stream.wait_for_head()).await;
        let is_ripe = waited.map(Result::unwrap).is_ok();
        let mut all = vec![0; 10_000];
        let mut len = 0;
        while is_ripe && len < client_sends.len() {
            len += stream.read(&mut all[len..]).await.unwrap();
        }
        drop(writer);
        all.truncate(len);
        (is_ripe, all)
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_head_is_waited_for_and_read_again() {
        let post: &[u8] = b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbody";
        assert_eq!(waits_for(post, false).await, (true, post.to_vec()));
        let half = &post[..30];
        assert_eq!(waits_for(half, false).await, (false, vec![]));
        assert_eq!(waits_for(half, true).await, (true, half.to_vec()));
        let long = [b"GET / HTTP/1.1\r\nA: ", &[b'a'; SEEN_BYTES_MAX][..]].concat();
        assert_eq!(waits_for(&long, false).await, (true, long));
        let preface: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        assert_eq!(waits_for(&preface[..10], false).await, (false, vec![]));
        assert_eq!(waits_for(preface, false).await, (true, preface.to_vec()));
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_first_head_has_ten_seconds() {
        let (mut stream, mut client) = connection(&connections());
        client.write_all(b"GET / HT").await.unwrap();
        let began = Instant::now();
        let error = stream.wait_for_head().await.unwrap_err();
        check(&(began.elapsed(), error.to_string()), HEAD, "head of a request");
    }
}
