//! One request on its way to its handler.

use std::future::Future;
use std::sync::Arc;

use dhow_engine::Engine;
use dhow_model::{Error, Result};
use dhow_oci::Platform;
use http::{HeaderMap, Request};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use serde::de::DeserializeOwned;

use super::body::{self, BlockingBody, Body};
use super::end::End;
use super::filters::Filters;
use super::hijack::Client;
use super::query::{self, Query};
use super::version::ApiVersion;
use super::websocket::Handshake;

/// A request, taken apart.
pub(crate) struct Call {
    pub(crate) engine: Arc<Engine>,
    pub(crate) version: ApiVersion,
    pub(crate) method: String,
    /// Decoded, without the version.
    pub(crate) path: String,
    pub(crate) query: Query,
    pub(crate) headers: HeaderMap,
    pub(crate) end: End,
    body: Body,
    upgrade: Option<OnUpgrade>,
}

impl Call {
    /// Takes a request apart.
    ///
    /// # Errors
    /// Invalid argument for a version that is not served or an escape that is none.
    pub(crate) fn new(engine: Arc<Engine>, mut request: Request<Incoming>, end: End) -> Result<Self> {
        let upgrade = request.extensions_mut().remove();
        let (head, body) = request.into_parts();
        let (version, path) = ApiVersion::split(head.uri.path())?;
        Ok(Self {
            engine,
            version,
            method: head.method.as_str().to_owned(),
            path: query::decode(path, false)?,
            query: Query::parse(head.uri.query().unwrap_or_default())?,
            headers: head.headers,
            end,
            body: Body::new(body),
            upgrade,
        })
    }

    /// Runs a verb to its end on a thread of its own: a client that goes away cannot stop it halfway.
    ///
    /// # Errors
    /// The verb's.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        verb: impl FnOnce(&Arc<Engine>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let engine = self.engine.clone();
        finished(tokio::task::spawn_blocking(move || verb(&engine)).await)
    }

    /// The same for a verb that waits: it has a task of its own.
    ///
    /// # Errors
    /// The verb's.
    pub(crate) async fn run_task<T, F>(&self, verb: impl FnOnce(Arc<Engine>) -> F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        finished(tokio::spawn(verb(self.engine.clone())).await)
    }

    /// The platform asked for: `linux/arm64`, or an object of JSON as `load` and `save` get it.
    ///
    /// # Errors
    /// Invalid argument for anything else.
    pub(crate) fn platform(&self) -> Result<Option<Platform>> {
        self.query.given("platform").map(read_platform).transpose()
    }

    /// The same for a parameter that came with 1.`minor`: older clients mean nothing by it.
    ///
    /// # Errors
    /// As [`platform`](Self::platform).
    pub(crate) fn platform_since(&self, minor: u16) -> Result<Option<Platform>> {
        if self.version.before(minor) { Ok(None) } else { self.platform() }
    }

    /// Whether the method is this one.
    pub(crate) fn is(&self, method: &str) -> bool {
        self.method == method
    }

    /// The filters asked for, of those that the list knows.
    ///
    /// # Errors
    /// Invalid argument, `invalid filter`.
    pub(crate) fn filters(&self, known: &[&str]) -> Result<Filters> {
        Filters::parse(self.query.text("filters"))?.allow(known)
    }

    /// The JSON body, when there is one; Go calls it a `structure`.
    ///
    /// # Errors
    /// Invalid argument, in Docker's words.
    pub(crate) async fn json<T: DeserializeOwned>(&mut self, structure: &'static str) -> Result<Option<T>> {
        body::json(&self.headers, &mut self.body, structure).await
    }

    /// The body as a stream for a verb.
    pub(crate) fn into_reader(self) -> BlockingBody {
        BlockingBody::new(self.body)
    }

    /// The opening of a WebSocket.
    ///
    /// # Errors
    /// Invalid argument when the request is none.
    pub(crate) fn handshake(&mut self) -> Result<Handshake> {
        Handshake::new(&self.headers, self.upgrade.take())
    }

    /// The client's side of a connection to be hijacked. A JSON body was read before.
    pub(crate) fn into_client(self) -> Client {
        Client::new(&self.headers, self.upgrade, Some(self.body), self.end)
    }
}

/// Reads a platform in either form.
///
/// # Errors
/// Invalid argument for anything else.
pub(crate) fn read_platform(text: &str) -> Result<Platform> {
    if text.starts_with('{') {
        let unreadable = |error| Error::invalid(format!("failed to parse platform: {error}"));
        return serde_json::from_str(text).map_err(unreadable);
    }
    Platform::parse(text).map_err(Error::invalid)
}

fn finished<T>(done: std::result::Result<Result<T>, tokio::task::JoinError>) -> Result<T> {
    done.map_err(|error| Error::internal("the operation was broken off").because(error))?
}
