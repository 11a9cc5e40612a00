//! Accepts connections for a server and keeps them within bounds: in number, in time, and in what a request line is;
//! and serves HTTP on them, behind TLS if wanted.
//!
//! TLS is spoken here and credentials are asked for here, for every server in the same way; what they are is the business
//! of `mytsdb-access`.
//!
//! Half-open and idle connections are what a network has most of, and no HTTP library bounds them in number. An [`Acceptor`]
//! gives every connection a slot, ends those that take too long over a request's head or do nothing, and makes room
//! for new ones by ending the one that has been quiet for longest. [`serve`] is the loop of an HTTP server around it. What
//! a request means is *not* the business of this crate.
//!
//! ```
//! use mytsdb_listener::{Acceptor, ListenerOptions};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let acceptor = Acceptor::new("http", ListenerOptions::default(), &mytsdb_telemetry::Registry::new());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let client = tokio::net::TcpStream::connect(listener.local_addr()?).await?;
//! let stream = acceptor.accept(&listener).await;
//! let busy = stream.slot().begin_request();
//! assert!(!stream.slot().is_spare());
//! # drop((client, busy));
//! # Ok::<(), std::io::Error>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod acceptor;
mod descriptors;
mod head;
mod http1;
mod http2;
mod metrics;
mod options;
mod serve;
mod slot;
mod stream;
mod transport;
mod turned_away;

pub use acceptor::Acceptor;
pub use descriptors::{connections_within, raise_descriptor_limit};
pub use options::ListenerOptions;
pub use serve::{Http2Options, ServeOptions, serve};
pub use slot::{Busy, Slot};
pub use stream::Stream;
pub use turned_away::TurnedAway;

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
