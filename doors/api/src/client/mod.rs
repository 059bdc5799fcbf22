//! A small blocking client of the Engine API, for the command line.
//!
//! Plain blocking sockets on purpose: `dhow ps` is one write and a few reads, and an async
//! runtime would cost more to start than the whole exchange takes.
//!
//! Reading order: [`Endpoint`] (where the engine is), [`Request`], [`Client`] (sends one, reuses
//! the connection), [`Response`] and its body, [`Hijacked`] (attach and exec), [`stdcopy`] (the
//! frames of an attached stream).

mod body;
mod connection;
mod endpoint;
mod error;
mod hijack;
mod request;
pub mod stdcopy;

pub use body::Body;
pub use connection::Response;
pub use endpoint::Endpoint;
pub use error::Error;
pub use hijack::{Hijacked, Writer};
pub use request::{Payload, Query, Request};

use std::sync::{Arc, Mutex, PoisonError};

use connection::{Connection, Pending};

/// A client of one engine. Cloning is cheap; clones share the idle connections.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Arc<Endpoint>,
    /// `/v1.50`, or empty: then the engine answers with its newest version, and no round trip is
    /// spent on asking for it.
    prefix: Arc<str>,
    idle: Idle,
}

/// Connections that are between two requests.
pub(crate) type Idle = Arc<Mutex<Vec<Connection>>>;

impl Client {
    /// Makes a client; `version` (`1.50`) pins the API version of every path. Nothing is sent yet.
    pub fn new(endpoint: Endpoint, version: Option<&str>) -> Client {
        let prefix = version.map(|version| format!("/v{version}")).unwrap_or_default();
        Client { endpoint: Arc::new(endpoint), prefix: prefix.into(), idle: Idle::default() }
    }

    /// Opens one connection and keeps it for the next request: the cheapest proof that somebody
    /// listens.
    pub fn connect(&self) -> Result<(), Error> {
        let connection = Connection::open(&self.endpoint)?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(())
    }

    /// The engine's address.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Sends one request and reads the head of the answer. An answer of 400 or above is
    /// [`Error::Api`].
    pub fn send(&self, request: Request<'_>) -> Result<Response, Error> {
        self.exchange(request)?.into_result()
    }

    /// Sends one request whose connection becomes a raw two-way stream.
    pub fn hijack(&self, request: Request<'_>) -> Result<Hijacked, Error> {
        let response = self.exchange(request.upgrade())?.into_result()?;
        Ok(Hijacked::new(response))
    }

    /// Sends a request and does not wait for the answer, so that a second one can be on its way too.
    /// Only for use right after another request: a connection that grew stale is not replaced.
    pub fn begin(&self, mut request: Request<'_>) -> Result<Promise, Error> {
        let reused = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match reused {
            Some(connection) => connection,
            None => Connection::open(&self.endpoint)?,
        };
        Ok(Promise { pending: connection.begin(&self.prefix, &mut request), idle: self.idle.clone() })
    }

    /// A reused connection may have been closed by the engine meanwhile; a request that can be
    /// sent again is then sent on a fresh one.
    fn exchange(&self, mut request: Request<'_>) -> Result<Response, Error> {
        let reused = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(connection) = reused {
            match connection.begin(&self.prefix, &mut request).answer(&self.idle) {
                Err(Error::Stale) if request.is_repeatable() => {}
                Err(Error::Stale) => return Err(Error::stale()),
                other => return other,
            }
        }
        let fresh = Connection::open(&self.endpoint)?;
        match fresh.begin(&self.prefix, &mut request).answer(&self.idle) {
            Err(Error::Stale) => Err(Error::stale()),
            other => other,
        }
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
