//! The API over real connections: what endpoints answer, and how the transport behaves.

mod endpoints;
mod server;
mod transport;
