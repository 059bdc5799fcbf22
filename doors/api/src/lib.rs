//! The Docker Engine API: types, routes, client.

pub mod client;
mod server;
mod types;
