//! The API over real connections: what endpoints answer, and how the transport behaves.

mod admin;
mod answers;
mod connections;
mod endpoints;
mod features;
mod lookups;
mod remote_read;
mod requests;
mod result_cache;
mod server;
mod store;
mod transport;
