//! A proxy on loopback that does to connections what networks and stores do: it answers 500, is slow, and cuts off.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context;

/// Bytes that go through at a time.
const PIECE_BYTES: usize = 16 << 10;

/// The longest wait for bytes; then it is looked whether all is over.
const LOOK: Duration = Duration::from_millis(200);

/// The proxy. Dropping it ends it.
pub(crate) struct FaultProxy {
    port: u16,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    target_port: u16,
    seed: u64,
    /// Faults happen.
    is_bad: AtomicBool,
    is_over: AtomicBool,
    connections: AtomicU64,
    faults: AtomicU64,
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Good,
    /// Its first request is answered with 500.
    Error,
    /// Each piece waits so long.
    Slow(Duration),
    /// It is cut off after so many bytes of the client, or of the answer.
    CutRequest(u64),
    CutAnswer(u64),
}

impl FaultProxy {
    /// Begins between a free port and another one on loopback, without faults.
    pub(crate) fn start(target_port: u16, seed: u64) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
        let port = listener.local_addr().context("local address")?.port();
        let shared = Arc::new(Shared {
            target_port,
            seed,
            is_bad: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            faults: AtomicU64::new(0),
        });
        let accepting = std::thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        });
        Ok(Self { port, shared, accepting: Some(accepting) })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Lets faults happen to connections that begin from now on, or none.
    pub(crate) fn set_bad(&self, is_bad: bool) {
        // Relaxed, here and below: each connection looks once, nothing else hangs on it.
        self.shared.is_bad.store(is_bad, Ordering::Relaxed);
    }

    /// Connections with a fault so far.
    pub(crate) fn faults(&self) -> u64 {
        self.shared.faults.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        if shared.is_over.load(Ordering::Relaxed) {
            return;
        }
        let Ok(client) = client else { continue };
        let number = shared.connections.fetch_add(1, Ordering::Relaxed);
        let fate = if shared.is_bad.load(Ordering::Relaxed) { fate(shared.seed, number) } else { Fate::Good };
        if fate != Fate::Good {
            shared.faults.fetch_add(1, Ordering::Relaxed);
        }
        let shared = shared.clone();
        // A connection that fails is what this is for.
        drop(std::thread::spawn(move || drop(carry(client, &shared, fate))));
    }
}

/// A third of the connections goes well.
fn fate(seed: u64, number: u64) -> Fate {
    let mut random = mytsdb_testkit::Random::of_case(seed, number);
    match random.below(9) {
        0..3 => Fate::Good,
        3..5 => Fate::Error,
        5 => Fate::Slow(Duration::from_millis(1 + random.below(30))),
        6..8 => Fate::CutRequest(random.below(60_000)),
        _ => Fate::CutAnswer(random.below(20_000)),
    }
}

fn carry(mut client: TcpStream, shared: &Arc<Shared>, fate: Fate) -> std::io::Result<()> {
    client.set_read_timeout(Some(LOOK))?;
    if fate == Fate::Error {
        let mut piece = [0; PIECE_BYTES];
        // The request need not be whole: a server that is in trouble does not read it either.
        if client.read(&mut piece)? == 0 {
            return Ok(());
        }
        return client
            .write_all(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, shared.target_port))?;
    server.set_read_timeout(Some(LOOK))?;
    let (request_max, answer_max, wait) = match fate {
        Fate::CutRequest(bytes) => (bytes, u64::MAX, Duration::ZERO),
        Fate::CutAnswer(bytes) => (u64::MAX, bytes, Duration::ZERO),
        Fate::Slow(wait) => (u64::MAX, u64::MAX, wait),
        Fate::Good | Fate::Error => (u64::MAX, u64::MAX, Duration::ZERO),
    };
    let (to_server, from_client) = (server.try_clone()?, client.try_clone()?);
    let (both, of_request) = ([client.try_clone()?, server.try_clone()?], shared.clone());
    let requests = std::thread::spawn(move || copy(from_client, to_server, request_max, wait, &of_request));
    copy(server, client, answer_max, wait, shared);
    for stream in &both {
        // One that is closed already is fine.
        drop(stream.shutdown(Shutdown::Both));
    }
    drop(requests.join());
    Ok(())
}

/// Carries bytes until one side ends, `bytes_max` have gone, or all is over; then ends both.
fn copy(mut from: TcpStream, mut to: TcpStream, bytes_max: u64, wait: Duration, shared: &Shared) {
    let (mut piece, mut left) = ([0; PIECE_BYTES], bytes_max);
    while left > 0 && !shared.is_over.load(Ordering::Relaxed) {
        let most = usize::try_from(left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        match from.read(&mut piece[..most]) {
            Ok(0) => break,
            Ok(length) => {
                std::thread::sleep(wait);
                left -= length as u64;
                if to.write_all(&piece[..length]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    drop(from.shutdown(Shutdown::Both));
    drop(to.shutdown(Shutdown::Both));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn fates_are_the_same_for_a_seed_and_of_every_kind() {
        let all: Vec<Fate> = (0..200).map(|number| fate(1, number)).collect();
        assert_eq!(all, (0..200).map(|number| fate(1, number)).collect::<Vec<_>>());
        assert_ne!(all, (0..200).map(|number| fate(2, number)).collect::<Vec<_>>());
        let kinds: BTreeSet<u8> = all
            .iter()
            .map(|fate| match fate {
                Fate::Good => 0,
                Fate::Error => 1,
                Fate::Slow(_) => 2,
                Fate::CutRequest(_) => 3,
                Fate::CutAnswer(_) => 4,
            })
            .collect();
        assert_eq!(kinds.len(), 5);
    }

    #[test]
    fn without_faults_bytes_go_through_both_ways() {
        let target = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = FaultProxy::start(target.local_addr().unwrap().port(), 1).unwrap();
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        client.write_all(b"ping").unwrap();
        let (mut server, _) = target.accept().unwrap();
        let mut bytes = [0; 4];
        server.read_exact(&mut bytes).unwrap();
        server.write_all(b"pong").unwrap();
        client.read_exact(&mut bytes).unwrap();
        assert_eq!((&bytes, proxy.faults()), (b"pong", 0));
    }
}
