//! A small blocking client of the Engine API, for the command line.
//!
//! Plain blocking sockets on purpose: `dhow ps` is one write and a few reads, and an async
//! runtime would cost more to start than the whole exchange takes.
//!
//! A connection is a socket, whatever carries it: TLS is spoken by a thread behind a socket pair, and ssh by its
//! own program.
//!
//! Reading order: [`Endpoint`] (where the engine is), [`Request`], [`Client`] (sends one, reuses
//! the connection), [`Response`] and its body, [`Hijacked`] (attach and exec), [`stdcopy`] (the
//! frames of an attached stream).

mod body;
mod carrier;
mod connection;
mod endpoint;
mod error;
mod hijack;
mod pump;
mod request;
mod resolve;
mod ssh;
pub mod stdcopy;
mod tls;

pub use body::Body;
pub use connection::Response;
pub use endpoint::Endpoint;
pub use error::Error;
pub use hijack::{Hijacked, Writer};
pub use request::{Payload, Query, Request};
pub use tls::TlsFiles;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use connection::{Connection, Pending};

/// A client of one engine. Cloning is cheap; clones share the idle connections.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Arc<Endpoint>,
    version: Arc<Version>,
    idle: Idle,
}

/// The API version in the paths. Docker asks for the engine's version before anything else; here the
/// version of this client is sent at once, and an engine that finds it too new says so and is asked
/// again in its own version, which a path without one means.
#[derive(Debug)]
struct Version {
    /// `/v1.50`.
    prefix: String,
    /// The user chose it: then it stays.
    pinned: bool,
    /// The engine has answered to it.
    accepted: AtomicBool,
    refused: AtomicBool,
}

/// The API version that this client was written for.
pub const API_VERSION: &str = "1.50";

/// Connections that are between two requests.
pub(crate) type Idle = Arc<Mutex<Vec<Connection>>>;

impl Client {
    /// Makes a client; `version` pins the API version of every path. Nothing is sent yet.
    pub fn new(endpoint: Endpoint, version: Option<&str>) -> Client {
        let version = Version {
            prefix: format!("/v{}", version.unwrap_or(API_VERSION)),
            pinned: version.is_some(),
            accepted: AtomicBool::new(false),
            refused: AtomicBool::new(false),
        };
        Client { endpoint: Arc::new(endpoint), version: Arc::new(version), idle: Idle::default() }
    }

    /// Opens one connection and keeps it for the next request: the cheapest proof that somebody
    /// listens.
    pub fn connect(&self) -> Result<(), Error> {
        let connection = Connection::open(&self.endpoint)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(())
    }

    /// A connection to the engine as it is, for who speaks to it themselves.
    pub fn dial(&self) -> Result<std::os::unix::net::UnixStream, Error> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = idle.map_or_else(|| Connection::open(&self.endpoint), Ok)?;
        Ok(connection.into_reader().into_inner())
    }

    /// The engine's address.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends one request and reads the head of the answer. An answer of 400 or above is
    /// [`Error::Api`].
    pub fn send(&self, mut request: Request<'_>) -> Result<Response, Error> {
        if !request.is_repeatable() && !self.version.is_known() {
            // What is streamed cannot be sent a second time, so the question comes first.
            self.send(Request::get(&["_ping"]))?.bytes()?;
        }
        match self.exchange(&mut request)?.into_result() {
            Err(error) if error.is_too_new() && !self.version.pinned && request.is_repeatable() => {
                self.version.refused.store(true, Ordering::Relaxed);
                self.exchange(&mut request)?.into_result()
            }
            Err(error) => Err(error),
            Ok(response) => {
                self.version.accepted.store(true, Ordering::Relaxed);
                Ok(response)
            }
        }
    }

    /// Sends one request whose connection becomes a raw two-way stream.
    pub fn hijack(&self, request: Request<'_>) -> Result<Hijacked, Error> {
        Ok(Hijacked::new(self.send(request.upgrade())?))
    }

    /// Sends a request and does not wait for the answer, so that a second one can be on its way too.
    /// Only for use right after another request: a connection that grew stale is not replaced.
    pub fn begin(&self, mut request: Request<'_>) -> Result<Promise, Error> {
        let reused = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match reused {
            Some(connection) => connection,
            None => Connection::open(&self.endpoint)?,
        };
        Ok(Promise {
            pending: connection.begin(self.version.prefix(), &mut request),
            idle: self.idle.clone(),
        })
    }

    /// A reused connection may have been closed by the engine meanwhile; a request that can be
    /// sent again is then sent on a fresh one.
    fn exchange(&self, request: &mut Request<'_>) -> Result<Response, Error> {
        let reused = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(connection) = reused {
            match connection.begin(self.version.prefix(), request).answer(&self.idle) {
                Err(Error::Stale) if request.is_repeatable() => {}
                Err(Error::Stale) => return Err(Error::stale()),
                other => return other,
            }
        }
        let fresh = Connection::open(&self.endpoint)?;
        match fresh.begin(self.version.prefix(), request).answer(&self.idle) {
            Err(Error::Stale) => Err(Error::stale()),
            other => other,
        }
    }
}

impl Version {
    fn prefix(&self) -> &str {
        if self.refused.load(Ordering::Relaxed) { "" } else { &self.prefix }
    }

    fn is_known(&self) -> bool {
        self.pinned || self.accepted.load(Ordering::Relaxed) || self.refused.load(Ordering::Relaxed)
    }
}

/// An answer that is on its way.
#[derive(Debug)]
pub struct Promise {
    pending: Pending,
    idle: Idle,
}

impl Promise {
    /// Waits for the head of the answer.
    pub fn response(self) -> Result<Response, Error> {
        match self.pending.answer(&self.idle) {
            Err(Error::Stale) => Err(Error::stale()),
            other => other?.into_result(),
        }
    }

    /// Waits until the connection is a raw two-way stream; the request must have asked for it.
    pub fn hijacked(self) -> Result<Hijacked, Error> {
        Ok(Hijacked::new(self.response()?))
    }
}

#[cfg(test)]
mod tests;
