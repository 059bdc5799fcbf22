//! Servers of the web, as the engine asks them: what is at a URL comes as a stream.
//!
//! Words and statuses are those of Go's client, which Docker's users know. No name service of the C library is asked
//! (a static program must not), and no authority is compiled in: whom the host trusts is in the host's files.
//!
//! Reading order: [`HostWeb`] (asks, and goes where it is sent on to), `url` (what is asked for), `way` (through
//! which proxy), `dial` (a connection), `trust` (whose certificates are good), `body` (what comes), `words` (how
//! failures are told).

mod body;
mod dial;
mod trust;
mod url;
mod way;
mod words;

#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use dhow_model::Result;
use dhow_model::ports::{Fetched, Gone, LookUp, Web};
use http::header::{AUTHORIZATION, HOST, LOCATION, PROXY_AUTHORIZATION, USER_AGENT};
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::runtime::Handle;

use body::{Body, Connection};
use url::Url;
use way::{Proxies, Way};
use words::Failure;

/// Go's client follows as many.
const MOST_REDIRECTS: usize = 10;

/// The web as this machine reaches it.
pub struct HostWeb {
    proxies: Proxies,
    patience: Patience,
    runtime: Handle,
}

/// How long one waits.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For a connection, and for what is agreed on it before a request.
    connect: Duration,
    /// For the head of an answer, and for each further piece of it: it may be made while it is sent.
    piece: Duration,
}

impl HostWeb {
    /// With the proxies that the environment names.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        let patience = Patience { connect: Duration::from_secs(30), piece: Duration::from_secs(120) };
        Self { proxies: Proxies::of_environment(), patience, runtime }
    }

    /// One request and the head of its answer.
    fn ask(&self, url: &Url, look_up: LookUp<'_>, gone: &Gone) -> Result<Asked, Failure> {
        let way = self.proxies.way(url)?;
        let places = dial::places(way.next(url), look_up)?;
        let work = async {
            let dialled = tokio::time::timeout(self.patience.connect, dial::open(&way, url, &places)).await;
            let stream = dialled.map_err(|_| Failure::timeout())??;
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
            let connection = Connection::new(tokio::spawn(connection));
            let answer = tokio::time::timeout(self.patience.piece, sender.send_request(request(url, &way)?));
            let answer = answer.await.map_err(|_| Failure::timeout())??;
            Ok(Asked { answer, connection })
        };
        body::until_gone(&self.runtime, gone, work)
    }

    fn body(&self, asked: Asked, gone: Gone) -> (http::response::Parts, Body) {
        let (head, incoming) = asked.answer.into_parts();
        (head, Body::new(incoming, asked.connection, self.runtime.clone(), self.patience.piece, gone))
    }
}

impl Web for HostWeb {
    fn fetch(&self, text: &str, look_up: LookUp<'_>, gone: Gone) -> Result<Fetched> {
        let first = Url::parse(text)?;
        let mut url = first.clone();
        for _ in 0..MOST_REDIRECTS {
            let asked = self.ask(&url, look_up, &gone).map_err(|failure| failure.of(&url))?;
            match moved(&asked.answer) {
                Some(place) => url = url.join(&place).map_err(|failure| failure.of(&url))?,
                None => return self.accept(&first, asked, gone),
            }
        }
        Err(Failure::other(format!("stopped after {MOST_REDIRECTS} redirects")).of(&url))
    }
}

impl HostWeb {
    fn accept(&self, url: &Url, asked: Asked, gone: Gone) -> Result<Fetched> {
        let (head, body) = self.body(asked, gone);
        if head.status.as_u16() >= 400 {
            return Err(words::refused(url, &head, body));
        }
        Ok(Fetched { url: url.to_string(), length: body.length(), body: Box::new(body) })
    }
}

/// An answer whose head is there, and the connection that the rest comes on.
struct Asked {
    answer: Response<Incoming>,
    connection: Connection,
}

fn request(url: &Url, way: &Way) -> Result<Request<Empty<Bytes>>, Failure> {
    let target = if matches!(way, Way::Forward(_)) { url.absolute() } else { url.path() };
    let mut request = Request::get(target).header(HOST, url.authority());
    request = request.header(USER_AGENT, concat!("Dhow/", env!("CARGO_PKG_VERSION")));
    if let Some(user) = url.user() {
        request = request.header(AUTHORIZATION, user);
    }
    if let Way::Forward(proxy) = way
        && let Some(user) = proxy.user()
    {
        request = request.header(PROXY_AUTHORIZATION, user);
    }
    request.body(Empty::new()).map_err(|error| Failure::other(error.to_string()))
}

/// Where an answer sends one on to.
fn moved(answer: &Response<Incoming>) -> Option<String> {
    let statuses = [301, 302, 303, 307, 308];
    let place = answer.headers().get(LOCATION).filter(|_| statuses.contains(&answer.status().as_u16()))?;
    Some(String::from_utf8_lossy(place.as_bytes()).into_owned()).filter(|place| !place.is_empty())
}
