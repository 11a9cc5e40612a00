//! Accepts connections for a server and keeps them within bounds: in number, in time, and in what a request line is.
//!
//! Half-open and idle connections are what a network has most of, and no HTTP library bounds them in number. A [`Door`]
//! gives every connection a place, ends those that take too long over a request's head or do nothing, and makes room
//! for new ones by ending the one that has been quiet for longest. It is *not* a server: what a connection says is the
//! business of the library that reads the [`Stream`].
//!
//! ```
//! use mytsdb_listener::{Door, ListenerOptions};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let door = Door::new("http", ListenerOptions::default(), &mytsdb_telemetry::Registry::new());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let client = tokio::net::TcpStream::connect(listener.local_addr()?).await?;
//! let stream = door.accept(&listener).await;
//! let busy = stream.place().begin_request();
//! assert!(!stream.place().is_spare());
//! # drop((client, busy));
//! # Ok::<(), std::io::Error>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod descriptors;
mod door;
mod head;
mod http1;
mod http2;
mod metrics;
mod options;
mod place;
mod stream;

pub use descriptors::{connections_within, raise_descriptor_limit};
pub use door::Door;
pub use options::ListenerOptions;
pub use place::{Busy, Place};
pub use stream::Stream;

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
