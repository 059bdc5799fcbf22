//! The Docker Engine API: types, routes, client.
//!
//! The door's server side, in reading order: [`serve`] is all that the composition root needs;
//! `server` is HTTP as Docker's clients expect it, whatever the operation; `routes` has a table for
//! each noun, and handlers that parse, make one engine call and encode; `types` is what goes over the
//! wire beyond the model's own nouns, shaped by the version asked for. [`client`] is the other side, for
//! the command line.

pub mod client;
#[cfg(fuzzing)]
pub mod fuzzing;
mod routes;
mod server;
mod types;

use std::future::Future;
use std::sync::Arc;

use dhow_engine::Engine;
pub use server::hold::Unread;
pub use server::socket::{Listener, Socket};

/// Serves the Engine API on these sockets until `shutdown` is ready.
///
/// Returns when every connection has ended, or some seconds after `shutdown`: streams without an end
/// of their own (`/events`, followed logs, attached clients) are ended, verbs that have begun are not.
///
/// `unread` looks after clients of a hijacked connection.
pub async fn serve(
    engine: Arc<Engine>,
    listeners: Vec<Listener>,
    unread: Unread<Socket>,
    shutdown: impl Future<Output = ()>,
) {
    server::accept::serve(routes::Routes(engine), listeners, unread, shutdown).await;
}

/// Serves metrics on this socket, in the format of Prometheus, until `shutdown` is ready.
pub async fn serve_metrics(
    engine: Arc<Engine>,
    listener: Listener,
    unread: Unread<Socket>,
    shutdown: impl Future<Output = ()>,
) {
    server::accept::serve(routes::metrics::Exposition(engine), vec![listener], unread, shutdown).await;
}
